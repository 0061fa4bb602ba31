"""Values cross between Sherd and real servers by DUMP and RESTORE, in both directions, and stay what they were.

Each value is made by commands on one side, dumped, restored on the other side, and asked for on both. The sizes are those
around which encodings change, and strings are as long as their length's encoding changes.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.resp import Argument
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

Commands = list[tuple["Argument", ...]]

far_ms = int(time.time() * 1000) + 10**9
counts = (1, 2, 127, 128, 129, 512, 513, 2000)
lengths = (0, 1, 20, 21, 44, 45, 63, 64, 255, 256, 16383, 16384, 100_000)
numbers = (0, 127, 128, -128, -129, 32767, 32768, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1)

elements: dict[str, Callable[[int], bytes]] = {
    "small integers": lambda index: b"%d" % index,
    "large integers": lambda index: b"%d" % (index * 10**15),
    "words": lambda index: b"word %d" % index,
    "long words": lambda index: b"word %d" % index + b"y" * 70,
}


def _strings() -> Iterator[tuple[str, Commands]]:
    noise = random.Random(1)
    for length in lengths:
        yield f"{length} equal bytes", [("SET", "k", b"x" * length)]
        yield f"{length} random bytes", [("SET", "k", noise.randbytes(length))]
        yield f"{length} patterned bytes", [("SET", "k", bytes(at % 200 for at in range(length)))]
    for number in (*numbers, "007", "1.5"):
        yield f"the number {number}", [("SET", "k", str(number))]


def _collections() -> Iterator[tuple[str, Commands]]:
    for name, element in elements.items():
        for count in counts:
            members = [element(index) for index in range(count)]
            yield f"list of {count} {name}", [("RPUSH", "k", *members)]
            yield f"set of {count} {name}", [("SADD", "k", *members)]
            pairs = [part for index in range(count) for part in (element(index), element(index * 3))]
            yield f"hash of {count} {name}", [("HSET", "k", *pairs)]
            scored = [part for index in range(count) for part in (repr(index * 1.5 - 20), element(index))]
            yield f"sorted set of {count} {name}", [("ZADD", "k", *scored)]
    scores = ("inf", "-inf", "0.1", "1e300", "3.4e-300", "-7")
    yield "sorted set of odd scores", [("ZADD", "k", *(part for score in scores for part in (score, "m" + score)))]
    yield "list with large elements", [("RPUSH", "k", "a", "b" * 9000, "c", "d" * 20000)]
    yield "list of one large element", [("RPUSH", "k", random.Random(2).randbytes(9000))]
    yield "set with an empty member", [("SADD", "k", "", "a")]


def _streams() -> Iterator[tuple[str, Commands]]:
    entries: Commands = [
        ("XADD", "k", f"{number // 3 + 1}-{number % 3 + 1}", "f", str(number), f"g{number % 7}", "v" * (number % 90))
        for number in range(300)
    ]
    yield "stream of one entry", entries[:1]
    yield "stream of several blocks", entries
    yield (
        "stream with deleted entries",
        [*entries, ("XDEL", "k", "5-1", "7-2", "99-3"), ("XTRIM", "k", "MAXLEN", "200")],
    )
    yield "stream without entries", [*entries[:3], ("XTRIM", "k", "MAXLEN", "0")]
    yield (
        "stream with groups",
        [
            *entries[:100],
            ("XGROUP", "CREATE", "k", "g1", "0"),
            ("XGROUP", "CREATE", "k", "g2", "$"),
            ("XGROUP", "CREATE", "k", "g3", "3-2", "ENTRIESREAD", "7"),
            ("XGROUP", "CREATECONSUMER", "k", "g2", "idle"),
            ("XREADGROUP", "GROUP", "g1", "c1", "COUNT", "10", "STREAMS", "k", ">"),
            ("XREADGROUP", "GROUP", "g1", "c2", "COUNT", "5", "STREAMS", "k", ">"),
            ("XACK", "k", "g1", "1-1", "1-2"),
        ],
    )


def _timed_hashes() -> Iterator[tuple[str, Commands]]:
    for count in (1, 3, 513):
        pairs = [part for index in range(count) for part in (f"f{index}", f"v{index}")]
        expiries: Commands = [
            ("HPEXPIREAT", "k", str(far_ms + index * 1000), "FIELDS", "1", f"f{index}") for index in range(0, count, 2)
        ]
        yield f"hash of {count} with times", [("HSET", "k", *pairs), *expiries]


plain_values = [*_strings(), *_collections(), *_streams()]

stream_facts = (
    b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"recorded-first-entry-id",
)  # fmt: skip


def _content(wire: Wire) -> object:
    """Everything that a client can learn of the value, in a form that does not depend on its encoding."""
    kind = wire.value("TYPE", "k")
    if kind == b"string":
        return kind, wire.value("GET", "k")
    if kind == b"list":
        return kind, wire.value("LRANGE", "k", "0", "-1")
    if kind == b"set":
        return kind, sorted(wire.value("SMEMBERS", "k"))
    if kind == b"hash":
        flat = wire.value("HGETALL", "k")
        return kind, dict(zip(flat[::2], flat[1::2], strict=True))
    if kind == b"zset":
        flat = wire.value("ZRANGE", "k", "0", "-1", "WITHSCORES")
        return kind, [(member, float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
    assert kind == b"stream", kind
    return kind, wire.value("XRANGE", "k", "-", "+"), _stream_facts(wire)


def _stream_facts(wire: Wire) -> object:
    flat = wire.value("XINFO", "STREAM", "k")
    facts = dict(zip(flat[::2], flat[1::2], strict=True))
    groups = wire.value("XINFO", "GROUPS", "k")
    names = [group[1] for group in groups]
    pending = [
        [(entry[0], entry[1], entry[3]) for entry in wire.value("XPENDING", "k", name, "-", "+", "1000")]
        for name in names
    ]
    consumers = [[consumer[1] for consumer in wire.value("XINFO", "CONSUMERS", "k", name)] for name in names]
    return [facts[name] for name in stream_facts], groups, pending, consumers


def _times(wire: Wire) -> object:
    fields = sorted(wire.value("HKEYS", "k"))
    return wire.value("HPEXPIRETIME", "k", "FIELDS", str(len(fields)), *fields)


def _make(wire: Wire, commands: Commands) -> None:
    wire.call("DEL", "k")
    for reply in wire.pipeline(commands):
        assert not reply.is_error, reply.raw


def _move(source: Wire, target: Wire) -> None:
    payload = source.value("DUMP", "k")
    reply = target.call("RESTORE", "k", "0", payload, "REPLACE")
    assert reply.raw == b"+OK\r\n", reply.raw


@pytest.fixture
def sherd(pool: ServerPool, shape: Shape) -> Iterator[Wire]:
    """Sherd, over one and four shards."""
    with pool.get(sherd_program(), shape=shape).wire() as wire:
        yield wire


@pytest.fixture
def other(pool: ServerPool, reference_name: str) -> Iterator[Wire]:
    """Each reference."""
    with pool.get(need_reference(reference_name)).wire() as wire:
        yield wire


def test_references_read_what_sherd_dumps(sherd: Wire, other: Wire) -> None:
    """Sherd's payloads have a version and types that all three take."""
    for name, commands in plain_values:
        _make(sherd, commands)
        _move(sherd, other)
        assert _content(other) == _content(sherd), name


