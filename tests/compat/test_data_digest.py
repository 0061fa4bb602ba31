"""DEBUG DIGEST and DIGEST-VALUE compared with the references, and DEBUG RELOAD, which changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.references import find_reference, need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

debugging = {"enable-debug-command": "yes"}
data = [
    ("SET", "text", "value"), ("SET", "number", "-17"), ("SET", "dying", "v", "PX", "10000000"),
    ("RPUSH", "list", "a", "1", "b", "x" * 9000), ("RPUSH", "longer", *map(str, range(700))),
    ("SADD", "ints", "3", "1", "2"), ("SADD", "words", *(f"w{number}" for number in range(300))),
    ("ZADD", "scores", "1.5", "a", "-inf", "b", "inf", "c", "0.1", "d", "1e300", "e", "3e-7", "f", "100000", "g"),
    ("ZADD", "ranks", *(word for number in range(300) for word in (str(number * 0.7), f"m{number}"))),
    ("HSET", "hash", "f", "v", "7", "8"), ("HSET", "wide", *(f"w{number}" for number in range(1200))),
    ("XADD", "stream", "1-1", "f", "v", "g", "2"), ("XADD", "stream", "5-0", "h", "w"), ("XDEL", "stream", "1-1"),
    ("SELECT", "5"), ("SET", "text", "other"), ("SELECT", "0"),
]  # fmt: skip
keys = ("text", "number", "dying", "list", "longer", "ints", "words", "scores", "ranks", "hash", "wide", "stream", "no")


def _fill(wire: Wire) -> None:
    for reply in wire.pipeline(list(data)):
        assert not reply.is_error, reply.raw


def test_digests_are_those_of_the_references(pool: ServerPool, shape: Shape, reference_name: str) -> None:
    """Of values and of all data; Redis 7.0 takes other digits of the scores of sorted sets."""
    need_reference(reference_name)
    found = []
    for program in (sherd_program(), find_reference(reference_name)):
        with pool.get(program, shape=shape, directives=debugging).wire() as wire:
            _fill(wire)
            if reference_name == "redis7":
                wire.call("DEL", "scores", "ranks")
            values = wire.value("DEBUG", "DIGEST-VALUE", *keys)
            found.append([wire.value("DEBUG", "DIGEST"), *zip(keys, values, strict=True)])
    assert found[0] == found[1]


@pytest.mark.sherd_only
def test_a_reload_changes_nothing(pool: ServerPool, shape: Shape, protocol: int) -> None:
    """Asked by a client that goes on afterwards."""
    with pool.get(sherd_program(), shape=shape, directives=debugging).wire(protocol=protocol) as wire:
        _fill(wire)
        before = [wire.value("DEBUG", "DIGEST"), wire.value("OBJECT", "ENCODING", "ints"), wire.value("DBSIZE")]
        assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
        assert [wire.value("DEBUG", "DIGEST"), wire.value("OBJECT", "ENCODING", "ints"), wire.value("DBSIZE")] == before
        assert 0 < wire.value("PTTL", "dying") <= 10_000_000
