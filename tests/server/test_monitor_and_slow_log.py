"""MONITOR and SLOWLOG: which commands are there, in which order and in which words, as in the references.

Each test runs the same commands on Sherd and on a reference and compares what both say of them; secrets are looked for
by themselves as well.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

Line = list[bytes]

QUEUED_COMMANDS = """
MULTI
SET k v
INCR counter
PING
SELECT 1
lpush list a
EXEC
SELECT 0
MULTI
SET k v
DISCARD
MULTI
NOSUCH
EXEC
EXEC
WATCH k
UNWATCH
MULTI
EXEC
"""

MIXED_TRANSACTION = """
MULTI
SET k v
CONFIG GET maxclients
SELECT 2
INCR counter
INFO server
GET counter
exec
GET counter
"""

PLAIN_COMMANDS = """
PING
SET k v
get k
CONFIG GET maxclients
INFO clients
CLIENT SETNAME somebody
client id
HELLO 2
COMMAND COUNT
OBJECT ENCODING k
OBJECT HELP
SELECT 3
DBSIZE
SELECT 0
MEMORY USAGE k
LATENCY RESET
SLOWLOG LEN
SLOWLOG GET 1
SET k v nonsense
GET
NOSUCH a
OBJECT NOSUCH
TIME
FLUSHALL
RESET
ECHO last
"""

SECRETS = """
AUTH secret-1
AUTH default secret-2
AUTH a b secret-3
HELLO 2 AUTH nobody secret-4 SETNAME name
hello 3 auth nobody secret-5
MIGRATE 127.0.0.1 1 k 0 100 AUTH secret-6
MIGRATE 127.0.0.1 1 k 0 100 COPY auth2 nobody secret-7 KEYS a b
CONFIG SET masterauth secret-8 timeout 0
CONFIG set MASTERUSER secret-9
config SET requirepass secret-10 requirepass secret-11
CONFIG SET tls-key-file-pass secret-12
MULTI
AUTH secret-13
CONFIG SET masterauth secret-14
EXEC
"""


def _commands(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


@pytest.fixture(params=reference_names[1:])
def both(request: pytest.FixtureRequest, pool: ServerPool) -> Iterator[list[Server]]:
    """Sherd and a reference."""
    program = need_reference(request.param)
    with Server(program) as reference:
        yield [pool.get(shape=Shape(shards=1)), reference]


def _watch(server: Server, commands: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    """What MONITOR shows of commands: the database and the quoted words."""
    with server.wire() as monitor, server.wire() as wire:
        assert monitor.call("MONITOR").raw == b"+OK\r\n"
        for command in commands:
            wire.call(*command)
        wire.call("ECHO", "the end")
        lines: list[tuple[bytes, bytes]] = []
        while not lines or b"the end" not in lines[-1][1]:
            found = re.fullmatch(rb"\+\d+\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\] (.*)\r\n", monitor.read().raw)
            assert found, lines
            lines.append((found[1], found[2]))
        return lines[:-1]


def _log(server: Server, commands: Sequence[Sequence[str]]) -> list[tuple[Line, bytes]]:
    """What SLOWLOG has of commands when everything is slow: the words and the client's name, the oldest first."""
    with server.wire() as wire, server.wire() as admin:
        admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
        admin.call("SLOWLOG", "RESET")
        for command in commands:
            wire.call(*command)
        admin.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
        return [(entry[3], entry[5]) for entry in reversed(admin.value("SLOWLOG", "GET", "-1"))]


def _same(mine: Sequence[object], other: Sequence[object]) -> None:
    assert list(mine) == list(other)


@pytest.mark.parametrize("text", [PLAIN_COMMANDS, QUEUED_COMMANDS, MIXED_TRANSACTION, SECRETS])
def test_monitor_shows_what_the_references_show(both: list[Server], text: str) -> None:
    """Transactions between MULTI and EXEC, SELECT in its new database, secrets hidden, administration not at all."""
    sherd, reference = both
    commands = [command for command in _commands(text) if "requirepass" not in command]
    mine, other = _watch(sherd, commands), _watch(reference, commands)
    # An AUTH that is refused for its number of arguments shows them there.
    _same([line for line in mine if b"(redacted)" not in line[1]], [line for line in other if _is_open(line[1])])
    hidden = [line for line in mine if b"(redacted)" in line[1]]
    assert [line for line in other if b"(redacted)" in line[1]] == [
        line for line in hidden if line[1] != b'"AUTH" "(redacted)" "(redacted)" "(redacted)"'
    ]


