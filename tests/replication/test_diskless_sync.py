"""`repl-diskless-sync`: snapshots that replicas get while they are taken, without a file, as `$EOF:` and 40 bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from typing import TYPE_CHECKING, Self

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import Writer, await_equal, await_link, digest, eventually, fill, replica_of, write_some
from tests.support.references import need_reference, reference_names
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

MARK_BYTES = 40
# More than a socket, the way to it and the queue of the shards take: a snapshot of so many bytes is sent while it is
# taken, or not at all.
KEYS, VALUE_BYTES = 480, 100_000
IN_PROGRESS = b"-ERR Background save already in progress\r\n"


def primary(shape: Shape | None = None, **directives: str) -> Server:
    named = {key.replace("_", "-"): value for key, value in directives.items()}
    common = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "rdbcompression": "no"}
    return Server(shape=shape, directives={**common, **named})


def populate(wire: Wire) -> None:
    for number in range(KEYS):
        wire.call("SET", f"key:{number}", os.urandom(VALUE_BYTES // 2).hex())


class RawReplica:
    """A replica that reads only when it is told to."""

    def __init__(
        self, server: Server, *introduction: tuple[str, ...], ask: tuple[str, ...] = ("PSYNC", "?", "-1")
    ) -> None:
        self.mark = b""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self.socket.settimeout(60)
        self.socket.connect(server.address)
        for words in introduction:
            self.socket.sendall(encode_command(*words))
            assert self.socket.recv(64) == b"+OK\r\n"
        self.socket.sendall(encode_command(*ask))

    def line(self) -> bytes:
        """The next line that is not empty; b"" at the end of the link."""
        line = b""
        while not line.endswith(b"\n"):
            byte = self.socket.recv(1)
            if not byte:
                return line
            line = line + byte if line + byte != b"\n" else b""
        return line

    def announcement(self) -> bytes:
        """What comes before a snapshot: `$EOF:` and the mark, or `$` and its length."""
        line = self.line()
        line = self.line() if line.startswith(b"+FULLRESYNC ") else line
        self.mark = line.strip().removeprefix(b"$EOF:")
        return line

    def skip_snapshot(self) -> int:
        """Reads to the mark behind a snapshot; how many bytes came before it."""
        count, tail = 0, b""
        while tail != self.mark:
            part = self.socket.recv(1 << 20)
            assert part, "the link has ended"
            count, tail = count + len(part), (tail + part)[-MARK_BYTES:]
        return count - MARK_BYTES

    def rest(self) -> bytes:
        """All that comes until the end of the link."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


EOF = ("REPLCONF", "capa", "eof", "capa", "psync2")


@contextlib.contextmanager
def stuck_transfer(server: Server, ours: Wire) -> Iterator[RawReplica]:
    """A replica that has taken nothing but the first bytes of a snapshot, which waits for it."""
    with RawReplica(server, EOF) as replica:
        assert replica.announcement().startswith(b"$EOF:")
        sizes: list[int] = []

        def is_stuck() -> bool:
            sizes.append(int(info_field(ours, "stats", "total_net_repl_output_bytes")))
            time.sleep(0.1)
            return len(sizes) > 5 and len(set(sizes[-5:])) == 1 and sizes[-1] > 0

        eventually(is_stuck, "the link takes no more")
        assert info_field(ours, "persistence", "rdb_bgsave_in_progress") == "1"
        assert "state=wait_bgsave" in info_field(ours, "replication", "slave0")
        yield replica


def is_idle(wire: Wire) -> bool:
    return info_field(wire, "persistence", "rdb_bgsave_in_progress") == "0"


def used_memory(wire: Wire) -> int:
    return int(info_field(wire, "memory", "used_memory"))


def primary_without_directory(directory: Path, **directives: str) -> Server:
    """One that has nowhere to write to."""
    directory.mkdir()
    server = primary(Shape(4, 2), dir=str(directory), **directives)
    shutil.rmtree(directory)
    return server


