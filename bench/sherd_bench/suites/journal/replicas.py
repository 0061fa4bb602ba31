"""A full sync from end to end, and what a replicated write costs both sides."""

from dataclasses import replace
from statistics import median

from sherd_bench.load import LoadError
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.suites.journal import plans, work
from sherd_bench.suites.journal.score import Bound, Score
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import BY_NAME

SYNC_RATIO_MAX = 0.7
CPU_RATIO_MAX = 0.6


def tables(session: Session, score: Score) -> list[Table]:
    """Seconds of a full sync of an idle primary, then CPU of both sides a pipelined SET."""
    pin = (session.parameters.pins or (Pin.NONE,))[0]
    pinned = session.pinned(pin)
    syncs: dict[str, list[float]] = {plan.label: [] for plan in session.plans}
    costs: dict[str, list[tuple[float, float]]] = {plan.label: [] for plan in session.plans}
    for turn in range(session.parameters.rounds):
        for plan in rotated(session.plans, turn):
            with session.running([plan], pin) as (primary,):
                plans.fill_keys(pinned, primary)
                with work.replica_to_be(pinned, primary, pin) as replica:
                    syncs[plan.label].append(_sync(pinned, primary, replica))
                    costs[plan.label].append(_cost(pinned, primary, replica))
            of_primary, of_replica = costs[plan.label][-1]
            session.log(
                f"{plan.label}: full sync {syncs[plan.label][-1]:.2f} s, SET us {of_primary:.3f} / {of_replica:.3f}"
            )
    return [_sync_table(session, score, pin, syncs), _cost_table(score, pin, costs)]


def _sync(session: Session, primary: RunningServer, replica: RunningServer) -> float:
    seconds = work.follow(replica, primary, work.CLOSE_LOOK_SECONDS)
    found = replica.client().call("DBSIZE")
    if found != plans.keys(session):
        raise LoadError(f"{primary.label}: a replica has {found} keys after its full sync")
    return seconds


def _cost(session: Session, primary: RunningServer, replica: RunningServer) -> tuple[float, float]:
    """Microseconds of CPU a SET, of the primary and of its replica."""
    requests = session.parameters.requests(BY_NAME["set"], plans.PIPELINE)
    plan = replace(plans.unbounded(session, plans.SET), requests=requests, duration_seconds=None)
    primary.settle()
    replica.settle()
    before = primary.cpu_seconds(), replica.cpu_seconds()
    result = session.generator.run(primary, plan)
    work.wait_for_replica(primary)
    after = primary.cpu_seconds(), replica.cpu_seconds()
    session.note_errors(primary, "SET", result)
    of_primary, of_replica = ((end - begin) / result.requests * 1e6 for begin, end in zip(before, after, strict=True))
    return of_primary, of_replica


def _sync_table(session: Session, score: Score, pin: Pin, syncs: dict[str, list[float]]) -> Table:
    labels = list(syncs)
    heading = f"A full sync of {plans.keys(session):,} keys from end to end, {pin.describe()}, seconds"
    table = Table(heading, ["from REPLICAOF until", *labels, *ratio_columns(labels)])
    taken = {label: median(seconds) for label, seconds in syncs.items()}
    table.rows.append(["the link is up", *map(number, taken.values()), *ratios(taken)])
    score.add(f"full sync of {plans.keys(session):,} keys: seconds", taken, Bound(SYNC_RATIO_MAX))
    return table


def _cost_table(score: Score, pin: Pin, costs: dict[str, list[tuple[float, float]]]) -> Table:
    labels = list(costs)
    heading = f"CPU a replicated SET, pipeline {plans.PIPELINE}, {pin.describe()}, microseconds"
    table = Table(heading, ["of", *labels, *ratio_columns(labels)])
    for side, name in enumerate(("primary", "replica")):
        taken = {label: median(pair[side] for pair in pairs) for label, pairs in costs.items()}
        table.rows.append([name, *map(number, taken.values()), *ratios(taken)])
        score.add(f"replicated SET pipeline {plans.PIPELINE}: CPU of the {name}, us", taken, Bound(CPU_RATIO_MAX))
    return table
