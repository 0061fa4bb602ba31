"""Scripts that have written when their server ends are in its file as a whole or not at all.

They were broken off by the end of the server as SCRIPT KILL does it with those that have not written: what they had written by
then was answered to readers and kept in the append-only file, half of a transfer for instance.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

import pytest

import sherd
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sherd_only
files = {"appendonly": "yes", "appendfsync": "always"}
before, after = [b"10", b"10"], [b"9", b"11"]
# Between its two halves a script is kept busy for so many turns: a moment, and far more than a server waits for.
moment, far_more = 30_000_000, 20_000_000_000
transfer = """
redis.call('DECR', 'one')
for i = 1, {turns} do end
return redis.call('INCR', 'other')
"""
library = "#!lua name=bank\nredis.register_function('transfer', function() {transfer} end)"


@pytest.mark.parametrize("turns", [moment, far_more])
@pytest.mark.parametrize("way", ["eval", "eval with keys", "fcall", "exec"])
@pytest.mark.parametrize("end", ["SIGTERM", "SHUTDOWN NOSAVE"])
def test_what_it_has_written_is_kept_as_a_whole_or_not_at_all(shape: Shape, turns: int, way: str, end: str) -> None:
    source = transfer.format(turns=turns)
    requests = {
        "eval": encode_command("EVAL", source, "0"),
        "eval with keys": encode_command("EVAL", source, "2", "one", "other"),
        "fcall": encode_command("FCALL", "transfer", "0"),
        "exec": encode_command("MULTI") + encode_command("EVAL", source, "0") + encode_command("EXEC"),
    }
    with Server(shape=shape, directives=files) as server, server.wire() as wire, server.wire() as other:
        wire.call("MSET", "one", "10", "other", "10")
        wire.call("FUNCTION", "LOAD", library.format(transfer=source))
        wire.send(requests[way])
        time.sleep(0.1)
        if end == "SIGTERM":
            assert server.signal_and_wait(signal.SIGTERM) == 0
        else:
            with contextlib.suppress(ConnectionClosed):
                other.call(*end.split())
            assert server.process is not None
            assert server.process.wait(15) == 0
        assert b"killed" not in wire.read_until_closed(), "what has written is not killed"
        with Server(directives={**files, "dir": str(server.directory)}) as again, again.wire() as reader:
            found = reader.value("MGET", "one", "other")
        assert found == before if turns == far_more else found in (before, after)


@contextlib.contextmanager
def _embedded(path: Path) -> Iterator[tuple[sherd.Server, Wire]]:
    server = sherd.Server(port=0, dir=str(path), appendonly=True, appendfsync="always").start()
    try:
        with Wire(("127.0.0.1", server.port)) as wire:
            yield server, wire
    finally:
        server.stop()


def test_one_that_has_written_and_never_ends_does_not_outlast_an_embedded_server(tmp_path: Path) -> None:
    """It is broken off when nothing of it can come into a file any more, which another server may be using by then."""
    with _embedded(tmp_path) as (server, wire):
        wire.call("MSET", "one", "10", "other", "10")
        wire.write("EVAL", transfer.format(turns=1e18), "2", "one", "other")
        time.sleep(0.1)
        engine = server.node.engine
        assert engine.busy_shards()
    with _embedded(tmp_path) as (_, wire):
        deadline = time.monotonic() + 20
        while engine.busy_shards():
            assert time.monotonic() < deadline, "it is never broken off"
            time.sleep(0.02)
        assert wire.value("MGET", "one", "other") == before
    with _embedded(tmp_path) as (_, wire):
        assert wire.value("MGET", "one", "other") == before