@pytest.mark.parametrize("name", ["sherd", *reference_names])
@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_replicas_get_everything_from_a_primary_that_cannot_write_a_file(name: str, load: str, tmp_path: Path) -> None:
    """What was there, and what is written meanwhile, from four shards."""
    program = None if name == "sherd" else need_reference(name)
    with primary_without_directory(tmp_path / "gone", rdbcompression="yes") as server, server.wire() as ours:
        fill(ours)
        assert ours.call("DEBUG", "POPULATE", "20000", "many", "300").raw == b"+OK\r\n"
        directives = {
            "enable-debug-command": "yes", "maxclients": "400", "replicaof": f"127.0.0.1 {server.port}",
            "repl-diskless-load": load,
        }  # fmt: skip
        with (
            Writer(server),
            Server(program, shape=Shape(2, 1), directives=directives) as replica,
            replica.wire() as theirs,
        ):
            await_link(theirs)
        for number in range(50):
            write_some(ours, number)
        with Server(program, shape=Shape(2, 1), directives=directives) as replica, replica.wire() as theirs:
            await_link(theirs)
            for number in range(50):
                write_some(ours, number)
            await_equal(ours, theirs)
            assert "state=online" in info_field(ours, "replication", "slave0")
        assert info_field(ours, "stats", "sync_full") == "2"
        assert "target=sockets" in server.log() and "target=disk" not in server.log()


def test_without_it_a_file_that_cannot_be_written_is_said_to_the_replica_and_in_the_log(tmp_path: Path) -> None:
    with primary_without_directory(tmp_path / "gone", repl_diskless_sync="no") as server, server.wire() as ours:
        with RawReplica(server, EOF) as replica:
            assert replica.line() == b"-ERR BGSAVE failed, replication can't continue\r\n"
            assert replica.rest().strip(b"\n") == b""
        assert "a snapshot for replicas cannot be written" in server.log()
        assert is_idle(ours)
        assert ours.call("CONFIG", "SET", "repl-diskless-sync", "yes").raw == b"+OK\r\n"
        with replica_of(server.port) as replica, replica.wire() as theirs:
            await_link(theirs)


@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_who_shares_a_snapshot_gets_it_in_the_same_way(name: str) -> None:
    """As capabilities were told, whoever asks with PSYNC or SYNC; one that knows no mark makes it a file for all."""
    program = None if name == "sherd" else need_reference(name)
    directives = {"repl-diskless-sync-delay": "1", "maxclients": "400"}
    with Server(program, directives=directives) as server, server.wire() as ours:
        ours.call("SET", "a", "1")
        with RawReplica(server, EOF) as one:
            assert one.announcement().startswith(b"$EOF:")
        with RawReplica(server, ("REPLCONF", "capa", "EOF"), ask=("SYNC",)) as one:
            assert one.announcement().startswith(b"$EOF:")
        with RawReplica(server) as one:
            assert one.announcement().removeprefix(b"$").strip().isdigit()
        with RawReplica(server, ("REPLCONF", "capa", "psync2"), ask=("SYNC",)) as one, RawReplica(server, EOF) as two:
            announced = one.announcement()
            assert announced == two.announcement()
            assert announced.removeprefix(b"$").strip().isdigit()


