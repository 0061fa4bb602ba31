"""A crash harness: writers note every write that was acknowledged, the server is killed at a random moment, and what it
loads afterwards is held against the notes.

    python -m tests.durability.crash --rounds 1000 [--policy always] [--seed 7]

A round starts a server on a directory, has writers write, sometimes rewrites the append-only file meanwhile, and ends by
SIGKILL; sometimes the next start is killed as well while it loads. What must hold:

- `always`: every acknowledged write is there.
- `everysec`: what is lost was acknowledged within the last second (and a second's slack), and what is left has no holes.
- Either way: a list has its elements in order and none twice, and of a transaction there is all or nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import Server, ServerDidNotStart, Shape
from tests.support.wire import ConnectionClosed, Wire

writers_count = 4
batch_max = 8
# What may be lost under everysec: a second, and what a busy machine adds to it.
loss_seconds_max = 3.0
# Who waits for a replica for so long writes on without.
wait_ms_max = 2000


@dataclass
class Notes:
    """What one writer was told: how many elements its list has for certain, and when it was told so."""

    number: int
    acknowledged: int = 0
    # Elements by the time of the answer, oldest first.
    history: list[tuple[float, int]] = field(default_factory=list)
    # The highest element that was ever sent.
    sent: int = 0
    error: str = ""

    def certain_at(self, moment: float) -> int:
        """Elements that were acknowledged before a moment."""
        return max((count for when, count in self.history if when <= moment), default=0)


class Writer(threading.Thread):
    """Appends numbers to a list, and the same number to two keys in a transaction, in batches of random length.

    replicas: a batch is acknowledged when so many of them say that they have it.
    """

    def __init__(self, server: Server, notes: Notes, seed: int, replicas: int = 0) -> None:
        super().__init__(daemon=True)
        self.server, self.notes, self.random, self.replicas = server, notes, random.Random(seed), replicas

    def run(self) -> None:
        """Until the server is gone."""
        with contextlib.suppress(OSError, ConnectionClosed), self.server.wire() as wire:
            while True:
                self._write(wire)

    def _write(self, wire: Wire) -> None:
        notes, name = self.notes, self.notes.number
        count = self.random.randrange(1, batch_max + 1)
        commands: list[tuple[str, ...]] = []
        for value in range(notes.sent, notes.sent + count):
            commands += [
                ("MULTI",),
                ("RPUSH", f"list:{name}", str(value)),
                ("SET", f"one:{name}", str(value)),
                ("SET", f"other:{name}", str(value)),
                ("EXEC",),
            ]
        notes.sent += count
        replies = wire.pipeline(commands)
        failed = [reply.raw for reply in replies if reply.raw.startswith(b"-")]
        if failed:
            notes.error = failed[0].decode(errors="replace")
            raise ConnectionClosed(b"")
        if self.replicas and wire.value("WAIT", str(self.replicas), str(wait_ms_max)) < self.replicas:
            return
        notes.acknowledged = notes.sent
        notes.history.append((time.monotonic(), notes.acknowledged))


@dataclass
class Crashes:
    """Rounds on one directory."""

    policy: str
    seed: int
    directory: Path
    shape: Shape = field(default_factory=Shape)
    kills: int = 0
    checked: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.notes = [Notes(number) for number in range(writers_count)]

    def serve(self, **more: str) -> Server:
        """A server on the directory."""
        directives = {
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": self.policy,
            "auto-aof-rewrite-percentage": "0",
            **more,
        }
        return Server(shape=self.shape, directives=directives, await_ping="key-load-delay" not in more)

    def round(self) -> None:
        """Write, kill, load, check."""
        killed_at = self._write_until_killed()
        if self.random.random() < 0.3:
            self._kill_while_loading()
        self._check(killed_at)

    def _write_until_killed(self) -> float:
        with self.serve() as server:
            threads = [Writer(server, notes, self.random.randrange(1 << 30)) for notes in self.notes]
            for thread in threads:
                thread.start()
            time.sleep(self.random.uniform(0.05, 0.5))
            if self.random.random() < 0.5:
                with server.wire() as wire:
                    wire.call("BGREWRITEAOF")
                time.sleep(self.random.uniform(0, 0.1))
            server.signal_and_wait(signal.SIGKILL)
            killed_at = time.monotonic()
            self.kills += 1
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive(), "a writer goes on without a server"
        errors = [notes.error for notes in self.notes if notes.error]
        assert not errors, f"a write was refused: {errors[0]}"
        return killed_at

    def _kill_while_loading(self) -> None:
        server = self.serve(**{"key-load-delay": "20"})
        time.sleep(self.random.uniform(0, 0.6))
        if server.is_running():
            server.signal_and_wait(signal.SIGKILL)
        self.kills += 1
        shutil.rmtree(server.directory, ignore_errors=True)

    def _check(self, killed_at: float) -> None:
        with self.serve() as server, server.wire() as wire:
            for notes in self.notes:
                self._check_writer(wire, notes, killed_at)
                self.checked += 1
            server.signal_and_wait(signal.SIGKILL)

    def _check_writer(self, wire: Wire, notes: Notes, killed_at: float) -> None:
        certain = notes.acknowledged if self.policy == "always" else notes.certain_at(killed_at - loss_seconds_max)
        self.lost += check_list(wire, notes, certain, self.policy)


def check_list(wire: Wire, notes: Notes, certain: int, policy: str) -> int:
    """Hold what a server has of one writer against the writer's notes, which go on from there; how many acknowledged
    elements are not there, none of which is among the `certain` ones. Raises AssertionError with what is wrong."""
    name = notes.number
    elements = [int(element) for element in wire.value("LRANGE", f"list:{name}", "0", "-1")]
    assert elements == list(range(len(elements))), f"writer {name}: a hole, or an element twice: {elements[-20:]}"
    last = str(len(elements) - 1).encode() if elements else None
    pair = wire.value("MGET", f"one:{name}", f"other:{name}")
    assert pair == [last, last], f"writer {name}: half a transaction, {pair} with {len(elements)} elements"
    assert len(elements) <= notes.sent, f"writer {name}: more than was ever written"
    assert len(elements) >= certain, (
        f"writer {name} ({policy}): {certain} elements were safe, {len(elements)} are there; "
        f"{notes.acknowledged} were acknowledged"
    )
    lost = max(0, notes.acknowledged - len(elements))
    # What was not acknowledged and is there counts from here on, as what is not there does not.
    notes.acknowledged = notes.sent = len(elements)
    notes.history = [(0.0, len(elements))]
    return lost


def run(rounds: int, policy: str, seed: int, shape: Shape | None = None) -> Crashes:
    """So many rounds; raises AssertionError with what was lost."""
    directory = Path(tempfile.mkdtemp(prefix="sherd-crash-"))
    crashes = Crashes(policy, seed, directory, shape or Shape(2, 2))
    for number in range(rounds):
        try:
            crashes.round()
        except (AssertionError, ServerDidNotStart) as error:
            raise AssertionError(f"round {number} of seed {seed} in {directory}: {error}") from error
    shutil.rmtree(directory, ignore_errors=True)
    return crashes


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--policy", choices=["always", "everysec", "no"], default="")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    for policy in [options.policy] if options.policy else ["always", "everysec"]:
        begun = time.monotonic()
        crashes = run(options.rounds, policy, options.seed)
        print(f"{policy}: {options.rounds} rounds, {crashes.kills} kills, {crashes.checked} lists checked, "
              f"{crashes.lost} acknowledged writes lost, {time.monotonic() - begun:.0f} s, seed {options.seed}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
