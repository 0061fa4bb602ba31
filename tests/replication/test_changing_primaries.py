"""What a server follows, or hands over, changes again and again: nothing is applied twice, and nobody is forgotten."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.fake_primary import EMPTY_SNAPSHOT, HISTORY, FakePrimary, Link
from tests.replication.support import SHAPE_NAMES, SHAPES, await_equal, await_link, eventually, replica_of
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

OK = b"+OK\r\n"
quick = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
# Nothing is added to the stream but what clients write.
silent = {**quick, "repl-ping-replica-period": "1000"}
asks = b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"


def role(wire: Wire) -> str:
    """master or slave."""
    return info_field(wire, "replication", "role")


def failover_ends(wire: Wire) -> None:
    """Waits until nothing is handed over any more."""
    eventually(lambda: info_field(wire, "replication", "master_failover_state") == "no-failover", "it is over")


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_replica_that_is_told_to_follow_another_one_applies_nothing_twice(shape: Shape) -> None:
    with (
        Server(directives=quick) as top, top.wire() as ours,
        replica_of(top.port) as sibling, sibling.wire() as between,
        replica_of(top.port, shape) as replica, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(between)
        await_link(theirs)
        for followed in (sibling, top, sibling):
            ours.pipeline([command for _ in range(50) for command in (("INCR", "count"), ("RPUSH", "list", "x"))])
            ours.value("WAIT", "2", "10000")
            assert theirs.call("REPLICAOF", "127.0.0.1", str(followed.port)).raw == OK
            await_link(theirs)
            await_equal(ours, theirs)
        assert theirs.value("GET", "count") == b"150"
        assert int(info_field(ours, "stats", "sync_full")) == 2, "it went on where it was"


@pytest.mark.parametrize("nonsense", [b"hello\r\n", b"*2\r\n$99999999999\r\n", b"$3\r\nSET\r\n"])
def test_a_replica_that_cannot_read_the_stream_asks_for_everything(nonsense: bytes) -> None:
    """What it has may not be what the primary has, and the same place would say the same again."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full(offset=100)
        link.stream(("SET", "a", "1"))
        link.send(nonsense)
        assert link.is_closed()
        again = primary.next_link()
        assert again.shake_hands() == [b"PSYNC", b"?", b"-1"]
        again.full(EMPTY_SNAPSHOT, offset=500, history=HISTORY)
        await_link(wire)
        assert wire.value("DBSIZE") == 0


def test_a_failover_that_was_aborted_is_asked_of_nobody_else() -> None:
    """Who is followed after it is not told to become the primary."""
    with (
        Server(directives=silent) as server, server.wire() as ours,
        replica_of(server.port) as first, replica_of(server.port) as second,
        first.wire() as of_first, second.wire() as of_second,
    ):  # fmt: skip
        await_link(of_first)
        await_link(of_second)
        ours.call("SET", "a", "1")
        end = int(info_field(ours, "replication", "master_repl_offset"))
        has_all = f"state=online,offset={end}"
        eventually(
            lambda: ours.value("INFO", "replication").decode().count(has_all) == 2, "both have said that they have it"
        )
        os.kill(first.pid, signal.SIGSTOP)
        try:
            assert ours.call("FAILOVER", "TO", "127.0.0.1", str(first.port), "TIMEOUT", "60000").raw == OK
            in_progress = "failover-in-progress"
            eventually(
                lambda: info_field(ours, "replication", "master_failover_state") == in_progress,
                "it is being handed over",
            )
            assert ours.call("FAILOVER", "ABORT").raw == OK
            failover_ends(ours)
            assert role(ours) == "master"
        finally:
            os.kill(first.pid, signal.SIGCONT)
        # Who is followed next is of the same history, and has a primary.
        await_link(of_second)
        assert ours.call("REPLICAOF", "127.0.0.1", str(second.port)).raw == OK
        eventually(
            lambda: "NOMASTERLINK" in server.log() or role(of_second) == "master", "it has been asked for the stream"
        )
        assert role(of_second) == "slave"


