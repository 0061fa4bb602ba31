"""`repl-diskless-load`: where a replica receives a snapshot, when its old data go, and who is answered from which."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.fake_primary import HISTORY, FakePrimary, Link
from tests.replication.support import await_link, eventually, replica_of
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
OTHER_HISTORY = "b" * 40
shapes = [Shape(1, 1), Shape(4, 2)]
shape_names = ["1-shard", "4-shards"]


@functools.cache
def snapshot(generation: str, keys: int = 200) -> bytes:
    """A file with so many keys that tell which generation they are of, some of them in another database."""
    with Server() as server, server.wire() as wire:
        for number in range(keys):
            wire.call("SET", f"key:{number}", generation)
        wire.pipeline([
            ("HSET", "hash", "f", generation, "g", "2"), ("HPEXPIRE", "hash", "86400000", "FIELDS", "1", "g"),
            ("SET", f"only in {generation}", "1", "PX", "86400000"), ("SELECT", "5"), ("SET", "elsewhere", generation),
            ("FUNCTION", "LOAD", f"#!lua name=lib\nredis.register_function{{function_name='generation', "
             f"callback=function() return '{generation}' end, flags={{'no-writes'}}}}"),
        ])  # fmt: skip
        wire.call("SAVE")
        return (server.directory / "dump.rdb").read_bytes()


def first_load(primary: FakePrimary, wire: Wire) -> Link:
    """A replica that has the first generation."""
    link = primary.next_link()
    link.shake_hands()
    link.full(snapshot("one"))
    await_link(wire)
    assert wire.value("GET", "key:0") == b"one"
    # What is loaded is counted with the next tick.
    eventually(lambda: b"db0:keys=202" in wire.value("INFO", "keyspace"), "it is counted")
    return link


def again(primary: FakePrimary, old: Link) -> Link:
    """The same replica's next link, which wants to go on."""
    old.connection.close()
    link = primary.next_link()
    assert link.shake_hands()[:2] == [b"PSYNC", HISTORY.encode()]
    return link


def loading(wire: Wire) -> tuple[str | None, str | None]:
    """What INFO says of it."""
    return info_field(wire, "persistence", "loading"), info_field(wire, "persistence", "async_loading")


def has_generation(wire: Wire, generation: str) -> bool:
    """Whether everything is of one generation; asked at one moment."""
    replies = wire.pipeline([("MULTI",), ("MGET", "key:0", "key:17", "key:199"), ("HGET", "hash", "f"), ("EXEC",)])
    values, field = replies[-1].value
    assert len({*values, field}) == 1, "some of the old and some of the new"
    return bool(field == generation.encode())


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_the_old_data_are_served_until_the_new_ones_are_complete(shape: Shape) -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, shape, repl_diskless_load="swapdb") as replica,
        replica.wire() as wire,
        replica.wire() as watcher,
    ):
        old = first_load(primary, wire)
        watcher.pipeline([("WATCH", "key:0"), ("MULTI",), ("GET", "key:0")])
        wire.call("CONFIG", "SET", "key-load-delay", "200000")
        link = again(primary, old)
        link.full(snapshot("two"))
        eventually(lambda: loading(wire) == ("0", "1"), "it loads beside")
        assert info_field(wire, "persistence", "loading_total_bytes") is not None
        assert has_generation(wire, "one")
        assert wire.value("FCALL_RO", "generation", "0") == b"one"
        # What would change where the data come from, or save what is about to go.
        for command in ("BGSAVE", "SAVE", "BGREWRITEAOF", "REPLICAOF NO ONE"):
            assert wire.call(*command.split()).raw == LOADING, command
        assert info_field(wire, "replication", "master_link_status") == "down"
        assert loading(wire) == ("0", "1"), "it was asked while it loaded"
        wire.call("CONFIG", "SET", "key-load-delay", "0")
        eventually(lambda: has_generation(wire, "two"), "the new data are there")
        await_link(wire)
        assert loading(wire) == ("0", "0")
        assert watcher.call("EXEC").value is None, "what it has watched has changed"
        assert wire.value("MGET", "only in one", "only in two") == [None, b"1"]
        assert wire.value("FCALL_RO", "generation", "0") == b"two"
        assert wire.value("DBSIZE") == 202
        assert info_field(wire, "keyspace", "db0") is not None
        wire.call("SELECT", "5")
        assert wire.value("GET", "elsewhere") == b"two"
        wire.call("SELECT", "0")
        # The stream goes on behind it, and fields expire in what was loaded.
        link.stream(("SELECT", "0"), ("SET", "after", "that"))
        eventually(lambda: wire.value("GET", "after") == b"that", "the stream is applied")
        assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
        wire.call("HPEXPIRE", "hash", "1", "FIELDS", "1", "g")
        eventually(lambda: wire.value("HLEN", "hash") == 1, "a field expires by itself")
        wire.call("BGSAVE")
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "a snapshot is taken")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
        assert wire.value("DBSIZE") == 203


