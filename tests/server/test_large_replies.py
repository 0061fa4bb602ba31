"""Replies of many megabytes: what they take while they wait to be read, and what is left of those that are more than a client may have."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server import extension_under_test
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.resp import Argument
    from tests.support.wire import Wire

mebibyte = 1 << 20
limit_bytes = 4 * mebibyte
wait_seconds_max = 120.0
extension = str(Path(extension_under_test.__file__))
value = b"x" * mebibyte
count = 120
# In the shard of the list: what goes to others may be executed before.
executed = "{list}:executed"
keys = [f"key:{number % 3}" for number in range(count)]


def _encoded(*commands: tuple[Argument, ...]) -> bytes:
    return b"".join(encode_command(*command) for command in commands)


# Each is answered with so many megabytes, and leaves nothing else that large.
requests = {
    "MGET": _encoded(("MGET", *keys)),
    "LRANGE": _encoded(("LRANGE", "list", "0", "-1")),
    "LRANGE behind others": _encoded(("GET", "short:1"), ("GET", "short:2"), ("LRANGE", "list", "0", "-1"), ("PING",)),
    "a transaction": _encoded(("MULTI",), *[("GET", key) for key in keys], ("EXEC",)),
    "a transaction of one command": _encoded(("MULTI",), ("MGET", *keys), ("EXEC",)),
    "a transaction of both planes": _encoded(("MULTI",), ("CONFIG", "GET", "port"), ("MGET", *keys), ("EXEC",)),
    "EVAL": _encoded(
        (
            "EVAL",
            "local all, one = {}, redis.call('GET', KEYS[1]) for i = 1, 120 do all[i] = one end return all",
            1,
            "key:0",
        )
    ),
    "a command in Python": _encoded(("TEST.REPEATED", "key:0", count)),
}

# Its answer waits, and is put together.
paused = _encoded(("MULTI",), ("CLIENT", "PAUSE", 1), ("MGET", *keys), ("EXEC",))


@pytest.fixture(scope="module", params=[1, 4], ids=["1-shard", "4-shards"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with a list of so many megabytes, and three strings of one."""
    shape = Shape(shards=request.param, io_threads=2)
    with Server(shape=shape, directives={"python-commands": extension}) as running, running.wire() as wire:
        for number in range(3):
            wire.call("SET", f"key:{number}", value)
            wire.call("SET", f"short:{number}", "short")
        for _ in range(count):
            wire.call("RPUSH", "list", *[b"y" * 1024] * 1024)
        yield running


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + wait_seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.02)


def _resident(server: Server, row: str) -> int:
    text = Path(f"/proc/{server.pid}/status").read_text()
    return int(text.partition(f"{row}:")[2].split()[0]) * 1024


def _begin_to_measure(server: Server) -> int:
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    return _resident(server, "VmRSS")


def _unread(other: Wire) -> int:
    return max(map(int, re.findall(rb" omem=(\d+)", other.value("CLIENT", "LIST"))))


@pytest.mark.parametrize("request_bytes", requests.values(), ids=requests)
def test_a_large_reply_takes_its_memory_once(server: Server, request_bytes: bytes) -> None:
    """While it is made and while it waits; and hardly any when its client has gone."""
    with server.wire() as other:
        before = _begin_to_measure(server)
        with server.wire() as greedy:
            greedy.send(request_bytes)
            _await(lambda: _unread(other) > count * mebibyte * 0.9, "the reply was made")
            assert _resident(server, "VmHWM") - before < count * mebibyte * 1.4
        _await(lambda: _resident(server, "VmRSS") - before < count * mebibyte / 2, "its memory was given back")


@pytest.mark.parametrize(
    "request_bytes", [*requests.values(), paused], ids=[*requests, "a transaction with CLIENT PAUSE"]
)
@pytest.mark.parametrize("listens", [False, True], ids=["normal", "pubsub"])
def test_a_reply_that_is_more_than_the_limit_is_not_made(server: Server, request_bytes: bytes, listens: bool) -> None:
    """Its client is cut, has got nothing of what was behind it, and nothing of that was executed."""
    limits = f"normal {0 if listens else limit_bytes} 0 0 pubsub {limit_bytes if listens else 0} 0 0"
    with server.wire() as other:
        other.call("CONFIG", "SET", "client-output-buffer-limit", limits)
        try:
            before = _begin_to_measure(server)
            with server.wire(protocol=3) as greedy:
                if listens:
                    greedy.call("SUBSCRIBE", "channel")
                greedy.send(request_bytes + _encoded(("SET", executed, "yes"), ("GET", executed)))
                with pytest.raises((ConnectionClosed, OSError)):
                    _read_all(greedy)
            assert _resident(server, "VmHWM") - before < 24 * mebibyte
            assert other.call("GET", executed).raw == b"$-1\r\n"
        finally:
            other.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0 pubsub 33554432 8388608 60")


def test_what_all_shards_answer_is_one_reply(server: Server) -> None:
    """KEYS of several shards, none of which has more than the limit by itself."""
    names = [b"%d" % number + b"n" * 10_000 for number in range(1400)]
    with server.wire() as other:
        other.call("SELECT", 1)
        other.pipeline([("SET", name, "1") for name in names])
        other.call("CONFIG", "SET", "client-output-buffer-limit", f"normal {limit_bytes} 0 0")
        try:
            before = _begin_to_measure(server)
            with server.wire() as greedy:
                greedy.call("SELECT", 1)
                greedy.send(_encoded(("KEYS", "*"), ("SET", executed, "yes")))
                with pytest.raises((ConnectionClosed, OSError)):
                    _read_all(greedy)
            assert _resident(server, "VmHWM") - before < 3 * limit_bytes
            assert other.value("EXISTS", executed) == 0
        finally:
            other.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
            other.call("FLUSHDB")


def _read_all(wire: Wire) -> None:
    while True:
        assert b"yes" not in wire.read().raw


def test_a_message_that_is_more_than_the_limit_is_kept_for_nobody(server: Server) -> None:
    """However many listen and do not read."""
    with server.wire() as other:
        listeners = [server.wire() for _ in range(12)]
        for listener in listeners:
            listener.call("SUBSCRIBE", "channel")
        before = _begin_to_measure(server)
        message = b"m" * (36 * mebibyte)
        assert other.call("PUBLISH", "channel", message).raw == b":12\r\n"
        _await(lambda: other.call("PUBLISH", "channel", "short").raw == b":0\r\n", "they were cut")
        # The request, and the message as it is sent in both protocols.
        assert _resident(server, "VmHWM") - before < 5 * len(message)
        for listener in listeners:
            listener.close()
