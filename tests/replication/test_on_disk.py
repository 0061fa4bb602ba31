"""WAITAOF counts the replicas that have on disk what was written, as they tell it with FACK."""

from __future__ import annotations

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.fake_primary import FakePrimary
from tests.replication.support import await_link, eventually, replica_of
from tests.support.references import need_reference
from tests.support.servers import Server

pytestmark = pytest.mark.sherd_only

# Redis 7.0 has no WAITAOF.
others = ["redis8", "valkey9", "sherd"]


def serve(name: str, **directives: str) -> Server:
    named = {key.replace("_", "-"): value for key, value in directives.items()}
    program = None if name == "sherd" else need_reference(name)
    home = {"maxclients": "400", "repl-diskless-sync-delay": "0", "appendonly": "yes"}
    return Server(program, directives={**home, **named})


@pytest.mark.parametrize("name", others)
def test_replicas_that_have_a_write_on_disk_are_counted(name: str) -> None:
    with (
        serve("sherd") as primary,
        serve(name, replicaof=f"127.0.0.1 {primary.port}") as replica,
        serve("sherd", appendonly="no", replicaof=f"127.0.0.1 {primary.port}") as other,
        primary.wire() as ours,
        replica.wire() as theirs,
        other.wire() as without_file,
    ):
        await_link(theirs)
        await_link(without_file)
        for _ in range(3):
            ours.call("INCR", "count")
            assert ours.value("WAITAOF", "1", "1", "0") == [1, 1]
        ours.call("INCR", "count")
        # The other one has no file, so it is never counted.
        assert ours.value("WAITAOF", "0", "2", "100")[1] <= 1
        assert ours.value("WAIT", "2", "0") == 2
        assert theirs.value("GET", "count") == b"4"


@pytest.mark.parametrize("name", others)
@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_primary_is_told_what_this_server_has_on_disk(name: str, policy: str) -> None:
    with (
        serve(name) as primary,
        serve("sherd", appendfsync=policy, replicaof=f"127.0.0.1 {primary.port}") as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        for _ in range(3):
            ours.call("INCR", "count")
            assert ours.value("WAITAOF", "1", "1", "0") == [1, 1]
        theirs.call("CONFIG", "SET", "appendonly", "no")
        ours.call("INCR", "count")
        assert ours.value("WAIT", "1", "0") == 1
        assert ours.value("WAITAOF", "0", "1", "100")[1] == 0


def test_what_is_on_disk_is_told_behind_the_first_snapshot_as_well() -> None:
    """The base of the file has it, though nothing was appended since."""
    with FakePrimary() as primary, replica_of(primary.port, appendonly="yes") as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full(b"REDIS0010\x00\x01a\x01b\xff" + bytes(8))
        await_link(wire)
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") != "0", "the base is written")
        offset = str(info_field(wire, "replication", "slave_repl_offset")).encode()
        while link.command() != [b"REPLCONF", b"ACK", offset, b"FACK", offset]:
            pass


@pytest.mark.parametrize("sync", ["always", "everysec", "no"])
def test_the_own_disk_has_all_though_the_stream_has_gone_on_with_what_no_file_gets(sync: str) -> None:
    """What asks replicas, and pings them, is in no file: who waits behind it waited for a write that never came."""
    with (
        serve("sherd", appendfsync=sync, repl_ping_replica_period="1") as primary,
        serve("sherd", appendonly="no", replicaof=f"127.0.0.1 {primary.port}") as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        ours.call("INCR", "count")
        assert ours.value("WAIT", "1", "0") == 1
        begun = info_field(ours, "replication", "master_repl_offset")
        eventually(lambda: info_field(ours, "replication", "master_repl_offset") != begun, "a ping is in the stream")
        assert ours.value("WAITAOF", "1", "0", "5000") == [1, 0]
        with primary.wire() as new:
            assert new.value("WAITAOF", "1", "0", "5000") == [1, 0]
