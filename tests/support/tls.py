"""Servers that speak TLS, and clients of theirs, for tests."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, free_port, sherd_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

bound_seconds = 60.0
default_shape = Shape(shards=1, io_threads=1)


class TlsServer:
    """A server with a TLS port, and ways to come in."""

    def __init__(self, server: Server, port: int, folder: Path) -> None:
        self.server, self.port, self.folder = server, port, folder

    def context(self, client: str | None = "good", authority: str = "good") -> ssl.SSLContext:
        """A client's side, with a certificate of an authority or without one."""
        context = ssl.create_default_context(cafile=self.folder / authority / "ca.crt")
        if client is not None:
            context.load_cert_chain(self.folder / client / "client.crt", self.folder / client / "client.key")
        return context

    def connect(self, context: ssl.SSLContext | None = None, **options: object) -> ssl.SSLSocket:
        """A connection whose handshake is done, as far as the client can tell."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=bound_seconds)
        return (context or self.context()).wrap_socket(plain, server_hostname="127.0.0.1", **options)  # type: ignore[arg-type]

    def ping(self, context: ssl.SSLContext | None = None) -> bytes:
        """What a PING brings over a new connection; nothing, or an error, where it is not let in."""
        with self.connect(context) as wire:
            wire.sendall(encode_command("PING"))
            return wire.recv(100)

    def visitor(self, version: ssl.TLSVersion) -> Callable[[ssl.SSLSession | None], tuple[ssl.SSLSession | None, bool]]:
        """Visits the server with a session of an earlier visit: the session after that, and whether it was resumed."""
        context = self.context()
        context.minimum_version = context.maximum_version = version

        def visit(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
            with self.connect(context, session=session) as wire:
                wire.sendall(encode_command("PING"))
                assert wire.recv(100) == b"+PONG\r\n"
                return wire.session, bool(wire.session_reused)

        return visit

    def logged(self, pattern: str) -> str:
        """The first line of the log that a pattern matches, when it has come."""
        deadline = time.monotonic() + bound_seconds
        while not (found := re.search(f".*{pattern}.*", self.server.log())):
            assert time.monotonic() < deadline, f"{pattern!r} is not in the log:\n{self.server.log()}"
            time.sleep(0.02)
        return found[0]


def serve(folder: Path, shape: Shape = default_shape, **more: str) -> contextlib.AbstractContextManager[TlsServer]:
    """A server with both ports and the certificates of the folder's `good` authority; more directives, with underscores."""

    @contextlib.contextmanager
    def serving() -> Iterator[TlsServer]:
        port = free_port()
        directives = {
            "tls-port": str(port), "tls-cert-file": str(folder / "good/server.crt"),
            "tls-key-file": str(folder / "good/server.key"), "tls-ca-cert-file": str(folder / "good/ca.crt"),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }  # fmt: skip
        with Server(sherd_program(), shape=shape, directives=directives) as server:
            yield TlsServer(server, port, folder)

    return serving()
