"""A consumer that waits for a stream's group, and whatever may become of the stream: it is told at once, as in Redis.

One test for every cause of a key's change. What no command does itself used to go unnoticed: FLUSHALL, expiry, eviction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.support.servers import Server, sherd_program

if TYPE_CHECKING:
    from tests.support.servers import Shape
    from tests.support.wire import Wire

NO_GROUP = b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

causes: dict[str, tuple[bytes, list[tuple[str, ...]]]] = {
    "DEL": (NO_GROUP, [("DEL", "s")]),
    "UNLINK": (NO_GROUP, [("UNLINK", "s")]),
    "FLUSHALL": (NO_GROUP, [("FLUSHALL",)]),
    "FLUSHALL SYNC": (NO_GROUP, [("FLUSHALL", "SYNC")]),
    "FLUSHDB": (NO_GROUP, [("FLUSHDB",)]),
    "SWAPDB": (NO_GROUP, [("SWAPDB", "0", "1")]),
    "RENAME away": (NO_GROUP, [("RENAME", "s", "t")]),
    "RENAME over": (WRONG_TYPE, [("SET", "t", "x"), ("RENAME", "t", "s")]),
    "MOVE": (NO_GROUP, [("MOVE", "s", "1")]),
    "SET": (WRONG_TYPE, [("SET", "s", "x")]),
    "COPY": (WRONG_TYPE, [("SET", "t", "x"), ("COPY", "t", "s", "REPLACE")]),
    "an expiry in the past": (NO_GROUP, [("PEXPIREAT", "s", "1")]),
    "active expiry": (NO_GROUP, [("PEXPIRE", "s", "1")]),
    "lazy expiry": (NO_GROUP, [("DEBUG", "SET-ACTIVE-EXPIRE", "0"), ("PEXPIRE", "s", "1"), ("BLPOP", "none", "0.05"), ("GET", "s")]),
    "XGROUP DESTROY": (NO_GROUP, [("XGROUP", "DESTROY", "s", "g")]),
}  # fmt: skip


def wait_in_group(server: Server, wire: Wire) -> Wire:
    """A consumer that has begun to wait."""
    wire.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    consumer = server.wire()
    consumer.write("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">")
    eventually(lambda: info_field(wire, "clients", "blocked_clients") == "1", "the consumer waits")
    return consumer


@pytest.mark.parametrize("inside_multi", [False, True], ids=["", "multi"])
@pytest.mark.parametrize("cause", causes)
def test_a_consumer_is_told_when_its_stream_goes(server: Server, wire: Wire, cause: str, inside_multi: bool) -> None:
    """The same answer for every cause, in a transaction or not."""
    expected, commands = causes[cause]
    with wait_in_group(server, wire) as consumer:
        try:
            if inside_multi:
                commands = [command for command in commands if command[0] != "BLPOP"]
                wire.pipeline([("MULTI",), *commands, ("EXEC",)])
                if cause == "lazy expiry":
                    wire.pipeline([("BLPOP", "none", "0.05"), ("GET", "s")])
            else:
                wire.pipeline(commands)
            assert consumer.read().raw == expected
        finally:
            wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_a_consumer_is_told_when_its_stream_is_evicted(shape: Shape) -> None:
    """By the memory limit, in whichever shard it is."""
    with Server(sherd_program(), shape=shape) as server, server.wire() as wire, wait_in_group(server, wire) as consumer:
        wire.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        wire.call("CONFIG", "SET", "maxmemory", "1")
        assert consumer.read().raw == NO_GROUP
