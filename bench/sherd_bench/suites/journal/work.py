"""What is started in a server and waited for: snapshots, rewrites, full syncs."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sherd_bench import procfs
from sherd_bench.load import LoadError
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session

WAIT_SECONDS_MAX = 300.0
# Between two looks: often where the time itself is measured, else seldom, so that asking disturbs nobody.
CLOSE_LOOK_SECONDS = 0.005
LOOK_SECONDS = 0.05
SYNCS = 100


def wait_until(
    server: RunningServer, what: str, section: str, is_so: Callable[[dict[str, str]], bool], look: float = LOOK_SECONDS
) -> None:
    """Asks for a section of INFO until it says so."""
    client = server.client()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        if is_so(client.info(section)):
            return
        time.sleep(look)
    raise LoadError(f"{server.label}: {what} did not end within {WAIT_SECONDS_MAX:.0f} seconds")


def snapshot(server: RunningServer, look: float = LOOK_SECONDS) -> float:
    """BGSAVE; seconds until the file is there."""
    client = server.client()
    before = client.info("persistence")["rdb_saves"]
    begun = time.monotonic()
    client.call("BGSAVE")
    wait_until(
        server,
        "a snapshot",
        "persistence",
        lambda info: info["rdb_bgsave_in_progress"] == "0" and info["rdb_saves"] != before,
        look,
    )
    seconds = time.monotonic() - begun
    if client.info("persistence")["rdb_last_bgsave_status"] != "ok":
        raise LoadError(f"{server.label}: a snapshot failed")
    return seconds


def rewrite(server: RunningServer) -> float:
    """BGREWRITEAOF; seconds until the new file is in use."""
    client = server.client()
    before = client.info("persistence")["aof_rewrites"]
    begun = time.monotonic()
    client.call("BGREWRITEAOF")
    wait_until(server, "a rewrite", "persistence", lambda info: _is_rewritten(info) and info["aof_rewrites"] != before)
    return time.monotonic() - begun


def _is_rewritten(info: dict[str, str]) -> bool:
    return (info["aof_rewrite_in_progress"], info["aof_rewrite_scheduled"]) == ("0", "0")


def set_policy(server: RunningServer, policy: str) -> None:
    """Switches the append-only file off, or on with a policy, and waits for its first rewrite."""
    client = server.client()
    if policy == "off":
        client.call("CONFIG", "SET", "appendonly", "no")
        return
    client.call("CONFIG", "SET", "appendfsync", policy)
    client.call("CONFIG", "SET", "appendonly", "yes")
    wait_until(server, "a rewrite", "persistence", lambda info: _is_rewritten(info) and info.get("aof_enabled") == "1")


@contextmanager
def replica_to_be(session: Session, primary: RunningServer, pin: Pin = Pin.NONE) -> Iterator[RunningServer]:
    """An empty server of the primary's kind, which nothing makes wait before a full sync."""
    primary.client().call("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    with session.running([primary.plan], pin) as (replica,):
        yield replica


def follow(replica: RunningServer, primary: RunningServer, look: float = LOOK_SECONDS) -> float:
    """REPLICAOF; seconds until the link is up, with all data loaded."""
    begun = time.monotonic()
    replica.client().call("REPLICAOF", "127.0.0.1", str(primary.port))
    wait_until(replica, "a full sync", "replication", lambda info: info.get("master_link_status") == "up", look)
    return time.monotonic() - begun


def wait_for_replica(primary: RunningServer) -> None:
    """Until a replica has all that was written before."""
    client = primary.client()
    client.call("SET", "key:end", "x")
    if client.call("WAIT", "1", str(int(WAIT_SECONDS_MAX * 1000))) != 1:
        raise LoadError(f"{primary.label}: its replica does not catch up")


def tree_bytes(server: RunningServer) -> int:
    """Physical memory of a server and its children, what they share counted once."""
    return procfs.proportional_bytes(server.pid)


def syncs_a_second() -> float:
    """Syncs of one appended page, one after the other."""
    with tempfile.TemporaryFile() as file:
        begun = time.monotonic()
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return SYNCS / (time.monotonic() - begun)
