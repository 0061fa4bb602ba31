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
PENDING = 100_000


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
        wire.pipeline([
            ("XGROUP", "CREATE", f"stream:{copy}", "group", "0"),
            ("XGROUP", "CREATE", f"stream:{copy}", "other", "1000-0", "ENTRIESREAD", "999"),
            ("XREADGROUP", "GROUP", "group", "ann", "COUNT", "1500", "STREAMS", f"stream:{copy}", ">"),
            ("XREADGROUP", "GROUP", "group", "bob", "COUNT", "1500", "STREAMS", f"stream:{copy}", ">"),
            ("XREADGROUP", "GROUP", "other", "ann", "COUNT", "700", "STREAMS", f"stream:{copy}", ">"),
            ("XCLAIM", f"stream:{copy}", "group", "carol", "0", *(f"{number}-1" for number in range(100, 300, 7))),
            ("XDEL", f"stream:{copy}", *(f"{number}-1" for number in range(50, 150))),
        ])  # fmt: skip
    wire.pipeline([("SET", f"string:{number}", "v" * (number % 50)) for number in range(STRINGS)])


PENDING_DIGEST = """
local digest, start, count = '', '-', 0
while true do
    local rows = redis.call('XPENDING', KEYS[1], ARGV[1], start, '+', '1000')
    if #rows == 0 then return {digest, count} end
    local parts = {digest}
    for _, row in ipairs(rows) do parts[#parts + 1] = row[1] .. ' ' .. row[2] .. ' ' .. row[4] end
    digest, start, count = redis.sha1hex(table.concat(parts, ',')), '(' .. rows[#rows][1], count + #rows
end
"""


def groups(wire: Wire) -> dict[bytes, object]:
    """What the groups of streams remember, but when entries were delivered and consumers were there."""
    found: dict[bytes, object] = {}
    for key in sorted(wire.value("KEYS", "stream:*")):
        rows = wire.value("XINFO", "GROUPS", key)
        found[key] = rows, [wire.value("EVAL", PENDING_DIGEST, "1", key, row[1]) for row in rows]
    return found


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
            ("LREM", f"list:{copy}", "1", f"element {number // 3}"), ("LINSERT", f"list:{copy}", "AFTER", f"element {number // 4}", "new"),
            ("XADD", f"stream:{copy}", f"{100_000 + round_number}-1", "field", "new"), ("XDEL", f"stream:{copy}", f"{number + 1}-1"),
            ("XACK", f"stream:{copy}", "group", *(f"{number // 2 + offset}-1" for offset in range(20))),
            ("XREADGROUP", "GROUP", "group", f"new {round_number}", "COUNT", "30", "STREAMS", f"stream:{copy}", ">"),
            ("XCLAIM", f"stream:{copy}", "other", "bob", "0", f"{1000 + number // 6}-1"),
            ("XAUTOCLAIM", f"stream:{copy}", "group", "carol", "0", f"{number // 3}-0", "COUNT", "5"),
        ])  # fmt: skip
    if round_number == 1:
        wire.pipeline([("DEL", f"{kind}:0") for kind in ("hash", "set", "sorted", "list", "stream")])
    if round_number == 2:
        wire.pipeline(
            [("RENAME", f"{kind}:1", f"{kind}:moved") for kind in ("hash", "set", "sorted", "list", "stream")]
        )
    if round_number == 3:
        wire.pipeline([("SET", "hash:2", "text"), ("EXPIRE", "set:2", "100"), ("MOVE", "sorted:2", "1")])
        wire.pipeline([("XGROUP", "DELCONSUMER", "stream:2", "group", "ann"), ("LTRIM", "list:2", "700", "-900")])
    if round_number == 5:
        wire.pipeline([("XGROUP", "DESTROY", "stream:2", "group"), ("XGROUP", "SETID", "stream:2", "other", "5-0")])


@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_a_snapshot_has_big_collections_as_they_were(tmp_path: Path, shape: Shape, name: str) -> None:
    """Loaded by a server of its own kind and by real ones."""
    program = need_reference(name) if name != "sherd" else None
    with serve(tmp_path, shape) as server, server.wire() as wire:
        fill(wire)
        expected = digest(wire) if program is None else contents(wire)
        wire.call("SELECT", "0")
        remembered = groups(wire)
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
            assert groups(wire) == remembered
    else:
        with Server(program, directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
            assert contents(wire) == expected
            wire.call("SELECT", "0")
            assert groups(wire) == remembered


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
        expected, remembered = digest(wire), groups(wire)
        assert server.signal_and_wait(signal.SIGTERM) == 0
    with serve(tmp_path, appendonly="yes") as server, server.wire() as wire:
        assert digest(wire) == expected
        assert groups(wire) == remembered


@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_a_snapshot_has_groups_of_many_pending_entries_as_they_were(tmp_path: Path, name: str) -> None:
    """While entries are acknowledged, claimed and delivered, and after a group was destroyed and a consumer deleted."""
    program = need_reference(name) if name != "sherd" else None
    with serve(tmp_path, shapes[0]) as server, server.wire() as wire:
        for first in range(0, PENDING, 10_000):
            wire.pipeline(
                [("XADD", "stream:0", f"{number + 1}-1", "f", "v") for number in range(first, first + 10_000)]
            )
        for group, consumers in (("acked", 1), ("claimed", 3), ("destroyed", 1)):
            wire.call("XGROUP", "CREATE", "stream:0", group, "0")
            for number in range(consumers):
                # As a script, whose reply is short.
                read = "redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')"
                count = str(PENDING // 2 // consumers)
                assert wire.call("EVAL", read, "1", "stream:0", group, f"consumer {number}", count).raw == b"$-1\r\n"
        wire.pipeline([("SET", f"string:{number}", "v") for number in range(3000)])
        expected = digest(wire), groups(wire)
        slow_down(wire, shapes[0])
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        for number in range(1, 40):
            ids = [f"{1 + number * 1009 + offset}-1" for offset in range(100)]
            wire.pipeline([
                ("XACK", "stream:0", "acked", *ids), ("XACK", "stream:0", "destroyed", *ids[::3]),
                ("XCLAIM", "stream:0", "claimed", "new", "0", *ids[::2], "JUSTID"),
                ("XREADGROUP", "GROUP", "acked", "consumer 0", "COUNT", "50", "STREAMS", "stream:0", ">"),
                ("XDEL", "stream:0", *ids[:5]),
            ])  # fmt: skip
            if number == 20:
                assert wire.value("XGROUP", "DELCONSUMER", "stream:0", "claimed", "consumer 1") > 0
                assert wire.value("XGROUP", "DESTROY", "stream:0", "destroyed") == 1
                # Else nothing of this would say anything.
                assert info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1"
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "the snapshot ends")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        server.signal_and_wait(signal.SIGKILL)
    directives = {"dir": str(tmp_path), "enable-debug-command": "yes"}
    with Server(program, directives=directives) if program else serve(tmp_path) as server, server.wire() as wire:
        assert groups(wire) == expected[1]
        assert program or digest(wire) == expected[0]


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
        eventually(lambda: groups(other) == groups(wire), "and what groups remember")
