"""What an append-only file costs: server CPU a request, throughput and latency without one and under each policy.

Each server is told by CONFIG SET, and waited for until its first rewrite is over. The files are in its folder,
on whatever disk the temporary folder is on: under `always` that disk is what is measured, so the page says how many
syncs a second it makes.
"""

import os
import tempfile
import time

from sherd_bench.document import Findings
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session
from sherd_bench.suites.grid import measure
from sherd_bench.workloads import BASIC, choose

_POLICIES = ("off", "everysec", "always")
_REWRITE_SECONDS_MAX = 60.0
_SYNCS = 100


def run(session: Session) -> Findings:
    """SET and GET under every policy, at every pipeline depth."""
    tables = []
    names = session.parameters.workload_names or ("set", "get")
    for pin in session.parameters.pins or (Pin.APART,):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            for policy in _POLICIES:
                for server in servers:
                    _set_policy(server, policy)
                heading = f"Append-only file {policy}, {pin.describe()}"
                session.log(heading)
                grid = measure(pinned, servers, choose(BASIC, names))
                tables += [grid.cpu_table(heading), grid.throughput_table(heading), grid.latency_table(heading)]
    method = (
        "One generator thread. Each cell is the median of the rounds; the servers take turns. CPU is the whole "
        f"process's: all threads, user and system. The disk makes {_syncs_a_second():.0f} syncs of one page a second."
    )
    return Findings("What an append-only file costs", method, tables, {})


def _set_policy(server: RunningServer, policy: str) -> None:
    client = server.client()
    if policy == "off":
        client.call("CONFIG", "SET", "appendonly", "no")
        return
    client.call("CONFIG", "SET", "appendfsync", policy)
    client.call("CONFIG", "SET", "appendonly", "yes")
    deadline = time.monotonic() + _REWRITE_SECONDS_MAX
    while time.monotonic() < deadline:
        lines = str(client.call("INFO", "persistence"))
        if "aof_rewrite_in_progress:0" in lines and "aof_rewrite_scheduled:0" in lines and "aof_enabled:1" in lines:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{server.label} does not end its rewrite")


def _syncs_a_second() -> float:
    """Syncs of one appended page, one after the other."""
    with tempfile.TemporaryFile() as file:
        begun = time.monotonic()
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return _SYNCS / (time.monotonic() - begun)
