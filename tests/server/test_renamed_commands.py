"""rename-command: which names are known, and what is said of them, as in the references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference, reference_names
from tests.support.servers import Program, Server, ServerDidNotStart, Shape, sherd_program

if TYPE_CHECKING:
    from pathlib import Path

RENAMES = """
rename-command GET FETCH
rename-command FLUSHALL ""
rename-command CONFIG "hidden config"
rename-command OBJECT entity
rename-command MULTI begin
rename-command EXEC run
"""

COMMANDS = [
    *(line.split() for line in """
SET a 1
GET a
FETCH a
fetch a
FETCH
FLUSHALL
CONFIG GET port
CONFIG
OBJECT ENCODING a
entity encoding a
ENTITY encoding
entity nosuch
entity
COMMAND INFO get
COMMAND INFO flushall
COMMAND INFO config|get
COMMAND LIST FILTERBY PATTERN fetch
COMMAND LIST FILTERBY PATTERN get
COMMAND LIST FILTERBY PATTERN flushall
COMMAND GETKEYS FETCH k
COMMAND GETKEYS GET k
COMMAND GETKEYS entity encoding k
COMMAND DOCS get
LATENCY HISTOGRAM get
MULTI
EXEC
begin
FETCH a
SET a 2
GET a
run
begin
FETCH a
run
""".strip().splitlines()),
    ["hidden config", "GET", "maxclients"],
    ["HIDDEN CONFIG"],
]  # fmt: skip


def _program(program: Program | None, file: Path, text: str) -> Program:
    """A server that reads a configuration file with this text."""
    file.write_text(text)
    if program is None or program.is_sherd:
        ours = sherd_program()
        return Program(ours.name, (*ours.command, str(file)), ours.is_sherd)
    return Program(program.name, (program.command[0], str(file)))


def _seen(server: Server, commands: list[list[str]]) -> tuple[list[bytes], list[bytes]]:
    """The replies, and what MONITOR shows of the commands."""
    with server.wire() as monitor, server.wire() as wire:
        monitor.call("MONITOR")
        replies = [wire.call(*command).raw for command in commands]
        wire.call("ECHO", "the end")
        lines = [b""]
        while b"the end" not in lines[-1]:
            lines.append(monitor.read().raw.partition(b"] ")[2])
    return replies, lines


@pytest.mark.parametrize("reference_name", reference_names[1:])
def test_renamed_commands_answer_as_in_the_references(reference_name: str, tmp_path: Path) -> None:
    """By their new name only; errors and COMMAND tell the old one, MONITOR what was sent."""
    seen = []
    for program in (sherd_program(), need_reference(reference_name)):
        with Server(_program(program, tmp_path / "redis.conf", RENAMES)) as server:
            seen.append(_seen(server, COMMANDS))
    for command, mine, other in zip(COMMANDS, seen[0][0], seen[1][0], strict=True):
        assert mine == other, command
    assert seen[0][1] == seen[1][1]


def test_command_describes_a_renamed_command_under_its_own_name(tmp_path: Path) -> None:
    with Server(_program(None, tmp_path / "redis.conf", RENAMES)) as server, server.wire() as wire:
        assert wire.value("COMMAND", "INFO", "fetch", "entity|encoding")[0][0] == b"get"
        assert wire.value("COMMAND", "INFO", "entity|encoding")[0][0] == b"object|encoding"
        assert wire.value("COMMAND", "DOCS", "fetch")[0] == b"get"
        assert b"flushall" not in wire.value("COMMAND", "LIST")
        assert wire.value("COMMAND", "COUNT") == len(wire.value("COMMAND"))
        wire.call("FETCH", "a")
        assert wire.value("LATENCY", "HISTOGRAM", "fetch")[0] == b"get"
        assert re.search(rb"cmdstat_get:calls=1,", wire.value("INFO", "commandstats"))


@pytest.mark.parametrize("shards", [1, 4])
def test_names_can_be_exchanged_and_stay_so_in_a_pipeline(shards: int, tmp_path: Path) -> None:
    """However many requests of one name come in a row: what the last request named is remembered by its own name."""
    text = "rename-command GET spare\nrename-command LLEN get\nrename-command spare llen\nrename-command INCR add\n"
    with (
        Server(_program(None, tmp_path / "redis.conf", text), shape=Shape(shards=shards)) as server,
        server.wire() as wire,
    ):
        wire.pipeline([("SET", "s", "v"), ("RPUSH", "l", "1", "2")])
        replies = wire.pipeline(
            [("GET", "l"), ("GET", "l"), ("LLEN", "s"), ("LLEN", "s"), ("GET", "l"), ("get", "l")] * 3
        )
        assert [reply.value for reply in replies] == [2, 2, b"v", b"v", 2, 2] * 3
        replies = wire.pipeline([("ADD", "n"), ("ADD", "n"), ("INCR", "n"), ("INCR", "n"), ("add", "n")])
        assert [reply.value if not reply.is_error else None for reply in replies] == [1, 2, None, None, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rename-command NOSUCH x\n", "No such command in rename-command"),
        ("rename-command GET SET\n", "Target command name already exists"),
        ("rename-command GET x\nrename-command GET y\n", "No such command in rename-command"),
        ("rename-command CONFIG|GET x\n", "No such command in rename-command"),
        ("rename-command GET\n", "wrong number of arguments"),
    ],
)
def test_a_name_that_makes_no_sense_keeps_the_server_from_starting(text: str, reason: str, tmp_path: Path) -> None:
    """An operator who hides a command must not believe that it is hidden when it is not."""
    with pytest.raises(ServerDidNotStart, match=reason):
        Server(_program(None, tmp_path / "redis.conf", text))


def test_the_command_line_renames_as_well() -> None:
    with Server(directives={"rename-command": "FLUSHDB"}, await_ping=False) as server:
        assert server.process is not None
        assert server.process.wait(timeout=60) != 0
    ours = sherd_program()
    program = Program(ours.name, (*ours.command, "--rename-command", "FLUSHDB", "wipe"), ours.is_sherd)
    with Server(program) as server, server.wire() as wire:
        assert wire.call("FLUSHDB").raw.startswith(b"-ERR unknown command 'FLUSHDB'")
        assert wire.call("WIPE").raw == b"+OK\r\n"


def test_a_script_that_knows_the_new_name_does_not_get_at_the_old_one() -> None:
    script = "redis.call('zget', KEYS[1]) return redis.call('GET', KEYS[1])"
    with Server(directives={"rename-command": "GET zget"}) as server, server.wire() as wire:
        assert wire.call("EVAL", script.replace("'GET'", "'zget'"), "1", "k").raw == b"$-1\r\n"
        assert wire.call("EVAL", script, "1", "k").raw.startswith(b"-ERR Unknown Redis command called from script")


def test_a_script_that_is_told_what_to_call_keeps_names_apart() -> None:
    """What it has called first in its last run is remembered, but not by another name than the command's own."""
    script = "return redis.call(ARGV[1], KEYS[1])"
    with Server(directives={"rename-command": "GET strlen2"}) as server, server.wire() as wire:
        wire.call("SET", "k", "value")
        for name, expected in [
            ("strlen2", b"$5\r\nvalue"),
            ("get", b"-ERR Unknown Redis command called from script"),
            ("strlen", b":5"),
            ("STRLEN2", b"$5\r\nvalue"),
            ("strlen", b":5"),
            ("GET", b"-ERR Unknown Redis command called from script"),
        ] * 3:
            assert wire.call("EVAL", script, "1", "k", name).raw.startswith(expected), name
