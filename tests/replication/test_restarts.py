"""A replica or a primary that is stopped and started again goes on where it was, without a second snapshot."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from sherd.observability.replication import Place, place_of_snapshot
from tests.protocol.test_limits import info_field
from tests.replication.support import await_equal, await_link, eventually, fill, write_some
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape, free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

pairs = [("sherd", name) for name in reference_names] + [(name, "sherd") for name in reference_names]
pairs.append(("sherd", "sherd"))
pair_names = [f"{primary}-{replica}" for primary, replica in pairs]


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
            ours.pipeline([("SET", "lives", "on", "PX", "2000"), ("SET", "dies", "young", "PX", "2000")])
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
