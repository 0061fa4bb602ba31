"""A replica or a primary that is stopped and started again goes on where it was, without a second snapshot."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from sherd.observability.replication import Place, place_of_snapshot
from tests.protocol.test_limits import info_field
from tests.replication.support import await_equal, await_link, eventually, fill, replica_of, write_some
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape, free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

pairs = [("sherd", name) for name in reference_names] + [(name, "sherd") for name in reference_names]
pairs.append(("sherd", "sherd"))
pair_names = [f"{primary}-{replica}" for primary, replica in pairs]

# A replica has taken a key and ended before the key does, also on a busy machine.
LIFE_MILLISECONDS = "5000"


def start(name: str, directory: Path, shape: Shape | None = None, **directives: str) -> Server:
    """A server that saves its data when it is stopped."""
    named = {key.replace("_", "-"): value for key, value in directives.items()}
    home = {"dir": str(directory), "save": "3600 100000", "enable-debug-command": "yes", "maxclients": "400"}
    program = None if name == "sherd" else need_reference(name)
    return Server(program, shape=shape, directives={**home, "repl-diskless-sync-delay": "0", **named})


@pytest.mark.parametrize(("primary_name", "replica_name"), pairs, ids=pair_names)
def test_a_replica_that_was_stopped_goes_on(tmp_path: Path, primary_name: str, replica_name: str) -> None:
    """With another number of shards as well, in the database that its stream had selected."""
    (tmp_path / "primary").mkdir()
    with start(primary_name, tmp_path / "primary", Shape(2, 1)) as primary, primary.wire() as ours:
        fill(ours)
        follows = f"127.0.0.1 {primary.port}"
        with start(replica_name, tmp_path, Shape(4, 2), replicaof=follows) as replica, replica.wire() as theirs:
            await_link(theirs)
            write_some(ours, 1)
            ours.pipeline([("SELECT", "3"), ("SET", "in three", "1"), ("SELECT", "0")])
            ours.pipeline(
                [("SET", "lives", "on", "PX", LIFE_MILLISECONDS), ("SET", "dies", "young", "PX", LIFE_MILLISECONDS)]
            )
            ours.pipeline([("SELECT", "3"), ("SET", "in three", "2")])
            await_equal(ours, theirs)
            assert replica.signal_and_wait(signal.SIGTERM) == 0
        ours.pipeline([("SET", "in three", "3"), ("SELECT", "0"), ("PERSIST", "lives")])
        write_some(ours, 2)
        eventually(lambda: ours.value("GET", "dies") is None, "its time is over")
        with start(replica_name, tmp_path, Shape(1, 1), replicaof=follows) as replica, replica.wire() as theirs:
            await_link(theirs)
            write_some(ours, 3)
            await_equal(ours, theirs)
            assert theirs.value("GET", "lives") == b"on"
        assert info_field(ours, "stats", "sync_full") == "1"
        assert info_field(ours, "stats", "sync_partial_ok") == "1"


@pytest.mark.parametrize(("primary_name", "replica_name"), pairs, ids=pair_names)
def test_replicas_of_a_primary_that_was_stopped_go_on(tmp_path: Path, primary_name: str, replica_name: str) -> None:
    """The primary's history has a new id then, and theirs as its second one."""
    (tmp_path / "replica").mkdir()
    port = str(free_port())
    with start(replica_name, tmp_path / "replica", replicaof=f"127.0.0.1 {port}") as replica, replica.wire() as theirs:
        with start(primary_name, tmp_path, Shape(4, 2), port=port) as primary, primary.wire() as ours:
            fill(ours)
            await_link(theirs)
            ours.pipeline([("SELECT", "3"), ("SET", "in three", "2"), ("SET", "dies", "young", "PX", "1")])
            await_equal(ours, theirs)
            history = info_field(ours, "replication", "master_replid")
            assert primary.signal_and_wait(signal.SIGTERM) == 0
        with start(primary_name, tmp_path, Shape(1, 1), port=port) as primary, primary.wire() as ours:
            await_link(theirs)
            for number in range(10):
                write_some(ours, number)
            await_equal(ours, theirs)
            assert info_field(ours, "replication", "master_replid2") == history
            assert info_field(theirs, "replication", "master_replid") == info_field(
                ours, "replication", "master_replid"
            )
            assert info_field(ours, "stats", "sync_full") == "0"
            assert info_field(ours, "stats", "sync_partial_ok") == "1"


def start_appending(name: str, directory: Path, shape: Shape | None = None, **directives: str) -> Server:
    """A server whose data are in an append-only file and nowhere else."""
    return start(name, directory, shape, **{"save": "", "appendonly": "yes", **directives})


def manifest_of(directory: Path) -> str:
    """What the append-only directory says of itself."""
    return (directory / "appendonlydir" / "appendonly.aof.manifest").read_text()