def test_a_monitor_is_refused_the_data_as_in_the_references(both: list[Server]) -> None:
    """Reads, writes, scripts and messages, also those that MULTI would queue; nothing else, and not after RESET."""
    text = """
        MULTI
        MONITOR
        GET k
        EXEC
        MONITOR
        GET k
        GET k
        SET k v
        SCAN 0
        PUBLISH c m
        EVAL x 0
        GET
        MULTI
        GET k
        EXEC
        RESET
        GET k
        ECHO end"""
    found = []
    for server in both:
        with server.wire() as wire:
            replies: list[bytes] = []
            for command in _commands(text):
                wire.write(*command)
            while b"end" not in replies[-1:]:
                reply = wire.read()
                # What it is shown of its own commands may come between any two replies.
                if not re.match(rb"\+\d+\.\d{6} \[", reply.raw):
                    replies.append(reply.value if reply.raw.startswith(b"$") else reply.raw)
            assert replies[5].startswith(b"-ERR Replica")
            found.append(replies)
    _same(*found)


def _is_open(words: bytes) -> bool:
    return b"(redacted)" not in words and b"secret" not in words


@pytest.mark.parametrize("text", [PLAIN_COMMANDS, QUEUED_COMMANDS])
def test_the_slow_log_has_the_commands_that_the_references_have(both: list[Server], text: str) -> None:
    """Every executed command of every plane, in order and as it was sent."""
    sherd, reference = both
    commands = _commands(text)
    _same(_log(sherd, commands), _log(reference, commands))


def test_commands_of_scripts_are_logged_and_counted_as_others_are(both: list[Server]) -> None:
    """Before their script, under its client's name; what was not executed counts as rejected."""
    text = """
        redis.call('set', KEYS[1], 1) redis.pcall('incr', KEYS[1], 'x') redis.pcall('nosuch') redis.pcall('object', 'nosuch')
        redis.pcall('lpush', KEYS[1], 'x') redis.pcall('subscribe', 'x') return redis.call('get', KEYS[1])"""
    read = "redis.pcall('set', KEYS[1], 1) return redis.call('get', KEYS[1])"
    commands = [("CLIENT", "SETNAME", "me"), ("EVAL", text, "1", "k"), ("EVAL_RO", read, "1", "k")]
    found = []
    for server in both:
        with server.wire() as admin:
            admin.call("CONFIG", "RESETSTAT")
            logged = _log(server, commands)
            stats = _stats(admin)
            counted = {name: stats[f"cmdstat_{name}"] for name in ("set", "incr", "lpush", "get", "subscribe", "eval")}
            # Redis 8 does not say whose script it is.
            assert server is both[1] or {name for _, name in logged[1:]} == {b"me"}
            found.append(([words for words, _ in logged], counted, admin.value("INFO", "errorstats")))
    for mine, other in zip(*found, strict=True):
        assert mine == other


