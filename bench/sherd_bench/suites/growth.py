"""What a large collection costs the commands that come after it: part of the pauses suite.

For each type: it grows by one element a command to some millions, then goes in every way in which a collection can go.
The figure is the server's own longest slice (the longest time for which one thread held a shard) during each step, set
back before it with CONFIG RESETSTAT; servers that tell none are not asked. The machine's own delays are in it: the note
says how long they were while the server had next to nothing to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sherd_bench.servers import RunningServer
from sherd_bench.session import Session
from sherd_bench.tables import Table, number

BIG = "big"
FIELD = "longest_slice_usec"
IDLE_GETS = 100_000
# A batch of commands is one slice: few connections and short pipelines, so that it is shorter than what is looked for.
FILL_CLIENTS = 4
FILL_PIPELINE = 16
STEPS = (
    "growing",
    "DEL",
    "UNLINK",
    "SET over it",
    "RENAME over it",
    "expiring",
    "first TTL inside",
    "taken apart",
    "FLUSHALL ASYNC",
)


@dataclass(frozen=True)
class Kind:
    """A type: how an element is added, how one is taken, and how one gets a time to live."""

    name: str
    add: str
    take: str = ""
    first_time: str = ""
    value_bytes: int = 16


KINDS = (
    Kind(
        "hash", f"HSET {BIG} f:__int:8__ __data__", f"HDEL {BIG} f:__int:8__", f"HEXPIRE {BIG} 999 FIELDS 1 f:00000001"
    ),
    Kind("set", f"SADD {BIG} m:__int:8__", f"SPOP {BIG}", f"SEXPIRE {BIG} 999 MEMBERS 1 m:00000001"),
    Kind("set of integers", f"SADD {BIG} __int:8__", f"SPOP {BIG}"),
    Kind("sorted set", f"ZADD {BIG} __int:8__ m:__int:8__", f"ZPOPMIN {BIG}"),
    Kind("list", f"RPUSH {BIG} __data__", f"LPOP {BIG}"),
    Kind("stream", f"XADD {BIG} * field __data__"),
    # An element is a piece of 100 bytes: five million of them are half a gigabyte.
    Kind("string", f"APPEND {BIG} __data__", value_bytes=100),
)


def table(session: Session, server: RunningServer, members: int) -> Table | None:
    """A row a type and a column a step, in milliseconds; None if the server does not tell its longest slice."""
    if FIELD not in server.client().info("all"):
        return None
    idle = _slice(server, lambda: fill_gently(session, server, "GET none", IDLE_GETS))
    title = f"Longest slice of a shard of {server.label} while {members:,} elements come and go, milliseconds"
    result = Table(title, ["collection", *STEPS])
    result.note = f"answering GET: {number(idle / 1e3)}"
    for kind in KINDS:
        slices = _slices(session, server, kind, members)
        cells = ["-" if slice_us is None else number(slice_us / 1e3) for slice_us in slices]
        result.rows.append([kind.name, *cells])
        session.log(f"{server.label}: {kind.name}: " + ", ".join(map(" ".join, zip(STEPS, cells, strict=True))))
    return result


def fill_gently(session: Session, server: RunningServer, command: str, count: int, value_bytes: int = 16) -> None:
    """Sends a command with the numbers 0 up to `count` so that pauses stand out, and waits until the server is idle."""
    plan = replace(
        session.base_plan(),
        commands=(command,),
        clients=FILL_CLIENTS,
        pipeline=FILL_PIPELINE,
        requests=count,
        keys=count,
        value_size_bytes=value_bytes,
        sequential=True,
    )
    session.note_errors(server, command, session.generator.run(server, plan))
    server.settle()


def _slices(session: Session, server: RunningServer, kind: Kind, members: int) -> Iterator[float | None]:
    """The longest slice of each step, in microseconds; None where a type has no such step."""
    call = server.client().call

    def fill() -> None:
        fill_gently(session, server, kind.add, members, kind.value_bytes)

    def during(*command: str) -> float:
        def work() -> None:
            call(*command)
            server.settle()

        return _slice(server, work)

    server.flush()
    yield _slice(server, fill)
    yield during("DEL", BIG)
    for command in (["UNLINK", BIG], ["SET", BIG, "x"], ["RENAME", "other", BIG], ["PEXPIRE", BIG, "1"]):
        call("DEL", BIG)
        call("SET", "other", "x")
        fill()
        yield during(*command)
    call("DEL", BIG)
    fill()
    yield during(*kind.first_time.split()) if kind.first_time else None
    if kind.take:
        yield _slice(server, lambda: fill_gently(session, server, kind.take, members))
        fill()
    else:
        yield None
    yield during("FLUSHALL", "ASYNC")


def _slice(server: RunningServer, work: Callable[[], object]) -> float:
    """The server's longest slice while it works, in microseconds."""
    server.client().call("CONFIG", "RESETSTAT")
    work()
    return float(server.client().info("all").get(FIELD, "0"))
