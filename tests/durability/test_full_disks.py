"""A disk without room, under load and while other things happen: nothing is lost that was acknowledged, the server goes on by
itself when there is room, and one that is killed meanwhile starts again.

The limit of a file's size stands for the disk, as it can be lifted while the server runs; or a small file system does, where the
test may mount one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_append_only import OK, files, increment_of, serve
from tests.protocol.test_limits import eventually, info_field
from tests.replication.support import SHAPE_NAMES, SHAPES, await_equal, await_link, digest
from tests.support.servers import Server, Shape, sherd_command
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

writers_count = 4
disk_bytes = 12 << 20
# What a write takes on the disk.
payload = "p" * 1500


@contextlib.contextmanager
def full_disk(server: Server, limit: int) -> Iterator[None]:
    """Files of a server have room for so many bytes."""
    hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, hard))
    yield
    if server.is_running():
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


def await_refusal(wire: Wire) -> None:
    eventually(lambda: info_field(wire, "persistence", "aof_last_write_status") == "err", "it is noticed")


def rewrite_in_vain(wire: Wire) -> None:
    wire.call("BGREWRITEAOF")
    eventually(lambda: info_field(wire, "persistence", "aof_last_bgrewrite_status") == "err", "the rewrite fails")
    eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")


def has_half_a_command(server: Server, directory: Path, wire: Wire) -> contextlib.AbstractContextManager[None]:
    """Room for nothing but a part of what is written next, whose answer waits for the rest, nor for a base."""
    wire.pipeline([("SET", f"k{number}", os.urandom(3000)) for number in range(50)])
    return full_disk(server, increment_of(directory).stat().st_size + 1000)


@pytest.mark.parametrize("rewrites", [0, 1, 2, 3])
def test_what_waits_for_room_is_written_though_rewrites_have_failed_meanwhile(tmp_path: Path, rewrites: int) -> None:
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire, server.wire() as other:
        with has_half_a_command(server, tmp_path, wire):
            wire.write("SET", "waits", "x" * 5000)
            await_refusal(other)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            for _ in range(rewrites):
                rewrite_in_vain(other)
        assert wire.read().raw == OK
        assert wire.call("SET", "after", "1").raw == OK
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert (wire.value("DBSIZE"), wire.value("STRLEN", "waits"), wire.value("GET", "after")) == (52, 5000, b"1")


@pytest.mark.parametrize("rewrites", [0, 1, 2])
@pytest.mark.parametrize("is_fixed", [False, True], ids=["loaded", "check-aof"])
def test_a_server_that_is_killed_while_its_disk_is_full_starts_again(
    tmp_path: Path, rewrites: int, is_fixed: bool
) -> None:
    """Behind the file with half a command there may be others, in which there is nothing."""
    with (
        serve(tmp_path, appendfsync="always") as server,
        server.wire() as wire,
        server.wire() as other,
        has_half_a_command(server, tmp_path, wire),
    ):
        wire.write("SET", "waits", "x" * 5000)
        await_refusal(other)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        for _ in range(rewrites):
            rewrite_in_vain(other)
        server.signal_and_wait(signal.SIGKILL)
    assert len(files(tmp_path)) == 1 + rewrites
    if is_fixed:
        manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
        line = [*sherd_command(), "check-aof", "--fix", str(manifest)]
        assert subprocess.run(line, input=b"y\n", stdout=subprocess.DEVNULL, check=False).returncode == 0
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire:
        assert ("was cut off" in server.log()) == (not is_fixed)
        assert (wire.value("DBSIZE"), wire.value("STRLEN", "waits")) == (50, 0)
        assert wire.call("SET", "after", "1").raw == OK
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert (wire.value("DBSIZE"), wire.value("GET", "after")) == (51, b"1")


def test_a_file_is_begun_again_whose_manifest_could_not_be_written(tmp_path: Path) -> None:
    """Without it nothing that is appended would be found."""
    with serve(tmp_path, appendonly="no", appendfsync="always") as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        in_its_way = tmp_path / "appendonlydir" / "temp-appendonly.aof.manifest"
        in_its_way.mkdir(parents=True)
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == OK
        eventually(lambda: info_field(wire, "persistence", "aof_last_bgrewrite_status") == "err", "it fails")
        assert wire.value("WAITAOF", "1", "0", "100") == [0, 0]
        in_its_way.rmdir()
        assert wire.call("SET", "l", "w").raw == OK
        assert wire.value("WAITAOF", "1", "0", "20000") == [1, 0]
        server.signal_and_wait(signal.SIGKILL)
    assert files(tmp_path) == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("MGET", "k", "l") == [b"v", b"w"]


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_replica_whose_disk_is_full_takes_no_more_than_may_wait_and_goes_on_by_itself(
    tmp_path: Path, shape: Shape
) -> None:
    batch = [("SET", f"k{number}", "v" * 10_000) for number in range(100)]
    may_wait = 64 << 20
    directives = {
        "enable-debug-command": "yes", "repl-backlog-size": "512mb", "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1", "client-output-buffer-limit": "replica 0 0 0",
    }  # fmt: skip
    with (
        Server(shape=shape, directives=directives) as primary,
        serve(
            tmp_path, shape, replicaof=f"127.0.0.1 {primary.port}", appendfsync="always", repl_timeout="2"
        ) as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        assert ours.value("WAITAOF", "0", "1", "20000") == [0, 1]
        with full_disk(replica, increment_of(tmp_path).stat().st_size):
            for _ in range(160):
                ours.pipeline(batch)
            await_refusal(theirs)

            def waiting() -> int:
                return int(info_field(theirs, "persistence", "aof_buffer_length") or 0)

            eventually(lambda: waiting() > may_wait, "as much waits as may")
            # Longer than `repl-timeout`: it is not the primary that is silent.
            time.sleep(3)
            assert waiting() < may_wait + (16 << 20)
            assert info_field(theirs, "replication", "master_link_status") == "up"
            assert ours.value("WAITAOF", "0", "1", "10") == [0, 0]
        assert ours.value("WAITAOF", "0", "1", "20000") == [0, 1]
        await_equal(ours, theirs)
        assert info_field(ours, "stats", "sync_full") == "1"
        expected = digest(ours)
        replica.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path, shape) as alone, alone.wire() as wire:
        assert digest(wire) == expected


class Writer(threading.Thread):
    """Appends numbers to a list, each with two keys in a transaction; one that was refused is sent again."""

    def __init__(self, server: Server, name: int) -> None:
        super().__init__(daemon=True)
        self.server, self.name_, self.acknowledged, self.refused = server, name, 0, 0

    def run(self) -> None:
        """Until the server is gone."""
        with contextlib.suppress(OSError, ConnectionClosed), self.server.wire(timeout_seconds=60) as wire:
            while True:
                value = str(self.acknowledged)
                transaction = [
                    ("MULTI",), ("RPUSH", f"list:{self.name_}", value), ("SET", f"one:{self.name_}", value),
                    ("SET", f"other:{self.name_}", value + payload), ("EXEC",),
                ]  # fmt: skip
                if wire.pipeline(transaction)[-1].is_error:
                    self.refused += 1
                    time.sleep(0.005)
                else:
                    self.acknowledged += 1

    def check(self, wire: Wire, *, is_all_safe: bool) -> None:
        """Hold what a server has against what was acknowledged."""
        elements = [int(element) for element in wire.value("LRANGE", f"list:{self.name_}", "0", "-1")]
        assert elements == list(range(len(elements))), "a hole, or an element twice"
        last = str(len(elements) - 1)
        pair = wire.value("MGET", f"one:{self.name_}", f"other:{self.name_}")
        assert pair == [last.encode(), (last + payload).encode()], "half a transaction"
        assert len(elements) <= self.acknowledged + 1, "more than was ever written"
        if is_all_safe:
            assert len(elements) >= self.acknowledged, "what was acknowledged is lost"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, in which a file takes half of the room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={disk_bytes}", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run([mount, *options], check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        (folder / "ballast").write_bytes(bytes(disk_bytes // 2))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("is_killed_while_full", [False, True], ids=["room again", "killed while full"])
@pytest.mark.parametrize("event", ["nothing", "rewrites", "snapshot"])
@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_file_system_that_fills_up_under_load_loses_nothing(
    small_disk: Path, policy: str, event: str, is_killed_while_full: bool
) -> None:
    with serve(small_disk, Shape(3, 2), appendfsync=policy) as server, server.wire() as wire:
        writers = [Writer(server, number) for number in range(writers_count)]
        for writer in writers:
            writer.start()
        await_refusal(wire)
        before = sum(writer.acknowledged for writer in writers)
        assert wire.call("SET", "refused", "1").raw.startswith(
            b"-MISCONF Errors writing to the AOF file: No space left"
        )
        assert wire.value("EXISTS", "one:0", "refused") == 1
        match event:
            case "rewrites":
                for _ in range(2):
                    rewrite_in_vain(wire)
            case "snapshot":
                wire.call("BGSAVE")
                eventually(lambda: info_field(wire, "persistence", "rdb_last_bgsave_status") == "err", "it fails")
        if not is_killed_while_full:
            (small_disk / "ballast").unlink()
            eventually(lambda: sum(writer.acknowledged for writer in writers) > before + 100, "writers go on")
        server.signal_and_wait(signal.SIGKILL)
        for writer in writers:
            writer.join(30)
            assert not writer.is_alive(), "a writer goes on without a server"
    with serve(small_disk, Shape(2, 2), appendfsync=policy) as server, server.wire() as wire:
        for writer in writers:
            writer.check(wire, is_all_safe=policy == "always")
        assert wire.value("EXISTS", "refused") == 0
