"""Commands in Python: conversions, values, errors, atomicity, and that they behave like built-in ones."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server import extension_under_test
from tests.support.servers import Server, Shape
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool

pytestmark = pytest.mark.sherd_only
extension = str(Path(extension_under_test.__file__))
directives = {"python-commands": extension}
wait_seconds = 20.0


@pytest.fixture(params=[1, 4], ids=["1-shard", "4-shards"])
def server(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """A server with the commands of `extension_under_test`."""
    return pool.get(shape=Shape(shards=request.param, io_threads=2), directives=directives)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """A connection to it."""
    with server.wire(protocol=request.param) as connection:
        yield connection


@pytest.fixture
def wire3(server: Server) -> Iterator[Wire]:
    """A connection that speaks RESP3."""
    with server.wire(protocol=3) as connection:
        yield connection


def until(condition: object) -> None:
    """Waits for something that happens by itself; fails after a generous while."""
    assert callable(condition)
    deadline = time.monotonic() + wait_seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def test_a_rate_limiter_lets_so_many_pass_in_its_window(wire: Wire) -> None:
    answers = [wire.call("RATE.LIMIT", "visitor", 2, 60).raw for _ in range(3)]
    yes, no = (b"#t\r\n", b"#f\r\n") if wire.protocol == 3 else (b":1\r\n", b":0\r\n")
    assert answers == [yes, yes, no]
    assert 0 < wire.value("TTL", "visitor") <= 60


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["rate.limit", "k", "many", 60], "ERR rate.limit: limit must be an integer"),
        (["rate.limit", "k", "1.0", 60], "ERR rate.limit: limit must be an integer"),
        (["rate.limit", "k", " 1", 60], "ERR rate.limit: limit must be an integer"),
        (["rate.limit", "k", 2**63, 60], "ERR rate.limit: limit must be an integer of 64 bits"),
        (["rate.limit", "k", 1], "ERR wrong number of arguments for 'rate.limit' command"),
        (["rate.limit", "k", 1, 2, 3], "ERR wrong number of arguments for 'rate.limit' command"),
        (["test.types", "r", b"\xff", 1, 1, 1], "ERR test.types: text must be text in UTF-8"),
        (["test.types", "r", "t", 1, "1_0", 1], "ERR test.types: share must be a number"),
        (["test.types", "r", "t", 1, "nan", 1], "ERR test.types: share must be a number"),
        (["test.types", "r", "t", 1, 1, "maybe"],
         "ERR test.types: on must be 1 or 0, true or false, yes or no, on or off"),
        (["test.types", "r", "t", 1, 1, 1, "left"], "ERR test.types: order must be one of up, down"),
        (["test.types", "r", "t", 1, 1, 1, "up", ""], "ERR test.types: most must be an integer"),
        (["test.types", "r", "t", 1, 1, 1, "up", 1, "x"], "ERR test.types: rest must be a number"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_the_clients_error(wire: Wire, words: list[object], error: str) -> None:
    assert wire.call(*words).raw == f"-{error}\r\n".encode()


def test_arguments_come_as_the_signature_says(wire3: Wire) -> None:
    assert wire3.value("TEST.TYPES", b"\xff", "gr\u00fcn", -5, "1e2", "yes") == [
        b"\xff", "gr\u00fcn".encode(), -5, 100.0, True, b"up", None,
    ]  # fmt: skip
    assert wire3.value("TEST.TYPES", "r", "t", 1, "-inf", "OFF", "Down", 7, 1, ".5") == [
        b"r", b"t", 1, float("-inf"), False, b"down", 7, 1.0, 0.5,
    ]  # fmt: skip


no_reply = (
    b"-ERR test.values failed: TypeError: a object is no reply: None, bool, int, float, bytes, str, list, tuple, "
    b"dict and set are\r\n"
)


@pytest.mark.parametrize(
    ("which", "resp2", "resp3"),
    [
        ("none", b"$-1\r\n", b"_\r\n"),
        ("true", b":1\r\n", b"#t\r\n"),
        ("false", b":0\r\n", b"#f\r\n"),
        ("int", b":42\r\n", b":42\r\n"),
        ("huge", b"$22\r\n1180591620717411303424\r\n", b"$22\r\n1180591620717411303424\r\n"),
        ("float", b"$3\r\n0.5\r\n", b",0.5\r\n"),
        ("text", b"$5\r\ngr\xc3\xbcn\r\n", b"$5\r\ngr\xc3\xbcn\r\n"),
        ("bytes", b"$2\r\n\xff\x00\r\n", b"$2\r\n\xff\x00\r\n"),
        ("list", b"*3\r\n:1\r\n$3\r\ntwo\r\n*1\r\n$1\r\n3\r\n", b"*3\r\n:1\r\n$3\r\ntwo\r\n*1\r\n,3\r\n"),
        ("tuple", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:2\r\n"),
        ("dict", b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*1\r\n:2\r\n", b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*1\r\n:2\r\n"),
        ("set", b"*3\r\n:1\r\n:2\r\n:3\r\n", b"~3\r\n:1\r\n:2\r\n:3\r\n"),
        ("status", b"+FINE\r\n", b"+FINE\r\n"),
        ("error", b"-ODD that  is\r\n", b"-ODD that  is\r\n"),
        ("nested", b"*2\r\n:1\r\n-ODD inside\r\n", b"*2\r\n:1\r\n-ODD inside\r\n"),
        ("object", no_reply, no_reply),
    ],
)  # fmt: skip
def test_values_become_replies_of_the_clients_protocol(wire: Wire, which: str, resp2: bytes, resp3: bytes) -> None:
    assert wire.call("TEST.VALUES", which).raw == (resp3 if wire.protocol == 3 else resp2)


@pytest.mark.parametrize(
    ("before", "words", "seen"),
    [
        (["SET k 1"], "GET k", "b'1'"),
        ([], "GET k", "None"),
        (["HSET k f v"], "HGETALL k", "{b'f': b'v'}"),
        (["SADD k m"], "SMEMBERS k", "{b'm'}"),
        (["ZADD k 1.5 m"], "ZSCORE k m", "1.5"),
        (["ZADD k 1.5 m"], "ZRANGE k 0 -1 WITHSCORES", "[[b'm', 1.5]]"),
        (["RPUSH k a b"], "LRANGE k 0 -1", "[b'a', b'b']"),
        (["SET k 1"], "TYPE k", "'string'"),
        (["XADD k 1-1 f v"], "XRANGE k - +", "[[b'1-1', [b'f', b'v']]]"),
        (["SET k 1"], "EXISTS k k", "2"),
        (["SET k 1"], "DBSIZE", "1"),
        (["SET k 1"], "KEYS *", "[b'k']"),
        (["SADD k m"], "OBJECT ENCODING k", "b'listpack'"),
    ],
)
def test_replies_of_data_commands_are_the_values_that_redis_py_gives(
    wire: Wire, before: list[str], words: str, seen: str
) -> None:
    wire.call("DEL", "ticks")
    for line in before:
        assert not wire.call(*line.split()).is_error
    if words in ("DBSIZE", "KEYS *"):
        # Jobs may have made a key of their own meanwhile.
        until(lambda: (wire.call("DEL", "ticks"), wire.value("TEST.READ", *words.split()) == seen.encode())[1])
    assert wire.value("TEST.READ", *words.split()) == seen.encode() or "ticks" in repr(wire.value("KEYS", "*"))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("SET other 1", "ERR test.call: the key 'other' is none that the command names"),
        ("MGET k other", "ERR test.call: the key 'other' is none that the command names"),
        ("DBSIZE", "ERR test.call: 'dbsize' needs all keys, which a command names with keys=\"all\""),
        ("NOSUCH k", "ERR test.call: there is no command 'NOSUCH'"),
        ("TEST.CALL k GET k", "ERR test.call: 'TEST.CALL' is a command in Python too: its function can be called"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("MULTI", "ERR test.call: 'multi' is not allowed in a Python command"),
        ("EVAL return k 0", "ERR test.call: 'eval' is not allowed in a Python command"),
        ("INFO", "ERR test.call: 'info' is no data command"),
        ("SELECT 1", "ERR test.call: 'select' concerns a connection, and there is none"),
        ("INCR k", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
def test_what_a_command_may_not_call_is_a_clear_error(wire: Wire, words: str, error: str) -> None:
    wire.call("RPUSH", "k", "element")
    assert wire.call("TEST.CALL", "k", *words.split()).raw == f"-{error}\r\n".encode()


def test_a_command_that_is_declared_to_read_cannot_write(wire: Wire) -> None:
    assert wire.call("TEST.READER", "k").raw == (
        b"-ERR test.reader: 'set' writes, and the command is not declared with the flag write\r\n"
    )
    assert wire.value("GET", "k") is None


def test_an_exception_is_an_error_reply_and_what_was_written_stays(wire: Wire, server: Server) -> None:
    assert wire.call("TEST.FAILS", "k").raw == b"-ERR test.fails failed: ZeroDivisionError: on purpose\r\n"
    assert wire.value("GET", "k") == b"before"
    until(lambda: "Traceback" in server.log() and 'raise ZeroDivisionError("on purpose")' in server.log())
    assert "a Python command failed" in server.log()


def test_an_error_that_a_command_raises_as_such_is_its_reply(wire: Wire) -> None:
    assert wire.call("TEST.REFUSES", "k").raw == b"-LATER come again\r\n"
    assert wire.value("TEST.CATCHES", "k").startswith(b"WRONGTYPE ")


def test_keys_may_be_some_arguments_or_what_a_function_makes_of_them(wire: Wire) -> None:
    wire.call("MSET", "a", 1, "b", 2, "c", 3)
    assert wire.value("TEST.SUM", "a", "b", "c", "none") == 6
    assert wire.value("TEST.THIRD", "a", "middle", "copy") == 1
    assert wire.value("GET", "copy") == b"1"


def test_a_call_is_over_with_its_command(wire: Wire) -> None:
    assert wire.value("TEST.KEEP") == b"kept"
    assert wire.call("TEST.USE-KEPT").raw.startswith(
        b"-ERR test.use-kept failed: RuntimeError: this call belongs to a command that has ended"
    )


def test_a_command_knows_its_database_and_client(wire: Wire) -> None:
    wire.call("SELECT", 3)
    assert wire.value("TEST.STATE")[:3] == [b"test.state", 3, wire.value("CLIENT", "ID")]
    wire.call("TEST.CALL", "k", "SET", "k", "there")
    assert wire.value("GET", "k") == b"there"
    wire.call("SELECT", 0)
    assert wire.value("GET", "k") is None


def test_pipelines_mix_commands_of_both_kinds_in_order(wire: Wire) -> None:
    lines: list[list[object]] = []
    for number in range(300):
        lines += [["INCR", "n"], ["TEST.CALL", "n", "INCR", "n"], ["TEST.CALL", "n", "INCR", "n"]]
        if number % 50 == 0:
            lines += [["TEST.CALL", "n", "SET", "m", "x" * 500], ["TEST.CALL", "n"]]
    replies = wire.pipeline(lines)
    values = [reply.value for reply in replies if reply.raw.startswith(b":")]
    assert values == list(range(1, 901))
    assert len([reply for reply in replies if reply.is_error]) == 12


def test_transfers_are_atomic_while_everybody_calls_and_reads(server: Server) -> None:
    names = [f"account:{number}" for number in range(8)]
    with server.wire() as wire:
        wire.call("MSET", *[word for name in names for word in (name, 100)])
    failures: list[str] = []
    done = threading.Event()

    def move(seed: int) -> None:
        with server.wire() as wire:
            for number in range(200):
                first, second = names[(seed + number) % 8], names[(seed * 3 + number * 5 + 1) % 8]
                if first != second and wire.call("TEST.TRANSFER", first, second, number % 7).is_error:
                    failures.append("a transfer failed")

    def look() -> None:
        with server.wire() as wire:
            while not done.is_set():
                seen = sum(int(value) for value in wire.value("MGET", *names))
                in_python = wire.value("TEST.SUM", *names)
                if (seen, in_python) != (800, 800):
                    failures.append(f"{seen} and {in_python}")

    movers = [threading.Thread(target=move, args=(seed,)) for seed in range(4)]
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in movers + lookers:
        thread.start()
    for thread in movers:
        thread.join(120)
    done.set()
    for thread in lookers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in movers + lookers)
    assert not failures


def test_transactions_execute_them_in_their_place_with_the_others(wire: Wire) -> None:
    wire.call("MULTI")
    for words in (["SET", "k", "1"], ["TEST.CALL", "k", "INCR", "k"], ["INCR", "k"], ["TEST.FAILS", "k"], ["GET", "k"]):
        assert wire.call(*words).raw == b"+QUEUED\r\n"
    replies = wire.call("EXEC").value
    assert replies[:3] == [b"OK", 2, 3]
    assert replies[4] == b"before"
    assert "ZeroDivisionError" in str(replies[3])


def test_transactions_with_control_commands_execute_them_as_well(wire: Wire) -> None:
    wire.call("MULTI")
    for words in (["SET", "k", "1"], ["TEST.STATE"], ["CONFIG", "GET", "port"], ["TEST.CALL", "k", "INCR", "k"]):
        assert wire.call(*words).raw == b"+QUEUED\r\n"
    replies = wire.call("EXEC").value
    assert replies[0] == b"OK"
    assert replies[1][0] == b"test.state"
    assert replies[1][3] in (True, 1)
    assert replies[3] == 2


def test_a_watched_key_that_a_command_changes_ends_the_transaction(wire: Wire, server: Server) -> None:
    wire.call("WATCH", "k")
    with server.wire() as other:
        assert other.value("TEST.CALL", "k", "INCR", "k") == 1
    wire.call("MULTI")
    wire.call("TEST.CALL", "k", "INCR", "k")
    assert wire.value("EXEC") is None
    assert wire.value("GET", "k") == b"1"


def test_a_transaction_of_them_alone_is_atomic(server: Server) -> None:
    with server.wire() as wire, server.wire() as other:
        wire.call("MSET", "a", 0, "b", 0)
        for _ in range(50):
            wire.pipeline([
                ["MULTI"], ["TEST.CALL", "a", "INCR", "a"], ["TEST.CALL", "b", "INCR", "b"], ["EXEC"],
            ])  # fmt: skip
            first, second = other.value("MGET", "a", "b")
            assert first == second


def test_blocked_clients_wake_when_a_command_pushes(wire: Wire, server: Server) -> None:
    with server.wire() as other:
        other.write("BLPOP", "queue", 0)
        until(lambda: b"blocked_clients:1" in wire.value("INFO", "clients"))
        assert wire.value("TEST.CALL", "queue", "RPUSH", "queue", "element") == 1
        assert other.read().value == [b"queue", b"element"]


def test_messages_and_events_of_a_command_are_told(wire: Wire, server: Server) -> None:
    with server.wire(protocol=3) as other:
        other.call("SUBSCRIBE", "news")
        assert wire.value("TEST.PUBLISH", "k", "news") == 1
        assert other.read().value == [b"message", b"news", b"from a command"]


def test_they_are_shown_like_built_in_commands(wire: Wire) -> None:
    info = wire.value("COMMAND", "INFO", "RATE.LIMIT")[0]
    assert info[:2] == [b"rate.limit", 4]
    assert {bytes(flag) for flag in info[2]} >= {b"write", b"fast", b"module"}
    assert info[3:6] == [1, 1, 1]
    assert {bytes(category) for category in info[6]} >= {b"@write", b"@fast"}
    docs = wire.value("COMMAND", "DOCS", "rate.limit")
    docs = docs if isinstance(docs, dict) else dict(zip(docs[::2], docs[1::2], strict=True))
    text = docs[b"rate.limit"]
    text = text if isinstance(text, dict) else dict(zip(text[::2], text[1::2], strict=True))
    assert (text[b"summary"], text[b"group"]) == (b"Counts a hit and tells whether it may pass.", b"module")
    names = [(argument[b"name"] if isinstance(argument, dict) else argument[1]) for argument in text[b"arguments"]]
    assert names == [b"key", b"limit", b"window-seconds"]
    assert wire.value("COMMAND", "GETKEYS", "TEST.THIRD", "a", "b", "c") == [b"a", b"c"]
    assert b"rate.limit" in wire.value("COMMAND", "LIST")
    assert b"rate.limit" in wire.value("COMMAND", "LIST", "FILTERBY", "MODULE", extension)
    assert b"rate.limit" in wire.value("COMMAND", "LIST", "FILTERBY", "ACLCAT", "write")


def test_statistics_count_them_like_built_in_commands(wire: Wire) -> None:
    wire.call("CONFIG", "RESETSTAT")
    wire.pipeline([["RATE.LIMIT", "k", 1, 60]] * 5 + [["RATE.LIMIT", "k"], ["RATE.LIMIT", "k", "x", 60]])
    line = next(
        line
        for line in wire.value("INFO", "commandstats").decode().splitlines()
        if line.startswith("cmdstat_rate.limit")
    )
    figures = dict(part.split("=") for part in line.partition(":")[2].split(","))
    assert (figures["calls"], figures["rejected_calls"], figures["failed_calls"]) == ("6", "1", "1")
    assert b"rate.limit" in repr(wire.value("LATENCY", "HISTOGRAM", "rate.limit")).encode()
    assert b"cmd=rate.limit" in wire.value("CLIENT", "LIST") or b"cmd=client|list" in wire.value("CLIENT", "LIST")


def test_monitors_and_the_slow_log_show_them(wire: Wire, server: Server) -> None:
    wire.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
    wire.call("SLOWLOG", "RESET")
    try:
        with server.wire() as monitor:
            monitor.call("MONITOR")
            wire.call("TEST.CALL", "k", "INCR", "k")
            lines = b""
            while b'python] "INCR" "k"' not in lines:
                lines += monitor.read().raw
            assert b'"TEST.CALL" "k" "INCR" "k"' in lines
        entries = wire.value("SLOWLOG", "GET", -1)
        assert any(entry[3] == [b"TEST.CALL", b"k", b"INCR", b"k"] for entry in entries)
    finally:
        wire.call("CONFIG", "SET", "slowlog-log-slower-than", 10_000)


def test_client_pause_holds_those_back_that_write(wire: Wire, server: Server) -> None:
    with server.wire() as other:
        wire.call("CLIENT", "PAUSE", 60_000, "WRITE")
        try:
            other.write("TEST.CALL", "k", "INCR", "k")
            until(lambda: b"blocked_clients:1" in wire.value("INFO", "clients"))
            assert wire.value("TEST.READ", "GET", "k") == b"None"
        finally:
            wire.call("CLIENT", "UNPAUSE")
        assert other.read().value == 1


def test_sherd_commands_lists_what_was_loaded(wire3: Wire) -> None:
    listed = wire3.value("SHERD", "COMMANDS")
    by_name = {entry[b"name"]: entry for entry in listed[b"commands"]}
    assert by_name[b"rate.limit"][b"module"] == extension.encode()
    assert by_name[b"rate.limit"][b"keys"] == b"1"
    assert [job[b"function"] for job in listed[b"jobs"]] == [b"tick"]
    assert {hook[b"event"] for hook in listed[b"hooks"]} == {b"expired", b"del"}


def test_jobs_are_executed_again_and_again(wire: Wire) -> None:
    wire.call("DEL", "ticks")
    until(lambda: int(wire.value("GET", "ticks") or 0) >= 3)


def test_hooks_see_events_whatever_clients_have_asked_for(wire: Wire) -> None:
    assert wire.value("CONFIG", "GET", "notify-keyspace-events") in (
        [b"notify-keyspace-events", b""], {b"notify-keyspace-events": b""},
    )  # fmt: skip
    wire.call("SET", "session:1", "alive", "PX", 1)
    wire.call("SET", "other:1", "alive", "PX", 1)
    until(lambda: wire.value("GET", "session:1") == b"expired 0")
    until(lambda: wire.value("GET", "other:1") is None)
    wire.call("MSET", "watched:a", 1, "unwatched", 1)
    wire.call("DEL", "watched:a", "unwatched")
    until(lambda: wire.value("LRANGE", "deleted", 0, -1) == [b"watched:a"])


def test_clients_get_no_events_that_only_hooks_have_asked_for(wire3: Wire, server: Server) -> None:
    with server.wire() as other:
        other.call("PSUBSCRIBE", "__key*__:*")
        wire3.call("SET", "watched:a", 1)
        wire3.call("DEL", "watched:a")
        until(lambda: wire3.value("LLEN", "deleted") == 1)
        other.write("PUNSUBSCRIBE")
        assert other.read().value[0] == b"punsubscribe"


def test_nothing_is_known_of_them_where_they_were_not_loaded(pool: ServerPool) -> None:
    with pool.get(shape=Shape()).wire(protocol=3) as wire:
        assert wire.call("RATE.LIMIT", "k", 1, 1).raw.startswith(b"-ERR unknown command 'RATE.LIMIT'")
        assert wire.value("SHERD", "COMMANDS") == {b"commands": [], b"jobs": [], b"hooks": []}
        assert wire.value("COMMAND", "INFO", "rate.limit") == [None]


def test_a_command_and_its_arguments_in_one_text_are_told_to_be_several(wire: Wire) -> None:
    assert wire.call("TEST.CALL", "k", "SET k 1").raw == (
        b"-ERR test.call: there is no command 'SET k 1': its name and its arguments are given one by one\r\n"
    )


def test_the_arguments_of_errors_are_bounded(wire: Wire) -> None:
    reply = wire.call("TEST.CALL", "k", "x" * 100_000).raw
    assert re.fullmatch(rb"-ERR test.call: there is no command 'x{64}'\r\n", reply)
