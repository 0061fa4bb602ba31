"""What a long script does to those who want nothing of its keys: part of the scripts suite.

One client has scripts of about 100 ms run one after another on a key of the lower half of the slots; a probe in open
loop reads a key of the upper half meanwhile. A server with one thread for all commands answers the probe when a script
has ended; one with shards need not notice, as long as a core is left. How much of what it does notice is the machine's
is told by a process that has nothing to do with the server and computes for as long as the scripts do.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from sherd_bench.load import PROBE_TIME_SLICE_US, LoadPlan, LoadResult
from sherd_bench.resp import Client
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number

# The slots of these keys are 5061 and 12182: with two shards, each has one.
SCRIPT_KEY = "bar"
PROBED_KEY = "foo"
SCRIPT = "redis.call('GET', KEYS[1]) local s = 0 for i = 1, tonumber(ARGV[1]) do s = s + i end return s"
SCRIPT_SECONDS = 0.1
# Computes for as long, and sleeps for as long as a client takes to send the next script.
OTHER_PROCESS = f"""
import time
while True:
    end = time.monotonic() + {SCRIPT_SECONDS}
    while time.monotonic() < end:
        pass
    time.sleep(0.0003)
"""
# So many additions take some milliseconds, from which the number for a whole script is reckoned.
CALIBRATION_ADDITIONS = 1_000_000
PROBES_PER_SECOND = 1000
PROBE_CLIENTS = 16
SECONDS = 4.0
QUICK_SECONDS = 1.0


def table(session: Session) -> Table:
    """Latencies of the probe, alone and beside scripts, the median of the rounds by the 99th percentile."""
    plans = [
        replace(plan, extra_arguments=(*plan.extra_arguments, "--shards", "2")) if plan.kind.name == "sherd" else plan
        for plan in session.plans
    ]
    seconds = QUICK_SECONDS if session.parameters.quick else SECONDS
    found: dict[tuple[str, str], list[LoadResult]] = {}
    lengths: dict[str, list[float]] = {}
    with session.running(plans, Pin.NONE) as servers:
        for server in servers:
            server.client().call("SET", PROBED_KEY, "x")
        for turn in range(session.parameters.rounds):
            for server in rotated(servers, turn):
                found.setdefault((server.label, "nothing else runs"), []).append(_probe(session, server, seconds))
                with _Scripts(server) as scripts:
                    found.setdefault((server.label, "scripts run"), []).append(_probe(session, server, seconds))
                with _other_process():
                    found.setdefault((server.label, "another process runs"), []).append(
                        _probe(session, server, seconds)
                    )
                lengths.setdefault(server.label, []).extend(scripts.seconds)
    labels = [server.label for server in servers]
    result = Table("GETs of another shard's key while scripts of 100 ms run, milliseconds", ["while", *labels])
    result.note = (
        f"p50 / p99 / maximum of a probe that reads {PROBES_PER_SECOND:,} times a second; Sherd has two shards. "
        "A script's own time is the median of those that ran. The other process computes as scripts do, and asks "
        "the server for nothing: what the machine itself makes a probe wait."
    )
    for name in ("nothing else runs", "scripts run", "another process runs"):
        result.rows.append([name, *(_cell(found[label, name]) for label in labels)])
    result.rows.append(["a script's own time", *(_median_ms(lengths[label]) for label in labels)])
    return result


def _probe(session: Session, server: RunningServer, seconds: float) -> LoadResult:
    plan = LoadPlan(
        commands=(f"GET {PROBED_KEY}",),
        clients=PROBE_CLIENTS,
        rate=PROBES_PER_SECOND,
        time_slice_us=PROBE_TIME_SLICE_US,
        duration_seconds=seconds,
        keys=1,
    )
    probed = session.generator.run(server, plan)
    session.note_errors(server, "GET beside scripts", probed)
    return probed


def _cell(rounds: list[LoadResult]) -> str:
    median = sorted(rounds, key=lambda result: result.p99_us)[len(rounds) // 2]
    return " / ".join(number(value / 1e3) for value in (median.p50_us, median.p99_us, median.max_us))


def _median_ms(seconds: list[float]) -> str:
    return number(sorted(seconds)[len(seconds) // 2] * 1e3)


@contextmanager
def _other_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", OTHER_PROCESS])  # noqa: S603 (constant words)
    try:
        yield
    finally:
        process.kill()
        process.wait()


class _Scripts:
    """A client that has one script after another run until it is told to stop."""

    def __init__(self, server: RunningServer) -> None:
        self.seconds: list[float] = []
        self._server = server
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()

    def _run(self) -> None:
        with Client(self._server.port) as client:

            def run(additions: int) -> float:
                started = time.monotonic()
                client.call("EVAL", SCRIPT, "1", SCRIPT_KEY, str(additions))
                return time.monotonic() - started

            run(CALIBRATION_ADDITIONS)
            additions = int(CALIBRATION_ADDITIONS * SCRIPT_SECONDS / run(CALIBRATION_ADDITIONS))
            while not self._is_ending.is_set() or not self.seconds:
                self.seconds.append(run(additions))
