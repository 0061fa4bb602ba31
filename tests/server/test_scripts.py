"""Scripts that take long are told of and ended, and leave alone who needs nothing of theirs."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

wait_seconds_max = 30.0
endless = "while true do end"


@pytest.fixture(params=[1, 4], ids=lambda shards: f"{shards}-shards")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server whose scripts are soon told of as too long."""
    with Server(shape=Shape(shards=request.param), directives={"busy-reply-threshold": "50"}) as server:
        yield server


def _wait_until_busy(server: Server, *command: str) -> None:
    """Until a new client is told. One whose command was sent before that waits for the script's end."""
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        with server.wire() as wire:
            wire.socket.settimeout(0.5)
            wire.write(*command)
            with contextlib.suppress(TimeoutError):
                if wire.socket.recv(1000).startswith(b"-BUSY Redis is busy running a script."):
                    return
    raise AssertionError("nobody is told that a script takes long")


def _kill(wire: Wire) -> bytes:
    """Ends the script that takes long as soon as there is one."""
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        reply = wire.call("SCRIPT", "KILL").raw
        if not reply.startswith(b"-NOTBUSY"):
            return bytes(reply)
        time.sleep(0.02)
    raise AssertionError("the script is never seen")


def test_a_script_that_never_ends_is_killed(server: Server) -> None:
    """BUSY for those who need its shards, OK for SCRIPT KILL, an error for who has sent the script, and life goes on."""
    with server.wire() as sender, server.wire() as other:
        other.call("SET", "k", "v")
        sender.write("EVAL", endless, "0")
        assert _kill(other) == b"+OK\r\n"
        reply = sender.read().raw
        assert reply.startswith(b"-ERR Script killed by user with SCRIPT KILL. script: ")
        assert other.call("GET", "k").value == b"v"
        assert other.call("SCRIPT", "KILL").raw.startswith(b"-NOTBUSY")


def test_others_are_told_that_a_script_takes_long(server: Server) -> None:
    """Commands that need its shards, at once and from EXEC; PING and what needs none go on."""
    with server.wire() as sender, server.wire() as other:
        sender.write("EVAL", endless, "0")
        assert other.call("PING").raw == b"+PONG\r\n"
        with server.wire() as third:
            _wait_until_busy(server, "GET", "k")
            assert third.call("MULTI").raw == b"+OK\r\n"
            assert third.call("GET", "k").raw == b"+QUEUED\r\n"
            assert third.call("EXEC").raw.startswith(b"-EXECABORT Transaction discarded because of: BUSY")
            # What is about all data at one moment would wait for its shards, and the control plane with it.
            for line in ("BGSAVE", "SAVE", "BGREWRITEAOF", "REPLICAOF 127.0.0.1 1"):
                assert third.call(*line.split()).raw.startswith(b"-BUSY "), line
            assert b"tcp_port" in third.value("INFO", "server")
        assert _kill(other) == b"+OK\r\n"
        assert sender.read().is_error
        assert other.call("GET", "k").value is None


def test_a_script_that_has_written_comes_to_its_end(server: Server) -> None:
    """SCRIPT KILL says so; only the script, or the end of the server, ends it."""
    with server.wire() as sender, server.wire() as other:
        source = "redis.call('set', KEYS[1], 'x') local n = 0 for i = 1, 3e8 do n = n + 1 end return n"
        sender.write("EVAL", source, "1", "k")
        assert _kill(other).startswith(b"-UNKILLABLE Sorry the script already executed write commands")
        assert sender.read().value == 300_000_000
        assert other.call("GET", "k").value == b"x"


def test_shards_that_a_script_does_not_hold_go_on() -> None:
    """Known to keep to its keys, it holds their shards only."""
    directives = {"busy-reply-threshold": "50"}
    with (
        Server(shape=Shape(shards=4), directives=directives) as server,
        server.wire() as sender,
        server.wire() as other,
    ):
        source = "if ARGV[1] == 'x' then while true do redis.call('get', KEYS[1]) end end return 1"
        assert sender.call("EVAL", source, "1", "{a}k", "").value == 1
        sender.write("EVAL", source, "1", "{a}k", "x")
        keys = [f"key{number}" for number in range(40)]
        _wait_until_busy(server, "GET", "{a}k")
        replies = [other.call("GET", key).raw for key in keys]
        assert any(reply == b"$-1\r\n" for reply in replies)
        assert _kill(other) == b"+OK\r\n"
        assert sender.read().is_error


