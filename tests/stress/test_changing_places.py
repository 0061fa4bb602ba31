"""Two servers that change places again and again under load (FAILOVER): nothing that was acknowledged is lost, nothing happens
twice, and no reader of either sees half a transaction.

A command that is refused (READONLY, a wait that ended because its server became a replica) was not executed, and nobody is
disconnected but those whose waits have ended, when they have been told. So every writer knows what its own counters have to
be, to the unit.
"""

from __future__ import annotations

import contextlib
import functools
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import await_equal, await_link, eventually
from tests.stress.race import Race
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Reply, Wire

# What a command answers that was not executed because its server is no primary, or not at this moment.
refusals = (b"-READONLY", b"-MASTERDOWN", b"-LOADING", b"-UNBLOCKED", b"-REDIRECT", b"-NOREPLICAS")


@dataclass
class Pair(Race):
    """Two servers, of which one is the primary at a time."""

    other: Server | None = None
    places: dict[int, int] = field(default_factory=dict)
    changes: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)

    def running(self) -> bool:
        """Until they have changed places, however slow the machine is."""
        changes = self.changes >= 2 or time.monotonic() > self.until + 40
        return not self.errors and (time.monotonic() < self.until or not changes)

    def both(self, *, timeout_seconds: float = 30) -> list[Wire]:
        """A connection to each."""
        assert self.other is not None
        return [server.wire(timeout_seconds=timeout_seconds) for server in (self.server, self.other)]

    def write(self, wires: list[Wire], *commands: tuple[str, ...]) -> Reply | None:
        """What the last of the commands answers where it is accepted; `None` if the time is over before."""
        number = 0
        while self.running():
            reply = wires[number % 2].pipeline(commands)[-1]
            if not reply.raw.startswith((*refusals, b"-EXECABORT")):
                return reply
            number += 1
            time.sleep(0.001)
        return None

    def count(self, name: str) -> None:
        """Counts up, alone and in transactions over two keys: each answer is the one before and one."""
        wires = self.both()
        keys = (f"{name}:a", f"{name}:b")
        while self.running():
            if random.random() < 0.5:
                reply = self.write(wires, ("INCR", name))
                if reply is not None:
                    self.acknowledged[name] += 1
                    assert reply.value == self.acknowledged[name], f"{name}: {reply.raw!r}"
            else:
                reply = self.write(wires, ("MULTI",), *(("INCR", key) for key in keys), ("EXEC",))
                if reply is not None:
                    self.acknowledged[keys[0]] += 1
                    assert reply.value == [self.acknowledged[keys[0]]] * 2, f"{keys}: {reply.raw!r}"

    def look(self, number: int, names: list[str]) -> None:
        """Reads both keys of transactions at once, whatever this server is just then."""
        wire = self.both()[number]
        while self.running():
            for name in names:
                reply = wire.call("MGET", f"{name}:a", f"{name}:b")
                if not reply.is_error:
                    one, two = reply.value
                    assert one == two, f"half a transaction is seen: {one} {two}"
            time.sleep(0.001)

    def feed(self) -> None:
        """Pushes numbered elements."""
        wires, number = self.both(), 0
        while self.running():
            if self.write(wires, ("RPUSH", "queue", str(number))) is not None:
                self.pushed.add(str(number).encode())
                number += 1

    def take(self) -> None:
        """Waits for elements, for longer than a change of places takes."""
        while self.running():
            wires = self.both()
            # A wait that has ended has said so before.
            with contextlib.suppress(ConnectionClosed, ConnectionError):
                while self.running():
                    reply = self.write(wires, ("BLPOP", "queue", "0.3"))
                    if reply is not None and reply.value is not None:
                        with self.lock:
                            self.received[reply.value[1]] += 1

    def change(self) -> None:
        """Has them change places; sometimes the link is cut just before."""
        wires = self.both(timeout_seconds=60)
        while self.running():
            primary, replica = sorted(wires, key=lambda wire: info_field(wire, "replication", "role") != "master")
            await_link(replica)
            if random.random() < 0.3:
                primary.call("CLIENT", "KILL", "TYPE", "replica")
            if primary.call("FAILOVER", "TIMEOUT", "20000").is_error:
                # The link is not up again yet.
                time.sleep(0.01)
                continue
            done = functools.partial(self._has_changed, primary, replica)
            eventually(done, "they have changed places or given up")
            self.changes += info_field(replica, "replication", "role") == "master"
            time.sleep(random.choice((0, 0.05, 0.2)))

    def _has_changed(self, primary: Wire, replica: Wire) -> bool:
        state = info_field(primary, "replication", "master_failover_state")
        roles = {info_field(wire, "replication", "role") for wire in (primary, replica)}
        return state == "no-failover" and roles == {"master", "slave"}

    def prepare(self) -> None:
        """Nothing is there."""

    def left(self) -> Counter[bytes]:
        """What nobody has taken."""
        wires = self.both()
        primary = min(wires, key=lambda wire: info_field(wire, "replication", "role") != "master")
        return Counter(primary.value("LRANGE", "queue", "0", "-1"))


@pytest.mark.parametrize("shapes", [(Shape(4, 2), Shape(2, 1)), (Shape(1, 1), Shape(3, 2))], ids=["4-and-2", "1-and-3"])
def test_nothing_is_lost_or_done_twice_when_servers_change_places(shapes: tuple[Shape, Shape]) -> None:
    """See the module."""
    quick = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
    with (
        Server(shape=shapes[0], directives=quick) as first,
        Server(shape=shapes[1], directives={**quick, "replicaof": f"127.0.0.1 {first.port}"}) as second,
    ):
        pair = Pair(first, other=second)
        one, two = pair.both()
        await_link(two)
        names = [f"writer:{number}" for number in range(3)]
        pair.run(
            pair.change, pair.feed, pair.take, pair.take,
            *(functools.partial(pair.count, name) for name in names),
            *(functools.partial(pair.look, number, names) for number in range(2)),
        )  # fmt: skip
        primary, replica = sorted((one, two), key=lambda wire: info_field(wire, "replication", "role") != "master")
        await_link(replica)
        await_equal(primary, replica)
        for key, count in pair.acknowledged.items():
            assert int(primary.value("GET", key)) == count, key
        pair.assert_conserved()
        assert pair.changes > 1, "they have changed places"
