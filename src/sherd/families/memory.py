"""MEMORY STATS, DOCTOR, PURGE and MALLOC-STATS: where the memory of the process is.

MEMORY USAGE looks at one key and is the data plane's, which also declares the container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sherd.families.help_lines import help_reply
from sherd.observability.node import Node
from sherd.resp import OK, Reply, Verbatim
from sherd.spec import Request, command

if TYPE_CHECKING:
    from sherd.observability.snapshot import Snapshot

_ALL_SHARDS = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")

# What the doctor thinks worth a word.
_TOO_LITTLE_BYTES = 5 * 1024 * 1024
_HIGH_PEAK_RATIO = 1.5
_HIGH_RESIDENT_RATIO = 1.4
_HIGH_FRAGMENTATION_RATIO = 1.4
_HIGH_RESIDENT_BYTES = 10 * 1024 * 1024
_BIG_CLIENT_BUFFER_BYTES = 200 * 1024


@command(
    "memory|stats",
    arity=2,
    group="server",
    since="4.0.0",
    summary="Returns where memory is used.",
    complexity="O(1)",
    tips=_ALL_SHARDS,
)
def memory_stats(request: Request) -> Reply:
    """A map of numbers; bytes unless a name says otherwise."""
    from sherd.observability.snapshot import take_snapshot

    snapshot = take_snapshot(request.services.get(Node), commands=False)
    used, active, resident = snapshot.memory_used, snapshot.memory_active, snapshot.process.resident_bytes
    keys = sum(database.keys for database in snapshot.databases)
    above_start = max(0, used - snapshot.memory_startup)
    ratio = snapshot.ratio(resident, used)
    return {
        "peak.allocated": snapshot.memory_peak,
        "total.allocated": used,
        "startup.allocated": snapshot.memory_startup,
        "replication.backlog": 0,
        "replica.fullsync.buffer": 0,
        "clients.slaves": 0,
        "clients.normal": snapshot.clients.buffers_bytes,
        "cluster.links": 0,
        "aof.buffer": 0,
        "lua.caches": 0,
        "functions.caches": 0,
        "script.VMs": 0,
        "overhead.total": used - snapshot.memory_dataset,
        "db.dict.rehashing.count": 0,
        "keys.count": keys,
        "keys.bytes-per-key": above_start // keys if keys else 0,
        "dataset.bytes": snapshot.memory_dataset,
        "dataset.percentage": 100 * snapshot.ratio(snapshot.memory_dataset, above_start),
        "peak.percentage": 100 * snapshot.ratio(used, snapshot.memory_peak),
        "allocator.allocated": used,
        "allocator.active": active,
        "allocator.resident": active,
        "allocator.muzzy": 0,
        "allocator-fragmentation.ratio": snapshot.ratio(active, used),
        "allocator-fragmentation.bytes": active - used,
        "allocator-rss.ratio": 1.0,
        "allocator-rss.bytes": 0,
        "rss-overhead.ratio": snapshot.ratio(resident, active),
        "rss-overhead.bytes": resident - active,
        "fragmentation": ratio,
        "fragmentation.bytes": resident - used,
    }


@command(
    "memory|doctor",
    arity=2,
    group="server",
    since="4.0.0",
    summary="Reports memory problems in words.",
    complexity="O(1)",
    tips=_ALL_SHARDS,
)
def memory_doctor(request: Request) -> Reply:
    """Text for people."""
    from sherd.observability.snapshot import take_snapshot

    return Verbatim("txt", diagnose(take_snapshot(request.services.get(Node), commands=False)) + "\n")


def diagnose(snapshot: Snapshot) -> str:
    """What is unusual about the memory in use, a line each."""
    if snapshot.memory_used < _TOO_LITTLE_BYTES:
        return "Too little memory is in use to tell anything from it; ask again when there is data."
    findings = []
    if snapshot.memory_peak > _HIGH_PEAK_RATIO * snapshot.memory_used:
        findings.append(
            f"The peak of {snapshot.memory_peak} bytes is far above the {snapshot.memory_used} bytes in use now: the "
            "process may keep memory that it no longer needs. MEMORY PURGE gives some of it back."
        )
    wasted = snapshot.memory_active - snapshot.memory_used
    if wasted > _HIGH_RESIDENT_BYTES and snapshot.memory_active > _HIGH_FRAGMENTATION_RATIO * snapshot.memory_used:
        findings.append(
            f"{wasted} bytes are lost in pages of the allocator that are nearly empty, as after many deletions: with "
            "activedefrag values are moved together and the pages are given back."
        )
    surplus = snapshot.process.resident_bytes - snapshot.memory_active
    if surplus > _HIGH_RESIDENT_BYTES and surplus > (_HIGH_RESIDENT_RATIO - 1) * snapshot.memory_active:
        findings.append(
            f"The process takes {surplus} bytes more than the data plane's allocator: the interpreter of the control "
            "plane where there is little data."
        )
    per_client = snapshot.ratio(snapshot.clients.buffers_bytes, snapshot.clients.connected)
    if per_client > _BIG_CLIENT_BUFFER_BYTES:
        findings.append(
            f"Client buffers take {int(per_client)} bytes a client: look for slow readers with CLIENT LIST, and set "
            "client-output-buffer-limit."
        )
    return "\n".join(f"- {finding}" for finding in findings) or "No memory problem was found."


@command(
    "memory|purge",
    reads="nothing",
    arity=2,
    group="server",
    since="4.0.0",
    summary="Gives unused memory back to the system.",
    complexity="Depends on how much memory is allocated, could be slow",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
)
def memory_purge(request: Request) -> Reply:
    """OK. What threads of the data plane have yet to give up follows within a second."""
    import ctypes  # which few ever need

    request.services.get(Node).engine.purge()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return OK


@command(
    "memory|malloc-stats",
    reads="nothing",
    arity=2,
    group="server",
    since="4.0.0",
    summary="Returns the allocator's own statistics.",
    complexity="Depends on how much memory is allocated, could be slow",
    tips=_ALL_SHARDS,
)
def memory_malloc_stats(request: Request) -> Reply:
    """The text that a server whose allocator keeps no statistics gives."""
    return "Stats not supported for the current allocator"


@command(
    "memory|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="4.0.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def memory_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("memory", _HELP)


_HELP = (
    ("DOCTOR", "Return what is unusual about the memory in use, in words."),
    ("MALLOC-STATS", "Return the allocator's own statistics."),
    ("PURGE", "Give unused memory back to the system."),
    ("STATS", "Return where memory is used."),
    (
        "USAGE <key> [SAMPLES <count>]",
        "Return the bytes that <key> and its value take. Of nested values, <count>\n"
        "elements are looked at (5 if not given, 0 for all).",
    ),
)
