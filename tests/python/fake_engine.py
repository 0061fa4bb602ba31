"""A native engine that answers from memory, for tests of the control plane that need no data plane.

Numbers are what a test sets; bounds of the histogram are the real ones: four buckets an octave of nanoseconds.
"""

from __future__ import annotations

import copy
from typing import Any

from sherd.config import Config
from sherd.families.command_table import CommandTable
from sherd.families.data_plane import DataPlane
from sherd.families.hotkeys import HotKeySessions
from sherd.native import glob_filter
from sherd.observability.node import Listener, Node
from sherd.resp import encode
from sherd.spec import Request, Services

BOUNDS = [(5 + bucket % 4) << (bucket // 4) for bucket in range(144)]

SNAPSHOT: dict[str, Any] = {
    "uptime_seconds": 90061.5,
    "start_time": 1_700_000_000.0,
    "lru_clock": 77,
    "run_id": "a" * 40,
    "shards": 2,
    "io_threads": 2,
    "memory": {"used": 10 * 1024 * 1024, "peak": 20 * 1024 * 1024, "startup": 1024 * 1024, "active": 12 * 1024 * 1024,
               "not_counted": 0},
    "defragmentation": {
        "effort_percent": 5, "total_ms": 70, "current_ms": 20, "hits": 11, "misses": 12, "key_hits": 9, "key_misses": 8,
    },
    "clients": {
        "connected": 3, "maxclients": 10000, "blocked": 1, "in_timeout_table": 1, "blocking_keys": 2,
        "blocking_keys_on_nokey": 1, "monitors": 0, "watching": 1, "watched_keys": 2,
        "rejected": 4, "received": 9, "paused_ms": 0, "paused_reason": "", "input_buffer_max": 5,
        "output_buffer_max": 6, "buffers_bytes": 700, "query_limit_disconnections": 0,
        "output_limit_disconnections": 0, "evicted": 0, "subscribers": 2, "channels": 3, "patterns": 4,
        "shard_channels": 5, "tracking": 1, "tracked_keys": 6, "tracked_items": 7, "tracked_prefixes": 2,
    },
    "net": {"input_bytes": 1000, "output_bytes": 2000, "reads": 10, "writes": 20},
    "totals": {
        "commands": 100, "command_nanoseconds": 14000, "keyspace_hits": 7, "keyspace_misses": 3, "expired_keys": 1, "expired_fields": 4,
        "expired_members": 6, "expired_stale_millionths": 25000, "expire_time_cap_reached": 1,
        "expire_nanoseconds": 7_500_000, "evicted_keys": 2, "own_volatile_keys": 3,
        "eviction_exceeded_ms": 0, "current_eviction_exceeded_ms": 0,
        "error_replies": 5, "dirty": 8, "panics": 0, "cross_shard": 6, "lazyfree_pending": 0, "lazyfreed": 0,
        "unexpected_errors": 0, "denied_auth": 1, "denied_command": 2, "denied_key": 3, "denied_channel": 4,
        "denied_database": 5, "denied_tls_cert": 6,
    },
    "shards_detail": [
        {
            "keys": 4, "memory_bytes": 400, "commands": 50, "busy_seconds": 0.5, "queue_depth": 1, "batches": 30,
            "direct_batches": 20, "queued_batches": 10, "wakes": 2, "longest_slice_seconds": 0.001 * (index + 1),
        }
        for index in range(2)
    ],
    "io_detail": [
        {
            "connections": 1, "commands": 5, "input_bytes": 500, "output_bytes": 1000, "reads": 5, "writes": 10,
            "polls": 40, "busy_seconds": 0.25,
        }
        for _ in range(2)
    ],
    "dbs": [(0, 8, 2, 1500, 3), (3, 1, 0, 0, 0)],
    "commands": [],
    "errors": {"WRONGTYPE": 2, "ERR": 3},
    "slowlog": {"length": 1, "last_id": 41, "last_duration_us": 12345},
    "scripts": {"cached": 2, "text_bytes": 300, "evicted": 1, "vm_bytes": 70000, "libraries": 1, "functions": 3,
                "library_bytes": 500, "function_vm_bytes": 60000},
}  # fmt: skip


def histogram(**calls_by_nanoseconds: int) -> list[int]:
    """Counts of the buckets; `histogram(ns1500=3)` has three calls of 1500 nanoseconds."""
    counts = [0] * len(BOUNDS)
    for name, calls in calls_by_nanoseconds.items():
        value = int(name.removeprefix("ns"))
        counts[next(index for index, bound in enumerate(BOUNDS) if value < bound)] += calls
    return counts


def command_row(name: str, **calls_by_nanoseconds: int) -> tuple[str, int, int, int, int, list[int]]:
    """A row of the snapshot's `commands`: every call succeeded."""
    calls = sum(calls_by_nanoseconds.values())
    nanoseconds = sum(int(name.removeprefix("ns")) * count for name, count in calls_by_nanoseconds.items())
    return (name, calls, nanoseconds, 0, 0, histogram(**calls_by_nanoseconds))


class FakeEngine:
    """The methods of the native server that handlers call."""

    def __init__(self) -> None:
        self.refuses_writes = False
        self.numbers = copy.deepcopy(SNAPSHOT)
        self.purges = 0
        self.slow_entries: list[tuple[Any, ...]] = []
        self.events: list[tuple[str, int, list[tuple[int, int]]]] = []
        self.keys_by_slot: dict[int, list[bytes]] = {}
        self.hot: list[tuple[bytes, int]] = []
        self.big: list[tuple[bytes, int, int, int, str, int, int]] = []
        self.costs: dict[str, Any] = {
            "nanoseconds": 0, "net_bytes": 0, "sampled_nanoseconds": 0, "sampled_net_bytes": 0, "by_nanoseconds": [],
            "by_net_bytes": [],
        }  # fmt: skip
        self.heat_calls: list[tuple[Any, ...]] = []
        self.snapshots_taken = 0
        self.logs_asked: list[str] = []

    def snapshot(self, *, commands: bool = True) -> dict[str, Any]:
        self.snapshots_taken += 1
        return copy.deepcopy(self.numbers if commands else {**self.numbers, "commands": []})

    def command_log(self, log: str, count: int) -> list[tuple[Any, ...]]:
        self.logs_asked.append(log)
        return self.slow_entries if count < 0 else self.slow_entries[:count]

    def save_progress(self) -> tuple[int, int, int] | None:
        return None

    def append_status(self) -> dict[str, int] | None:
        return None

    def await_begun(self, seconds: float) -> bool:
        return True

    def begin_save(self, path: object, **manner: object) -> None:
        raise OSError(30, "Read-only file system")

    def refuse_writes_after_failed_save(self, refuse: bool) -> None:
        self.refuses_writes = refuse

    def command_log_len(self, log: str) -> int:
        self.logs_asked.append(log)
        return len(self.slow_entries)

    def command_log_reset(self, log: str) -> None:
        self.logs_asked.append(log)
        self.slow_entries.clear()

    def latency(self) -> list[tuple[str, int, list[tuple[int, int]]]]:
        return self.events

    def latency_reset(self, events: list[bytes]) -> int:
        kept = [event for event in self.events if events and event[0].encode() not in events]
        forgotten = len(self.events) - len(kept)
        self.events = kept
        return forgotten

    def hot_keys(self, count: int) -> list[tuple[bytes, int]]:
        return self.hot[:count]

    def big_keys(self) -> list[tuple[bytes, int, int, int, str, int, int]]:
        return self.big

    def start_hot_keys(self, sample: int, slots: list[int]) -> None:
        self.heat_calls.append(("start", sample, slots))

    def stop_hot_keys(self) -> None:
        self.heat_calls.append(("stop",))

    def reset_hot_keys(self) -> None:
        self.heat_calls.append(("reset",))

    def hot_key_costs(self) -> dict[str, Any]:
        return self.costs

    def slot_key_counts(self, first: int, last: int) -> list[int]:
        return [len(self.keys_by_slot.get(slot, ())) for slot in range(first, last + 1)]

    def keys_in_slot(self, slot: int, count: int) -> list[bytes]:
        return self.keys_by_slot.get(slot, [])[:count]

    def purge(self) -> None:
        self.purges += 1

    def reset_stats(self) -> None:
        pass


class Bench:
    """A node on a fake engine, and a way to call its commands as a client would."""

    def __init__(self, **directives: Any) -> None:
        self.engine = FakeEngine()
        self.config = Config()
        for name, value in directives.items():
            self.config._values[name.replace("_", "-")] = value
        self.node = Node(self.engine, self.config, BOUNDS, "1.2.3")  # type: ignore[arg-type]
        self.node.listeners = [Listener("tcp", ("127.0.0.1", "-::1"), 7000)]
        self.services = Services(
            self.config,
            self.node,
            DataPlane(list, lambda args: None, self.engine.reset_stats, glob_filter),
            CommandTable(list),
            HotKeySessions(),
        )

    def request(self, *args: bytes | str, local_addr: str = "10.1.2.3:7000") -> Request:
        words = [word.encode() if isinstance(word, str) else word for word in args]
        return Request(1, 1, words, addr="10.9.9.9:5", local_addr=local_addr, services=self.services)

    def call(self, handler: Any, *args: bytes | str, resp: int = 2, **more: str) -> bytes:
        """The encoded reply of a handler."""
        request = self.request(*args, **more)
        request.resp = resp
        return encode(handler(request), resp)
