"""Hashes whose fields expire: Redis 8 and Valkey 9 write them in different forms and read their own only. Each gets its own, over
links by itself, and in files and DUMP by `rdb-compat`."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import SHAPE_NAMES, SHAPES, await_link, eventually, replica_of
from tests.replication.test_being_followed import primary, reference_replica
from tests.support.references import find_reference, need_reference
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

OK = b"+OK\r\n"
# What is small is written at once, what is big field by field, while commands go on.
sizes = {"small": 3, "middle": 700, "big": 60_000}
at_ms = 4_000_000_000_000
compatible = {"redis8": "redis", "valkey9": "valkey"}


def _fill(wire: Wire) -> None:
    for name, size in sizes.items():
        numbers = range(size)
        for first in range(0, size, 1000):
            some = numbers[first : first + 1000]
            wire.call("HSET", name, *(word for number in some for word in (f"field {number}", f"value {number}")))
            odd = [f"field {number}" for number in some if number % 2]
            wire.call("HPEXPIREAT", name, str(at_ms + first), "FIELDS", str(len(odd)), *odd)


def _found(wire: Wire) -> list[object]:
    """How many fields there are, and values and times of some."""
    found: list[object] = []
    for name, size in sizes.items():
        some = [f"field {number}" for number in {0, 1, 2, size // 2, size // 2 + 1, size - 2, size - 1}]
        words = ("FIELDS", str(len(some)), *some)
        found += [wire.value("HLEN", name), wire.value("HMGET", name, *some), wire.value("HPEXPIRETIME", name, *words)]
    return found


@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["diskless", "by file"])
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_every_replica_gets_what_it_reads(shape: Shape, diskless: str) -> None:
    """Those of different kinds do not share a snapshot, whatever was wanted for files."""
    names = [name for name in compatible if find_reference(name)]
    with ExitStack() as stack:
        server = stack.enter_context(primary(shape, repl_diskless_sync=diskless, rdb_compat="valkey"))
        wire = stack.enter_context(server.wire())
        _fill(wire)
        followers = [stack.enter_context(reference_replica(name, server.port)) for name in names]
        wires = [stack.enter_context(one.wire()) for one in (*followers, stack.enter_context(replica_of(server.port)))]
        for follower in wires:
            await_link(follower)
        wire.call("HPEXPIREAT", "small", str(at_ms + 5), "FIELDS", "1", "field 0")
        expected = _found(wire)
        for follower in wires:
            eventually(lambda follower=follower: _found(follower) == expected, "it has the same")  # type: ignore[misc]


@pytest.mark.parametrize("name", compatible)
def test_snapshots_and_payloads_are_for_who_is_named(tmp_path: Path, name: str) -> None:
    program = need_reference(name)
    directives = {"dir": str(tmp_path), "rdb-compat": compatible[name], "enable-debug-command": "yes"}
    with Server(shape=Shape(4, 2), directives=directives) as server, server.wire() as wire:
        _fill(wire)
        expected = _found(wire)
        payload = wire.value("DUMP", "middle")
        assert wire.call("SAVE").raw == OK
        assert wire.call("DEBUG", "RELOAD").raw == OK
        assert _found(wire) == expected
    shutil.copy(tmp_path / "dump.rdb", tmp_path / "theirs.rdb")
    theirs = {"dir": str(tmp_path), "dbfilename": "theirs.rdb"}
    with Server(program, directives=theirs) as server, server.wire() as wire:
        assert _found(wire) == expected
        wire.call("DEL", "middle")
        assert wire.call("RESTORE", "middle", "0", payload).raw == OK
        assert _found(wire) == expected
    with Server(shape=Shape(4, 2), directives=directives) as server, server.wire() as wire:
        assert _found(wire) == expected


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_append_only_files_are_for_who_is_named(tmp_path: Path, preamble: str) -> None:
    program = need_reference("valkey9")
    files = {"dir": str(tmp_path), "appendonly": "yes", "aof-use-rdb-preamble": preamble}
    with Server(shape=Shape(4, 2), directives={**files, "rdb-compat": "valkey"}) as server, server.wire() as wire:
        _fill(wire)
        expected = _found(wire)
        eventually(lambda: b"aof_rewrite_in_progress:0" in wire.value("INFO", "persistence"), "nothing is rewritten")
        assert wire.call("BGREWRITEAOF").raw.startswith(b"+Background append only")
        eventually(lambda: b"aof_rewrite_in_progress:0" in wire.value("INFO", "persistence"), "it is rewritten")
    with Server(program, directives=files) as server, server.wire() as wire:
        assert _found(wire) == expected
