"""Programs inside, at the same time: scripts that last, functions, commands in Python, and whoever kills, loads again, hangs up,
pauses, saves and stops.

What a program moves between keys of all shards is never made nor lost, whether it is killed, goes beyond its deadline, or
its client has gone; what is answered with BUSY was not executed; everybody is answered, and the file that was
written beside all that has the same data.
"""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import await_equal, digest
from tests.stress.race import commands, lists, race_seconds
from tests.stress.test_all_at_once import Crowd, accounts, balance, library
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

endless = "while true do redis.call('GET', 'account:0') end"
endless_library = (
    "#!lua name=endless\nredis.register_function{function_name='endless', callback=function() while true do end end}"
)

# Lasts some milliseconds between its two halves, for long enough that a kill comes.
slow_script = """
local from, to = ARGV[1], ARGV[2]
for i = 1, tonumber(ARGV[3]) do local x = i * i end
redis.call('DECRBY', from, 1)
for i = 1, tonumber(ARGV[4]) do local x = i * i end
redis.call('INCRBY', to, 1)
redis.call('RPUSH', 'list:a', ARGV[5])
return redis.call('PUBLISH', 'news', 'moved')
"""

module = """
import time

import sherd


@sherd.command("bank.pay", keys=2)
def pay(call: sherd.Call, one: bytes, other: bytes, amount: int, milliseconds: int = 0) -> int:
    call("DECRBY", one, amount)
    if milliseconds:
        time.sleep(milliseconds / 1000)
    return call("INCRBY", other, amount)


@sherd.command("bank.fail", keys=2)
def fail(call: sherd.Call, one: bytes, other: bytes) -> None:
    call("DECRBY", one, 1)
    call("INCRBY", other, 1)
    raise ValueError("too late")


@sherd.command("bank.total", keys="all", flags="readonly")
def total(call: sherd.Call) -> int:
    return sum(int(call("GET", f"account:{number}") or 0) for number in range(24))


@sherd.every(seconds=0.01, keys=["account:1", "account:2"])
def job(call: sherd.Call) -> None:
    pay(call, "account:1", "account:2", 1)


@sherd.on("rpush", pattern="list:*", keys="all")
def hook(call: sherd.Call, event: sherd.Event) -> None:
    pay(call, "account:2", "account:1", 1)
"""

buttons: tuple[tuple[str, ...], ...] = (
    ("BGSAVE",),
    ("BGREWRITEAOF",),
    ("CLIENT", "PAUSE", "3", "ALL"),
    ("CLIENT", "PAUSE", "6", "WRITE"),
    ("CLIENT", "UNPAUSE"),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "FLUSH", "ASYNC"),
    ("FUNCTION", "FLUSH"),
    ("FUNCTION", "LOAD", "REPLACE", library),
    ("FUNCTION", "LOAD", "REPLACE", endless_library),
    ("FUNCTION", "DELETE", "bank"),
    ("FUNCTION", "DUMP"),
    ("FUNCTION", "STATS"),
    ("CONFIG", "SET", "busy-reply-threshold", "1"),
    ("CONFIG", "SET", "busy-reply-threshold", "5000"),
    ("CONFIG", "SET", "python-command-timeout-ms", "2"),
    ("CONFIG", "SET", "python-command-timeout-ms", "5000"),
    ("CLIENT", "KILL", "TYPE", "replica"),
    ("INFO", "everything"),
    ("SHERD", "RELOAD"),
    ("SHERD", "COMMANDS"),
    ("KEYS", "*"),
)


