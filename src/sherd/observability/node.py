"""One running server as the control plane knows it: the engine, the configuration, and who and where it is.

The lowest service that handlers ask for (`request.services.get(Node)`), so that INFO, the exporter and CLUSTER speak of
the same identity. It holds no logic of its own; the server fills it in while it starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sherd.config import Config
from sherd.observability.replication import Place, Replication, random_id
from sherd.observability.sampler import Sampler
from sherd.record import field, record

if TYPE_CHECKING:
    from sherd import native


@record
class Listener:
    """Where clients connect: `tcp` or `tls` with its addresses and port, or `unix` with its path."""

    kind: str
    addresses: tuple[str, ...]
    port: int = 0

    @property
    def has_port(self) -> bool:
        """Whether clients come over the network."""
        return self.kind != "unix"


@record(frozen=False)
class SaveFigures:
    """What became of snapshots. last_time: Unix seconds. current_since: when the one that is being taken began
    (monotonic seconds), or 0. saved_changes: the changes that the last one has."""

    last_time: float = field(default_factory=time.time)
    last_ok: bool = True
    last_seconds: int = -1
    current_since: float = 0.0
    count: int = 0
    saved_changes: int = 0
    loaded_keys: int = 0
    loaded_expired: int = 0
    # Where the data of the snapshot are that was loaded at the start.
    loaded_place: Place | None = None

    @property
    def current_seconds(self) -> int:
        """How long the snapshot that is being taken has lasted; -1 if there is none."""
        return int(time.monotonic() - self.current_since) if self.current_since else -1


@record(frozen=False)
class StartLoad:
    """What is being loaded at the start. done_bytes: of the files before the one that is being read."""

    total_bytes: int
    done_bytes: int = 0
    since: float = field(default_factory=time.time)
    begun: float = field(default_factory=time.monotonic)

    @property
    def elapsed_seconds(self) -> int:
        """How long it has lasted."""
        return int(time.monotonic() - self.begun)


@record(frozen=False)
class AppendFigures:
    """What became of the append-only file. current_since: when the rewrite that goes on began (monotonic seconds), or
    0. base_size: bytes of its files after the last rewrite, or at the start."""

    enabled: bool = False
    scheduled: bool = False
    current_since: float = 0.0
    last_seconds: int = -1
    last_ok: bool = True
    count: int = 0
    failures: int = 0
    base_size: int = 0

    @property
    def current_seconds(self) -> int:
        """How long the rewrite that is going on has lasted; -1 if there is none."""
        return int(time.monotonic() - self.current_since) if self.current_since else -1


@record(frozen=False)
class Node:
    """See the module. `histogram_bounds`: exclusive upper bounds of latency buckets in nanoseconds."""

    engine: native.Server
    config: Config
    histogram_bounds: Sequence[int]
    version: str
    sampler: Sampler = field(default_factory=Sampler)
    listeners: list[Listener] = field(default_factory=list)
    # Asked for when somebody wants to know it: it is computed from the whole data plane.
    find_build_id: Callable[[], str] = lambda: "0" * 16
    node_id: str = field(default_factory=random_id)
    shard_id: str = field(default_factory=random_id)
    start_time: float = field(default_factory=time.time)
    saves: SaveFigures = field(default_factory=SaveFigures)
    replication: Replication = field(default_factory=Replication)
    appends: AppendFigures = field(default_factory=AppendFigures)
    # From the moment at which it is known that there is something to load, until it is loaded.
    start_load: StartLoad | None = None
    ready: bool = False
    stopping: bool = False

    @property
    def port(self) -> int:
        """The TCP port in use; 0 where there is none."""
        return next((listener.port for listener in self.listeners if listener.kind == "tcp"), 0)

    @property
    def build_id(self) -> str:
        """16 hexadecimal digits that stand for the compiled data plane."""
        return self.find_build_id()

    @property
    def cluster_enabled(self) -> bool:
        """Cluster mode: one node that owns all slots."""
        return self.config.get_bool("cluster-enabled")
