"""The pauses suite: the longest time for which the server answers nobody.

A probe sends a GET every 0.5 ms in open loop; its highest latency is the longest pause, plus the machine's own
scheduling noise, which the row of an idle server shows. Filling is done gently (few connections, short pipelines), so
that a probe waits for pauses and not behind a queue of fill commands. Times with noise are upper bounds; a server
that reports its own longest pause in INFO is quoted beside them. What large collections of each type cost the commands
that come later is a table of its own (`growth.py`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sherd_bench.document import Findings
from sherd_bench.load import PROBE_TIME_SLICE_US, LoadPlan, LoadResult
from sherd_bench.resp import ServerError
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.suites import growth
from sherd_bench.tables import Table, number

# The probe must not become a queue of its own: each connection is busy for a small part of the time.
PROBES_PER_SECOND = 2000
PROBE_CLIENTS = 16
PROBE_SECONDS_MAX = 600.0
LEAD_SECONDS = 0.3
IDLE_SECONDS = 3.0
VALUE_BYTES = 16
BIG_SET = "big"


@dataclass(frozen=True)
class Phase:
    """Work that the probe watches, after a preparation that it does not."""

    work: Callable[[RunningServer], None]
    prepare: Callable[[RunningServer], None] = lambda _: None


def run(session: Session) -> Findings:
    """Idle, filling, deleting a big set, emptying."""
    parameters = session.parameters
    keys = parameters.scaled(10_000_000, 1_000_000)
    members = parameters.scaled(5_000_000, 500_000)
    probes: dict[str, dict[str, list[LoadResult]]] = {}
    own_fields: dict[str, str] = {}
    slices: dict[str, Table] = {}
    for turn in range(parameters.rounds):
        # One server at a time: each holds gigabytes.
        for plan in rotated(session.plans, turn):
            pin = (parameters.pins or (Pin.NONE,))[0]
            with session.running([plan], pin) as (server,):
                pinned = session.pinned(pin)
                for name, phase in _phases(pinned, keys, members).items():
                    probed = _probe(pinned, server, phase)
                    probes.setdefault(name, {}).setdefault(plan.label, []).append(probed)
                    session.log(f"{plan.label}: {name}: max ms {number(probed.max_us / 1e3)}")
                own_fields[plan.label] = _own_fields(server)
                if turn == 0 and (found := growth.table(pinned, server, members)) is not None:
                    slices[plan.label] = found
    labels = [plan.label for plan in session.plans]
    table = Table("Latency of a probe while the server works, milliseconds", ["while", *labels])
    table.note = "p99 / p99.9 / maximum of the round with the median maximum"
    for name, by_label in probes.items():
        table.rows.append([name, *(_cell(by_label[label]) for label in labels)])
    table.rows.append(["INFO's own pause fields", *(own_fields[label] for label in labels)])
    method = (
        f"A probe sends GET {PROBES_PER_SECOND:,} times a second in open loop over {PROBE_CLIENTS} connections of its "
        f"own; its highest latency bounds the longest pause from above. Keys have {VALUE_BYTES}-byte values. The idle "
        "row shows the noise of the machine itself."
    )
    return Findings("Pauses", method, [table, *slices.values()])


def _phases(session: Session, keys: int, members: int) -> dict[str, Phase]:
    """What the probe watches, in this order; each may use what the one before left."""

    def delete_set(command: str) -> Phase:
        return Phase(
            prepare=lambda server: _prepare_set(session, server, members),
            work=lambda server: _call(server, command, BIG_SET),
        )

    return {
        "idle": Phase(work=lambda _: time.sleep(IDLE_SECONDS)),
        f"filling {keys:,} keys": Phase(
            work=lambda server: growth.fill_gently(session, server, "SET key:__int:10__ __data__", keys, VALUE_BYTES)
        ),
        f"FLUSHALL of {keys:,} keys": Phase(work=lambda server: _call(server, "FLUSHALL")),
        f"DEL of a set of {members:,} members": delete_set("DEL"),
        f"UNLINK of a set of {members:,} members": delete_set("UNLINK"),
    }


def _prepare_set(session: Session, server: RunningServer, members: int) -> None:
    server.flush()
    session.fill(server, f"SADD {BIG_SET} member:__int:10__", members)


def _cell(rounds: list[LoadResult]) -> str:
    median = sorted(rounds, key=lambda result: result.max_us)[len(rounds) // 2]
    return " / ".join(number(value / 1e3) for value in (median.p99_us, median.p99_9_us, median.max_us))


def _probe(session: Session, server: RunningServer, phase: Phase) -> LoadResult:
    phase.prepare(server)
    plan = LoadPlan(
        commands=("GET probe",),
        clients=PROBE_CLIENTS,
        rate=PROBES_PER_SECOND,
        time_slice_us=PROBE_TIME_SLICE_US,
        duration_seconds=PROBE_SECONDS_MAX,
        keys=1,
    )
    with session.generator.start(server, plan) as running:
        time.sleep(LEAD_SECONDS)
        phase.work(server)
        # What a server frees in the background may still disturb.
        time.sleep(LEAD_SECONDS)
        return running.stop()


def _call(server: RunningServer, *arguments: str) -> None:
    server.client().call(*arguments)


def _own_fields(server: RunningServer) -> str:
    try:
        info = server.client().info("all")
    except ServerError:
        return "-"
    fields = [f"{name} {value}" for name, value in info.items() if "longest" in name or "pause_max" in name]
    return ", ".join(fields) or "-"