def test_sherd_reads_what_references_dump(sherd: Wire, other: Wire) -> None:
    """Payloads of all three are taken, and have the encoding that Sherd would have given the value."""
    for name, commands in plain_values:
        _make(other, commands)
        _move(other, sherd)
        assert _content(sherd) == _content(other), name


def test_sherd_reads_what_sherd_dumps_with_the_same_encoding(sherd: Wire) -> None:
    """Nothing is lost on the way, the encoding included.

    Except that a list which was near the limit of one node may be one listpack again, as in Redis.
    """
    for name, commands in [*plain_values, *_timed_hashes()]:
        _make(sherd, commands)
        content, encoding = _content(sherd), sherd.value("OBJECT", "ENCODING", "k")
        _move(sherd, sherd)
        assert _content(sherd) == content, name
        if encoding != b"quicklist":
            assert sherd.value("OBJECT", "ENCODING", "k") == encoding, name


def test_times_of_fields_come_from_redis_and_valkey(sherd: Wire, other: Wire, reference_name: str) -> None:
    """Redis 8 and Valkey 9 write fields that expire in formats of their own; both are read."""
    if reference_name == "redis7":
        pytest.skip("Redis 7.0 has no fields that expire")
    for name, commands in _timed_hashes():
        _make(other, commands)
        _move(other, sherd)
        assert (_content(sherd), _times(sherd)) == (_content(other), _times(other)), name


@pytest.mark.parametrize("reference_name", ["redis8"])
def test_times_of_fields_go_to_redis(sherd: Wire, other: Wire) -> None:
    """No format of them is common to Redis and Valkey; Sherd writes that of Redis."""
    for name, commands in _timed_hashes():
        _make(sherd, commands)
        _move(sherd, other)
        assert (_content(other), _times(other)) == (_content(sherd), _times(sherd)), name
