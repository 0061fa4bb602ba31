"""What INFO and DEBUG count and tell beyond single commands: expiry, resets, lists, delays for tests."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

wait_seconds_max = 30.0


def _info(wire: Wire, section: str) -> dict[str, str]:
    lines = wire.value("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _await_stat(wire: Wire, section: str, name: str, least: float) -> str:
    deadline = time.monotonic() + wait_seconds_max
    while float(_info(wire, section)[name]) < least:
        assert time.monotonic() < deadline, f"{name} stayed below {least}"
        time.sleep(0.02)
    return _info(wire, section)[name]


def test_active_expiry_tells_what_it_costs_and_finds(pool: ServerPool) -> None:
    """expired_stale_perc rises where keys expire unseen, and all three fields are zero after RESETSTAT."""
    for shards in (1, 4):
        server = pool.get(shape=Shape(shards=shards))
        with server.wire() as wire:
            wire.pipeline([("SET", f"stay:{number}", "v", "EX", "10000") for number in range(3000)])
            wire.pipeline([("SET", f"go:{number}", "v", "PX", "5") for number in range(3000)])
            _await_stat(wire, "stats", "expired_keys", 3000)
            assert float(_await_stat(wire, "stats", "expired_stale_perc", 0.01)) <= 100
            _await_stat(wire, "stats", "expire_cycle_cpu_milliseconds", 1)
            assert int(_info(wire, "stats")["expired_time_cap_reached_count"]) >= 0
            wire.call("FLUSHALL")
            assert wire.call("CONFIG", "RESETSTAT").raw == b"+OK\r\n"
            stats = _info(wire, "stats")
            assert stats["expired_stale_perc"] == "0.00"
            assert int(stats["expire_cycle_cpu_milliseconds"]) < 100


def test_resetstat_forgets_rates_and_what_was_freed(pool: ServerPool) -> None:
    """lazyfreed_objects and the instantaneous values begin anew, what waits to be freed does not."""
    server = pool.get(shape=Shape(shards=1))
    with server.wire() as wire:
        for _ in range(3):
            wire.call("RPUSH", "big", *(b"x" * 100 for _ in range(50_000)))
            wire.call("UNLINK", "big")
        _await_stat(wire, "memory", "lazyfreed_objects", 3)
        _await_stat(wire, "stats", "instantaneous_input_kbps", 0.01)
        wire.call("CONFIG", "RESETSTAT")
        reply = wire.value("INFO", "stats", "memory").decode()
        assert "lazyfreed_objects:0\r\n" in reply
        # Between the two commands one sample may have been taken, of next to nothing.
        assert float(re.findall(r"instantaneous_input_kbps:(\S+)", reply)[0]) < 1


@pytest.mark.parametrize("reference_name", reference_names[1:])
def test_debug_object_tells_of_quicklists_what_the_references_tell(reference_name: str) -> None:
    """Nodes, their limit and size; of a listpack nothing more than of any value."""
    directives = {"enable-debug-command": "yes", "list-max-listpack-size": "100"}
    told: list[list[str]] = []
    for program in (None, need_reference(reference_name)):
        with Server(program, directives=directives) as server, server.wire() as wire:
            wire.call("RPUSH", "small", "a", "b")
            wire.call("RPUSH", "many", *map(str, range(350)))
            lines = [wire.value("DEBUG", "OBJECT", key).decode() for key in ("small", "many")]
            told.append([re.sub(r"^.*?encoding|serializedlength.*?idle:\d+", "", line) for line in lines])
    assert told[0] == told[1]
    assert " ql_nodes:4 ql_avg_node:87.50 ql_listpack_max:100 ql_compressed:0 " in told[0][1]


@pytest.mark.parametrize("reference_name", reference_names[1:])
def test_delays_for_tests_are_hidden_and_checked_as_in_the_references(reference_name: str) -> None:
    """Shown when asked for by name, settable, and within the bounds of an int."""
    commands = [
        ("CONFIG", "GET", "key-load-delay"),
        ("CONFIG", "GET", "*key-*-delay"),
        ("CONFIG", "SET", "key-load-delay", "-1"),
        ("CONFIG", "GET", "key-load-delay"),
        ("CONFIG", "SET", "key-load-delay", "abc"),
        ("CONFIG", "SET", "rdb-key-save-delay", "2147483648"),
        ("CONFIG", "SET", "rdb-key-save-delay", "-2147483649"),
    ]
    told: list[list[bytes]] = []
    for program in (None, need_reference(reference_name)):
        with Server(program) as server, server.wire() as wire:
            told.append([wire.call(*command).raw for command in commands])
    assert told[0] == told[1]


def test_delays_make_a_snapshot_in_memory_last() -> None:
    """As long as keys times microseconds, for writing and for reading."""
    with Server(directives={"enable-debug-command": "yes"}) as server, server.wire() as wire:
        wire.pipeline([("SET", f"k:{number}", "v") for number in range(100)])
        for name in ("rdb-key-save-delay", "key-load-delay"):
            wire.call("CONFIG", "SET", name, "2000")
            begun = time.monotonic()
            assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
            assert time.monotonic() - begun >= 0.2
            wire.call("CONFIG", "SET", name, "-10")
            assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
            wire.call("CONFIG", "SET", name, "0")
        assert wire.value("DBSIZE") == 100
