"""A primary that says what a test wants it to say, true or not."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from typing import TYPE_CHECKING, Self

from tests.support.resp import encode_command, find_reply_end, parse_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

HISTORY = "a" * 40
EMPTY_SNAPSHOT = b"REDIS0010\xff" + bytes(8)


class Link:
    """A connection of a replica whose handshake is done."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(20)
        self.buffer = b""
        self.handshake: list[list[bytes]] = []

    def command(self) -> list[bytes]:
        """The next command that the replica sends."""
        while (end := find_reply_end(self.buffer) if self.buffer else None) is None:
            data = self.connection.recv(1 << 14)
            if not data:
                raise ConnectionError("the replica has closed the link")
            self.buffer += data
        value, self.buffer = parse_value(self.buffer[:end]), self.buffer[end:]
        assert isinstance(value, list)
        return value

    def shake_hands(self) -> list[bytes]:
        """Answers everything up to PSYNC, which is returned."""
        while True:
            words = self.command()
            self.handshake.append(words)
            if words[0] == b"PSYNC":
                return words
            self.connection.sendall(b"+PONG\r\n" if words[0] == b"PING" else b"+OK\r\n")

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.connection.sendall(data)

    def stream(self, *commands: tuple[bytes | str, ...]) -> int:
        """Commands of the stream; returns their bytes."""
        data = b"".join(encode_command(*command) for command in commands)
        self.send(data)
        return len(data)

    def acknowledged(self, offset: int) -> None:
        """Waits until the replica has said that it has come so far, and no further."""
        while True:
            words = self.command()
            assert words[:2] == [b"REPLCONF", b"ACK"], words
            assert int(words[2]) <= offset, words
            if int(words[2]) == offset:
                return

    def full(self, snapshot: bytes = EMPTY_SNAPSHOT, offset: int = 100, history: str = HISTORY) -> None:
        """Answers PSYNC with a snapshot of a known length."""
        self.send(f"+FULLRESYNC {history} {offset}\r\n".encode())
        self.send(b"$%d\r\n" % len(snapshot) + snapshot)

    def is_closed(self) -> bool:
        """Whether the replica gives the link up, within the timeout; what it sends until then is dropped."""
        try:
            while self.connection.recv(1 << 14):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True


class FakePrimary:
    """Listens; `serve` is called with each link in a thread, or links are taken one by one with `next_link`."""

    def __init__(self, serve: Callable[[Link], None] | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: queue.Queue[Link] = queue.Queue()
        self._serve = serve
        self._all: list[Link] = []
        self.failures: list[BaseException] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where replicas connect."""
        port: int = self._listener.getsockname()[1]
        return port

    def next_link(self) -> Link:
        """The next link that a replica makes."""
        return self._links.get(timeout=30)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            link = Link(connection)
            self._all.append(link)
            if self._serve is None:
                self._links.put(link)
            else:
                threading.Thread(target=self._serve_one, args=(link,), daemon=True).start()

    def _serve_one(self, link: Link) -> None:
        assert self._serve is not None
        try:
            self._serve(link)
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.failures.append(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for link in self._all:
            with contextlib.suppress(OSError):
                link.connection.close()
