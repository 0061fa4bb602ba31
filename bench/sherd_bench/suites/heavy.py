"""The heavy suite: commands over large collections, and the rest of valkey-benchmark's default list.

A heavy command's cost is in its algorithm, so each is sent one at a time by a few connections; the light ones of the
list are pipelined as there. What a row needs is put into an empty server first, alike for every server.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sherd_bench.document import Findings
from sherd_bench.load import LoadPlan
from sherd_bench.servers import RunningServer
from sherd_bench.session import Measurement, Pin, Sample, Session, rotated
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import FILL_PIPELINE

CLIENTS = 4
BITMAP_BITS = 80_000_000
LCS_LENGTH = 10_000


@dataclass(frozen=True)
class Fill:
    """A command sent `count` times with the numbers 0, 1, 2, ..., or with random ones."""

    command: str
    count: int
    random: bool = False


@dataclass(frozen=True)
class Row:
    """One row: fills, then the command for some time."""

    name: str
    command: str
    fills: tuple[Fill, ...] = ()
    pipeline: int = 1
    # Keys that get texts of four letters.
    texts: tuple[str, ...] = ()
    # A command that takes away what it finds is sent this often, not for some time.
    requests: int | None = None


_TWO_SETS = (Fill("SADD s1 member:__int:6__", 10_000), Fill("SADD s2 member:__int:6__", 15_000))
_TWO_ZSETS = (
    Fill("ZADD z1 __int:6__ member:__int:6__", 100_000),
    Fill("ZADD z2 __int:6__ member:__int:6__", 100_000),
)
_BITMAPS = (
    Fill(f"SETBIT b1 {BITMAP_BITS - 1} 1", 1),
    Fill(f"SETBIT b2 {BITMAP_BITS - 1} 1", 1),
    Fill("SETBIT b1 1__int:6__ 1", 10_000),
    Fill("SETBIT b2 1__int:6__ 1", 10_000),
)
_LIST = (Fill("RPUSH l __int:6__", 10_000, random=True),)
_POPPED = 1_000_000

ROWS = (
    Row("SINTER of 10k and 15k", "SINTER s1 s2", _TWO_SETS),
    Row("SUNION of 10k and 15k", "SUNION s1 s2", _TWO_SETS),
    Row("ZUNIONSTORE of 2 x 100k", "ZUNIONSTORE out 2 z1 z2", _TWO_ZSETS),
    Row("ZRANGEBYSCORE of 1k in 100k", "ZRANGEBYSCORE z1 50000 50999", _TWO_ZSETS[:1]),
    Row("ZRANK in 1M", "ZRANK z member:__int:7__", (Fill("ZADD z __int:7__ member:__int:7__", 1_000_000),), 16),
    Row(
        "PFCOUNT of 10 keys",
        "PFCOUNT " + " ".join(f"h{key}" for key in range(10)),
        tuple(Fill(f"PFADD h{key} e{key}:__int:6__", 10_000) for key in range(10)),
    ),
    Row("BITCOUNT of 10 MB", "BITCOUNT b1", _BITMAPS),
    Row("BITOP AND of 2 x 10 MB", "BITOP AND out b1 b2", _BITMAPS),
    Row(
        "GEOSEARCH in 100k",
        "GEOSEARCH g FROMLONLAT 2.5 48.5 BYRADIUS 10 km ASC",
        (Fill("GEOADD g 2.__int:5__ 48.__int:5__ member:__int:5__", 100_000, random=True),),
    ),
    Row("SORT of 10k", "SORT l", _LIST),
    Row("XRANGE of 1k", "XRANGE x - + COUNT 1000", (Fill("XADD x * field __data__", 10_000),)),
    Row("XADD", "XADD x * field __data__", pipeline=16),
    Row("LRANGE_300", "LRANGE l 0 299", _LIST),
    Row("LRANGE_500", "LRANGE l 0 499", _LIST),
    Row("LRANGE_600", "LRANGE l 0 599", _LIST),
    Row("HGETALL of 1k", "HGETALL h", (Fill("HSET h field:__int:6__ __data__", 1000),)),
    Row("SCAN COUNT 1000 in 1M", "SCAN __int:6__ COUNT 1000", (Fill("SET key:__int:7__ x", 1_000_000),)),
    Row("LCS of 10k", "LCS t1 t2", texts=("t1", "t2")),
    Row("PING", "PING", pipeline=16),
    Row("RPUSH", "RPUSH l __data__", pipeline=16, requests=_POPPED),
    Row("LPOP", "LPOP l", (Fill("RPUSH l __data__", _POPPED + 1000),), 16, requests=_POPPED),
    Row("ZPOPMIN", "ZPOPMIN z", (Fill("ZADD z __int:7__ member:__int:7__", _POPPED + 1000),), 16, requests=_POPPED),
)

# What `--workloads` calls the rows: their commands.
NAMES = frozenset(row.name.split()[0].lower() for row in ROWS)


def run(session: Session) -> Findings:
    """Server CPU a request of every row, its ratio, and the median latency."""
    pin = (session.parameters.pins or (Pin.APART,))[0]
    pinned = session.pinned(pin)
    with session.running(pin=pin) as servers:
        labels = [server.label for server in servers]
        cpu = Table(
            f"Server CPU, microseconds a request, {pin.describe()}",
            ["command", "pipeline", *labels, *ratio_columns(labels)],
        )
        latency = Table("Latency of a request, microseconds", ["command", *(f"{label} p50 / p99" for label in labels)])
        for row in chosen(session.parameters.workload_names):
            cell = _compare(pinned, servers, row)
            figures = {label: cell[label].server_cpu_us_per_request for label in labels}
            cpu.rows.append([row.name, str(row.pipeline), *map(number, figures.values()), *ratios(figures)])
            session.log(" ".join(cpu.rows[-1]))
            pairs = (f"{number(cell[label].p50_us)} / {number(cell[label].p99_us)}" for label in labels)
            latency.rows.append([row.name, *pairs])
    method = (
        f"{CLIENTS} connections, one request at a time (pipelined where the table says so, with "
        f"{session.parameters.clients} connections). Medians of interleaved rounds; each server is emptied and filled "
        "before its turn. CPU is the whole process's."
    )
    return Findings("Heavy commands", method, [cpu, latency])


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows whose commands are named, all of them when none is."""
    return [row for row in ROWS if not names or row.name.split()[0].lower() in names]


