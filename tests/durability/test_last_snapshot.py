"""The snapshot that a server takes when it ends has everything that anybody was told to be written.

The story: while it was taken, writes were executed and acknowledged, which nobody had when the server was there again.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import SHAPE_NAMES, SHAPES, await_equal, await_link, eventually, replica_of
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

saves = {"save": "3600 1", "enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
counters = ("a", "b", "c")


class Counting:
    """Clients that count up, each its own key, until the server is gone; `told` says how far they know that they are.
    replicas: so many of them have to say that they have it, too."""

    def __init__(self, server: Server, replicas: int = 0) -> None:
        self._server, self._replicas = server, replicas
        self.told = dict.fromkeys(counters, 0)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(name,), daemon=True) for name in counters]

    def _run(self, name: str) -> None:
        with contextlib.suppress(OSError, ConnectionClosed), self._server.wire() as wire:
            while not self._stop.is_set():
                count, *waited = wire.pipeline([("INCR", name), *([("WAIT", "1", "5000")] if self._replicas else [])])
                if count.is_error or any(reply.value < self._replicas for reply in waited):
                    return
                self.told[name] = count.value

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        eventually(lambda: all(count > 20 for count in self.told.values()), "they count")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def populate(wire: Wire) -> None:
    """So much that a snapshot takes a while."""
    assert wire.call("DEBUG", "POPULATE", "300000", "key", "200").raw == b"+OK\r\n"


def end(server: Server, how: str) -> None:
    """Ends a server, and sees that it has ended."""
    if how.startswith("SIG"):
        assert server.signal_and_wait(signal.Signals[how], 60) == 0
        return
    with server.wire(timeout_seconds=60) as wire:
        wire.write(*how.split())
        wire.read_until_closed()
    eventually(lambda: not server.is_running(), "it has ended")


def assert_all_is_there(directory: Path, told: dict[str, int]) -> None:
    with Server(directives={**saves, "dir": str(directory)}) as server, server.wire() as wire:
        there = {name: int(wire.value("GET", name) or 0) for name in counters}
        # What was executed and not told any more may be there as well.
        assert all(told[name] <= there[name] <= told[name] + 1 for name in counters), (told, there)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SHUTDOWN", "SHUTDOWN SAVE NOW"])
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_what_was_acknowledged_while_the_last_snapshot_was_taken_is_in_it(
    shape: Shape, how: str, tmp_path: Path
) -> None:
    with Server(shape=shape, directives={**saves, "dir": str(tmp_path)}) as server:
        with server.wire(timeout_seconds=60) as wire:
            populate(wire)
        with Counting(server) as counting:
            end(server, how)
    assert_all_is_there(tmp_path, counting.told)


@pytest.mark.parametrize("how", ["SIGTERM", "SHUTDOWN"])
def test_so_is_what_a_replica_has_said_that_it_has(how: str, tmp_path: Path) -> None:
    with Server(shape=Shape(2, 1), directives=saves) as primary, primary.wire(timeout_seconds=60) as ours:
        populate(ours)
        with replica_of(primary.port, Shape(2, 2), save="3600 1", dir=str(tmp_path)) as replica:
            with replica.wire() as theirs:
                await_link(theirs)
            with Counting(primary, replicas=1) as counting:
                end(replica, how)
                time.sleep(0.2)
        assert_all_is_there_of_replica(tmp_path, counting.told)


def assert_all_is_there_of_replica(directory: Path, told: dict[str, int]) -> None:
    """The replica may have more: what its primary was not told of, or has counted without it."""
    with Server(directives={**saves, "dir": str(directory)}) as server, server.wire() as wire:
        there = {name: int(wire.value("GET", name) or 0) for name in counters}
        assert all(told[name] <= there[name] for name in counters), (told, there)


@pytest.mark.parametrize("how", ["SIGTERM", "SHUTDOWN"])
def test_a_server_that_cannot_save_goes_on_writing_and_following(how: str, tmp_path: Path) -> None:
    with (
        Server(directives={**saves, "save": ""}) as primary, primary.wire() as ours,
        replica_of(primary.port, save="3600 1", dir=str(tmp_path)) as replica, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(theirs)
        (tmp_path / "dump.rdb").mkdir()
        if how == "SIGTERM":
            assert replica.process is not None
            replica.process.send_signal(signal.SIGTERM)
            eventually(lambda: "the last snapshot failed" in replica.log(), "the failure was told")
        else:
            assert theirs.call("SHUTDOWN").raw == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        ours.call("SET", "k", "v")
        await_link(theirs)
        await_equal(ours, theirs)
        assert theirs.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
        assert theirs.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no").raw == b"+OK\r\n"
        assert theirs.call("SET", "k", "w").raw == b"+OK\r\n"
        (tmp_path / "dump.rdb").rmdir()


@pytest.mark.parametrize("by", ["BGSAVE", "SAVE"])
@pytest.mark.parametrize("how", ["SIGTERM", "SHUTDOWN"])
def test_a_snapshot_that_is_being_taken_is_not_the_last_one(how: str, by: str, tmp_path: Path) -> None:
    """It has not what was written since it began."""
    slow = {**saves, "dir": str(tmp_path), "rdb-key-save-delay": "100"}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(shape=Shape(2, 2), directives=slow))
        wire, other = stack.enter_context(server.wire()), stack.enter_context(server.wire(timeout_seconds=60))
        assert wire.call("DEBUG", "POPULATE", "30000").raw == b"+OK\r\n"
        other.write(by)
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1", "it is being taken")
        assert wire.call("SET", "since", "1").raw == b"+OK\r\n"
        assert wire.call("CONFIG", "SET", "rdb-key-save-delay", "0", "shutdown-timeout", "1").raw == b"+OK\r\n"
        end(server, how)
    with Server(directives={**saves, "dir": str(tmp_path)}) as server, server.wire() as wire:
        assert wire.value("GET", "since") == b"1"
        assert wire.value("DBSIZE") == 30001
