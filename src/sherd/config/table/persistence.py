"""Snapshots and the append-only file."""

from __future__ import annotations

from collections.abc import Callable

from sherd.config.kinds import INT_MAX, INT_MIN, LONG_MAX
from sherd.config.parameter import ConfigParam, boolean, choice, integer, memory, text
from sherd.config.special_kinds import SavePoints


def _plain_name(parameter: str, noun: str) -> Callable[[str], str | None]:
    def reason(name: str) -> str | None:
        if "/" in name:
            return f"{parameter} can't be a path, just a {noun}"
        return None if name else f"{parameter} can't be empty"

    return reason


PARAMETERS = (
    ConfigParam("save", SavePoints(), (),
                "Snapshot after so many seconds if so many keys changed; empty turns snapshots off."),
    text("dbfilename", "dump.rdb", "File name of the snapshot, inside dir.", _plain_name("dbfilename", "filename"),
         protected=True),
    boolean("rdbcompression", True, "Compress strings in snapshots."),
    boolean("rdbchecksum", True, "End snapshots with a checksum.", immutable=True),
    choice("rdb-compat", "redis valkey", "redis",
           "Whose form hashes with expiring fields have in snapshots and DUMP: Redis 8's or Valkey 9's."),
    choice("rdb-version-check", "strict relaxed", "strict",
           "Whether snapshots and payloads of later versions are loaded, as far as they are understood."),
    integer("rdb-key-save-delay", (INT_MIN, INT_MAX), 0,
            "Microseconds to wait for each key that a snapshot writes, for tests; -n waits one for every nth.",
            hidden=True),
    integer("key-load-delay", (INT_MIN, INT_MAX), 0,
            "Microseconds to wait for each key that is read from a snapshot, for tests; -n waits one for every nth.",
            hidden=True),
    integer("loading-process-events-interval-bytes", (1024, INT_MAX), 2097152,
            "Bytes up to which clients wait for what is loaded at the start; with more, they are answered LOADING.",
            hidden=True),
    boolean("rdb-save-incremental-fsync", True, "Sync a snapshot to disk bit by bit while it is written."),
    boolean("rdb-del-sync-files", False, "Delete snapshots that were only made for replicas.", inert=True),
    boolean("stop-writes-on-bgsave-error", True, "Refuse writes after a snapshot failed."),
    boolean("appendonly", False, "Append every write to a file that is replayed at start."),
    text("appendfilename", "appendonly.aof", "Base name of the append-only files.",
         _plain_name("appendfilename", "filename"), immutable=True),
    text("appenddirname", "appendonlydir", "Directory of the append-only files, inside dir.",
         _plain_name("appenddirname", "dirname"), immutable=True),
    choice("appendfsync", "everysec always no", "everysec", "When appended writes are synced to disk."),
    boolean("no-appendfsync-on-rewrite", False, "Do not sync the append-only file while it is rewritten."),
    integer("auto-aof-rewrite-percentage", (0, INT_MAX), 100,
            "Growth in percent after which the append-only file is rewritten; 0 never does."),
    memory("auto-aof-rewrite-min-size", (0, LONG_MAX), 67108864,
           "Size below which the append-only file is not rewritten by itself."),
    boolean("aof-load-truncated", True, "Load an append-only file whose end is cut off."),
    memory("aof-load-corrupt-tail-max-size", (0, LONG_MAX), 0,
           "Bytes at the end of an append-only file that may be dropped because they are no commands."),
    boolean("aof-use-rdb-preamble", True, "Begin a rewritten append-only file with a snapshot."),
    boolean("aof-timestamp-enabled", False, "Write times into the append-only file."),
    boolean("aof-rewrite-incremental-fsync", True, "Sync a rewrite to disk bit by bit while it is written."),
)  # fmt: skip
