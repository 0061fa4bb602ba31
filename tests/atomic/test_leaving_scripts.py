"""A script that has always kept to the keys it names may leave them at any call: even then a pipeline is executed in its order, and
others see all of what it writes or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.atomic.crowd import run_crowd
from tests.support.servers import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

round_count = 100
read_another = "return redis.call('get', ARGV[1])"
write_another = "return redis.call('set', ARGV[1], 'by the script')"


@pytest.fixture(params=[(1, 2), (4, 2), (4, 3)], ids=lambda param: f"{param[0]} shards, RESP{param[1]}")
def wire(request: pytest.FixtureRequest, pool: ServerPool) -> Wire:
    """A client of one shard, and of four in both protocols."""
    shards, protocol = request.param
    return pool.get(shape=Shape(shards=shards, io_threads=2)).wire(protocol=protocol)


def trusted(wire: Wire, source: str, number: int) -> tuple[str, str]:
    """A script of its own that has kept to the keys it names so far, and its key."""
    source, key = f"{source} -- {number}", f"{{named:{number}}}"
    for _ in range(2):
        assert not wire.call("EVAL", source, "1", key, key).is_error
    return source, key


def test_sees_what_was_written_to_another_shard_before_it(wire: Wire) -> None:
    """What the pipeline has in front of the script is executed before it."""
    for number in range(round_count):
        source, key = trusted(wire, read_another, number)
        other = f"{{other:{number}}}"
        _, seen = wire.pipeline([("SET", other, "new"), ("EVAL", source, "1", key, other)])
        assert seen.value == b"new", number


def test_sees_nothing_that_is_written_to_another_shard_behind_it(wire: Wire) -> None:
    """What the pipeline has behind the script is executed after it, in shards that have nothing else to do as well."""
    for number in range(round_count):
        source, key = trusted(wire, write_another, number)
        other = f"{{other:{number}}}"
        wire.pipeline([("EVAL", source, "1", key, other), ("SET", other, "behind it"), ("SET", other, "last", "XX")])
        assert wire.value("GET", other) == b"last", number


def test_a_pipeline_of_scripts_for_many_shards_is_answered_in_order(wire: Wire) -> None:
    """Scripts that go to one shard after the other, with other commands in between, all of them in one packet."""
    source, _ = trusted(wire, read_another, round_count)
    commands: list[tuple[str, ...]] = []
    for number in range(round_count):
        key = f"{{{number}}}"
        commands += [("SET", key, str(number)), ("EVAL", source, "1", key, key), ("APPEND", key, "+"), ("PING",)]
    replies = [reply.value for reply in wire.pipeline(commands)]
    for number in range(round_count):
        assert replies[4 * number : 4 * number + 4] == [b"OK", str(number).encode(), len(str(number)) + 1, b"PONG"]


def test_a_script_that_leaves_after_it_has_written_is_whole_to_others(pool: ServerPool) -> None:
    """Others keep its shards busy, wait for several in order, and read both of its keys; it never gives up half way."""
    server = pool.get(shape=Shape(shards=4, io_threads=4))
    pairs = [(f"{{named:{number}}}", f"{{other:{number}}}") for number in range(8)]
    writes_both = "redis.call('set', KEYS[1], ARGV[2]) redis.call('set', ARGV[1], ARGV[2])"
    spins = "redis.call('get', KEYS[1]) for i = 1, tonumber(ARGV[1]) do end"

    def leave(wire: Wire) -> None:
        for number in range(4 * round_count):
            named, other = pairs[number % len(pairs)]
            source = f"{writes_both} -- {number}"
            for value in ("before", "before"):
                assert not wire.call("EVAL", source, "1", named, named, value).is_error
            wire.call("MSET", named, "before", other, "before")
            reply = wire.call("EVAL", source, "1", named, other, str(number))
            assert not reply.is_error, reply.raw

    def read(wire: Wire) -> None:
        for named, other in pairs:
            first, second = wire.value("MGET", named, other)
            assert first == second or first == b"before", (first, second)

    def spin(wire: Wire) -> None:
        for named, _ in pairs:
            wire.call("EVAL", spins, "1", named, "20000")

    def wait_for_all(wire: Wire) -> None:
        wire.call("MSET", *[word for number in range(16) for word in (f"filler:{number}", "x")])
        wire.call("DEBUG", "DIGEST")

    run_crowd(server, [leave], [read, read, spin, spin, wait_for_all])


def test_scripts_that_need_each_others_shards_do_not_wait_for_each_other(pool: ServerPool) -> None:
    """Half of them are named for one shard and turn to the other, while both have more such scripts waiting. One of two gives up."""
    server = pool.get(shape=Shape(shards=4, io_threads=4))
    writes_both = "redis.call('set', KEYS[1], ARGV[2]) return redis.call('append', ARGV[1], 'x')"

    def leave(number: int) -> Callable[[Wire], None]:
        named, other = (f"{{{'ab'[(number + turn) % 2]}}}{number}" for turn in (0, 1))

        def run(wire: Wire) -> None:
            for turn in range(2 * round_count):
                source = f"{writes_both} -- {number} {turn}"
                wire.pipeline([("EVAL", source, "1", named, named, "x")] * 2)
                _, reply, seen = wire.pipeline(
                    [("DEL", other), ("EVAL", source, "1", named, other, str(turn)), ("GET", named)]
                )
                assert reply.raw == b":1\r\n" or reply.raw.startswith(b"-TRYAGAIN "), reply.raw
                assert seen.value == str(turn).encode()

        return run

    run_crowd(server, [leave(number) for number in range(8)])
