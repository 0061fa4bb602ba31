"""What CONFIG SET changes is in force when it is answered, all of it at once, and nothing of it when it is refused."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import eventually
from tests.support.servers import Server, Shape, free_port
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

tries = 200
shape = Shape(shards=4, io_threads=4)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own, as its configuration changes."""
    with Server(shape=shape) as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[Wire]:
    """Who changes settings."""
    with server.wire() as wire:
        yield wire


def _set(admin: Wire, *words: str) -> None:
    assert admin.call("CONFIG", "SET", *words).raw == b"+OK\r\n"


def _stat(admin: Wire, name: str) -> int:
    lines = admin.value("INFO", "stats").decode().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2])


@contextlib.contextmanager
def writers(server: Server, refusals: list[bytes]) -> Iterator[None]:
    """Clients that write all the time, in pipelines, and note by what they were refused."""
    is_over = threading.Event()

    def write(name: str) -> None:
        with server.wire() as wire:
            while not is_over.is_set():
                replies = wire.pipeline([("SET", f"{name}:{number}", "value" * 20) for number in range(50)])
                refusals.extend(reply.raw for reply in replies if reply.is_error)

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(shape.io_threads)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_no_limit_of_memory_is_kept_by_the_policy_of_another_one(server: Server, admin: Wire) -> None:
    """A limit that evicts nothing and a policy that evicts at a limit that is far away: 20000 keys used to go."""
    admin.pipeline([("SET", f"kept:{number}", "value" * 20) for number in range(20_000)])
    with writers(server, []):
        for _ in range(tries):
            _set(admin, "maxmemory", "1mb", "maxmemory-policy", "noeviction")
            _set(admin, "maxmemory-policy", "allkeys-lru", "maxmemory", "100gb")
    assert _stat(admin, "evicted_keys") == 0


def test_no_number_of_replicas_is_asked_for_with_the_lag_of_another_rule(server: Server, admin: Wire) -> None:
    """A lag of 0 asks for no replica, and neither does a number of 0."""
    refusals: list[bytes] = []
    with writers(server, refusals):
        for _ in range(tries):
            _set(admin, "min-replicas-to-write", "1", "min-replicas-max-lag", "0")
            _set(admin, "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
    assert refusals == []


def test_a_write_behind_the_answer_is_on_disk_when_it_is_answered(server: Server, admin: Wire) -> None:
    """Of 200 writes behind `appendfsync always`, 198 were answered before the file had them."""
    _set(admin, "appendonly", "yes", "appendfsync", "no")
    eventually(lambda: b"aof_rewrite_in_progress:0" in admin.value("INFO", "persistence"), "the file has begun")
    files = list((server.directory / "appendonlydir").glob("*.incr.aof"))
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(server.wire()) for _ in range(shape.io_threads)]
        for number in range(tries):
            _set(admin, "appendfsync", "no")
            admin.call("SET", "other", "value")
            _set(admin, "appendfsync", "always")
            value = f"value-{number}-"
            assert others[number % len(others)].call("SET", "key", value).raw == b"+OK\r\n"
            assert any(value.encode() in file.read_bytes() for file in files)


def _refuse(server: Server, admin: Wire, *words: str) -> None:
    # There is a file where the folder of append-only files would be.
    (server.directory / "appendonlydir").touch()
    assert admin.call("CONFIG", "SET", *words, "appendonly", "yes").is_error


def test_nothing_of_what_is_refused_was_in_force(server: Server, admin: Wire) -> None:
    """Keys used to be evicted for a limit of memory that was taken back at once."""
    admin.pipeline([("SET", f"kept:{number}", "value" * 20) for number in range(20_000)])
    with writers(server, refusals := []):
        for _ in range(20):
            _refuse(server, admin, "maxmemory", "1mb", "maxmemory-policy", "allkeys-lru")
            _refuse(server, admin, "maxmemory", "1mb")
            _refuse(server, admin, "min-replicas-to-write", "1")
    assert (_stat(admin, "evicted_keys"), refusals) == (0, [])


def test_a_password_that_is_refused_leaves_the_default_user_as_it_was(server: Server, admin: Wire) -> None:
    """It was made anew from the password before, which ACL SETUSER had changed: a server without `requirepass` was open."""
    assert admin.call("ACL", "SETUSER", "default", "resetpass", ">secret").raw == b"+OK\r\n"
    before = admin.value("ACL", "LIST")
    _refuse(server, admin, "requirepass", "other")
    assert admin.value("ACL", "LIST") == before
    with server.wire() as wire:
        assert wire.call("PING").raw == b"-NOAUTH Authentication required.\r\n"


def test_who_comes_by_a_new_port_needs_the_password_that_was_set_with_it(server: Server, admin: Wire) -> None:
    """And nobody comes by the old one behind the answer."""
    host, before = server.address
    port = free_port()
    answers: list[bytes] = []
    is_over, knocking = threading.Event(), threading.Lock()

    def knock() -> None:
        while not is_over.is_set():
            with knocking, contextlib.suppress(OSError), Wire((host, port)) as wire:
                answers.append(wire.call("PING").raw)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        for _ in range(20):
            _set(admin, "port", str(port), "requirepass", "secret")
            with pytest.raises(OSError):
                Wire((host, before))
            _set(admin, "port", str(before))
            with knocking:
                _set(admin, "requirepass", "")
    finally:
        is_over.set()
        thread.join()
    assert set(answers) == {b"-NOAUTH Authentication required.\r\n"}
