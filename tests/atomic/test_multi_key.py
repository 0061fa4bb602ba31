"""A command over keys of several shards happens at one moment: no reader sees half of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.atomic.crowd import run_crowd
from tests.support.servers import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

round_count = 600
keys = [f"key:{number}" for number in range(16)]


@pytest.fixture(params=[1, 4])
def sharded(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """An empty server: one shard, and four, with several IO threads."""
    return pool.get(shape=Shape(shards=request.param, io_threads=4))


def _pairs(value: str) -> list[str]:
    return [word for key in keys for word in (key, value)]


def test_mget_sees_all_of_an_mset_or_nothing(sharded: Server) -> None:
    """All keys have the same value at every moment."""

    def write(name: str) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            for number in range(round_count):
                assert wire.call("MSET", *_pairs(f"{name}{number}")).raw == b"+OK\r\n"

        return run

    def read(wire: Wire) -> None:
        assert len(set(wire.value("MGET", *keys))) == 1

    run_crowd(sharded, [write(name) for name in "abcd"], [read] * 3)


def test_msetnx_is_won_by_exactly_one(sharded: Server) -> None:
    """Several connections race for overlapping keys; the sets of the winners do not overlap."""
    wins: list[int] = []

    def race(wire: Wire) -> None:
        for number in range(round_count):
            wins.append(wire.value("MSETNX", *[f"{number}:{word}" for word in _pairs("x")]))

    run_crowd(sharded, [race] * 4)
    assert sum(wins) == round_count


def test_del_and_exists_see_the_same_moment(sharded: Server) -> None:
    """All keys come and go together."""

    def write(wire: Wire) -> None:
        for number in range(round_count):
            wire.call("MSET", *_pairs(str(number)))
            wire.call("DEL" if number % 2 else "UNLINK", *keys)

    def read(wire: Wire) -> None:
        assert wire.value("EXISTS", *keys) in (0, len(keys))

    run_crowd(sharded, [write], [read] * 3)


def test_rename_leaves_the_value_in_exactly_one_place(sharded: Server) -> None:
    """A value that wanders over the shards is never doubled and never missing."""
    with sharded.wire() as wire:
        wire.call("SET", keys[0], "wanderer")

    def write(seed: int) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            generator = random.Random(seed)
            for _ in range(round_count * 2):
                source, target = generator.sample(keys, 2)
                wire.call(generator.choice(["RENAME", "RENAMENX"]), source, target)

        return run

    def read(wire: Wire) -> None:
        assert wire.value("EXISTS", *keys) == 1
        assert [value for value in wire.value("MGET", *keys) if value] == [b"wanderer"]

    run_crowd(sharded, [write(seed) for seed in range(4)], [read] * 3)


def test_smove_keeps_every_member_in_exactly_one_set(sharded: Server) -> None:
    """The union never changes, and no two sets share a member."""
    members = [f"m{number}" for number in range(40)]
    with sharded.wire() as wire:
        wire.call("SADD", keys[0], *members)

    def write(seed: int) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            generator = random.Random(seed)
            for _ in range(round_count * 2):
                source, target = generator.sample(keys, 2)
                wire.call("SMOVE", source, target, generator.choice(members))

        return run

    def read(wire: Wire) -> None:
        assert len(wire.value("SUNION", *keys)) == len(members)
        replies = wire.pipeline([("MULTI",), *[("SCARD", key) for key in keys], ("EXEC",)])
        assert sum(replies[-1].value) == len(members)

    run_crowd(sharded, [write(seed) for seed in range(4)], [read] * 2)


def test_lmove_keeps_every_element_in_exactly_one_list(sharded: Server) -> None:
    """The sum of the lengths is constant, and no element is doubled."""
    elements = [str(number) for number in range(50)]
    with sharded.wire() as wire:
        wire.call("RPUSH", keys[0], *elements)

    def write(seed: int) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            generator = random.Random(seed)
            for _ in range(round_count * 2):
                source, target = generator.choice(keys), generator.choice(keys)
                ends = generator.choices(["LEFT", "RIGHT"], k=2)
                wire.call("LMOVE", source, target, *ends)

        return run

    def read(wire: Wire) -> None:
        replies = wire.pipeline([("MULTI",), *[("LRANGE", key, "0", "-1") for key in keys], ("EXEC",)])
        found = [element for part in replies[-1].value for element in part]
        assert sorted(map(int, found)) == list(range(len(elements)))

    run_crowd(sharded, [write(seed) for seed in range(4)], [read] * 2)


def test_store_commands_write_what_one_moment_held(sharded: Server) -> None:
    """Two equal sets are replaced together; their intersection and union always equal the whole."""

    def members(generation: int) -> list[str]:
        return [f"g{generation}:{number}" for number in range(10)]

    with sharded.wire() as wire:
        wire.call("SADD", "left", *members(0))
        wire.call("SADD", "right", *members(0))

    def write(wire: Wire) -> None:
        for generation in range(1, round_count):
            new = members(generation)
            wire.pipeline(
                [("MULTI",), ("DEL", "left", "right"), ("SADD", "left", *new), ("SADD", "right", *new), ("EXEC",)]
            )

    def read(target: str, command: str, expected: int) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            assert wire.value(command, target, "left", "right") == expected

        return run

    readers = [read("d1", "SINTERSTORE", 10), read("d2", "SUNIONSTORE", 10), read("d3", "SDIFFSTORE", 0)]
    run_crowd(sharded, [write], readers)


def test_zunionstore_sees_both_inputs_at_one_moment(sharded: Server) -> None:
    """Scores in two sorted sets are kept opposite; their sum is always zero."""

    def write(seed: int) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            generator = random.Random(seed)
            for _ in range(round_count):
                amount = str(generator.randrange(1000))
                wire.pipeline(
                    [("MULTI",), ("ZADD", "plus", amount, "m"), ("ZADD", "minus", f"-{amount}", "m"), ("EXEC",)]
                )

        return run

    def read(wire: Wire) -> None:
        replies = wire.pipeline([("ZUNIONSTORE", "sum", "2", "plus", "minus"), ("ZSCORE", "sum", "m")])
        assert replies[-1].value in (None, b"0", b"-0")

    run_crowd(sharded, [write(seed) for seed in range(3)], [read])


def test_copy_takes_a_value_that_existed(sharded: Server) -> None:
    """A list whose elements are always equal is copied while it is rewritten."""

    def write(wire: Wire) -> None:
        for number in range(round_count):
            wire.pipeline([("MULTI",), ("DEL", "source"), ("RPUSH", "source", *[str(number)] * 20), ("EXEC",)])

    def read(target: str) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            wire.call("COPY", "source", target, "REPLACE")
            elements = wire.value("LRANGE", target, "0", "-1")
            assert len(set(elements)) <= 1
            assert len(elements) in (0, 20)

        return run

    run_crowd(sharded, [write], [read("copy:a"), read("copy:b")])


def test_flushall_empties_every_shard_at_one_moment(sharded: Server) -> None:
    """Keys that are written together are flushed together."""

    def write(wire: Wire) -> None:
        for number in range(round_count):
            wire.call("MSET", *_pairs(str(number)))

    def flush(wire: Wire) -> None:
        for number in range(round_count // 2):
            wire.call("FLUSHALL", "ASYNC" if number % 2 else "SYNC")

    def read(wire: Wire) -> None:
        assert wire.value("EXISTS", *keys) in (0, len(keys))
        assert wire.value("DBSIZE") in (0, len(keys))

    run_crowd(sharded, [write, flush], [read] * 2)


def test_swapdb_exchanges_every_shard_at_one_moment(sharded: Server) -> None:
    """Database 0 has one generation of keys, database 1 another; a reader sees one of them whole."""
    with sharded.wire() as wire:
        wire.call("MSET", *_pairs("zero"))
        wire.pipeline([("SELECT", "1"), ("MSET", *_pairs("one"))])

    def swap(wire: Wire) -> None:
        for _ in range(round_count):
            assert wire.call("SWAPDB", "0", "1").raw == b"+OK\r\n"

    def read(wire: Wire) -> None:
        assert set(wire.value("MGET", *keys)) in ({b"zero"}, {b"one"})

    run_crowd(sharded, [swap, swap], [read] * 3)


def test_a_pipeline_of_one_connection_keeps_its_order_over_shards(sharded: Server) -> None:
    """A client reads its own writes, whichever shards the commands of one packet go to."""

    def work(name: str) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            for number in range(round_count // 5):
                commands: list[tuple[str, ...]] = []
                for key in keys:
                    commands += [("SET", f"{name}{key}", str(number)), ("GET", f"{name}{key}")]
                commands.append(("MGET", *[f"{name}{key}" for key in keys]))
                commands.append(("DEL", *[f"{name}{key}" for key in keys]))
                commands.append(("EXISTS", *[f"{name}{key}" for key in keys]))
                replies = [reply.value for reply in wire.pipeline(commands)]
                value = str(number).encode()
                assert replies == [b"OK", value] * len(keys) + [[value] * len(keys), len(keys), 0]

        return run

    run_crowd(sharded, [work(name) for name in "abcdef"])
