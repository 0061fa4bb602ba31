"""The smallest RESP2 client: blocking, one command at a time.

The control plane reads RESP with hiredis; the benchmarks ask a handful of questions between the measurements and must
run without any package installed, so these lines stand in for it.
"""

import socket
from types import TracebackType
from typing import Self

Reply = str | int | list["Reply"] | None

LINE_BYTES_MAX = 64 * 1024
BULK_BYTES_MAX = 64 * 1024 * 1024
ITEMS_MAX = 1_000_000


class ServerError(Exception):
    """An error reply."""


class ProtocolError(Exception):
    """The server sent what is not RESP2, or closed the connection."""


class Client:
    """A connection to a server on this machine."""

    def __init__(self, port: int, timeout_seconds: float = 120.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._reader.close()
        self._socket.close()

    def call(self, *arguments: str) -> Reply:
        """Sends one command and returns its reply; raises ServerError for an error reply."""
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            data = argument.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._socket.sendall(b"".join(parts))
        return self._read()

    def info(self, section: str = "all") -> dict[str, str]:
        """The fields of INFO."""
        text = self.call("INFO", section)
        if not isinstance(text, str):
            raise ProtocolError("INFO did not answer with text")
        pairs = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith("#"))
        return {name: value for name, _, value in pairs}

    def _read(self) -> Reply:
        line = self._reader.readline(LINE_BYTES_MAX)
        if not line.endswith(b"\r\n"):
            raise ProtocolError("the connection was closed" if not line else "a line does not end in CR LF")
        kind, body = line[:1], line[1:-2].decode(errors="replace")
        match kind:
            case b"+":
                return body
            case b"-":
                raise ServerError(body)
            case b":":
                return _number(body)
            case b"$":
                return self._read_bulk(_number(body))
            case b"*":
                count = _number(body)
                if count > ITEMS_MAX:
                    raise ProtocolError("an array is too long")
                return None if count < 0 else [self._read() for _ in range(count)]
        raise ProtocolError(f"not a RESP2 type: {kind!r}")

    def _read_bulk(self, length: int) -> str | None:
        if length < 0:
            return None
        if length > BULK_BYTES_MAX:
            raise ProtocolError("a bulk string is too long")
        data = self._reader.read(length + 2)
        if len(data) != length + 2:
            raise ProtocolError("the connection was closed")
        return data[:-2].decode(errors="replace")


def _number(body: str) -> int:
    try:
        return int(body)
    except ValueError as error:
        raise ProtocolError(f"not a number: {body!r}") from error
