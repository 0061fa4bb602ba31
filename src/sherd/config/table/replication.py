"""Replication: the primary to follow, the backlog, and how replicas behave."""

from __future__ import annotations

from sherd.config.kinds import INT_MAX, LONG_MAX, Memory
from sherd.config.parameter import ConfigParam, boolean, choice, integer, memory, text
from sherd.config.special_kinds import Primary

PARAMETERS = (
    ConfigParam("replicaof", Primary(), (), "Host and port of the primary that this server follows.",
                aliases=("slaveof",), immutable=True),
    text("masterauth", "", "Password for the primary.", aliases=("primaryauth",), sensitive=True),
    text("masteruser", "", "User name for the primary.", aliases=("primaryuser",), sensitive=True),
    boolean("replica-serve-stale-data", True, "Answer reads while the link to the primary is down.",
            aliases=("slave-serve-stale-data",)),
    boolean("replica-read-only", True, "Refuse writes of clients on a replica.", aliases=("slave-read-only",)),
    boolean("replica-lazy-flush", True, "Free the old data in the background before a full resynchronisation.",
            aliases=("slave-lazy-flush",)),
    boolean("replica-ignore-maxmemory", True, "Leave eviction to the primary.", aliases=("slave-ignore-maxmemory",)),
    boolean("replica-ignore-disk-write-errors", False, "Let a replica go on when its disk refuses writes.", inert=True),
    boolean("replica-announced", True, "Let Sentinel see this replica."),
    integer("replica-priority", (0, INT_MAX), 100, "Rank of this replica for Sentinel; 0 never becomes primary.",
            aliases=("slave-priority",)),
    text("replica-announce-ip", "", "Address that a replica tells its primary.", aliases=("slave-announce-ip",)),
    integer("replica-announce-port", (0, 65535), 0, "Port that a replica tells its primary; 0 tells the real one.",
            aliases=("slave-announce-port",)),
    integer("min-replicas-to-write", (0, INT_MAX), 0,
            "Replicas in good health that writes need.",
            aliases=("min-slaves-to-write",)),
    integer("min-replicas-max-lag", (0, INT_MAX), 10,
            "Seconds of silence after which a replica is not counted; 0 switches min-replicas-to-write off.",
            aliases=("min-slaves-max-lag",)),
    ConfigParam("repl-backlog-size", Memory(1, LONG_MAX, floor=16384), 10485760,
                "Bytes of recent writes kept for replicas that come back."),
    integer("repl-backlog-ttl", (0, LONG_MAX), 3600,
            "Seconds without replicas after which the backlog is freed; 0 keeps it."),
    integer("repl-timeout", (1, INT_MAX), 60, "Seconds of silence after which a replication link is given up."),
    integer("repl-ping-replica-period", (1, INT_MAX), 10, "Seconds between pings to replicas.",
            aliases=("repl-ping-slave-period",)),
    boolean("repl-disable-tcp-nodelay", False, "Send fewer, larger packets to replicas."),
    boolean("repl-diskless-sync", True,
            "Send snapshots to replicas without a file, while they are taken, after repl-diskless-sync-delay."),
    integer("repl-diskless-sync-delay", (0, INT_MAX), 5, "Seconds to wait for more replicas before a snapshot."),
    integer("repl-diskless-sync-max-replicas", (0, INT_MAX), 0, "Replicas that end the wait; 0 waits to the end."),
    choice("repl-diskless-load", "disabled on-empty-db swapdb flush-before-load", "disabled",
           "Whether a replica receives a snapshot in memory instead of a file, and keeps its data until it is loaded."),
    boolean("dual-channel-replication-enabled", False, "Send snapshot and new writes over two connections.",
            inert=True),
    memory("replica-full-sync-buffer-limit", (0, LONG_MAX), 0, "Bytes of writes a replica keeps while it loads.",
           inert=True),
    choice("propagation-error-behavior", "ignore panic panic-on-replicas", "ignore",
           "Whether the process ends when a command of the primary, or of the append-only file, fails."),
    boolean("import-mode", False, "Keep expired keys while data is imported."),
)  # fmt: skip