@pytest.mark.parametrize("primary_name", ["sherd", *reference_names])
def test_a_replica_with_an_append_only_file_goes_on(tmp_path: Path, primary_name: str) -> None:
    """Where Redis and Valkey are sent everything again."""
    (tmp_path / "primary").mkdir()
    with start(primary_name, tmp_path / "primary", Shape(2, 1)) as primary, primary.wire() as ours:
        fill(ours)
        follows = f"127.0.0.1 {primary.port}"
        with start_appending("sherd", tmp_path, Shape(4, 2), replicaof=follows) as replica, replica.wire() as theirs:
            await_link(theirs)
            write_some(ours, 1)
            ours.pipeline(
                [
                    ("SELECT", "3"),
                    ("SET", "lives", "on", "PX", LIFE_MILLISECONDS),
                    ("SET", "dies", "young", "PX", LIFE_MILLISECONDS),
                ]
            )
            await_equal(ours, theirs)
            eventually(lambda: info_field(theirs, "persistence", "aof_rewrite_in_progress") == "0", "it has a base")
            assert replica.signal_and_wait(signal.SIGTERM) == 0
        # A primary that lets a key of another database expire selects that one.
        assert re.search(r" repl-id \w{40} repl-offset \d+ repl-stream-db [03] size \d+\n$", manifest_of(tmp_path))
        ours.pipeline([("PERSIST", "lives"), ("SET", "in three", "3"), ("SELECT", "0")])
        write_some(ours, 2)
        with start_appending("sherd", tmp_path, Shape(1, 1), replicaof=follows) as replica, replica.wire() as theirs:
            assert "repl-id" not in manifest_of(tmp_path), "what goes on has no end"
            await_link(theirs)
            write_some(ours, 3)
            await_equal(ours, theirs)
            theirs.call("SELECT", "3")
            assert theirs.value("GET", "lives") == b"on"
        assert info_field(ours, "stats", "sync_full") == "1"
        assert info_field(ours, "stats", "sync_partial_ok") == "1"


@pytest.mark.parametrize("end", ["SIGTERM", "SHUTDOWN"])
@pytest.mark.parametrize("replica_name", ["sherd", *reference_names])
def test_replicas_of_a_primary_with_an_append_only_file_go_on(tmp_path: Path, replica_name: str, end: str) -> None:
    (tmp_path / "replica").mkdir()
    port = str(free_port())
    follows = f"127.0.0.1 {port}"
    with start(replica_name, tmp_path / "replica", replicaof=follows) as replica, replica.wire() as theirs:
        with start_appending("sherd", tmp_path, Shape(4, 2), port=port) as primary, primary.wire() as ours:
            fill(ours)
            await_link(theirs)
            ours.pipeline([("SELECT", "3"), ("SET", "in three", "2"), ("SET", "dies", "young", "PX", "1")])
            await_equal(ours, theirs)
            history = info_field(ours, "replication", "master_replid")
            if end == "SIGTERM":
                assert primary.signal_and_wait(signal.SIGTERM) == 0
            else:
                ours.write("SHUTDOWN")
                ours.read_until_closed()
                eventually(lambda: not primary.is_running(), "it ends")
        with start_appending("sherd", tmp_path, Shape(1, 1), port=port) as primary, primary.wire() as ours:
            assert "repl-id" not in manifest_of(tmp_path), "what goes on has no end"
            await_link(theirs)
            for number in range(10):
                write_some(ours, number)
            await_equal(ours, theirs)
            assert info_field(ours, "replication", "master_replid2") == history
            assert info_field(ours, "stats", "sync_full") == "0"
            assert info_field(ours, "stats", "sync_partial_ok") == "1"


@pytest.mark.parametrize("end", ["SIGTERM", "SHUTDOWN"])
def test_an_end_does_not_wait_for_replicas_that_have_gone_meanwhile(end: str) -> None:
    """All are told to end at once: a replica that is there when its primary begins to wait may end before it has everything."""
    with (
        Server(directives={"shutdown-timeout": "60", "repl-diskless-sync-delay": "0"}) as primary, primary.wire() as ours,
        replica_of(primary.port) as stays, stays.wire() as theirs, replica_of(primary.port) as goes, goes.wire() as last,
    ):  # fmt: skip
        await_link(theirs)
        await_link(last)
        # Not before a first acknowledgement is there somebody to wait for.
        eventually(lambda: ours.value("INFO", "replication").count(b"state=online") == 2, "both are online")
        os.kill(goes.pid, signal.SIGSTOP)
        assert ours.call("SET", "k", "v").raw == b"+OK\r\n"
        assert primary.process is not None
        if end == "SIGTERM":
            primary.process.send_signal(signal.SIGTERM)
        else:
            ours.write("SHUTDOWN")
        time.sleep(1)
        assert primary.is_running(), "it waits"
        goes.signal_and_wait(signal.SIGKILL)
        # Before `shutdown-timeout`, which is twice as long.
        assert primary.process.wait(30) == 0
        assert theirs.value("GET", "k") == b"v"


