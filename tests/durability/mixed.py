"""The crash harness with writes of every kind: the state of a killed server is held against that of one which has executed the
same units, up to the one that the killed server has.

    python -m tests.durability.mixed --rounds 100 [--seed 7] [--policy always | everysec | link]

A round has writers execute units (`kinds.py`): renames, copies and exchanged databases, transactions over shards, scripts,
functions, commands in Python, streams with groups, fields that expire, big collections. Meanwhile the append-only file is
rewritten, turned off and on, or has no room on its disk, or a snapshot is taken; then the server is killed, and loads. With
`link`, a replica takes over instead. What must hold: no unit is missing that was safe, and the state is that behind a step, and
between two steps of one writer nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.crash import loss_seconds_max, wait_ms_max
from tests.durability.kinds import RefusedError, Unit, databases_each, python_commands, run_step, state_of
from tests.protocol.test_limits import info_field
from tests.replication.support import await_link, eventually
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Wire

writers_count = 3
events = (
    "nothing",
    "rewrite",
    "killed while it rewrites",
    "off and on",
    "killed while it is off",
    "full",
    "killed while it is full",
    "snapshot",
)


@dataclass
class Progress:
    """Where one writer is. next: the unit and its step that come next."""

    writer: int
    next: tuple[int, int] = (0, 0)
    safe: int = -1
    # Units by the time of the answer, oldest first.
    history: list[tuple[float, int]] = field(default_factory=list)

    def safe_at(self, moment: float) -> int:
        """The last unit that was acknowledged before a moment."""
        return max((unit for when, unit in self.history if when <= moment), default=-1)


class Writer(threading.Thread):
    """Executes units until its server is gone. is_kept: what is written counts, as it is being appended."""

    def __init__(self, server: Server, progress: Progress, is_kept: threading.Event, replicas: int) -> None:
        super().__init__(daemon=True)
        self.server, self.progress, self.is_kept, self.replicas = server, progress, is_kept, replicas

    def run(self) -> None:
        """See the class."""
        with contextlib.suppress(OSError, ConnectionClosed), self.server.wire(timeout_seconds=60) as wire:
            wire.call("SELECT", str(self.progress.writer * databases_each))
            while True:
                self._unit(wire)

    def _unit(self, wire: Wire) -> None:
        progress, was_kept = self.progress, self.is_kept.is_set()
        number, first = progress.next
        steps = Unit(progress.writer, number).steps()
        for at in range(first, len(steps)):
            while True:
                with contextlib.suppress(RefusedError):
                    run_step(wire, steps[at])
                    break
                time.sleep(0.01)
            progress.next = (number, at + 1)
        progress.next = (number + 1, 0)
        if self.replicas and wire.value("WAIT", str(self.replicas), str(wait_ms_max)) < self.replicas:
            return
        if was_kept and self.is_kept.is_set():
            progress.safe = number
            progress.history.append((time.monotonic(), number))


class Shadow:
    """A server that is never killed, and is brought to where another one is."""

    def __init__(self, shape: Shape, directives: dict[str, str]) -> None:
        self.server = Server(shape=shape, directives=directives)
        self.at = [(0, 0)] * writers_count

    def advance(self, wire: Wire, writer: int, to: tuple[int, int]) -> None:
        """Executes a writer's steps up to a place."""
        wire.call("SELECT", str(writer * databases_each))
        while self.at[writer] < to:
            number, step = self.at[writer]
            steps = Unit(writer, number).steps()
            run_step(wire, steps[step])
            self.at[writer] = (number, step + 1) if step + 1 < len(steps) else (number + 1, 0)