def test_clients_that_wait_for_replicas_do_not_keep_one_from_taking_over() -> None:
    """WAIT asks replicas how far they are. The question is a part of the stream, of which nobody would ever have all."""
    with (
        Server(directives=silent) as server, replica_of(server.port) as replica,
        server.wire() as ours, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(theirs)
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            ours.call("SET", "a", "1")
            assert ours.call("FAILOVER", "TIMEOUT", "60000").raw == OK
            end = info_field(ours, "replication", "master_repl_offset")
            for words in (("WAIT", "1", "20"), ("WAITAOF", "0", "1", "20")):
                ours.value(*words)
                assert info_field(ours, "replication", "master_repl_offset") == end
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        failover_ends(ours)
        assert [role(ours), role(theirs)] == ["slave", "master"]


def test_nothing_is_written_while_a_replica_takes_over_whatever_clients_say_of_pauses() -> None:
    """CLIENT UNPAUSE ends the pauses of clients, and a short CLIENT PAUSE ends nothing."""
    with (
        Server(directives=silent) as server, replica_of(server.port) as replica,
        server.wire() as ours, server.wire(timeout_seconds=60) as writer, replica.wire() as theirs,
    ):  # fmt: skip
        await_link(theirs)
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            ours.call("SET", "a", "1")
            assert ours.call("FAILOVER", "TO", "127.0.0.1", str(replica.port), "TIMEOUT", "60000").raw == OK
            writer.write("INCR", "a")
            for words in (("UNPAUSE",), ("PAUSE", "1", "ALL"), ("UNPAUSE",)):
                assert ours.call("CLIENT", *words).raw == OK
                time.sleep(0.05)
                assert ours.value("GET", "a") == b"1"
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        failover_ends(ours)
        assert role(ours) == "slave"
        assert writer.read().raw.startswith(b"-READONLY")
        # Which ends no pause of a client's.
        assert theirs.call("CLIENT", "PAUSE", "60000", "WRITE").raw == OK
        await_link(ours)
        assert theirs.call("FAILOVER", "TIMEOUT", "1").raw == OK
        failover_ends(theirs)
        assert info_field(theirs, "clients", "paused_actions") == "write"


@pytest.mark.parametrize("order", ["FAILOVER", "REPLICAOF"])
@pytest.mark.parametrize("kind", ["plain", "over-shards", "transaction"])
def test_a_write_that_waits_for_its_shard_is_not_executed_by_a_server_that_follows(kind: str, order: str) -> None:
    """It was let pass when the server still was a primary. Executed later, nobody else would ever have it."""
    keys = [f"{{busy}}:{number}" for number in range(8)]
    lines = {
        "plain": lambda key: [("SET", key, "1")],
        "over-shards": lambda key: [("MSET", key, "1", f"other:{key}", "1")],
        "transaction": lambda key: [("MULTI",), ("SET", key, "1"), ("SET", f"other:{key}", "1"), ("EXEC",)],
    }[kind]
    with (
        # Nobody is told that the script is busy, however slow the machine.
        Server(directives={**silent, "busy-reply-threshold": "60000"}, shape=Shape(2, 2)) as server,
        replica_of(server.port) as replica,
        server.wire() as ours, server.wire() as slow, replica.wire() as theirs, contextlib.ExitStack() as stack,
    ):  # fmt: skip
        await_link(theirs)
        writers = [stack.enter_context(server.wire()) for _ in keys]
        slow.write("EVAL", "for i = 1, 1e8 do end return redis.call('GET', KEYS[1])", "1", "{busy}")
        time.sleep(0.1)
        for writer, key in zip(writers, keys, strict=True):
            writer.send(b"".join(encode_command(*line) for line in lines(key)))
        time.sleep(0.1)
        if order == "FAILOVER":
            assert ours.call("FAILOVER", "TIMEOUT", "60000").raw == OK
        else:
            assert theirs.call("REPLICAOF", "NO", "ONE").raw == OK
            assert ours.call("REPLICAOF", "127.0.0.1", str(replica.port)).raw == OK
        assert slow.read().value is None
        if order == "FAILOVER":
            failover_ends(ours)
        await_link(ours)
        answers = [[writer.read().raw for _ in lines(key)][-1] for writer, key in zip(writers, keys, strict=True)]
        await_equal(theirs, ours)
        for key, answer in zip(keys, answers, strict=True):
            is_refused = answer.startswith((b"-READONLY", b"-EXECABORT"))
            if order == "FAILOVER":
                assert is_refused or theirs.value("GET", key) == b"1", (key, answer)


@pytest.mark.parametrize("order", ["FAILOVER", "REPLICAOF"])
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_key_that_was_sent_elsewhere_meanwhile_is_not_removed_by_a_server_that_follows(
    shape: Shape, order: str
) -> None:
    """MIGRATE waits for its target, to which this server may no longer be a primary: it would have removed the key from
    its own data alone, and answered that it has moved."""
    with (
        Server(directives=silent, shape=shape) as server, replica_of(server.port) as replica,
        server.wire() as ours, server.wire() as mover, replica.wire() as theirs,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):  # fmt: skip
        await_link(theirs)
        assert ours.call("SET", "k", "v").raw == OK
        mover.write("MIGRATE", "127.0.0.1", str(listener.getsockname()[1]), "k", "0", "60000")
        with listener.accept()[0] as connection:
            target = Link(connection)
            assert target.command() == [b"SELECT", b"0"]
            target.send(OK)
            assert target.command()[:2] == [b"RESTORE", b"k"]
            if order == "FAILOVER":
                assert ours.call("FAILOVER", "TIMEOUT", "60000").raw == OK
                failover_ends(ours)
            else:
                assert theirs.call("REPLICAOF", "NO", "ONE").raw == OK
                assert ours.call("REPLICAOF", "127.0.0.1", str(replica.port)).raw == OK
            await_link(ours)
            target.send(OK)
            assert mover.read().raw == b"-READONLY You can't write against a read only replica.\r\n"
        assert [wire.value("GET", "k") for wire in (ours, theirs)] == [b"v", b"v"]
        await_equal(theirs, ours)


def test_a_replica_that_comes_while_others_have_gone_gets_its_snapshot() -> None:
    """Who asked for one and has gone is given two seconds to become a replica; who comes then is not forgotten with it."""
    with Server(directives=quick) as server, contextlib.ExitStack() as stack:
        with socket.create_connection(server.address) as gone:
            gone.sendall(asks)
        # As long as it takes on a busy machine as well, and less than a look apart.
        time.sleep(1.8)
        late = []
        for _ in range(30):
            late.append(stack.enter_context(socket.create_connection(server.address)))
            late[-1].sendall(asks)
            time.sleep(0.04)
        for connection in late:
            assert_gets_snapshot(connection)


def assert_gets_snapshot(connection: socket.socket) -> bytes:
    """It is answered what PSYNC is answered, not only that it is to wait; returns that line."""
    connection.settimeout(1)
    deadline, received = time.monotonic() + 20, b""
    while b"+FULLRESYNC" not in received or b"\r\n" not in received:
        assert time.monotonic() < deadline, f"a replica is forgotten: {received!r}"
        with contextlib.suppress(TimeoutError):
            received += connection.recv(1000)
    return received.lstrip(b"\n").partition(b"\r\n")[0]


def test_the_backlog_stays_for_a_replica_that_has_yet_to_join() -> None:
    """Who was promised the rest of the stream gets it, however long its thread is busy before it becomes a replica."""
    directives = {**silent, "repl-backlog-ttl": "1"}
    with Server(shape=Shape(1, 1), directives=directives) as server, server.wire() as wire, server.wire() as busy:
        with socket.create_connection(server.address) as first:
            first.sendall(asks)
            head = assert_gets_snapshot(first)
            time.sleep(1.2)
        history, offset = head.split()[1:3]
        with server.wire() as replica:
            replica.write("PSYNC", history, str(int(offset) + 1))
            # The answer is on its way to the only thread, which goes on with this.
            busy.write("DEBUG", "SLEEP", "2.5")
            assert busy.read().raw == OK
            assert wire.call("SET", "a", "1").raw == OK
            assert replica.read().raw == b"+CONTINUE " + history + b"\r\n"
            assert replica.read().value == [b"SELECT", b"0"]
            assert replica.read().value == [b"SET", b"a", b"1"]


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_transaction_and_a_snapshot_that_begins_wait_for_nobody_who_waits_for_them(shape: Shape) -> None:
    """INFO within a transaction tells of a snapshot with all shards held, for which the snapshot waits at that moment."""
    with Server(shape=shape, directives=quick) as server:
        stop, executed = threading.Event(), [0, 0]

        def execute(number: int) -> None:
            with server.wire() as wire:
                while not stop.is_set():
                    *_, last = wire.pipeline([("MULTI",), ("SET", "a", "1"), ("INFO", "persistence"), ("EXEC",)])
                    executed[number] += len(last.value) == 2

        threads = [threading.Thread(target=execute, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                with socket.create_connection(server.address) as replica:
                    replica.sendall(asks)
                    assert_gets_snapshot(replica)
            before = list(executed)
            eventually(lambda: all(now > then for now, then in zip(executed, before, strict=True)), "they go on")
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
