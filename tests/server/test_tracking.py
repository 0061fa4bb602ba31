"""Client-side caching: what no conversation with a reference shows, as it depends on time, on bounds or on who has gone."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program

if TYPE_CHECKING:
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

shapes = [Shape(shards=1, io_threads=1), Shape(shards=1, io_threads=2), Shape(shards=4, io_threads=2)]
bound_seconds = 60.0


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def server(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """An empty server."""
    return pool.get(shape=request.param)


def _told(wire: Wire) -> list[bytes | None]:
    """The keys that a client has been told of by now; None is all of them."""
    wire.write("PING", "here")
    told: list[bytes | None] = []
    while b"here" not in (reply := wire.read()).raw:
        assert reply.raw.startswith(b">2\r\n$10\r\ninvalidate\r\n"), reply.raw
        told.extend(reply.value[1] or [None])
    return told


def _told_in_time(wire: Wire, expected: int) -> list[bytes | None]:
    deadline = time.monotonic() + bound_seconds
    told: list[bytes | None] = []
    while len(told) < expected:
        assert time.monotonic() < deadline, told
        told += _told(wire)
    return told


def _info(wire: Wire, field: str) -> int:
    text = wire.value("INFO", "everything").decode()
    return int(next(line for line in text.splitlines() if line.startswith(field + ":")).partition(":")[2])


# Until then a busy machine has read what is to expire.
READ_MILLISECONDS_MAX = "600"


def test_expiry_is_told_whoever_finds_it(server: Server) -> None:
    """A key that somebody reads after its time, and one that only the sweep comes to."""
    with server.wire(protocol=3) as cache, server.wire() as other:
        cache.value("CLIENT", "TRACKING", "ON")
        other.value("SET", "swept", "1", "PX", READ_MILLISECONDS_MAX)
        assert cache.value("GET", "swept") == b"1"
        assert _told_in_time(cache, 1) == [b"swept"]
        other.value("HSET", "h", "f", "1")
        other.value("HPEXPIRE", "h", READ_MILLISECONDS_MAX, "FIELDS", "1", "f")
        assert cache.value("HGET", "h", "f") == b"1"
        assert _told_in_time(cache, 1)[0] == b"h"


@pytest.mark.parametrize("with_info", [False, True], ids=["shards", "both planes"])
def test_what_a_transaction_reads_that_begins_to_track_is_told_of(server: Server, with_info: bool) -> None:
    """Whoever executes it, and however soon a key changes: with busy shards it is another thread than the client's."""
    with server.wire() as writer, server.wire() as sleeper, server.wire() as admin:
        admin.value("CONFIG", "SET", "notify-keyspace-events", "")
        for number in range(60):
            writer.value("SET", "k", "old")
            with server.wire(protocol=3) as cache:
                cache.call("PING")
                sleeper.write("EVAL", "for i = 1, 30000 do redis.call('GET', KEYS[1]) end", "1", "k")
                cache.send(b"".join(
                    encode_command(*words) for words in (
                        ("MULTI",), *([("INFO", "server")] if with_info else []), ("CLIENT", "TRACKING", "ON"),
                        ("GET", "k"), ("EXEC",),
                    )
                ))  # fmt: skip
                writer.value("SET", "k", "new")
                sleeper.read()
                told: list[bytes] = []
                while not (reply := cache.read()).raw.startswith(b"*"):
                    if reply.raw.startswith(b">"):
                        told += reply.value[1]
                got = reply.value[-1]
                told += [key for key in _told(cache) if key is not None]
                assert got == b"new" or b"k" in told, (number, got, told)