@dataclass
class Programs(Crowd):
    """A crowd of programs."""

    active: int = 0
    """Parts that have not come to their ends."""

    def run(self, *parts: Callable[[], None]) -> None:
        """Counts those that are left."""
        self.active = len(parts)

        def counted(part: Callable[[], None]) -> None:
            try:
                part()
            finally:
                with self.lock:
                    self.active -= 1

        super().run(*(functools.partial(counted, part) for part in parts))

    def audit(self, server: Server, name: str) -> None:
        """Looks at all accounts at once; may be told to wait."""
        for wire in self.turns(server, 0.001):
            for query in (("MGET", *accounts), ("BANK.TOTAL",)):
                reply = wire.call(*query)
                if reply.is_error or reply.value in (0, [None] * len(accounts)):
                    assert (
                        reply.raw.startswith((b"-BUSY", b"-LOADING", b"-ERR bank.total took"))
                        or server is not self.server
                    )
                    continue
                total = reply.value if isinstance(reply.value, int) else sum(map(int, reply.value))
                assert total == balance * len(accounts), f"{name} shows {total}"
                self.audits[name] = self.audits.get(name, 0) + 1

    def push(self) -> None:
        """Numbered elements to lists that others wait for; what is answered with an error was not pushed."""
        number = 0
        for wire in self.turns(self.server, 0.002):
            names = [f"pushed:{number + i}".encode() for i in range(10)]
            number += 10
            replies = wire.pipeline([("RPUSH", random.choice(lists), name) for name in names])
            self.note_pushed([name for name, reply in zip(names, replies, strict=True) if not reply.is_error])

    def note_pushed(self, names: list[bytes]) -> None:
        """These are in the keyspace, or somebody has got them."""
        with self.lock:
            self.pushed.update(names)

    def last(self, *, gone: bool) -> None:
        """Scripts that take their time, whose client may have gone before they end."""
        number = 0
        while self.running():
            with contextlib.suppress(ConnectionClosed, ConnectionError), self.server.wire(timeout_seconds=30) as wire:
                while self.running():
                    one, other = random.sample(accounts, 2)
                    number += 1
                    name = f"script:{gone}:{number}".encode()
                    keys = random.choice([("0",), ("2", one, other), ("1", other), ("3", one, other, "list:a")])
                    before, between = (str(random.choice((0, 0, 1000, 300_000))) for _ in range(2))
                    wire.write("EVAL", slow_script, *keys, one, other, before, between, name)
                    if gone:
                        # It may or may not have come that far.
                        time.sleep(0.01)
                        break
                    reply = wire.read()
                    if not reply.is_error:
                        self.note_pushed([name])
                    self.counts["killed" if b"killed" in reply.raw else "ended"] += 1

    def never_end(self) -> None:
        """What only a kill ends."""
        for wire in self.turns(self.server):
            command = random.choice([
                ("EVAL", endless, "0"), ("EVAL", endless, "1", random.choice(accounts)), ("FCALL", "endless", "0"),
                ("FCALL", "endless", "1", random.choice(accounts)),
            ])  # fmt: skip
            reply = wire.call(*command)
            assert reply.is_error, reply.raw
            self.counts["ended endless" if b"killed" in reply.raw else "refused endless"] += 1

    def kill(self) -> None:
        """Kills whatever runs, until everybody else has gone: what was sent by who hung up may begin late."""
        deadline = time.monotonic() + race_seconds + 50
        with self.server.wire(timeout_seconds=30) as wire:
            # The control plane may wait for a script until that is killed.
            while self.active > 1 or b"connected_clients:1\r" not in wire.value("INFO", "clients"):
                wire.pipeline([("SCRIPT", "KILL"), ("FUNCTION", "KILL")])
                time.sleep(0.002)
                assert time.monotonic() < deadline, "something never ends"

    def pay(self) -> None:
        """Commands in Python, alone, in pipelines and in transactions with scripts, functions and control commands."""
        for wire in self.turns(self.server):
            one, other = random.sample(accounts, 2)
            late = str(random.choice((0, 0, 0, 3)))
            some = [
                ("BANK.PAY", one, other, "1", late), ("BANK.FAIL", one, other), ("FCALL", "pay", "2", one, other, "1"),
                ("EVAL", slow_script.replace("redis.call('RPUSH', 'list:a', ARGV[5])", ""), "0", one, other, "0", "0"),
                ("BANK.TOTAL",), ("GET", one),
            ]  # fmt: skip
            random.shuffle(some)
            control = random.choice([[], [("CONFIG", "GET", "port")], [("INFO", "commandstats")]])
            wire.pipeline(some[: random.randint(1, 6)])
            wire.pipeline([("MULTI",), *some[: random.randint(1, 6)], *control, ("EXEC",)])

    def hang_up(self) -> None:
        """Is gone before it is answered."""
        while self.running():
            one, other = random.sample(accounts, 2)
            with contextlib.suppress(ConnectionError, OSError, ConnectionClosed), self.server.wire() as wire:
                # One that never ends has to be killed, which takes a while.
                chosen = random.choice([("EVAL", endless, "1", one)] + 9 * [("FCALL", "pay", "2", one, other, "1")])
                wire.send(encode_command("BANK.PAY", one, other, "1", "2") + encode_command(*chosen))
                if random.random() < 0.5:
                    wire.half_close()
                time.sleep(random.choice((0, 0.005, 0.02)))

    def come_to_rest(self, wire: Wire) -> None:
        """Everything as it should be, and no program runs any more."""
        wire.value("CONFIG", "SET", "busy-reply-threshold", "5000")
        wire.value("CONFIG", "SET", "python-command-timeout-ms", "5000")
        self.settle(wire)

    def assert_conserved(self) -> None:
        """Every element once, and none that was answered with an error, but those whose client did not wait for the answer."""
        super().assert_conserved()
        unknown = {name for name in self.received + self.left() if not name.startswith(b"script:True:")} - self.pushed
        assert not unknown, (
            f"{len(unknown)} elements were pushed by what was answered with an error: {sorted(unknown)[:5]}"
        )


