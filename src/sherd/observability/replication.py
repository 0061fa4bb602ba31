"""What a server knows of its place among others: whom it follows, who follows it, and the lines of INFO about that.

`sherd.replication` keeps it up to date; INFO, ROLE and the metrics page show it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from sherd.record import field, record

if TYPE_CHECKING:
    from sherd import native
    from sherd.config import Config

NO_ID = "0" * 40
# An offset fits 63 bits, and a database 16.
_DIGITS_MAX = 18
_DATABASE_MAX = 65535
_ID_BYTES = 20

# The phases of a link to a primary, in ROLE's words.
CONNECT = "connect"
CONNECTING = "connecting"
HANDSHAKE = "handshake"
SYNC = "sync"
CONNECTED = "connected"


def random_id() -> str:
    """40 hexadecimal digits, the form of run, node and replication ids."""
    return os.urandom(_ID_BYTES).hex()


class Place(NamedTuple):
    """A place in a history: its id, the offset, and the database that its stream has selected there."""

    id: str
    offset: int
    database: int


def place_of_snapshot(aux: Iterable[tuple[str, str]]) -> Place | None:
    """Where in a history the data of a snapshot are, by what it says of itself; None where it does not say so."""
    told = dict(aux)
    history, offset, database = (told.get(name, "") for name in ("repl-id", "repl-offset", "repl-stream-db"))
    numbers = all(text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX for text in (offset, database))
    if not numbers or len(history) != len(NO_ID) or not (history.isascii() and history.isalnum()):
        return None
    if int(database) > _DATABASE_MAX:
        return None
    return Place(history, int(offset), int(database))


class ReplicaRow(NamedTuple):
    """A replica: its client, where it connects from, where it says that clients reach it, and how far it is.

    synced: what its append-only file has on disk. lag_seconds: since it was last heard of.
    """

    client_id: int
    peer: str
    address: str
    port: int
    state: str
    acknowledged: int
    synced: int
    lag_seconds: int

    @property
    def host(self) -> str:
        """Where clients reach it."""
        return self.address or self.peer.rpartition(":")[0].strip("[]")


@record(frozen=False)
class Replication:
    """See the module.

    id: the history that the data belong to, `offset` how far in it they are when no link says so. knows_place: of a
    replica, that they do, so that a primary could go on from there. second_id: an earlier history, which this one goes
    on from `second_offset` on. is_ending: the server ends, and nothing is added to the stream; ends_by: it waits for
    replicas until then (monotonic seconds), 0 if it does not. phase, down_since (monotonic seconds): the link's.
    syncing_since (Unix seconds), syncing_begun (monotonic ones): of the snapshot that comes. serves_while_loading: the
    old data are answered from until the new ones are complete. is_emptied: they have gone before the new ones came.
    input_bytes, output_bytes, failed_commands: of links that have ended. forgotten_bytes: what all links had received
    and sent at the last CONFIG RESETSTAT.
    """

    id: str = field(default_factory=random_id)
    offset: int = 0
    knows_place: bool = False
    second_id: str = NO_ID
    second_offset: int = -1
    primary: tuple[str, int] | None = None
    phase: str = CONNECT
    link: native.PrimaryLink | None = None
    down_since: float = 0.0
    syncing_since: float = 0.0
    syncing_begun: float = 0.0
    serves_while_loading: bool = False
    is_emptied: bool = False
    input_bytes: int = 0
    output_bytes: int = 0
    failed_commands: int = 0
    forgotten_bytes: tuple[int, int] = (0, 0)
    replicas: native.Replicas | None = None
    full_syncs: int = 0
    partial_syncs: int = 0
    refused_partial_syncs: int = 0
    failover_state: str = "no-failover"
    is_ending: bool = False
    ends_by: float = 0.0

    @property
    def role(self) -> str:
        """In the words of the protocol."""
        return "slave" if self.primary is not None else "master"

    @property
    def ending_milliseconds(self) -> int:
        """How long replicas are still waited for before the server ends; 0 if it does not end."""
        return max(int((self.ends_by - time.monotonic()) * 1000), 1) if self.ends_by else 0

    @property
    def is_up(self) -> bool:
        """The stream of the primary is being applied."""
        return self.phase == CONNECTED

    @property
    def syncing_seconds(self) -> int:
        """How long the snapshot of the primary has been coming; 0 if none comes."""
        return int(time.monotonic() - self.syncing_begun) if self.syncing_since else 0

    @property
    def saved_history(self) -> str | None:
        """The history that a snapshot of this moment is of; None where nobody could go on from it."""
        is_placed = self.backlog()[0] if self.primary is None else self.knows_place
        return self.id if is_placed else None

    @property
    def is_syncing(self) -> bool:
        """A snapshot of the primary comes, or is being loaded."""
        return self.phase == SYNC

    @property
    def is_loading(self) -> bool:
        """A snapshot of the primary is taking the place of the data, which perhaps have gone before it came."""
        status = self.status()
        return self.phase == SYNC and status is not None and (self.is_emptied or status["load_total"] > 0)

    def status(self) -> native.LinkStatus | None:
        """How far the link has come; None without one."""
        link = self.link  # which the loop may end while another thread asks
        return link.status() if link is not None else None

    @property
    def current_offset(self) -> int:
        """How far in its history the data are."""
        status = self.status() if self.is_up else None
        if status is not None:
            return status["applied"]
        is_kept, _, end, _ = self.backlog()
        return end if is_kept and self.primary is None else self.offset

    def backlog(self) -> tuple[bool, int, int, int]:
        """Whether there is a backlog, the offsets before its first byte and of its last one, and the bytes it takes."""
        return self.replicas.backlog() if self.replicas is not None else (False, 0, 0, 0)

    @property
    def first_kept_offset(self) -> int:
        """The offset of the first byte in the backlog; 0 where there is none."""
        is_kept, begin, _, _ = self.backlog()
        return begin + 1 if is_kept else 0

    @property
    def kept_bytes(self) -> int:
        """How much of the stream the backlog has."""
        is_kept, begin, end, _ = self.backlog()
        return end - begin if is_kept else 0

    def rows(self) -> list[ReplicaRow]:
        """The replicas in the order in which they came."""
        return [ReplicaRow(*row) for row in self.replicas.rows()] if self.replicas is not None else []

    @property
    def good_replicas(self) -> int:
        """Replicas that count for `min-replicas-to-write`."""
        return self.replicas.totals()[0] if self.replicas is not None else 0

    def traffic(self) -> tuple[int, int, int]:
        """Bytes in and out of all links since CONFIG RESETSTAT, and commands of primaries that have failed here."""
        received, sent, failed = self._traffic_of_all()
        return received - self.forgotten_bytes[0], sent - self.forgotten_bytes[1], failed

    def reset_counts(self) -> None:
        """Begin to count anew (CONFIG RESETSTAT)."""
        self.forgotten_bytes = self._traffic_of_all()[:2]
        self.full_syncs = self.partial_syncs = self.refused_partial_syncs = 0

    def _traffic_of_all(self) -> tuple[int, int, int]:
        received, sent, failed = self._traffic_of_links()
        return received, sent + (self.replicas.totals()[1] if self.replicas is not None else 0), failed

    def _traffic_of_links(self) -> tuple[int, int, int]:
        status = self.status()
        if status is None:
            return self.input_bytes, self.output_bytes, self.failed_commands
        return (
            self.input_bytes + status["input_bytes"],
            self.output_bytes + status["output_bytes"],
            self.failed_commands + status["failed_commands"],
        )

    def end_link(self) -> None:
        """The link has ended: what it counted is kept."""
        self.input_bytes, self.output_bytes, self.failed_commands = self._traffic_of_links()
        self.link = None

    def change_history(self, new_id: str) -> None:
        """The data go on under another id from here, and whoever knows the old one may go on with them."""
        self.second_id, self.second_offset, self.id = self.id, self.current_offset + 1, new_id


def primary_lines(replication: Replication, config: Config) -> Iterator[str]:
    """What INFO tells of a primary that is followed."""
    primary = replication.primary
    if primary is None:
        return
    host, port = primary
    status = replication.status()
    up, syncing = replication.is_up, replication.is_syncing
    offset = replication.current_offset
    received = status["received"] if status is not None and up else offset
    yield f"master_host:{host}"
    yield f"master_port:{port}"
    yield f"master_link_status:{'up' if up else 'down'}"
    yield f"master_last_io_seconds_ago:{status['idle_seconds'] if status is not None and up else -1}"
    yield f"master_sync_in_progress:{int(syncing)}"
    yield f"slave_read_repl_offset:{received}"
    yield f"slave_repl_offset:{offset}"
    if syncing and status is not None:
        total, read = status["snapshot_total"], status["snapshot_bytes"]
        yield f"master_sync_total_bytes:{total}"
        yield f"master_sync_read_bytes:{read}"
        yield f"master_sync_left_bytes:{total - read if total else -1}"
        yield f"master_sync_perc:{100 * read / total if total else 0:.2f}"
        yield f"master_sync_last_io_seconds_ago:{status['idle_seconds']}"
    if not up:
        since = replication.down_since
        yield f"master_link_down_since_seconds:{int(time.monotonic() - since) if since else -1}"
    priority, announced = config.get_int("replica-priority"), config.get_bool("replica-announced")
    yield f"slave_priority:{priority}"
    yield f"slave_read_only:{int(config.get_bool('replica-read-only'))}"
    yield f"replica_announced:{int(announced)}"


def replica_lines(replication: Replication, config: Config) -> Iterator[str]:
    """What INFO tells of those who follow."""
    if config.get_int("min-replicas-to-write") and config.get_int("min-replicas-max-lag"):
        yield f"min_slaves_good_slaves:{replication.good_replicas}"
    for number, row in enumerate(replication.rows()):
        yield (
            f"slave{number}:ip={row.host},port={row.port},state={row.state},offset={row.acknowledged},"
            f"lag={row.lag_seconds},type=replica"
        )