def test_a_pattern_that_backtracks_for_ever_is_ended_while_another_shard_serves() -> None:
    """Within one call of `string.find`, where Lua's own would run no hook: BUSY, SCRIPT KILL, and life goes on."""
    directives = {"busy-reply-threshold": "50"}
    with (
        Server(shape=Shape(shards=4), directives=directives) as server,
        server.wire() as sender,
        server.wire() as other,
    ):
        source = """
            redis.call('get', KEYS[1])
            if ARGV[1] == '' then return 1 end
            return string.find(string.rep('a', 3000), string.rep('a*', 300) .. 'b')
        """
        assert sender.call("EVAL", source, "1", "{a}k", "").value == 1
        sender.write("EVAL", source, "1", "{a}k", "x")
        _wait_until_busy(server, "GET", "{a}k")
        assert any(other.call("GET", f"key{number}").raw == b"$-1\r\n" for number in range(40))
        assert _kill(other) == b"+OK\r\n"
        assert sender.read().raw.startswith(b"-ERR Script killed by user with SCRIPT KILL. script: ")
        assert other.call("GET", "{a}k").value is None


def test_a_script_that_was_quick_and_turns_endless_holds_up_no_connection(server: Server) -> None:
    """It is left to its shard's own thread, with what follows it in the pipeline; every other client is answered."""
    source = "if ARGV[1] == 'x' then while true do redis.call('get', KEYS[1]) end end return 'over'"
    with server.wire() as sender:
        assert sender.call("EVAL", source, "1", "k", "").value == b"over"
        assert sender.call("EVAL", source, "1", "k", "").value == b"over"
        sender.write("SET", "k", "v")
        sender.write("EVAL", source, "1", "k", "x")
        sender.write("GET", "k")
        _wait_until_busy(server, "GET", "k")
        for _ in range(8):
            with server.wire() as other:
                assert other.call("PING").raw == b"+PONG\r\n"
        with server.wire() as other:
            assert _kill(other) == b"+OK\r\n"
        assert sender.read().raw == b"+OK\r\n"
        assert sender.read().raw.startswith(b"-ERR Script killed by user with SCRIPT KILL.")
        assert sender.read().value == b"v"


def test_what_waits_for_a_script_is_told_when_it_takes_too_long(server: Server) -> None:
    """Commands that were sent before anybody knew."""
    with server.wire() as sender, server.wire() as other, server.wire() as third:
        sender.call("EVAL", "return 1", "0")
        sender.write("EVAL", endless, "0")
        time.sleep(0.01)
        other.write("GET", "k")
        reply = other.read().raw
        assert reply == b"$-1\r\n" or reply.startswith(b"-BUSY Redis is busy running a script.")
        assert _kill(third) == b"+OK\r\n"
        assert sender.read().is_error


def test_an_endless_script_in_a_transaction_is_killed(server: Server) -> None:
    """What the transaction has written before it stays; connections of all threads go on meanwhile."""
    with server.wire() as sender, server.wire() as other:
        sender.pipeline([("MULTI",), ("SET", "k", "v"), ("EVAL", endless, "0"), ("GET", "k")])
        sender.write("EXEC")
        _wait_until_busy(server, "GET", "k")
        assert other.call("PING").raw == b"+PONG\r\n"
        assert _kill(other) == b"+OK\r\n"
        _, killed, value = sender.read().node.items or ()
        assert b"Script killed by user" in killed.show().encode()
        assert value.text == b"v"
        assert other.call("GET", "k").value == b"v"


def test_a_script_wakes_clients_that_wait_in_other_shards(server: Server) -> None:
    """Each list wakes one, whether the script has named it or not."""
    with server.wire() as waiting, server.wire() as sender:
        for number in range(8):
            waiting.write("BLPOP", f"list{number}", "0")
            sender.call("EVAL", "return redis.call('rpush', ARGV[1], 'x')", "1", "other", f"list{number}")
            assert waiting.read().value == [f"list{number}".encode(), b"x"]