@pytest.mark.parametrize("end", ["SIGTERM", "SHUTDOWN"])
@pytest.mark.parametrize("primary_name", ["sherd", *reference_names])
def test_an_end_that_waits_for_replicas_can_be_called_off(tmp_path: Path, primary_name: str, end: str) -> None:
    """Writers go on then, and so do replicas."""
    with (
        start(primary_name, tmp_path, shutdown_timeout="60", save="") as primary, primary.wire() as ours,
        primary.wire() as asks, replica_of(primary.port) as replica, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(theirs)
        nothing = b"-ERR No shutdown in progress.\r\n"
        assert ours.call("SHUTDOWN", "ABORT").raw == nothing
        assert primary.process is not None
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            assert ours.call("SET", "k", "v").raw == b"+OK\r\n"
            if end == "SIGTERM":
                primary.process.send_signal(signal.SIGTERM)
            else:
                asks.write("SHUTDOWN")
            eventually(lambda: ours.call("SHUTDOWN", "ABORT").raw == b"+OK\r\n", "it is called off")
            if end == "SHUTDOWN":
                assert asks.read().raw == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
            assert ours.call("SET", "k", "w").raw == b"+OK\r\n"
            eventually(lambda: ours.call("SHUTDOWN", "ABORT").raw == nothing, "nothing is left of it")
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        await_equal(ours, theirs)


@pytest.mark.parametrize("what", ["killed", "written to by another"])
def test_an_append_only_file_that_went_on_after_its_end_was_noted_says_nothing(tmp_path: Path, what: str) -> None:
    """What its replicas have is then sent again."""
    (tmp_path / "replica").mkdir()
    port = str(free_port())
    follows = f"127.0.0.1 {port}"
    with start("sherd", tmp_path / "replica", replicaof=follows) as replica, replica.wire() as theirs:
        with start_appending("sherd", tmp_path, port=port, appendfsync="always") as primary, primary.wire() as ours:
            fill(ours)
            await_link(theirs)
            await_equal(ours, theirs)
            assert primary.signal_and_wait(signal.SIGTERM) == 0
        assert "repl-id" in manifest_of(tmp_path)
        if what == "killed":
            with start_appending("sherd", tmp_path, port=port, appendfsync="always") as primary, primary.wire() as ours:
                await_link(theirs)
                assert info_field(ours, "stats", "sync_full") == "0"
                ours.call("SET", "after", "the end")
                await_equal(ours, theirs)
                primary.signal_and_wait(signal.SIGKILL)
        else:
            (increment,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
            with increment.open("ab") as file:
                file.write(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$7\r\nthe end\r\n")
        with start_appending("sherd", tmp_path, port=port) as primary, primary.wire() as ours:
            await_link(theirs)
            await_equal(ours, theirs)
            assert theirs.value("GET", "after") == b"the end"
            assert info_field(ours, "stats", "sync_full") == "1"


def test_a_replica_that_has_more_than_the_snapshot_gets_all_data_again(tmp_path: Path) -> None:
    """What a primary that was killed had not saved is not to live on in its replicas."""
    (tmp_path / "replica").mkdir()
    port = str(free_port())
    with start("sherd", tmp_path / "replica", replicaof=f"127.0.0.1 {port}") as replica, replica.wire() as theirs:
        with start("sherd", tmp_path, port=port) as primary, primary.wire() as ours:
            fill(ours)
            await_link(theirs)
            assert ours.call("SAVE").raw == b"+OK\r\n"
            ours.call("SET", "not", "saved")
            await_equal(ours, theirs)
            primary.signal_and_wait(signal.SIGKILL)
        with start("sherd", tmp_path, port=port) as primary, primary.wire() as ours:
            await_link(theirs)
            await_equal(ours, theirs)
            assert theirs.value("GET", "not") is None
            assert info_field(ours, "stats", "sync_full") == "1"
            assert info_field(ours, "stats", "sync_partial_err") == "1"


def test_a_snapshot_tells_where_it_is_only_if_somebody_could_go_on(tmp_path: Path) -> None:
    """Without a replica nothing is kept for any."""
    with start("sherd", tmp_path) as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        assert wire.call("SAVE").raw == b"+OK\r\n"
        assert b"repl-id" not in (tmp_path / "dump.rdb").read_bytes()
    with start("sherd", tmp_path) as server, server.wire() as wire:
        assert info_field(wire, "replication", "master_replid2") == "0" * 40
        assert info_field(wire, "replication", "repl_backlog_active") == "0"


GOOD = {"repl-id": "a" * 40, "repl-offset": "17", "repl-stream-db": "3"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"repl-id": "a" * 39}, {"repl-id": "a" * 39 + "\n"}, {"repl-id": "é" * 40}, {"repl-offset": "-1"},
        {"repl-offset": "9" * 19}, {"repl-offset": "٣"}, {"repl-offset": ""}, {"repl-stream-db": "-1"},
        {"repl-stream-db": "65536"}, {"repl-stream-db": "x"},
    ],
)  # fmt: skip
def test_what_a_snapshot_says_of_its_place_is_not_believed_blindly(wrong: dict[str, str]) -> None:
    assert place_of_snapshot(GOOD.items()) == Place("a" * 40, 17, 3)
    assert place_of_snapshot({**GOOD, **wrong}.items()) is None
    for name in GOOD:
        assert place_of_snapshot((key, text) for key, text in GOOD.items() if key != name) is None
