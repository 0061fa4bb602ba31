"""`redis.set_repl`: a script says who gets what it writes, the append-only file, replicas, both or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.replication.support import SHAPE_NAMES, SHAPES, await_link, eventually, replica_of
from tests.replication.test_being_followed import reference_replica
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

# Other databases before and behind, so that what was selected counts.
writes = """
redis.call('select', 3)
redis.call('set', KEYS[1], 'both')
redis.set_repl(redis.REPL_AOF)
redis.call('set', KEYS[2], 'file')
redis.set_repl(redis.REPL_REPLICA)
redis.call('set', KEYS[3], 'link')
redis.call('incrbyfloat', KEYS[6], 1.5)
redis.set_repl(redis.REPL_NONE)
redis.call('set', KEYS[4], 'nobody')
redis.set_repl(redis.REPL_ALL)
redis.call('set', KEYS[5], 'both')
"""
keys = ["{a}:both", "file", "link", "nobody", "{a}:end", "number"]
everything = [b"both", b"file", b"link", b"nobody", b"both", b"1.5"]
in_file = [b"both", b"file", None, None, b"both", None]
in_links = [b"both", None, b"link", None, b"both", b"1.5"]


def _found(wire: Wire) -> list[bytes | None]:
    wire.call("SELECT", "3")
    values = wire.value("MGET", *keys)
    assert wire.call("SELECT", "0").raw == b"+OK\r\n"
    assert isinstance(values, list)
    return values


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_script_says_who_gets_what_it_writes(tmp_path: Path, reference_name: str, shape: Shape) -> None:
    """Each gets whole commands in their order, in the right database, and a replica counts the bytes that it gets."""
    directives = {"dir": str(tmp_path), "appendonly": "yes", "repl-diskless-sync-delay": "0"}
    with (
        Server(shape=shape, directives=directives) as server,
        server.wire() as wire,
        replica_of(server.port) as own,
        reference_replica(reference_name, server.port) as theirs,
        own.wire() as own_wire,
        theirs.wire() as their_wire,
    ):
        followers = [own_wire, their_wire]
        for follower in followers:
            await_link(follower)
        wire.call("SET", "before", "1")
        wire.call("EVAL", writes, str(len(keys)), *keys)
        wire.call("SET", "behind", "1")
        assert _found(wire) == everything
        assert wire.value("WAIT", "2", "20000") == 2, "they count as their primary does"
        for follower in followers:
            eventually(lambda follower=follower: _found(follower) == in_links, "it has what is for links")  # type: ignore[misc]
            assert follower.value("MGET", "before", "behind") == [b"1", b"1"]
    with Server(shape=shape, directives=directives) as again, again.wire() as wire:
        assert _found(wire) == in_file
        assert wire.value("MGET", "before", "behind") == [b"1", b"1"]
