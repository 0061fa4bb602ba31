"""The access suite: what rights and client-side caching cost a request, beside a client that has neither.

The default user is given ten patterns of keys, of which the last one allows the keys that are used, so every request is
checked as one of any restricted user is. Clients that track have the server remember every key that they read; they
speak RESP2, so nothing is told to them and the reading alone is measured. The three ways take turns in every round.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sherd_bench.document import Findings
from sherd_bench.servers import RunningServer
from sherd_bench.session import Measurement, Pin, Sample, Session, rotated
from sherd_bench.tables import Table, number
from sherd_bench.workloads import BASIC, Workload, choose

PIPELINE = 16
PATTERNS = 10
ALLOWED = ("allkeys",)


@dataclass(frozen=True)
class Way:
    """How clients use a server: the rules of their user, and what each connection sends first."""

    name: str
    rules: tuple[str, ...] = ALLOWED
    setup: tuple[str, ...] = ()

    @contextmanager
    def of(self, server: RunningServer) -> Iterator[None]:
        """Gives the server's default user these rules for a while."""
        if self.rules == ALLOWED:
            yield
            return
        server.client().call("ACL", "SETUSER", "default", *self.rules)
        try:
            yield
        finally:
            server.client().call("ACL", "SETUSER", "default", *ALLOWED)


_PATTERNS = (*(f"~tenant:{number_of}:*" for number_of in range(PATTERNS - 1)), "~key:*")
COMPARED = tuple(workload for workload in BASIC if workload.name in {"SET", "GET"})
PLAIN = Way("everything allowed")
WAYS = (
    PLAIN,
    Way(f"{PATTERNS} key patterns", rules=("resetkeys", *_PATTERNS)),
    Way("tracking on", setup=("CLIENT TRACKING ON",)),
)


def run(session: Session) -> Findings:
    """SET and GET at pipeline 16 in each way."""
    tables = []
    for pin in session.parameters.pins or (Pin.APART,):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            labels = [server.label for server in servers]
            table = Table(
                f"Server CPU a request, {pin.describe()}, microseconds",
                ["command", "clients", *labels, *(f"{label}, more than plain" for label in labels)],
            )
            for workload in choose(COMPARED, session.parameters.workload_names):
                table.rows += _rows(pinned, servers, workload)
            tables.append(table)
    method = (
        f"Pipeline {PIPELINE}, one generator thread; each figure the median of the rounds; CPU of the whole process."
    )
    return Findings("Rights and client-side caching", method, tables)


def _rows(session: Session, servers: Sequence[RunningServer], workload: Workload) -> list[list[str]]:
    requests = session.parameters.requests(workload, PIPELINE)
    plan = replace(session.base_plan(), commands=(workload.command,), pipeline=PIPELINE, requests=requests)
    taken: dict[tuple[str, str], list[Sample]] = {(way.name, one.label): [] for way in WAYS for one in servers}
    for turn in range(session.parameters.rounds):
        for way in rotated(WAYS, turn):
            for server in rotated(servers, turn):
                server.flush()
                if workload.fill is not None:
                    session.fill(server, workload.fill.command, workload.fill.requests(plan.keys, requests))
                with way.of(server):
                    taken[way.name, server.label].append(session.sample(server, replace(plan, setup=way.setup)))
    costs = {cell: Measurement.of(samples).server_cpu_us_per_request for cell, samples in taken.items()}
    rows = []
    for way in WAYS:
        own = [costs[way.name, server.label] for server in servers]
        plain = [costs[PLAIN.name, server.label] for server in servers]
        more = [f"{(a / b - 1) * 100:+.1f} %" if b else "-" for a, b in zip(own, plain, strict=True)]
        rows.append([workload.name, way.name, *map(number, own), *more])
        session.log(" ".join(rows[-1]))
    return rows
