"""Keys end at their time, whether or not anybody looks at them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.protocol.test_limits import eventually

if TYPE_CHECKING:
    from tests.support.wire import Wire


def test_an_expired_key_is_gone_for_every_command(wire: Wire) -> None:
    """Lazily: the first look after the moment finds nothing."""
    wire.call("SET", "k", "v", "PX", "30")
    time.sleep(0.06)
    replies = wire.pipeline([("GET", "k"), ("EXISTS", "k"), ("TTL", "k"), ("TYPE", "k"), ("INCR", "k")])
    assert [reply.value for reply in replies] == [None, 0, -2, b"none", 1]


def test_expired_keys_disappear_without_being_touched(wire: Wire) -> None:
    """Actively: DBSIZE falls to zero by itself."""
    wire.pipeline([("SET", f"key:{number}", "v", "PX", "50") for number in range(1000)])
    wire.call("SET", "stays", "v")
    eventually(lambda: wire.value("DBSIZE") == 1, "a thousand keys expired")
    assert wire.value("GET", "stays") == b"v"


def test_an_expired_key_does_not_show_in_scans(wire: Wire) -> None:
    """Neither in KEYS nor in SCAN nor in RANDOMKEY."""
    wire.pipeline([("SET", f"key:{number}", "v", "PX", "20") for number in range(50)])
    time.sleep(0.05)
    assert wire.value("KEYS", "*") == []
    assert wire.value("SCAN", "0", "COUNT", "1000")[1] == []
    assert wire.value("RANDOMKEY") is None


def test_a_rename_takes_the_moment_along(wire: Wire) -> None:
    """Onto another shard too."""
    wire.call("SET", "k", "v", "PXAT", "4000000000000")
    for number in range(20):
        source = "k" if number == 0 else f"k{number}"
        assert wire.call("RENAME", source, f"k{number + 1}").raw == b"+OK\r\n"
    assert wire.value("PEXPIRETIME", "k20") == 4000000000000


def test_a_watched_key_that_expires_aborts_or_not_as_in_redis(wire: Wire) -> None:
    """A key that ends between WATCH and EXEC does not abort: nobody wrote it."""
    wire.call("SET", "k", "v", "PX", "40")
    wire.call("WATCH", "k")
    time.sleep(0.08)
    replies = wire.pipeline([("MULTI",), ("PING",), ("EXEC",)])
    assert replies[-1].value in (None, [b"PONG"])


def test_active_expiry_can_be_counted(wire: Wire) -> None:
    """expired_keys in INFO counts each key once."""

    def expired() -> int:
        lines = wire.value("INFO", "stats").decode().splitlines()
        return int(next(line for line in lines if line.startswith("expired_keys:")).partition(":")[2])

    before = expired()
    wire.pipeline([("SET", f"key:{number}", "v", "PX", "10") for number in range(200)])
    eventually(lambda: wire.value("DBSIZE") == 0, "the keys expired")
    assert expired() - before == 200