def plan(session: Session, row: Row) -> LoadPlan:
    """How a row's command is sent."""
    parameters = session.parameters
    biggest = max((fill.count for fill in row.fills), default=parameters.keys)
    sent = replace(
        session.base_plan(),
        commands=(row.command,),
        pipeline=row.pipeline,
        clients=CLIENTS if row.pipeline == 1 else parameters.clients,
        keys=biggest,
    )
    if row.requests is None:
        return replace(sent, duration_seconds=0.4 if parameters.quick else 1.5)
    return replace(sent, requests=row.requests)


def _compare(session: Session, servers: Sequence[RunningServer], row: Row) -> dict[str, Measurement]:
    samples: dict[str, list[Sample]] = {server.label: [] for server in servers}
    for turn in range(session.parameters.rounds):
        for server in rotated(servers, turn):
            prepare(session, server, row)
            samples[server.label].append(session.sample(server, plan(session, row)))
    for server in servers:
        server.flush()
    return {label: Measurement.of(taken) for label, taken in samples.items()}


def prepare(session: Session, server: RunningServer, row: Row) -> None:
    """Empties the server and puts into it what the row needs."""
    server.flush()
    for fill in row.fills:
        if not fill.random:
            session.fill(server, fill.command, fill.count)
            continue
        filling = replace(
            session.base_plan(),
            commands=(fill.command,),
            pipeline=FILL_PIPELINE,
            requests=fill.count,
            keys=max(fill.count, 100_000),
        )
        session.note_errors(server, fill.command, session.generator.run(server, filling))
    # The same text for every server and round.
    chooser = random.Random(1)  # noqa: S311 (text, not a secret)
    for key in row.texts:
        server.client().call("SET", key, "".join(chooser.choices("acgt", k=LCS_LENGTH)))
    server.settle()
