"""A process in the middle of a link, here a few threads: forwards bytes, delays them, and cuts the link where it is told to."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.wire import Address

_READ_BYTES = 1 << 14


class Proxy:
    """Forwards every connection to `target`. `cut_after`: bytes towards the client after which one is cut, drawn anew
    for each connection by `random.randrange`; None never cuts by itself."""

    def __init__(self, target: Address, cut_after: tuple[int, int] | None = None, *, seed: int = 0) -> None:
        self.target = target
        self.cut_after = cut_after
        self.delay_seconds = 0.0
        self.accepts = True
        self.cuts = 0
        self.connections = 0
        self.random = random.Random(seed)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """Ends all connections that there are."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(connection)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.accepts:
                client.close()
                continue
            try:
                target = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            self.connections += 1
            with self._lock:
                self._open |= {client, target}
            left = self.random.randrange(*self.cut_after) if self.cut_after is not None else None
            threading.Thread(target=self._forward, args=(client, target, None), daemon=True).start()
            threading.Thread(target=self._forward, args=(target, client, left), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                if left is not None:
                    data, left = data[:left], left - len(data)
                sink.sendall(data)
                if left is not None and left <= 0:
                    self.cuts += 1
                    break
        self._close(source)
        self._close(sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._listener.close()
        self.cut()
