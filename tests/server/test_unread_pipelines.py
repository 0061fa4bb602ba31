"""Pipelines that ask for more than their clients read: what lies in memory for them, what is executed, and in which order they are answered."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server import extension_under_test
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.resp import Argument
    from tests.support.wire import Wire

mebibyte = 1 << 20
wait_seconds_max = 60.0
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=2)]
extension = str(Path(extension_under_test.__file__))
value = b"x" * 200_000
keys = [f"key:{number}" for number in range(8)]


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards")
def several(request: pytest.FixtureRequest) -> Shape:
    """One shard, and some."""
    shape: Shape = request.param
    return shape


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + wait_seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.02)


def _encoded(*commands: tuple[Argument, ...]) -> bytes:
    return b"".join(encode_command(*command) for command in commands)


def _gets(count: int) -> bytes:
    return b"".join(encode_command("GET", keys[number % len(keys)]) for number in range(count))


# Each asks for a hundred megabytes.
greedy_pipelines = {
    "GET": _gets(500),
    "GET and PING": _encoded(("GET", keys[0]), ("PING",)) * 500,
    "MGET": _encoded(("MGET", *keys[:4])) * 125,
    "LRANGE": _encoded(("LRANGE", "list", "0", "-1")) * 500,
    "KEYS": _encoded(("KEYS", "long:*")) * 500,
    "EVAL": _encoded(("EVAL", "return redis.call('GET', KEYS[1])", "1", keys[0])) * 500,
    "small transactions": _encoded(("MULTI",), ("GET", keys[0]), ("GET", keys[1]), ("EXEC",)) * 250,
    "one transaction": _encoded(("MULTI",)) + _gets(500) + _encoded(("EXEC",)),
    "one transaction of both planes": _encoded(("MULTI",), ("CONFIG", "GET", "port"))
    + _gets(500)
    + _encoded(("EXEC",)),
    "ECHO": _encoded(("ECHO", value)) * 500,
}


@pytest.mark.parametrize("pipeline", greedy_pipelines.values(), ids=greedy_pipelines)
def test_what_a_client_leaves_unread_stays_near_its_limit(several: Shape, pipeline: bytes) -> None:
    """A client that is cut has not more waiting for it than the limit and what a few commands have answered, however much it asks for at once."""
    directives = {"client-output-buffer-limit": f"normal {4 * mebibyte} 0 0"}
    with Server(shape=several, directives=directives) as server, server.wire() as other:
        for key in keys:
            other.call("SET", key, value)
        other.call("RPUSH", "list", *[b"y" * 1000] * 200)
        other.call("MSET", *[word for number in range(100) for word in (f"long:{number}:".ljust(2000, "z"), "v")])
        with server.wire() as greedy:
            sender = threading.Thread(target=_send, args=(greedy, pipeline))
            sender.start()
            _await(lambda: _unread_at_the_cut(server) > 0, "the client was cut")
            sender.join()
        assert 4 * mebibyte < _unread_at_the_cut(server) < 16 * mebibyte
        assert other.call("PING").raw == b"+PONG\r\n"


def _unread_at_the_cut(server: Server) -> int:
    cut = re.search(r"cut at its output buffer limit.* bytes=(\d+)", server.log())
    return int(cut[1]) if cut else 0


def _send(wire: Wire, pipeline: bytes) -> None:
    with contextlib.suppress(OSError):
        wire.send(pipeline)


def _mixed_commands(source: random.Random) -> Iterator[tuple[Argument, ...]]:
    """Commands with long and short answers for one shard, several, or none, whose order can be told from their answers."""
    for number in range(600):
        key = source.choice(keys)
        yield source.choice(
            [
                ("GET", key),
                ("GET", key),
                ("GET", key),
                ("MGET", *source.sample(keys, 3)),
                ("APPEND", key, str(number)),
                ("LRANGE", "list", "0", "-1"),
                ("PING", str(number)),
                ("SELECT", str(source.randrange(2))),
                ("INCR", f"count:{key}"),
                ("LPUSH", f"queue:{key}", str(number)),
                ("BLPOP", f"queue:{key}", "0.001"),
                ("HELLO", str(source.choice([2, 3]))),
                ("EVAL", "return redis.call('GET', KEYS[1])", "1", key),
                ("NOSUCH", str(number)),
            ]
        )
        if source.random() < 0.05:
            yield from [("MULTI",), ("GET", key), ("INCR", "n"), ("EXEC",)]


def _fill(wire: Wire) -> None:
    wire.call("FLUSHALL")
    for db in ("1", "0"):
        wire.call("SELECT", db)
        for number, key in enumerate(keys):
            wire.call("SET", key, str(number) * 300_000)
        wire.call("RPUSH", "list", *[b"y" * 100] * 2000)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_pipeline_is_answered_as_its_commands_one_by_one(several: Shape, seed: int) -> None:
    """In the order of the requests, each once, whatever of it had to wait until something was sent."""
    commands = list(_mixed_commands(random.Random(seed)))
    with Server(shape=several) as server:
        with server.wire() as wire:
            _fill(wire)
            expected = [_without_identity(wire.call(*command).raw) for command in commands]
        with server.wire() as wire:
            _fill(wire)
            sender = threading.Thread(target=wire.send, args=(_encoded(*commands),))
            sender.start()
            for command, reply in zip(commands, expected, strict=True):
                assert _without_identity(wire.read().raw) == reply, command[:2]
            sender.join()


def _without_identity(raw: bytes) -> bytes:
    return re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1", raw)


def test_invalidations_that_wait_for_an_answer_count_for_the_limit(several: Shape) -> None:
    """A client that waits for long is told behind its answer, and has not more waiting for it than others may."""
    directives = {"client-output-buffer-limit": f"normal {mebibyte} 0 0"}
    with Server(shape=several, directives=directives) as server, server.wire() as other:
        with server.wire(protocol=3) as waiting:
            waiting.call("CLIENT", "TRACKING", "ON", "BCAST")
            waiting.write("WAIT", "1", "0")
            _await(lambda: b" cmd=wait " in other.value("CLIENT", "LIST"), "it waits")
            for number in range(40):
                other.call("SET", f"{number}:".ljust(100_000, "n"), "v")
            _await(lambda: _unread_at_the_cut(server) > 0, "the client was cut")
        assert mebibyte < _unread_at_the_cut(server) < 3 * mebibyte


class Unread:
    """A client without a limit that has asked for far more than the server keeps for it, and reads nothing until it is told to."""

    def __init__(self, server: Server, user: str = "default", behind: bytes = b"") -> None:
        self.count = 600
        self.server = server
        self.wire = server.wire(timeout_seconds=wait_seconds_max)
        self.wire.call("AUTH", user, "")
        self.identity = self.wire.value("CLIENT", "ID")
        self.wire.send(encode_command("GET", "big") * self.count + behind)

    def await_parked(self, admin: Wire) -> int:
        """Waits until the server has stopped executing for it; how many commands it has executed."""
        _await(lambda: self._executed(admin) > 1 and self._unread(admin) >= 256 * mebibyte, "much is unread")
        executed = self._executed(admin)
        admin.call("PING")
        return executed

    def _line(self, admin: Wire) -> bytes:
        found = re.search(rb"^id=%d .*$" % self.identity, admin.value("CLIENT", "LIST"), re.MULTILINE)
        return found[0] if found else b""

    def is_connected(self, admin: Wire) -> bool:
        """Whether the server has it still."""
        return self._line(admin) != b""

    def _executed(self, admin: Wire) -> int:
        found = re.search(rb" tot-cmds=(\d+)", self._line(admin))
        return int(found[1]) if found else 0

    def _unread(self, admin: Wire) -> int:
        found = re.search(rb" omem=(\d+)", self._line(admin))
        return int(found[1]) if found else 0


@pytest.fixture
def parking(several: Shape) -> Iterator[tuple[Server, Wire]]:
    """A server with a big value, and an administrator's connection."""
    with Server(shape=several) as server, server.wire() as admin:
        admin.call("SET", "big", b"x" * mebibyte)
        yield server, admin


