"""Everything that a server can do, at the same time: transfers, scripts, waits, messages, files, a replica, and an operator who
tries every button.

Each capability has races of its own; this one is for what happens between them. Money that transactions, scripts and
watched writes move between keys of all shards is never made nor lost, and no reader sees it on its way, on the primary
or on its replica; elements that blocked clients take are in one place; everybody is answered; in the end the replica
and the file that was written beside all that have the same data.
"""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import await_equal, digest
from tests.stress.race import Race, commands, race_seconds
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

accounts = tuple(f"account:{number}" for number in range(24))
balance = 1000
channel = "news"

transfer_script = """
local from, to, amount = ARGV[1], ARGV[2], tonumber(ARGV[3])
if tonumber(redis.call('GET', from)) < amount then return redis.status_reply('POOR') end
redis.call('DECRBY', from, amount)
return redis.call('INCRBY', to, amount)
"""

library = """#!lua name=bank
redis.register_function('pay', function(keys, args)
  redis.call('DECRBY', keys[1], args[1])
  return redis.call('INCRBY', keys[2], args[1])
end)
"""

buttons: tuple[tuple[str, ...], ...] = (
    ("BGSAVE",),
    ("BGREWRITEAOF",),
    ("SAVE",),
    ("CONFIG", "SET", "appendonly", "no"),
    ("CONFIG", "SET", "appendonly", "yes"),
    ("CONFIG", "SET", "appendfsync", "always"),
    ("CONFIG", "SET", "appendfsync", "everysec"),
    ("CONFIG", "SET", "activedefrag", "yes"),
    ("CONFIG", "SET", "activedefrag", "no"),
    ("CONFIG", "SET", "maxmemory", "4gb"),
    ("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"),
    ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
    ("CONFIG", "SET", "notify-keyspace-events", "KEA"),
    ("CONFIG", "SET", "notify-keyspace-events", ""),
    ("CONFIG", "SET", "latency-tracking", "no"),
    ("CONFIG", "SET", "latency-tracking", "yes"),
    ("CONFIG", "SET", "hz", "100"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "RESETSTAT"),
    ("CLIENT", "KILL", "TYPE", "replica"),
    ("CLIENT", "KILL", "TYPE", "pubsub"),
    ("CLIENT", "LIST"),
    ("CLIENT", "PAUSE", "3", "ALL"),
    ("CLIENT", "PAUSE", "6", "WRITE"),
    ("CLIENT", "UNPAUSE"),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"),
    ("FUNCTION", "LOAD", "REPLACE", library),
    ("FUNCTION", "DUMP"),
    ("MEMORY", "PURGE"),
    ("MEMORY", "STATS"),
    ("MEMORY", "DOCTOR"),
    ("INFO", "everything"),
    ("SLOWLOG", "RESET"),
    ("SLOWLOG", "GET"),
    ("LATENCY", "RESET"),
    ("ACL", "SETUSER", "somebody", "on", "nopass", "~somebody:*", "+@all"),
    ("ACL", "DELUSER", "somebody"),
    ("DBSIZE",),
    ("KEYS", "*"),
    ("RANDOMKEY",),
    ("SWAPDB", "3", "4"),
    ("PUBSUB", "CHANNELS"),
    ("PUBLISH", channel, "from the operator"),
    ("WAIT", "1", "5"),
    ("WAITAOF", "1", "0", "5"),
    ("DEBUG", "JMAP"),
    ("SORT", "list:a", "BY", "nosort", "GET", "account:*", "STORE", "sorted"),
    ("SUNIONSTORE", "union", "members:1", "members:2"),
    ("RENAME", "union", "renamed"),
    ("COPY", "renamed", "copied", "REPLACE"),
)
"""What the operator does, in any order; errors are answers as well."""


