"""Active defragmentation of a running server: memory comes back after most keys have gone, and no value changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

_KEYS = 200_000
_BATCH = 2000
_WAIT_SECONDS_MAX = 120.0


def _info(wire: Wire) -> dict[str, str]:
    lines = (wire.value("INFO", "memory") + wire.value("INFO", "stats")).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _number(wire: Wire, name: str) -> float:
    return float(_info(wire)[name])


def _fill_and_delete(wire: Wire) -> None:
    """Strings and small hashes, nine of ten of which go again."""
    value = "v" * 100
    for first in range(0, _KEYS, _BATCH):
        numbers = range(first, first + _BATCH)
        wire.pipeline([("SET", f"key:{number}", f"{value}{number}") for number in numbers])
        wire.pipeline(
            [("HSET", f"hash:{number}", "field", f"{value}{number}") for number in numbers if number % 4 == 0]
        )
    for first in range(0, _KEYS, _BATCH):
        gone = [number for number in range(first, first + _BATCH) if number % 10]
        wire.pipeline([("DEL", f"key:{number}", f"hash:{number}") for number in gone])


@pytest.mark.parametrize("shards", [1, 4])
def test_resident_memory_halves_after_nine_of_ten_keys_were_deleted(shards: int) -> None:
    """With `activedefrag yes`, set at run time, while another client writes; INFO tells what was done."""
    # One of its own: what other tests have left in a shared one would count.
    own = Server(shape=Shape(shards=shards), directives={"enable-debug-command": "yes"})
    with own as server, server.wire(timeout_seconds=60.0) as wire, server.wire(timeout_seconds=60.0) as writer:
        _fill_and_delete(wire)
        digest = wire.value("DEBUG", "DIGEST")
        before = _info(wire)
        assert float(before["allocator_frag_ratio"]) > 2
        assert int(before["allocator_active"]) - int(before["allocator_allocated"]) == int(
            before["allocator_frag_bytes"]
        )
        assert (before["active_defrag_running"], before["active_defrag_hits"]) == ("0", "0")
        settings = ("activedefrag", "yes", "active-defrag-ignore-bytes", "1mb", "active-defrag-cycle-max", "75")
        assert wire.call("CONFIG", "SET", *settings).raw == b"+OK\r\n"
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        wasted = int(before["allocator_frag_bytes"])
        while _number(wire, "allocator_frag_bytes") > wasted / 4 or _number(wire, "active_defrag_running") > 0:
            assert time.monotonic() < deadline, _info(wire)
            writer.pipeline([("SET", "counter", str(number)) for number in range(100)])
            writer.call("DEL", "counter")
            time.sleep(0.05)
        after = _info(wire)
        given_back = int(before["used_memory_rss"]) - int(after["used_memory_rss"])
        assert given_back > wasted / 2, f"{given_back} bytes of {wasted} were given back"
        assert wire.value("DEBUG", "DIGEST") == digest
        for name in ("active_defrag_hits", "active_defrag_key_hits", "total_active_defrag_time"):
            assert int(after[name]) > 0, name
        assert wire.call("CONFIG", "SET", "activedefrag", "no").raw == b"+OK\r\n"
        assert wire.call("CONFIG", "RESETSTAT").raw == b"+OK\r\n"
        assert _number(wire, "active_defrag_hits") == 0


def test_memory_purge_gives_freed_memory_back(pool: ServerPool) -> None:
    """What all keys took is the system's again soon after they were deleted and PURGE was called."""
    server = pool.get(shape=Shape(shards=1))
    with server.wire(timeout_seconds=60.0) as wire:
        empty = _number(wire, "used_memory_rss")
        for first in range(0, _KEYS, _BATCH):
            wire.pipeline([("SET", f"key:{number}", "v" * 100) for number in range(first, first + _BATCH)])
        full = _number(wire, "used_memory_rss")
        wire.call("FLUSHALL", "SYNC")
        assert wire.call("MEMORY", "PURGE").raw == b"+OK\r\n"
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        while _number(wire, "used_memory_rss") - empty > (full - empty) / 4:
            assert time.monotonic() < deadline, _info(wire)
            time.sleep(0.05)
