"""What a replica does with what its primary sends, shown with a primary that sends what the test wants."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.fake_primary import EMPTY_SNAPSHOT, HISTORY, FakePrimary
from tests.replication.support import SHAPE_NAMES, SHAPES, await_link, eventually, replica_of
from tests.support.servers import Server

if TYPE_CHECKING:
    from tests.support.servers import Shape

pytestmark = pytest.mark.sherd_only

OK = b"+OK\r\n"
MARK = b"m" * 40


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_the_stream_is_applied_and_counted_to_the_byte(shape: Shape) -> None:
    """PING, SELECT, transactions and questions for the offset count like commands."""
    with FakePrimary() as primary, replica_of(primary.port, shape) as replica, replica.wire() as wire:
        link = primary.next_link()
        assert link.shake_hands() == [b"PSYNC", b"?", b"-1"]
        assert [b"REPLCONF", b"listening-port", str(replica.port).encode()] in link.handshake
        assert [b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"] in link.handshake
        link.full(offset=100)
        offset = 100
        link.acknowledged(offset)
        offset += link.stream(("SELECT", "2"), ("SET", "a", "1"), ("PING",), ("MULTI",), ("INCR", "a"), ("INCR", "b"))
        offset += link.stream(("EXEC",), ("SELECT", "0"), ("SET", "big", "x" * 300_000))
        link.acknowledged(offset)
        question = link.stream(("REPLCONF", "GETACK", "*"))
        # It is answered at once, with what was applied before it.
        assert link.command() == [b"REPLCONF", b"ACK", str(offset).encode()]
        offset += question
        link.acknowledged(offset)
        assert (wire.value("STRLEN", "big"), wire.value("DBSIZE")) == (300_000, 1)
        wire.call("SELECT", "2")
        assert wire.value("MGET", "a", "b") == [b"2", b"1"]
        assert info_field(wire, "replication", "slave_repl_offset") == str(offset)
        assert info_field(wire, "replication", "master_replid") == HISTORY
        assert wire.value("ROLE") == [b"slave", b"127.0.0.1", primary.port, b"connected", offset]
        assert b" flags=M " in wire.value("CLIENT", "LIST", "TYPE", "master")


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_pause_holds_the_stream_back_and_loses_nothing_of_it(shape: Shape) -> None:
    """It is received and acknowledged as far as it was applied, and applied when the pause is over, whoever ends it."""
    with FakePrimary() as primary, replica_of(primary.port, shape) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full(offset=0)
        offset = link.stream(("SET", "a", "1"), ("PUBLISH", "channel", "message"))
        link.acknowledged(offset)
        assert wire.call("CLIENT", "PAUSE", "60000", "WRITE").raw == OK
        received = offset + link.stream(("SET", "a", "2"), ("PING",), ("MULTI",), ("INCR", "a"), ("EXEC",))
        received += link.stream(("FUNCTION", "FLUSH"), ("SET", "big", "x" * 300_000))
        eventually(
            lambda: info_field(wire, "replication", "slave_read_repl_offset") == str(received),
            "what comes during a pause is received",
        )
        # The next one of each second, when all has come.
        assert link.command() == [b"REPLCONF", b"ACK", str(offset).encode()]
        assert info_field(wire, "replication", "slave_repl_offset") == str(offset)
        assert info_field(wire, "replication", "master_link_status") == "up"
        assert wire.value("GET", "a") == b"1"
        assert wire.call("CLIENT", "UNPAUSE").raw == OK
        link.acknowledged(received)
        assert (wire.value("GET", "a"), wire.value("STRLEN", "big")) == (b"3", 300_000)
        # One that ends by itself; nobody could end one of everything.
        assert wire.call("CLIENT", "PAUSE", "50", "ALL").raw == OK
        received += link.stream(("SET", "a", "4"))
        link.acknowledged(received)
        assert wire.value("GET", "a") == b"4"


# For a reader to see a few states, however busy the machine is.
READER_SECONDS_MAX = 60


def test_a_replica_that_is_paused_can_become_a_primary() -> None:
    """Of what was held back nothing is applied then, as in Redis."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full(offset=0)
        offset = link.stream(("SET", "a", "1"))
        link.acknowledged(offset)
        assert wire.call("CLIENT", "PAUSE", "60000", "WRITE").raw == OK
        received = offset + link.stream(("SET", "a", "2"))
        eventually(
            lambda: info_field(wire, "replication", "slave_read_repl_offset") == str(received),
            "what comes during a pause is received",
        )
        assert wire.call("REPLICAOF", "NO", "ONE").raw == OK
        assert wire.call("CLIENT", "UNPAUSE").raw == OK
        assert wire.call("APPEND", "a", "0").raw == b":2\r\n"
        assert wire.value("GET", "a") == b"10"


