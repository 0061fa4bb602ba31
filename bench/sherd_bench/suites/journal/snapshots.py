"""How long a snapshot takes until its file is written, and what others lose meanwhile."""

import time
from collections.abc import Callable
from statistics import median

from sherd_bench import procfs
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session
from sherd_bench.suites.journal import plans, work
from sherd_bench.suites.journal.score import Bound, Score
from sherd_bench.tables import Table, number

BUSY_SECONDS, QUICK_BUSY_SECONDS = 4.0, 1.0
TIME_RATIO_MAX = 0.8
KEPT_SHARE_MIN = 0.7


def tables(session: Session, score: Score) -> list[Table]:
    """BGSAVE of an idle server, and of one with clients who ask as fast as they can."""
    pin = (session.parameters.pins or (Pin.NONE,))[0]
    pinned = session.pinned(pin)
    columns = ["server", "idle: seconds", "server CPU seconds", "thousand requests a second without", "during", "kept"]
    table = Table(f"A snapshot of {plans.keys(session):,} keys, {pin.describe()}", columns)
    table.note = f"the requests are GET and SET, half each, closed loop, pipeline {plans.PIPELINE}"
    seconds, kept = {}, {}
    for plan in session.plans:
        with session.running([plan], pin) as (server,):
            plans.fill_keys(pinned, server)
            idle = [_idle(server) for _ in range(session.parameters.rounds)]
            seconds[plan.label] = median(taken for taken, _ in idle)
            rates = [_busy(pinned, server) for _ in range(session.parameters.rounds)]
            kept[plan.label] = median(during / without for without, during in rates)
            figures = [
                seconds[plan.label],
                median(cpu for _, cpu in idle),
                median(without for without, _ in rates) / 1e3,
                median(during for _, during in rates) / 1e3,
                kept[plan.label],
            ]
            table.rows.append([plan.label, *map(number, figures)])
            session.log(" ".join(table.rows[-1]))
    score.add(f"snapshot of {plans.keys(session):,} keys: seconds until it is written", seconds, Bound(TIME_RATIO_MAX))
    bound = Bound(KEPT_SHARE_MIN, is_most=False, of_reference=False)
    score.add("throughput of others during a snapshot, share", kept, bound)
    return [table]


def _idle(server: RunningServer) -> tuple[float, float]:
    before = _cpu_seconds(server)
    seconds = work.snapshot(server, work.CLOSE_LOOK_SECONDS)
    return seconds, _cpu_seconds(server) - before


def _cpu_seconds(server: RunningServer) -> float:
    """With the child that a server may have made for it."""
    return server.cpu_seconds() + procfs.ended_children_seconds(server.pid)


def _busy(session: Session, server: RunningServer) -> tuple[float, float]:
    """Requests a second without a snapshot, and while one after the other is taken."""
    seconds = QUICK_BUSY_SECONDS if session.parameters.quick else BUSY_SECONDS
    return _rate(session, server, lambda: time.sleep(seconds)), _rate(session, server, lambda: _for(server, seconds))


def _for(server: RunningServer, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        work.snapshot(server)


def _rate(session: Session, server: RunningServer, meanwhile: Callable[[], object]) -> float:
    with session.generator.start(server, plans.unbounded(session, plans.GET, plans.SET)) as running:
        meanwhile()
        result = running.stop()
    session.note_errors(server, "GET and SET", result)
    return result.requests_per_second
