"""Connections that this server makes to others: to a primary, and to the target of MIGRATE. A socket, or TLS over one.

TLS is the data plane's from its first byte on, with the certificates and authorities of `tls-*`, for a session cannot
change hands; the loop only waits for the socket. A wire to a primary becomes a link of the data plane when hands are
shaken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sherd.native import PrimaryLink, Server

# Bytes that are handed to the data plane at once, so that a large value is not copied again for each part that is sent.
_SEND_BYTES = 1 << 16

Address = tuple[str, int]


class Wire(Protocol):
    """A connection to another server. What fails raises OSError."""

    async def shake_hands(self) -> None:
        """Find out that the other one is who it should be, where that can be known; else with the first bytes."""

    async def send(self, data: bytes) -> None:
        """Send all of this."""

    async def receive(self, at_most: int) -> bytes:
        """Bytes that come next; nothing at the end."""

    def ends(self) -> tuple[Address, Address]:
        """Where the other end is, and where this one is."""

    def link(self, engine: Server) -> PrimaryLink:
        """Hand it over to the data plane; it is not used here any more."""

    def close(self) -> None:
        """End it, unless it was handed over; idempotent."""


async def connect(host: str, port: int, timeout_seconds: float, source: str = "") -> socket.socket:
    """A connected socket that does not block; OSError or TimeoutError if there is none to be had.

    It is bound to `source`, an address of this machine, if there is such a one in the family of the other end's.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_seconds):
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in infos:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if source:
                    await _bind(connection, source)
                await loop.sock_connect(connection, address)
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure


async def _bind(connection: socket.socket, source: str) -> None:
    """Redis and Valkey connect all the same where this address cannot be had, so a server that has moved goes on."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        infos = await loop.getaddrinfo(source, 0, family=connection.family, type=socket.SOCK_STREAM)
        connection.bind(infos[0][4])


def open_wire(engine: Server, connection: socket.socket, host: str, *, tls: bool) -> Wire:
    """Take over a connected socket that does not block."""
    try:
        return TlsWire(engine, connection, host) if tls else PlainWire(connection)
    except OSError:
        connection.close()
        raise


class PlainWire:
    """A socket. Nothing is read ahead: what follows a handshake is left for the data plane."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ends = _ends(connection)
        self._loop = asyncio.get_running_loop()

    async def shake_hands(self) -> None:
        """Nothing is known before the first bytes."""

    async def send(self, data: bytes) -> None:
        """Send all of this."""
        await self._loop.sock_sendall(self._connection, data)

    async def receive(self, at_most: int) -> bytes:
        """Bytes that come next; nothing at the end."""
        return await self._loop.sock_recv(self._connection, at_most)

    def ends(self) -> tuple[Address, Address]:
        """Where the other end is, and where this one is."""
        return self._ends

    def link(self, engine: Server) -> PrimaryLink:
        """Hand the socket over."""
        other, own = map(_shown, self._ends)
        return engine.link_to_primary(self._connection.detach(), other, own)

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()


class TlsWire:
    """TLS, whose own handshake happens with the first bytes. The data plane keeps what has come and is not taken."""

    def __init__(self, engine: Server, connection: socket.socket, host: str) -> None:
        self._ends = _ends(connection)
        self._tls = engine.tls_to_server(connection.detach(), host)
        self._loop = asyncio.get_running_loop()

    async def shake_hands(self) -> None:
        """Find out that an authority has signed the other one's certificate."""
        while not self._tls.shake_hands():
            await self._flush()
            await self._until(self._loop.add_reader, self._loop.remove_reader)
        await self._flush()

    async def send(self, data: bytes) -> None:
        """Send all of this; before the handshake is over it waits in the data plane."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.send(bytes(rest[:_SEND_BYTES])) :]
            await self._flush()

    async def _flush(self) -> None:
        while not self._tls.flush():
            await self._until(self._loop.add_writer, self._loop.remove_writer)

    async def receive(self, at_most: int) -> bytes:
        """Bytes that come next; nothing at the end."""
        while (data := self._tls.receive(at_most)) is None:
            # What has come may have made an answer of the session's own.
            await self._flush()
            await self._until(self._loop.add_reader, self._loop.remove_reader)
        return data

    async def _until(self, add: Callable[..., None], remove: Callable[[int], object]) -> None:
        """Wait until the socket can do what is asked for."""
        descriptor, ready = self._tls.fileno(), asyncio.Event()
        add(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            remove(descriptor)

    def ends(self) -> tuple[Address, Address]:
        """Where the other end is, and where this one is."""
        return self._ends

    def link(self, engine: Server) -> PrimaryLink:
        """Hand the stream over."""
        other, own = map(_shown, self._ends)
        return engine.tls_link_to_primary(self._tls, other, own)

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


def _ends(connection: socket.socket) -> tuple[Address, Address]:
    other, own = connection.getpeername(), connection.getsockname()
    return (other[0], other[1]), (own[0], own[1])


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
