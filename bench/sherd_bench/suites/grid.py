"""A grid of workloads and pipeline depths over all servers, and the tables and pictures that show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sherd_bench.plot import Panel, bars
from sherd_bench.servers import RunningServer
from sherd_bench.session import Measurement, Session
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import BASIC, Workload

Figure = Callable[[Measurement], float]

_ALIKE = {workload.name for workload in BASIC}


def _cpu(measured: Measurement) -> float:
    return measured.server_cpu_us_per_request


def _thousands_per_second(measured: Measurement) -> float:
    return measured.requests_per_second / 1e3


@dataclass
class Grid:
    """Measured cells by workload name and pipeline depth."""

    labels: Sequence[str]
    cells: dict[tuple[str, int], dict[str, Measurement]] = field(default_factory=dict)

    def cpu_table(self, title: str) -> Table:
        """Server CPU a request."""
        return self._table(f"{title}: server CPU, microseconds a request", _cpu)

    def throughput_table(self, title: str) -> Table:
        """Requests a second."""
        return self._table(f"{title}: thousand requests a second", _thousands_per_second)

    def latency_table(self, title: str) -> Table:
        """Percentiles; in closed loop they are the other face of throughput, but the tail says more."""
        columns = ["command", "pipeline", *(f"{label} p50 / p99 / p99.9" for label in self.labels)]
        table = Table(f"{title}: latency of a request, microseconds", columns)
        for (name, pipeline), cell in self.cells.items():
            triples = [
                " / ".join(number(value) for value in (cell[label].p50_us, cell[label].p99_us, cell[label].p99_9_us))
                for label in self.labels
            ]
            table.rows.append([name, str(pipeline), *triples])
        return table

    def cpu_picture(self, title: str) -> str:
        """Bars of server CPU a request."""
        return self._picture(title, "server CPU, microseconds a request", _cpu)

    def throughput_picture(self, title: str) -> str:
        """Bars of requests a second."""
        return self._picture(title, "requests a second", lambda measured: measured.requests_per_second)

    def _table(self, title: str, figure: Figure) -> Table:
        table = Table(title, ["command", "pipeline", *self.labels, *ratio_columns(self.labels)])
        for (name, pipeline), cell in self.cells.items():
            table.rows.append(self._row(name, pipeline, {label: figure(cell[label]) for label in self.labels}))
        # A mean over commands of unlike cost would only show the costliest.
        if all(name in _ALIKE for name, _ in self.cells):
            for pipeline in self._pipelines():
                cells = [cell for (_, depth), cell in self.cells.items() if depth == pipeline]
                means = {label: sum(figure(cell[label]) for cell in cells) / len(cells) for label in self.labels}
                table.rows.append(self._row("mean", pipeline, means))
        return table

    def _row(self, name: str, pipeline: int, values: dict[str, float]) -> list[str]:
        return [name, str(pipeline), *(number(value) for value in values.values()), *ratios(values)]

    def _picture(self, title: str, unit: str, figure: Figure) -> str:
        panels = []
        for pipeline in self._pipelines():
            names = [name for name, depth in self.cells if depth == pipeline]
            series = {label: [figure(self.cells[name, pipeline][label]) for name in names] for label in self.labels}
            panels.append(Panel(f"pipeline {pipeline}", names, series))
        return bars(title, unit, panels)

    def _pipelines(self) -> list[int]:
        return sorted({pipeline for _, pipeline in self.cells})


def measure(
    session: Session,
    servers: Sequence[RunningServer],
    workloads: Sequence[Workload],
    threads: int = 1,
    pipelines: Sequence[int] | None = None,
) -> Grid:
    """Measures every workload at every pipeline depth, by default those of the session."""
    grid = Grid([server.label for server in servers])
    for workload in workloads:
        for pipeline in pipelines or session.parameters.pipelines:
            grid.cells[workload.name, pipeline] = session.compare(servers, workload, pipeline, threads)
    return grid
