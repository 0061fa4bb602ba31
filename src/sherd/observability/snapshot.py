"""One picture of a server, which INFO and the metrics page both read, so that the two can never disagree.

`take_snapshot` asks the native engine once, then the operating system, and types what comes back. Numbers that this
data plane does not count are None and left out of INFO, rather than shown as an invented 0; what does not exist here at
all (replicas, an append-only file) is told by the tables of INFO and the exporter as a server without it tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from sherd.observability.histogram import Histogram
from sherd.observability.node import Listener, Node
from sherd.observability.process import ProcessNumbers, read_process

_Numbers = TypeVar("_Numbers")


class ClientNumbers(NamedTuple):
    """Connections and what they wait for; buffers in bytes."""

    connected: int
    maxclients: int
    blocked: int
    in_timeout_table: int
    blocking_keys: int
    blocking_keys_on_nokey: int
    monitors: int
    watching: int
    watched_keys: int
    rejected: int
    received: int
    paused_ms: int
    paused_reason: str
    input_buffer_max: int
    output_buffer_max: int
    buffers_bytes: int
    query_limit_disconnections: int
    output_limit_disconnections: int
    evicted: int
    tracking: int = 0
    pubsub: int = 0


class Totals(NamedTuple):
    """Counters since the start or CONFIG RESETSTAT; `lazyfree_pending` is a gauge."""

    commands: int
    command_nanoseconds: int
    keyspace_hits: int
    keyspace_misses: int
    expired_keys: int
    expired_fields: int
    expired_members: int
    expired_stale_millionths: int
    expire_time_cap_reached: int
    expire_nanoseconds: int
    evicted_keys: int
    eviction_exceeded_ms: int
    current_eviction_exceeded_ms: int
    error_replies: int
    dirty: int
    panics: int
    cross_shard: int
    lazyfree_pending: int
    lazyfreed: int
    unexpected_errors: int


class DefragmentationNumbers(NamedTuple):
    """Active defragmentation: percent of a processor at the moment, milliseconds, blocks and keys."""

    effort_percent: int
    total_ms: int
    current_ms: int
    hits: int
    misses: int
    key_hits: int
    key_misses: int


class NetworkNumbers(NamedTuple):
    """Bytes and system calls of all IO threads."""

    input_bytes: int
    output_bytes: int
    reads: int
    writes: int


class ShardNumbers(NamedTuple):
    """One shard. `batches` were executed in all, `direct_batches` by an IO thread that found the baton free,
    `queued_batches` by whoever held it; `wakes` counts wake-ups of the shard's own thread."""

    keys: int
    memory_bytes: int
    commands: int
    busy_seconds: float
    queue_depth: int
    batches: int
    direct_batches: int
    queued_batches: int
    wakes: int
    longest_slice_seconds: float


class IoThreadNumbers(NamedTuple):
    """One IO thread."""

    connections: int
    commands: int
    input_bytes: int
    output_bytes: int
    reads: int
    writes: int
    polls: int
    busy_seconds: float


class DatabaseNumbers(NamedTuple):
    """One database that has keys."""

    number: int
    keys: int
    keys_with_expiry: int
    average_ttl_ms: int
    keys_with_expiring_elements: int


@dataclass(frozen=True, slots=True)
class CommandNumbers:
    """One command that was called or refused."""

    name: str
    calls: int
    nanoseconds: int
    rejected: int
    failed: int
    histogram: Histogram

    @property
    def microseconds(self) -> int:
        """Time in all, in the unit of INFO."""
        return self.nanoseconds // 1000


class SlowLogNumbers(NamedTuple):
    """The slow log without its entries."""

    length: int
    last_id: int
    last_duration_us: int


@dataclass(frozen=True, slots=True)
class LatencyEvent:
    """The newest spike of one kind of event."""

    name: str
    unix_seconds: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class HotKey:
    """A key that the sampled commands named often, and how often by estimate."""

    key: bytes
    commands: int


