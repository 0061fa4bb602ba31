"""The eviction suite: how many keys a memory limit holds, and how often a cache of that size has what is asked for.

Keys are asked for with the frequencies of Zipf's law, as those of web caches are; what is not there is written. The
same requests, from the same random numbers, go to every server. Hits count in the second half, when the cache has long
been full. Sherd takes part with one shard, with several, and as a cluster node, where every slot has tables of its own.
"""

import random
import socket
from collections.abc import Iterator, Sequence
from itertools import accumulate

from sherd_bench.document import Findings
from sherd_bench.servers import KINDS, RunningServer, ServerPlan
from sherd_bench.session import Session
from sherd_bench.tables import Table

LIMIT = "12mb"
POLICIES = ("allkeys-lru", "allkeys-lfu")
EXPONENT = 1.05
SHARDS = 4
VALUE_BYTES = 64
BATCH = 200
SEED = 7


def run(session: Session) -> Findings:
    """Keys held and hit ratios, by policy."""
    universe = session.parameters.scaled(2_000_000, 40_000)
    requests = session.parameters.scaled(2_000_000, 60_000)
    limit = LIMIT if not session.parameters.quick else "4mb"
    plans = _plans(session)
    labels = [plan.label for plan in plans]
    keys = Table(f"Keys held within {limit}", ["policy", *labels])
    hits = Table("Hit ratio", ["policy", *labels])
    for policy in POLICIES:
        rows: tuple[list[str], list[str]] = ([policy], [policy])
        for plan in plans:
            arguments = (*plan.extra_arguments, "--maxmemory", limit, "--maxmemory-policy", policy)
            with session.running([ServerPlan(plan.label, plan.kind, arguments)]) as (server,):
                ratio = _hit_ratio(server, universe, requests)
                held = server.client().call("DBSIZE")
            rows[0].append(f"{held:,}")
            rows[1].append(f"{ratio:.4f}")
            session.log(f"{policy} {plan.label}: {held} keys, hit ratio {ratio:.4f}")
        keys.rows.append(rows[0])
        hits.rows.append(rows[1])
    method = (
        f"{requests:,} GETs over {universe:,} keys by Zipf's law with exponent {EXPONENT}; a miss is followed by SET "
        f"of {VALUE_BYTES} bytes. Hits of the second half. sherd s{SHARDS} is Sherd with {SHARDS} shards, "
        "sherd cluster the same as a cluster node."
    )
    return Findings("Eviction", method, [keys, hits])


def _plans(session: Session) -> Sequence[ServerPlan]:
    plans = []
    for plan in session.plans:
        plans.append(plan)
        if plan.kind is KINDS["sherd"]:
            shards = (*plan.extra_arguments, "--shards", str(SHARDS))
            plans.append(ServerPlan(f"{plan.label} s{SHARDS}", plan.kind, shards))
            plans.append(ServerPlan(f"{plan.label} cluster", plan.kind, (*shards, "--cluster-enabled", "yes")))
    return plans


def _ranks(universe: int, requests: int) -> Iterator[list[int]]:
    """Batches of numbers of keys, the most wanted of which are the smallest."""
    source = random.Random(SEED)  # noqa: S311 - nothing is kept secret by it
    weights = list(accumulate(rank**-EXPONENT for rank in range(1, universe + 1)))
    population = range(universe)
    for _ in range(requests // BATCH):
        yield source.choices(population, cum_weights=weights, k=BATCH)


def _hit_ratio(server: RunningServer, universe: int, requests: int) -> float:
    value = b"$%d\r\n%s\r\n" % (VALUE_BYTES, b"v" * VALUE_BYTES)
    asked = hit = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        reader = connection.makefile("rb")
        for number, ranks in enumerate(_ranks(universe, requests)):
            # Numbers that are near each other are wanted as often: their names tell nothing of that.
            names = [b"$11\r\nkey:%07d\r\n" % (rank * 7919 % universe) for rank in ranks]
            connection.sendall(b"".join(b"*2\r\n$3\r\nGET\r\n" + name for name in names))
            missing = []
            for name in names:
                if reader.readline() == b"$-1\r\n":
                    missing.append(name)
                else:
                    reader.read(VALUE_BYTES + 2)
            connection.sendall(b"".join(b"*3\r\n$3\r\nSET\r\n" + name + value for name in missing))
            for _ in missing:
                if reader.readline() != b"+OK\r\n":
                    raise RuntimeError("a write was refused")
            if number * BATCH >= requests // 2:
                asked += len(names)
                hit += len(names) - len(missing)
    return hit / max(1, asked)
