"""One picture of a server, which INFO and the metrics page both read, so that the two can never disagree.

`take_snapshot` asks the native engine once, then the operating system, and types what comes back. Numbers that this
data plane does not count are None and left out of INFO, rather than shown as an invented 0; what does not exist here at
all (replicas, an append-only file) is told by the tables of INFO and the exporter as a server without it tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sherd.observability.histogram import Histogram
from sherd.observability.node import Listener, Node
from sherd.observability.process import ProcessNumbers, read_process
from sherd.record import record

_Number = TypeVar("_Number", int, float)


class Numbers(Generic[_Number]):
    """Numbers of the data plane by name, read as attributes.

    Which there are is declared with the counters (`metrics::catalogue` in Rust), so a row of INFO or of the metrics
    page can show what was declared without a list in between; `tests/house/test_counters.py` holds that all that is
    declared is shown, and the tests of INFO and the page that all that they show is there.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self._numbers = numbers

    def __getattr__(self, name: str) -> _Number:
        try:
            number: _Number = self._numbers[name]
        except KeyError:
            raise AttributeError(name) from None
        return number


@record
class DatabaseNumbers:
    """One database that has keys."""

    number: int
    keys: int
    keys_with_expiry: int
    average_ttl_ms: int
    keys_with_expiring_elements: int


@record
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


@record
class SlowLogNumbers:
    """The slow log without its entries."""

    length: int
    last_id: int
    last_duration_us: int


@record
class LatencyEvent:
    """The newest spike of one kind of event."""

    name: str
    unix_seconds: int
    duration_ms: int


@record
class HotKey:
    """A key that the sampled commands named often, and how often by estimate."""

    key: bytes
    commands: int


@record
class BigKey:
    """A key that the shards' own threads have found to be big; bytes by estimate, elements of a collection."""

    key: bytes
    shard: int
    database: int
    slot: int
    type: str
    bytes: int
    elements: int


@record
class ScriptNumbers:
    """Scripts and functions that are known, and what Lua takes for each in all runtimes of the process."""

    cached: int
    text_bytes: int
    evicted: int
    vm_bytes: int
    libraries: int
    functions: int
    library_bytes: int
    function_vm_bytes: int

    @property
    def all_vm_bytes(self) -> int:
        """What Lua takes."""
        return self.vm_bytes + self.function_vm_bytes

    @property
    def all_text_bytes(self) -> int:
        """What scripts and libraries take besides."""
        return self.text_bytes + self.library_bytes


@record
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
    memory_not_counted: int
    memory_startup: int
    memory_active: int
    defragmentation: Numbers[int]
    clients: Numbers[int]
    paused_reason: str
    network: Numbers[int]
    totals: Numbers[int]
    shards: Sequence[Numbers[float]]
    io_threads: Sequence[Numbers[float]]
    databases: Sequence[DatabaseNumbers]
    commands: Sequence[CommandNumbers]
    errors: Mapping[str, int]
    slow_log: SlowLogNumbers
    scripts: ScriptNumbers
    process: ProcessNumbers
    process_id: int
    latency_events: Sequence[LatencyEvent] = ()
    hot_keys: Sequence[HotKey] = ()
    big_keys: Sequence[BigKey] = ()

    @property
    def memory_dataset(self) -> int:
        """Bytes of keys and values.

        What one command allocates in several shards is counted to the first of them, and what is freed to the shard of
        the key: a shard may have less than nothing, and only the sum is exact.
        """
        return max(0, min(int(sum(shard.memory_bytes for shard in self.shards)), self.memory_used))

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
        memory_not_counted=memory["not_counted"],
        memory_startup=memory["startup"],
        memory_active=memory["active"],
        defragmentation=Numbers(native["defragmentation"]),
        clients=Numbers(native["clients"]),
        paused_reason=native["clients"]["paused_reason"],
        network=Numbers(native["net"]),
        totals=Numbers(native["totals"]),
        shards=[Numbers(shard) for shard in native["shards_detail"]],
        io_threads=[Numbers(thread) for thread in native["io_detail"]],
        databases=[DatabaseNumbers(*database) for database in native["dbs"]],
        commands=_commands(native["commands"], node.histogram_bounds),
        errors=dict(sorted(native["errors"].items())),
        slow_log=SlowLogNumbers(**native["slowlog"]),
        scripts=ScriptNumbers(**native["scripts"]),
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


def _commands(rows: Iterable[tuple[Any, ...]], bounds: Sequence[int]) -> list[CommandNumbers]:
    return [
        CommandNumbers(name, calls, nanoseconds, rejected, failed, Histogram(bounds, counts))
        for name, calls, nanoseconds, rejected, failed, counts in rows
    ]
