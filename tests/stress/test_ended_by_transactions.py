"""CLIENT UNBLOCK and CLIENT KILL within a transaction: what they end is over for what is sent behind it.

A transaction waits for no thread, and used to send word to those of the clients: in 25 of 40 times an element that was pushed behind
it was taken by the client that it had unblocked, and in 16 of 40 by the one that it had killed, with which it was lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.stress.busy import await_blocked, busy
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Wire

tries = 15
shape = Shape(shards=4, io_threads=4)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A busy server."""
    with Server(shape=shape) as server, busy(server):
        yield server


def _end(server: Server, admin: Wire, command: tuple[str, ...]) -> list[bytes | None]:
    """What the clients were answered that a transaction has ended; None is no answer."""
    answers: list[bytes | None] = []
    for _ in range(tries):
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(server.wire()) for _ in range(shape.io_threads)]
            identities = [str(wire.value("CLIENT", "ID")) for wire in wires]
            for wire in wires:
                wire.write("BLPOP", "queue", "0")
            await_blocked(admin, len(wires))
            commands = [tuple(identity if word == "ID" else word for word in command) for identity in identities]
            admin.pipeline([("MULTI",), *commands])
            assert admin.value("EXEC") == [1] * len(commands)
            assert admin.call("RPUSH", "queue", "element").raw == b":1\r\n"
            assert admin.call("DEL", "queue").raw == b":1\r\n", "somebody got it"
            for wire in wires:
                try:
                    answers.append(wire.read().raw)
                except ConnectionClosed as closed:
                    answers.append(closed.partial or None)
        await_blocked(admin, 0)
    return answers


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("CLIENT", "UNBLOCK", "ID"), b"*-1\r\n"),
        (("CLIENT", "UNBLOCK", "ID", "ERROR"), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
        (("CLIENT", "KILL", "Id", "ID"), None),
    ],
    ids=["timeout", "error", "killed"],
)
def test_what_a_transaction_ends_gets_nothing_that_is_pushed_behind_it(
    server: Server, command: tuple[str, ...], answer: bytes | None
) -> None:
    """Each client is answered once, as if nobody had pushed anything."""
    with server.wire() as admin:
        assert set(_end(server, admin, command)) == {answer}