@dataclass
class Crowd(Race):
    """A race with a replica."""

    replica: Server | None = None
    pressed: dict[str, int] = field(default_factory=dict)
    audits: dict[str, int] = field(default_factory=dict)

    def prepare(self) -> None:
        """The accounts."""
        super().prepare()
        with self.server.wire() as wire:
            wire.value("MSET", *(word for name in accounts for word in (name, str(balance))))

    def turns(self, server: Server, pause: float = 0.0, *, protocol: int = 2) -> Iterator[Wire]:
        """A connection, again and again until the time is over."""
        with server.wire(protocol=protocol, timeout_seconds=30) as wire:
            while self.running():
                yield wire
                time.sleep(pause)

    # ----- money -----

    def transact(self) -> None:
        """Moves money in transactions."""
        for wire in self.turns(self.server):
            a, b = random.sample(accounts, 2)
            amount = str(random.randint(1, 5))
            wire.pipeline([("MULTI",), ("DECRBY", a, amount), ("INCRBY", b, amount), ("EXEC",)])

    def watch(self) -> None:
        """Moves money in transactions that hold only if nobody else moved it meanwhile."""
        for wire in self.turns(self.server):
            a, b = random.sample(accounts, 2)
            wire.value("WATCH", a, b)
            one, other = (int(value) for value in wire.value("MGET", a, b))
            *_, last = wire.pipeline([("MULTI",), ("SET", a, str(one - 1)), ("SET", b, str(other + 1)), ("EXEC",)])
            with self.lock:
                self.counts["watched"] += last.value is not None

    def script(self) -> None:
        """Moves money in scripts, half of them with keys that they do not declare, and by a function while there is one."""
        for wire in self.turns(self.server):
            a, b = random.sample(accounts, 2)
            keys = random.choice([("0",), ("2", a, b), ("1", b)])
            wire.call("EVAL", transfer_script, *keys, a, b, str(random.randint(1, 5)))
            wire.call("FCALL", "pay", "2", a, b, "1")

    def audit(self, server: Server, name: str) -> None:
        """Looks at all accounts at once: the sum is the same at every moment."""
        for wire in self.turns(server, 0.001):
            reply = wire.call("MGET", *accounts)
            # A replica may be loading, or may have nothing yet.
            if reply.is_error or None in reply.value:
                assert server is not self.server, reply.raw
                assert reply.is_error or set(reply.value) == {None}, f"some accounts are missing: {reply.value}"
                continue
            total = sum(int(value) for value in reply.value)
            assert total == balance * len(accounts), f"{name} shows {total}"
            self.audits[name] = self.audits.get(name, 0) + 1

    # ----- others -----

    def churn(self) -> None:
        """Keys that come, expire and go, of every type."""
        for wire in self.turns(self.server):
            number = str(random.randrange(2000))
            wire.pipeline([
                ("SET", f"short:{number}", "x" * random.choice((1, 100, 20_000)), "PX", str(random.randint(1, 60))),
                ("HSET", f"hash:{number}", "f", number, "g", "x" * 50),
                ("HPEXPIRE", f"hash:{number}", "30", "FIELDS", "1", "f"),
                ("SADD", f"members:{random.randrange(3)}", number),
                ("ZADD", "ranks", number, f"rank:{number}"),
                ("APPEND", f"text:{random.randrange(20)}", "more"),
                ("PFADD", "seen", number),
                ("SETBIT", "bits", number, "1"),
                ("GEOADD", "places", "13.3", "38.1", number),
                ("UNLINK", f"hash:{random.randrange(2000)}"),
                ("GETDEL", f"text:{random.randrange(20)}"),
            ])  # fmt: skip

    def read_tracked(self) -> None:
        """Reads in RESP3 with tracking on: pushes come between the replies."""
        for wire in self.turns(self.server, protocol=3):
            wire.write("CLIENT", "TRACKING", "on", *random.choice([(), ("BCAST",), ("NOLOOP",)]))
            for _ in range(20):
                wire.write("GET", random.choice(accounts))
            wire.write("CLIENT", "TRACKING", "off")
            wire.write("ECHO", "end")
            while wire.read().value != b"end":
                pass

    def publish(self) -> None:
        """Numbers, in order."""
        number = 0
        for wire in self.turns(self.server):
            wire.pipeline([("PUBLISH", channel, f"number {number + i}") for i in range(20)])
            number += 20

    def listen(self, server: Server) -> None:
        """Gets them in order, as long as it is not cut off."""
        while self.running():
            # Nothing comes when those who publish have ended.
            ends = contextlib.suppress(ConnectionClosed, ConnectionError, TimeoutError)
            with ends, server.wire(timeout_seconds=5) as wire:
                wire.write("SUBSCRIBE", channel)
                last = -1
                while self.running():
                    kind, _, message = wire.read().value
                    if kind == b"message" and message.startswith(b"number "):
                        number = int(message.split()[1])
                        assert number > last, f"{number} came after {last}"
                        last = number
                        self.counts["heard"] += 1

    def watch_all(self) -> None:
        """MONITOR."""
        with self.server.wire(timeout_seconds=30) as wire:
            wire.write("MONITOR")
            while self.running():
                wire.read()

    def operate(self, some: Sequence[tuple[str, ...]] = buttons) -> None:
        """Every button, in any order."""
        for wire in self.turns(self.server, 0.003):
            button = random.choice(some)
            wire.call(*button)
            name = " ".join(button[:2])
            self.pressed[name] = self.pressed.get(name, 0) + 1

    def knock(self) -> None:
        """Is answered."""
        for wire in self.turns(self.server, 0.01):
            wire.call("GET", "account:0")
            self.counts["knocks"] += 1

    # ----- the end -----

    def settle(self, wire: Wire) -> None:
        """The operator leaves everything as it should be, and what had a time is gone."""
        wire.call("CLIENT", "UNPAUSE")
        for name, value in (("appendonly", "yes"), ("activedefrag", "no"), ("maxmemory-policy", "noeviction")):
            wire.value("CONFIG", "SET", name, value)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            info = wire.value("INFO", "persistence")
            rest = wire.value("KEYS", "short:*")
            # The first file after `appendonly yes` is whole when its rewrite has ended.
            if not rest and b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info:
                return
            time.sleep(0.05)
        raise AssertionError(f"it does not come to rest: {rest[:3]} {info.decode()}")


