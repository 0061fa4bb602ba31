"""Scripts where a server refuses commands, and what others see of one that is begun again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only
wait_seconds_max = 30.0
read = "return redis.call('get', KEYS[1])"
write = "return redis.call('set', KEYS[1], 'x')"
read_only = b"-READONLY You can't write against a read only replica."
primary_down = b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
library = """#!lua name=lib
redis.register_function('writes', function(keys) return redis.call('set', keys[1], 'x') end)
redis.register_function{function_name='reads', callback=function(keys) return redis.call('get', keys[1]) end,
                        flags={'no-writes'}}
"""
# Quick at first, and then no more.
counting = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + 1 end return n"


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + wait_seconds_max
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def _flagged(flags: str, body: str) -> str:
    return f"#!lua flags={flags}\n{body}" if flags else f"#!lua\n{body}"


def _in_exec(wire: Wire, *command: str) -> bytes:
    """The reply to a command in a transaction, or to its being queued if that is an error."""
    _, queued, done = wire.pipeline([["MULTI"], command, ["EXEC"]])
    return bytes(queued.raw) if queued.is_error else bytes(done.raw).removeprefix(b"*1\r\n")


@pytest.mark.parametrize("shards", [1, 4])
def test_a_stale_replica_shows_nothing_to_scripts_either(shards: int) -> None:
    """Unless they say that they bear it; and then commands that do not are refused."""
    with Server(shape=Shape(shards), directives={"replica-serve-stale-data": "no"}) as server, server.wire() as wire:
        wire.call("SET", "k", "old")
        digest = wire.value("SCRIPT", "LOAD", read).decode()
        wire.call("FUNCTION", "LOAD", library)
        wire.call("REPLICAOF", "127.0.0.1", "1")
        _until(lambda: wire.call("GET", "k").raw.startswith(primary_down))
        for command in (
            ["EVAL", read, "1", "k"],
            ["EVAL", "return 1", "0"],
            ["EVALSHA", digest, "1", "k"],
            ["EVAL_RO", read, "1", "k"],
            ["EVAL", _flagged("no-writes", read), "1", "k"],
            ["FCALL", "reads", "1", "k"],
            ["FCALL_RO", "reads", "1", "k"],
        ):
            assert wire.call(*command).raw == primary_down + b"\r\n", command
            assert _in_exec(wire, *command) == primary_down + b"\r\n", command
        bears_it = _flagged("no-writes,allow-stale", read)
        refused = b"-ERR Can not execute the command on a stale replica script: "
        assert wire.call("EVAL", bears_it, "1", "k").raw.startswith(refused)
        assert wire.value("EVAL", _flagged("no-writes,allow-stale", "return 1"), "0") == 1
        wire.call("REPLICAOF", "NO", "ONE")
        assert wire.value("EVAL", bears_it, "1", "k") == b"old"


def test_what_says_that_it_may_write_does_not_begin_where_writes_are_refused() -> None:
    """The same answer as for any other write; what does not say so is asked command by command."""
    with Server(shape=Shape(4)) as server, server.wire() as wire:
        wire.call("SET", "k", "old")
        wire.call("FUNCTION", "LOAD", library)
        digest = wire.value("SCRIPT", "LOAD", _flagged("", read)).decode()
        wire.call("REPLICAOF", "127.0.0.1", "1")
        for command in (
            ["EVAL", _flagged("", read), "1", "k"],
            ["EVALSHA", digest, "1", "k"],
            ["EVAL", _flagged("", "return redis.call('publish', 'a', 'b')"), "0"],
            ["FCALL", "writes", "1", "k"],
        ):
            assert wire.call(*command).raw == read_only + b"\r\n", command
            assert _in_exec(wire, *command) == read_only + b"\r\n", command
        assert wire.value("EVAL", read, "1", "k") == b"old"
        assert wire.value("EVAL", _flagged("no-writes", read), "1", "k") == b"old"
        assert wire.value("FCALL", "reads", "1", "k") == b"old"
        assert wire.call("EVAL", write, "1", "k").raw.startswith(read_only + b" script: ")


def test_a_pause_of_writes_holds_no_script_back_that_says_it_reads() -> None:
    with Server() as server, server.wire() as wire, server.wire() as other:
        wire.call("CLIENT", "PAUSE", "60000", "WRITE")
        assert wire.value("EVAL", _flagged("no-writes", read), "1", "k") is None
        other.write("EVAL", _flagged("", read), "1", "k")
        _until(lambda: b"blocked_clients:1" in wire.value("INFO", "clients"))
        wire.call("CLIENT", "UNPAUSE")
        assert other.read().value is None


@pytest.mark.parametrize("shards", [1, 4])
def test_others_see_a_script_once_that_is_begun_again_by_another_thread(shards: int) -> None:
    """Its messages, the commands that monitors see, and what it logs."""
    body = """
        redis.call('publish', 'channel', ARGV[2])
        redis.call('get', KEYS[1])
        redis.log(redis.LOG_WARNING, 'it says ' .. ARGV[2])
    """
    with (
        Server(shape=Shape(shards)) as server,
        server.wire() as wire,
        server.wire() as listener,
        server.wire() as monitor,
    ):
        listener.call("SUBSCRIBE", "channel")
        for _ in range(3):
            assert wire.value("EVAL", body + counting, "1", "k", "5", "quick") == 5
            assert listener.read().value[2] == b"quick"
        monitor.call("MONITOR")
        assert wire.value("EVAL", body + counting, "1", "k", "3000000", "slow") == 3_000_000
        wire.call("PUBLISH", "channel", "over")
        assert [listener.read().value[2] for _ in range(2)] == [b"slow", b"over"]
        lines = [bytes(monitor.read().raw).split(b"] ", 1)[1].split()[0] for _ in range(4)]
        assert lines == [b'"EVAL"', b'"publish"', b'"get"', b'"PUBLISH"']
        _until(lambda: "it says slow" in server.log())
        assert server.log().count("it says slow") == 1


@pytest.mark.parametrize("way", ["one shard", "several shards", "in a pipeline", "in a transaction"])
def test_a_script_that_leaves_its_shards_waits_for_those_that_are_busy(way: str) -> None:
    """It was known to keep to its keys, so it has no others. It begins again with all of them, however long one is busy."""
    leaves = "local other = redis.call('get', KEYS[1]) if other then return redis.call('append', other, 'x') end return 'none'"
    with Server(shape=Shape(4)) as server, server.wire() as wire, server.wire() as busy, server.wire() as monitor:
        keys = ["{a}", "{c}"] if way == "several shards" else ["{a}"]
        for _ in range(3):
            assert wire.value("EVAL", leaves, str(len(keys)), *keys) == b"none"
        assert monitor.call("MONITOR").raw == b"+OK\r\n"
        wire.call("SET", "{a}", "{b}")
        works = "redis.call('set', KEYS[1], '') local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end return n"
        busy.call("EVAL", works, "1", "{b}", "1")
        busy.write("EVAL", works, "1", "{b}", "30000000")
        time.sleep(0.03)
        eval_ = ["EVAL", leaves, str(len(keys)), *keys]
        if way == "in a transaction":
            replies = wire.pipeline([["MULTI"], ["INCR", "{a}n"], eval_, ["EXEC"]])
            assert replies[-1].raw == b"*2\r\n:1\r\n:1\r\n"
        elif way == "in a pipeline":
            replies = wire.pipeline([["SET", "{a}1", "x"], eval_, ["GET", "{a}1"], eval_, ["STRLEN", "{a}1"]])
            assert [reply.raw for reply in replies] == [b"+OK\r\n", b":1\r\n", b"$1\r\nx\r\n", b":2\r\n", b":1\r\n"]
        else:
            assert wire.call(*eval_).raw == b":1\r\n"
        busy.read()
        wire.call("ECHO", "the end")
        lines: list[bytes] = []
        while not lines or b"the end" not in lines[-1]:
            lines.append(monitor.read().raw)
        shown = [line for line in lines if b'lua] "append"' in line]
        assert len(shown) == (2 if way == "in a pipeline" else 1), "others see it once"


@pytest.mark.parametrize("way", ["alone", "in a pipeline"])
def test_a_script_that_has_written_waits_for_a_busy_shard_and_is_never_cut_in_two(way: str) -> None:
    """What it has written cannot be undone, so it gets the key that it has not named however long that is busy."""
    moves = """
        redis.call('set', KEYS[1], 'begun')
        local length = redis.call('append', ARGV[1], 'x')
        redis.call('set', KEYS[1], 'ended')
        return length
    """
    works = "redis.call('set', KEYS[1], '') local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end return n"
    with Server(shape=Shape(4)) as server, server.wire() as wire, server.wire() as busy, server.wire() as both:
        for _ in range(3):
            assert not wire.call("EVAL", moves, "1", "{a}", "{a}x").is_error
        busy.call("EVAL", works, "1", "{b}", "1")
        busy.write("EVAL", works, "1", "{b}", "30000000")
        time.sleep(0.03)
        # Who waits for both shards in their order must not keep one of them from the script.
        both.write("MSETNX", "{a}new", "1", "{b}new", "1")
        eval_ = ["EVAL", moves, "1", "{a}", "{b}"]
        commands = [eval_] if way == "alone" else [["GET", "{a}"], eval_, ["GET", "{a}"]]
        replies = [reply.raw for reply in wire.pipeline(commands)]
        assert replies == ([b":1\r\n"] if way == "alone" else [b"$5\r\nended\r\n", b":1\r\n", b"$5\r\nended\r\n"])
        assert both.read().raw == b":1\r\n"
        busy.read()


def test_an_error_of_a_script_is_counted_once() -> None:
    """Where it arose; what the script makes of it is counted if it is another one."""
    with Server() as server, server.wire() as wire:
        wire.call("SET", "k", "text")

        def errors() -> tuple[int, bytes]:
            info = wire.value("INFO", "everything")
            total = next(line for line in info.split() if line.startswith(b"total_error_replies:"))
            return int(total.partition(b":")[2]), b",".join(sorted(
                line for line in info.split() if line.startswith(b"errorstat_")
            ))  # fmt: skip

        for script, codes in [
            ("return redis.call('lpush', 'k', 1)", b"errorstat_WRONGTYPE:count=1"),
            ("return redis.pcall('lpush', 'k', 1)", b"errorstat_WRONGTYPE:count=1"),
            ("redis.pcall('lpush', 'k', 1) return 1", b"errorstat_WRONGTYPE:count=1"),
            ("return redis.call('nosuch')", b"errorstat_ERR:count=1"),
            ("return {err = 'MY error'}", b"errorstat_MY:count=1"),
            ("error('x')", b"errorstat_ERR:count=1"),
            (
                "redis.pcall('lpush', 'k', 1) error({err = 'MY error'})",
                b"errorstat_MY:count=1,errorstat_WRONGTYPE:count=1",
            ),
        ]:
            for in_exec in (False, True):
                wire.call("CONFIG", "RESETSTAT")
                if in_exec:
                    wire.pipeline([["MULTI"], ["EVAL", script, "0"], ["EXEC"]])
                else:
                    wire.call("EVAL", script, "0")
                assert errors() == (codes.count(b":count"), codes), script
            wire.call("GET", "k", "too many")
            assert errors()[0] == codes.count(b":count") + 1


def test_monitors_see_what_was_refused_before_a_script_began() -> None:
    with Server() as server, server.wire() as wire, server.wire() as monitor:
        monitor.call("MONITOR")
        wire.call("EVALSHA", "f" * 40, "0")
        wire.call("EVAL", "x(", "0")
        wire.call("FCALL", "nosuch", "0")
        lines = [bytes(monitor.read().raw).split(b"] ", 1)[1].split()[0] for _ in range(3)]
        assert lines == [b'"EVALSHA"', b'"EVAL"', b'"FCALL"']
