"""Mistakes in the program: one command's panic is one client's, a broken invariant ends the process with a report."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually
from tests.support.servers import Server
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from tests.support.servers import ServerPool, Shape

debugging = {"enable-debug-command": "yes"}


def test_a_panicking_command_costs_its_client_only(pool: ServerPool, shape: Shape, protocol: int) -> None:
    """It is answered with an error and cut; everybody else is served, data and counters included."""
    server = pool.get(shape=shape, directives=debugging)
    with server.wire(protocol=protocol) as other:
        other.call("SET", "k", "v")
        for commands in (
            [("DEBUG", "FAIL-COMMAND")],
            [("MULTI",), ("SET", "k", "w"), ("DEBUG", "FAIL-COMMAND"), ("EXEC",)],
        ):
            with server.wire(protocol=protocol) as client:
                replies = client.pipeline(commands)
                assert replies[-1].raw.startswith(b"-ERR internal error")
                with pytest.raises(ConnectionClosed):
                    client.call("PING")
        assert other.value("PING") == b"PONG"
        assert other.value("GET", "k") in (b"v", b"w")
    eventually(lambda: "DEBUG FAIL-COMMAND was asked for" in server.log(), "the panic is in the log")
    assert "debug.rs" in server.log()


def test_commands_before_and_behind_a_panic_in_a_pipeline_keep_their_order(pool: ServerPool, shape: Shape) -> None:
    """What came before is answered; what comes behind is not taken once the connection is cut."""
    server = pool.get(shape=shape, directives=debugging)
    with server.wire() as client:
        replies = client.pipeline([("SET", "k", "1"), ("INCR", "k"), ("DEBUG", "FAIL-COMMAND")])
        assert [reply.raw for reply in replies[:2]] == [b"+OK\r\n", b":2\r\n"]
        assert replies[2].is_error


def test_a_broken_invariant_ends_the_process_with_a_report() -> None:
    """Serving from broken tables would be worse than not serving."""
    with Server(directives=debugging) as server, server.wire() as client:
        client.write("DEBUG", "PANIC")
        with pytest.raises(ConnectionClosed):
            client.read()
        assert server.process is not None
        assert server.process.wait(timeout=20) == -signal.SIGABRT
        assert "SHERD CRASH REPORT" in server.log()
        assert "DEBUG PANIC was asked for" in server.log()
