"""Snapshots of a running server: what is in them, who asks for them, and what becomes of them when something goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.support.servers import Server, Shape, sherd_command
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

shapes = [Shape(1, 1), Shape(4, 2)]
OK = b"+OK\r\n"


def serve(directory: Path, shape: Shape | None = None, **directives: str) -> Server:
    """A server whose files are in a folder that outlives it."""
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    return Server(shape=shape, directives={"dir": str(directory), "enable-debug-command": "yes", **named})


def fill(wire: Wire) -> None:
    """Keys of all types, small and large, with and without expiry, in two databases."""
    for size in (3, 700):
        for number in range(size):
            wire.pipeline([
                ("SET", f"string:{size}:{number}", "v" * number),
                ("RPUSH", f"list:{size}", f"element {number}", "x" * (number % 90)),
                ("SADD", f"set:{size}", f"member {number}"),
                ("SADD", f"integers:{size}", str(number)),
                ("HSET", f"hash:{size}", f"field {number}", f"value {number}"),
                ("ZADD", f"sorted:{size}", str(number / 3), f"member {number}"),
                ("XADD", f"stream:{size}", f"{number + 1}-1", "field", f"value {number}"),
            ])  # fmt: skip
    wire.pipeline([
        ("SET", "number", "12345"),
        ("SET", "expires", "soon", "PX", "86400000"),
        ("HPEXPIRE", "hash:3", "86400000", "FIELDS", "1", "field 1"),
        ("XGROUP", "CREATE", "stream:700", "group", "0"),
        ("XREADGROUP", "GROUP", "group", "consumer", "COUNT", "5", "STREAMS", "stream:700", ">"),
        ("SELECT", "3"),
        ("SET", "elsewhere", "1"),
        ("SELECT", "0"),
    ])  # fmt: skip


def digest(wire: Wire) -> bytes:
    return wire.call("DEBUG", "DIGEST").raw


@pytest.mark.parametrize("after", shapes, ids=["to 1 shard", "to 4 shards"])
@pytest.mark.parametrize("before", shapes, ids=["from 1 shard", "from 4 shards"])
def test_everything_is_there_after_a_restart(tmp_path: Path, before: Shape, after: Shape) -> None:
    with serve(tmp_path, before) as server, server.wire() as wire:
        fill(wire)
        expected = digest(wire)
        assert wire.call("SAVE").raw == OK
        assert info_field(wire, "persistence", "rdb_changes_since_last_save") == "0"
    with serve(tmp_path, after) as server, server.wire() as wire:
        assert digest(wire) == expected
        assert info_field(wire, "persistence", "rdb_last_load_keys_loaded") == str(wire.value("DBSIZE") + 1)


@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
def test_a_snapshot_has_nothing_that_was_written_after_it_began(tmp_path: Path, shape: Shape) -> None:
    """While it is slowed down, keys are changed, removed, made, exchanged with another database, and flushed."""
    with serve(tmp_path, shape) as server, server.wire() as wire:
        fill(wire)
        expected = digest(wire)
        # Some four seconds for all of them, however many shards share the work; no command waits for that.
        wire.call("CONFIG", "SET", "rdb-key-save-delay", str(5000 * shape.shards))
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        for number in range(300):
            wire.pipeline([
                ("APPEND", f"string:700:{number}", "more"),
                ("DEL", f"string:700:{number + 300}"),
                ("RPUSH", "list:700", "more"),
                ("HSET", "hash:700", f"field {number}", "other"),
                ("ZINCRBY", "sorted:700", "1", f"member {number}"),
                ("SET", f"new:{number}", "v"),
            ])  # fmt: skip
            if number == 1:
                wire.call("SWAPDB", "0", "3")
            if number == 2:
                wire.call("FLUSHDB")
                wire.call("SWAPDB", "0", "3")
                wire.call("FLUSHDB")
                # Else nothing of this would say anything.
                assert info_field(wire, "persistence", "rdb_bgsave_in_progress") == "1"
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "the snapshot ends")
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "ok"
        assert int(info_field(wire, "persistence", "rdb_changes_since_last_save") or 0) > 0
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert digest(wire) == expected


def test_the_save_points_ask_for_snapshots_and_so_does_the_end(tmp_path: Path) -> None:
    with serve(tmp_path, save="1 2") as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        wire.call("SET", "b", "1")
        eventually(lambda: info_field(wire, "persistence", "rdb_saves") == "1", "a snapshot by the save point")
        wire.call("SET", "c", "1")
        assert server.signal_and_wait(signal.SIGTERM) == 0
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 3
        wire.call("SET", "d", "1")
        assert server.signal_and_wait(signal.SIGTERM) == 0
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 3, "without save points nothing is saved at the end"


@pytest.mark.parametrize(("words", "keys"), [(("SAVE",), 1), (("NOSAVE",), 0), ((), 0)])
def test_shutdown_saves_if_it_is_told_to(tmp_path: Path, words: tuple[str, ...], keys: int) -> None:
    with serve(tmp_path) as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        wire.write("SHUTDOWN", *words)
        assert wire.read_until_closed() == b""
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == keys


def test_one_snapshot_at_a_time_and_it_can_be_cancelled(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.wire() as wire:
        fill(wire)
        assert wire.call("SAVE").raw == OK
        before = (tmp_path / "dump.rdb").read_bytes()
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "5000")
        wire.call("BGSAVE")
        assert wire.call("BGSAVE").raw == b"-ERR Background save already in progress\r\n"
        assert wire.call("SAVE").raw == b"-ERR Background save already in progress\r\n"
        assert wire.call("BGSAVE", "SCHEDULE").raw == b"+Background saving scheduled\r\n"
        assert wire.call("BGSAVE", "WHAT").raw == b"-ERR syntax error\r\n"
        eventually(lambda: wire.call("BGSAVE", "CANCEL").raw == b"+Background saving cancelled\r\n", "it is cancelled")
        eventually(lambda: info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0", "it ends")
        assert wire.call("BGSAVE", "CANCEL").is_error
        assert (tmp_path / "dump.rdb").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["dump.rdb"]
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        assert wire.call("SAVE").raw == OK


def test_a_snapshot_that_fails_leaves_the_old_one_and_stops_writes(tmp_path: Path) -> None:
    with serve(tmp_path, save="3600 1000000") as server, server.wire() as wire:
        wire.call("SET", "a", "1")
        assert wire.call("SAVE").raw == OK
        before = (tmp_path / "dump.rdb").read_bytes()
        # A folder in the place of the file: it cannot be replaced by renaming, whoever asks.
        wire.call("SET", "b", "1")
        (tmp_path / "dump.rdb").rename(tmp_path / "kept")
        (tmp_path / "dump.rdb").mkdir()
        (tmp_path / "dump.rdb" / "x").touch()
        assert wire.call("SAVE").raw == b"-ERR\r\n"
        assert info_field(wire, "persistence", "rdb_last_bgsave_status") == "err"
        assert wire.call("SET", "c", "1").raw.startswith(b"-MISCONF Redis is configured to save RDB snapshots, but")
        assert wire.call("GET", "a").raw == b"$1\r\n1\r\n"
        assert wire.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no").raw == OK
        assert wire.call("SET", "c", "1").raw == OK
        (tmp_path / "dump.rdb" / "x").unlink()
        (tmp_path / "dump.rdb").rmdir()
        (tmp_path / "kept").rename(tmp_path / "dump.rdb")
        assert (tmp_path / "dump.rdb").read_bytes() == before
        wire.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
        assert wire.call("SAVE").raw == OK
        assert wire.call("SET", "d", "1").raw == OK


def test_a_broken_snapshot_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.wire() as wire:
        fill(wire)
        wire.call("SAVE")
    file = tmp_path / "dump.rdb"
    whole = file.read_bytes()
    broken = whole[: len(whole) // 2]
    file.write_bytes(broken)
    line = [*sherd_command(), "serve", "--port", "0", "--unixsocket", str(tmp_path / "s"), "--metrics-port", "0"]
    line += ["--dir", str(tmp_path)]
    finished = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 1
    assert f"cannot load {file}: " in finished.stderr
    assert "at byte" in finished.stderr
    assert file.read_bytes() == broken
    checked = subprocess.run(
        [*sherd_command(), "check-rdb", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 1
    assert "--- RDB ERROR DETECTED ---" in checked.stdout
    file.write_bytes(whole)
    checked = subprocess.run(
        [*sherd_command(), "check-rdb", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout.splitlines()[-3].startswith("[info] ")) == (0, True)
    assert "RDB looks OK!" in checked.stdout


def test_a_kill_at_any_moment_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    """Killed over and over while it saves under load; whatever is there then loads, and is no older than the last SAVE."""
    rounds = int(os.environ.get("CRASH_ROUNDS", "6"))
    saved = 0
    for round_number in range(rounds):
        with serve(tmp_path, Shape(4, 2)) as server:
            with server.wire() as wire:
                counter = int(wire.value("GET", "counter") or 0)
                assert counter >= saved, "what SAVE has acknowledged is there"
                mirror = int(wire.value("GET", "mirror") or 0)
                assert mirror == counter, "both halves of a transaction, or neither"
                fill(wire)
            stop = threading.Event()
            acknowledged = [saved]

            def write(server: Server = server, stop: threading.Event = stop, start: int = counter) -> None:
                with server.wire() as own:
                    count = start
                    while not stop.is_set():
                        count += 1
                        own.pipeline([("MULTI",), ("SET", "counter", count), ("SET", "mirror", count), ("EXEC",)])

            def save(server: Server = server, stop: threading.Event = stop, result: list[int] = acknowledged) -> None:
                with server.wire() as own:
                    while not stop.is_set():
                        before = int(own.value("GET", "counter") or 0)
                        if own.call("SAVE").raw == OK:
                            result[0] = before

            threads = [threading.Thread(target=quietly, args=(work,)) for work in (write, save)]
            for thread in threads:
                thread.start()
            time.sleep(0.3 + 0.07 * round_number)
            server.signal_and_wait(signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join(30)
            saved = max(saved, acknowledged[0])
    assert saved > 0


def quietly(work: Callable[[], None]) -> None:
    """Runs until the server is gone, which breaks the connection in one of several ways."""
    with contextlib.suppress(OSError, ConnectionClosed, ValueError):
        work()
