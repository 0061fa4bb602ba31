"""`keyspace_hits` and `keyspace_misses` count what a command has looked up as the references count it.

Left out is HGETEX, in which they differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.compat.conftest import default_settings
from tests.compat.examples import value_at
from tests.compat.script import split_arguments
from tests.support.references import need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from tests.support.servers import Program, ServerPool
    from tests.support.wire import Wire

_reads = """
string: GET k1 | MGET k1 k2 | STRLEN k1 | GETRANGE k1 0 1 | GETEX k1 EX 1000 | LCS k1 k2 | BITCOUNT k1 | BITPOS k1 1
string: GETBIT k1 1 | BITFIELD_RO k1 GET u8 0 | SET k1 x GET | GETDEL k1 | BITOP AND k3 k1 k2
list: LLEN k1 | LRANGE k1 0 -1 | LINDEX k1 0 | LPOS k1 a | LPOP k1 | SORT k1 ALPHA | SORT_RO k1 ALPHA
set: SCARD k1 | SMEMBERS k1 | SISMEMBER k1 a | SMISMEMBER k1 a b | SRANDMEMBER k1 | SINTER k1 k2 | SUNION k1 k2 | SDIFF k1 k2
set: SINTERCARD 2 k1 k2 | SSCAN k1 0 | SPOP k1 | SUNIONSTORE k3 k1 k2
hash: HLEN k1 | HGET k1 f | HMGET k1 f a | HGETALL k1 | HEXISTS k1 f | HSTRLEN k1 f | HRANDFIELD k1 | HSCAN k1 0 | HKEYS k1
hash: HTTL k1 FIELDS 1 f | HPTTL k1 FIELDS 2 f b | HEXPIRETIME k1 FIELDS 1 f | HPEXPIRETIME k1 FIELDS 1 f
hash: HEXPIRE k1 1000 FIELDS 1 f | HPERSIST k1 FIELDS 1 f | HGETDEL k1 FIELDS 1 f
sorted set: ZCARD k1 | ZSCORE k1 a | ZMSCORE k1 a b | ZRANK k1 a | ZRANGE k1 0 -1 | ZCOUNT k1 0 1 | ZLEXCOUNT k1 - + | ZSCAN k1 0
sorted set: ZUNION 2 k1 k2 | ZINTER 2 k1 k2 | ZDIFF 2 k1 k2 | ZINTERCARD 2 k1 k2 | ZRANDMEMBER k1 | ZPOPMIN k1 | GEOPOS k1 a
stream: XREAD STREAMS k1 0 | XREAD COUNT 1 STREAMS k1 k2 0 $ | XREAD BLOCK 1 STREAMS k1 $
stream: XLEN k1 | XRANGE k1 - + | XREAD STREAMS k1 k1 0 0
stream: XACK k1 g 1-1 | XACK k1 no 1-1 | XCLAIM k1 g c 0 1-1 | XAUTOCLAIM k1 g c 0 0 | XPENDING k1 g | XINFO GROUPS k1
stream: XREADGROUP GROUP g c STREAMS k1 > | XREADGROUP GROUP g c STREAMS k1 k2 0 > | XREADGROUP GROUP g c COUNT 1 STREAMS k2 >
sorted set: EXISTS k1 k2 | TYPE k1 | TTL k1 | EXPIRETIME k1 | OBJECT ENCODING k1 | TOUCH k1 k2 | DUMP k1 | COPY k1 k3 | MEMORY USAGE k1
"""
_cases = [
    (kind, split_arguments(call.strip().encode()))
    for kind, _, calls in (line.partition(": ") for line in _reads.strip().splitlines())
    for call in calls.split(" | ")
]


def _look_ups(wire: Wire) -> tuple[int, ...]:
    text: bytes = wire.value("INFO", "stats")
    return tuple(int(number) for number in re.findall(rb"keyspace_(?:hits|misses):(\d+)", text))


def _counted(pool: ServerPool, program: Program, *, is_there: bool) -> dict[tuple[bytes, ...], tuple[int, ...] | None]:
    """For each call how many hits and misses it adds; None where it is refused, or unknown."""
    found: dict[tuple[bytes, ...], tuple[int, ...] | None] = {}
    with pool.get(program, shape=Shape(shards=4), directives=dict(default_settings)).wire() as wire:
        for kind, call in _cases:
            wire.call("FLUSHALL")
            for key in (b"k1", b"k2") if is_there else ():
                if kind == "stream":
                    wire.pipeline([("XADD", key, "1-1", "f", "v"), ("XGROUP", "CREATE", key, "g", "0")])
                else:
                    wire.call(*value_at(kind, key))
            before = _look_ups(wire)
            is_refused = wire.call(*call).is_error
            added = tuple(after - earlier for after, earlier in zip(_look_ups(wire), before, strict=True))
            found[call] = None if is_refused else added
    return found


@pytest.mark.parametrize("is_there", [True, False], ids=["keys", "no-keys"])
def test_a_read_counts_the_look_ups_that_the_reference_counts(
    pool: ServerPool, reference_name: str, *, is_there: bool
) -> None:
    """Of keys that are there, and of keys that are not."""
    program = need_reference(reference_name)
    assert program is not None
    theirs = _counted(pool, program, is_there=is_there)
    ours = _counted(pool, sherd_program(), is_there=is_there)
    assert {call: counts for call, counts in theirs.items() if counts is not None and ours[call] != counts} == {}
