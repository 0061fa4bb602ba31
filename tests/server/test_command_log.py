"""COMMANDLOG: what is logged of large requests and large replies, whoever executes the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


def _entries(wire: Wire, log: str) -> list[tuple[int, list[bytes]]]:
    """Bytes and arguments, oldest first."""
    return [(entry[2], entry[3]) for entry in reversed(wire.value("COMMANDLOG", "GET", "-1", log))]


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_large_requests_and_replies_of_every_plane_are_logged(shape: Shape) -> None:
    """Data commands over one shard and several, in pipelines and scripts, the connection's, and the control plane's."""
    directives = {"commandlog-request-larger-than": "1000", "commandlog-reply-larger-than": "1000"}
    large = "x" * 2000
    with Server(shape=shape, directives=directives) as server, server.wire() as wire:
        wire.pipeline([("SET", "k", large), ("GET", "k"), ("SET", "small", "y"), ("GET", "small")])
        wire.call("MSET", "a", large, "b", "y", "c", "z")
        wire.call("MGET", "a", "b", "c")
        wire.call("ECHO", large)
        wire.call("CONFIG", "GET", "*")
        wire.call("EVAL", "return redis.call('get', KEYS[1])", "1", "k")
        cut = b"x" * 128 + b"... (1872 more bytes)"
        requests = _entries(wire, "large-request")
        assert [args for _, args in requests] == [
            [b"SET", b"k", cut], [b"MSET", b"a", cut, b"b", b"y", b"c", b"z"], [b"ECHO", cut],
        ]  # fmt: skip
        assert requests[0][0] == len(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000\r\n\r\n") + 2000
        replies = _entries(wire, "large-reply")
        assert [args[0] for _, args in replies] == [b"GET", b"MGET", b"ECHO", b"CONFIG", b"EVAL"]
        assert [size for size, _ in replies][:3] == [2009, 2009 + 4 + 7 + 7, 2009]
        assert wire.call("COMMANDLOG", "RESET", "large-reply").raw == b"+OK\r\n"
        assert wire.value("COMMANDLOG", "LEN", "large-reply") == 0
        assert wire.value("COMMANDLOG", "LEN", "large-request") == 3


def test_small_limits_log_commands_that_take_no_time() -> None:
    """With 0 everything is logged; the directives of the slow log go by Valkey's names as well."""
    directives = {"commandlog-reply-larger-than": "0", "commandlog-execution-slower-than": "-1"}
    with Server(directives=directives) as server, server.wire() as wire:
        for number in range(20):
            wire.call("SET", f"k{number}", "v")
        logged = [args[1] for _, args in _entries(wire, "large-reply") if args[0] == b"SET"]
        assert logged == [b"k%d" % number for number in range(20)]
        assert wire.value("COMMANDLOG", "LEN", "slow") == 0
        wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "commandlog-slow-execution-max-len", "3")
        wire.call("CONFIG", "SET", "commandlog-reply-larger-than", "-1")
        wire.call("COMMANDLOG", "RESET", "large-reply")
        for number in range(20):
            wire.call("GET", f"k{number}")
        assert len(wire.value("SLOWLOG", "GET")) == 3
        assert wire.value("COMMANDLOG", "LEN", "slow") == 3
        assert wire.value("COMMANDLOG", "LEN", "large-reply") == 0
