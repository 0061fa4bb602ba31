"""One benchmark session: parameters, running servers, interleaved rounds, medians.

Servers take turns cell by cell and round by round, in an order that rotates: whatever disturbs the machine for some
seconds then hits one sample of each, not all samples of one, and the median drops it.
"""

import enum
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sherd_bench import procfs
from sherd_bench.load import Generator, LoadPlan, LoadResult
from sherd_bench.servers import RunningServer, ServerPlan, start
from sherd_bench.workloads import FILL_PIPELINE, Workload

# A workload's requests by pipeline depth: each run takes between one and two seconds on one core.
REQUESTS = {1: 200_000, 16: 1_200_000, 64: 2_400_000}
QUICK_DIVISOR = 6
Item = TypeVar("Item")


class Pin(enum.Enum):
    """Which cores the server and the generator may use."""

    NONE = "none"
    APART = "apart"
    TOGETHER = "together"

    def cores(self) -> tuple[frozenset[int], frozenset[int]]:
        """The server's and the generator's cores."""
        available = sorted(os.sched_getaffinity(0))
        half = max(1, len(available) // 2)
        match self:
            case Pin.NONE:
                return frozenset(available), frozenset(available)
            case Pin.APART:
                return frozenset(available[:half]), frozenset(available[half:] or available)
            case Pin.TOGETHER:
                return frozenset(available[:1]), frozenset(available[:1])

    def describe(self) -> str:
        """For a table's heading."""
        return {
            Pin.NONE: "unpinned",
            Pin.APART: "server and generator on different cores",
            Pin.TOGETHER: "server and generator on the same core",
        }[self]


@dataclass(frozen=True)
class Parameters:
    """What the command line decided."""

    clients: int = 50
    value_size_bytes: int = 64
    keys: int = 100_000
    rounds: int = 3
    pipelines: tuple[int, ...] = (1, 16, 64)
    workload_names: tuple[str, ...] = ()
    quick: bool = False
    rate: int = 50_000
    # Keys that are saved, loaded and sent to replicas; None: the suite's own number.
    data_keys: int | None = None
    # None: each suite's own choice.
    pins: tuple[Pin, ...] | None = None

    def requests(self, workload: Workload, pipeline: int) -> int:
        """How many requests a run sends."""
        nearest = min(REQUESTS, key=lambda depth: abs(depth - pipeline))
        return REQUESTS[nearest] // workload.request_divisor // (QUICK_DIVISOR if self.quick else 1)

    def scaled(self, count: int, quick_count: int) -> int:
        """A size that a quick run reduces."""
        return quick_count if self.quick else count


@dataclass(frozen=True)
class Sample:
    """One run against one server."""

    load: LoadResult
    server_cpu_us_per_request: float
    # Share of the machine that neither the server nor the generator used: other work disturbs.
    foreign_share: float


@dataclass(frozen=True)
class Measurement:
    """The median of the rounds, each figure by itself."""

    rounds: int
    server_cpu_us_per_request: float
    generator_cpu_us_per_request: float
    requests_per_second: float
    p50_us: float
    p99_us: float
    p99_9_us: float
    max_us: float
    errors: int
    nulls: int
    error_text: str

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Measurement":
        """Medians; errors are summed, since one is too many; the maximum is the highest."""

        def median(figure: Callable[[Sample], float]) -> float:
            return statistics.median(figure(sample) for sample in samples)

        texts = [text for sample in samples for text in sample.load.error_texts]
        return cls(
            rounds=len(samples),
            server_cpu_us_per_request=median(lambda sample: sample.server_cpu_us_per_request),
            generator_cpu_us_per_request=median(lambda sample: sample.load.generator_cpu_us_per_request),
            requests_per_second=median(lambda sample: sample.load.requests_per_second),
            p50_us=median(lambda sample: sample.load.p50_us),
            p99_us=median(lambda sample: sample.load.p99_us),
            p99_9_us=median(lambda sample: sample.load.p99_9_us),
            max_us=max(sample.load.max_us for sample in samples),
            errors=sum(sample.load.errors for sample in samples),
            nulls=sum(sample.load.nulls for sample in samples),
            error_text=texts[0] if texts else "",
        )


@dataclass
class Session:
    """What every suite gets."""

    parameters: Parameters
    plans: tuple[ServerPlan, ...]
    generator: Generator
    log: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
    # Filled while running, for the page and the exit status.
    versions: dict[str, str] = field(default_factory=dict)
    foreign_shares: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def running(self, plans: Iterable[ServerPlan] | None = None, pin: Pin = Pin.NONE) -> Iterator[list[RunningServer]]:
        """Starts servers on the cores they shall use, stops them at the end whatever happens."""
        cores, _ = pin.cores()
        with ExitStack() as stack:
            servers = []
            for plan in self.plans if plans is None else plans:
                server = start(plan, cores)
                stack.callback(server.stop)
                self.versions[server.label] = server.version
                servers.append(server)
            yield servers

    def pinned(self, pin: Pin) -> "Session":
        """A session whose generator is bound to its cores; the servers were when they were started."""
        _, generator_cores = pin.cores()
        # Lists and dictionaries are shared with the copy on purpose: they collect for the page.
        return replace(self, generator=replace(self.generator, cores=generator_cores))

    def fill(self, server: RunningServer, command: str, requests: int, plan: LoadPlan | None = None) -> LoadResult:
        """Sends a command with the numbers 0 up to `requests`, then waits until the server is idle."""
        base = plan or self.base_plan()
        filling = replace(
            base,
            commands=(command,),
            pipeline=FILL_PIPELINE,
            requests=requests,
            keys=max(requests, 1),
            sequential=True,
            duration_seconds=None,
            rate=None,
        )
        result = self.generator.run(server, filling)
        self.note_errors(server, command, result)
        server.settle()
        return result

    def base_plan(self) -> LoadPlan:
        """A plan with the session's sizes; the caller replaces the rest."""
        parameters = self.parameters
        return LoadPlan(
            commands=(),
            clients=parameters.clients,
            keys=parameters.keys,
            value_size_bytes=parameters.value_size_bytes,
        )

    def sample(self, server: RunningServer, plan: LoadPlan) -> Sample:
        """One run with the server's CPU time around it."""
        machine_before, cpu_before, started = procfs.busy_seconds_of_machine(), server.cpu_seconds(), time.monotonic()
        load = self.generator.run(server, plan)
        cpu = server.cpu_seconds() - cpu_before
        capacity = (time.monotonic() - started) * (os.cpu_count() or 1)
        own = cpu + load.generator_cpu_us_per_request * load.requests / 1e6
        foreign = (procfs.busy_seconds_of_machine() - machine_before - own) / capacity
        foreign = min(1.0, max(0.0, foreign))
        self.foreign_shares.append(foreign)
        self.note_errors(server, ", ".join(plan.commands), load)
        return Sample(load, cpu / max(1, load.requests) * 1e6, foreign)

    def compare(
        self, servers: Sequence[RunningServer], workload: Workload, pipeline: int, threads: int = 1
    ) -> dict[str, Measurement]:
        """One cell for every server: fresh data, a run, in turns; the medians by label."""
        requests = self.parameters.requests(workload, pipeline)
        plan = replace(
            self.base_plan(), commands=(workload.command,), pipeline=pipeline, requests=requests, threads=threads
        )
        samples: dict[str, list[Sample]] = {server.label: [] for server in servers}
        for turn in range(self.parameters.rounds):
            for server in rotated(servers, turn):
                server.flush()
                if workload.fill is not None:
                    self.fill(server, workload.fill.command, workload.fill.requests(plan.keys, requests))
                samples[server.label].append(self.sample(server, plan))
        # What the last round left would weigh on the next cell's memory and, for some servers, on their cron.
        for server in servers:
            server.flush()
        cell = {label: Measurement.of(taken) for label, taken in samples.items()}
        figures = ", ".join(f"{label} {cell[label].server_cpu_us_per_request:.3f}" for label in cell)
        self.log(f"{workload.name} pipeline {pipeline}: server CPU us/request {figures}")
        return cell

    def note_errors(self, server: RunningServer, what: str, load: LoadResult) -> None:
        """An error reply makes a figure worthless: the page says so and the exit status tells."""
        if load.errors:
            text = load.error_texts[0] if load.error_texts else ""
            failure = f"{server.label}: {what}: {text}"
            if failure not in self.failures:
                self.failures.append(failure)
                self.log(f"error replies from {failure}")


def rotated(servers: Sequence[Item], turn: int) -> list[Item]:
    """The servers or plans, beginning with another one each turn."""
    offset = turn % len(servers)
    return [*servers[offset:], *servers[:offset]]
