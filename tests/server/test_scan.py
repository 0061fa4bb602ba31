"""SCAN's guarantee: an element that is there from the beginning to the end of a full iteration is returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.wire import Wire

cursor_calls_max = 200_000


def scan_all(
    wire: Wire, *command: str, options: tuple[str, ...] = (), between: Callable[[int], None] | None = None
) -> list[bytes]:
    """Every element of a whole iteration, with something done between the calls."""
    found: list[bytes] = []
    cursor = b"0"
    for call in range(cursor_calls_max):
        cursor, elements = wire.value(*command, cursor, *options)
        found += elements
        if cursor == b"0":
            return found
        if between is not None:
            between(call)
    raise AssertionError("the iteration does not end")


def test_scan_finds_every_key_exactly_when_nothing_changes(wire: Wire) -> None:
    """Over all shards; without changes each key once."""
    keys = {b"key:%d" % number for number in range(5000)}
    wire.pipeline([("SET", key, "v") for key in sorted(keys)])
    found = scan_all(wire, "SCAN")
    assert set(found) == keys
    assert len(found) == len(keys)


def test_scan_finds_what_stays_while_the_keyspace_grows(wire: Wire) -> None:
    """Growth moves entries about; none that was there may be missed."""
    keys = {b"stays:%d" % number for number in range(2000)}
    wire.pipeline([("SET", key, "v") for key in sorted(keys)])

    def grow(call: int) -> None:
        wire.pipeline([("SET", f"new:{call}:{number}", "v") for number in range(50)])

    assert keys <= set(scan_all(wire, "SCAN", options=("COUNT", "20"), between=grow))


def test_scan_finds_what_stays_while_the_keyspace_shrinks(wire: Wire) -> None:
    """Deletion moves entries about too."""
    keys = {b"stays:%d" % number for number in range(1000)}
    goes = [f"goes:{number}" for number in range(4000)]
    wire.pipeline([("SET", key, "v") for key in sorted(keys)])
    wire.pipeline([("SET", key, "v") for key in goes])

    def shrink(call: int) -> None:
        chosen = goes[call * 40 : call * 40 + 40]
        if chosen:
            wire.call("DEL", *chosen)

    assert keys <= set(scan_all(wire, "SCAN", options=("COUNT", "20"), between=shrink))


@pytest.mark.parametrize("count", ["1", "7", "1000", "1000000"])
def test_scan_obeys_match_type_and_count_together(wire: Wire, count: str) -> None:
    """Filters change what is shown, not what is walked."""
    wire.pipeline([("SET", f"s:{number}", "v") for number in range(300)])
    wire.pipeline([("RPUSH", f"l:{number}", "v") for number in range(300)])
    options = ("MATCH", "?:1*", "TYPE", "list", "COUNT", count)
    expected = {b"l:%d" % number for number in range(300) if str(number).startswith("1")}
    assert set(scan_all(wire, "SCAN", options=options)) == expected


def test_scan_sees_only_its_database(wire: Wire) -> None:
    """Each database is walked on its own."""
    wire.call("SET", "zero", "v")
    wire.call("SELECT", "1")
    wire.call("SET", "one", "v")
    assert scan_all(wire, "SCAN") == [b"one"]


@pytest.mark.parametrize(
    ("fill", "scan"),
    [("SADD", "SSCAN"), ("HSET", "HSCAN"), ("ZADD", "ZSCAN")],
)
def test_a_collection_is_walked_whole_while_it_grows(wire: Wire, fill: str, scan: str) -> None:
    """The same guarantee inside a big set, hash or sorted set."""

    def add(names: list[str]) -> None:
        arguments: list[str] = []
        for name in names:
            arguments += {"SADD": [name], "HSET": [name, "v"], "ZADD": ["1", name]}[fill]
        wire.call(fill, "k", *arguments)

    names = [f"stays:{number}" for number in range(2000)]
    add(names)
    found = scan_all(
        wire, scan, "k", options=("COUNT", "10"), between=lambda call: add([f"new:{call}:{n}" for n in range(20)])
    )
    members = found if fill == "SADD" else found[::2]
    assert {name.encode() for name in names} <= set(members)


def test_a_cursor_from_nowhere_does_no_harm(wire: Wire) -> None:
    """Any 64-bit number is accepted and the iteration ends."""
    wire.pipeline([("SET", f"key:{number}", "v") for number in range(100)])
    for cursor in ("1", "12345", "9223372036854775808", "18446744073709551615"):
        position = cursor.encode()
        for _ in range(10_000):
            position, _ = wire.value("SCAN", position)
            if position == b"0":
                break
        assert position == b"0"
