"""maxmemory-clients: the largest clients are closed when the buffers of all of them take too much."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.wire import Wire

MEBIBYTE = 1024 * 1024
wait_seconds_max = 60.0


def _stat(wire: Wire, section: str, name: str) -> int:
    text: bytes = wire.value("INFO", section)
    found = re.search(rb"%s:(\d+)" % name.encode(), text)
    assert found, name
    return int(found[1])


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + wait_seconds_max
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _fill(wire: Wire, size: int) -> None:
    """Sends all of a command but its last bytes, so that the server keeps `size` bytes of it."""
    wire.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (size + 1) + b"x" * size)


def _unfinished(admin: Wire) -> int:
    """Bytes of all requests that have not come to their ends."""
    return sum(map(int, re.findall(rb" qbuf=(\d+)", admin.value("CLIENT", "LIST"))))


def _memory(admin: Wire) -> dict[bytes, int]:
    """What each client takes, by its id, in the order of their coming."""
    lines = re.findall(rb"^id=(\d+) .* tot-mem=(\d+) ", admin.value("CLIENT", "LIST"), re.MULTILINE)
    return {identity: int(size) for identity, size in lines}


def _is_closed(wire: Wire) -> bool:
    try:
        wire.read_until_closed()
    except (TimeoutError, ConnectionClosed, OSError):
        return False
    return True


def test_the_largest_clients_are_closed_until_the_rest_fits() -> None:
    """In one thread, whose view of its clients is of one moment; the smaller ones and the one that asks stay."""
    with Server(shape=Shape(io_threads=1)) as server, server.wire() as admin, ExitStack() as stack:
        clients = [stack.enter_context(server.wire()) for _ in range(4)]
        for number, client in enumerate(clients, start=1):
            _fill(client, number * 2 * MEBIBYTE)
        _await(lambda: _unfinished(admin) >= 20 * MEBIBYTE, "the buffers are filled")

        def is_accounted() -> bool:
            _, *sizes = _memory(admin).values()
            return all(size >= number * 2 * MEBIBYTE for number, size in enumerate(sizes, start=1))

        # Without a limit, what a client takes is looked at only at its thread's next tick.
        _await(is_accounted, "the buffers are accounted for")
        assert _stat(admin, "stats", "evicted_clients") == 0
        # How much room a buffer has beyond what is in it is nobody's business.
        identities = dict(zip(_memory(admin), [None, *clients], strict=True))
        by_size = sorted(_memory(admin).items(), key=lambda item: item[1])
        limit = sum(size for _, size in by_size[:-2]) + MEBIBYTE
        assert admin.call("CONFIG", "SET", "maxmemory-clients", str(limit)).raw == b"+OK\r\n"
        for identity, _ in by_size[-2:]:
            client = identities[identity]
            assert client is not None
            assert _is_closed(client)
        _await(lambda: _stat(admin, "clients", "connected_clients") == 3, "both are gone")
        _await(lambda: _stat(admin, "memory", "mem_clients_normal") <= limit, "their memory is given back")
        assert _stat(admin, "stats", "evicted_clients") == 2
        assert admin.call("CONFIG", "RESETSTAT").raw == b"+OK\r\n"
        assert _stat(admin, "stats", "evicted_clients") == 0


def test_a_client_that_asks_not_to_be_evicted_stays() -> None:
    """It counts all the same: others go in its place."""
    with (
        Server(directives={"maxmemory-clients": "8mb"}) as server,
        server.wire() as admin,
        server.wire() as kept,
        server.wire() as other,
    ):
        admin.call("CLIENT", "NO-EVICT", "ON")
        assert kept.call("CLIENT", "NO-EVICT", "ON").raw == b"+OK\r\n"
        _fill(kept, 12 * MEBIBYTE)
        _await(lambda: _stat(admin, "memory", "mem_clients_normal") >= 12 * MEBIBYTE, "the buffer is filled")
        assert _is_closed(other)
        kept.send(b"x\r\n")
        assert len(kept.read().value) == 12 * MEBIBYTE + 1


@pytest.mark.parametrize("kind", ["output", "transaction", "short commands", "watched keys", "name", "query"])
def test_every_kind_of_buffer_counts(kind: str) -> None:
    """Replies that are not read, queued commands, watched keys, names, and a request that has not come to its end."""
    with Server(directives={"maxmemory-clients": "5mb"}) as server, server.wire() as admin, server.wire() as client:
        admin.call("CLIENT", "NO-EVICT", "ON")
        admin.call("SET", "large", b"x" * MEBIBYTE)
        with pytest.raises((ConnectionClosed, OSError)):
            if kind == "query":
                _fill(client, 8 * MEBIBYTE)
            elif kind == "transaction":
                client.call("MULTI")
                for _ in range(100):
                    client.call("ECHO", b"x" * 500_000)
            elif kind == "short commands":
                client.call("MULTI")
                client.pipeline([("SET", "key", "value")] * 60_000)
            elif kind == "watched keys":
                for start in range(0, 60_000, 1000):
                    client.call("WATCH", *[f"key:{number}" for number in range(start, start + 1000)])
            elif kind == "name":
                client.call("CLIENT", "SETNAME", b"n" * (8 * MEBIBYTE))
            else:
                client.send(encode_command("GET", "large") * 200)
            _await(lambda: _stat(admin, "stats", "evicted_clients") == 1, "it is evicted")
            while True:
                client.read()
        assert _stat(admin, "stats", "evicted_clients") == 1


def test_a_share_of_the_memory_limit_follows_it() -> None:
    """Without a memory limit there is none; a limit that would shut out everybody is not taken at its word."""
    with Server(directives={"maxmemory-clients": "5%"}) as server, server.wire() as admin, server.wire() as client:
        assert admin.value("CONFIG", "GET", "maxmemory-clients") == [b"maxmemory-clients", b"5%"]
        _fill(client, 8 * MEBIBYTE)
        _await(lambda: _stat(admin, "memory", "mem_clients_normal") >= 8 * MEBIBYTE, "the buffer is filled")
        assert _stat(admin, "stats", "evicted_clients") == 0
        assert admin.call("CONFIG", "SET", "maxmemory", "100mb").raw == b"+OK\r\n"
        assert _is_closed(client)
        assert admin.call("CONFIG", "SET", "maxmemory-clients", "1").raw == b"+OK\r\n"
        assert admin.call("PING").raw == b"+PONG\r\n"
        assert _stat(admin, "stats", "evicted_clients") == 1


def test_the_places_of_many_arguments_are_their_clients_memory_and_go_with_the_answer() -> None:
    """As the bytes of the request, which are fewer where arguments are short. One that is not there whole has them too."""
    count = 200_000
    with Server() as server, server.wire() as wire, server.wire() as admin:
        before = _stat(admin, "memory", "used_memory")
        assert wire.call("DEL", *["a"] * count).raw == b":0\r\n"
        _await(lambda: _stat(admin, "memory", "used_memory") < before + MEBIBYTE, "their memory is given back")
        wire.send(b"*%d\r\n$3\r\nDEL\r\n" % (count + 1) + b"$1\r\na\r\n" * (count - 1))
        _await(lambda: _stat(admin, "memory", "mem_clients_normal") > count * (7 + 16), "their memory is counted")
        wire.send(b"$1\r\na\r\n")
        assert wire.read().raw == b":0\r\n"
        _await(lambda: _stat(admin, "memory", "mem_clients_normal") < MEBIBYTE, "none is counted any more")


@pytest.mark.parametrize("kind", ["queued commands", "watched keys"])
def test_what_a_client_takes_is_told_as_it_is(kind: str) -> None:
    """Near what the memory of the server has grown by; nothing is left of it when it is given up."""
    with Server() as server, server.wire() as admin, server.wire() as client:
        identity = client.value("CLIENT", "ID")
        before, used = _told(admin, identity), _stat(admin, "memory", "used_memory")
        if kind == "queued commands":
            client.call("MULTI")
            client.pipeline([("SET", f"key:{number}", "value") for number in range(40_000)])
        else:
            for start in range(0, 40_000, 1000):
                client.call("WATCH", *[f"key:{number}" for number in range(start, start + 1000)])

        def is_near() -> bool:
            told, grown = _told(admin, identity) - before, _stat(admin, "memory", "used_memory") - used
            return told > 4 * MEBIBYTE and 0.7 < told / grown < 1.3

        # What is told is looked at from time to time.
        _await(is_near, "it is told as it is")
        assert client.call("RESET").raw == b"+RESET\r\n"
        _await(lambda: _told(admin, identity) < before + MEBIBYTE, "it is given up")


def _told(admin: Wire, identity: int) -> int:
    found = re.search(rb"^id=%d .* tot-mem=(\d+) " % identity, admin.value("CLIENT", "LIST"), re.MULTILINE)
    assert found
    return int(found[1])