@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_a_part_of_a_snapshot_is_sent_to_who_asks_for_it(name: str, tmp_path: Path) -> None:
    """Functions without data, or neither, always without a file; others that ask at the same time get everything."""
    program = None if name == "sherd" else need_reference(name)
    directives = {"repl-diskless-sync-delay": "0", "repl-diskless-sync": "no", "maxclients": "400"}
    library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
    found: list[tuple[object, object]] = []
    with Server(program, directives=directives) as server, server.wire() as ours:
        ours.call("SET", "a", "1")
        assert ours.value("FUNCTION", "LOAD", library) == b"lib"
        only = ("REPLCONF", "rdb-only", "1")
        with (
            RawReplica(server, EOF, only, ("REPLCONF", "rdb-filter-only", "functions"), ask=("SYNC",)) as functions,
            RawReplica(server, EOF, only, ("REPLCONF", "rdb-filter-only", ""), ask=("SYNC",)) as nothing,
            RawReplica(server, EOF, only, ask=("SYNC",)) as everything,
        ):
            for number, tool in enumerate((functions, nothing, everything)):
                announced = tool.announcement().strip().removeprefix(b"$")
                snapshot = tool.rest().removesuffix(announced.removeprefix(b"EOF:"))
                # Valkey 9.1 sends whatever a replica can take that way.
                assert announced.startswith(b"EOF:") is (number < 2 or name == "valkey9")
                (tmp_path / "dump.rdb").write_bytes(snapshot)
                with (
                    Server(program, directives={"dir": str(tmp_path), "maxclients": "400"}) as copy,
                    copy.wire() as wire,
                ):
                    found.append((wire.value("DBSIZE"), len(wire.value("FUNCTION", "LIST"))))
        ours.call("REPLCONF", "rdb-filter-only", "functions")
        assert ours.call("SYNC").raw == b"-ERR Filtered replica requires EOF capability\r\n"
        refusal = b"-ERR Unsupported rdb-filter-only option: keys\r\n"
        assert ours.call("REPLCONF", "rdb-filter-only", "functions keys").raw == refusal
    assert found == [(0, 1), (0, 0), (1, 1)]


def test_all_get_a_file_where_that_is_wanted() -> None:
    with primary(repl_diskless_sync="no") as server, RawReplica(server, EOF) as replica:
        assert replica.announcement().removeprefix(b"$").strip().isdigit()
        assert "target=disk" in server.log()


@pytest.mark.parametrize("checksum", ["yes", "no"])
def test_a_snapshot_ends_with_its_checksum_and_the_mark(checksum: str, tmp_path: Path) -> None:
    """As it is fetched by tools, whose link ends behind it."""
    with primary(Shape(4, 2), rdbchecksum=checksum) as server, server.wire() as ours:
        fill(ours)
        with RawReplica(server, EOF, ("REPLCONF", "rdb-only", "1"), ask=("SYNC",)) as tool:
            tool.announcement()
            assert len(tool.mark) == MARK_BYTES
            fetched = tool.rest()
        assert fetched.endswith(tool.mark)
        snapshot = fetched.removesuffix(tool.mark)
        assert (snapshot[-8:] == bytes(8)) is (checksum == "no")
        (tmp_path / "dump.rdb").write_bytes(snapshot)
        with Server(directives={"dir": str(tmp_path), "enable-debug-command": "yes"}) as copy, copy.wire() as theirs:
            assert digest(theirs) == digest(ours)


def test_a_stream_follows_only_when_the_replica_has_said_that_it_has_the_snapshot() -> None:
    with primary() as server, server.wire() as ours, RawReplica(server, EOF) as replica:
        replica.announcement()
        replica.skip_snapshot()
        ours.call("SET", "after", "1")
        assert "state=online" in info_field(ours, "replication", "slave0")
        replica.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            replica.socket.recv(1)
        replica.socket.settimeout(60)
        replica.socket.sendall(encode_command("REPLCONF", "ACK", "0"))
        stream = b""
        while b"after" not in stream:
            stream += replica.socket.recv(1 << 16)


def test_other_snapshots_wait_for_one_that_is_being_sent() -> None:
    with primary(Shape(4, 2)) as server, server.wire() as ours:
        populate(ours)
        with stuck_transfer(server, ours):
            assert info_field(ours, "persistence", "current_save_keys_total") == str(KEYS)
            assert info_field(ours, "persistence", "rdb_current_bgsave_time_sec") != "-1"
            assert ours.call("BGSAVE").raw == IN_PROGRESS
            assert ours.call("SAVE").raw == IN_PROGRESS
            assert ours.call("BGREWRITEAOF").raw == b"+Background append only file rewriting scheduled\r\n"
        eventually(lambda: is_idle(ours), "it ends with its replica")
        eventually(lambda: info_field(ours, "persistence", "aof_rewrites") == "1", "the rewrite has had its turn")
        assert ours.call("SAVE").raw == b"+OK\r\n"
        directives = {"dir": str(server.directory), "enable-debug-command": "yes"}
        with Server(directives=directives) as copy, copy.wire() as theirs:
            assert digest(theirs) == digest(ours)


