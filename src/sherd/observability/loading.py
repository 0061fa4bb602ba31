"""How far loading has come: what INFO, the metrics page and the log tell of it.

Data are loaded when the server starts, and by a replica whose primary has sent a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sherd.record import record

if TYPE_CHECKING:
    from sherd.observability.node import Node


@record
class LoadState:
    """A load that is going on. since: Unix seconds. elapsed_seconds: how long it has lasted. keys: with those of an
    append-only file's commands; 0 where that is not known. used_memory: bytes that the data took where they were
    written, as far as the file says so."""

    since: float
    elapsed_seconds: int
    total_bytes: int
    loaded_bytes: int
    keys: int
    used_memory: int
    # The old data are answered from meanwhile.
    is_async: bool = False

    @property
    def percent(self) -> float:
        """How much of the bytes was read."""
        return 100 * self.loaded_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def left_seconds(self) -> int:
        """How long the rest takes at the speed so far; a second while nothing can be said of that."""
        if not self.loaded_bytes or self.elapsed_seconds <= 0:
            return 1
        return max(0, self.total_bytes - self.loaded_bytes) * self.elapsed_seconds // self.loaded_bytes


def load_state(node: Node) -> LoadState | None:
    """The load that is going on; None if there is none."""
    start = node.start_load
    if start is not None:
        loaded, keys, used_memory = node.engine.load_progress()
        loaded = min(start.done_bytes + loaded, start.total_bytes)
        return LoadState(start.since, start.elapsed_seconds, start.total_bytes, loaded, keys, used_memory)
    replication = node.replication
    status = replication.status() if replication.is_loading else None
    if status is None:
        return None
    since, elapsed = replication.syncing_since, replication.syncing_seconds
    serves = replication.serves_while_loading
    return LoadState(since, elapsed, status["load_total"], status["loaded_bytes"], 0, 0, serves)


def loading_flags(node: Node) -> tuple[bool, bool]:
    """Whether data are being loaded that nobody can do without, and whether they are loaded beside others."""
    state = load_state(node)
    return state is not None and not state.is_async, state is not None and state.is_async


def load_lines(node: Node) -> Iterator[str]:
    """What INFO tells of it."""
    state = load_state(node)
    if state is None:
        return
    yield f"loading_start_time:{int(state.since)}"
    yield f"loading_total_bytes:{state.total_bytes}"
    yield f"loading_rdb_used_mem:{state.used_memory}"
    yield f"loading_loaded_bytes:{state.loaded_bytes}"
    yield f"loading_loaded_perc:{state.percent:.2f}"
    yield f"loading_eta_seconds:{state.left_seconds}"
