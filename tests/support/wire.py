"""`Wire`: a raw client that sees exactly the bytes that a server sends.

It never reconnects, never retries and never hides a push message: a test that wants those uses a real client. Every
read has a deadline, so a server that stays silent fails a test instead of hanging the run.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.resp import Argument, Node, encode_command, find_reply_end, parse_node, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

Address = tuple[str, int] | str
"""(host, port), or the path of a unix socket."""

reply_timeout_seconds = 20.0
read_size_bytes = 1 << 16


class ConnectionClosed(Exception):
    """The server closed the connection; `partial` holds what came before that and is not a whole reply."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"connection closed, after {partial[:200]!r}")
        self.partial = partial


@dataclass(frozen=True)
class Reply:
    """One reply: the raw bytes, and two readings of them made when they are asked for."""

    raw: bytes

    @functools.cached_property
    def node(self) -> Node:
        """The tree that keeps type bytes."""
        return parse_node(self.raw)

    @functools.cached_property
    def value(self) -> Any:
        """What hiredis makes of the bytes."""
        return parse_value(self.raw)

    @property
    def is_error(self) -> bool:
        """Whether the reply is an error."""
        return self.raw[:1] in (b"-", b"!")


class Wire:
    """A connection. `protocol` 3 sends HELLO 3 first and drops its reply."""

    def __init__(self, address: Address, *, protocol: int = 2, timeout_seconds: float = reply_timeout_seconds) -> None:
        self.address = address
        self.protocol = protocol
        self.timeout_seconds = timeout_seconds
        self.socket = connect(address, timeout_seconds)
        self.buffer = bytearray()
        if protocol == 3:
            reply = self.call("HELLO", "3")
            assert not reply.is_error, reply.raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection without a QUIT."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends raw bytes."""
        self.socket.sendall(data)

    def write(self, *arguments: Argument) -> None:
        """Sends one command and reads nothing."""
        self.send(encode_command(*arguments))

    def read(self) -> Reply:
        """Reads exactly one reply; raises ConnectionClosed or TimeoutError."""
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            end = find_reply_end(self.buffer) if self.buffer else None
            if end is not None:
                raw = bytes(self.buffer[:end])
                del self.buffer[:end]
                return Reply(raw)
            self._receive(deadline)

    def _receive(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"no whole reply within {self.timeout_seconds} s; so far {bytes(self.buffer[:200])!r}")
        self.socket.settimeout(remaining)
        try:
            data = self.socket.recv(read_size_bytes)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise TimeoutError(
                f"no whole reply within {self.timeout_seconds} s; so far {bytes(self.buffer[:200])!r}"
            ) from None
        if not data:
            raise ConnectionClosed(bytes(self.buffer))
        self.buffer += data

    def call(self, *arguments: Argument) -> Reply:
        """Sends one command and reads its reply."""
        self.write(*arguments)
        return self.read()

    def value(self, *arguments: Argument) -> Any:
        """The Python value of a command's reply; an error reply fails the test."""
        reply = self.call(*arguments)
        assert not reply.is_error, f"{arguments!r} answered {reply.raw!r}"
        return reply.value

    def pipeline(self, commands: Iterable[Sequence[Argument]]) -> list[Reply]:
        """Sends all commands at once, then reads as many replies."""
        requests = [encode_command(*command) for command in commands]
        self.send(b"".join(requests))
        return [self.read() for _ in requests]

    def read_until_closed(self, *, byte_count_max: int = 1 << 24) -> bytes:
        """Everything that still comes, up to the server's closing of the connection (a reset counts as one)."""
        deadline = time.monotonic() + self.timeout_seconds
        with contextlib.suppress(ConnectionClosed):
            while len(self.buffer) < byte_count_max:
                self._receive(deadline)
        return bytes(self.buffer)

    def half_close(self) -> None:
        """Tells the server that no more bytes will come."""
        self.socket.shutdown(socket.SHUT_WR)


def connect(address: Address, timeout_seconds: float) -> socket.socket:
    """A connected socket without Nagle's delay."""
    if isinstance(address, str):
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unix.settimeout(timeout_seconds)
        unix.connect(address)
        return unix
    tcp = socket.create_connection(address, timeout_seconds)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tcp