def test_a_transaction_with_a_script_and_a_control_command_is_executed_in_order(server: Server) -> None:
    """Both planes see what was done before."""
    with server.wire() as wire:
        wire.pipeline([("MULTI",), ("EVAL", "return redis.call('set', KEYS[1], 'v')", "1", "k"), ("INFO", "keyspace")])
        wire.write("EVAL", "return redis.call('get', KEYS[1])", "1", "k")
        wire.read()
        _, info, value = wire.call("EXEC").value
        assert b"keys=1" in info
        assert value == b"v"


def test_monitors_see_a_script_and_its_commands(server: Server) -> None:
    """EVAL by its client, what it does by `lua`."""
    with server.wire() as sender, server.wire() as monitor:
        monitor.call("MONITOR")
        sender.call("EVAL", "redis.call('set', KEYS[1], 'v') return redis.call('get', KEYS[1])", "1", "k")
        lines = [monitor.read().raw for _ in range(3)]
        assert re.search(rb'\[0 127\.0\.0\.1:\d+\] "EVAL"', lines[0])
        assert b'[0 lua] "set" "k" "v"' in lines[1]
        assert b'[0 lua] "get" "k"' in lines[2]


def test_info_tells_of_scripts(server: Server) -> None:
    """How many there are, and what they take; SCRIPT FLUSH forgets them."""
    with server.wire() as wire:
        wire.call("EVAL", "return 1", "0")
        wire.call("SCRIPT", "LOAD", "return 2")
        info = wire.call("INFO", "memory").value
        assert b"number_of_cached_scripts:2\r\n" in info
        assert b"used_memory_scripts_eval:16\r\n" in info
        assert int(re.search(rb"used_memory_vm_eval:(\d+)", info)[1]) > 10_000
        wire.call("SCRIPT", "FLUSH")
        assert b"number_of_cached_scripts:0\r\n" in wire.call("INFO", "memory").value


def test_only_the_last_scripts_of_eval_are_kept(server: Server) -> None:
    """500 of them; those that were loaded stay."""
    with server.wire() as wire:
        digest = wire.call("SCRIPT", "LOAD", "return 'loaded'").value
        first = wire.call("EVAL", "return redis.sha1hex('return 0')", "0").value
        wire.call("EVAL", "return 0", "0")
        wire.pipeline([("EVAL", f"return {number}", "0") for number in range(1, 520)])
        found = wire.call("SCRIPT", "EXISTS", digest, first).value
        assert found == [1, 0]
        assert wire.call("EVALSHA", digest, "0").value == b"loaded"
        assert int(re.search(rb"evicted_scripts:(\d+)", wire.call("INFO", "stats").value)[1]) > 0
        wire.call("CONFIG", "RESETSTAT")
        assert b"evicted_scripts:0\r\n" in wire.value("INFO", "stats")


def test_what_is_remembered_of_a_script_is_no_more_than_a_guess(server: Server) -> None:
    """The command that it calls first may be another one, may not be allowed any more, or may not be allowed here."""
    script = "return redis.call(ARGV[1], KEYS[1], ARGV[2])"
    with server.wire() as admin, server.wire() as wire:
        digest = admin.value("SCRIPT", "LOAD", script)
        admin.call("ACL", "SETUSER", "anna", "reset", "on", "nopass", "~*", "+eval", "+evalsha", "+eval_ro", "+append")
        wire.call("AUTH", "anna", "any")
        for length in range(1, 4):
            assert wire.call("EVAL", script, "1", "k", "append", "x").value == length
        for rule, is_allowed in [("-append", False), ("+append", True), ("-@all", False), ("+@all", True)]:
            admin.call("ACL", "SETUSER", "anna", "+@all", rule, "+evalsha")
            reply = wire.call("EVALSHA", digest, "1", "k", "APPEND", "")
            assert reply.raw.startswith(b":3" if is_allowed else b"-ERR ACL failure in script: "), rule
        read_only = b"-ERR Write commands are not allowed from read-only scripts."
        assert wire.call("EVAL_RO", script, "1", "k", "append", "x").raw.startswith(read_only)
        for name in ("getex", "append", "nosuch", "append", "object", "append", "setnx"):
            reply = wire.call("EVALSHA", digest, "1", "k", name, "")
            unknown = b"-ERR Unknown Redis command called from script"
            expected = {"append": b":3", "setnx": b":0", "nosuch": unknown, "object": unknown, "getex": b"-ERR syntax"}
            assert reply.raw.startswith(expected[name]), name


