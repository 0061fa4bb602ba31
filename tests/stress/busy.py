"""A server whose IO threads have work all the time, so that what they are told comes late."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.replication.support import eventually
from tests.support.resp import encode_command
from tests.support.wire import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server
    from tests.support.wire import Wire


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """Every IO thread has work all the time."""
    with server.wire() as wire:
        wire.call("RPUSH", "load", *map(str, range(300)))
    pipeline = encode_command("LRANGE", "load", "0", "-1") * 200
    sockets = [connect(server.address, 20) for _ in range(2 * server.shape.io_threads)]

    def send(number: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                sockets[number].sendall(pipeline)

    def receive(number: int) -> None:
        with contextlib.suppress(OSError):
            while sockets[number].recv(1 << 20):
                pass

    threads = [
        threading.Thread(target=part, args=(number,)) for number in range(len(sockets)) for part in (send, receive)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for socket in sockets:
            with contextlib.suppress(OSError):
                socket.shutdown(2)
        for thread in threads:
            thread.join()
        for socket in sockets:
            socket.close()


def await_blocked(admin: Wire, count: int) -> None:
    """Waits until so many clients wait for a key."""
    line = f"blocked_clients:{count}\r".encode()
    eventually(lambda: line in admin.value("INFO", "clients"), f"{count} clients are blocked")
