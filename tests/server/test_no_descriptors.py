"""A server whose descriptors are all taken answers what it has to import modules for."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.replication.support import eventually
from tests.support.servers import Server
from tests.support.wire import Wire


@contextmanager
def _without_descriptors(server: Server) -> Iterator[Wire]:
    """A client of a server that can open nothing more."""
    with ExitStack() as clients:
        first = clients.enter_context(server.wire())
        # Clients are served a little earlier, and the rest of the start needs descriptors of its own.
        eventually(lambda: "ready to accept connections" in server.log(), "the server is ready")
        first.call("PING")
        taken = sorted(int(name) for name in os.listdir(f"/proc/{server.pid}/fd"))
        for _ in range(taken[-1] + 1 - len(taken)):  # one for each number below that is free
            clients.enter_context(server.wire()).call("PING")
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (taken[-1] + 1, hard))
        yield first


@pytest.mark.sherd_only
@pytest.mark.parametrize(
    "command",
    ["INFO everything", "MEMORY STATS", "COMMAND DOCS get", "ACL SETUSER u on >secret", "EVAL return{1} 0", "LOLWUT"],
)
def test_the_first_use_of_a_command_needs_no_free_descriptor(command: str) -> None:
    with Server() as server, _without_descriptors(server) as wire:
        for _ in range(2):
            reply = wire.call(*command.split(" "))
            assert not reply.is_error, reply
        assert wire.value("PING") == b"PONG"