@pytest.mark.parametrize("history", [HISTORY, OTHER_HISTORY], ids=["same-history", "other-history"])
@pytest.mark.parametrize("fault", ["broken off", "of a wrong form", "with a key twice"])
def test_a_snapshot_that_fails_leaves_the_old_data_and_where_they_are(fault: str, history: str) -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load="swapdb", appendonly="yes") as replica,
        replica.wire() as wire,
    ):
        old = first_load(primary, wire)
        link = again(primary, old)
        new = snapshot("two")
        link.send(f"+FULLRESYNC {history} 500\r\n".encode())
        if fault == "broken off":
            link.send(b"$%d\r\n" % len(new) + new[:-100])
        elif fault == "of a wrong form":
            # A type that there is not, before an end without a checksum.
            bad = new[:-9] + b"\x7f\x03abc\x03def" + b"\xff" + bytes(8)
            link.send(b"$%d\r\n" % len(bad) + bad)
        else:
            key = b"\x00\x03abc\x03def"
            bad = new[:-9] + key + key + b"\xff" + bytes(8)
            link.send(b"$%d\r\n" % len(bad) + bad)
        following = again(primary, link)
        assert has_generation(wire, "one")
        assert wire.value("DBSIZE") == 202
        assert loading(wire) == ("0", "0")
        following.send(b"+CONTINUE\r\n")
        await_link(wire)
        following.stream(("SELECT", "0"), ("SET", "after", "that"))
        eventually(lambda: wire.value("GET", "after") == b"that", "it goes on where it was")
        eventually(
            lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "what is appended has a base"
        )


def test_other_data_than_those_of_an_earlier_moment_are_not_served_meanwhile() -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load="swapdb") as replica,
        replica.wire() as wire,
    ):
        old = first_load(primary, wire)
        wire.call("CONFIG", "SET", "key-load-delay", "200000")
        again(primary, old).full(snapshot("two"), history=OTHER_HISTORY)
        eventually(lambda: loading(wire) == ("1", "0"), "it loads")
        assert wire.call("GET", "key:0").raw == LOADING
        wire.call("CONFIG", "SET", "key-load-delay", "0")
        await_link(wire)
        assert has_generation(wire, "two")


def files(directory: Path) -> list[str]:
    """Snapshots that are on their way into a file."""
    return [path.name for path in directory.glob("temp-*.replica.rdb")]