def test_a_client_without_a_limit_is_executed_for_when_it_reads(parking: tuple[Server, Wire]) -> None:
    """No more is executed than it leaves unread; when it reads, everything is answered."""
    server, admin = parking
    unread = Unread(server, behind=encode_command("PING", "the end"))
    with unread.wire as wire:
        # What the sockets hold, and a megabyte more for each of the pieces, is not much beside that.
        assert unread.await_parked(admin) < 256 + 40
        for _ in range(unread.count):
            assert len(wire.read().raw) == mebibyte + len("$1048576\r\n\r\n")
        assert wire.read().value == b"the end"


def test_commands_in_python_are_executed_when_their_client_reads(several: Shape) -> None:
    """Those that were taken together as well; when it reads, everything is answered, in its order."""
    large, count = 8, 100
    with (
        Server(shape=several, directives={"python-commands": extension}) as server,
        server.wire() as admin,
        server.wire(timeout_seconds=wait_seconds_max) as wire,
    ):
        admin.call("SET", "big", b"x" * mebibyte)
        commands = [("TEST.REPEATED", "big", large), ("RATE.LIMIT", "counted", 1000, 1000)] * count
        wire.send(_encoded(*commands, ("PING", "the end")))
        _await(lambda: _largest_unread(admin) >= 256 * mebibyte, "much is unread")
        time.sleep(0.2)
        assert int(admin.value("GET", "counted")) < 256 // large + 10
        for _ in range(count):
            assert len(wire.read().value) == large
            assert wire.read().value == 1
        assert wire.read().value == b"the end"
        assert int(admin.value("GET", "counted")) == count


