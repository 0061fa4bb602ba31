"""Settings of the data plane do what they say, seen from outside."""

from __future__ import annotations

import time

import pytest

from tests.support.servers import Server

pytestmark = pytest.mark.sherd_only

wait_seconds_max = 30.0


def _await_log(server: Server, text: str) -> str:
    """The first line with a text: the data plane's records reach the log ten times a second."""
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        for line in server.log().splitlines():
            if text in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"{text!r} is not in the log")


def test_a_failed_authentication_is_logged_without_the_password() -> None:
    with Server(directives={"requirepass": "right", "log-format": "logfmt"}) as server, server.wire() as wire:
        assert wire.call("AUTH", "wrong-one").raw.startswith(b"-WRONGPASS")
        line = _await_log(server, "a client failed to authenticate")
        assert "client=127.0.0.1:" in line
        assert "user=default" in line
        assert wire.call("HELLO", "3", "AUTH", "mallory", "wrong-two").raw.startswith(b"-WRONGPASS")
        _await_log(server, "user=mallory")
        assert "wrong-" not in server.log()


def test_a_flood_of_failures_does_not_fill_the_log() -> None:
    """It comes over many connections, as each of them is slowed down."""
    failures = 0
    with Server(directives={"requirepass": "right"}) as server:
        while "failures_not_shown=" not in server.log():
            for _ in range(100):
                with server.wire() as wire:
                    assert wire.call("AUTH", "wrong").is_error
            failures += 100
            assert failures < 100_000
        assert server.log().count("a client failed to authenticate") < failures // 2


def test_latency_is_tracked_only_where_that_is_wanted() -> None:
    """Calls are counted in any case; data, connection and control commands alike."""
    with Server(directives={"latency-tracking": "no"}) as server, server.wire() as wire:
        for command in (("SET", "k", "v"), ("CLIENT", "ID"), ("TIME",)):
            wire.call(*command)
        wire.pipeline([("GET", "k")] * 100)
        assert wire.value("LATENCY", "HISTOGRAM") == []
        assert b"latency_percentiles" not in wire.value("INFO", "latencystats")
        assert b"cmdstat_get:calls=100," in wire.value("INFO", "commandstats")
        assert wire.call("CONFIG", "SET", "latency-tracking", "yes").raw == b"+OK\r\n"
        wire.pipeline([("GET", "k")] * 7)
        assert wire.value("LATENCY", "HISTOGRAM", "get")[1][1] == 7
        assert b"latency_percentiles_usec_get:" in wire.value("INFO", "latencystats")
        assert b"latency_percentiles_usec_set:" not in wire.value("INFO", "latencystats")