def test_a_stream_that_comes_right_behind_a_snapshot_is_not_lost() -> None:
    """With a mark at the snapshot's end and in one piece with it."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        command = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
        link.send(
            f"+FULLRESYNC {HISTORY} 7\r\n".encode() + b"\n\n$EOF:" + MARK + b"\r\n" + EMPTY_SNAPSHOT + MARK + command
        )
        link.acknowledged(7 + len(command))
        assert wire.value("GET", "a") == b"1"


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_transaction_is_seen_whole_or_not_at_all(shape: Shape) -> None:
    """However its bytes come, and over several shards."""
    with FakePrimary() as primary, replica_of(primary.port, shape) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        stop = threading.Event()
        keys = [f"key:{number}" for number in range(8)]
        torn: list[list[bytes]] = []
        seen: set[bytes] = set()

        def read() -> None:
            with replica.wire() as reader:
                while not stop.is_set():
                    values = reader.value("MGET", *keys)
                    seen.update(value for value in values if value)
                    if len(set(values)) != 1:
                        torn.append(values)

        thread = threading.Thread(target=read)
        thread.start()
        deadline, number, offset = time.monotonic() + READER_SECONDS_MAX, 0, 100
        # As many as the reader needs, which a busy machine lets wait.
        while number < 1500 or (len(seen) <= 5 and time.monotonic() < deadline):
            offset += link.stream(("MULTI",), *(("SET", key, str(number)) for key in keys[:4]))
            offset += link.stream(*(("SET", key, str(number)) for key in keys[4:]), ("EXEC",))
            number += 1
        link.acknowledged(offset)
        stop.set()
        thread.join(30)
        assert not torn, torn[:3]
        assert len(seen) > 5


def test_half_of_a_transaction_is_applied_when_the_rest_has_come_over_another_link() -> None:
    """The replica asks for what begins with the transaction."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        offset = 100 + link.stream(("SELECT", "4"), ("SET", "a", "0"))
        link.acknowledged(offset)
        link.stream(("MULTI",), ("INCR", "a"))
        link.connection.close()
        link = primary.next_link()
        assert link.shake_hands() == [b"PSYNC", HISTORY.encode(), str(offset + 1).encode()]
        other = "b" * 40
        link.send(f"+CONTINUE {other}\r\n".encode())
        offset += link.stream(("MULTI",), ("INCR", "a"), ("INCR", "a"), ("EXEC",))
        link.acknowledged(offset)
        # Nothing selects a database again: it is the one of before.
        wire.call("SELECT", "4")
        assert wire.value("GET", "a") == b"2"
        assert info_field(wire, "replication", "master_replid") == other
        assert info_field(wire, "replication", "master_replid2") == HISTORY


