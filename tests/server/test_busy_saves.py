"""A script that never ends keeps snapshots waiting, and nothing else: SHUTDOWN NOSAVE ends the server."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("begun_by", ["BGREWRITEAOF", "CONFIG SET appendonly yes", "growth"])
def test_a_rewrite_begins_beside_the_control_plane(begun_by: str) -> None:
    """The story: a rewrite looked whether a script was running and began in the control plane's loop, where it waited for
    one that had come meanwhile; nobody was answered INFO or /healthz before that was over. Here the second comes at once."""
    directives = {
        "appendonly": "no" if begun_by.startswith("CONFIG") else "yes",
        "auto-aof-rewrite-percentage": "100" if begun_by == "growth" else "0",
        "auto-aof-rewrite-min-size": "1kb",
    }
    with Server(directives=directives) as server, server.wire() as other, server.wire(timeout_seconds=60.0) as client:
        with server.wire(timeout_seconds=60.0) as first, server.wire(timeout_seconds=60.0) as endless_one:
            first.write("EVAL", "for i = 1, 3e7 do end", "0")
            time.sleep(0.1)
            if begun_by == "growth":
                client.write("SET", "k", "v" * 100_000)
            else:
                client.write(*begun_by.split())
            time.sleep(0.1)
            endless_one.write("EVAL", "while true do end", "0")
            assert not first.read().is_error
            for _ in range(20):
                assert not other.call("INFO", "server").is_error
                time.sleep(0.05)
            eventually(lambda: other.call("SCRIPT", "KILL").raw == b"+OK\r\n", "it is killed")
            assert endless_one.read().is_error
        assert not client.read().is_error
        eventually(lambda: info_field(other, "persistence", "aof_rewrites") == "1", "it is rewritten")


def test_a_file_that_is_turned_off_and_on_while_its_rewrite_begins_has_everything(tmp_path: Path) -> None:
    """What is written while it is off is in no increment, so nothing may be appended to one that was about to be begun."""
    directives = {"appendonly": "yes", "dir": str(tmp_path), "appendfsync": "always"}
    shape = Shape(shards=4, io_threads=2)
    # In other shards than that of the scripts, most of them.
    keys = [f"k{number}" for number in range(20)]
    with Server(shape=shape, directives=directives) as server, server.wire() as client:
        with server.wire(timeout_seconds=60.0) as first, server.wire() as endless_one, server.wire() as other:
            client.call("SET", "before", "1")
            # The rewrite begins when this one is over, and waits for the next.
            first.write("EVAL", "for i = 1, 3e7 do end", "1", "k")
            time.sleep(0.2)
            assert not client.call("BGREWRITEAOF").is_error
            endless_one.write("EVAL", "while true do end", "1", "k")
            assert not first.read().is_error
            time.sleep(0.5)
            assert client.call("CONFIG", "SET", "appendonly", "no").raw == b"+OK\r\n"
            for key in keys:
                other.write("SET", key, "1")
            time.sleep(0.2)
            assert client.call("CONFIG", "SET", "appendonly", "yes").raw == b"+OK\r\n"
            assert client.call("SCRIPT", "KILL").raw == b"+OK\r\n"
            assert [other.read().raw for _ in keys] == [b"+OK\r\n"] * len(keys)
        eventually(lambda: client.value("WAITAOF", "1", "0", "100") == [1, 0], "there is a file again")
        client.call("SET", "after", "1")
        assert server.signal_and_wait(signal.SIGKILL) == -signal.SIGKILL
    with Server(shape=shape, directives=directives) as again, again.wire() as wire:
        assert wire.value("MGET", "before", "after", *keys) == [b"1"] * (len(keys) + 2)
