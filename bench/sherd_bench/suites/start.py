"""The start suite: what it costs to have a server, before it has anything to do.

Each server is started several times, in turns: from the call of its program to the first answer to PING, and the CPU
time that this took. Then it is left alone, and nothing is asked of it: its memory, how often its threads wake, and the
CPU time that it uses. Bytecode of Python is compiled by a start that does not count, as it is when a package is
installed.
"""

import statistics
import time

from sherd_bench import procfs
from sherd_bench.document import Findings
from sherd_bench.servers import RunningServer, ServerPlan, start
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number

STARTS = 15
STARTS_QUICK = 3
QUIET_SECONDS = 3.0
IDLE_SECONDS = 10.0
IDLE_SECONDS_QUICK = 3.0
COLUMNS = ("ready, ms", "CPU to that, ms", "resident, MiB", "wake-ups a second", "CPU idle, us a second")


def run(session: Session) -> Findings:
    """Starting, and standing idle."""
    starts: dict[str, list[tuple[float, float]]] = {plan.label: [] for plan in session.plans}
    for plan in session.plans:
        warm = _start(plan)
        warm.stop()
        session.versions[plan.label] = _version(plan)
    for turn in range(session.parameters.scaled(STARTS, STARTS_QUICK)):
        for plan in rotated(session.plans, turn):
            server = _start(plan)
            starts[plan.label].append((server.ready_seconds, server.cpu_seconds()))
            server.stop()
    table = Table("A server without clients", ["server", *COLUMNS])
    for plan in session.plans:
        ready, cpu = (statistics.median(figures) * 1e3 for figures in zip(*starts[plan.label], strict=True))
        table.rows.append([plan.label, number(ready), number(cpu), *_idle(session, plan)])
        session.log(" ".join(table.rows[-1]))
    method = "Medians of the starts; memory is the resident set of the process."
    return Findings("Starting, and standing idle", method, [table])


def _start(plan: ServerPlan) -> RunningServer:
    return start(plan, Pin.NONE.cores()[0], ask_version=False)


def _version(plan: ServerPlan) -> str:
    server = start(plan, Pin.NONE.cores()[0])
    server.stop()
    return server.version


def _idle(session: Session, plan: ServerPlan) -> list[str]:
    """Memory in MiB, wake-ups and microseconds of CPU a second."""
    seconds = session.parameters.scaled(int(IDLE_SECONDS), int(IDLE_SECONDS_QUICK))
    server = _start(plan)
    try:
        time.sleep(QUIET_SECONDS)
        wakes, cpu, begun = procfs.wakes(server.pid), server.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - begun
        used = (server.cpu_seconds() - cpu) / elapsed * 1e6
        woken = (procfs.wakes(server.pid) - wakes) / elapsed
        return [number(procfs.resident_bytes(server.pid) / 2**20), number(woken), number(used)]
    finally:
        server.stop()
