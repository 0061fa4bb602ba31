"""What ends WAIT and WAITAOF besides replicas and time: CLIENT UNBLOCK, CLIENT KILL, a client that goes, a new role.

They wait in the control plane, where nothing of that used to reach them: a client of WAIT 1 0 was there for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import SHAPE_NAMES, SHAPES, eventually
from tests.support.references import need_reference
from tests.support.servers import Server, Shape, sherd_program
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Program

ENDED = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
waits = [("WAIT", "1", "0"), ("WAIT", "1", "600000"), ("WAITAOF", "0", "1", "0")]


@pytest.fixture(params=SHAPES, ids=SHAPE_NAMES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(shape=request.param) as server:
        yield server


def begin(server: Server, *command: str) -> tuple[Wire, int]:
    """A client that waits, and its id."""
    wire = server.wire()
    number = wire.value("CLIENT", "ID")
    wire.value("SET", "k", "v")
    wire.write(*command)
    with server.wire() as other:
        eventually(lambda: b" flags=b " in other.value("CLIENT", "LIST", "ID", str(number)), "the client is blocked")
    return wire, number


def assert_nobody_is_left(server: Server) -> None:
    """Nobody waits, and those who did have gone."""
    with server.wire() as wire:
        eventually(lambda: info_field(wire, "clients", "blocked_clients") == "0", "nobody waits")
        eventually(lambda: info_field(wire, "clients", "connected_clients") == "1", "nobody else is connected")


@pytest.mark.parametrize("command", waits, ids=" ".join)
def test_a_client_is_unblocked(server: Server, command: tuple[str, ...]) -> None:
    for mode, answer in (("TIMEOUT", None), ("ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
        wire, number = begin(server, *command)
        with wire, server.wire() as other:
            assert info_field(other, "clients", "blocked_clients") == "1"
            assert other.value("CLIENT", "UNBLOCK", str(number), mode) == 1
            assert wire.read().raw == (answer or (b"*2\r\n:0\r\n:0\r\n" if command[0] == "WAITAOF" else b":0\r\n"))
            assert other.value("CLIENT", "UNBLOCK", str(number)) == 0
            # It goes on as before, and may wait again.
            assert wire.call("WAIT", "0", "0").raw == b":0\r\n"
    assert_nobody_is_left(server)


@pytest.mark.parametrize("command", waits, ids=" ".join)
def test_a_client_is_killed_or_goes(server: Server, command: tuple[str, ...]) -> None:
    wire, number = begin(server, *command)
    with server.wire() as other:
        assert other.value("CLIENT", "KILL", "ID", str(number)) == 1
    with pytest.raises(ConnectionClosed):
        wire.read()
    wire.close()
    for _ in range(20):
        begin(server, *command)[0].close()
    assert_nobody_is_left(server)


def test_a_client_that_goes_at_once_is_not_waited_for(server: Server) -> None:
    for _ in range(200):
        with server.wire() as wire:
            wire.write("WAIT", "1", "0")
    assert_nobody_is_left(server)


def ends(program: Program, shape: Shape) -> list[bytes]:
    """What blocked clients of each kind are sent when their server becomes a replica, to the end of the connection."""
    with Server(program, shape=shape) as server, Server(program, shape=shape) as other:
        wires = [
            begin(server, *command)[0] for command in (("WAIT", "1", "0"), ("BLPOP", "q", "0"), ("BLPOP", "q", "600"))
        ]
        with server.wire() as operator:
            assert not operator.call("REPLICAOF", "127.0.0.1", str(other.port)).is_error
            # Who does not wait stays.
            assert operator.value("PING") == b"PONG"
            found = [wire.read_until_closed() for wire in wires]
        for wire in wires:
            wire.close()
        return found


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_a_new_role_ends_waits_and_connections(shape: Shape) -> None:
    assert ends(sherd_program(), shape) == [ENDED] * 3


def test_real_servers_do_the_same(reference_name: str) -> None:
    program = need_reference(reference_name)
    assert program is not None
    assert ends(program, Shape()) == [ENDED] * 3


def test_time_ends_a_wait_as_ever(server: Server) -> None:
    with server.wire() as wire:
        assert wire.call("WAIT", "1", "50").raw == b":0\r\n"
        assert wire.call("WAITAOF", "0", "1", "50").raw == b"*2\r\n:0\r\n:0\r\n"
