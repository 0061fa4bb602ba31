"""What an append-only file costs a request, and what others lose to writers that wait for the disk.

Each server is told by CONFIG SET, and waited for until its first rewrite is over. The files are in its folder,
on whatever disk the temporary folder is on: under `always` that disk is what is measured.

Whether the journal costs anything while nobody listens can only be told beside a server without one: an older Sherd,
which `SHERD_BENCH_BEFORE` names, is then a column of its own.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from sherd_bench.load import LoadPlan, LoadResult
from sherd_bench.servers import KINDS, RunningServer, ServerPlan
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.suites.grid import Grid, measure
from sherd_bench.suites.journal import work
from sherd_bench.suites.journal.score import MEASURED, Bound, Score
from sherd_bench.tables import Table, number
from sherd_bench.workloads import BY_NAME

BEFORE = "before"
BEFORE_VARIABLE = "SHERD_BENCH_BEFORE"
PIPELINES = (1, 16)
READ_SECONDS, QUICK_READ_SECONDS = 4.0, 1.0
LEAD_SECONDS = 0.3
CPU_RATIO_MAX = 0.5
ALWAYS_RATIO_MIN = 1.3
READ_RATIO_MIN = 0.95
UNHEARD_RATIO_MAX = 1.02


def tables(session: Session, score: Score) -> list[Table]:
    """SET under every policy, GET without, and GETs beside SETs that wait for the disk."""
    found = []
    for pin in session.parameters.pins or (Pin.APART,):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            found += _policies(pinned, servers, pin, score)
            found.append(_readers(pinned, servers, pin, score))
        found += _unheard(pinned, pin, score)
    return found


def _policies(session: Session, servers: Sequence[RunningServer], pin: Pin, score: Score) -> list[Table]:
    found = []
    for policy in ("off", "everysec", "always"):
        for server in servers:
            work.set_policy(server, policy)
        heading = f"Append-only file {policy}, {pin.describe()}"
        session.log(heading)
        grid = measure(session, servers, [BY_NAME["set"]], pipelines=PIPELINES)
        found += [grid.cpu_table(heading), grid.throughput_table(heading), grid.latency_table(heading)]
        if policy == "off":
            continue
        cpu = {label: cell.server_cpu_us_per_request for label, cell in grid.cells["SET", 16].items()}
        score.add(f"SET pipeline 16, {policy}: server CPU a request, us", cpu, Bound(CPU_RATIO_MAX))
        if policy == "always":
            rate = {label: cell.requests_per_second / 1e3 for label, cell in grid.cells["SET", 1].items()}
            bound = Bound(ALWAYS_RATIO_MIN, is_most=False)
            score.add("SET pipeline 1, always: thousand requests a second", rate, bound)
    return found


def _readers(session: Session, servers: Sequence[RunningServer], pin: Pin, score: Score) -> Table:
    """GETs in closed loop beside SETs: first such that wait for the disk, then as many a second that do not."""
    columns = ["server", "SET under `always`", "GET beside them", "GET beside as many without", "share that is left"]
    heading = f"Readers beside writers who wait for the disk, {pin.describe()}: thousand requests a second"
    table = Table(heading, columns)
    shares: dict[str, list[tuple[float, float, float]]] = {server.label: [] for server in servers}
    for turn in range(session.parameters.rounds):
        for server in rotated(servers, turn):
            shares[server.label].append(_beside(session, server))
    kept = {}
    for label, rounds in shares.items():
        kept[label] = median(reads / without for _, reads, without in rounds)
        figures = [median(of_round[index] for of_round in rounds) / 1e3 for index in range(3)]
        table.rows.append([label, *map(number, figures), number(kept[label])])
        session.log(" ".join(table.rows[-1]))
    bound = Bound(READ_RATIO_MIN, is_most=False, of_reference=False)
    score.add("GETs of others beside `always`, share of their rate without", kept, bound)
    return table


def _beside(session: Session, server: RunningServer) -> tuple[float, float, float]:
    """SETs a second under `always`, GETs a second beside them, and beside as many SETs without a file."""
    server.flush()
    session.fill(server, "set", session.parameters.keys)
    writes = replace(session.base_plan(), commands=("set",), duration_seconds=work.WAIT_SECONDS_MAX)
    work.set_policy(server, "always")
    written, reads = _read_beside(session, server, writes)
    work.set_policy(server, "off")
    same = replace(writes, rate=max(1, round(written.requests_per_second)))
    _, without = _read_beside(session, server, same)
    return written.requests_per_second, reads.requests_per_second, without.requests_per_second


def _read_beside(session: Session, server: RunningServer, writes: LoadPlan) -> tuple[LoadResult, LoadResult]:
    seconds = QUICK_READ_SECONDS if session.parameters.quick else READ_SECONDS
    reads = replace(session.base_plan(), commands=("get",), duration_seconds=seconds)
    with session.generator.start(server, writes) as running:
        time.sleep(LEAD_SECONDS)
        read = session.generator.run(server, reads)
        written = running.stop()
    session.note_errors(server, "set", written)
    session.note_errors(server, "get", read)
    return written, read


def _unheard(session: Session, pin: Pin, score: Score) -> list[Table]:
    """SET and GET with nobody listening, beside a Sherd of before where there is one."""
    plans = [plan for plan in session.plans if plan.label == MEASURED]
    if not plans or not os.environ.get(BEFORE_VARIABLE):
        return []
    kind = replace(KINDS[MEASURED], environment_variable=BEFORE_VARIABLE)
    with session.running([*plans, ServerPlan(BEFORE, kind, plans[0].extra_arguments)], pin) as servers:
        heading = f"Nobody listens, {pin.describe()}"
        session.log(heading)
        grid = measure(session, servers, [BY_NAME["set"], BY_NAME["get"]], pipelines=PIPELINES)
    for name in ("SET", "GET"):
        score.add(
            f"{name} pipeline 16, nobody listening: CPU beside that of before",
            {MEASURED: _ratio(grid, name)},
            Bound(UNHEARD_RATIO_MAX, of_reference=False),
        )
    return [grid.cpu_table(heading)]


def _ratio(grid: Grid, name: str) -> float:
    cell = grid.cells[name, 16]
    return cell[MEASURED].server_cpu_us_per_request / cell[BEFORE].server_cpu_us_per_request