def test_a_script_that_was_forgotten_is_known_again_only_when_it_comes_again(server: Server) -> None:
    """SCRIPT FLUSH from another connection, in between calls that repeat each other."""
    script = "return redis.call('incr', KEYS[1])"
    with server.wire() as admin, server.wire() as wire:
        for number in range(1, 40, 3):
            digest = admin.value("SCRIPT", "LOAD", script)
            replies = wire.pipeline([("EVALSHA", digest, "1", "n")] * 2)
            assert [reply.value for reply in replies] == [number, number + 1]
            assert admin.call("SCRIPT", "FLUSH").raw == b"+OK\r\n"
            assert wire.call("EVALSHA", digest, "1", "n").raw.startswith(b"-NOSCRIPT")
            assert wire.call("EVAL", script, "1", "n").value == number + 2
            assert wire.value("SCRIPT", "EXISTS", digest) == [1]


def test_what_a_script_returns_of_a_command_reaches_the_client(server: Server) -> None:
    """In either protocol, alone and in a transaction; what nobody looks at is done all the same."""
    cases: list[tuple[str, bytes, bytes]] = [
        ("return redis.call('set', KEYS[1], 'v')", b"+OK\r\n", b"+OK\r\n"),
        ("return redis.call('get', KEYS[1])", b"$1\r\nv\r\n", b"$1\r\nv\r\n"),
        ("return redis.call('get', KEYS[1]..'x')", b"$-1\r\n", b"_\r\n"),
        (
            "return redis.call('mget', KEYS[1], KEYS[1])",
            b"*2\r\n$1\r\nv\r\n$1\r\nv\r\n",
            b"*2\r\n$1\r\nv\r\n$1\r\nv\r\n",
        ),
        ("return redis.call('mget', KEYS[1]..'x')", b"*1\r\n$-1\r\n", b"*1\r\n_\r\n"),
        ("return redis.call('strlen', KEYS[1])", b":1\r\n", b":1\r\n"),
        ("redis.call('append', KEYS[1], 'w') return redis.call('get', KEYS[1])", b"$2\r\nvw\r\n", b"$2\r\nvw\r\n"),
    ]
    for protocol in (2, 3):
        with server.wire(protocol=protocol) as wire:
            expected = [case[protocol - 1] for case in cases]
            commands = [("EVAL", script, "1", "{k}") for script, *_ in cases]
            assert [wire.call(*command).raw for command in commands] == expected
            wire.pipeline([("MULTI",), *commands])
            assert wire.call("EXEC").raw == b"*%d\r\n" % len(cases) + b"".join(expected)


def test_keys_of_a_script_are_told(server: Server) -> None:
    """COMMAND GETKEYS knows how many a script names."""
    with server.wire() as wire:
        assert wire.call("COMMAND", "GETKEYS", "EVAL", "return 1", "2", "a", "b", "c").value == [b"a", b"b"]


