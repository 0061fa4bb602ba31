"""What tests of replication have in common: data of all kinds, writers, and when two servers are equal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from tests.protocol.test_limits import info_field
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.support.wire import Wire

SHAPES = [Shape(1, 1), Shape(4, 2)]
SHAPE_NAMES = ["1-shard", "4-shards"]


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits, within a bound, until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.02)


def replica_of(port: int, shape: Shape | None = None, **directives: str) -> Server:
    """A Sherd that follows a primary on this machine from its start."""
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    return Server(shape=shape, directives={"enable-debug-command": "yes", "replicaof": f"127.0.0.1 {port}", **named})


def await_link(wire: Wire) -> None:
    """Waits until the stream of the primary is being applied."""
    eventually(lambda: info_field(wire, "replication", "master_link_status") == "up", "the link is up")


def digest(wire: Wire) -> bytes:
    """What all data come to."""
    return wire.call("DEBUG", "DIGEST").raw


def await_equal(primary: Wire, replica: Wire) -> None:
    """Waits until a replica has applied all that its primary has written, and has the same data."""

    def has_caught_up() -> bool:
        offset = info_field(primary, "replication", "master_repl_offset")
        return info_field(replica, "replication", "slave_repl_offset") == offset

    eventually(has_caught_up, "the replica has all")
    eventually(lambda: digest(primary) == digest(replica), "both have the same data")


def fill(wire: Wire) -> None:
    """Keys of all types, small and large, with and without expiry, in two databases."""
    for size in (3, 300):
        for number in range(size):
            wire.pipeline([
                ("SET", f"string:{size}:{number}", "v" * number),
                ("RPUSH", f"list:{size}", f"element {number}", "x" * (number % 90)),
                ("SADD", f"set:{size}", f"member {number}"),
                ("SADD", f"integers:{size}", str(number)),
                ("HSET", f"hash:{size}", f"field {number}", f"value {number}"),
                ("ZADD", f"sorted:{size}", str(number / 4), f"member {number}"),
                ("XADD", f"stream:{size}", f"{number + 1}-1", "field", f"value {number}"),
            ])  # fmt: skip
    wire.pipeline([
        ("SET", "number", "12345"),
        ("SET", "expires", "soon", "PX", "86400000"),
        ("XGROUP", "CREATE", "stream:300", "group", "0"),
        ("XREADGROUP", "GROUP", "group", "consumer", "COUNT", "5", "STREAMS", "stream:300", ">"),
        ("SELECT", "3"),
        ("SET", "elsewhere", "1"),
        ("SELECT", "0"),
    ])  # fmt: skip


def write_some(wire: Wire, number: int) -> None:
    """Writes of all kinds, whose effects a primary says in other words than its client."""
    key = f"k{number % 97}"
    wire.pipeline([
        ("SET", f"w:{key}", f"value {number}", "EX", "10000"),
        ("INCR", "w:counter"),
        ("INCRBYFLOAT", f"w:float:{key}", "0.5"),
        ("APPEND", f"w:text:{key}", "x"),
        ("RPUSH", f"w:list:{key}", str(number), str(number + 1)),
        ("LPOP", f"w:list:{key}"),
        ("SADD", f"w:set:{key}", str(number), str(number % 7)),
        ("SPOP", f"w:set:{key}"),
        ("ZINCRBY", "w:sorted", "1.5", key),
        ("HSET", "w:hash", key, str(number)),
        ("XADD", "w:stream", "MAXLEN", "~", "100", "*", "n", str(number)),
        ("XADD", "w:limited", "MAXLEN", "~", "100", "LIMIT", "50", "*", "n", str(number)),
        ("XTRIM", "w:limited", "MAXLEN", "~", "100", "LIMIT", "100"),
        ("EXPIRE", f"w:text:{key}", "5000"),
        ("SET", f"w:gone:{key}", "1", "PX", "1"),
        ("MULTI",),
        ("SET", "w:a", str(number)),
        ("SET", "w:b", str(number)),
        ("SELECT", "3"),
        ("INCR", "w:other"),
        ("SELECT", "0"),
        ("EXEC",),
        ("DEL", f"string:300:{number % 300}"),
        ("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[2])", "2", "w:s1", "w:s2", key),
    ])  # fmt: skip


class Writer:
    """A thread that goes on writing until it is told to stop; `written` counts its rounds."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.written = 0

    def _run(self) -> None:
        with self._server.wire() as wire:
            while not self._stop.is_set():
                write_some(wire, self.written)
                self.written += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
