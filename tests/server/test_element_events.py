"""Events that name the fields of a hash that they are about, on the four channels that Redis 8.8 has for them.

None of the references is that new, so what is expected is written down here, as its documentation has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=3)]

Told = list[tuple[str, str]]


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def server(request: pytest.FixtureRequest, pool: ServerPool) -> Iterator[Server]:
    """An empty server, which raises no events behind the test."""
    server = pool.get(shape=request.param)
    yield server
    with server.wire() as wire:
        wire.value("CONFIG", "SET", "notify-keyspace-events", "")


def _told(server: Server, classes: str, *lines: str, db: int = 0) -> Told:
    """What subscribers of all channels hear of commands."""
    with server.wire() as wire, server.wire() as ears:
        wire.value("CONFIG", "SET", "notify-keyspace-events", classes)
        ears.call("PSUBSCRIBE", "__*@*__:*")
        if db:
            wire.value("SELECT", str(db))
        for line in lines:
            reply = wire.call(*line.split())
            assert not reply.is_error, (line, reply.raw)
        return _heard(ears, wire)


def _heard(ears: Wire, wire: Wire) -> Told:
    wire.value("PUBLISH", "__end@0__:", "")
    heard: Told = []
    while True:
        channel, message = (word.decode() for word in ears.read().value[2:4])
        if channel == "__end@0__:":
            return heard
        heard.append((channel, message))


def test_each_letter_is_a_channel(server: Server) -> None:
    """By key, by event, by key and field, and by event and key; they ask for no others, nor do others for them."""
    expected: dict[str, Told] = {
        "K": [("__keyspace@0__:k", "hset")],
        "E": [("__keyevent@0__:hset", "k")],
        "S": [("__subkeyspace@0__:k", "hset|1:a,5:field")],
        "T": [("__subkeyevent@0__:hset", "1:k|1:a,5:field")],
        "I": [("__subkeyspaceitem@0__:k\na", "hset"), ("__subkeyspaceitem@0__:k\nfield", "hset")],
        "V": [("__subkeyspaceevent@0__:hset|k", "1:a,5:field")],
    }
    for letter, told in expected.items():
        assert _told(server, f"{letter}h", "HSET k a 1 field 2") == told
        assert _told(server, letter, "HSET k a 1 field 2") == []
    everything = [line for told in expected.values() for line in told]
    assert _told(server, "KESTIVA", "HSET k a 1 field 2") == everything
    assert _told(server, "VITSEKh", "HSET k a 1 field 2") == everything
    assert _told(server, "Sh", "HSET k a 1", db=3) == [("__subkeyspace@3__:k", "hset|1:a")]


def test_commands_name_the_fields_that_they_change(server: Server) -> None:
    """And no others; what changes none is not told."""
    lines = """
