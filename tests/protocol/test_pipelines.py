"""A pipeline gives the replies that its commands give one by one, also where one of them changes how the next are meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command

if TYPE_CHECKING:
    from tests.support.servers import Server
    from tests.support.wire import Wire

# Each begins with commands of one kind in a row, which are taken without a look at all of each.
pipelines = {
    "another database": ["SET a 0", "SET b 0", "SELECT 1", "SET a 1", "GET a", "GET b", "SELECT 0", "GET a", "GET b"],
    "another protocol": ["HSET h f v", "HGETALL h", "HGETALL h", "HELLO 3", "HGETALL h", "HGETALL h", "GET none"],
    "a transaction": ["INCR n", "INCR n", "MULTI", "INCR n", "INCR n", "EXEC", "INCR n", "INCR n"],
    "a transaction given up": ["INCR n", "INCR n", "MULTI", "INCR n", "INCR n x", "EXEC", "INCR n", "INCR n"],
    "other numbers of arguments": ["GET a", "GET a", "GET", "GET a b", "GET a", "DEL a b", "DEL a", "DEL a b"],
    "other letters": ["set a 1", "SET a 2", "Set a 3", "get a", "GET a", "gET a"],
    "an unknown command": ["GET a", "GET a", "GEX a", "GET a", "GE a", "GET a"],
    "wrong types": ["SET a x", "INCR a", "INCR a", "LPUSH a v", "GET a", "GET a"],
    "replies left out": ["INCR n", "CLIENT REPLY SKIP", "INCR n", "INCR n", "INCR n"],
    "replies off": ["INCR n", "CLIENT REPLY OFF", "INCR n", "INCR n", "CLIENT REPLY ON", "INCR n", "INCR n"],
    "control commands": ["GET a", "GET a", "CONFIG GET maxclients", "GET a", "TIME x", "GET a"],
    "commands that only answer": ["PING", "PING x", "ECHO a", "ECHO b", "ECHO", "PING a b", "ping", "Echo a", "PING"],
    "answers among commands with keys": [
        "INCR n",
        "PING",
        "PING",
        "INCR n",
        "ECHO a",
        "ECHO b",
        "PING",
        "GET n",
        "PING",
    ],
    "a transaction of answers": ["PING", "PING", "MULTI", "PING", "PING", "ECHO a", "ECHO b", "EXEC", "PING", "PING"],
    "answers to a subscriber": ["PING", "SUBSCRIBE c", "PING", "PING x", "PING y", "UNSUBSCRIBE c", "PING", "PING x"],
    "commands that wait": ["RPUSH l a b", "BLPOP l 0", "BLPOP l 0", "RPUSH l c", "RPUSH l d", "LRANGE l 0 -1"],
}


def _without_ids(replies: list[bytes]) -> list[bytes]:
    return [re.sub(rb"(\$2\r\nid\r\n):[0-9]+", rb"\1", reply) for reply in replies]


def _setup(wire: Wire) -> None:
    wire.call("FLUSHALL")


@pytest.mark.parametrize("name", pipelines)
def test_a_pipeline_means_what_its_commands_mean_one_by_one(server: Server, protocol: int, name: str) -> None:
    """Byte for byte, with each command three times in a row as well."""
    for repeat in (1, 3):
        lines = [line.split() for line in pipelines[name] for _ in range(repeat)]
        if name.startswith(("replies", "commands that wait", "a transaction")) and repeat > 1:
            continue
        silent = {"replies left out": 2, "replies off": 3}.get(name, 0)
        with server.wire(protocol=protocol) as wire:
            _setup(wire)
            expected = [wire.call(*line).raw for line in lines] if not silent else []
        with server.wire(protocol=protocol) as wire:
            _setup(wire)
            wire.send(b"".join(encode_command(*line) for line in lines))
            received = [wire.read().raw for _ in range(len(lines) - silent)]
            if silent:
                expected = {
                    "replies left out": [b":1\r\n", b":3\r\n", b":4\r\n"],
                    "replies off": [b":1\r\n", b"+OK\r\n", b":4\r\n", b":5\r\n"],
                }[name]
            assert _without_ids(received) == _without_ids(expected)


def test_a_long_pipeline_of_one_command_is_answered_in_order(server: Server, protocol: int) -> None:
    """More than are taken in one round, on keys of all shards, with a large one in between."""
    count = 3000
    with server.wire(protocol=protocol) as wire:
        wire.call("FLUSHALL")
        large = b"x" * 20_000
        commands = [encode_command("SET", f"k{n}", large if n % 1000 == 500 else f"{n}") for n in range(count)]
        wire.send(b"".join(commands))
        assert [wire.read().raw for _ in range(count)] == [b"+OK\r\n"] * count
        wire.send(b"".join(encode_command("GET", f"k{n}") for n in range(count)))
        for n in range(count):
            value = large if n % 1000 == 500 else b"%d" % n
            assert wire.read().raw == b"$%d\r\n%s\r\n" % (len(value), value)


def test_commands_of_one_kind_need_a_password_each(server: Server, protocol: int) -> None:
    """Nobody gets in behind a command that was refused."""
    with server.wire(protocol=protocol) as admin:
        admin.call("CONFIG", "SET", "requirepass", "secret")
        try:
            with server.wire() as wire:
                wire.send(
                    encode_command("GET", "a") * 3 + encode_command("AUTH", "secret") + encode_command("GET", "a")
                )
                replies = [wire.read().raw for _ in range(5)]
        finally:
            admin.call("CONFIG", "SET", "requirepass", "")
    assert [reply[:7] for reply in replies[:3]] == [b"-NOAUTH"] * 3
    assert replies[3:] == [b"+OK\r\n", b"$-1\r\n"]


def test_each_answer_of_a_row_is_counted(server: Server, protocol: int) -> None:
    """Commands that only answer are taken in rows, and are commands like any other."""
    count = 1500
    with server.wire(protocol=protocol) as wire:
        wire.call("CONFIG", "RESETSTAT")
        wire.send(encode_command("PING") * count + encode_command("ECHO", "x") * count)
        replies = [wire.read().raw for _ in range(2 * count)]
        assert replies == [b"+PONG\r\n"] * count + [b"$1\r\nx\r\n"] * count
        stats = wire.call("INFO", "commandstats").raw
    for name in (b"ping", b"echo"):
        assert b"cmdstat_%b:calls=%d," % (name, count) in stats
