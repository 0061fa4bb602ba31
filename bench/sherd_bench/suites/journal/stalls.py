"""How long others wait while the data are saved, rewritten or sent to a replica under writes, and the memory it takes.

A probe sends a GET every millisecond in open loop, so its highest latency is the longest stall from above. The same
load is watched without anything else for as long as the longest of the rest took, since what a machine does by itself
shows in any maximum: a median of several rounds says more. For large collections a second probe sends HSETs to one of
them. A replica is a running server before it is watched how it is synced, and goes on following until the probes have
ended: the start and the end of a process are not what is asked for.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from sherd_bench.load import LoadPlan, LoadResult
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session
from sherd_bench.suites.journal import plans, work
from sherd_bench.suites.journal.score import Bound, Score
from sherd_bench.tables import Table, number

LEAD_SECONDS = 0.5
ALONE_SECONDS_MIN = 2.0
MEMORY_LOOK_SECONDS = 0.05
STALL_MILLISECONDS_MAX = 2.0
MEMORY_SHARE_MAX = 0.1
MEMORY_BYTES_MAX = 64 << 20
MEBIBYTE = 1 << 20
EVENTS = ("BGSAVE", "full sync", "BGREWRITEAOF")
ALONE = {"BGSAVE": "the load alone", "full sync": "the load alone", "BGREWRITEAOF": "the load alone, with a file"}


@dataclass(frozen=True)
class Watched:
    """What the probes saw while something went on for so long: p99, p99.9 and maximum, in microseconds, as medians."""

    get: tuple[float, ...]
    hset: tuple[float, ...] | None
    writes_per_second: float
    seconds: float

    @classmethod
    def of(cls, rounds: Sequence["Round"]) -> "Watched":
        """All rounds in one."""
        hset = [one.hset for one in rounds if one.hset]
        return cls(
            get=_medians([one.get for one in rounds]),
            hset=_medians(hset) if hset else None,
            writes_per_second=min(one.load.requests_per_second for one in rounds),
            seconds=median(one.seconds for one in rounds),
        )


@dataclass(frozen=True)
class Round:
    """The same of one time."""

    get: LoadResult
    hset: LoadResult | None
    load: LoadResult
    seconds: float


def _medians(results: Sequence[LoadResult]) -> tuple[float, ...]:
    return tuple(
        median(figures) for figures in zip(*((one.p99_us, one.p99_9_us, one.max_us) for one in results), strict=True)
    )


@dataclass(frozen=True)
class Memory:
    """Physical memory before a snapshot, and by how much it was more at most while one was taken."""

    before_bytes: int
    above_bytes: int


def tables(session: Session, score: Score) -> list[Table]:
    """Small keys, then large collections; memory with the former."""
    pin = (session.parameters.pins or (Pin.NONE,))[0]
    pinned = session.pinned(pin)
    small, large, memory = {}, {}, {}
    for plan in session.plans:
        # One server at a time: what it needs beside its data is not to be taken from others.
        with session.running([plan], pin) as (server,):
            plans.fill_keys(pinned, server)
            small[plan.label] = _watch_all(pinned, server, plans.key_writes(pinned))
            memory[plan.label] = _memory(pinned, server)
        with session.running([plan], pin) as (server,):
            plans.fill_collections(pinned, server)
            large[plan.label] = _watch_all(pinned, server, plans.collection_writes(pinned), hset=True)
    return [
        _table(session, score, f"{plans.keys(session):,} small keys", small, plans.key_writes(session)),
        _memory_table(score, memory),
        _table(session, score, f"collections of {plans.elements(session):,}", large, plans.collection_writes(session)),
    ]


def _watch_all(session: Session, server: RunningServer, load: LoadPlan, *, hset: bool = False) -> dict[str, Watched]:
    def synced_round() -> Round:
        with work.replica_to_be(session, server) as replica:
            return _watch(session, server, load, lambda: work.follow(replica, server), hset=hset)

    def watch(name: str, event: Callable[[], float]) -> Watched:
        return watch_rounds(name, lambda: _watch(session, server, load, event, hset=hset))

    def watch_rounds(name: str, watch_round: Callable[[], Round]) -> Watched:
        watched = Watched.of([watch_round() for _ in range(session.parameters.rounds)])
        session.log(f"{server.label}: {name}: {watched.seconds:.1f} s, GET max ms {number(watched.get[-1] / 1e3)}")
        return watched

    def alone(*others: Watched) -> float:
        time.sleep(max(ALONE_SECONDS_MIN, *(other.seconds for other in others)))
        return 0.0

    seen = {
        "BGSAVE": watch("BGSAVE", lambda: work.snapshot(server)),
        "full sync": watch_rounds("full sync", synced_round),
    }
    name = ALONE["BGSAVE"]
    seen[name] = watch(name, lambda: alone(*seen.values()))
    work.set_policy(server, "everysec")
    seen["BGREWRITEAOF"] = watch("BGREWRITEAOF", lambda: work.rewrite(server))
    name = ALONE["BGREWRITEAOF"]
    seen[name] = watch(name, lambda: alone(seen["BGREWRITEAOF"]))
    work.set_policy(server, "off")
    return seen


def _watch(session: Session, server: RunningServer, load: LoadPlan, event: Callable[[], float], *, hset: bool) -> Round:
    with ExitStack() as stack:
        loading = stack.enter_context(session.generator.start(server, load))
        time.sleep(LEAD_SECONDS)
        probe = stack.enter_context(session.generator.start(server, plans.probe(session, "GET probe", 1)))
        writer = None
        if hset:
            plan = plans.probe(session, plans.COLLECTIONS[0], plans.elements(session))
            writer = stack.enter_context(session.generator.start(server, plan))
        time.sleep(LEAD_SECONDS)
        seconds = event()
        time.sleep(LEAD_SECONDS)
        watched = Round(probe.stop(), writer.stop() if writer else None, loading.stop(), seconds)
    session.note_errors(server, ", ".join(load.commands), watched.load)
    server.settle()
    return watched


def _table(session: Session, score: Score, of: str, seen: dict[str, dict[str, Watched]], load: LoadPlan) -> Table:
    labels = list(seen)
    table = Table(f"Latency of probes under writes to {of}, milliseconds", ["while", "probe", *labels])
    table.note = (
        f"p99 / p99.9 / maximum, each the median of the rounds, and in brackets the seconds that it took; "
        f"{load.rate or 0:,} writes a second, pipeline {load.pipeline}, {plans.PROBES_PER_SECOND:,} probes a second"
    )
    for name in (*EVENTS[:2], ALONE["BGSAVE"], EVENTS[2], ALONE["BGREWRITEAOF"]):
        table.rows.append([name, "GET", *(_cell(seen[label][name].get, seen[label][name]) for label in labels)])
        if all(seen[label][name].hset for label in labels):
            table.rows.append([name, "HSET", *(_cell(seen[label][name].hset, seen[label][name]) for label in labels)])
    for name in EVENTS:
        stall = {
            label: max(0.0, seen[label][name].get[-1] - seen[label][ALONE[name]].get[-1]) / 1e3 for label in labels
        }
        bound = Bound(STALL_MILLISECONDS_MAX, of_reference=False)
        score.add(f"longest stall, {name}, {of}: ms beyond the load alone", stall, bound)
        slow = {label: hset[1] / 1e3 for label in labels if (hset := seen[label][name].hset)}
        if slow:
            score.add(f"p99.9 of HSET, {name}, {of}: ms", slow, bound)
    reached = ", ".join(
        f"{label} {number(min(one.writes_per_second for one in seen[label].values()) / 1e3)}" for label in labels
    )
    table.note += f". Least thousand writes a second that were reached: {reached}"
    session.log(table.note)
    return table


def _cell(result: tuple[float, ...] | None, watched: Watched) -> str:
    if result is None:
        return "-"
    figures = " / ".join(number(value / 1e3) for value in result)
    return f"{figures} ({number(watched.seconds)})" if watched.seconds else figures


def _memory(session: Session, server: RunningServer) -> Memory:
    """The peak while a snapshot is taken under the same writes; looking costs time, so no probe runs meanwhile."""
    with session.generator.start(server, plans.key_writes(session)) as loading:
        time.sleep(LEAD_SECONDS)
        before = work.tree_bytes(server)
        with _highest(server) as highest:
            work.snapshot(server)
        loading.stop()
    memory = Memory(before, max(0, max(highest) - before))
    session.log(f"{server.label}: {memory.above_bytes / MEBIBYTE:.0f} MiB above {before / MEBIBYTE:.0f}")
    return memory


@contextmanager
def _highest(server: RunningServer) -> Iterator[list[int]]:
    """Looks at the memory again and again."""
    looks = [work.tree_bytes(server)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(MEMORY_LOOK_SECONDS):
            looks.append(work.tree_bytes(server))

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    try:
        yield looks
    finally:
        over.set()
        looker.join()


def _memory_table(score: Score, memory: dict[str, Memory]) -> Table:
    table = Table(
        "Memory above the data during a snapshot under writes to small keys, MiB", ["server", "before", "above at most"]
    )
    for label, found in memory.items():
        table.rows.append([label, *(number(size / MEBIBYTE) for size in (found.before_bytes, found.above_bytes))])
    table.note = "proportional set size of the process and its children, so that pages they share count once"
    above = {
        label: max(0.0, found.above_bytes - MEMORY_BYTES_MAX) / found.before_bytes for label, found in memory.items()
    }
    bound = Bound(MEMORY_SHARE_MAX, of_reference=False)
    score.add(f"memory above the data and {MEMORY_BYTES_MAX // MEBIBYTE} MiB during a snapshot, share", above, bound)
    return table
