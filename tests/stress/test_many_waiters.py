"""Many clients that wait for one key, and one client that waits for many.

One XADD that woke 9,000 readers of one IO thread once hung the server for ever: the thread waited for room in the mailbox
that only it empties. Commands that wait for many keys, or leave them, took time in the square of their number.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import eventually
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program
from tests.support.wire import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Wire

waiters_wanted = int(os.environ.get("STRESS_WAITERS", "10000"))
keys_wanted = 50_000


@pytest.fixture
def descriptors() -> Iterator[int]:
    """As many sockets as are wanted, or as the machine allows; the server needs as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, waiters_wanted + 500), max(hard, waiters_wanted + 500)))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300
    yield min(waiters_wanted, allowed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@contextlib.contextmanager
def crowd(server: Server, count: int, request: bytes) -> Iterator[list[socket.socket]]:
    """So many clients that have all begun to wait."""
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            client = connect(server.address, 60)
            client.sendall(request)
            clients.append(client)
        with server.wire(timeout_seconds=60) as wire:
            eventually(lambda: blocked(wire) == count, f"{count} clients wait")
        yield clients
    finally:
        for client in clients:
            client.close()


def blocked(wire: Wire) -> int:
    """Clients that wait."""
    info: bytes = wire.value("INFO", "clients")
    return int(info.split(b"blocked_clients:")[1].split()[0])


def big_server(shards: int, io_threads: int, count: int) -> Server:
    """A server that takes so many clients."""
    shape = Shape(shards=shards, io_threads=io_threads)
    return Server(sherd_program(), shape=shape, directives={"maxclients": str(count + 200)})


@pytest.mark.parametrize(("shards", "io_threads"), [(1, 1), (1, 2), (4, 2)])
@pytest.mark.parametrize("monitored", [False, True], ids=["", "monitored"])
def test_one_entry_wakes_every_reader(descriptors: int, shards: int, io_threads: int, monitored: bool) -> None:
    """Whatever one thread's mailbox holds; a monitor's lines come on top."""
    with (
        big_server(shards, io_threads, descriptors) as server,
        crowd(server, descriptors, encode_command("XREAD", "BLOCK", "0", "STREAMS", "a", "b", "$", "$")) as clients,
        server.wire(timeout_seconds=60) as monitor,
        server.wire(timeout_seconds=60) as wire,
    ):
        if monitored:
            assert monitor.call("MONITOR").raw == b"+OK\r\n"
        wire.value("XADD", "b", "1-1", "field", "value")
        expected = b"*1\r\n*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$5\r\nfield\r\n$5\r\nvalue\r\n"
        for client in clients:
            received = b""
            while len(received) < len(expected):
                part = client.recv(1000)
                assert part, "the connection was closed"
                received += part
            assert received == expected
        eventually(lambda: blocked(wire) == 0, "nobody waits")
        assert server.signal_and_wait(signal.SIGTERM) == 0


def test_a_server_with_a_crowd_of_waiters_stops_when_told(descriptors: int) -> None:
    """SIGTERM while everybody waits."""
    with (
        big_server(2, 2, descriptors) as server,
        crowd(server, descriptors, encode_command("BLPOP", "a", "b", "c", "0")),
    ):
        assert server.signal_and_wait(signal.SIGTERM) == 0


@pytest.mark.parametrize("shards", [1, 4])
def test_waiting_for_many_keys_and_leaving_them_holds_up_nobody(shards: int) -> None:
    """Commands with 50,000 keys that once took seconds each: each is answered within the bound of a read."""
    keys = [f"key:{i}" for i in range(keys_wanted)]
    values = [word for key in keys for word in (key, "x")]
    with Server(sherd_program(), shape=Shape(shards=shards, io_threads=2)) as server, server.wire() as wire:
        for ending in ("close", "timeout", "unblock", "served"):
            with server.wire() as waiter:
                identity = waiter.value("CLIENT", "ID")
                waiter.write("BLPOP", *keys, "0.5" if ending == "timeout" else "0")
                if ending != "timeout":
                    eventually(lambda: blocked(wire) == 1, "the client waits")
                if ending == "unblock":
                    assert wire.value("CLIENT", "UNBLOCK", identity) == 1
                if ending == "served":
                    assert wire.call("MSET", *values).raw == b"+OK\r\n"
                    assert wire.value("DEL", *keys) == keys_wanted
                    wire.call("RPUSH", keys[-1], "element")
                    assert waiter.read().value == [keys[-1].encode(), b"element"]
                elif ending != "close":
                    assert waiter.read().value is None
            eventually(lambda: blocked(wire) == 0, "nobody waits")
        assert b"total_blocking_keys:0" in wire.value("INFO", "clients")


@pytest.mark.parametrize("shards", [1, 4])
def test_many_keys_that_become_ready_at_once_hold_up_nobody(shards: int) -> None:
    """SWAPDB and EXEC over keys that are waited for."""
    keys = [f"key:{i}" for i in range(keys_wanted)]
    shape = Shape(shards=shards, io_threads=2)
    with Server(sherd_program(), shape=shape) as server, server.wire() as wire, server.wire() as waiter:
        waiter.write("BLPOP", *keys, "0")
        eventually(lambda: blocked(wire) == 1, "the client waits")
        for _ in range(4):
            wire.call("SWAPDB", "0", "1")
        wire.call("MULTI")
        wire.pipeline([("SET", key, "x") for key in keys])
        assert len(wire.value("EXEC")) == keys_wanted
        assert wire.call("FLUSHALL").raw == b"+OK\r\n"
        wire.call("RPUSH", "key:7", "element")
        assert waiter.read().value == [b"key:7", b"element"]


@pytest.mark.parametrize("shards", [1, 4])
def test_watching_many_keys_holds_up_nobody(shards: int) -> None:
    """WATCH of 50,000 keys, twice, and what it is for."""
    keys = [f"key:{i}" for i in range(keys_wanted)]
    with Server(sherd_program(), shape=Shape(shards=shards, io_threads=2)) as server, server.wire() as wire:
        assert wire.pipeline([("WATCH", *keys), ("WATCH", *keys)])[1].raw == b"+OK\r\n"
        with server.wire() as other:
            other.call("SET", keys[-1], "x")
        assert [reply.raw for reply in wire.pipeline([("MULTI",), ("PING",), ("EXEC",)])][2] == b"*-1\r\n"
