"""The memory suite: bytes of overhead a key, and bytes a member of small and large collections.

Overhead is the growth of `used_memory` a key, less the bytes of key and value themselves. The growth of resident
memory is shown too: it holds what an allocator keeps and what a server does not account for. Servers run one after
the other, fresh for every row, so that freed memory of the row before does not hide growth.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sherd_bench import procfs
from sherd_bench.document import Findings
from sherd_bench.resp import ServerError
from sherd_bench.servers import RunningServer, ServerPlan
from sherd_bench.session import Session
from sherd_bench.tables import Table, number

KEY_BYTES = 10
VALUE_BYTES = 16
SMALL_MEMBERS = 10
# What the load itself needed, such as buffers of its connections, servers give back on timers of a tenth of a second.
REST_SECONDS = 0.5


@dataclass(frozen=True)
class Shape:
    """One row: what is stored, how many times, and the bytes that any store would need for it."""

    name: str
    command: str
    requests: int
    # Keys or members that one request adds.
    items_per_request: int
    payload_bytes_per_item: float


def shapes(keys: int) -> tuple[Sequence[Shape], Sequence[Shape]]:
    """Rows counted a key, and rows counted a member, for about `keys` items each."""
    small = keys // SMALL_MEMBERS
    members = " ".join(f"m{index}:__int:8__" for index in range(SMALL_MEMBERS))
    fields = " ".join(f"f{index} __data__" for index in range(SMALL_MEMBERS))
    scored = " ".join(f"{index} m{index}:__int:8__" for index in range(SMALL_MEMBERS))
    values = " ".join(["__data__"] * SMALL_MEMBERS)
    member_bytes = 11
    by_key = [
        Shape("string", "SET k:__int:8__ __data__", keys, 1, KEY_BYTES + VALUE_BYTES),
        Shape("string with TTL", "SET k:__int:8__ __data__ EX 1000000", keys, 1, KEY_BYTES + VALUE_BYTES),
        Shape("counter", "INCR k:__int:8__", keys, 1, KEY_BYTES),
    ]
    by_member = [
        Shape("hash, 10 fields", f"HSET h:__int:8__ {fields}", small, SMALL_MEMBERS, 2 + VALUE_BYTES),
        Shape("list, 10 elements", f"RPUSH l:__int:8__ {values}", small, SMALL_MEMBERS, VALUE_BYTES),
        Shape("set, 10 members", f"SADD s:__int:8__ {members}", small, SMALL_MEMBERS, member_bytes),
        Shape("sorted set, 10 members", f"ZADD z:__int:8__ {scored}", small, SMALL_MEMBERS, member_bytes + 8),
        Shape("one large hash", "HSET hash f:__int:8__ __data__", keys, 1, 10 + VALUE_BYTES),
        Shape("one large list", "RPUSH list __data__", keys, 1, VALUE_BYTES),
        Shape("one large set", "SADD set m:__int:8__", keys, 1, 10),
        Shape("one large integer set", "SADD set __int:8__", keys, 1, 4),
        Shape("one large sorted set", "ZADD zset __int:8__ m:__int:8__", keys, 1, 10 + 8),
        Shape("one stream, 1 field", "XADD stream * field __data__", keys, 1, 5 + VALUE_BYTES),
    ]
    return by_key, by_member


@dataclass(frozen=True)
class Growth:
    """Bytes an item, the payload already taken off."""

    used_bytes: float | None
    resident_bytes: float


def run(session: Session) -> Findings:
    """Overhead bytes a key and a member."""
    by_key, by_member = shapes(session.parameters.scaled(1_000_000, 100_000))
    tables = [
        _table(session, f"Overhead bytes a key ({KEY_BYTES}-byte keys, {VALUE_BYTES}-byte values)", by_key),
        _table(session, "Overhead bytes a member", by_member),
    ]
    method = (
        f"Growth of used_memory (INFO) less key, value and member bytes, over {by_key[0].requests:,} items; in "
        "brackets the same from resident memory. A small collection's overhead includes its key."
    )
    return Findings("Memory", method, tables)


def _table(session: Session, title: str, rows: Sequence[Shape]) -> Table:
    labels = [plan.label for plan in session.plans]
    table = Table(title, ["stored", *labels])
    for shape in rows:
        growths = [_measure(session, plan, shape) for plan in session.plans]
        cells = [
            f"{'?' if growth is None or growth.used_bytes is None else number(growth.used_bytes)} "
            f"({'?' if growth is None else number(growth.resident_bytes)})"
            for growth in growths
        ]
        table.rows.append([shape.name, *cells])
        session.log(f"{shape.name}: " + ", ".join(f"{a} {b}" for a, b in zip(labels, cells, strict=True)))
    return table


def _measure(session: Session, server_plan: ServerPlan, shape: Shape) -> Growth | None:
    """None when the server refuses the command."""
    plan = replace(session.base_plan(), value_size_bytes=VALUE_BYTES)
    with session.running([server_plan]) as (server,):
        # Connection buffers and lazily made structures appear with the first load, not with the data.
        session.fill(server, "SET warm:__int:8__ __data__", 1000, plan)
        server.flush()
        used_before, resident_before = _used_bytes(server), procfs.resident_bytes(server.pid)
        if session.fill(server, shape.command, shape.requests, plan).errors:
            return None
        time.sleep(REST_SECONDS)
        used, resident = _used_bytes(server), procfs.resident_bytes(server.pid)
    items = shape.requests * shape.items_per_request
    payload = shape.payload_bytes_per_item
    used_growth = None if used is None or used_before is None else (used - used_before) / items - payload
    return Growth(used_growth, (resident - resident_before) / items - payload)


def _used_bytes(server: RunningServer) -> int | None:
    try:
        text = server.client().info("memory").get("used_memory", "")
    except ServerError:
        return None
    return int(text) if text.isdigit() else None