class Mixed:
    """Rounds on one directory, or from one primary to its replica."""

    def __init__(self, policy: str, seed: int, shape: Shape) -> None:
        self.policy, self.shape, self.random = policy, shape, random.Random(seed)
        self.directory = Path(tempfile.mkdtemp(prefix="sherd-mixed-"))
        (self.directory / "own.py").write_text(python_commands)
        self.common = {
            "enable-debug-command": "yes", "python-commands": str(self.directory / "own.py"),
            "repl-diskless-sync-delay": "0",
        }  # fmt: skip
        self.writers = [Progress(number) for number in range(writers_count)]
        self.shadow = Shadow(Shape(1, 1), self.common)
        self.server = self._serve()
        self.is_kept = threading.Event()
        self.units = self.lost = 0

    def _serve(self, **more: str) -> Server:
        files = {"dir": str(self.directory), "appendonly": "yes", "appendfsync": self.policy}
        is_linked = self.policy == "link"
        directives = {**self.common, **({} if is_linked else files), "auto-aof-rewrite-percentage": "0", **more}
        return Server(shape=self.shape, directives=directives)

    def round(self, event: str) -> None:
        """Write, kill, start again or take over, and check."""
        is_linked = self.policy == "link"
        replica = self._serve(replicaof=f"127.0.0.1 {self.server.port}") if is_linked else None
        if replica is not None:
            with replica.wire() as wire:
                await_link(wire)
        self.is_kept.set()
        threads = [Writer(self.server, progress, self.is_kept, int(is_linked)) for progress in self.writers]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.05, 0.4))
        with self.server.wire(timeout_seconds=60) as wire:
            self._disturb(wire, event)
        self.server.signal_and_wait(signal.SIGKILL)
        killed_at = time.monotonic()
        for thread in threads:
            thread.join(90)
            assert not thread.is_alive(), "a writer goes on without a server"
        self.server.stop()
        if replica is None:
            self.server = self._serve()
        else:
            self.server = replica
            with self.server.wire() as wire:
                assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
        self._check(killed_at)

    def _disturb(self, wire: Wire, event: str) -> None:
        if self.policy == "link":
            if event == "snapshot":
                wire.call("BGSAVE")
            elif event != "nothing":
                wire.call("CLIENT", "KILL", "TYPE", "replica")
            time.sleep(self.random.uniform(0, 0.3))
            return
        match event:
            case "rewrite" | "killed while it rewrites" | "snapshot":
                wire.call("BGSAVE" if event == "snapshot" else "BGREWRITEAOF")
                time.sleep(self.random.uniform(0, 0.3 if event == "rewrite" else 0.02))
            case "off and on" | "killed while it is off":
                self._turn_off(wire, is_on_again=event == "off and on")
            case "full" | "killed while it is full":
                self._fill_disk(has_room_again=event == "full")

    def _turn_off(self, wire: Wire, *, is_on_again: bool) -> None:
        self.is_kept.clear()
        assert wire.call("CONFIG", "SET", "appendonly", "no").raw == b"+OK\r\n"
        time.sleep(self.random.uniform(0, 0.1))
        if not is_on_again:
            return
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == b"+OK\r\n"
        if self.random.random() < 0.5:
            eventually(
                lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "it is appended again"
            )
            self.is_kept.set()
            time.sleep(self.random.uniform(0, 0.3))

    def _fill_disk(self, *, has_room_again: bool) -> None:
        """The limit of a file's size stands for the disk."""
        sizes = [file.stat().st_size for file in (self.directory / "appendonlydir").glob("*.incr.aof")]
        hard = resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE)[1]
        limit = max(sizes) + self.random.randrange(20_000)
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (limit, hard))
        time.sleep(self.random.uniform(0, 0.3))
        if has_room_again:
            resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (hard, hard))
            time.sleep(self.random.uniform(0, 0.3))

    def _check(self, killed_at: float) -> None:
        with self.server.wire(timeout_seconds=60) as wire, self.shadow.server.wire(timeout_seconds=60) as other:
            for progress in self.writers:
                self._check_writer(wire, other, progress, killed_at)

    def _check_writer(self, wire: Wire, other: Wire, progress: Progress, killed_at: float) -> None:
        writer, begun = progress.writer, progress.next
        safe = progress.safe_at(killed_at - loss_seconds_max) if self.policy == "everysec" else progress.safe
        wire.call("SELECT", str(writer * databases_each))
        there = int(wire.value("GET", "unit") or -1)
        assert safe <= there <= begun[0], f"writer {writer}: unit {safe} was safe, {there} is there, {begun} was begun"
        state = state_of(wire, writer)
        # Behind that unit, or behind any step of the next.
        last = len(Unit(writer, there + 1).steps())
        places = [place for place in ((there + 1, step) for step in range(last)) if place >= self.shadow.at[writer]]
        assert places, f"writer {writer}: unit {there} is there, {self.shadow.at[writer]} was before"
        for place in places:
            self.shadow.advance(other, writer, place)
            expected = state_of(other, writer)
            if state == expected:
                break
        else:
            wrong = {
                key: (state.get(key), expected.get(key))
                for key in {*state, *expected}
                if state.get(key) != expected.get(key)
            }
            raise AssertionError(f"writer {writer}: no step of unit {there + 1} leads to {wrong}")
        self.units += max(0, there - self.checked_before(progress))
        self.lost += max(0, progress.safe - there)
        progress.next, progress.safe, progress.history = place, there, [(0.0, there)]

    @staticmethod
    def checked_before(progress: Progress) -> int:
        """The unit that the last check has found."""
        return progress.history[0][1] if progress.history and progress.history[0][0] == 0.0 else -1

    def stop(self) -> None:
        """Stops both servers."""
        self.server.stop()
        self.shadow.server.stop()


def run(rounds: int, policy: str, seed: int, shape: Shape | None = None) -> Mixed:
    """So many rounds; raises AssertionError with what is wrong."""
    mixed = Mixed(policy, seed, shape or Shape(3, 2))
    try:
        for number in range(rounds):
            event = events[(number + seed) % len(events)]
            try:
                mixed.round(event)
            except AssertionError as error:
                raise AssertionError(
                    f"round {number} ({event}) of seed {seed} in {mixed.directory}: {error}"
                ) from error
    finally:
        mixed.stop()
    shutil.rmtree(mixed.directory, ignore_errors=True)
    return mixed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--policy", choices=["always", "everysec", "link"], default="")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    for policy in [options.policy] if options.policy else ["always", "everysec", "link"]:
        begun = time.monotonic()
        mixed = run(options.rounds, policy, options.seed)
        print(f"mixed, {policy}: {options.rounds} rounds, {mixed.units} units, {mixed.lost} acknowledged ones lost, "
              f"{time.monotonic() - begun:.0f} s, seed {options.seed}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
