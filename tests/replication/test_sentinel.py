"""Sentinel, Redis' and Valkey's, over Sherds: it finds replicas, has one take over, and turns the old primary into a replica."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import eventually
from tests.support.references import need_reference
from tests.support.servers import Server, free_port
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

group = "shop"
secret = "of-all-servers"
protected = {"requirepass": secret, "masterauth": secret, "repl-diskless-sync-delay": "0"}


@contextlib.contextmanager
def sentinel(program: str, directory: Path, primary: int, quorum: int = 1) -> Iterator[Wire]:
    """A sentinel, which decides alone unless more are wanted, and a connection to it."""
    port = free_port()
    file = directory / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor {group} 127.0.0.1 {primary} {quorum}\n"
        f"sentinel auth-pass {group} {secret}\nsentinel down-after-milliseconds {group} 1000\n"
        f"sentinel failover-timeout {group} 10000\n"
    )
    with subprocess.Popen([program, file, "--sentinel"], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _listens(port), "the sentinel listens")
            with Wire(("127.0.0.1", port)) as wire:
                yield wire
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), Wire(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def own_wire(server: Server) -> Iterator[Wire]:
    """A connection that has logged in."""
    with server.wire() as wire:
        assert wire.call("AUTH", secret).raw == b"+OK\r\n"
        yield wire


def follows(server: Server, primary: Server) -> bool:
    """Whether a server is a replica of another one, and the link is up."""
    # A sentinel kills the clients of servers whose roles it changes.
    with contextlib.suppress(ConnectionClosed), own_wire(server) as wire:
        if info_field(wire, "replication", "role") != "slave":
            return False
        fields = [info_field(wire, "replication", name) for name in ("master_port", "master_link_status")]
        return fields == [str(primary.port), "up"]
    return False


def test_a_sentinel_has_a_replica_take_over_and_the_old_primary_follow_it(reference_name: str, tmp_path: Path) -> None:
    reference = need_reference(reference_name)
    assert reference is not None
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Server(directives=protected))
        of_first = {**protected, "replicaof": f"127.0.0.1 {first.port}"}
        others = [stack.enter_context(Server(directives=of_first)) for _ in range(2)]
        with own_wire(first) as wire:
            assert wire.call("SET", "k", "before").raw == b"+OK\r\n"
            assert wire.value("WAIT", 2, 20000) == 2
        asked = stack.enter_context(sentinel(reference.command[0], tmp_path, first.port))
        eventually(lambda: len(asked.value("SENTINEL", "REPLICAS", group)) == 2, "both replicas were found")
        assert asked.value("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group) == [b"127.0.0.1", b"%d" % first.port]

        assert first.process is not None
        first.process.kill()
        first.process.wait()
        by_port = {b"%d" % server.port: server for server in others}
        eventually(
            lambda: asked.value("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)[1] in by_port, "a replica was chosen"
        )
        chosen = by_port.pop(asked.value("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)[1])
        (other,) = by_port.values()
        eventually(lambda: follows(other, chosen), "the other replica follows it")
        with own_wire(chosen) as wire:
            assert wire.value("GET", "k") == b"before"
            assert wire.call("SET", "k", "after").raw == b"+OK\r\n"

        # A server that a busy machine had answer late now and then would be told to follow only after eight calm seconds.
        assert asked.call("SENTINEL", "SET", group, "down-after-milliseconds", "30000").raw == b"+OK\r\n"
        back = stack.enter_context(Server(directives={**protected, "port": str(first.port)}))
        eventually(lambda: follows(back, chosen), "the old primary follows it as well", seconds=120)
        with own_wire(back) as wire:
            eventually(lambda: wire.value("GET", "k") == b"after", "it has what was written since")
