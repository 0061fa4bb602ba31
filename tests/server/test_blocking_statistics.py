"""What a blocking command counts as: a call when it ends, in the slow log when it is served, failed when it ends by an error.

The same is done on Sherd and on a reference, and what both tell is compared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.test_limits import eventually, info_field
from tests.support.references import need_reference
from tests.support.servers import Server

if TYPE_CHECKING:
    from tests.support.servers import ServerPool, Shape
    from tests.support.wire import Wire


def wait_in(server: Server, wire: Wire, *command: str, client: Wire | None = None) -> Wire:
    """A client that has begun to wait."""
    client = client or server.wire()
    client.write(*command)
    eventually(lambda: info_field(wire, "clients", "blocked_clients") == "1", f"{command} waits")
    return client


def calls(wire: Wire, command: str) -> tuple[int, int]:
    """Calls of a command, and failed ones."""
    text: bytes = wire.value("INFO", "commandstats")
    found = re.search(rf"cmdstat_{command}:calls=(\d+),.*failed_calls=(\d+)".encode(), text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def refusals(wire: Wire, command: str) -> int:
    """Calls of a command that were refused."""
    found = re.search(rf"cmdstat_{command}:.*rejected_calls=(\d+)".encode(), wire.value("INFO", "commandstats"))
    return int(found[1]) if found else 0


def story(server: Server) -> dict[str, Any]:
    """Waits that end in every way, and what the server tells of them."""
    told: dict[str, Any] = {}
    with server.wire() as wire:
        wire.call("FLUSHALL")
        wire.call("CONFIG", "RESETSTAT")
        with wait_in(server, wire, "BLPOP", "k1", "k2", "0") as client:
            told["while it waits"] = calls(wire, "blpop")
            wire.call("RPUSH", "k2", "v")
            told["served"] = (client.read().value, calls(wire, "blpop"))
        with wait_in(server, wire, "BLPOP", "k1", "k2", "0.05") as client:
            told["timed out"] = (client.read().value, calls(wire, "blpop"))
        for way in ("TIMEOUT", "ERROR"):
            with server.wire() as client:
                identity = client.value("CLIENT", "ID")
                wait_in(server, wire, "BLPOP", "k1", "k2", "0", client=client)
                assert wire.value("CLIENT", "UNBLOCK", identity, way) == 1
                told[way] = (client.read().raw, calls(wire, "blpop"))
        wire.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        with wait_in(server, wire, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">") as client:
            wire.call("DEL", "s")
            told["an error"] = (client.read().is_error, calls(wire, "xreadgroup"))
        wire.call("ACL", "SETUSER", "waiter", "on", "nopass", "~*", "+@all")
        with server.wire() as client:
            client.call("AUTH", "waiter", "")
            wait_in(server, wire, "BLPOP", "k1", "k2", "0", client=client)
            wire.call("ACL", "SETUSER", "waiter", "-blpop")
            # The references look when the key comes.
            wire.call("RPUSH", "k1", "v")
            told["not allowed any more"] = (client.read().raw[:8], calls(wire, "blpop"), refusals(wire, "blpop"))
        wire.call("DEL", "k1")
        told["errors"] = sorted(re.findall(rb"errorstat_(\w+):count=(\d+)", wire.value("INFO", "errorstats")))
        told["slow log"] = slow_log(server, wire)
    return told


def slow_log(server: Server, wire: Wire) -> list[object]:
    """The entries of a wait and of what ends it, without their own commands."""
    wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    wire.call("SLOWLOG", "RESET")
    with wait_in(server, wire, "BLPOP", "k1", "k2", "0") as client:
        wire.call("RPUSH", "k2", "v")
        client.read()
    entries = wire.value("SLOWLOG", "GET", "-1")
    wire.call("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    return [(entry[3], entry[5]) for entry in entries if entry[3][0] in (b"BLPOP", b"RPUSH")]


# Redis 7.0 counts a call when it begins to wait, and some ends as another one.
@pytest.mark.parametrize("name", ["redis8", "valkey9"])
def test_waits_count_as_in_the_references(pool: ServerPool, shape: Shape, name: str) -> None:
    """Over one shard, and over several on which the keys lie."""
    program = need_reference(name)
    assert program is not None
    with Server(program) as reference:
        expected = story(reference)
    if name == "valkey9":
        # There, a client that is unblocked by an error has not failed, but was refused.
        reply, (all_calls, _) = expected["ERROR"]
        expected["ERROR"] = (reply, (all_calls, 1))
        reply, (all_calls, _), refused = expected["not allowed any more"]
        expected["not allowed any more"] = (reply, (all_calls, 1), refused - 1)
    assert story(pool.get(shape=shape)) == expected