def _largest_unread(admin: Wire) -> int:
    return max(map(int, re.findall(rb" omem=(\d+)", admin.value("CLIENT", "LIST"))))


def test_what_waits_for_its_client_to_read_is_paused_as_well(parking: tuple[Server, Wire]) -> None:
    """CLIENT PAUSE does not wait for it, and it waits for the end of the pause."""
    server, admin = parking
    unread = Unread(server, behind=encode_command("SET", "written", "1"))
    with unread.wire as wire:
        unread.await_parked(admin)
        assert admin.call("CLIENT", "PAUSE", "1000000", "WRITE").raw == b"+OK\r\n"
        for _ in range(unread.count):
            wire.read()
        _await(lambda: b" cmd=set " in unread._line(admin), "the write has been held back")
        assert admin.value("EXISTS", "written") == 0
        admin.call("CLIENT", "UNPAUSE")
        assert wire.read().raw == b"+OK\r\n"
        assert admin.value("EXISTS", "written") == 1


def test_what_waits_for_its_client_to_read_has_the_rights_of_the_moment(parking: tuple[Server, Wire]) -> None:
    """Commands that its user may not execute any more are refused in their places."""
    server, admin = parking
    admin.call("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all")
    unread = Unread(server, user="reader", behind=encode_command("PING"))
    with unread.wire as wire:
        unread.await_parked(admin)
        admin.call("ACL", "SETUSER", "reader", "-get")
        replies = [wire.read().raw[:8] for _ in range(unread.count)]
        refused = replies.index(b"-NOPERM ")
        assert set(replies[:refused]) == {b"$1048576"}
        assert set(replies[refused:]) == {b"-NOPERM "}
        assert refused < 256 + 40
        assert wire.read().raw == b"+PONG\r\n"


def test_a_client_for_which_commands_wait_can_be_killed(parking: tuple[Server, Wire]) -> None:
    """What was not executed is forgotten."""
    server, admin = parking
    unread = Unread(server, behind=encode_command("SET", "written", "1"))
    with unread.wire:
        unread.await_parked(admin)
        assert admin.value("CLIENT", "KILL", "ID", str(unread.identity)) == 1
        _await(lambda: not unread.is_connected(admin), "it has gone")
        assert admin.value("EXISTS", "written") == 0


def test_who_has_not_authenticated_may_leave_little_unread(several: Shape) -> None:
    """Anybody may be that, as often as there are connections; who reads what is answered is not cut."""
    with (
        Server(shape=several, directives={"requirepass": "secret"}) as server,
        server.wire() as reader,
        server.wire() as greedy,
    ):
        for _ in range(20):
            assert all(reply.is_error for reply in reader.pipeline([("GET", "key")] * 100))
        sender = threading.Thread(target=_send, args=(greedy, _encoded(("GET", "key")) * 1_000_000))
        sender.start()
        _await(lambda: _unread_at_the_cut(server) > 0, "the client was cut")
        sender.join()
        assert _unread_at_the_cut(server) < 4 * mebibyte
        assert reader.call("AUTH", "secret").raw == b"+OK\r\n"
        reader.call("SET", "key", value)
        assert len(reader.pipeline([("GET", "key")] * 20)) == 20