@pytest.mark.parametrize(
    ("shape", "replica_shape"),
    [(Shape(4, 2), Shape(2, 1)), (Shape(1, 1), Shape(3, 2)), (Shape(2, 3), Shape(1, 2))],
    ids=["4-shards", "1-shard", "2-shards"],
)
def test_everything_at_once(shape: Shape, replica_shape: Shape) -> None:
    """See the module."""
    debug = {"enable-debug-command": "yes"}
    files = {**debug, "appendonly": "yes", "aof-use-rdb-preamble": random.choice(["yes", "no"])}
    quick = {**debug, "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
    with (
        Server(shape=shape, directives={**files, **quick, "save": "1 1"}) as server,
        Server(shape=replica_shape, directives={"replicaof": f"127.0.0.1 {server.port}", **quick}) as replica,
    ):
        crowd = Crowd(server, replica=replica)
        names = list(commands)
        parts = [
            crowd.transact, crowd.watch, crowd.script, crowd.churn, crowd.read_tracked, crowd.publish, crowd.watch_all,
            crowd.operate, crowd.operate, crowd.knock, crowd.push,
            functools.partial(crowd.audit, server, "primary"), functools.partial(crowd.audit, replica, "replica"),
            functools.partial(crowd.listen, server), functools.partial(crowd.listen, replica),
            functools.partial(crowd.pop, names, hang_up=True), functools.partial(crowd.pop, names, hang_up=True),
        ]  # fmt: skip
        crowd.run(*parts)
        crowd.assert_conserved()
        crowd.assert_nobody_waits()
        with server.wire(timeout_seconds=60) as primary, replica.wire(timeout_seconds=60) as second:
            crowd.settle(primary)
            await_equal(primary, second)
            expected = digest(second)
        assert crowd.audits.get("primary"), "the primary was looked at"
        assert crowd.counts["heard"], "messages were heard"
        assert server.signal_and_wait(signal.SIGTERM) == 0, server.log()[-2000:]
        again = {**files, "dir": str(server.directory)}
        with Server(shape=replica_shape, directives=again) as restarted, restarted.wire() as wire:
            assert digest(wire) == expected


@pytest.mark.parametrize("policy", ["always", "everysec"])
@pytest.mark.parametrize("shape", [Shape(4, 2), Shape(1, 1)], ids=["4-shards", "1-shard"])
def test_an_end_in_the_middle_of_everything(shape: Shape, policy: str) -> None:
    """SIGTERM while everybody is busy: the server ends, soon and in order, and its file has whole transactions only."""
    files = {"enable-debug-command": "yes", "appendonly": "yes", "appendfsync": policy}
    own = [button for button in buttons if button[:2] != ("CONFIG", "SET")]
    with Server(shape=shape, directives=files) as server:
        crowd = Crowd(server)
        codes = []

        def end() -> None:
            time.sleep(race_seconds / 2)
            codes.append(server.signal_and_wait(signal.SIGTERM, 20))
            crowd.until = 0

        def until_cut(part: Callable[[], None]) -> None:
            with contextlib.suppress(ConnectionClosed, ConnectionError):
                part()

        parts = [
            crowd.transact, crowd.watch, crowd.script, crowd.churn, crowd.read_tracked, crowd.publish, crowd.watch_all,
            functools.partial(crowd.operate, own), crowd.push, functools.partial(crowd.audit, server, "primary"),
            functools.partial(crowd.listen, server), functools.partial(crowd.pop, list(commands), hang_up=True),
        ]  # fmt: skip
        crowd.run(end, *(functools.partial(until_cut, part) for part in parts))
        assert codes == [0], server.log()[-2000:]
        again = {**files, "dir": str(server.directory)}
        with Server(shape=Shape(3, 1), directives=again) as restarted, restarted.wire() as wire:
            found = wire.value("MGET", *accounts)
            assert sum(int(value) for value in found) == balance * len(accounts)


wild_buttons: tuple[tuple[str, ...], ...] = (
    *buttons,
    ("FLUSHALL",),
    ("FLUSHALL", "ASYNC"),
    ("FLUSHDB", "SYNC"),
    ("SWAPDB", "0", "1"),
    ("DEBUG", "RELOAD"),
    ("DEBUG", "LOADAOF"),
    *(("CONFIG", "SET", "maxmemory-policy", policy) for policy in ("allkeys-lru", "volatile-ttl", "allkeys-random")),
    *(("CONFIG", "SET", "maxmemory", limit) for limit in ("4mb", "6mb", "0")),
    ("CONFIG", "SET", "maxmemory-clients", "1mb"),
    ("CONFIG", "SET", "maxmemory-clients", "0"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("RESET",),
)
"""What loses data, and clients."""


@pytest.mark.parametrize("shape", [Shape(4, 2), Shape(1, 1)], ids=["4-shards", "1-shard"])
def test_nothing_stays_behind(shape: Shape) -> None:
    """Whatever is flushed, evicted, reloaded and cut at the same time: nothing of it is left in the end, and nobody waits."""
    with Server(shape=shape, directives={"enable-debug-command": "yes", "appendonly": "yes"}) as server:
        crowd = Crowd(server)

        def over_and_over(part: Callable[[], None]) -> None:
            while crowd.running():
                with contextlib.suppress(ConnectionClosed, ConnectionError, *guesses):
                    part()

        # What their replies should be is not known while keys vanish.
        guesses = (AssertionError, TypeError, ValueError)
        parts = [
            crowd.transact, crowd.watch, crowd.script, crowd.churn, crowd.read_tracked, crowd.publish, crowd.watch_all,
            crowd.push, functools.partial(crowd.operate, wild_buttons), functools.partial(crowd.operate, wild_buttons),
            functools.partial(crowd.listen, server), functools.partial(crowd.pop, list(commands), hang_up=True),
        ]  # fmt: skip
        with server.wire() as wire:
            before = memory_used(wire)
        crowd.run(*(functools.partial(over_and_over, part) for part in parts))
        crowd.assert_nobody_waits()
        with server.wire() as wire:
            for words in ("maxmemory 0", "maxmemory-clients 0", "appendonly no", "notify-keyspace-events "):
                wire.value("CONFIG", "SET", *words.split(" "))
            for command in (("SCRIPT", "FLUSH"), ("FUNCTION", "FLUSH"), ("SLOWLOG", "RESET"), ("ACL", "LOG", "RESET")):
                wire.value(*command)
            deadline = time.monotonic() + 60
            while True:
                # What a snapshot still holds, and connections that have yet to end.
                wire.value("FLUSHALL", "SYNC")
                after = memory_used(wire)
                if after < before + left_bytes_max and b"connected_clients:1\r" in wire.value("INFO", "clients"):
                    break
                assert time.monotonic() < deadline, (before, after, wire.value("INFO", "everything"))
                time.sleep(0.2)
            # Keys that a client had read by the time it went are remembered until something happens to them.
            wire.value("FLUSHALL", "SYNC")
            left = wire.value("INFO", "everything")
            for field_of_nothing in (
                b"tracking_total_keys:0",
                b"watching_clients:0",
                b"pubsub_channels:0",
                b"blocked_clients:0",
            ):
                assert field_of_nothing in left, left


left_bytes_max = 700_000
"""Tables of databases that were used, a thread's buffers and its Lua: as much after a second as after a minute."""


def memory_used(wire: Wire) -> int:
    """What the server says that it uses."""
    return int(info_field(wire, "memory", "used_memory"))
