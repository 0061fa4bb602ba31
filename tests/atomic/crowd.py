"""A crowd: many connections that do different things at the same time, with a bound on everything.

Threads, not asyncio: a blocked receive lets go of the GIL, each worker reads as a plain story, and several requests are
in the server at once. A worker that fails stops the others and its error is the test's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.servers import Server

join_timeout_seconds = 90.0


def run_crowd(
    server: Server,
    writers: Sequence[Callable[[Wire], None]],
    readers: Sequence[Callable[[Wire], None]] = (),
) -> None:
    """Runs each writer once, and each reader over and over until all writers are done."""
    done = threading.Event()
    errors: list[BaseException] = []

    def write(work: Callable[[Wire], None]) -> None:
        try:
            with server.wire() as wire:
                work(wire)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    def read(work: Callable[[Wire], None]) -> None:
        try:
            with server.wire() as wire:
                work(wire)
                while not done.is_set() and not errors:
                    work(wire)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    writer_threads = [threading.Thread(target=write, args=(work,), daemon=True) for work in writers]
    reader_threads = [threading.Thread(target=read, args=(work,), daemon=True) for work in readers]
    for thread in writer_threads + reader_threads:
        thread.start()
    for thread in writer_threads:
        thread.join(join_timeout_seconds)
    done.set()
    for thread in reader_threads:
        thread.join(join_timeout_seconds)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in writer_threads + reader_threads), "a connection hangs: a deadlock?"
