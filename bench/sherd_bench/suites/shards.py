"""The shards suite: what more shards and more IO threads bring on this machine.

Sherd with several settings, Valkey with and without IO threads for scale. On two cores that the generator shares, more
threads can only show their cost; the suite exists so that the cost is known and a larger machine can show the gain.
"""

from sherd_bench.document import Findings
from sherd_bench.servers import KINDS, ServerPlan
from sherd_bench.session import Pin, Session
from sherd_bench.suites.grid import measure
from sherd_bench.workloads import BY_NAME, choose

SHARDS = (1, 2, 4)
IO_THREADS = (1, 2)
GENERATOR_THREADS = 2
WORKLOADS = tuple(BY_NAME[name] for name in ("get", "set", "mset"))


def run(session: Session) -> Findings:
    """SET, GET and MSET over shards and IO threads."""
    pin = (session.parameters.pins or (Pin.NONE,))[0]
    workloads = choose(WORKLOADS, session.parameters.workload_names) or WORKLOADS
    with session.running(_plans(session), pin) as servers:
        grid = measure(session.pinned(pin), servers, workloads, threads=GENERATOR_THREADS)
    heading = f"Shards and IO threads, {pin.describe()}"
    tables = [grid.throughput_table(heading), grid.cpu_table(heading)]
    method = (
        "sherd s2 io1 is Sherd with two shards and one IO thread; valkey io2 is Valkey with `--io-threads 2`. "
        "Two generator threads."
    )
    return Findings("Shards and IO threads", method, tables, {"rate": grid.throughput_picture(heading)})


def _plans(session: Session) -> list[ServerPlan]:
    labels = {plan.label for plan in session.plans}
    plans = []
    if "valkey" in labels:
        kind = KINDS["valkey"]
        plans += [ServerPlan("valkey", kind), ServerPlan("valkey io2", kind, ("--io-threads", "2"))]
    if "sherd" in labels:
        for shards in SHARDS:
            for io_threads in IO_THREADS:
                arguments = ("--shards", str(shards), "--io-threads", str(io_threads))
                plans.append(ServerPlan(f"sherd s{shards} io{io_threads}", KINDS["sherd"], arguments))
    return plans
