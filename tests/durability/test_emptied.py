"""FLUSHALL where there are save points is followed by a snapshot at once.

The story: the last snapshot had everything that FLUSHALL had deleted, until a save point was reached, and a crash before
that brought it all back. Redis saves within FLUSHALL.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_snapshots import OK, serve
from tests.protocol.test_limits import eventually, info_field
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

flushes = {
    "a command": [("FLUSHALL",)],
    "asynchronous": [("FLUSHALL", "ASYNC")],
    "a transaction": [("MULTI",), ("FLUSHALL",), ("EXEC",)],
    "a transaction of both planes": [("MULTI",), ("FLUSHALL",), ("PING",), ("INFO", "server"), ("EXEC",)],
    "a script": [("EVAL", "return redis.call('FLUSHALL')", "0")],
}


def is_saving(wire: Wire) -> bool:
    return info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1"


@pytest.mark.parametrize("name", ["sherd", *reference_names])
@pytest.mark.parametrize("how", flushes)
def test_what_was_flushed_does_not_come_back_after_a_crash(tmp_path: Path, name: str, how: str) -> None:
    program = need_reference(name) if name != "sherd" else None
    directives = {"dir": str(tmp_path), "save": "3600 1"}
    with Server(program, directives=directives) as server, server.wire() as wire:
        wire.call("MSET", "a", "1", "b", "2")
        assert wire.call("SAVE").raw == OK
        full = (tmp_path / "dump.rdb").read_bytes()
        for command in flushes[how]:
            assert not wire.call(*command).is_error
        eventually(lambda: (tmp_path / "dump.rdb").read_bytes() != full, "it is saved")
        assert server.signal_and_wait(signal.SIGKILL) == -signal.SIGKILL
    with Server(program, directives=directives) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 0


def test_a_snapshot_that_began_before_the_flush_takes_no_place(tmp_path: Path) -> None:
    with serve(tmp_path, save="3600 1") as server, server.wire() as wire:
        wire.call("DEBUG", "POPULATE", "1000")
        assert wire.call("CONFIG", "SET", "rdb-key-save-delay", "100000").raw == OK
        assert not wire.call("BGSAVE").is_error
        assert is_saving(wire)
        assert wire.call("FLUSHALL").raw == OK
        eventually(lambda: (tmp_path / "dump.rdb").exists() and not is_saving(wire), "the empty one is there")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        assert wire.call("SET", "k", "v").raw == OK
        assert server.signal_and_wait(signal.SIGKILL) == -signal.SIGKILL
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 0


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("SAVE", b"+OK\r\n"),
        ("BGSAVE", b"+Background saving started\r\n"),
        ("BGSAVE SCHEDULE", b"+Background saving started\r\n"),
        ("BGREWRITEAOF", b"+Background append only file rewriting started\r\n"),
    ],
)
def test_whoever_saves_behind_a_flush_is_not_told_of_it(tmp_path: Path, command: str, answer: bytes) -> None:
    with serve(tmp_path, save="3600 1") as server, server.wire() as wire:
        for _ in range(20):
            replies = wire.pipeline([("SET", "k", "v"), ("FLUSHALL",), ("SET", "k", "v"), command.split()])
            assert [reply.raw for reply in replies] == [OK, OK, OK, answer]
            eventually(lambda: not is_saving(wire), "it is over")
            eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "it is over")


def test_without_save_points_the_file_stays_as_it_is(tmp_path: Path) -> None:
    with serve(tmp_path, save="") as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        assert wire.call("SAVE").raw == OK
        before = (tmp_path / "dump.rdb").read_bytes()
        assert wire.call("FLUSHALL").raw == OK
        assert wire.value("DBSIZE") == 0
        assert info_field(wire, "persistence", "rdb_saves") == "1"
        assert (tmp_path / "dump.rdb").read_bytes() == before


def test_a_cancelled_snapshot_is_no_failure(tmp_path: Path) -> None:
    """The story: behind BGSAVE CANCEL, all writes were answered MISCONF until another snapshot was taken."""
    with serve(tmp_path, save="3600 1000000") as server, server.wire() as wire:
        wire.call("DEBUG", "POPULATE", "1000")
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "100000")
        for words in ((), ("SCHEDULE",)):
            assert wire.call("BGSAVE", *words).raw == b"+Background saving started\r\n"
            assert wire.call("BGSAVE", "CANCEL").raw == b"+Background saving cancelled\r\n"
            eventually(lambda: not is_saving(wire), "it ends")
            assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
            assert wire.call("SET", "k", "v").raw == OK


def test_bgsave_cancel_leaves_a_rewrite_of_the_append_only_file_alone(tmp_path: Path) -> None:
    with serve(tmp_path, appendonly="yes") as server, server.wire() as wire:
        wire.call("DEBUG", "POPULATE", "20")
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "50000")
        assert not wire.call("BGREWRITEAOF").is_error
        assert wire.call("BGSAVE", "CANCEL").is_error
        assert wire.call("BGSAVE", "SCHEDULE").raw == b"+Background saving scheduled\r\n"
        assert wire.call("BGSAVE", "CANCEL").raw == b"+Background saving cancelled\r\n"
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "it ends")
        assert info_field(wire, "persistence", "aof_last_bgrewrite_status") == "ok"
        assert info_field(wire, "persistence", "aof_rewrites") == "1"
