"""FAILOVER: the primary waits until a replica has everything, asks it to become the primary, and follows it.

Writes are paused from the beginning to the end, so that nothing is written which the new primary does not have.
"""

from __future__ import annotations

import asyncio
import time

from sherd.errors import CommandError
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.observability.replication import ReplicaRow
from sherd.replication.follower import Follower
from sherd.threads import in_thread

_log = get_logger()

_NONE = "no-failover"
_LOOK_SECONDS = 0.01
_STEP_SECONDS = 0.1


class Failover:
    """The failover of one server; one at a time."""

    def __init__(self, node: Node, follower: Follower) -> None:
        self._node = node
        self._follower = follower
        self._task: asyncio.Task[None] | None = None
        # Nothing is written any more.
        self._is_settled = False

    @property
    def is_running(self) -> bool:
        """Whether one has begun and not ended."""
        return self._task is not None

    def start(self, target: tuple[str, int] | None, timeout_ms: int, *, force: bool) -> None:
        """Begin; CommandError if that cannot be."""
        replication = self._node.replication
        if self.is_running:
            raise CommandError("ERR FAILOVER already in progress.")
        if replication.primary is not None:
            raise CommandError("ERR FAILOVER is not valid when server is a replica.")
        rows = replication.rows()
        if not rows:
            raise CommandError("ERR FAILOVER requires connected replicas.")
        if force and not (timeout_ms and target):
            raise CommandError("ERR FAILOVER with force option requires both a timeout and target HOST and IP.")
        if target is not None:
            found = [row for row in rows if (row.host, row.port) == target]
            if not found:
                raise CommandError("ERR FAILOVER target HOST and PORT is not a replica.")
            if found[0].state != "online":
                raise CommandError("ERR FAILOVER target replica is not online.")
        replication.failover_state, self._is_settled = "waiting-for-sync", False
        self._node.engine.hold_writers(True)
        self._task = asyncio.get_running_loop().create_task(self._run(target, timeout_ms, force=force))

    def abort(self) -> None:
        """End it before a replica has taken over; CommandError if there is none."""
        if self._task is None:
            raise CommandError("ERR No failover in progress.")
        self._task.cancel()

    async def _run(self, target: tuple[str, int] | None, timeout_ms: int, *, force: bool) -> None:
        replication = self._node.replication
        try:
            chosen = await self._await_sync(target, timeout_ms, force=force)
            if chosen is None:
                _log.warning("the failover has ended: no replica had everything in time")
                return
            replication.failover_state = "failover-in-progress"
            if not await self._follower.hand_over(*chosen, settled=self._is_settled):
                _log.warning("the failover has ended: the replica did not take over", replica=chosen)
                await self._follower.lead()
        except asyncio.CancelledError:
            _log.info("the failover was aborted")
            if replication.primary is not None:
                await self._follower.lead()
        finally:
            replication.failover_state = _NONE
            self._task = None
            self._node.engine.hold_writers(replication.is_ending)

    async def _await_sync(
        self, target: tuple[str, int] | None, timeout_ms: int, *, force: bool
    ) -> tuple[str, int] | None:
        """Where the replica is that has everything that was written; the target itself if it is forced."""
        replicas = self._node.replication.replicas
        assert replicas is not None
        until = time.monotonic() + timeout_ms / 1000 if timeout_ms else None
        # What was being executed when the pause began may have written since; what comes to its shard later is refused.
        while not await in_thread(self._node.engine.await_begun, _STEP_SECONDS):
            if until is not None and time.monotonic() >= until:
                return target if force else None
        self._is_settled = True
        while True:
            # Nothing is asked of the replicas, for the question would count as well: they tell by themselves.
            end = await in_thread(replicas.end_offset)
            for row in self._node.replication.rows():
                if row.state == "online" and row.acknowledged >= end and _is(row, target):
                    return row.host, row.port
            if until is not None and time.monotonic() >= until:
                return target if force else None
            await asyncio.sleep(_LOOK_SECONDS)


def _is(row: ReplicaRow, target: tuple[str, int] | None) -> bool:
    return target is None or (row.host, row.port) == target
