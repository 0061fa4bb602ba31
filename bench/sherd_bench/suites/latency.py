"""The latency suite: percentiles at the same load for every server.

Open loop: requests are due at fixed times and latency counts from then, so a stall shows in full (no coordinated
omission). Nine GETs to one SET. At equal load a server that needs less CPU also shows less queueing.
"""

from dataclasses import replace

from sherd_bench.document import Findings
from sherd_bench.session import Measurement, Pin, Sample, Session, rotated
from sherd_bench.tables import Table, number, ratio_columns, ratios

COMMANDS = ("get@9", "set@1")


def run(session: Session) -> Findings:
    """p50, p99, p99.9 and the highest latency at `--rate` requests a second."""
    parameters = session.parameters
    seconds = 2.0 if parameters.quick else 8.0
    tables = []
    for pin in parameters.pins or (Pin.NONE, Pin.APART):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            plan = replace(session.base_plan(), commands=COMMANDS, rate=parameters.rate, duration_seconds=seconds)
            samples: dict[str, list[Sample]] = {server.label: [] for server in servers}
            for turn in range(parameters.rounds):
                for server in rotated(servers, turn):
                    server.flush()
                    pinned.fill(server, "set", parameters.keys)
                    samples[server.label].append(pinned.sample(server, plan))
            measured = {label: Measurement.of(taken) for label, taken in samples.items()}
            tables.append(_table(f"{parameters.rate:,} requests a second, {pin.describe()}", measured))
    method = (
        "Open loop: latency counts from the time a request was due. Nine GETs to one SET, random keys. "
        "Medians of interleaved rounds; the maximum is the highest of all rounds."
    )
    return Findings("Latency at equal load", method, tables)


def _table(title: str, measured: dict[str, Measurement]) -> Table:
    labels = list(measured)
    table = Table(title, ["figure", *labels, *ratio_columns(labels)])
    figures = {
        "p50, us": [item.p50_us for item in measured.values()],
        "p99, us": [item.p99_us for item in measured.values()],
        "p99.9, us": [item.p99_9_us for item in measured.values()],
        "maximum, us": [item.max_us for item in measured.values()],
        "server CPU, us a request": [item.server_cpu_us_per_request for item in measured.values()],
        "reached, requests a second": [item.requests_per_second for item in measured.values()],
    }
    for name, values in figures.items():
        by_label = dict(zip(labels, values, strict=True))
        table.rows.append([name, *(number(value) for value in values), *ratios(by_label)])
    return table