@dataclass(frozen=True, slots=True)
class BigKey:
    """A key that the shards' own threads have found to be big; bytes by estimate, elements of a collection."""

    key: bytes
    shard: int
    database: int
    slot: int
    type: str
    bytes: int
    elements: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All numbers at one moment. Times in seconds, memory in bytes unless a name says otherwise."""

    node: Node
    taken_at: float
    uptime_seconds: float
    start_time: float
    lru_clock: int
    run_id: str
    shard_count: int
    io_thread_count: int
    memory_used: int
    memory_peak: int
    memory_startup: int
    memory_active: int
    defragmentation: DefragmentationNumbers
    clients: ClientNumbers
    network: NetworkNumbers
    totals: Totals
    shards: Sequence[ShardNumbers]
    io_threads: Sequence[IoThreadNumbers]
    databases: Sequence[DatabaseNumbers]
    commands: Sequence[CommandNumbers]
    errors: Mapping[str, int]
    slow_log: SlowLogNumbers
    process: ProcessNumbers
    process_id: int
    latency_events: Sequence[LatencyEvent] = ()
    hot_keys: Sequence[HotKey] = ()
    big_keys: Sequence[BigKey] = ()

    @property
    def memory_dataset(self) -> int:
        """Bytes of keys and values."""
        return min(sum(shard.memory_bytes for shard in self.shards), self.memory_used)

    @property
    def longest_slice_seconds(self) -> float:
        """The longest time that one executor held a shard."""
        return max((shard.longest_slice_seconds for shard in self.shards), default=0.0)

    @property
    def maxmemory(self) -> int:
        """The memory limit; 0 is none."""
        return self.node.config.get_int("maxmemory")

    @property
    def listeners(self) -> Sequence[Listener]:
        """Where clients connect."""
        return self.node.listeners

    def rate(self, name: str) -> float:
        """A rate of the sampler, a second."""
        return self.node.sampler.per_second(name)

    def ratio(self, part: float, whole: float) -> float:
        """A quotient that is 0 where there is nothing to divide by."""
        return part / whole if whole else 0.0


def take_snapshot(node: Node, *, commands: bool = True, hot_keys: int = 0) -> Snapshot:
    """The numbers of a server now, with so many of its hot keys and, if any, with its big keys; safe in any thread.

    `commands` are most of it where many were called; who shows none of them need not have them.
    """
    native = node.engine.snapshot(commands=commands)
    memory = native["memory"]
    return Snapshot(
        node=node,
        taken_at=time.time(),
        uptime_seconds=native["uptime_seconds"],
        start_time=native["start_time"],
        lru_clock=native["lru_clock"],
        run_id=native["run_id"],
        shard_count=native["shards"],
        io_thread_count=native["io_threads"],
        memory_used=memory["used"],
        memory_peak=memory["peak"],
        memory_startup=memory["startup"],
        memory_active=memory["active"],
        defragmentation=DefragmentationNumbers(**native["defragmentation"]),
        clients=_clients(native["clients"]),
        network=_network(native["net"]),
        totals=_totals(native["totals"]),
        shards=[_shard(shard) for shard in native["shards_detail"]],
        io_threads=[_io_thread(thread) for thread in native["io_detail"]],
        databases=[DatabaseNumbers(*database) for database in native["dbs"]],
        commands=_commands(native["commands"], node.histogram_bounds),
        errors=dict(sorted(native["errors"].items())),
        slow_log=_slow_log(native["slowlog"]),
        process=read_process(),
        process_id=os.getpid(),
        latency_events=[
            LatencyEvent(name, *samples[-1])
            for name, _, samples in (node.engine.latency() if hot_keys else ())
            if samples
        ],
        hot_keys=[HotKey(*row) for row in node.engine.hot_keys(hot_keys)] if hot_keys else (),
        big_keys=[BigKey(*row) for row in node.engine.big_keys()] if hot_keys else (),
    )


def _reader(kind: Callable[..., _Numbers]) -> Callable[[Mapping[str, Any]], _Numbers]:
    """What makes numbers of one kind from the data plane's, which may count more than is shown yet.

    Made once a kind: a snapshot is taken ten times a second, and for every INFO.
    """
    defaults = kind._field_defaults  # type: ignore[attr-defined]
    values = itemgetter(*(name for name in kind._fields if name not in defaults))  # type: ignore[attr-defined]
    return lambda numbers: kind(*values(numbers))


_clients = _reader(ClientNumbers)
_totals = _reader(Totals)
_network = _reader(NetworkNumbers)
_shard = _reader(ShardNumbers)
_io_thread = _reader(IoThreadNumbers)
_slow_log = _reader(SlowLogNumbers)


def _commands(rows: Iterable[tuple[Any, ...]], bounds: Sequence[int]) -> list[CommandNumbers]:
    return [
        CommandNumbers(name, calls, nanoseconds, rejected, failed, Histogram(bounds, counts))
        for name, calls, nanoseconds, rejected, failed, counts in rows
    ]
