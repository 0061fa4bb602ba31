"""INFO: which sections a client asked for, and their text.

The lines come from `info_table`, the ones that depend on the data from the functions here; both read one `Snapshot`.
Text as Redis 8.0 writes it: `# Section`, `name:value`, an empty line between sections, CRLF throughout.

The table's rows of a section become one format once: all that never changes is text in it. INFO then only asks the
sources, which matters because it competes with the data plane for the cores: what takes longer than the kernel's next
tick waits for whole slices of other threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sherd.config.special_kinds import format_percentile
from sherd.observability.info_table import FIELDS, Source
from sherd.observability.loading import load_lines
from sherd.observability.node import Listener
from sherd.observability.replication import primary_lines, replica_lines
from sherd.observability.snapshot import CommandNumbers, Snapshot

# All sections in the order in which they are printed, with their headings.
SECTIONS: Mapping[str, str] = {
    "server": "Server",
    "clients": "Clients",
    "memory": "Memory",
    "persistence": "Persistence",
    "threads": "Threads",
    "stats": "Stats",
    "replication": "Replication",
    "cpu": "CPU",
    "modules": "Modules",
    "commandstats": "Commandstats",
    "errorstats": "Errorstats",
    "latencystats": "Latencystats",
    "cluster": "Cluster",
    "keyspace": "Keyspace",
    "sherd": "Sherd",
}
_ABOUT_COMMANDS = frozenset({"commandstats", "latencystats"})
DEFAULT_SECTIONS = tuple(name for name in SECTIONS if name not in _ABOUT_COMMANDS)
# `all` leaves out what modules add, and there are no modules.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "default": DEFAULT_SECTIONS,
    "all": tuple(name for name in SECTIONS if name != "modules"),
    "everything": tuple(SECTIONS),
}


def wanted_sections(words: Sequence[str]) -> tuple[str, ...]:
    """The sections that the words of INFO name, each once, in the order of printing; unknown ones are ignored."""
    wanted: set[str] = set()
    for word in words or ("default",):
        wanted.update(_GROUPS.get(word.lower(), (word.lower(),)))
    return tuple(name for name in SECTIONS if name in wanted)


def needs_commands(sections: Iterable[str]) -> bool:
    """Whether any of the sections tells of single commands."""
    return not _ABOUT_COMMANDS.isdisjoint(sections)


def render_info(snapshot: Snapshot, sections: Iterable[str]) -> str:
    """The text of INFO."""
    return "\r\n".join([_render(snapshot, name) for name in sections])


def _render(snapshot: Snapshot, section: str) -> str:
    format_text, sources = _format(section)
    text = format_text % tuple([source(snapshot) for source in sources])
    more = _MORE_LINES.get(section)
    return text + "".join([f"{line}\r\n" for line in more(snapshot)]) if more is not None else text


@functools.cache
def _format(section: str) -> tuple[str, tuple[Source, ...]]:
    """A section's heading and its rows of the table, with a place for each value that comes from a source."""
    lines, sources = [f"# {SECTIONS[section]}\r\n"], []
    for field in FIELDS:
        if field.section != section:
            continue
        if callable(field.source):
            lines.append(f"{field.name}:%s\r\n")
            sources.append(field.source)
        else:
            lines.append(f"{field.name}:{field.source}\r\n".replace("%", "%%"))
        behind = _LINES_BEHIND.get((section, field.name))
        if behind is not None:
            lines.append("%s")
            sources.append(functools.partial(_joined, behind))
    return "".join(lines), tuple(sources)


def _joined(lines: Callable[[Snapshot], Iterator[str]], snapshot: Snapshot) -> str:
    return "".join([f"{line}\r\n" for line in lines(snapshot)])


def _primary_lines(snapshot: Snapshot) -> Iterator[str]:
    return primary_lines(snapshot.node.replication, snapshot.node.config)


def _replica_lines(snapshot: Snapshot) -> Iterator[str]:
    return replica_lines(snapshot.node.replication, snapshot.node.config)


def _listener_lines(snapshot: Snapshot) -> Iterator[str]:
    for number, listener in enumerate(snapshot.listeners):
        yield f"listener{number}:{_describe(listener)}"


