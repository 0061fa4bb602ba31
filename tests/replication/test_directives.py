"""Directives of replication that change what a link does, and memory that links need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.durability.test_append_only import serve as serve_appending
from tests.protocol.test_limits import info_field
from tests.replication.fake_primary import FakePrimary
from tests.replication.support import await_link, eventually, replica_of
from tests.support.resp import encode_command
from tests.support.servers import Server, ServerDidNotStart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

OK = b"+OK\r\n"
# LPUSH on a string.
FAILING = (("SET", "a", "1"), ("LPUSH", "a", "1"), ("SET", "b", "1"))


@pytest.mark.parametrize("behavior", ["panic", "panic-on-replicas"])
def test_a_replica_can_be_made_to_end_when_a_command_of_its_primary_fails(behavior: str) -> None:
    with FakePrimary() as primary:
        replica = replica_of(primary.port, propagation_error_behavior=behavior)
        with replica, replica.wire() as wire:
            link = primary.next_link()
            link.shake_hands()
            link.full()
            await_link(wire)
            link.stream(*FAILING)
            assert replica.process is not None
            assert replica.process.wait(60) != 0
            assert "'lpush' of the primary was answered -WRONGTYPE" in replica.log()


def test_a_writable_replica_goes_on_whatever_fails() -> None:
    """Its data need not be those of its primary."""
    with (
        FakePrimary() as primary,
        replica_of(primary.port, propagation_error_behavior="panic", replica_read_only="no") as replica,
        replica.wire() as wire,
    ):
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        link.stream(*FAILING)
        eventually(lambda: wire.value("GET", "b") == b"1", "it goes on")


@pytest.mark.parametrize("behavior", ["panic", "panic-on-replicas", "ignore"])
def test_a_file_with_a_command_that_fails_can_keep_a_server_from_starting(tmp_path: Path, behavior: str) -> None:
    directory = tmp_path / "appendonlydir"
    directory.mkdir()
    commands = b"".join(encode_command(*command) for command in (("SELECT", "0"), *FAILING))
    (directory / "appendonly.aof.1.incr.aof").write_bytes(commands)
    (directory / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    if behavior == "panic":
        with pytest.raises(ServerDidNotStart, match="1 of its commands fail, the first one with -WRONGTYPE"):
            serve_appending(tmp_path, propagation_error_behavior=behavior)
        assert (directory / "appendonly.aof.1.incr.aof").read_bytes() == commands
        return
    with serve_appending(tmp_path, propagation_error_behavior=behavior) as server, server.wire() as wire:
        assert wire.value("MGET", "a", "b") == [b"1", b"1"]


@pytest.mark.parametrize("lazily", ["yes", "no"])
def test_the_old_data_of_a_replica_are_freed_at_once_or_in_the_background(lazily: str) -> None:
    with Server(directives={"replica-lazy-flush": lazily}) as replica, replica.wire() as wire, FakePrimary() as primary:
        for number in range(20):
            wire.call("RPUSH", f"list:{number}", *["element" * 10] * 500)
        assert wire.call("CONFIG", "RESETSTAT").raw == OK
        assert wire.call("REPLICAOF", "127.0.0.1", str(primary.port)).raw == OK
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        assert wire.value("DBSIZE") == 0
        if lazily == "yes":
            eventually(lambda: info_field(wire, "memory", "lazyfreed_objects") != "0", "they are freed")
        else:
            assert info_field(wire, "memory", "lazyfreed_objects") == "0"


def _number(wire: Wire, section: str, field: str) -> int:
    return int(info_field(wire, section, field) or 0)


def test_no_key_is_evicted_for_what_a_slow_replica_has_still_to_get() -> None:
    """Evicting would add to that."""
    directives = {
        "client-output-buffer-limit": "replica 0 0 0",
        "repl-diskless-sync-delay": "0",
        "repl-backlog-size": "16kb",
        "maxmemory-policy": "allkeys-lru",
    }
    with Server(directives=directives) as server, server.wire() as wire, server.wire() as replica:
        wire.pipeline([("SET", f"key:{number}", "v" * 100) for number in range(2000)])
        replica.write("PSYNC", "?", "-1")
        eventually(lambda: _number(wire, "replication", "connected_slaves") == 1, "it is there")
        eventually(lambda: _number(wire, "stats", "sync_full") == 1, "it is sent a snapshot")
        limit = _number(wire, "memory", "used_memory") + (16 << 20)
        assert wire.call("CONFIG", "SET", "maxmemory", str(limit)).raw == OK
        for number in range(60):
            # Nothing of it is read.
            assert wire.call("SET", "big", bytes([number]) * (1 << 20)).raw == OK
        assert _number(wire, "memory", "used_memory") > limit
        assert _number(wire, "memory", "mem_not_counted_for_evict") > (16 << 20)
        assert _number(wire, "stats", "evicted_keys") == 0
        assert wire.value("DBSIZE") == 2001
        replica.close()
        eventually(lambda: _number(wire, "replication", "connected_slaves") == 0, "it has gone")
        wire.call("SET", "big", "small")
        eventually(lambda: _number(wire, "memory", "mem_not_counted_for_evict") < (4 << 20), "it is let go")
        assert _number(wire, "stats", "evicted_keys") == 0


@pytest.mark.parametrize(
    ("source", "seen"), [("127.0.0.2", "127.0.0.2"), ("203.0.113.9", "127.0.0.1"), ("::1", "127.0.0.1")]
)
def test_connections_to_others_are_made_from_the_address_that_was_asked_for(source: str, seen: str) -> None:
    """A replica's to its primary and MIGRATE's. An address that is not there, or of another family, keeps none from being made."""
    with Server() as primary, primary.wire() as theirs, primary.wire() as monitor:
        monitor.call("MONITOR")
        with replica_of(primary.port, bind_source_addr=source) as replica, replica.wire() as ours:
            await_link(ours)
            assert info_field(theirs, "replication", "slave0").startswith(f"ip={seen},")
            ours.call("REPLICAOF", "NO", "ONE")
            ours.call("SET", "k", "v")
            assert ours.call("MIGRATE", "127.0.0.1", str(primary.port), "k", "0", "5000").raw == b"+OK\r\n"
        assert theirs.value("GET", "k") == b"v"
        lines = [monitor.read().raw]
        while b'"GET"' not in lines[-1]:
            lines.append(monitor.read().raw)
    (restored,) = (line for line in lines if b'"RESTORE"' in line)
    assert b"[0 %s:" % seen.encode() in restored


def test_a_replica_is_known_by_the_name_and_the_port_that_it_announces() -> None:
    """The story: names of more than 45 letters were refused, as those of pods often are, and Sentinel was told an address
    that is another one tomorrow."""
    name = "cache-0.cache-headless.production.svc.cluster.local"
    announced = {"replica_announce_ip": name, "replica_announce_port": "7777", "replica_priority": "7"}
    with (
        Server(directives={"repl-diskless-sync-delay": "0"}) as primary,
        replica_of(primary.port, **announced, replica_announced="no") as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        line = info_field(ours, "replication", "slave0") or ""
        assert line.startswith(f"ip={name},port=7777,state=online,")
        assert ours.value("ROLE")[2][0][:2] == [name.encode(), b"7777"]
        for field, before, directive, value, after in (
            ("slave_priority", "7", "replica-priority", "0", "0"),
            ("replica_announced", "0", "replica-announced", "yes", "1"),
        ):
            assert info_field(theirs, "replication", field) == before
            assert theirs.call("CONFIG", "SET", directive, value).raw == OK
            assert info_field(theirs, "replication", field) == after


def test_a_replica_evicts_only_if_it_is_told_so() -> None:
    limited = {"maxmemory": "6mb", "maxmemory_policy": "allkeys-random"}
    with (
        Server(directives={"repl-diskless-sync-delay": "0"}) as primary,
        replica_of(primary.port, **limited) as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        ours.pipeline([("SET", f"key:{number}", "v" * 1000) for number in range(10_000)])
        eventually(lambda: theirs.value("DBSIZE") == 10_000, "all are there")
        assert _number(theirs, "stats", "evicted_keys") == 0
        assert theirs.call("CONFIG", "SET", "replica-ignore-maxmemory", "no").raw == OK
        eventually(lambda: _number(theirs, "stats", "evicted_keys") > 3000, "there is too much")