def test_a_blocking_command_is_logged_and_counted_when_it_is_answered(both: list[Server]) -> None:
    """Behind the command that has served it, as it was sent, and as a failure where an error ends the wait."""
    found = []
    for server in both:
        with server.wire() as admin, server.wire() as wire, server.wire() as waiting:
            admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
            admin.call("CONFIG", "RESETSTAT")
            waiting.call("CLIENT", "SETNAME", "waiting")
            identity = str(waiting.value("CLIENT", "ID"))
            admin.call("SLOWLOG", "RESET")
            answers = [_wait_for(admin, waiting, wire, *step) for step in BLOCKING]
            waiting.write("BLPOP", "unblocked", "0")
            _await_blocked(admin)
            wire.call("CLIENT", "UNBLOCK", identity, "ERROR")
            answers.append(waiting.read().raw)
            admin.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
            log = [(entry[3], entry[5]) for entry in reversed(admin.value("SLOWLOG", "GET", "-1"))]
            stats, errors = _stats(admin), admin.value("INFO", "errorstats")
            # Who unblocks is logged before, with an id of its own; the observer's questions are as many as it takes.
            hidden = (b"CLIENT", b"INFO")
            counted = {name: stats[name] for name in ("cmdstat_blmove", "cmdstat_xreadgroup", "cmdstat_xread")}
            calls = stats["cmdstat_blpop"].split(",")[0]
            found.append((answers, [entry for entry in log if entry[0][0] not in hidden], counted, calls, errors))
            wire.call("FLUSHALL")
    assert found[0] == found[1]