def test_clients_may_not_write_to_a_replica_unless_it_is_told_so() -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        refusal = b"-READONLY You can't write against a read only replica.\r\n"
        assert wire.call("SET", "a", "1").raw == refusal
        assert wire.call("EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "a").raw.startswith(b"-READONLY ")
        wire.pipeline([("MULTI",), ("SET", "a", "1")])
        assert wire.call("EXEC").raw.startswith(b"-EXECABORT ")
        wire.call("CONFIG", "SET", "replica-read-only", "no")
        assert wire.call("SET", "a", "1").raw == OK
        wire.call("CONFIG", "SET", "replica-read-only", "yes")
        assert wire.call("SET", "a", "1").raw == refusal
        assert wire.call("REPLICAOF", "NO", "ONE").raw == OK
        assert wire.call("SET", "a", "2").raw == OK
        assert info_field(wire, "replication", "master_replid2") == HISTORY
        assert info_field(wire, "replication", "second_repl_offset") == "101"


def test_what_has_expired_stays_until_the_primary_says_so() -> None:
    """Nobody sees it meanwhile, but the primary's commands still find it."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        at_ms = str(int(time.time() * 1000) + 50)
        past_ms = str(int(time.time() * 1000) - 50)
        offset = 100 + link.stream(
            ("SET", "a", "1", "PXAT", at_ms), ("SET", "b", "1"), ("PEXPIREAT", "b", past_ms), ("SET", "c", "1"),
            ("HSET", "h", "f", "1", "g", "1"), ("HPEXPIREAT", "h", past_ms, "FIELDS", "1", "f"),
        )  # fmt: skip
        link.acknowledged(offset)
        eventually(lambda: wire.value("EXISTS", "a", "b") == 0, "both have expired")
        # Longer than a round of active expiry takes.
        time.sleep(0.5)
        assert (wire.value("DBSIZE"), wire.value("GET", "a"), wire.value("HGET", "h", "f")) == (4, None, None)
        assert info_field(wire, "stats", "expired_keys") == "0"
        offset += link.stream(("PERSIST", "a"), ("INCR", "b"), ("DEL", "b"))
        link.acknowledged(offset)
        assert (wire.value("GET", "a"), wire.value("DBSIZE")) == (b"1", 3)
        offset += link.stream(("SET", "d", "1", "PXAT", past_ms))
        link.acknowledged(offset)
        assert wire.call("REPLICAOF", "NO", "ONE").raw == OK
        # From now on that is this server's own affair.
        eventually(lambda: wire.value("DBSIZE") == 3, "it goes")


def test_clients_that_wait_for_keys_do_not_take_them_from_a_replica() -> None:
    """They are told when the server becomes one; who only reads may wait."""
    with FakePrimary() as primary, Server() as server, server.wire() as wire, contextlib.ExitStack() as there:
        waiting = there.enter_context(server.wire())
        waiting.write("BLPOP", "list", "0")
        eventually(lambda: info_field(wire, "clients", "blocked_clients") == "1", "it waits")
        assert wire.call("SLAVEOF", "127.0.0.1", str(primary.port)).raw == OK
        assert waiting.read_until_closed().startswith(b"-UNBLOCKED ")
        waiting.close()
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        waiting = there.enter_context(server.wire())
        assert waiting.call("BLPOP", "list", "0").raw.startswith(b"-READONLY ")
        waiting.write("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
        eventually(lambda: info_field(wire, "clients", "blocked_clients") == "1", "it waits")
        link.acknowledged(100 + link.stream(("XADD", "s", "1-1", "f", "v"), ("RPUSH", "list", "a")))
        assert waiting.read().value == [[b"s", [[b"1-1", [b"f", b"v"]]]]]
        assert wire.value("LLEN", "list") == 1


def test_messages_of_the_primary_reach_subscribers() -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        wire.call("SUBSCRIBE", "news")
        link.stream(("PUBLISH", "news", "one"), ("MULTI",), ("PUBLISH", "news", "two"), ("EXEC",))
        assert [wire.read().value for _ in range(2)] == [[b"message", b"news", b"one"], [b"message", b"news", b"two"]]


def test_stale_data_are_shown_only_if_that_is_wanted() -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        link.acknowledged(100 + link.stream(("SET", "a", "1")))
        link.connection.close()
        eventually(lambda: info_field(wire, "replication", "master_link_status") == "down", "the link is down")
        assert wire.value("GET", "a") == b"1"
        wire.call("CONFIG", "SET", "replica-serve-stale-data", "no")
        down = b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"
        assert wire.call("GET", "a").raw == down
        assert not wire.call("INFO").is_error
        link = primary.next_link()
        link.shake_hands()
        link.send(b"+CONTINUE\r\n")
        await_link(wire)
        assert wire.value("GET", "a") == b"1"


def test_clients_are_told_that_a_snapshot_is_being_loaded() -> None:
    """The old data are gone then, and the new ones not all there."""
    keys = b"".join(b"\x00\x05k%04d\x01v" % number for number in range(2000))
    snapshot = b"REDIS0010" + keys + b"\xff" + bytes(8)
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        wire.call("CONFIG", "SET", "key-load-delay", "500")
        link = primary.next_link()
        link.shake_hands()
        link.full(snapshot)
        loading = b"-LOADING Redis is loading the dataset in memory\r\n"
        eventually(lambda: wire.call("GET", "k0001").raw == loading, "it is told")
        assert info_field(wire, "persistence", "loading") == "1"
        await_link(wire)
        assert (wire.value("GET", "k0001"), wire.value("DBSIZE")) == (b"v", 2000)


LIES = {
    "no reply to PING": b"",
    "a reply that is none": b"hello\r\n",
    "an endless reply": b"+" + b"x" * 100_000,
}
SNAPSHOT_LIES = {
    "no offset": b"+FULLRESYNC " + b"a" * 40 + b"\r\n",
    "a short id": b"+FULLRESYNC abc 5\r\n",
    "an offset beyond all numbers": b"+FULLRESYNC " + b"a" * 40 + b" 99999999999999999999999\r\n",
    "a stream of a history that nobody asked for": b"+CONTINUE " + b"b" * 40 + b"\r\n",
    "no snapshot": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n+OK\r\n",
    "a snapshot of all memory": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n$18446744073709551615\r\n",
    "a short mark": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n$EOF:abc\r\n",
    "a snapshot that is none": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n$5\r\nhello",
    "a snapshot with a wrong checksum": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n$18\r\nREDIS0010\xff12345678",
    "a snapshot with half a key": b"+FULLRESYNC " + b"a" * 40 + b" 5\r\n$19\r\nREDIS0010\x00\x05" + bytes(8),
}
STREAM_LIES = {
    "a command that only clients send": b"*1\r\n$8\r\nSHUTDOWN\r\n",
    "a change of the configuration": b"*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$9\r\nmaxmemory\r\n$1\r\n1\r\n",
    "a command that nobody knows": b"*1\r\n$5\r\nNOPE!\r\n",
    "an end without a beginning": b"*1\r\n$4\r\nEXEC\r\n",
    "a database that is not there": b"*2\r\n$6\r\nSELECT\r\n$3\r\n999\r\n",
    "a script": b"*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n",
    "too few arguments": b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n",
    "another primary": b"*3\r\n$9\r\nREPLICAOF\r\n$2\r\nNO\r\n$3\r\nONE\r\n",
}


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_primary_that_does_not_speak_the_protocol_costs_the_link(lie: str) -> None:
    with FakePrimary() as primary, replica_of(primary.port, repl_timeout="1") as replica, replica.wire() as wire:
        link = primary.next_link()
        link.command()
        link.send(LIES[lie])
        assert link.is_closed()
        again = primary.next_link()
        again.shake_hands()
        again.full()
        await_link(wire)


@pytest.mark.parametrize("lie", SNAPSHOT_LIES, ids=str)
def test_a_wrong_answer_to_psync_costs_the_link(lie: str) -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.send(SNAPSHOT_LIES[lie])
        assert link.is_closed()
        again = primary.next_link()
        assert again.shake_hands() == [b"PSYNC", b"?", b"-1"]
        again.full()
        await_link(wire)


@pytest.mark.parametrize("lie", STREAM_LIES, ids=str)
def test_what_a_primary_never_sends_costs_the_link(lie: str) -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        offset = 100 + link.stream(("SET", "a", "1"))
        link.acknowledged(offset)
        link.send(STREAM_LIES[lie])
        assert link.is_closed()
        again = primary.next_link()
        assert again.shake_hands() == [b"PSYNC", HISTORY.encode(), str(offset + 1).encode()]
        again.send(b"+CONTINUE\r\n")
        again.acknowledged(offset + again.stream(("INCR", "a")))
        assert wire.value("GET", "a") == b"2"


def test_a_command_that_fails_here_is_counted_and_the_stream_goes_on() -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        offset = 100 + link.stream(("SET", "a", "text"), ("INCR", "a"), ("SET", "b", "1"))
        link.acknowledged(offset)
        assert (wire.value("GET", "b"), info_field(wire, "stats", "unexpected_error_replies")) == (b"1", "1")


def test_a_link_is_ended_by_client_kill_and_comes_back() -> None:
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.full()
        await_link(wire)
        kill = ("CLIENT", "KILL", "TYPE", "master")
        replies = wire.pipeline([kill, kill, ("CLIENT", "LIST", "TYPE", "master")])
        assert [reply.raw for reply in replies] == [b":1\r\n", b":0\r\n", b"$0\r\n\r\n"]
        assert link.is_closed()
        again = primary.next_link()
        assert again.shake_hands()[0] == b"PSYNC"


def test_a_link_that_has_ended_is_no_client() -> None:
    """Also while the thread that waits for its snapshot has not noticed yet."""
    with FakePrimary() as primary, replica_of(primary.port) as replica, replica.wire() as wire:
        link = primary.next_link()
        link.shake_hands()
        link.send(f"+FULLRESYNC {HISTORY} 5\r\n".encode())
        eventually(lambda: wire.value("CLIENT", "LIST", "TYPE", "master") != b"", "it waits for a snapshot")
        assert wire.call("REPLICAOF", "NO", "ONE").raw == OK
        assert wire.value("CLIENT", "LIST", "TYPE", "master") == b""
        assert wire.value("CLIENT", "KILL", "TYPE", "master") == 0


def test_old_data_stay_until_a_whole_snapshot_has_come() -> None:
    with FakePrimary() as primary, Server() as server, server.wire() as wire:
        wire.call("SET", "old", "1")
        assert wire.call("REPLICAOF", "127.0.0.1", str(primary.port)).raw == OK
        link = primary.next_link()
        link.shake_hands()
        link.send(f"+FULLRESYNC {HISTORY} 5\r\n$1000\r\nREDIS0010".encode())
        eventually(lambda: info_field(wire, "replication", "master_sync_in_progress") == "1", "it is on its way")
        assert wire.value("GET", "old") == b"1"
        link.connection.close()
        link = primary.next_link()
        link.shake_hands()
        assert wire.value("GET", "old") == b"1"
        link.full()
        await_link(wire)
        assert wire.value("DBSIZE") == 0
        assert (
            wire.call("REPLICAOF", "127.0.0.1", str(primary.port)).raw
            == b"+OK Already connected to specified master\r\n"
        )
