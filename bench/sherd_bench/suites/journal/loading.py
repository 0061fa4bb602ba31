"""How long a server takes to start with data: a snapshot, or an append-only file of one command a key.

Each server loads the files that it has written itself. The time is from its start until it answers PING; what a start
without data takes is taken off, and stands beside it. Servers take turns, one at a time.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sherd_bench import procfs
from sherd_bench.load import LoadError
from sherd_bench.servers import ServerPlan, start
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.suites.journal import plans
from sherd_bench.suites.journal.score import Bound, Score
from sherd_bench.tables import Table, number, ratio_columns, ratios

RATIO_MAX = 0.6
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class _Source:
    """What a server finds when it starts: its arguments, and whether it has keys."""

    name: str
    arguments: tuple[str, ...] = ()
    has_keys: bool = True


NOTHING = _Source("nothing", has_keys=False)
SNAPSHOT = _Source("snapshot")
# Never rewritten: that would make a snapshot of it.
APPENDED = _Source("append-only file", ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"))
SOURCES = (NOTHING, SNAPSHOT, APPENDED)


@dataclass(frozen=True)
class _Start:
    """Seconds until PONG, CPU seconds and resident bytes by then."""

    seconds: float
    cpu_seconds: float
    resident_bytes: int


def tables(session: Session, score: Score) -> list[Table]:
    """Seconds, CPU and memory of a start with nothing, a snapshot, an append-only file."""
    pin = (session.parameters.pins or (Pin.NONE,))[0]
    pinned = session.pinned(pin)
    starts: dict[_Source, dict[str, list[_Start]]] = {}
    with ExitStack() as stack:
        folders: dict[tuple[_Source, str], Path] = {}
        for plan in session.plans:
            for source in SOURCES:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix=f"bench-{plan.label}-")))
                folders[source, plan.label] = folder
                if source.has_keys:
                    _make(pinned, plan, source, (folder, pin))
        for turn in range(session.parameters.rounds):
            for source in SOURCES:
                for plan in rotated(session.plans, turn):
                    begun = _start(pinned, plan, source, (folders[source, plan.label], pin))
                    starts.setdefault(source, {}).setdefault(plan.label, []).append(begun)
                    session.log(f"{plan.label}: {source.name}: {begun.seconds:.2f} s")
    return _tables(session, score, pin, starts)


def _with_arguments(plan: ServerPlan, source: _Source) -> ServerPlan:
    return replace(plan, extra_arguments=(*plan.extra_arguments, *source.arguments))


def _make(session: Session, plan: ServerPlan, source: _Source, where: tuple[Path, Pin]) -> None:
    """Has a server write what it is to load."""
    folder, pin = where
    server = start(_with_arguments(plan, source), pin.cores()[0], folder)
    try:
        plans.fill_keys(session, server)
        if not source.arguments:
            server.client().call("SAVE")
    finally:
        server.stop()


def _start(session: Session, plan: ServerPlan, source: _Source, where: tuple[Path, Pin]) -> _Start:
    folder, pin = where
    server = start(_with_arguments(plan, source), pin.cores()[0], folder)
    try:
        session.versions[server.label] = server.version
        begun = _Start(server.ready_seconds, server.cpu_seconds(), procfs.resident_bytes(server.pid))
        found = server.client().call("DBSIZE")
        if found != (plans.keys(session) if source.has_keys else 0):
            raise LoadError(f"{server.label}: {found} keys after a start with {source.name}")
        return begun
    finally:
        server.stop()


def _tables(session: Session, score: Score, pin: Pin, starts: dict[_Source, dict[str, list[_Start]]]) -> list[Table]:
    labels = [plan.label for plan in session.plans]
    seconds = Table(
        f"A start with {plans.keys(session):,} keys, {pin.describe()}: seconds until PONG",
        ["with", *labels, *ratio_columns(labels)],
    )
    others = Table("The same: server CPU seconds and resident MiB by then", ["with", *labels])
    bare = _medians(starts[NOTHING], labels)
    for source in SOURCES:
        taken = _medians(starts[source], labels)
        seconds.rows.append([source.name, *map(number, taken.values()), *ratios(taken)])
        others.rows.append([source.name, *(_others(starts[source][label]) for label in labels)])
        if source.has_keys:
            loading = {label: max(1e-3, taken[label] - bare[label]) for label in labels}
            seconds.rows.append([f"{source.name}, less nothing", *map(number, loading.values()), *ratios(loading)])
            score.add(f"loading {plans.keys(session):,} keys, {source.name}: seconds", loading, Bound(RATIO_MAX))
    return [seconds, others]


def _medians(starts: dict[str, list[_Start]], labels: Sequence[str]) -> dict[str, float]:
    return {label: median(one.seconds for one in starts[label]) for label in labels}


def _others(taken: Sequence[_Start]) -> str:
    cpu = median(one.cpu_seconds for one in taken)
    return f"{number(cpu)} / {number(median(one.resident_bytes for one in taken) / MEBIBYTE)}"
