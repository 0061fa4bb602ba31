"""A write that fails half way by a mistake in the program: replicas and the append-only file have what it has changed.

The story: its client was answered an error and cut, what it had changed stayed in memory, and nobody had recorded that. From then on
the data here were other ones than everywhere else.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import SHAPE_NAMES, SHAPES, await_equal, await_link, digest, fill, replica_of
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

extension = """
import sherd

@sherd.command("own.move", keys=2)
def move(call: sherd.Call, source: bytes, target: bytes, amount: int) -> object:
    call("DECRBY", source, amount)
    return call("INCRBY", target, amount)
"""

lines: dict[str, list[tuple[str, ...]]] = {
    "alone": [("APPEND", "number", "6")],
    "of several keys": [("MSET", "a", "1", "b", "2", "c", "3")],
    "of two databases": [("COPY", "list:300", "elsewhere", "DB", "3", "REPLACE")],
    "in a transaction": [("MULTI",), ("SET", "a", "1"), ("SPOP", "set:300", "5"), ("SET", "b", "2"), ("EXEC",)],
    "in a script": [("EVAL", "redis.call('SET', 'a', '1') redis.call('LPOP', 'list:300') return 1", "0")],
    "in Python": [("OWN.MOVE", "number", "other", "3")],
    "of a group": [("XREADGROUP", "GROUP", "group", "another", "COUNT", "3", "STREAMS", "stream:300", ">")],
}


def _start(shape: Shape, directory: Path) -> Server:
    path = directory / "own.py"
    path.write_text(extension)
    directives = {
        "enable-debug-command": "yes",
        "appendonly": "yes",
        "dir": str(directory),
        "python-commands": str(path),
    }
    return Server(shape=shape, directives={**directives, "repl-diskless-sync-delay": "0"})


def _fail(server: Server, wire: Wire, commands: list[tuple[str, ...]]) -> None:
    """The next write panics behind what it has changed; what its client is told is not the matter here."""
    assert wire.call("DEBUG", "FAIL-NEXT-WRITE").raw == b"+OK\r\n"
    with server.wire() as client, contextlib.suppress(ConnectionClosed):
        assert b"internal error" in client.pipeline(commands)[-1].raw
    assert wire.value("PING") == b"PONG"


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_what_a_write_has_changed_before_it_fails_is_everywhere(tmp_path: Path, shape: Shape) -> None:
    with _start(shape, tmp_path) as server, server.wire() as wire, replica_of(server.port, Shape(2, 1)) as replica:
        fill(wire)
        with replica.wire() as follower:
            await_link(follower)
            for commands in lines.values():
                _fail(server, wire, commands)
                await_equal(wire, follower)
        expected = digest(wire)
        assert server.signal_and_wait(signal.SIGTERM) == 0
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "appendonlydir", copy / "appendonlydir")
        with _start(shape, copy) as again, again.wire() as restarted:
            assert digest(restarted) == expected


def test_what_nobody_can_tell_ends_the_process(tmp_path: Path) -> None:
    """A command over whole databases has no keys whose values would say what it has done."""
    with _start(Shape(2, 1), tmp_path) as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        wire.call("DEBUG", "FAIL-NEXT-WRITE")
        wire.write("FLUSHALL")
        with pytest.raises(ConnectionClosed):
            wire.read()
        assert server.process is not None
        assert server.process.wait(timeout=20) == -signal.SIGABRT
        assert "'flushall' has panicked" in server.log()
