"""Big collections are saved in slices: what they were at the cut is loaded, whatever was done to them and to their keys meanwhile."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.compat.test_snapshots import contents
from tests.durability.test_snapshots import OK, digest, serve, shapes
from tests.protocol.test_limits import eventually, info_field
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Shape
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

ELEMENTS = 4_000
STRINGS = 10_000
COPIES = 3


def fill(wire: Wire) -> None:
    """Collections of many elements, some copies of each, and small keys by which a snapshot can be slowed down."""
    for first in range(0, ELEMENTS, 1000):
        numbers = range(first, first + 1000)
        for copy in range(COPIES):
            wire.pipeline([
                ("HSET", f"hash:{copy}", *(word for number in numbers for word in (f"field {number}", f"value {number}"))),
                ("SADD", f"set:{copy}", *(f"member {number}" for number in numbers)),
                ("ZADD", f"sorted:{copy}", *(word for number in numbers for word in (str(number / 3), f"member {number}"))),
                ("RPUSH", f"list:{copy}", *(f"element {number}" for number in numbers)),
            ])  # fmt: skip
            wire.pipeline(
                [("XADD", f"stream:{copy}", f"{number + 1}-1", "field", f"value {number}") for number in numbers]
            )
    wire.pipeline([("SET", f"string:{number}", "v" * (number % 50)) for number in range(STRINGS)])


def slow_down(wire: Wire, shape: Shape) -> None:
    """Some three seconds for a snapshot, however many shards share the work."""
    wire.call("CONFIG", "SET", "rdb-key-save-delay", str(300 * shape.shards))


def change(wire: Wire, round_number: int) -> None:
    """Changes elements everywhere, and takes some collections away."""
    number = round_number * 7919 % ELEMENTS
    for copy in range(COPIES):
        wire.pipeline([
            ("HSET", f"hash:{copy}", f"field {number}", "other", f"new {number}", "v"),
            ("HDEL", f"hash:{copy}", f"field {number + 1}"),
            ("SADD", f"set:{copy}", f"new {number}"), ("SREM", f"set:{copy}", f"member {number}"), ("SPOP", f"set:{copy}"),
            ("ZINCRBY", f"sorted:{copy}", "1", f"member {number}"), ("ZPOPMIN", f"sorted:{copy}"),
            ("ZADD", f"sorted:{copy}", "5", f"new {number}"),
            ("LPUSH", f"list:{copy}", "new"), ("RPOP", f"list:{copy}"), ("LPOP", f"list:{copy}"),
            ("LSET", f"list:{copy}", str(number // 2), "other"), ("RPUSH", f"list:{copy}", "new"),
            ("XADD", f"stream:{copy}", f"{100_000 + round_number}-1", "field", "new"), ("XDEL", f"stream:{copy}", f"{number + 1}-1"),
        ])  # fmt: skip
    if round_number == 1:
        wire.pipeline([("DEL", f"{kind}:0") for kind in ("hash", "set", "sorted", "list", "stream")])
    if round_number == 2:
        wire.pipeline(
            [("RENAME", f"{kind}:1", f"{kind}:moved") for kind in ("hash", "set", "sorted", "list", "stream")]
        )
    if round_number == 3:
        wire.pipeline([("SET", "hash:2", "text"), ("EXPIRE", "set:2", "100"), ("MOVE", "sorted:2", "1")])


@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_a_snapshot_has_big_collections_as_they_were(tmp_path: Path, shape: Shape, name: str) -> None:
    """Loaded by a server of its own kind and by real ones."""
    program = need_reference(name) if name != "sherd" else None
    with serve(tmp_path, shape) as server, server.wire() as wire:
        fill(wire)
        expected = digest(wire) if program is None else contents(wire)
        wire.call("SELECT", "0")
        slow_down(wire, shape)
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        for number in range(12):
            change(wire, number)
            if number == 4:
                # Else nothing of this would say anything.
                assert info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1"
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "the snapshot ends")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        server.signal_and_wait(signal.SIGKILL)
    if program is None:
        with serve(tmp_path) as server, server.wire() as wire:
            assert digest(wire) == expected
    else:
        with Server(program, directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
            assert contents(wire) == expected


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
def test_a_rewrite_and_what_came_after_it_began_make_the_same(tmp_path: Path, shape: Shape, preamble: str) -> None:
    with serve(tmp_path, shape, appendonly="yes", aof_use_rdb_preamble=preamble) as server, server.wire() as wire:
        fill(wire)
        slow_down(wire, shape)
        assert not wire.call("BGREWRITEAOF").is_error
        for number in range(12):
            change(wire, number)
            if number == 4:
                assert info_field(wire, "persistence", "aof_rewrite_in_progress") == "1"
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
        assert info_field(wire, "persistence", "aof_last_bgrewrite_status") == "ok"
        expected = digest(wire)
        assert server.signal_and_wait(signal.SIGTERM) == 0
    with serve(tmp_path, appendonly="yes") as server, server.wire() as wire:
        assert digest(wire) == expected


def test_a_replica_that_is_sent_all_data_gets_big_collections_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "primary").mkdir()
    (tmp_path / "replica").mkdir()
    with (
        serve(tmp_path / "primary", shapes[1], repl_diskless_sync_delay="0") as primary,
        serve(tmp_path / "replica", shapes[0]) as replica,
        primary.wire() as wire,
        replica.wire() as other,
    ):
        fill(wire)
        slow_down(wire, shapes[1])
        assert other.call("REPLICAOF", "127.0.0.1", str(primary.port)).raw == OK
        for number in range(12):
            # Spread over the time that its snapshot takes, of which INFO tells at the end only.
            time.sleep(0.1)
            change(wire, number)
            if number == 3:
                # Else nothing of this would say anything.
                assert info_field(other, "replication", "master_link_status") == "down"
        eventually(lambda: info_field(other, "replication", "master_link_status") == "up", "it is there")
        eventually(lambda: digest(other) == digest(wire), "it has everything")
