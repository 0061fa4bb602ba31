"""The sizes of the data, and what the generator sends while something is measured."""

from dataclasses import replace

from sherd_bench.load import PROBE_TIME_SLICE_US, LoadPlan
from sherd_bench.servers import RunningServer
from sherd_bench.session import Session

KEYS, QUICK_KEYS = 5_000_000, 300_000
ELEMENTS, QUICK_ELEMENTS = 1_000_000, 100_000
WRITES_PER_SECOND, QUICK_WRITES_PER_SECOND = 200_000, 50_000
# Commands on large collections cost more than a SET.
COLLECTION_WRITES_PER_SECOND, QUICK_COLLECTION_WRITES_PER_SECOND = 50_000, 20_000
# Short enough to be written as they are: what compression costs is another question.
VALUE_BYTES = 16
PIPELINE = 16
SET = "SET key:__int:10__ __data__"
GET = "GET key:__int:10__"
COLLECTIONS = ("HSET big:hash f:__int:8__ __data__", "SADD big:set m:__int:8__", "ZADD big:zset __int:8__ m:__int:8__")
REMOVAL = "SREM big:set m:__int:8__"
FOREVER_SECONDS = 600.0
PROBES_PER_SECOND = 1000
PROBE_CLIENTS = 8


def keys(session: Session) -> int:
    """Keys of a snapshot, a load, a full sync."""
    return session.parameters.data_keys or session.parameters.scaled(KEYS, QUICK_KEYS)


def elements(session: Session) -> int:
    """Elements of each large collection."""
    return session.parameters.scaled(ELEMENTS, QUICK_ELEMENTS)


def _base(session: Session, numbers: int) -> LoadPlan:
    return replace(session.base_plan(), keys=numbers, value_size_bytes=VALUE_BYTES)


def fill_keys(session: Session, server: RunningServer) -> None:
    """All keys, each once."""
    session.fill(server, SET, keys(session), _base(session, keys(session)))


def fill_collections(session: Session, server: RunningServer) -> None:
    """A hash, a set and a sorted set."""
    for command in COLLECTIONS:
        session.fill(server, command, elements(session), _base(session, elements(session)))


def key_writes(session: Session) -> LoadPlan:
    """Writes to keys that are there, in open loop and without an end."""
    rate = session.parameters.scaled(WRITES_PER_SECOND, QUICK_WRITES_PER_SECOND)
    return _endless(_base(session, keys(session)), (SET,), rate)


def collection_writes(session: Session) -> LoadPlan:
    """The same to elements of large collections, of which a set's come and go."""
    rate = session.parameters.scaled(COLLECTION_WRITES_PER_SECOND, QUICK_COLLECTION_WRITES_PER_SECOND)
    return _endless(_base(session, elements(session)), (*COLLECTIONS, REMOVAL), rate)


def _endless(base: LoadPlan, commands: tuple[str, ...], rate: int | None) -> LoadPlan:
    return replace(base, commands=commands, pipeline=PIPELINE, rate=rate, duration_seconds=FOREVER_SECONDS)


def probe(session: Session, command: str, numbers: int) -> LoadPlan:
    """One command again and again in open loop, whose highest latency bounds the longest stall from above."""
    return replace(
        _base(session, numbers),
        commands=(command,),
        clients=PROBE_CLIENTS,
        rate=PROBES_PER_SECOND,
        duration_seconds=FOREVER_SECONDS,
        time_slice_us=PROBE_TIME_SLICE_US,
    )


def unbounded(session: Session, *commands: str, pipeline: int = PIPELINE) -> LoadPlan:
    """Commands on the keys in closed loop, without an end."""
    base = _endless(_base(session, keys(session)), commands, None)
    return replace(base, pipeline=pipeline)
