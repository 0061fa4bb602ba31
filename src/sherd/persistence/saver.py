"""Taking snapshots: by command, by the save points, and at the server's end.

The data plane takes one without a fork and without holding anybody up, so SAVE and BGSAVE differ only in who waits
for the end. One is taken at a time, including those for replicas and for the append-only file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sherd.errors import SherdError
from sherd.log import get_logger
from sherd.observability.loading import load_state
from sherd.observability.node import Node
from sherd.threads import in_thread

_log = get_logger()

# How often the save points are looked at.
_LOOK_SECONDS = 1.0
# After a snapshot that failed, the save points wait so long.
_RETRY_SECONDS = 5.0
# How often a snapshot for replicas is told to give way, which may not have begun.
_PRESS_SECONDS = 0.1


class SaveError(SherdError):
    """A snapshot could not be taken."""


class Saver:
    """The snapshots of one server. What became of them is in `node.saves`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # Says whether there is a file.
        self._running: asyncio.Task[bool] | None = None
        # Of the snapshot that was started last: whether all shards were held for it, and whether it is to end without
        # a file; None where none was.
        self._begun: asyncio.Event | None = None
        self._cancelled: asyncio.Event | None = None
        self._scheduled = False
        # The one that is being taken is to end without a file; that is no failure.
        self._gives_way = False
        # A snapshot is due, or being taken, because everything was deleted.
        self._is_emptied = False
        self._is_barred = False
        self._is_syncing = False
        self._retry_at = 0.0
        self._saved_at = time.monotonic()

    @functools.cached_property
    def _free(self) -> asyncio.Event:
        # Neither of the other two kinds is being taken. Made when it is first looked at: asyncio takes a while to
        # import, and a start does without it until clients are served.
        free = asyncio.Event()
        free.set()
        return free

    @property
    def is_running(self) -> bool:
        """Whether a snapshot is being taken, be it for replicas."""
        return self._running is not None or self._is_syncing

    @property
    def is_barred(self) -> bool:
        """Whether the append-only file is being rewritten, which ends first."""
        return self._is_barred

    def set_barred(self, barred: bool) -> None:
        """Says that the append-only file is being rewritten, or no longer."""
        self._is_barred = barred
        self._tell_whether_free()

    @contextlib.contextmanager
    def syncing(self) -> Iterator[None]:
        """A snapshot for replicas is being taken. Neither `is_running` nor `is_barred` may hold before."""
        saves = self._node.saves
        self._is_syncing, saves.current_since = True, time.monotonic()
        self._tell_whether_free()
        try:
            yield
        finally:
            saves.last_seconds, saves.current_since = saves.current_seconds, 0.0
            self._is_syncing = False
            self._tell_whether_free()

    def _tell_whether_free(self) -> None:
        if self._is_barred or self._is_syncing:
            self._free.clear()
        else:
            self._free.set()

    @property
    def has_save_points(self) -> bool:
        """Whether the configuration asks for snapshots."""
        return bool(self._node.config.get_tuple("save"))

    def start(self, *, schedule: bool = False) -> bool:
        """Begin a snapshot as soon as no script keeps a shard; False if one is being taken. With `schedule` another one
        follows that."""
        if self.is_running or self.is_barred:
            self._scheduled = self._scheduled or schedule
            return False
        self._node.saves.current_since = time.monotonic()
        self._begun, self._cancelled, self._gives_way = asyncio.Event(), asyncio.Event(), False
        self._running = asyncio.get_running_loop().create_task(self._take(self._begun, self._cancelled))
        return True

    async def await_begun(self) -> None:
        """Wait until the moment is over of which the snapshot is that was started last."""
        if self._begun is not None:
            await self._begun.wait()

    async def save(self) -> None:
        """Take a snapshot of what is there by now and wait for its end; SaveError if that fails. Any other that is
        being taken gives way: it has not what was written since it began."""
        while not self.start():
            # A rewrite of the append-only file ends first.
            if self.is_running:
                self._cancel_running()
            ends = self._free.wait() if self._running is None else asyncio.shield(self._running)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PRESS_SECONDS):
                    await ends
        while self._running is not None:
            # Another one follows where everything was deleted meanwhile, or where one was scheduled.
            saved = await asyncio.shield(self._running)
            if saved:
                return
        raise SaveError("the snapshot failed")

    def save_emptied(self) -> None:
        """Everything was deleted, and what was saved before that is not to come back after a crash: take a snapshot at
        once, where any are wanted."""
        # What is executed while data are being loaded is no client's wish.
        if not self.has_save_points or load_state(self._node) is not None:
            return
        self._is_emptied = True
        if self._running is not None:
            self._cancel_running()
        self.start(schedule=True)

    async def await_emptied(self) -> None:
        """Wait for the end of the snapshot that `save_emptied` takes: who asks for another one knows nothing of it."""
        while self._is_emptied and self._running is not None:
            await asyncio.shield(self._running)

    def cancel(self) -> bool:
        """End the snapshot that is being taken or scheduled without a file; False if there is none."""
        was_scheduled, self._scheduled = self._scheduled, False
        # A rewrite of the append-only file is none.
        return (self.is_running and self._cancel_running()) or was_scheduled

    def _cancel_running(self) -> bool:
        self._gives_way = self._running is not None
        if self._cancelled is None or self._begun is None or self._begun.is_set():
            return self._node.engine.cancel_save()
        self._cancelled.set()
        return True

    async def watch(self) -> None:
        """Take snapshots as the save points say, for as long as the server runs."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            # What is there while a primary's snapshot is being loaded is no state that anybody would want back.
            if self.is_running or self.is_barred or load_state(self._node) is not None:
                continue
            is_due = self.has_save_points and time.monotonic() >= self._retry_at and self._is_due()
            if (self._scheduled or is_due) and self.start():
                self._scheduled = False

    async def await_shards(self) -> None:
        """Wait until what is being executed is over: a snapshot begins with all shards held, for which the loop waits.

        A script may be busy for ever. Then it is SHUTDOWN NOSAVE that is to be answered.
        """
        while not await in_thread(self._node.engine.await_begun, _PRESS_SECONDS):
            pass

    def refuse_writes(self) -> None:
        """Have writes refused if the last snapshot failed and the configuration wants that, or no longer."""
        wanted = self._node.config.get_bool("stop-writes-on-bgsave-error") and self.has_save_points
        self._node.engine.refuse_writes_after_failed_save(wanted and not self._node.saves.last_ok)

    def _is_due(self) -> bool:
        changes = self._node.engine.snapshot(commands=False)["totals"]["dirty"] - self._node.saves.saved_changes
        since = time.monotonic() - self._saved_at
        points = self._node.config.get_tuple("save")
        return any(changes >= wanted and since > seconds for seconds, wanted in points)

    async def _take(self, begun: asyncio.Event, cancelled: asyncio.Event) -> bool:
        config, started = self._node.config, self._node.saves.current_since
        path = Path(config.get_str("dir")) / config.get_str("dbfilename")
        failure: OSError | None = None
        try:
            await self._begin(path, cancelled)
        except OSError as error:
            failure = error
        finally:
            begun.set()
        return await self._finish(path, started, failure)

    async def _begin(self, path: Path, cancelled: asyncio.Event) -> None:
        """Not in the loop: all shards are held for that, and a script that comes now may be busy for ever."""
        config, engine, replication = self._node.config, self._node.engine, self._node.replication
        while True:
            await self.await_shards()
            if cancelled.is_set():
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            history = replication.saved_history
            begin = functools.partial(
                engine.begin_save, path,
                compress=config.get_bool("rdbcompression"), checksum=config.get_bool("rdbchecksum"),
                sync_in_passing=config.get_bool("rdb-save-incremental-fsync"),
                aux=self.aux(time.time()), history=history,
            )  # fmt: skip
            await in_thread(begin)
            if cancelled.is_set():
                engine.cancel_save()
            elif history != replication.saved_history:
                # It would be said to be of a history that has ended before it began.
                engine.cancel_save()
                with contextlib.suppress(OSError):
                    await in_thread(engine.finish_save)
                continue
            return

    async def _finish(self, path: Path, started: float, failure: OSError | None) -> bool:
        saves, saved = self._node.saves, False
        try:
            if failure is not None:
                raise failure
            keys, size, changes = await in_thread(self._node.engine.finish_save)
        except OSError as error:
            if self._gives_way:
                _log.info("a snapshot was cancelled", path=str(path))
            else:
                saves.last_ok = False
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                _log.error("a snapshot failed", path=str(path), reason=str(error))
        else:
            saves.last_ok = saved = True
            self._saved_at = started
            saves.saved_changes, saves.last_time, saves.count = changes, int(time.time()), saves.count + 1
            seconds = round(time.monotonic() - started, 3)
            _log.info("snapshot saved", path=str(path), keys=keys, bytes=size, seconds=seconds)
        finally:
            saves.last_seconds, saves.current_since = saves.current_seconds, 0.0
            self.refuse_writes()
            self._running = None
            if self._scheduled:
                self._scheduled = False
                self.start()
            else:
                self._is_emptied = False
        return saved

    def aux(self, now: float, *, is_base: bool = False) -> list[tuple[str, str]]:
        """What stands at the beginning of a snapshot, or of the base of an append-only file."""
        from sherd.native import redis_version, used_memory

        return [
            ("redis-ver", redis_version),
            ("redis-bits", "64"),
            ("ctime", str(int(now))),
            ("used-mem", str(used_memory())),
            ("aof-base", str(int(is_base))),
            ("sherd-ver", self._node.version),
        ]
