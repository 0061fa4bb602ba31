"""Commands that concern connections, in pipelines: they come behind what their client has sent before, and before what it sends next.

They are executed by another thread, or at another time, than the data commands around them, so nothing orders them by itself. What
differs is seen where one of them looks at what a data command has changed, or the other way round: who waits for a key, whose
rights a script has.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Wire

get_any = "return redis.call('GET', ARGV[1])"
turns = 4
"""Connections of one turn after the other, which the IO threads share evenly."""


@contextlib.contextmanager
def blocked(server: Server, wire: Wire, protocol: int) -> Iterator[tuple[Wire, str]]:
    """A client that waits for an element of `list`, and its id."""
    wire.value("DEL", "list")
    with server.wire(protocol=protocol) as client:
        identity = str(client.value("CLIENT", "ID"))
        client.write("BLPOP", "list", "0")
        eventually(lambda: is_blocked(wire.value("CLIENT", "LIST", "ID", identity)), "it waits")
        yield client, identity


def is_blocked(listing: bytes) -> bool:
    """Whether the client of a line of CLIENT LIST waits."""
    return b"b" in listing.split(b"flags=")[1].split()[0]


def test_who_was_served_before_is_not_unblocked(server: Server, wire: Wire, protocol: int) -> None:
    """CLIENT UNBLOCK says so, whichever thread has served it."""
    for _ in range(turns):
        with blocked(server, wire, protocol) as (client, identity):
            commands = [("RPUSH", "list", "v"), ("CLIENT", "UNBLOCK", identity), ("LLEN", "list")]
            assert [reply.value for reply in wire.pipeline(commands)] == [1, 0, 0]
            assert client.read().value == [b"list", b"v"]


@pytest.mark.parametrize("mode", ["TIMEOUT", "ERROR"])
def test_who_was_unblocked_gets_nothing_any_more(server: Server, wire: Wire, protocol: int, mode: str) -> None:
    """What is pushed behind it stays in the list."""
    for _ in range(turns):
        with blocked(server, wire, protocol) as (client, identity):
            commands = [("CLIENT", "UNBLOCK", identity, mode), ("RPUSH", "list", "v"), ("LLEN", "list")]
            assert [reply.value for reply in wire.pipeline(commands)] == [1, 1, 1]
            assert client.read().is_error == (mode == "ERROR")


@pytest.mark.parametrize("by", ["ID", "ADDR", "address"])
def test_who_was_killed_gets_nothing_any_more(server: Server, wire: Wire, protocol: int, by: str) -> None:
    """An element that is pushed behind CLIENT KILL is not lost with the client."""
    for _ in range(turns):
        with blocked(server, wire, protocol) as (client, identity):
            host, port = client.socket.getsockname()
            address = f"{host}:{port}"
            kill = {"ID": ("ID", identity), "ADDR": ("ADDR", address), "address": (address,)}[by]
            commands = [("CLIENT", "KILL", *kill), ("RPUSH", "list", "v"), ("LLEN", "list")]
            replies = [reply.value for reply in wire.pipeline(commands)]
            assert replies[1:] == [1, 1]
            assert client.read_until_closed() == b""


def test_a_transaction_ends_waits_as_well(server: Server, wire: Wire, protocol: int) -> None:
    """It does not wait for the threads of those clients; it is over all the same."""
    for command in (("CLIENT", "UNBLOCK"), ("CLIENT", "KILL", "ID")):
        for _ in range(turns):
            with blocked(server, wire, protocol) as (client, identity):
                commands = [("MULTI",), ("PING",), (*command, identity), ("GET", "none"), ("EXEC",)]
                assert wire.pipeline(commands)[-1].value == [b"PONG", 1, None]
                if "KILL" in command:
                    assert client.read_until_closed() == b""
                else:
                    assert client.read().value is None


def test_a_client_that_kills_itself_is_answered_and_goes(server: Server, wire: Wire, protocol: int) -> None:
    """With what it has sent before, and together with clients of other threads."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.wire(protocol=protocol)) for _ in range(3)]
        identities = [str(client.value("CLIENT", "ID")) for client in clients]
        own = str(wire.value("CLIENT", "ID"))
        commands = [("INCR", "n"), ("CLIENT", "KILL", "ID", *identities, own, "SKIPME", "no"), ("INCR", "n")]
        wire.send(b"".join(encode_command(*command) for command in commands))
        assert wire.read_until_closed() == b":1\r\n:4\r\n"
        assert [client.read_until_closed() for client in clients] == [b""] * 3
    with server.wire() as other:
        assert other.value("GET", "n") == b"1"