def test_eviction_is_told() -> None:
    """Of keys that had to make room."""
    with Server(sherd_program(), shape=shapes[0]) as server, server.wire(protocol=3) as cache, server.wire() as other:
        cache.value("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "old:")
        for number in range(100):
            other.value("SET", f"old:{number}", b"x" * 10000)
        assert len(_told(cache)) == 100
        used = _info(other, "used_memory")
        other.value("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", str(used + 100_000))
        for number in range(40):
            other.value("SET", f"new:{number}", b"x" * 10000)
        assert _told(cache)
        assert _info(other, "evicted_keys") > 0


def test_no_more_is_remembered_than_may_be(server: Server) -> None:
    """Whoever has read a key that is forgotten is told of it; a smaller bound is kept at once."""
    with server.wire(protocol=3) as cache, server.wire() as other:
        try:
            other.value("CONFIG", "SET", "tracking-table-max-keys", "100")
            cache.value("CLIENT", "TRACKING", "ON")
            assert _info(other, "tracking_clients") == 1
            for number in range(1000):
                cache.write("GET", f"key:{number}")
            values = 0
            forgotten: list[bytes] = []
            while values < 1000:
                reply = cache.read()
                if reply.raw[:1] == b">":
                    forgotten += reply.value[1]
                else:
                    values += 1
            forgotten += _told(cache)
            kept = _info(other, "tracking_total_keys")
            assert 0 < kept <= 100
            assert (len(forgotten), _info(other, "tracking_total_items")) == (1000 - kept, kept)
            assert len(set(forgotten)) == len(forgotten)
            other.value("CONFIG", "SET", "tracking-table-max-keys", "8")
            assert len(_told_in_time(cache, kept - 8)) >= kept - 8
            assert _info(other, "tracking_total_keys") <= 8
        finally:
            other.value("CONFIG", "SET", "tracking-table-max-keys", "1000000")


def test_nothing_is_left_of_clients_that_have_gone(server: Server) -> None:
    """Neither the count, nor prefixes, nor what was read."""
    fields = ("tracking_clients", "tracking_total_prefixes", "tracking_total_keys", "tracking_total_items")

    def wait_until_nothing_is_left(other: Wire) -> None:
        deadline = time.monotonic() + bound_seconds
        while any(left := [_info(other, field) for field in fields]):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    with server.wire() as other:
        wait_until_nothing_is_left(other)
        with contextlib.ExitStack() as stack:
            caches = [stack.enter_context(server.wire(protocol=3)) for _ in range(6)]
            for number, cache in enumerate(caches):
                options = ["BCAST", "PREFIX", f"p{number}:", "PREFIX", f"q{number}:"] if number % 2 else []
                cache.value("CLIENT", "TRACKING", "ON", *options)
                cache.value("MGET", "a", "b")
            assert [_info(other, field) for field in fields] == [6, 6, 2, 6]
        wait_until_nothing_is_left(other)


@pytest.mark.parametrize("options", [(), ("BCAST",)])
def test_who_redirects_to_a_client_that_has_gone_is_told(server: Server, options: tuple[str, ...]) -> None:
    """With every change of a key, and in CLIENT LIST; until it tracks in another way."""
    with server.wire(protocol=3) as cache, server.wire() as writer:
        with server.wire(protocol=3) as ears:
            identity = ears.value("CLIENT", "ID")
            cache.value("CLIENT", "TRACKING", "ON", "REDIRECT", str(identity), *options)
            cache.value("GET", "k")
            writer.value("SET", "k", "1")
            assert _told(ears) == [b"k"]
        deadline = time.monotonic() + bound_seconds
        while str(identity) in [
            line.split()[0].removeprefix("id=") for line in writer.value("CLIENT", "LIST").decode().splitlines()
        ]:
            assert time.monotonic() < deadline
        cache.value("GET", "k")
        writer.value("SET", "k", "2")
        broken = cache.read()
        assert broken.raw == b">2\r\n$21\r\ntracking-redir-broken\r\n:%d\r\n" % identity
        line = cache.value("CLIENT", "INFO").decode()
        assert f" redir={identity} " in line
        assert f" flags=tR{'B' if options else ''} " in line
        assert b"broken_redirect" in cache.call("CLIENT", "TRACKINGINFO").raw
        cache.value("CLIENT", "TRACKING", "OFF")
        assert " redir=-1 " in cache.value("CLIENT", "INFO").decode()
        cache.value("CLIENT", "TRACKING", "ON")
        assert " flags=t " in cache.value("CLIENT", "INFO").decode()
        assert " redir=0 " in cache.value("CLIENT", "INFO").decode()


def test_a_client_that_waits_for_a_key_is_told_at_once(server: Server) -> None:
    """It would wait for ever with a cache that is stale."""
    with server.wire(protocol=3) as cache, server.wire() as writer:
        cache.value("CLIENT", "TRACKING", "ON")
        cache.value("GET", "k")
        cache.write("BLPOP", "l", "0")
        deadline = time.monotonic() + bound_seconds
        while _info(writer, "blocked_clients") == 0:
            assert time.monotonic() < deadline
        writer.value("SET", "k", "1")
        assert cache.read().value == [b"invalidate", [b"k"]]
        writer.value("RPUSH", "l", "x")
        assert cache.read().value == [b"l", b"x"]


def test_own_changes_follow_the_replies_to_the_commands_that_made_them(server: Server) -> None:
    """Each right behind its own, within a pipeline as well; the order is that of the commands, whichever shards they go to."""
    with server.wire(protocol=3) as cache:
        cache.value("CLIENT", "TRACKING", "ON")
        keys = [f"k:{number}" for number in range(20)]
        cache.value("MGET", *keys)
        cache.send(b"".join(encode_command("SET", key, "1") for key in keys))
        replies = [cache.read() for _ in range(2 * len(keys))]
        assert [reply.raw for reply in replies[::2]] == [b"+OK\r\n"] * len(keys)
        assert [reply.value for reply in replies[1::2]] == [[b"invalidate", [key.encode()]] for key in keys]


def test_an_own_change_is_told_where_its_reply_is_not_sent(server: Server) -> None:
    """CLIENT REPLY keeps back replies, and nothing else."""
    with server.wire(protocol=3) as cache:
        cache.value("CLIENT", "TRACKING", "ON")
        cache.value("GET", "k")
        cache.send(encode_command("CLIENT", "REPLY", "SKIP") + encode_command("SET", "k", "1"))
        assert _told_in_time(cache, 1) == [b"k"]


def test_an_exchange_of_databases_is_a_change_of_everything(server: Server) -> None:
    """The references say nothing of it, so that what their clients have in their caches is wrong."""
    with server.wire(protocol=3) as cache, server.wire() as writer:
        cache.value("CLIENT", "TRACKING", "ON")
        assert cache.value("GET", "k") is None
        writer.value("SWAPDB", "0", "1")
        assert _told(cache) == [None]


def test_what_is_pushed_counts_for_the_client(server: Server) -> None:
    """As bytes that were sent to it, and towards the limit of its output."""
    with server.wire(protocol=3) as cache, server.wire() as writer:
        cache.value("CLIENT", "TRACKING", "ON", "BCAST")
        identity = str(cache.value("CLIENT", "ID"))

        def sent() -> int:
            line = writer.value("CLIENT", "LIST", "ID", identity).decode()
            return int(line.partition("tot-net-out=")[2].split()[0])

        before = sent()
        writer.value("SET", "k" * 10000, "1")
        assert _told(cache) == [b"k" * 10000]
        assert sent() - before > 10000
