"""The instructions suite: what a request takes in the server's own code, counted by callgrind.

Time cannot tell two states of a program apart that differ by a few per cent, as machines are shared; instructions can,
to a few per mille. They are no time: system calls count nothing, and a wait for memory is one instruction. Each server
has one thread for connections here and runs under callgrind by itself, in which only one thread runs at a time; of its
threads the busiest counts, so that what ticks in the background adds nothing for being slow. Requests that prepare the
measured ones are not counted. `before` is another state of Sherd: set $SHERD_BENCH_BEFORE to its program.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sherd_bench.document import Findings
from sherd_bench.load import LoadError, LoadPlan
from sherd_bench.resp import ServerError
from sherd_bench.servers import RunningServer, ServerUnavailableError
from sherd_bench.session import Pin, Session
from sherd_bench.suites import access, heavy
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import BASIC, STRUCTURES, Workload, choose

# By pipeline depth; before them as many that are not counted.
REQUESTS = {1: 4000, 16: 16_000, 64: 32_000}
HEAVY_REQUESTS = 8
KEYS = 10_000
SHERD_ARGUMENTS = ("--shards", "1", "--io-threads", "1")
CONTROL_SECONDS_MAX = 120.0
_TOTAL = re.compile(r"^(?:summary|totals):\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class _Counter:
    """A server under callgrind, and where its counts are written."""

    server: RunningServer
    folder: Path

    def control(self, *words: str) -> None:
        subprocess.run(  # noqa: S603 (constant words and a number)
            ["callgrind_control", *words, str(self.server.pid)],  # noqa: S607 (found in PATH before)
            check=True,
            capture_output=True,
            timeout=CONTROL_SECONDS_MAX,
        )

    def begin(self) -> None:
        """What was counted is forgotten, and counting begins."""
        self.control("--instr=on")
        self.control("--zero")

    def end(self) -> int:
        """The instructions of the busiest thread since the beginning."""
        self.control("--dump")
        self.control("--instr=off")
        counts: list[int] = []
        for path in self.folder.glob("counts*"):
            counts += map(int, _TOTAL.findall(path.read_text(errors="replace")))
            path.unlink()
        return max(counts)


def run(session: Session) -> Findings:
    """Instructions a request of the rows of the core, access and heavy suites."""
    for program in ("valgrind", "callgrind_control"):
        if shutil.which(program) is None:
            raise ServerUnavailableError(f"{program} is not installed, which counts instructions")
    session = replace(session, parameters=replace(session.parameters, keys=min(session.parameters.keys, KEYS)))
    cells: dict[tuple[str, int], dict[str, float]] = {}
    for plan in session.plans:
        with tempfile.TemporaryDirectory(prefix="bench-instructions-") as name:
            # A reference may be a script that becomes the server.
            runner = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
                      "--trace-children=yes", f"--callgrind-out-file={name}/counts")  # fmt: skip
            own = SHERD_ARGUMENTS if plan.kind.name in {"sherd", "before"} else ()
            counted = replace(plan, runner=runner, extra_arguments=(*plan.extra_arguments, *own))
            with session.running([counted], Pin.NONE) as (server,):
                for row, depth, figure in _rows(session, _Counter(server, Path(name))):
                    cells.setdefault((row, depth), {})[plan.label] = figure
    labels = [plan.label for plan in session.plans]
    return Findings("Instructions", _METHOD, [_table(labels, cells)])


def _rows(session: Session, counter: _Counter) -> Iterator[tuple[str, int, float]]:
    """The name of each row, its pipeline depth, and what was counted."""
    names = session.parameters.workload_names
    for workload in choose((*BASIC, *STRUCTURES), names):
        for depth in session.parameters.pipelines:
            yield workload.name, depth, _light(session, counter, workload, depth, access.PLAIN)
    for workload in choose(access.COMPARED, names):
        for way in access.WAYS:
            try:
                figure = _light(session, counter, workload, access.PIPELINE, way)
            except (ServerError, LoadError):
                # A state of the project that does not know it yet.
                continue
            yield f"{workload.name}, {way.name}", access.PIPELINE, figure
    for row in heavy.chosen(names):
        yield row.name, row.pipeline, _heavy(session, counter, row)


_METHOD = (
    "Instructions in user space of the thread that serves, counted by callgrind, while as many connections as "
    "elsewhere wait for it; those of the heavy suite with 4. Not in them is what the kernel does."
)


def _table(labels: Sequence[str], cells: dict[tuple[str, int], dict[str, float]]) -> Table:
    table = Table("Instructions a request", ["command", "pipeline", *labels, *ratio_columns(labels)])
    for (name, depth), figures in cells.items():
        everywhere = len(figures) == len(labels)
        own = [number(figures[label]) if label in figures else "-" for label in labels]
        table.rows.append(
            [name, str(depth), *own, *(ratios(figures) if everywhere else ["-"] * len(ratio_columns(labels)))]
        )
    return table


def _light(session: Session, counter: _Counter, workload: Workload, depth: int, way: access.Way) -> float:
    nearest = min(REQUESTS, key=lambda known: abs(known - depth))
    requests = max(depth, REQUESTS[nearest] // workload.request_divisor // (4 if session.parameters.quick else 1))
    counter.server.flush()
    if workload.fill is not None:
        filled = workload.fill.requests(session.parameters.keys, 2 * requests)
        session.fill(counter.server, workload.fill.command, filled)
    plan = replace(session.base_plan(), commands=(workload.command,), pipeline=depth, setup=way.setup)
    with way.of(counter.server):
        return _count(session, counter, replace(plan, requests=requests), f"{workload.name}, {way.name}")


def _heavy(session: Session, counter: _Counter, row: heavy.Row) -> float:
    heavy.prepare(session, counter.server, row)
    plan = replace(heavy.plan(session, row), duration_seconds=None)
    requests = HEAVY_REQUESTS if row.pipeline == 1 else REQUESTS[row.pipeline]
    return _count(session, counter, replace(plan, requests=requests), row.name)


def _count(session: Session, counter: _Counter, plan: LoadPlan, name: str) -> float:
    # Once without counting: caches are filled, and the code has been translated.
    session.note_errors(counter.server, name, session.generator.run(counter.server, plan))
    counter.begin()
    load = session.generator.run(counter.server, plan)
    counted = counter.end() / load.requests
    session.note_errors(counter.server, name, load)
    session.log(f"{counter.server.label} {name} pipeline {plan.pipeline}: {counted:,.0f} instructions")
    return counted