def _describe(listener: Listener) -> str:
    addresses = ",".join(f"bind={address}" for address in listener.addresses)
    return f"name={listener.kind},{addresses}" + (f",port={listener.port}" if listener.has_port else "")


def _persistence_lines(snapshot: Snapshot) -> Iterator[str]:
    yield from _append_lines(snapshot)
    yield from load_lines(snapshot.node)


def _append_lines(snapshot: Snapshot) -> Iterator[str]:
    status, appends = snapshot.node.engine.append_status(), snapshot.node.appends
    if status is None:
        return
    yield f"aof_current_size:{status['size']}"
    yield f"aof_base_size:{appends.base_size}"
    yield f"aof_pending_rewrite:{int(appends.scheduled)}"
    yield f"aof_buffer_length:{status['pending']}"
    yield f"aof_pending_bio_fsync:{int(status['syncing'])}"
    yield f"aof_delayed_fsync:{status['delayed_syncs']}"


def _thread_lines(snapshot: Snapshot) -> Iterator[str]:
    for number, thread in enumerate(snapshot.io_threads):
        yield f"io_thread_{number}:clients={thread.connections},reads={thread.reads},writes={thread.writes}"


def _command_lines(snapshot: Snapshot) -> Iterator[str]:
    for command in snapshot.commands:
        per_call = snapshot.ratio(command.microseconds, command.calls)
        yield (
            f"cmdstat_{command.name}:calls={command.calls},usec={command.microseconds},usec_per_call={per_call:.2f},"
            f"rejected_calls={command.rejected},failed_calls={command.failed}"
        )


def _error_lines(snapshot: Snapshot) -> Iterator[str]:
    for code, count in snapshot.errors.items():
        yield f"errorstat_{code}:count={count}"


def _latency_lines(snapshot: Snapshot) -> Iterator[str]:
    percentiles = snapshot.node.config.get_tuple("latency-tracking-info-percentiles")
    if not snapshot.node.config.get_bool("latency-tracking") or not percentiles:
        return
    for command in snapshot.commands:
        if command.histogram.count():
            yield f"latency_percentiles_usec_{command.name}:{_percentiles(command, percentiles)}"


def _percentiles(command: CommandNumbers, percentiles: Sequence[float]) -> str:
    values = zip(percentiles, command.histogram.percentiles_ns(percentiles), strict=True)
    return ",".join([f"p{format_percentile(percentile)}={value / 1000:.3f}" for percentile, value in values])


def _keyspace_lines(snapshot: Snapshot) -> Iterator[str]:
    for database in snapshot.databases:
        if database.keys:
            yield (
                f"db{database.number}:keys={database.keys},expires={database.keys_with_expiry},"
                f"avg_ttl={database.average_ttl_ms},subexpiry={database.keys_with_expiring_elements}"
            )


def _shard_lines(snapshot: Snapshot) -> Iterator[str]:
    for number, shard in enumerate(snapshot.shards):
        yield (
            f"shard_{number}:keys={shard.keys},memory_bytes={max(0, shard.memory_bytes)},commands={shard.commands},"
            f"busy_usec={int(shard.busy_seconds * 1e6)},queue_depth={shard.queue_depth},batches={shard.batches},"
            f"direct_batches={shard.direct_batches},queued_batches={shard.queued_batches},wakes={shard.wakes},"
            f"longest_slice_usec={int(shard.longest_slice_seconds * 1e6)}"
        )
    for number, thread in enumerate(snapshot.io_threads):
        yield (
            f"io_thread_detail_{number}:commands={thread.commands},input_bytes={thread.input_bytes},"
            f"output_bytes={thread.output_bytes},polls={thread.polls},busy_usec={int(thread.busy_seconds * 1e6)}"
        )


# Lines that stand behind a row of the table.
_LINES_BEHIND: Mapping[tuple[str, str], Callable[[Snapshot], Iterator[str]]] = {
    ("replication", "role"): _primary_lines,
    ("replication", "connected_slaves"): _replica_lines,
}
_MORE_LINES: Mapping[str, Callable[[Snapshot], Iterator[str]]] = {
    "server": _listener_lines,
    "persistence": _persistence_lines,
    "threads": _thread_lines,
    "commandstats": _command_lines,
    "errorstats": _error_lines,
    "latencystats": _latency_lines,
    "keyspace": _keyspace_lines,
    "sherd": _shard_lines,
}