HSET k a 1 b 2 c 3
HMSET k a 1 a 2
HSETNX k a 9
HSETNX k d 4
HINCRBY k b 1
HINCRBYFLOAT k b 1.5
HDEL k none
HDEL k none a a
HGETDEL k FIELDS 2 none b
HEXPIRE k 100 FIELDS 3 c none d
HPEXPIRE k 100 GT FIELDS 1 c
HEXPIREAT k 9000000000 FIELDS 1 c
HPEXPIREAT k 9000000000000 NX FIELDS 1 c
HPERSIST k FIELDS 3 c none d
HPERSIST k FIELDS 1 c
HGETEX k FIELDS 1 c
HGETEX k EX 100 FIELDS 2 none c
HGETEX k PERSIST FIELDS 2 c d
HGETEX k PXAT 1 FIELDS 1 d
HSETEX k EX 100 FIELDS 2 x 1 y 2
HSETEX k FNX FIELDS 1 x 1
HSETEX k FIELDS 1 z 1
HSETEX k PXAT 1 FIELDS 1 z 1
HPEXPIRE k 0 FIELDS 2 x y
HDEL k c
"""
    told = [message for _, message in _told(server, "Sh", *lines.strip().splitlines())]
    assert told == [
        "hset|1:a,1:b,1:c", "hset|1:a,1:a", "hset|1:d", "hincrby|1:b", "hincrbyfloat|1:b", "hdel|1:a", "hdel|1:b",
        "hexpire|1:c,1:d", "hexpire|1:c", "hpersist|1:c,1:d", "hexpire|1:c", "hpersist|1:c", "hdel|1:d",
        "hset|1:x,1:y", "hexpire|1:x,1:y", "hset|1:z", "hset|1:z", "hdel|1:z", "hdel|1:x,1:y", "hdel|1:c",
    ]  # fmt: skip


def test_fields_that_expire_are_named_whoever_finds_them(server: Server) -> None:
    """The shard by itself, all of a key at once, before the key goes."""
    with server.wire() as wire, server.wire() as ears:
        wire.value("CONFIG", "SET", "notify-keyspace-events", "SKhg")
        ears.call("PSUBSCRIBE", "__*@*__:*")
        wire.value("HSETEX", "k", "PX", "20", "FIELDS", "2", "a", "1", "b", "2")
        heard = [tuple(word.decode() for word in ears.read().value[2:4]) for _ in range(7)]
    assert heard[:4] == [
        ("__keyspace@0__:k", "hset"), ("__subkeyspace@0__:k", "hset|1:a,1:b"),
        ("__keyspace@0__:k", "hexpire"), ("__subkeyspace@0__:k", "hexpire|1:a,1:b"),
    ]  # fmt: skip
    assert heard[4] == ("__keyspace@0__:k", "hexpired")
    assert heard[5] in [("__subkeyspace@0__:k", f"hexpired|{fields}") for fields in ("1:a,1:b", "1:b,1:a")]
    assert heard[6] == ("__keyspace@0__:k", "del")


def test_transactions_and_scripts_tell_as_well(server: Server) -> None:
    """In the order in which it came about."""
    script = "redis.call('HSET',KEYS[1],'a','1')return(redis.call('HDEL',KEYS[1],'a'))"
    told = _told(server, "Th", "MULTI", "HSET k b 1", "SADD s x", "HINCRBY k b 1", "EXEC", f"EVAL {script} 1 other")
    assert told == [
        ("__subkeyevent@0__:hset", "1:k|1:b"), ("__subkeyevent@0__:hincrby", "1:k|1:b"),
        ("__subkeyevent@0__:hset", "5:other|1:a"), ("__subkeyevent@0__:hdel", "5:other|1:a"),
    ]  # fmt: skip


def test_any_bytes_may_be_in_names(server: Server) -> None:
    """A key with a line feed has no channels of its own fields, as their names could not be told apart."""
    with server.wire() as wire, server.wire() as ears:
        wire.value("CONFIG", "SET", "notify-keyspace-events", "STIVh")
        ears.call("PSUBSCRIBE", "__*@*__:*")
        wire.value("HSET", b"k\n", b"a\n,2:|", b"1")
        wire.value("HSET", "k", b"a\n\x00", b"1", b"", b"2")
        told = _heard(ears, wire)
    assert told == [
        ("__subkeyspace@0__:k\n", "hset|6:a\n,2:|"),
        ("__subkeyevent@0__:hset", "2:k\n|6:a\n,2:|"),
        ("__subkeyspaceevent@0__:hset|k\n", "6:a\n,2:|"),
        ("__subkeyspace@0__:k", "hset|3:a\n\x00,0:"),
        ("__subkeyevent@0__:hset", "1:k|3:a\n\x00,0:"),
        ("__subkeyspaceitem@0__:k\na\n\x00", "hset"),
        ("__subkeyspaceitem@0__:k\n", "hset"),
        ("__subkeyspaceevent@0__:hset|k", "3:a\n\x00,0:"),
    ]
