"""MIGRATE between Sherd and the references, both ways, and between two Sherds; its replies are those of the references."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.references import find_reference, need_reference
from tests.support.servers import Shape, free_port, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server, ServerPool

values = {
    "text": ("SET", "text", "value"),
    "number": ("SET", "number", "12345"),
    "list": ("RPUSH", "list", *map(str, range(600))),
    "set": ("SADD", "set", *(f"member {number}" for number in range(600))),
    "zset": ("ZADD", "zset", "1.5", "a", "-inf", "b"),
    "hash": ("HSET", "hash", "f", "v", "g", "w" * 100),
    "stream": ("XADD", "stream", "1-1", "f", "v"),
    "bytes": ("SET", "bytes", b"\r\n\x00\xff" * 1000),
}
# Nobody waits for it: these moves succeed, however long the machine takes.
move_timeout_ms = "60000"
not_written = b"-IOERR error or timeout writing to target instance\r\n"
not_read = b"-IOERR error or timeout reading to target instance\r\n"


@pytest.fixture(params=["sherd to reference", "reference to sherd"])
def pair(request: pytest.FixtureRequest, pool: ServerPool, shape: Shape, reference_name: str) -> tuple[Server, Server]:
    """Source and target."""
    servers = pool.get(sherd_program(), shape=shape), pool.get(need_reference(reference_name))
    return servers if request.param == "sherd to reference" else servers[::-1]


def migrate(source: Server, target_port: int, *words: str) -> bytes:
    """The reply to MIGRATE to a port of this host."""
    with source.wire() as wire:
        return wire.call("MIGRATE", "127.0.0.1", str(target_port), *words).raw


def fill(server: Server) -> dict[str, object]:
    """The values, and their digests there."""
    with server.wire() as wire:
        for reply in wire.pipeline(list(values.values())):
            assert not reply.is_error, reply.raw
        return contents(server)


def contents(server: Server, database: int = 0) -> dict[str, object]:
    """What the server has under each of the keys."""
    reads = {"text": "GET", "number": "GET", "bytes": "GET", "stream": "XRANGE", "list": "LRANGE", "zset": "ZRANGE"}
    with server.wire() as wire:
        wire.call("SELECT", str(database))
        found: dict[str, object] = {}
        for key in values:
            match reads.get(key):
                case "GET":
                    found[key] = wire.value("GET", key)
                case None:
                    # Neither has an order of its own.
                    found[key] = sorted(wire.value("SMEMBERS" if key == "set" else "HGETALL", key))
                case "XRANGE":
                    found[key] = wire.value("XRANGE", key, "-", "+")
                case read:
                    found[key] = wire.value(read, key, "0", "-1")
        return found


def test_keys_of_every_type_move(pair: tuple[Server, Server]) -> None:
    """One by one and many at once, into another database as well; they are gone from where they were."""
    source, target = pair
    before = fill(source)
    nothing = contents(target)
    for key in values:
        assert migrate(source, target.port, key, "0", move_timeout_ms) == b"+OK\r\n"
    assert contents(target) == before
    assert contents(source) == nothing
    fill(source)
    words = ("", "3", move_timeout_ms, "KEYS", *values, "absent")
    assert migrate(source, target.port, *words) == b"+OK\r\n"
    assert contents(target, 3) == before
    assert migrate(source, target.port, *words) == b"+NOKEY\r\n"


def test_a_copy_leaves_the_key_and_its_time_goes_along(pair: tuple[Server, Server]) -> None:
    """COPY and REPLACE, and what the target says to a key that is there already."""
    source, target = pair
    with source.wire() as here, target.wire() as there:
        begun = time.monotonic()
        here.call("SET", "k", "v", "PX", "100000")
        assert migrate(source, target.port, "k", "0", move_timeout_ms, "COPY") == b"+OK\r\n"
        assert here.value("EXISTS", "k") == 1
        left_ms = there.value("PTTL", "k")
        # The moment is carried as what is left; rounding may take a millisecond at either end.
        assert 100_000 - (time.monotonic() - begun) * 1000 - 2 <= left_ms <= 100_000
        busy = migrate(source, target.port, "k", "0", move_timeout_ms)
        assert busy == b"-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n"
        assert here.value("EXISTS", "k") == 1
        here.call("SET", "k", "w")
        assert migrate(source, target.port, "k", "0", move_timeout_ms, "REPLACE") == b"+OK\r\n"
        assert (here.value("EXISTS", "k"), there.value("GET", "k"), there.value("TTL", "k")) == (0, b"w", -1)


def test_keys_that_the_target_refuses_stay(pair: tuple[Server, Server]) -> None:
    """The others move."""
    source, target = pair
    with source.wire() as here, target.wire() as there:
        here.call("MSET", "a", "1", "b", "2", "c", "3")
        there.call("SET", "b", "mine")
        reply = migrate(source, target.port, "", "0", move_timeout_ms, "KEYS", "a", "b", "c")
        assert reply == b"-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n"
        assert here.value("MGET", "a", "b", "c") == [None, b"2", None]
        assert there.value("MGET", "a", "b", "c") == [b"1", b"mine", b"3"]


@pytest.mark.sherd_only
def test_the_target_may_want_a_password(pool: ServerPool, shape: Shape, reference_name: str) -> None:
    """AUTH and AUTH2. (A reference as the source would go on with a connection that it has authenticated before.)"""
    need_reference(reference_name)
    source = pool.get(sherd_program(), shape=shape)
    target = pool.get(find_reference(reference_name), directives={"requirepass": "secret"}, flush=False)
    with source.wire() as here:
        here.call("MSET", "a", "1", "b", "2")
        refused = migrate(source, target.port, "a", "0", move_timeout_ms, "REPLACE")
        assert refused.startswith(b"-ERR Target instance replied with error: NOAUTH")
        wrong = migrate(source, target.port, "a", "0", move_timeout_ms, "REPLACE", "AUTH", "other")
        assert wrong.startswith(b"-ERR Target instance replied with error: WRONGPASS")
        assert migrate(source, target.port, "a", "0", move_timeout_ms, "REPLACE", "AUTH", "secret") == b"+OK\r\n"
        assert (
            migrate(source, target.port, "b", "0", move_timeout_ms, "REPLACE", "AUTH2", "default", "secret")
            == b"+OK\r\n"
        )
        assert here.value("EXISTS", "a", "b") == 0


@pytest.fixture
def source(pool: ServerPool, shape: Shape, reference_name: str) -> tuple[Server, Server]:
    """Sherd, and a reference that must answer alike."""
    return pool.get(sherd_program(), shape=shape), pool.get(need_reference(reference_name))


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield listener.getsockname()[1]


def test_mistakes_are_answered_alike(source: tuple[Server, Server]) -> None:
    """Word for word."""
    unused = str(free_port())
    for words in (
        ("k", "0", "100", "FOO"), ("k", "0", "100", "AUTH"), ("k", "0", "100", "AUTH2", "x"), ("k", "x", "100"),
        ("k", "0", "y"), ("k", "0", "100", "KEYS", "k"), ("", "0", "100", "KEYS"), ("absent", "0", "100"),
        ("", "0", "100", "KEYS", "absent"), ("k", "0"), ("k", "0", "100", "COPY", "KEYS"), ("k", "0", "200"),
    ):  # fmt: skip
        replies = []
        for server in source:
            with server.wire() as wire:
                wire.call("SET", "k", "v")
                replies.append(wire.call("MIGRATE", "127.0.0.1", unused, *words).raw)
                assert wire.value("GET", "k") == b"v"
        assert replies[0] == replies[1], words


def test_a_target_that_is_silent_is_given_up(source: tuple[Server, Server]) -> None:
    """After the time that was given; the key stays."""
    with silent_port() as port:
        for server in source:
            with server.wire() as wire:
                wire.call("SET", "k", "v")
                assert wire.call("MIGRATE", "127.0.0.1", str(port), "k", "0", "200").raw == not_read
                assert wire.value("GET", "k") == b"v"


@pytest.mark.sherd_only
def test_others_go_on_while_a_key_waits_for_its_target(pool: ServerPool, shape: Shape) -> None:
    """Commands of the same and of other shards, control commands too."""
    server = pool.get(sherd_program(), shape=shape)
    with server.wire() as mover, server.wire() as other:
        with silent_port() as port:
            other.call("SET", "k", "v")
            mover.write("MIGRATE", "127.0.0.1", str(port), "k", "0", "600000")
            for number in range(50):
                assert other.value("SET", f"k{number}", "v") == b"OK"
            assert other.value("GET", "k") == b"v"
            assert b"redis_version" in other.value("INFO", "server")
        # The target is gone now, which ends a wait of ten minutes.
        assert mover.read().raw.startswith(b"-IOERR ")


@pytest.mark.sherd_only
def test_a_server_does_not_move_a_key_onto_itself(pool: ServerPool, shape: Shape) -> None:
    """It would be removed as sent. Into another database it may move."""
    server = pool.get(sherd_program(), shape=shape)
    with server.wire() as wire:
        wire.call("SET", "k", "v")
        assert migrate(server, server.port, "k", "0", "500", "REPLACE") == not_read
        assert wire.value("GET", "k") == b"v"
        assert migrate(server, server.port, "k", "1", move_timeout_ms) == b"+OK\r\n"
        assert wire.pipeline([("EXISTS", "k"), ("SELECT", "1"), ("GET", "k")])[2].value == b"v"


@pytest.mark.sherd_only
def test_no_write_is_lost_while_keys_move(pool: ServerPool, shape: Shape) -> None:
    """A counter that is incremented all the time is either here or there with all that was counted before."""
    here, there = pool.get(sherd_program(), shape=shape), pool.get(sherd_program(), shape=Shape(shards=2, io_threads=2))
    stop, counted = threading.Event(), [0]

    def count() -> None:
        with here.wire() as wire:
            while not stop.is_set():
                wire.call("INCR", "counter")
                counted[0] += 1
                # Now and then there is a moment in which the key does not change.
                time.sleep(0.002)

    counter = threading.Thread(target=count)
    counter.start()
    moved = 0
    try:
        with there.wire() as wire:
            for _ in range(30):
                if migrate(here, there.port, "counter", "0", move_timeout_ms) == b"+OK\r\n":
                    moved += int(wire.value("GETDEL", "counter"))
                else:
                    wire.call("DEL", "counter")
    finally:
        stop.set()
        counter.join(timeout=20)
    with here.wire() as wire:
        assert moved + int(wire.value("GET", "counter") or 0) == counted[0]
    assert moved > 0
