"""HOTKEYS and SHERD BIGKEYS of a served Sherd: that the data plane counts and finds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.protocol.test_limits import eventually

if TYPE_CHECKING:
    from tests.support.servers import Server
    from tests.support.wire import Wire


def pairs(reply: object) -> dict[bytes, object]:
    """A map, as both protocols give it."""
    if isinstance(reply, dict):
        return reply
    assert isinstance(reply, list)
    return dict(zip(reply[::2], reply[1::2], strict=True))


def test_the_keys_that_cost_the_most_are_found(server: Server, wire: Wire, protocol: int) -> None:
    """By bytes and by time, in single commands, pipelines and transactions."""
    del server
    assert wire.value("HOTKEYS", "GET") is None
    assert wire.call("HOTKEYS", "START", "METRICS", "2", "CPU", "NET", "COUNT", "10").raw == b"+OK\r\n"
    try:
        wire.pipeline([("SET", f"cold:{number}", "v") for number in range(300)])
        wire.pipeline([("SET", "wide", "x" * 10_000)] * 20)
        wire.pipeline([("MULTI",), ("SADD", "long", *map(str, range(5000))), ("EXEC",)])
        wire.pipeline([("SMEMBERS", "long")] * 5)
    finally:
        assert wire.value("HOTKEYS", "STOP") == b"OK"
    reply = wire.call("HOTKEYS", "GET")
    assert reply.raw.startswith(b"*1\r\n*" if protocol == 2 else b"*1\r\n%")
    found = pairs(reply.value[0])
    assert found[b"tracking-active"] == 0
    by_time, by_bytes = (found[name] for name in (b"by-cpu-time-us", b"by-net-bytes"))
    assert isinstance(by_time, list)
    assert isinstance(by_bytes, list)
    # Any command may be interrupted by what else the machine does; that one is among them all the same.
    assert b"long" in by_time[::2]
    assert set(by_bytes[:4:2]) == {b"wide", b"long"}
    assert len(by_bytes) == 20
    assert by_bytes[by_bytes.index(b"wide") + 1] >= 200_000
    net_bytes = found[b"net-bytes-all-commands-all-slots"]
    assert isinstance(net_bytes, int)
    assert net_bytes >= 200_000
    wire.call("SET", "later", "x" * 100_000)
    assert pairs(wire.value("HOTKEYS", "GET")[0])[b"by-net-bytes"] == by_bytes
    assert wire.value("HOTKEYS", "RESET") == b"OK"
    assert wire.value("HOTKEYS", "GET") is None


def test_a_session_ends_by_itself(server: Server, wire: Wire) -> None:
    """After DURATION seconds."""
    del server
    begun = time.monotonic()
    wire.call("HOTKEYS", "START", "METRICS", "1", "CPU", "DURATION", "1")
    active = pairs(wire.value("HOTKEYS", "GET")[0])[b"tracking-active"]
    # It had not to be over yet, unless the asking took as long.
    assert active == 1 or time.monotonic() - begun >= 1
    eventually(lambda: pairs(wire.value("HOTKEYS", "GET")[0])[b"tracking-active"] == 0, "the session is over")
    assert wire.value("HOTKEYS", "RESET") == b"OK"


def test_big_keys_are_found_and_forgotten(server: Server, wire: Wire, protocol: int) -> None:
    """By the shards' own threads, in any database."""
    del server, protocol
    wire.pipeline([("SET", f"small:{number}", "v") for number in range(1000)])
    wire.call("SET", "big", "x" * 300_000)
    wire.pipeline([("SELECT", "2"), ("RPUSH", "long", *map(str, range(3000))), ("SELECT", "0")])

    def biggest(*words: str) -> dict[bytes, object]:
        rows = wire.value("SHERD", "BIGKEYS", *words)
        return pairs(rows[0]) if rows else {}

    # Servers are shared by tests, so a round may have just ended: the next one begins ten seconds later.
    eventually(lambda: biggest().get(b"key") == b"big", "the big key is found")
    eventually(lambda: biggest("BY", "ELEMENTS").get(b"key") == b"long", "the long one too")
    found = biggest()
    assert isinstance(found[b"bytes"], int)
    assert 300_000 <= found[b"bytes"] < 400_000
    assert (found[b"type"], found[b"db"]) == (b"string", 0)
    found = biggest("BY", "ELEMENTS")
    assert (found[b"elements"], found[b"type"], found[b"db"]) == (3000, b"list", 2)
    assert wire.value("SHERD", "BIGKEYS", "SLOT", str(found[b"slot"]), "COUNT", "1") != []
