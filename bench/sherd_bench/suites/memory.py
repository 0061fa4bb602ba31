"""The memory suite: bytes of overhead a key, and bytes a member of small and large collections.

A server is filled in two halves of as many items, and the figures are those of the second half: what it grows by an
item, less the bytes of key and value themselves. What a server takes once, such as threads, an interpreter, buffers and
the first pages of every size of block, falls out; any structure that doubles goes through one whole turn of it. Growth
is taken from `used_memory`, which leaves out what a server does not account for, and from resident memory, which holds
everything. The totals, from the empty server on, are in a table of their own. Servers run one after the other, fresh
for every row, so that freed memory of the row before does not hide growth.
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
HALF = "HALF"
SMALL_MEMBERS = 10
# What the load itself needed, such as buffers of its connections, servers give back on timers of up to a second.
REST_SECONDS = 1.5


@dataclass(frozen=True)
class Shape:
    """One row: what is stored, how many times, and the bytes that any store would need for it."""

    name: str
    # HALF in it stands for the digit of the half, which makes the names of the two differ.
    command: str
    requests: int
    # Keys or members that one request adds; requests of one half.
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
        Shape("string", f"SET k{HALF}__int:8__ __data__", keys, 1, KEY_BYTES + VALUE_BYTES),
        Shape("string with TTL", f"SET k{HALF}__int:8__ __data__ EX 1000000", keys, 1, KEY_BYTES + VALUE_BYTES),
        Shape("counter", f"INCR k{HALF}__int:8__", keys, 1, KEY_BYTES),
    ]
    by_member = [
        Shape("hash, 10 fields", f"HSET h{HALF}__int:8__ {fields}", small, SMALL_MEMBERS, 2 + VALUE_BYTES),
        Shape("list, 10 elements", f"RPUSH l{HALF}__int:8__ {values}", small, SMALL_MEMBERS, VALUE_BYTES),
        Shape("set, 10 members", f"SADD s{HALF}__int:8__ {members}", small, SMALL_MEMBERS, member_bytes),
        Shape("sorted set, 10 members", f"ZADD z{HALF}__int:8__ {scored}", small, SMALL_MEMBERS, member_bytes + 8),
        Shape("one large hash", f"HSET hash f{HALF}__int:8__ __data__", keys, 1, 10 + VALUE_BYTES),
        Shape("one large list", "RPUSH list __data__", keys, 1, VALUE_BYTES),
        Shape("one large set", f"SADD set m{HALF}__int:8__", keys, 1, 10),
        Shape("one large integer set", f"SADD set {HALF}__int:7__", keys, 1, 4),
        Shape("one large sorted set", f"ZADD zset __int:8__ m{HALF}__int:8__", keys, 1, 10 + 8),
        Shape("one stream, 1 field", "XADD stream * field __data__", keys, 1, 5 + VALUE_BYTES),
    ]
    return by_key, by_member


@dataclass(frozen=True)
class Growth:
    """Bytes an item in the second half, the payload already taken off, and resident bytes in all."""

    used_bytes: float | None
    resident_bytes: float
    resident_empty: int
    resident_full: int


def run(session: Session) -> Findings:
    """Overhead bytes a key and a member, and the totals."""
    by_key, by_member = shapes(session.parameters.scaled(2_000_000, 100_000))
    labels = [plan.label for plan in session.plans]
    totals = Table("Resident memory in all, MiB", ["stored", *labels])
    totals.note = "of the empty server, and with both halves"
    tables = [
        _table(session, f"Overhead bytes a key ({KEY_BYTES}-byte keys, {VALUE_BYTES}-byte values)", by_key, totals),
        _table(session, "Overhead bytes a member", by_member, totals),
    ]
    method = (
        f"Growth of used_memory (INFO) less key, value and member bytes, from {by_key[0].requests:,} items to twice as "
        "many; in brackets the same from resident memory. A small collection's overhead includes its key."
    )
    return Findings("Memory", method, [*tables, totals])


def _table(session: Session, title: str, rows: Sequence[Shape], totals: Table) -> Table:
    labels = [plan.label for plan in session.plans]
    table = Table(title, ["stored", *labels])
    for shape in rows:
        growths = [_measure(session, plan, shape) for plan in session.plans]
        cells = ["?" if growth is None else _overhead(growth) for growth in growths]
        table.rows.append([shape.name, *cells])
        totals.rows.append([shape.name, *("?" if growth is None else _total(growth) for growth in growths)])
        session.log(f"{shape.name}: " + ", ".join(f"{a} {b}" for a, b in zip(labels, cells, strict=True)))
    return table


def _overhead(growth: Growth) -> str:
    used = "?" if growth.used_bytes is None else number(growth.used_bytes)
    return f"{used} ({number(growth.resident_bytes)})"


def _total(growth: Growth) -> str:
    return f"{growth.resident_empty / 2**20:.0f}, {growth.resident_full / 2**20:.0f}"


def _measure(session: Session, server_plan: ServerPlan, shape: Shape) -> Growth | None:
    """None when the server refuses the command."""
    plan = replace(session.base_plan(), value_size_bytes=VALUE_BYTES)
    with session.running([server_plan]) as (server,):
        empty = procfs.resident_bytes(server.pid)
        used: list[int | None] = []
        resident = []
        for half in ("1", "2"):
            if session.fill(server, shape.command.replace(HALF, half), shape.requests, plan).errors:
                return None
            time.sleep(REST_SECONDS)
            used.append(_used_bytes(server))
            resident.append(procfs.resident_bytes(server.pid))
    items = shape.requests * shape.items_per_request
    payload = shape.payload_bytes_per_item
    return Growth(
        used_bytes=None if used[0] is None or used[1] is None else (used[1] - used[0]) / items - payload,
        resident_bytes=(resident[1] - resident[0]) / items - payload,
        resident_empty=empty,
        resident_full=resident[1],
    )


def _used_bytes(server: RunningServer) -> int | None:
    try:
        text = server.client().info("memory").get("used_memory", "")
    except ServerError:
        return None
    return int(text) if text.isdigit() else None
