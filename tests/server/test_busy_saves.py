"""A script that never ends keeps snapshots waiting, and nothing else: SHUTDOWN NOSAVE ends the server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.support.servers import Server

pytestmark = pytest.mark.sherd_only

# It has written, so that SCRIPT KILL does not end it.
endless = "redis.call('SET', 'k', 'v') while true do end"


@pytest.mark.parametrize("wanted_by", ["a save point", "SIGTERM", "SHUTDOWN"])
def test_a_snapshot_waits_for_a_busy_script_without_the_control_plane(wanted_by: str) -> None:
    directives = {"save": "1 1" if wanted_by == "a save point" else "3600 1", "busy-reply-threshold": "100"}
    with Server(directives=directives) as server, server.wire() as caller, server.wire() as client:
        client.call("SET", "changed", "1")
        caller.write("EVAL", endless, "0")
        eventually(lambda: client.call("GET", "k").raw.startswith(b"-BUSY"), "the script is busy")
        assert server.process is not None
        if wanted_by == "SIGTERM":
            server.process.send_signal(signal.SIGTERM)
        elif wanted_by == "SHUTDOWN":
            client.write("SHUTDOWN")
        with server.wire() as other:
            for _ in range(30):
                assert not other.call("INFO", "server").is_error
                time.sleep(0.1)
            other.write("SHUTDOWN", "NOSAVE")
            assert server.process.wait(timeout=20) == 0


@pytest.mark.parametrize("words", ["BGSAVE", "BGSAVE SCHEDULE"])
def test_a_snapshot_that_is_asked_for_before_a_script_counts_as_busy_waits_as_well(words: str) -> None:
    """The story: for the first five seconds nobody is told that a script is busy. BGSAVE waited for it in the control plane's
    loop, whose standing still liveness probes took for the end of the server."""
    with Server() as server, server.wire() as caller, server.wire() as client, server.wire() as other:
        caller.write("EVAL", "while true do end", "0")
        time.sleep(0.2)
        client.write(*words.split())
        time.sleep(0.2)
        for _ in range(10):
            assert not other.call("INFO", "server").is_error
            time.sleep(0.1)
        assert other.call("SCRIPT", "KILL").raw == b"+OK\r\n"
        assert client.read().raw == b"+Background saving started\r\n"
        eventually(lambda: info_field(other, "persistence", "rdb_saves") == "1", "it is taken")


def test_an_append_only_file_begins_when_a_busy_script_has_ended() -> None:
    """The story: CONFIG SET appendonly yes began with a snapshot in the control plane's loop, which waited there for all shards."""
    with Server(directives={"busy-reply-threshold": "100"}) as server, server.wire() as caller, server.wire() as client:
        client.call("SET", "k", "before")
        caller.write("EVAL", "while true do end", "0")
        eventually(lambda: client.call("GET", "k").raw.startswith(b"-BUSY"), "the script is busy")
        for state in ("yes", "no", "yes"):
            assert client.call("CONFIG", "SET", "appendonly", state).raw == b"+OK\r\n"
            assert not client.call("INFO", "server").is_error
        assert info_field(client, "persistence", "aof_rewrite_in_progress") == "1"
        assert client.call("SCRIPT", "KILL").raw == b"+OK\r\n"
        assert caller.read().is_error
        eventually(lambda: info_field(client, "persistence", "aof_rewrites") == "1", "there is a file")
        client.call("SET", "k", "after")
        assert server.signal_and_wait(signal.SIGTERM) == 0
        directives = {"appendonly": "yes", "dir": str(server.directory)}
        with Server(directives=directives) as again, again.wire() as wire:
            assert wire.value("GET", "k") == b"after"
