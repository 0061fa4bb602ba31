"""The crash harness over a link: writers wait for a replica (WAIT), the primary is killed at a random moment, the replica is
made the primary, and what it has is held against the notes. With `--tls` the link is encrypted.

    python -m tests.durability.failover --rounds 20 [--seed 7] [--tls]

Each round begins with a new replica of the last round's survivor, sometimes has the link broken or a snapshot taken
meanwhile, and ends with SIGKILL. What must hold: every write that a replica has acknowledged is there, a list has its
elements in order and none twice, and of a transaction there is all or nothing.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sherd.certificates import make_certificates
from tests.durability.crash import Notes, Writer, check_list, writers_count
from tests.replication.support import await_link
from tests.support.servers import Server, ServerDidNotStart, Shape, free_port


@dataclass
class Failovers:
    """Rounds from one primary to the next. waited: elements that a replica has acknowledged."""

    seed: int
    shape: Shape = field(default_factory=Shape)
    appendonly: str = "no"
    # Where the certificates of an encrypted link are.
    certificates: Path | None = None
    kills: int = 0
    checked: int = 0
    waited: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.notes = [Notes(number) for number in range(writers_count)]
        self.primary = self._serve()

    def _serve(self, **more: str) -> Server:
        tls = {} if self.certificates is None else {
            "tls-port": str(free_port()), "tls-replication": "yes", "tls-ca-cert-file": str(self.certificates / "ca.crt"),
            "tls-cert-file": str(self.certificates / "server.crt"), "tls-key-file": str(self.certificates / "server.key"),
        }  # fmt: skip
        return Server(shape=self.shape, directives={
            "repl-diskless-sync-delay": "0", "appendonly": self.appendonly, "auto-aof-rewrite-percentage": "0", **tls, **more
        })  # fmt: skip

    def round(self) -> None:
        """Write and wait, kill, take over, check."""
        replica = self._serve(replicaof=f"127.0.0.1 {self.primary.directives.get('tls-port', self.primary.port)}")
        try:
            with replica.wire() as wire:
                await_link(wire)
                self._write_until_killed()
                assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
                for notes in self.notes:
                    self.lost += check_list(wire, notes, notes.acknowledged, "waited for")
                    self.checked += 1
        except BaseException:
            replica.stop()
            raise
        self.primary.stop()
        self.primary = replica

    def _write_until_killed(self) -> None:
        before = sum(notes.acknowledged for notes in self.notes)
        threads = [Writer(self.primary, notes, self.random.randrange(1 << 30), replicas=1) for notes in self.notes]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.05, 0.5))
        disturbance = self.random.choice((None, ("CLIENT", "KILL", "TYPE", "replica"), ("BGSAVE",)))
        if disturbance is not None:
            with self.primary.wire() as wire:
                wire.call(*disturbance)
            time.sleep(self.random.uniform(0, 0.2))
        self.primary.signal_and_wait(signal.SIGKILL)
        self.kills += 1
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a writer goes on without a server"
        errors = [notes.error for notes in self.notes if notes.error]
        assert not errors, f"a write was refused: {errors[0]}"
        self.waited += sum(notes.acknowledged for notes in self.notes) - before


def run(
    rounds: int, seed: int, shape: Shape | None = None, appendonly: str = "no", *, encrypts: bool = False
) -> Failovers:
    """So many rounds; raises AssertionError with what was lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tls" if encrypts else None
        if folder is not None:
            make_certificates(folder, ["localhost", "127.0.0.1"])
        failovers = Failovers(seed, shape or Shape(2, 2), appendonly, folder)
        try:
            for number in range(rounds):
                try:
                    failovers.round()
                except (AssertionError, ServerDidNotStart) as error:
                    raise AssertionError(f"round {number} of seed {seed}: {error}") from error
        finally:
            failovers.primary.stop()
    return failovers


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--tls", action="store_true", help="encrypt the link")
    options = parser.parse_args()
    for appendonly in ("no", "yes"):
        begun = time.monotonic()
        failovers = run(options.rounds, options.seed, appendonly=appendonly, encrypts=options.tls)
        print(f"failover{' over TLS' if options.tls else ''}, appendonly {appendonly}: {options.rounds} rounds, {failovers.kills} kills, {failovers.checked} lists "
              f"checked, {failovers.waited} writes waited for, {failovers.lost} of them lost, "
              f"{time.monotonic() - begun:.0f} s, seed {options.seed}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