@pytest.mark.parametrize("cause", ["closed", "CLIENT KILL", "REPLICAOF", "BGSAVE CANCEL", "timeout"])
def test_a_snapshot_ends_at_once_when_nobody_is_left_to_get_it(cause: str) -> None:
    """With the memory that it had, and the next one begins anew."""
    with primary(Shape(4, 2)) as server, server.wire() as ours:
        populate(ours)
        before = used_memory(ours)
        with stuck_transfer(server, ours) as replica:
            # What changes is kept for it as it was.
            for number in range(KEYS // 2):
                ours.call("SET", f"key:{number}", "short")
            assert used_memory(ours) > before - KEYS // 2 * VALUE_BYTES + VALUE_BYTES
            match cause:
                case "closed":
                    replica.socket.close()
                case "CLIENT KILL":
                    assert ours.value("CLIENT", "KILL", "TYPE", "replica") == 1
                case "REPLICAOF":
                    assert ours.call("REPLICAOF", "127.0.0.1", "1").raw == b"+OK\r\n"
                case "BGSAVE CANCEL":
                    assert ours.call("BGSAVE", "CANCEL").raw == b"+Background saving cancelled\r\n"
                case _:
                    assert ours.call("CONFIG", "SET", "repl-timeout", "2").raw == b"+OK\r\n"
            eventually(lambda: is_idle(ours), "it ends")
            eventually(lambda: info_field(ours, "replication", "connected_slaves") == "0", "the replica has gone")
            less = KEYS // 2 * VALUE_BYTES - (8 << 20)
            eventually(lambda: used_memory(ours) < before - less, "its memory is free")
        ours.call("REPLICAOF", "NO", "ONE")
        ours.call("CONFIG", "SET", "repl-timeout", "60")
        with replica_of(server.port) as replica, replica.wire() as theirs:
            await_link(theirs)
            await_equal(ours, theirs)


def test_a_replica_that_takes_nothing_is_cut_and_the_others_get_everything() -> None:
    directives = {"repl_timeout": "8", "repl_diskless_sync_delay": "20", "repl_diskless_sync_max_replicas": "3"}
    with primary(Shape(4, 2), **directives) as server, server.wire() as ours:
        populate(ours)
        with (
            RawReplica(server, EOF) as stuck,
            replica_of(server.port, Shape(2, 1)) as first,
            replica_of(server.port) as second,
            first.wire() as one,
            second.wire() as two,
        ):
            assert stuck.announcement().startswith(b"$EOF:")
            write_some(ours, 1)
            await_link(one)
            await_link(two)
            await_equal(ours, one)
            await_equal(ours, two)
            assert info_field(ours, "stats", "sync_full") == "3"
            assert info_field(ours, "replication", "connected_slaves") == "2"
            assert "it has been silent for too long" in server.log()


def test_a_replica_that_is_killed_in_the_middle_leaves_the_others_theirs() -> None:
    directives = {"repl_diskless_sync_delay": "20", "repl_diskless_sync_max_replicas": "3"}
    killed: Server | None = None
    with primary(Shape(4, 2), **directives) as server, server.wire() as ours:
        populate(ours)
        try:
            killed = replica_of(server.port)
            with replica_of(server.port, Shape(2, 1)) as replica, replica.wire() as theirs:
                with stuck_transfer(server, ours):
                    killed.signal_and_wait(signal.SIGKILL)
                    eventually(lambda: info_field(ours, "replication", "connected_slaves") == "2", "it is missed")
                    assert not is_idle(ours)
                    assert info_field(theirs, "replication", "master_sync_in_progress") == "1"
                await_link(theirs)
                await_equal(ours, theirs)
                assert info_field(ours, "stats", "sync_full") == "3"
        finally:
            if killed is not None:
                shutil.rmtree(killed.directory, ignore_errors=True)


def test_writers_wait_for_a_replica_that_stops_in_the_middle_and_it_need_not_begin_again() -> None:
    """Neither what is written meanwhile nor what that replaces takes memory without a bound."""
    directives = {
        "client_output_buffer_limit": "replica 2mb 0 0",
        "repl_diskless_sync_delay": "20",
        "repl_diskless_sync_max_replicas": "2",
    }
    with primary(Shape(4, 2), **directives) as server, server.wire() as ours:
        populate(ours)
        before = used_memory(ours)
        with replica_of(server.port, Shape(2, 1)) as replica, replica.wire() as theirs:
            with stuck_transfer(server, ours), server.wire(timeout_seconds=5) as writer:
                written = 0
                with pytest.raises((TimeoutError, ConnectionClosed, AssertionError)):
                    for number in range(KEYS * 10):
                        writer.call("SET", f"key:{number % KEYS}", "y" * VALUE_BYTES)
                        written += 1
                assert 0 < written < KEYS
                assert used_memory(ours) < before + (64 << 20)
                assert ours.value("STRLEN", "key:0") == VALUE_BYTES, "readers go on"
                assert info_field(ours, "replication", "connected_slaves") == "2"
            await_link(theirs)
            await_equal(ours, theirs)
        assert info_field(ours, "stats", "sync_full") == "2"


def test_flushing_everything_in_the_middle_is_no_reason_to_begin_again() -> None:
    with primary(Shape(4, 2)) as server, server.wire() as ours:
        populate(ours)
        with stuck_transfer(server, ours) as replica:
            assert ours.call("FLUSHALL").raw == b"+OK\r\n"
            ours.call("SET", "after", "1")
            assert replica.skip_snapshot() > KEYS * VALUE_BYTES
            replica.socket.sendall(encode_command("REPLCONF", "ACK", "0"))
            stream = b""
            while b"after" not in stream:
                stream += replica.socket.recv(1 << 20)
            assert b"flushall" in stream.lower()


@pytest.mark.parametrize("save", ["", "3600 1"], ids=["no-save", "save"])
@pytest.mark.parametrize("how", ["SIGTERM", "SHUTDOWN"])
def test_a_primary_ends_in_the_middle(save: str, how: str) -> None:
    """Soon, and with its last snapshot, for which the one of the replica gives way."""
    with primary(Shape(4, 2), save=save) as server, server.wire() as ours:
        populate(ours)
        expected = digest(ours)
        with stuck_transfer(server, ours):
            assert server.process is not None
            if how == "SIGTERM":
                server.process.send_signal(signal.SIGTERM)
            else:
                ours.write("SHUTDOWN")
            assert server.process.wait(30) == 0
        if save:
            directives = {"dir": str(server.directory), "enable-debug-command": "yes"}
            with Server(directives=directives) as again, again.wire() as wire:
                assert digest(wire) == expected


def test_a_replica_whose_primary_dies_in_the_middle_follows_another_one() -> None:
    server, other = primary(Shape(4, 2)), primary()
    with other, other.wire() as next_primary, server.wire() as ours:
        next_primary.call("SET", "a", "1")
        populate(ours)
        with replica_of(server.port, Shape(2, 1)) as replica, replica.wire() as theirs:
            eventually(lambda: int(info_field(ours, "stats", "total_net_repl_output_bytes")) > 1000, "it is being sent")
            os.kill(replica.pid, signal.SIGSTOP)
            server.signal_and_wait(signal.SIGKILL)
            os.kill(replica.pid, signal.SIGCONT)
            eventually(lambda: info_field(theirs, "replication", "master_sync_in_progress") == "0", "it has noticed")
            assert info_field(theirs, "replication", "master_link_status") == "down"
            assert theirs.value("DBSIZE") == 0, "nothing of half a snapshot is there"
            assert theirs.call("REPLICAOF", "127.0.0.1", str(other.port)).raw == b"+OK\r\n"
            await_link(theirs)
            await_equal(next_primary, theirs)
    shutil.rmtree(server.directory, ignore_errors=True)
