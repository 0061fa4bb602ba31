"""The throughput suite: two generator threads, so that one client thread is not the limit; nothing is pinned."""

from sherd_bench.document import Findings
from sherd_bench.session import Pin, Session
from sherd_bench.suites.grid import measure
from sherd_bench.workloads import BASIC, choose

GENERATOR_THREADS = 2


def run(session: Session) -> Findings:
    """SET GET INCR with two generator threads."""
    tables, pictures = [], {}
    workloads = choose(BASIC, session.parameters.workload_names) or BASIC
    for pin in session.parameters.pins or (Pin.NONE,):
        with session.running(pin=pin) as servers:
            heading = f"Two generator threads, {pin.describe()}"
            grid = measure(session.pinned(pin), servers, workloads, threads=GENERATOR_THREADS)
            tables += [grid.throughput_table(heading), grid.cpu_table(heading), grid.latency_table(heading)]
            pictures[f"rate-{pin.value}"] = grid.throughput_picture(heading)
    method = "Two generator threads that share the machine with the server. Medians of interleaved rounds."
    return Findings("Throughput", method, tables, pictures)
