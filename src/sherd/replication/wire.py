"""What the handshake with a primary goes over: a socket, or TLS over one, and how either becomes the link.

TLS is the data plane's from its first byte on, for a session cannot change hands; the loop only waits for the socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sherd.native import PrimaryLink, Server


class Wire(Protocol):
    """A connection to a primary. What fails raises OSError."""

    async def send(self, data: bytes) -> None:
        """Send all of this."""

    async def receive_byte(self) -> bytes:
        """The next byte; nothing at the end."""

    def link(self, engine: Server) -> PrimaryLink:
        """Hand it over to the data plane; it is not used here any more."""

    def close(self) -> None:
        """End it, unless it was handed over; idempotent."""


def open_wire(engine: Server, connection: socket.socket, host: str, *, tls: bool) -> Wire:
    """Take over a connected socket that does not block."""
    return TlsWire(engine, connection, host) if tls else PlainWire(connection)


class PlainWire:
    """A socket. Bytes are read one by one: what follows the handshake is left for the data plane."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send all of this."""
        await self._loop.sock_sendall(self._connection, data)

    async def receive_byte(self) -> bytes:
        """The next byte; nothing at the end."""
        return await self._loop.sock_recv(self._connection, 1)

    def link(self, engine: Server) -> PrimaryLink:
        """Hand the socket over."""
        ends = _ends(self._connection)
        return engine.link_to_primary(self._connection.detach(), *ends)

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()


class TlsWire:
    """TLS, whose own handshake happens with the first bytes. The data plane keeps what has come and is not taken."""

    def __init__(self, engine: Server, connection: socket.socket, host: str) -> None:
        self._ends = _ends(connection)
        self._tls = engine.tls_to_primary(connection.detach(), host)
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send all of this; before the handshake is over it waits in the data plane."""
        while data:
            data = data[self._tls.send(data) :]
            await self._flush()

    async def _flush(self) -> None:
        while not self._tls.flush():
            await self._until(self._loop.add_writer, self._loop.remove_writer)

    async def receive_byte(self) -> bytes:
        """The next byte; nothing at the end."""
        while (byte := self._tls.receive(1)) is None:
            # What has come may have made an answer of the session's own.
            await self._flush()
            await self._until(self._loop.add_reader, self._loop.remove_reader)
        return byte

    async def _until(self, add: Callable[..., None], remove: Callable[[int], object]) -> None:
        """Wait until the socket can do what is asked for."""
        descriptor, ready = self._tls.fileno(), asyncio.Event()
        add(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            remove(descriptor)

    def link(self, engine: Server) -> PrimaryLink:
        """Hand the stream over."""
        return engine.tls_link_to_primary(self._tls, *self._ends)

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


def _ends(connection: socket.socket) -> tuple[str, str]:
    return _shown(connection.getpeername()), _shown(connection.getsockname())


def _shown(name: tuple[str, int]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