def _parts(programs: Programs, server: Server) -> list[Callable[[], None]]:
    names = ["BLPOP", "BRPOP", "BLMPOP", "BLMOVE"]
    assert set(names) <= set(commands)
    return [
        programs.transact, programs.script, programs.pay, programs.pay, programs.never_end, programs.kill, programs.push,
        programs.hang_up, functools.partial(programs.last, gone=False), functools.partial(programs.last, gone=True),
        functools.partial(programs.operate, buttons), functools.partial(programs.audit, server, "primary"),
        functools.partial(programs.pop, names, hang_up=True), programs.watch_all,
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [Shape(4, 2), Shape(1, 1), Shape(3, 3)], ids=["4-shards", "1-shard", "3-shards"])
def test_programs_at_once(shape: Shape, tmp_path: Path) -> None:
    """See the module."""
    path = tmp_path / "bank.py"
    path.write_text(module)
    files = {"enable-debug-command": "yes", "appendonly": "yes", "repl-diskless-sync-delay": "0"}
    with (
        Server(shape=shape, directives={**files, "python-commands": str(path)}) as server,
        Server(
            shape=Shape(2, 1), directives={"replicaof": f"127.0.0.1 {server.port}", "enable-debug-command": "yes"}
        ) as replica,
    ):
        programs = Programs(server, replica=replica)
        programs.run(*_parts(programs, server), functools.partial(programs.audit, replica, "replica"))
        programs.assert_conserved()
        programs.assert_nobody_waits()
        with server.wire(timeout_seconds=60) as primary, replica.wire(timeout_seconds=60) as second:
            programs.come_to_rest(primary)
            # Jobs go on; nothing else does.
            primary.value("CLIENT", "PAUSE", "60000", "WRITE")
            await_equal(primary, second)
            expected = digest(second)
            assert digest(primary) == expected
        assert programs.audits.get("primary"), "the primary was looked at"
        assert programs.counts["ended endless"], "something was killed"
        assert server.signal_and_wait(signal.SIGTERM) == 0, server.log()[-2000:]
        with (
            Server(shape=Shape(2, 1), directives={**files, "dir": str(server.directory)}) as again,
            again.wire() as wire,
        ):
            assert digest(wire) == expected


@pytest.mark.parametrize("shape", [Shape(4, 2), Shape(1, 1)], ids=["4-shards", "1-shard"])
@pytest.mark.parametrize("way", ["SIGTERM", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE"])
def test_an_end_in_the_middle_of_programs(shape: Shape, way: str, tmp_path: Path) -> None:
    """The server ends, soon and in order, and its file has whole programs only."""
    path = tmp_path / "bank.py"
    path.write_text(module)
    files = {"enable-debug-command": "yes", "appendonly": "yes", "appendfsync": "always"}
    with Server(shape=shape, directives={**files, "python-commands": str(path)}) as server:
        programs = Programs(server)
        codes = []

        def end() -> None:
            time.sleep(race_seconds / 2)
            if way == "SIGTERM":
                codes.append(server.signal_and_wait(signal.SIGTERM, 20))
            else:
                with contextlib.suppress(ConnectionClosed, ConnectionError), server.wire() as wire:
                    while True:
                        wire.call(*way.split())
                assert server.process is not None
                codes.append(server.process.wait(20))
            programs.until = 0

        def until_cut(part: Callable[[], None]) -> None:
            with contextlib.suppress(ConnectionClosed, ConnectionError):
                part()

        programs.run(end, *(functools.partial(until_cut, part) for part in _parts(programs, server)))
        assert codes == [0], server.log()[-2000:]
        again = {**files, "dir": str(server.directory)}
        with Server(shape=Shape(3, 1), directives=again) as restarted, restarted.wire() as wire:
            found = wire.value("MGET", *accounts)
            assert sum(int(value) for value in found) == balance * len(accounts)