def test_memory_of_a_script_has_a_limit_for_commands_that_need_some() -> None:
    """OOM before its first write; a script that says so may write all the same."""
    with Server(directives={"maxmemory": "1mb", "maxmemory-policy": "noeviction"}) as server, server.wire() as wire:
        wire.call("CONFIG", "SET", "maxmemory", "1")
        reply = wire.call("EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "k")
        assert reply.raw.startswith(b"-OOM command not allowed when used memory > 'maxmemory'. script: ")
        assert wire.call("EVAL", "return redis.call('get', KEYS[1])", "1", "k").value is None
        refused = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        assert wire.call("EVAL", "#!lua\nreturn 1", "0").raw == refused
        for command in (["EVAL", "#!lua\nreturn 1", "0"], ["SET", "k", "v"]):
            replies = wire.pipeline([["MULTI"], command, ["EXEC"]])
            assert replies[1].raw == refused
            assert replies[2].raw.startswith(b"-EXECABORT")
        # In a transaction as well, where nothing else needs memory.
        wire.pipeline([["MULTI"], ["EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "k"], ["GET", "k"]])
        error, value = wire.call("EXEC").node.items or ()
        assert (error.text or b"").startswith(b"OOM command not allowed when used memory > 'maxmemory'. script: ")
        assert value.kind == "$-1"
        allowed = "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'x')"
        assert wire.call("EVAL", allowed, "1", "k").raw == b"+OK\r\n"
        wire.pipeline([["MULTI"], ["EVAL", allowed, "1", "k"]])
        assert wire.value("EXEC") == [b"OK"]


def test_scripts_in_a_cluster_keep_to_one_slot_where_they_say_what_they_do() -> None:
    """The keys that are named always, others in scripts with a first line of flags, unless that says otherwise."""
    crossing = "return {redis.call('set', 'a', 1), redis.call('set', 'b', 2)}"
    directives = {"cluster-enabled": "yes", "rename-command": "GET hidden"}
    with Server(shape=Shape(shards=4), directives=directives) as server, server.wire() as wire:
        assert wire.call("EVAL", "return 1", "2", "a", "b").raw.startswith(b"-CROSSSLOT")
        assert wire.call("EVAL", crossing, "1", "a").value == [b"OK", b"OK"]
        reply = wire.call("EVAL", f"#!lua\n{crossing}", "1", "a").raw
        assert reply.startswith(b"-ERR Script attempted to access keys that do not hash to the same slot script: ")
        assert not wire.call("EVAL", f"#!lua flags=allow-cross-slot-keys\n{crossing}", "1", "a").is_error
        assert wire.call("EVAL", "#!lua flags=no-cluster\nreturn 1", "0").is_error
        # Commands go by the names that they have here.
        assert wire.call("EVAL", "return redis.call('hidden', 'a')", "1", "a").value == b"1"
        assert wire.call("EVAL", "return redis.call('get', 'a')", "1", "a").raw.startswith(
            b"-ERR Unknown Redis command"
        )


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_scripts_call_commands_of_the_control_plane(shape: Shape) -> None:
    """While they hold shards, in both protocols, from transactions of both planes too; what needs shards is refused."""
    call = "return redis.call(unpack(ARGV))"
    with Server(shape=shape) as server, server.wire() as wire, server.wire(protocol=3) as other:
        for client in (wire, other):
            assert b"redis_version:" in client.value("EVAL", call, "0", "INFO", "server")
            assert client.value("EVAL", call, "1", "k", "COMMAND", "COUNT") == client.value("COMMAND", "COUNT")
            assert client.value("EVAL", call, "0", "LASTSAVE") == client.value("LASTSAVE")
            assert client.value("EVAL", call, "0", "SLOWLOG", "LEN") >= 0
            assert client.value("EVAL", call, "0", "PUBSUB", "NUMPAT") == 0
            assert client.value("EVAL", call, "0", "PUBSUB", "CHANNELS") == []
            refused = client.call("EVAL", call, "0", "CONFIG", "GET", "*").raw
            assert refused.startswith(b"-ERR This Redis command is not allowed from script")
            refused = client.call("EVAL", call, "0", "CLUSTER", "SLOT-STATS", "SLOTSRANGE", "0", "1").raw
            assert refused.startswith(b"-ERR CLUSTER SLOT-STATS waits for keys that a script may hold")
        wire.pipeline([("MULTI",), ("INFO", "server"), ("EVAL", call, "1", "k", "INFO", "server"), ("SET", "k", "v")])
        first, second, third = wire.value("EXEC")
        assert b"redis_version:" in first and b"redis_version:" in second and third == b"OK"
        wrong = wire.call("EVAL", call, "0", "COMMAND", "GETKEYS", "GET").raw
        assert wrong.startswith(b"-ERR Invalid number of arguments specified for command script: ")


def test_scripts_that_ask_the_control_plane_and_those_that_it_waits_for_end(server: Server) -> None:
    """Scripts that call INFO with all shards held, and transactions of both planes, which take all shards in the loop's thread."""
    count = 60
    with server.wire() as wire, server.wire() as other:
        wire.call("SCRIPT", "LOAD", "return 1")
        for _ in range(count):
            wire.write("EVAL", "redis.call('set', ARGV[1], 'x') return #redis.call('INFO', 'clients')", "0", "k")
            other.write("MULTI")
            other.write("INFO", "clients")
            other.write("SET", "k", "v")
            other.write("EXEC")
        for _ in range(count):
            assert wire.read().value > 10
            assert [other.read().raw[:1] for _ in range(3)] == [b"+", b"+", b"+"]
            assert len(other.read().value) == 2
