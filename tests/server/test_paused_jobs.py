"""What time, an event or a client that has gone has begun does not write while writers are paused or a replica takes over."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.replication.support import await_equal, await_link, replica_of
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

extension = """
import time
import sherd

@sherd.every(seconds=0.01, keys=["ticks", "tocks"])
def tick(call: sherd.Call) -> None:
    call("INCR", "ticks")
    call("INCR", "tocks")

@sherd.on("del", pattern="watched:*", keys="all")
def deleted(call: sherd.Call, event: sherd.Event) -> None:
    call("RPUSH", "deleted", event.key)

@sherd.command("slow.set", keys=1)
def slow_set(call: sherd.Call, key: bytes, seconds: float) -> object:
    time.sleep(seconds)
    return call("SET", key, "v")

@sherd.command("own.get", keys=1, flags="readonly")
def own_get(call: sherd.Call, key: bytes) -> object:
    return call("GET", key)
"""


def _start(directory: Path, **directives: str) -> Server:
    path = directory / "own.py"
    path.write_text(extension)
    common = {"python-commands": str(path), "enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
    return Server(shape=Shape(3, 2), directives={**common, **directives})


def _ticks(wire: Wire) -> int:
    return int(wire.value("GET", "ticks") or 0)


def test_jobs_and_hooks_wait_for_the_end_of_a_pause(tmp_path: Path) -> None:
    """They do so without their thread: what reads is executed meanwhile. What had happened before is done then, in its order."""
    with _start(tmp_path) as server, server.wire() as wire:
        eventually(lambda: _ticks(wire) > 2, "the job is executed")
        wire.call("MSET", "watched:1", "v", "watched:2", "v")
        transaction = [
            ("MULTI",),
            ("DEL", "watched:1"),
            ("DEL", "watched:2"),
            ("CLIENT", "PAUSE", "100000", "WRITE"),
            ("EXEC",),
        ]
        assert not wire.pipeline(transaction)[-1].is_error
        seen = wire.call("DEBUG", "DIGEST").raw
        for _ in range(20):
            assert wire.value("OWN.GET", "ticks") is not None
            time.sleep(0.01)
        assert wire.call("DEBUG", "DIGEST").raw == seen
        ticks = _ticks(wire)
        wire.call("CLIENT", "UNPAUSE")
        eventually(lambda: _ticks(wire) > ticks, "the job is executed again")
        eventually(lambda: wire.value("LLEN", "deleted") == 2, "the hook is executed")
        assert wire.value("LRANGE", "deleted", "0", "-1") == [b"watched:1", b"watched:2"]


@pytest.mark.parametrize("queued", ["commands", "transactions"])
def test_a_pause_waits_for_what_clients_that_have_gone_have_in_a_queue(tmp_path: Path, queued: str) -> None:
    keys = [f"key:{number}" for number in range(12)]
    with _start(tmp_path) as server, server.wire() as slow, server.wire() as operator:
        slow.write("SLOW.SET", "first", "0.5")
        clients = [server.wire() for _ in keys]
        for key, client in zip(keys, clients, strict=True):
            commands: list[tuple[str, ...]] = [("SLOW.SET", key, "0.02")]
            commands = [("MULTI",), *commands, ("EXEC",)] if queued == "transactions" else commands
            client.send(b"".join(encode_command(*words) for words in commands))
        time.sleep(0.1)
        for client in clients:
            # As a client that is killed: with a reset.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert operator.call("CLIENT", "PAUSE", "100000", "WRITE").raw == b"+OK\r\n"
        assert operator.value("MGET", *keys) == [b"v"] * len(keys)
        operator.call("CLIENT", "UNPAUSE")


def test_nothing_is_written_by_jobs_while_a_replica_takes_over(tmp_path: Path) -> None:
    """What a job writes on its way is everywhere, as a whole, and belongs to the new primary from then on."""
    with (
        _start(tmp_path) as server,
        server.wire() as wire,
        replica_of(server.port, Shape(2, 1)) as replica,
        replica.wire() as follower,
    ):
        await_link(follower)
        eventually(lambda: _ticks(wire) > 2, "the job is executed")
        wire.call("FAILOVER", "TIMEOUT", "20000")
        eventually(lambda: info_field(follower, "replication", "role") == "master", "it has taken over")
        await_link(wire)
        await_equal(follower, wire)
        assert follower.value("GET", "ticks") == follower.value("GET", "tocks")
        assert info_field(wire, "replication", "role") == "slave"
        assert info_field(follower, "stats", "sync_full") == "0"
