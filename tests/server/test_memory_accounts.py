"""used_memory_dataset: what the server does besides changing data leaves no trace in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.support.servers import Server, Shape
from tests.support.wire import Wire

ROUNDS = 100
# Values that stay; their blocks are as large as they are.
BALLAST, BALLAST_BYTES = 20, 512 * 1024 - 64
# What tables and lists keep for use again; a trace of each command would be more.
SPARE_BYTES_MAX = 3000


def _call(wire: Wire, *commands: str) -> None:
    for command in commands:
        wire.call(*command.split(" "))


def _big_replies(server: Server, wire: Wire) -> None:
    wire.call("SET", "k", "v" * 3_000_000)
    for _ in range(3):
        wire.call("GET", "k")


def _transactions_of_both_planes(server: Server, wire: Wire) -> None:
    for _ in range(ROUNDS):
        _call(wire, "MULTI", "SET k v", "INFO", "GET k", "EXEC")


def _watches(server: Server, wire: Wire) -> None:
    for number in range(ROUNDS):
        _call(wire, f"WATCH key:{number} other:{number}", "UNWATCH")


def _clients_that_wait(server: Server, wire: Wire) -> None:
    with server.wire() as waiting:
        for number in range(ROUNDS):
            waiting.write("BLPOP", f"queue:{number}", "other", "0")
            wire.call("RPUSH", f"queue:{number}", "v" * 500)
            waiting.read()
        for number in range(10):
            waiting.call("BLPOP", f"queue:{number}", "other", "0.001")


def _clients_that_go_while_they_wait(server: Server, wire: Wire) -> None:
    for number in range(20):
        with server.wire() as waiting:
            waiting.write("BLPOP", f"queue:{number}", "0")


def _the_slow_log(server: Server, wire: Wire) -> None:
    wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    for number in range(ROUNDS):
        wire.call("GET", f"absent:{number}")
    _call(wire, "CONFIG SET slowlog-log-slower-than 10000", "SLOWLOG RESET")


def _scripts(server: Server, wire: Wire) -> None:
    for number in range(ROUNDS):
        wire.call("EVAL", f"redis.call('incr', KEYS[1]) return {number}", "1", "k")
        wire.call("EVAL", f"no script {number}", "1", "k")
    for _ in range(10):
        wire.call("EVAL", "return redis.call('info')", "0")
    _call(wire, "SCRIPT FLUSH", "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 k")


def _monitors_of_scripts(server: Server, wire: Wire) -> None:
    with server.wire() as monitor:
        monitor.call("MONITOR")
        for _ in range(ROUNDS):
            wire.call("EVAL", "return redis.call('get', KEYS[1])", "1", "k" * 200)


def _values_freed_in_the_background(server: Server, wire: Wire) -> None:
    """Their sizes are estimated when they are handed over."""
    for _ in range(5):
        wire.call("RPUSH", "list", *("v" * (number * number % 1500) for number in range(600)))
        wire.call("HSET", "hash", *("v" * (number * number % 300) + str(number) for number in range(800)))
        wire.call("UNLINK", "list", "hash")


def _a_database_of_several_is_flushed(server: Server, wire: Wire) -> None:
    wire.call("SELECT", "3")
    for number in range(ROUNDS):
        wire.call("SET", f"key:{number}", "v" * 5000)
    _call(wire, "FLUSHDB ASYNC", "SELECT 0")


WAYS: dict[str, Callable[[Server, Wire], None]] = {
    "big replies": _big_replies,
    "transactions of both planes": _transactions_of_both_planes,
    "watches": _watches,
    "clients that wait": _clients_that_wait,
    "clients that go while they wait": _clients_that_go_while_they_wait,
    "the slow log": _the_slow_log,
    "scripts": _scripts,
    "monitors of scripts": _monitors_of_scripts,
    "values freed in the background": _values_freed_in_the_background,
    "a database of several is flushed": _a_database_of_several_is_flushed,
}


@pytest.mark.sherd_only
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_dataset_is_what_it_was_when_all_keys_have_gone(way: Callable[[Server, Wire], None], shape: Shape) -> None:
    with Server(shape=shape) as server, server.wire() as wire:
        # So that what is taken off by mistake is seen as well: less than nothing is shown as nothing.
        for number in range(BALLAST):
            wire.call("SET", f"ballast:{number}", "x" * BALLAST_BYTES)
        sizes = []
        for _ in range(6):
            way(server, wire)
            sizes.append(_dataset(wire))
        # What a thread makes with its first use, and keeps, is seen once; what is seen every time adds up.
        assert min(abs(after - before) for before, after in itertools.pairwise(sizes)) < SPARE_BYTES_MAX, sizes
        # No more is shown than is used, so the size itself is looked at as well.
        assert abs(sizes[-1] - BALLAST * BALLAST_BYTES) < 100_000, sizes


@pytest.mark.sherd_only
def test_the_dataset_begins_anew_when_several_databases_are_flushed_at_once(shape: Shape) -> None:
    """What is freed in the background after that is no part of it any more."""
    with Server(shape=shape) as server, server.wire() as wire:
        for _ in range(3):
            for database in ("0", "1", "2"):
                wire.call("SELECT", database)
                for number in range(BALLAST):
                    wire.call("SET", f"key:{number}", "x" * BALLAST_BYTES)
            _call(wire, "FLUSHALL ASYNC", "SELECT 0")
        for number in range(BALLAST):
            wire.call("SET", f"ballast:{number}", "x" * BALLAST_BYTES)
        assert abs(_dataset(wire) - BALLAST * BALLAST_BYTES) < 100_000


def _dataset(wire: Wire) -> int:
    """Its bytes, without any key but the ballast."""
    for key in wire.value("KEYS", "*"):
        if not key.startswith(b"ballast:"):
            wire.call("DEL", key)
    while _info(wire, "lazyfree_pending_objects"):
        pass
    # Shards see to what has ended when they are held next.
    for number in range(BALLAST):
        wire.call("GET", f"ballast:{number}")
    return _info(wire, "used_memory_dataset")


def _info(wire: Wire, field: str) -> int:
    lines = (line.split(":", 1) for line in wire.value("INFO", "memory").decode().split("\r\n") if ":" in line)
    return int(dict(lines)[field])