BLOCKING = [
    (["BLPOP", "q", "0"], [["SET", "other", "1"], ["LPUSH", "q", "v"]]),
    (["blpop", "q", "0.01"], []),
    (["BLPOP", "q", "0"], [["MULTI"], ["LPUSH", "q", "v"], ["PING"], ["EXEC"]]),
    (["BLMOVE", "source", "other", "LEFT", "RIGHT", "0"], [["RPUSH", "source", "v"]]),
    (["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"], [["XADD", "stream", "1-1", "f", "v"]]),
    (
        ["XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "stream", ">"],
        [["XGROUP", "CREATE", "stream", "g", "$"], ["DEL", "stream"]],
    ),
]


def _wait_for(admin: Wire, waiting: Wire, wire: Wire, blocking: list[str], serving: list[list[str]]) -> bytes:
    """The answer to a command that waits for what others do."""
    if blocking[0] == "XREADGROUP":
        wire.call(*serving[0])
        serving = serving[1:]
    waiting.write(*blocking)
    if serving:
        _await_blocked(admin)
        for command in serving:
            wire.call(*command)
    return waiting.read().raw


def _await_blocked(admin: Wire) -> None:
    deadline = time.monotonic() + 30
    while b"blocked_clients:1\r\n" not in admin.value("INFO", "clients"):
        assert time.monotonic() < deadline


def test_the_slow_log_cuts_long_commands_as_the_references_do(both: list[Server]) -> None:
    """32 arguments of 128 bytes; what is left out is told."""
    commands = [
        ["SET", "k", "x" * 129],
        ["SET", "k", "x" * 128],
        ["MSET", *map(str, range(40))],
        ["DEL", *map(str, range(31))],
        ["DEL", *map(str, range(32))],
        ["ECHO", "y" * 1000],
        ["CLIENT", "LIST", "ID", *map(str, range(1, 50))],
    ]
    sherd, reference = both
    _same(_log(sherd, commands), _log(reference, commands))


def test_secrets_are_in_neither_monitor_nor_slow_log(pool: ServerPool) -> None:
    """Whatever the command's outcome, within transactions too."""
    for shards in (1, 4):
        with Server(shape=Shape(shards=shards)) as server:
            commands = [command for command in _commands(SECRETS) if "requirepass" not in command]
            shown = repr((_watch(server, commands), _log(server, commands)))
            assert "secret" not in shown
            assert shown.count("(redacted)") > 20


def test_secrets_of_config_set_are_hidden_as_in_the_references(both: list[Server]) -> None:
    """By whichever name, in either case; other values of the same command are shown."""
    sherd, reference = both
    commands = [
        command for command in _commands(SECRETS) if command[0].lower() == "config" and "requirepass" not in command
    ]
    _same(_log(sherd, commands), _log(reference, commands))


def test_a_password_that_is_set_is_hidden_and_asked_for() -> None:
    """The command that sets it, and attempts to guess it."""
    with Server() as server, server.wire() as admin, server.wire() as monitor:
        monitor.call("MONITOR")
        admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        admin.call("CONFIG", "SET", "requirepass", "secret-1", "requirepass", "secret-1")
        admin.call("CONFIG", "SET", "requirepass", "secret-2")
        with server.wire() as guesser:
            assert guesser.call("AUTH", "secret-3").is_error
            assert guesser.call("GET", "k").raw == b"-NOAUTH Authentication required.\r\n"
            assert guesser.call("AUTH", "secret-2").raw == b"+OK\r\n"
            guesser.call("ECHO", "the end")
        shown = b""
        while b"the end" not in shown:
            shown += monitor.read().raw
        logged = repr(admin.value("SLOWLOG", "GET", "-1"))
        assert b"secret" not in shown
        assert "secret" not in logged
        assert b'"AUTH" "(redacted)"' in shown


def test_a_pipeline_is_shown_once_though_commands_wait_for_their_turn() -> None:
    """Commands over several shards and of other planes wait until what came before them was answered."""
    with Server(shape=Shape(shards=4)) as server, server.wire() as monitor, server.wire() as wire:
        assert monitor.call("MONITOR").raw == b"+OK\r\n"
        commands = [("SET", "a", "1"), ("MGET", "a", "b", "c"), ("INFO", "server"), ("GET", "a"), ("DBSIZE",)] * 3
        wire.pipeline([*commands, ("ECHO", "the end")])
        seen: list[bytes] = []
        while not seen or b"the end" not in seen[-1]:
            seen.append(monitor.read().raw)
        words = [line.partition(b"] ")[2].split(b" ")[0].strip().strip(b'"').decode() for line in seen[:-1]]
        assert words == [command[0] for command in commands]


def test_no_command_is_reached_by_its_full_name(both: list[Server]) -> None:
    """The name with a bar is how tables write a subcommand, not how it is called."""
    lines = [
        ["CLIENT|SETNAME", "a", "b"],
        ["client|id", "x"],
        ["CONFIG|GET", "maxclients", "x"],
        ["OBJECT|ENCODING", "a", "b"],
        ["object|help"],
        ["CONFIG|GET"],
    ]
    for server in both:
        with server.wire() as wire:
            for line in lines:
                shown = "".join(f"'{word}' " for word in line[1:])
                expected = f"-ERR unknown command '{line[0]}', with args beginning with: {shown}\r\n"
                assert wire.call(*line).raw == expected.encode()
            assert wire.call("COMMAND", "GETKEYS", "OBJECT|ENCODING", "a", "b").is_error
            assert wire.value("COMMAND", "INFO", "object|encoding")[0][0] == b"object|encoding"


def test_tot_cmds_counts_commands_of_every_plane(both: list[Server]) -> None:
    """Executed ones, not those that are queued or refused; CLIENT LIST tells."""
    lines = [*_commands(PLAIN_COMMANDS)[:-2], *_commands(QUEUED_COMMANDS), *_commands(MIXED_TRANSACTION)]
    counts: list[int] = []
    for server in both:
        with server.wire() as wire, server.wire() as admin:
            identity = str(wire.value("CLIENT", "ID"))
            for line in lines:
                wire.call(*line)
            described = admin.value("CLIENT", "LIST", "ID", identity)
            if found := re.search(rb" tot-cmds=(\d+)", described):
                counts.append(int(found[1]))
    assert counts[0] > len(lines) // 2
    # Redis 8.0 does not tell.
    assert len(set(counts)) == 1


def _stats(wire: Wire) -> dict[str, str]:
    lines = wire.value("INFO", "commandstats").decode().splitlines()
    return {
        name: re.sub(r"usec=\d+,usec_per_call=[\d.]+,", "", text)
        for name, _, text in (line.partition(":") for line in lines[1:])
    }


def test_a_mixed_transaction_is_counted_by_its_commands(both: list[Server]) -> None:
    """SELECT included, which takes effect between commands of both planes."""
    found: list[dict[str, str]] = []
    for server in both:
        with server.wire() as wire:
            wire.call("CONFIG", "RESETSTAT")
            for line in _commands(MIXED_TRANSACTION):
                wire.call(*line)
            found.append(_stats(wire))
    assert found[0].pop("cmdstat_config|resetstat") == found[1].pop("cmdstat_config|resetstat")
    assert found[0] == found[1]