@pytest.mark.parametrize(
    "end", [("RESET",), ("AUTH", "default", "secret"), ("HELLO", "3", "AUTH", "default", "secret")]
)
def test_a_script_has_the_rights_of_who_has_sent_it(shape: Shape, end: tuple[str, ...]) -> None:
    """Not those of the user that its connection becomes behind it, least of all of one who has yet to give a password."""
    with Server(sherd_program(), shape=shape, directives={"requirepass": "secret"}) as server, server.wire() as wire:
        wire.value("AUTH", "secret")
        wire.value("ACL", "SETUSER", "ada", "on", ">pw", "~own:*", "+@all")
        wire.pipeline([("SET", "other", "hidden"), ("RPUSH", "own:list", "1")])
        reads = (("EVAL", get_any, "1", "own:key", "other"), ("SORT_RO", "own:list", "BY", "nosort", "GET", "other"))
        with server.wire() as client:
            client.value("AUTH", "ada", "pw")
            # A script that is known to be quick does not go to another thread.
            for _ in range(3):
                assert client.value("EVAL", get_any, "1", "own:key", "own:key") is None
            for read in reads:
                first, _ = client.pipeline([read, end])
                assert first.is_error, first.raw
                client.value("AUTH", "ada", "pw")
        # Who may do more has the right for what it sent before it becomes somebody else.
        assert wire.pipeline([reads[0], ("AUTH", "ada", "pw")])[0].value == b"hidden"


def test_a_client_is_described_behind_its_commands(server: Server, wire: Wire, protocol: int) -> None:
    """CLIENT INFO counts them."""
    with server.wire(protocol=protocol) as client:
        before = int(client.value("CLIENT", "INFO").split(b"tot-cmds=")[1].split()[0])
        *_, described = client.pipeline([("SET", "a", "1"), ("SET", "b", "1"), ("CLIENT", "INFO")])
        assert int(described.value.split(b"tot-cmds=")[1].split()[0]) == before + 3
        del wire


def test_a_client_is_not_told_of_changes_from_before_it_tracked(server: Server) -> None:
    """By prefix, which needs no reading."""
    with server.wire(protocol=3) as client:
        commands = [("SET", "k", "1"), ("CLIENT", "TRACKING", "ON", "BCAST"), ("PING",), ("SET", "k", "2")]
        assert [reply.raw for reply in client.pipeline(commands)] == [b"+OK\r\n", b"+OK\r\n", b"+PONG\r\n", b"+OK\r\n"]
        assert client.read().value == [b"invalidate", [b"k"]]


@pytest.mark.parametrize("other", [("GET", "none"), ("CONFIG", "GET", "hz")], ids=["data", "control"])
def test_a_transaction_leaves_out_one_reply_behind_it(wire: Wire, other: tuple[str, ...]) -> None:
    """CLIENT REPLY SKIP in it is for one command, whoever executes the transaction."""
    commands = [("MULTI",), other, ("CLIENT", "REPLY", "SKIP"), ("EXEC",), ("PING", "1"), ("PING", "2"), ("PING", "3")]
    wire.send(b"".join(encode_command(*command) for command in commands))
    assert [wire.read().value for _ in range(5)] == [b"OK", b"QUEUED", b"QUEUED", b"2", b"3"]


def test_a_transaction_speaks_the_protocol_that_it_has_chosen(server: Server) -> None:
    """Also where the control plane answers what does not depend on the rest of it."""
    with server.wire() as client:
        commands = [
            ("MULTI",),
            ("HELLO", "3"),
            ("CONFIG", "GET", "hz"),
            ("HELLO", "2"),
            ("CONFIG", "GET", "hz"),
            ("EXEC",),
        ]
        *_, executed = client.pipeline(commands)
        pairs = b"$2\r\nhz\r\n$2\r\n10\r\n"
        assert b"%1\r\n" + pairs in executed.raw
        assert executed.raw.endswith(b"*2\r\n" + pairs)
