"""Files that are large enough to be loaded by several threads: what is there afterwards, and what is told of broken ones."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sherd import native
from tests.durability.test_append_only import serve as serve_appending
from tests.durability.test_snapshots import digest, fill, serve
from tests.support.servers import Shape, sherd_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

shapes = [Shape(1, 1), Shape(2, 1), Shape(5, 2)]
shape_names = ["1-shard", "2-shards", "5-shards"]
OK = b"+OK\r\n"


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, bytes]:
    """A folder with a snapshot of keys of every type, and their digest."""
    with serve(tmp_path) as server, server.wire() as wire:
        fill(wire)
        wire.pipeline([("SET", f"small:{number}", f"value:{number}") for number in range(20_000)])
        assert wire.call("SAVE").raw == OK
        return tmp_path, digest(wire)


def told_by_server(folder: Path, shape: Shape, *more: str) -> str:
    """What a server says that cannot load what is there."""
    line = [*sherd_command(), "serve", "--port", "0", "--unixsocket", str(folder / "s"), "--metrics-port", "0",
            "--dir", str(folder), "--shards", str(shape.shards), "--io-threads", str(shape.io_threads), *more]  # fmt: skip
    finished = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 1, finished.stderr
    return next(line for line in finished.stderr.splitlines() if "cannot load" in line)


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_a_snapshot_is_loaded_whatever_the_number_of_shards(saved: tuple[Path, bytes], shape: Shape) -> None:
    folder, expected = saved
    with serve(folder, shape) as server, server.wire() as wire:
        assert digest(wire) == expected


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_keys_with_nothing_in_them_are_left_out(saved: tuple[Path, bytes], shape: Shape) -> None:
    """Releases of Redis before 7.0 could save such keys, and those from 7.0 on start without them."""
    folder, expected = saved
    path = folder / "dump.rdb"
    keys = path.read_bytes()[:-9]
    # A set and a hash with no elements, and no checksum.
    path.write_bytes(keys + b"\x02\x05empty\x00" + b"\x04\x06empty2\x00" + b"\xff" + bytes(8))
    with serve(folder, shape) as server, server.wire() as wire:
        assert digest(wire) == expected
        assert wire.value("EXISTS", "empty", "empty2") == 0


BREAKS: dict[str, Callable[[bytes, int], bytes]] = {
    "cut off": lambda whole, at: whole[:at],
    "overwritten": lambda whole, at: whole[:at] + b"\xf7\xff\xee" + whole[at + 3 :],
    "of another checksum": lambda whole, _: whole[:-1] + bytes([whole[-1] ^ 1]),
}


@pytest.mark.parametrize("how", BREAKS.values(), ids=BREAKS.keys())
@pytest.mark.parametrize("share", [0.3, 0.97], ids=["middle", "tail"])
def test_a_broken_snapshot_is_told_as_by_who_only_looks_at_it(
    saved: tuple[Path, bytes], share: float, how: Callable[[bytes, int], bytes]
) -> None:
    """The place, the key and the reason do not depend on who has come across them first."""
    folder, _ = saved
    path = folder / "dump.rdb"
    whole = path.read_bytes()
    broken = how(whole, int(len(whole) * share))
    path.write_bytes(broken)
    fault = native.check_rdb(path, native.CheckProgress())["fault"]
    assert fault is not None
    offset, key, what = fault
    of_key = f", in key {key!r}" if key is not None else ""
    expected = f"cannot load {path}: {what} (at byte {offset}{of_key})"
    for shape in shapes:
        assert expected in told_by_server(folder, shape)
    assert path.read_bytes() == broken


def write_in_order(wire: Wire) -> None:
    """Commands of which none may overtake another one of its key, with such in between as concern many keys."""
    for block in range(20):
        wire.pipeline([
            command
            for number in range(500)
            for command in (
                ("SET", "same", "first"), ("DEL", "same"), ("INCR", f"chain:{number % 9}"),
                ("SET", "same", f"{block}:{number}"), ("APPEND", f"text:{number % 5}", f"{number},"),
            )
        ])  # fmt: skip
        wire.pipeline([
            ("MULTI",), ("SET", "a", str(block)), ("INCR", "b"), ("RENAME", "a", "c"), ("COPY", "c", f"d:{block}"), ("EXEC",),
            ("MSET", "e", "1", "f", "2", "g", str(block)), ("SELECT", "1"), ("INCR", "of one"), ("SWAPDB", "1", "2"),
            ("SELECT", "0"), ("EVAL", "redis.call('INCR', KEYS[1]) redis.call('APPEND', KEYS[2], 'x')", "2", "b", "h"),
        ])  # fmt: skip
        if block == 7:
            wire.pipeline([("FLUSHALL",), ("SET", "after", "it")])


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_commands_of_a_key_are_loaded_in_their_order(tmp_path: Path, shape: Shape) -> None:
    with serve_appending(tmp_path, auto_aof_rewrite_percentage="0") as server, server.wire() as wire:
        write_in_order(wire)
        expected = digest(wire)
        server.signal_and_wait(signal.SIGTERM)
    with serve_appending(tmp_path, shape, auto_aof_rewrite_percentage="0") as server, server.wire() as wire:
        assert digest(wire) == expected
        assert wire.value("MGET", "same", "chain:0", "after", "g") == [b"19:499", b"672", b"it", b"19"]


@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_a_broken_append_only_file_is_told_with_the_place_of_its_first_fault(tmp_path: Path, shape: Shape) -> None:
    with serve_appending(tmp_path) as server, server.wire() as wire:
        wire.pipeline([("SET", f"key:{number}", "v") for number in range(5000)])
        server.signal_and_wait(signal.SIGTERM)
    path = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
    whole = path.read_bytes()
    at = whole.index(b"*3\r\n$3\r\nSET\r\n$8\r\nkey:4321")
    path.write_bytes(whole[:at] + b"*3\r\n$3\r\nSOT\r\n" + whole[at + 13 :])
    told = told_by_server(tmp_path, shape, "--appendonly", "yes")
    assert f"cannot load {path}: the command 'SOT' is not known (at byte {at})" in told
    path.write_bytes(whole[: at + 20])
    with serve_appending(tmp_path, shape) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 4321
        assert "the end of the append-only file was cut off" in server.log()
    assert path.stat().st_size == at