def half(link: Link) -> bytes:
    """Sends the first half of a snapshot, and returns the other one."""
    new = snapshot("two")
    link.send(f"+FULLRESYNC {HISTORY} 500\r\n$".encode() + b"%d\r\n" % len(new) + new[: len(new) // 2])
    return new[len(new) // 2 :]


def has_half(wire: Wire) -> bool:
    """Whether that has come."""
    come = len(snapshot("two")) // 2
    return f"\nmaster_sync_read_bytes:{come}\r\n".encode() in wire.value("INFO", "replication")


@pytest.mark.parametrize(
    ("mode", "is_in_file"), [("disabled", True), ("on-empty-db", True), ("swapdb", False), ("flush-before-load", False)]
)
def test_a_snapshot_is_received_in_a_file_or_in_memory(mode: str, is_in_file: bool) -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load=mode) as replica,
        replica.wire() as wire,
    ):
        link = again(primary, first_load(primary, wire))
        rest = half(link)
        eventually(lambda: has_half(wire), "half of it has come")
        assert bool(files(replica.directory)) is is_in_file
        if mode == "flush-before-load":
            assert loading(wire) == ("1", "0")
            assert wire.call("DBSIZE").raw == LOADING
        else:
            assert has_generation(wire, "one")
        link.send(rest)
        await_link(wire)
        assert has_generation(wire, "two")
        assert files(replica.directory) == []


def test_an_empty_replica_receives_in_memory_where_that_is_wanted() -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load="on-empty-db") as replica,
        replica.wire() as wire,
    ):
        link = primary.next_link()
        link.shake_hands()
        rest = half(link)
        eventually(lambda: has_half(wire), "half of it has come")
        assert files(replica.directory) == []
        link.send(rest)
        await_link(wire)
        assert has_generation(wire, "two")


@pytest.mark.parametrize("mode", ["disabled", "on-empty-db", "swapdb", "flush-before-load"])
def test_a_transfer_that_is_broken_off_leaves_the_old_data_unless_they_went_first(mode: str) -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load=mode) as replica,
        replica.wire() as wire,
    ):
        link = again(primary, first_load(primary, wire))
        half(link)
        eventually(lambda: has_half(wire), "half of it has come")
        link.connection.close()
        next_link = primary.next_link()
        words = next_link.shake_hands()
        assert loading(wire) == ("0", "0")
        if mode == "flush-before-load":
            assert words[1] == b"?", "there is nothing to go on from"
            assert wire.value("DBSIZE") == 0
        else:
            assert words[1] == HISTORY.encode()
            assert has_generation(wire, "one")


def test_a_replica_can_end_while_it_loads_beside() -> None:
    with (
        FakePrimary() as primary,
        replica_of(primary.port, repl_diskless_load="swapdb") as replica,
        replica.wire() as wire,
    ):
        old = first_load(primary, wire)
        wire.call("CONFIG", "SET", "key-load-delay", "200000")
        again(primary, old).full(snapshot("two"))
        eventually(lambda: loading(wire) == ("0", "1"), "it loads beside")
        assert replica.signal_and_wait(signal.SIGTERM) == 0


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_a_snapshot_that_is_being_taken_keeps_the_data_that_are_replaced(tmp_path: Path, shape: Shape) -> None:
    """The new ones come in while it is slowed down: the file has what was there at its cut, and nothing else."""
    with (
        FakePrimary() as primary,
        replica_of(primary.port, shape, repl_diskless_load="swapdb") as replica,
        replica.wire() as wire,
    ):
        old = first_load(primary, wire)
        wire.call("CONFIG", "SET", "rdb-key-save-delay", str(30000 * shape.shards))
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        again(primary, old).full(snapshot("two"))
        eventually(lambda: has_generation(wire, "two"), "the new data are there")
        assert info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1", "it went on meanwhile"
        wire.pipeline([("SET", f"key:{number}", "three") for number in range(200)])
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "the snapshot ends")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        (tmp_path / "dump.rdb").write_bytes((replica.directory / "dump.rdb").read_bytes())
    with Server(directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        assert has_generation(wire, "one")
        assert {wire.value("GET", f"key:{number}") for number in range(200)} == {b"one"}
        assert wire.value("DBSIZE") == 202
        assert wire.value("FCALL_RO", "generation", "0") == b"one"
