"""Functions that take long are told of and ended; libraries are seen by every thread at once, and outlive the process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

wait_seconds_max = 30.0
endless = "#!lua name=endless\nredis.register_function('endless', function() while true do end end)"
writing = """#!lua name=writing
redis.register_function('writing', function(keys)
  redis.call('set', keys[1], 'x')
  local n = 0
  for i = 1, 2e8 do n = n + 1 end
  return n
end)"""
OK = b"+OK\r\n"


@pytest.fixture(params=[1, 4], ids=lambda shards: f"{shards}-shards")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server whose functions are soon told of as too long."""
    with Server(shape=Shape(shards=request.param), directives={"busy-reply-threshold": "50"}) as server:
        yield server


def _until(wire: Wire, command: tuple[str, ...], prefix: bytes, *, other: bool = False) -> bytes:
    """The first reply that begins so, or, with `other`, the first that does not."""
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        reply = bytes(wire.call(*command).raw)
        if reply.startswith(prefix) != other:
            return reply
        time.sleep(0.02)
    raise AssertionError(f"{command} never answers what is waited for")


def _library(value: str) -> str:
    return f"#!lua name=lib\nredis.register_function('f', function() return '{value}' end)"


def test_a_function_that_never_ends_is_killed_by_function_kill_alone(server: Server) -> None:
    """SCRIPT KILL says what to call instead; FUNCTION STATS shows the function; who needs its shards is told BUSY."""
    with server.wire() as sender, server.wire() as other, server.wire() as third:
        assert sender.value("FUNCTION", "LOAD", endless) == b"endless"
        assert third.call("FUNCTION", "KILL").raw.startswith(b"-NOTBUSY No scripts in execution right now.")
        sender.write("FCALL", "endless", "0", "argument")
        reply = _until(other, ("SCRIPT", "KILL"), b"-NOTBUSY", other=True)
        assert reply.startswith(b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL")
        running = other.value("FUNCTION", "STATS")[1]
        assert running[:4] == [b"name", b"endless", b"command", [b"FCALL", b"endless", b"0", b"argument"]]
        assert running[4] == b"duration_ms" and running[5] >= 0
        assert third.call("PING").raw == b"+PONG\r\n"
        busy = _until(third, ("GET", "k"), b"-BUSY")
        assert busy.startswith(
            b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        )
        assert other.call("FUNCTION", "KILL").raw == OK
        assert sender.read().raw == (
            b"-ERR Script killed by user with FUNCTION KILL. script: endless, on @user_function:2.\r\n"
        )
        assert third.call("GET", "k").value is None
        assert other.value("FUNCTION", "STATS")[1] is None


def test_a_script_is_not_killed_by_function_kill(server: Server) -> None:
    """It says what to call instead, and so does FUNCTION STATS while others have to wait for a script."""
    with server.wire() as sender, server.wire() as other:
        sender.write("EVAL", "while true do end", "0")
        reply = _until(other, ("FUNCTION", "KILL"), b"-NOTBUSY", other=True)
        assert reply.startswith(b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL")
        assert _until(other, ("FUNCTION", "STATS"), b"-BUSY").startswith(b"-BUSY Redis is busy running a script.")
        assert other.call("SCRIPT", "KILL").raw == OK
        assert sender.read().is_error


def test_a_function_that_has_written_comes_to_its_end(server: Server) -> None:
    with server.wire() as sender, server.wire() as other:
        sender.call("FUNCTION", "LOAD", writing)
        sender.write("FCALL", "writing", "1", "k")
        reply = _until(other, ("FUNCTION", "KILL"), b"-NOTBUSY", other=True)
        assert reply.startswith(b"-UNKILLABLE Sorry the script already executed write commands")
        assert sender.read().value == 200_000_000
        assert other.call("GET", "k").value == b"x"


def test_a_library_that_takes_too_long_to_load_is_refused(server: Server) -> None:
    """The server goes on, and the runtime that was stopped is as good as before."""
    with server.wire() as wire:
        reply = wire.call("FUNCTION", "LOAD", "#!lua name=lib\nwhile true do end").raw
        assert reply.startswith(b"-ERR Error registering functions: ") and b"FUNCTION LOAD timeout" in reply
        assert wire.value("FUNCTION", "LOAD", _library("x")) == b"lib"
        assert wire.value("FCALL", "f", "0") == b"x"


@pytest.mark.parametrize("shape", [Shape(1, 2), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_every_thread_sees_a_change_of_libraries_with_its_next_call(shape: Shape) -> None:
    """LOAD REPLACE, DELETE, FLUSH and RESTORE by one client; calls by clients of all IO threads, with keys of all shards."""
    with Server(shape=shape) as server:
        wires = [server.wire() for _ in range(6)]
        try:
            changer, callers = wires[0], wires[1:]

            def answers() -> set[bytes]:
                calls = [("FCALL", "f", "1", f"key{number}") for number in range(16)]
                return {bytes(reply.raw) for caller in callers for _ in range(2) for reply in caller.pipeline(calls)}

            assert answers() == {b"-ERR Function not found\r\n"}
            for number in range(20):
                changer.call("FUNCTION", "LOAD", "REPLACE", _library(f"v{number}"))
                assert answers() == {b"$%d\r\nv%d\r\n" % (len(str(number)) + 1, number)}
            payload = changer.value("FUNCTION", "DUMP")
            for command in (("FUNCTION", "DELETE", "lib"), ("FUNCTION", "FLUSH")):
                assert changer.call(*command).raw == OK
                assert answers() == {b"-ERR Function not found\r\n"}
                assert changer.call("FUNCTION", "RESTORE", payload).raw == OK
                assert answers() == {b"$3\r\nv19\r\n"}
        finally:
            for wire in wires:
                wire.close()


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_functions_are_there_after_a_restart(tmp_path: Path, shape: Shape) -> None:
    """By SAVE, and by SHUTDOWN SAVE; DEBUG RELOAD keeps them; a change of libraries is one since the last save."""
    directives = {"dir": str(tmp_path), "enable-debug-command": "yes"}
    with Server(shape=shape, directives=directives) as server, server.wire() as wire:
        wire.call("SAVE")
        wire.call("FUNCTION", "LOAD", _library("x" * 500))
        assert info_field(wire, "persistence", "rdb_changes_since_last_save") == "1"
        wire.call("SET", "k", "v")
        assert wire.call("DEBUG", "RELOAD").raw == OK
        assert wire.value("FCALL", "f", "0") == b"x" * 500
        assert wire.call("SAVE").raw == OK
    with Server(shape=shape, directives=directives) as server, server.wire() as wire:
        assert wire.value("FCALL", "f", "0") == b"x" * 500
        assert wire.value("GET", "k") == b"v"
        wire.call("FUNCTION", "LOAD", "#!lua name=other\nredis.register_function('g', function() return 'g' end)")
        wire.write("SHUTDOWN", "SAVE")
        server.process.wait(wait_seconds_max)
    with Server(shape=shape, directives=directives) as server, server.wire() as wire:
        assert wire.value("FCALL", "f", "0") == b"x" * 500
        assert wire.value("FCALL", "g", "0") == b"g"
        assert [info_field(wire, "memory", name) for name in ("number_of_functions", "number_of_libraries")] == [
            "2",
            "2",
        ]


def test_functions_are_counted_and_measured() -> None:
    """INFO, COMMAND statistics, the slow log and MONITOR show functions as Redis does."""
    with Server(directives={"slowlog-log-slower-than": "0"}) as server, server.wire() as wire, server.wire() as monitor:
        assert info_field(wire, "memory", "used_memory_functions") == "0"
        assert info_field(wire, "memory", "used_memory_vm_functions") == "0"
        source = (
            "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('set', keys[1], 'x') end)"
        )
        wire.call("FUNCTION", "LOAD", source)
        assert monitor.call("MONITOR").raw == OK
        assert wire.call("FCALL", "f", "1", "k").raw == OK
        assert b'"FCALL" "f" "1" "k"' in monitor.read().raw
        assert b' lua] "set" "k" "x"' in monitor.read().raw
        assert int(info_field(wire, "memory", "used_memory_functions")) > len(source)
        assert int(info_field(wire, "memory", "used_memory_vm_functions")) > 10_000
        commands = [entry[3][0] for entry in wire.value("SLOWLOG", "GET", "10")]
        assert commands.index(b"set") == commands.index(b"FCALL") + 1, "it ended before"


def test_a_function_that_may_not_run_without_memory_does_not() -> None:
    with Server(directives={"maxmemory": "1"}) as server, server.wire() as wire:
        refused = b"-OOM command not allowed when used memory > 'maxmemory'."
        assert wire.call("FUNCTION", "LOAD", _library("x")).raw.startswith(refused)
        wire.call("CONFIG", "SET", "maxmemory", "0")
        named = "redis.register_function{function_name='%s', callback=function() return 1 end, flags={'%s'}}"
        flags = {"a": "allow-oom", "b": "no-writes", "c": "allow-stale"}
        lines = [named % pair for pair in flags.items()]
        assert wire.value("FUNCTION", "LOAD", "#!lua name=lib\n" + "\n".join(lines)) == b"lib"
        wire.call("CONFIG", "SET", "maxmemory", "1")
        assert [wire.value("FCALL", name, "0") for name in ("a", "b")] == [1, 1]
        assert wire.call("FCALL", "c", "0").raw.startswith(refused)


def test_what_a_library_logs_while_it_is_loaded_is_logged_once() -> None:
    """However many threads load it for themselves."""
    source = "#!lua name=lib\nredis.log(redis.LOG_WARNING, 'it is loaded')\n" + _library("x").partition("\n")[2]
    with Server(shape=Shape(4, 2)) as server, server.wire() as wire:
        wire.call("FUNCTION", "LOAD", source)
        for number in range(64):
            wire.call("FCALL", "f", "1", f"key{number}")
        wire.call("PING")
        deadline = time.monotonic() + wait_seconds_max
        while server.log().count("it is loaded") == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.log().count("it is loaded") == 1
