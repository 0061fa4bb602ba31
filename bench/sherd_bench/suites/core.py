"""The core suite: server CPU a request, beside throughput and latency.

CPU a request is the figure that survives a shared small machine: a faster server only sleeps more while the generator
is the bottleneck. Each server is started on the cores that it may use, as in a container with a CPU set: Sherd has then
as many threads as cores. Apart, the server has its core for itself; together, the two compete.
"""

from sherd_bench.document import Findings
from sherd_bench.session import Pin, Session
from sherd_bench.suites.grid import measure
from sherd_bench.workloads import BASIC, STRUCTURES, choose


def run(session: Session) -> Findings:
    """SET GET INCR and the structure commands at every pipeline depth."""
    tables, pictures = [], {}
    names = session.parameters.workload_names
    for pin in session.parameters.pins or (Pin.APART,):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            for key, title, defaults in (("basic", "Basic", BASIC), ("structures", "Structure", STRUCTURES)):
                workloads = choose(defaults, names)
                if not workloads:
                    continue
                heading = f"{title} commands, {pin.describe()}"
                session.log(heading)
                grid = measure(pinned, servers, workloads)
                tables += [grid.cpu_table(heading), grid.throughput_table(heading), grid.latency_table(heading)]
                pictures[f"{key}-cpu-{pin.value}"] = grid.cpu_picture(heading)
    method = (
        "One generator thread. Each cell is the median of the rounds; in every round each server is emptied, filled "
        "with what the command needs and loaded in turn. CPU is the whole process's: all threads, user and system. "
        "A server is started on the cores it may use, as in a container with a CPU set."
    )
    return Findings("Core benchmarks", method, tables, pictures)
