"""DEBUG RELOAD and DEBUG LOADAOF: all data are read again while the server runs, and are the same afterwards."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_append_only import OK, rewrite, serve
from tests.durability.test_snapshots import digest, fill
from tests.protocol.test_limits import eventually, info_field
from tests.replication.support import await_equal, await_link
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

shapes = [Shape(1, 1), Shape(4, 2)]
shape_names = ["1-shard", "4-shards"]
LIBRARY = "#!lua name=library\nredis.register_function('echo', function(keys, args) return args[1] end)"


def _known(wire: Wire) -> list[object]:
    """What a reload must not change, beyond what the digest tells."""
    asked = wire.pipeline([
        ("PEXPIRETIME", "expires"), ("HPEXPIRETIME", "hash:3", "FIELDS", "1", "field 1"), ("DBSIZE",),
        ("XPENDING", "stream:700", "group"), ("FCALL", "echo", "0", "here"), ("FUNCTION", "LIST"),
        ("OBJECT", "ENCODING", "hash:700"),
    ])  # fmt: skip
    return [digest(wire), *(reply.raw for reply in asked)]


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
@pytest.mark.parametrize("subcommand", ["RELOAD", "LOADAOF"])
@pytest.mark.parametrize("rewritten", ["as appended", "rewritten", "rewritten as commands"])
def test_data_expiries_and_functions_survive(tmp_path: Path, shape: Shape, subcommand: str, rewritten: str) -> None:
    preamble = "no" if rewritten == "rewritten as commands" else "yes"
    with serve(tmp_path, shape, aof_use_rdb_preamble=preamble) as server, server.wire() as wire:
        assert wire.call("FUNCTION", "LOAD", LIBRARY).raw == b"$7\r\nlibrary\r\n"
        fill(wire)
        if rewritten != "as appended":
            rewrite(wire)
        wire.pipeline([
            ("SET", "dead", "1", "PX", "1"), ("SPOP", "set:700", "5"), ("HDEL", "hash:700", "field 5"),
            ("MULTI",), ("INCR", "count"), ("INCR", "count"), ("EXEC",), ("DEL", "string:3:1"),
        ])  # fmt: skip
        eventually(lambda: wire.value("GET", "dead") is None, "it expires")
        before = _known(wire)
        for _ in range(2):
            assert wire.call("DEBUG", subcommand).raw == OK
            assert _known(wire) == before
        # What is written from here on is appended behind what was there, and nothing was appended twice.
        assert wire.value("INCR", "count") == 3
        assert wire.call("DEBUG", "LOADAOF").raw == OK
        assert wire.value("GET", "count") == b"3"
        expected = _known(wire)
        server.stop()
    with serve(tmp_path, shapes[0]) as server, server.wire() as wire:
        assert _known(wire) == expected


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_what_came_just_before_it_is_loaded_as_well(tmp_path: Path, shape: Shape, policy: str) -> None:
    """Also what the same pipeline and the same transaction have written."""
    with serve(tmp_path, shape, appendfsync=policy) as server, server.wire() as wire:
        for turn in range(20):
            replies = wire.pipeline([
                ("SET", f"a{turn}", "1"), ("INCR", "turns"), ("DEBUG", "LOADAOF"), ("GET", f"a{turn}"),
                ("MULTI",), ("INCR", "turns"), ("DEBUG", "LOADAOF"), ("INCR", "turns"), ("EXEC",), ("GET", "turns"),
            ])  # fmt: skip
            assert [reply.raw for reply in replies[2:4]] == [OK, b"$1\r\n1\r\n"]
            assert replies[-1].value == str(3 * (turn + 1)).encode()
        server.stop()
    with serve(tmp_path, shape) as server, server.wire() as wire:
        assert wire.value("MGET", "a0", "a19", "turns") == [b"1", b"1", b"60"]


def test_others_wait_and_find_all_data(tmp_path: Path) -> None:
    """A client that reads meanwhile is answered from all data, or LOADING."""
    with serve(tmp_path, shapes[1]) as server, server.wire() as wire:
        fill(wire)
        stop, seen = threading.Event(), set()

        def read() -> None:
            with server.wire() as other:
                while not stop.is_set():
                    seen.add(other.call("DBSIZE").raw.split()[0])

        reader = threading.Thread(target=read)
        reader.start()
        size = wire.call("DBSIZE").raw.split()[0]
        for _ in range(20):
            assert wire.call("DEBUG", "LOADAOF").raw == OK
        stop.set()
        reader.join(60)
        assert seen <= {size, b"-LOADING"}
        assert size in seen


def test_what_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        (increment,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
        eventually(lambda: b"SET" in increment.read_bytes(), "it is written")
        with increment.open("ab") as file:
            file.write(b"garbage\r\n")
        error = wire.call("DEBUG", "LOADAOF").raw
        assert error.startswith(b"-ERR Error trying to load the AOF files: "), error
        assert b"appendonly.aof.1.incr.aof" in error
        assert b"at byte" in error
        # What came before that was loaded.
        assert wire.value("GET", "a") == b"1"
        assert wire.call("SET", "b", "1").raw == OK


def test_what_has_expired_is_not_removed_behind_the_back_of_replicas() -> None:
    """A replica keeps what has expired until it is told; without that it would have it still when its name is used again."""
    debug = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
    with (
        Server(directives=debug) as server, server.wire() as wire,
        Server(directives={**debug, "replicaof": f"127.0.0.1 {server.port}"}) as replica, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(theirs)
        assert wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0").raw == OK
        wire.pipeline([
            ("SET", "key", "1", "PX", "1"), ("HSET", "hash", "a", "1", "b", "2"), ("HSET", "fields", "a", "1"),
            ("HPEXPIRE", "hash", "1", "FIELDS", "1", "a"), ("HPEXPIRE", "fields", "1", "FIELDS", "1", "a"),
        ])  # fmt: skip
        time.sleep(0.05)
        assert wire.call("DEBUG", "RELOAD").raw == OK
        assert wire.value("DBSIZE") == 3
        wire.pipeline([("SADD", "key", "a"), ("SADD", "fields", "a"), ("HSETNX", "hash", "a", "3"), ("HLEN", "hash")])
        await_equal(wire, theirs)
        assert theirs.value("HGETALL", "hash") == [b"b", b"2", b"a", b"3"]


def test_without_an_append_only_file_nothing_happens() -> None:
    with Server(directives={"enable-debug-command": "yes"}) as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        error = b"-ERR Error trying to load the AOF files: there is no append-only file that has all data\r\n"
        assert wire.call("DEBUG", "LOADAOF").raw == error
        assert wire.value("GET", "a") == b"1"


def test_it_finds_all_data_while_a_rewrite_goes_on(tmp_path: Path) -> None:
    with serve(tmp_path, shapes[1], rdb_key_save_delay="1000") as server, server.wire() as wire:
        fill(wire)
        expected = digest(wire)
        wire.call("BGREWRITEAOF")
        assert info_field(wire, "persistence", "aof_rewrite_in_progress") == "1"
        wire.call("SET", "meanwhile", "1")
        assert wire.call("DEBUG", "LOADAOF").raw == OK
        assert wire.value("GET", "meanwhile") == b"1"
        wire.call("DEL", "meanwhile")
        assert digest(wire) == expected
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
        assert wire.call("DEBUG", "LOADAOF").raw == OK
        assert digest(wire) == expected
