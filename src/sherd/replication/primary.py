"""The primary's side: who follows this server, what each of them has to be sent first, and who waits for them.

A replica that comes back goes on in the backlog if that still has what it misses. Any other is sent a snapshot of this
moment, which the data plane takes without a fork; replicas that come within `repl-diskless-sync-delay` share one. It is
sent while it is taken, or, where `repl-diskless-sync` is off or one of them could not tell its end, by way of a file.
What is written from the snapshot's moment on waits in the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import time
from collections import OrderedDict
from pathlib import Path

from sherd.errors import CommandError, EndCalledOffError, ThreadError
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.observability.replication import Place, ReplicaRow, random_id
from sherd.persistence import Saver
from sherd.record import field, record
from sherd.threads import begin_in_thread, in_thread, native_threads

_log = get_logger()

# Clients that have said something about themselves by REPLCONF and are no replicas yet; the oldest give way.
_INTRODUCTIONS_MAX = 1024
# How often the backlog's age is looked at, and another snapshot that is in the way.
_TICK_SECONDS = 1.0
_RETRY_SECONDS = 0.1
# Replicas are asked once more before the end, however long the end of what was being executed has taken.
_LAST_SECONDS_MIN = 0.1
# A client that is to become a replica is one within a moment, or has gone.
_PRESENT_TRIES = 20
# As Redis answers PSYNC then.
_FAILED = b"-ERR BGSAVE failed, replication can't continue\r\n"
_snapshot_numbers = itertools.count()


@record
class Contents:
    """What a snapshot has: a replica may want only a part (`REPLCONF rdb-filter-only`)."""

    data: bool = True
    functions: bool = True


@record(frozen=False)
class Introduction:
    """What a client has said of itself before it asks for the stream."""

    address: str = ""
    port: int = 0
    snapshot_only: bool = False
    # It finds the end of a snapshot whose length nobody knows (`REPLCONF capa eof`).
    takes_mark: bool = False
    # It reads hashes whose fields expire as Valkey 9 writes them, and not as Redis 8 does (`REPLCONF version`).
    is_valkey: bool = False
    contents: Contents = Contents()


@record
class _Unsynced:
    """A replica whose snapshot has not begun. knows_offsets: its snapshot is announced with the offset, as to PSYNC."""

    knows_offsets: bool
    takes_mark: bool
    is_valkey: bool
    contents: Contents


@record(frozen=False)
class _Waiting:
    """A client of WAIT or WAITAOF: `count` replicas are to have acknowledged `offset`, or to have it on disk; without a
    count all that are there, which may become fewer."""

    offset: int
    count: int | None
    on_disk: bool = False
    # asyncio need not be there when the class is made.
    done: asyncio.Event = field(default_factory=lambda: asyncio.Event())  # noqa: PLW0108


class Primary:
    """See the module."""

    def __init__(self, node: Node, saver: Saver) -> None:
        self._node = node
        self._saver = saver
        self._replicas = node.engine.replicas()
        self._introductions: OrderedDict[int, Introduction] = OrderedDict()
        self._waiting: list[_Waiting] = []
        # What calls an end off that waits for replicas.
        self._ends: set[asyncio.Future[str]] = set()
        self._unsynced: dict[int, _Unsynced] = {}
        self._sync: asyncio.Task[None] | None = None
        # Clients that are being let in.
        self._admitting = 0
        self._alone_since = time.monotonic()
        self._pinged = time.monotonic()
        node.replication.replicas = self._replicas
        self.apply_configuration()

    @functools.cached_property
    def _joined(self) -> asyncio.Event:
        # When it is first looked at, as in `Saver`.
        return asyncio.Event()

    # ---- replicas

    def introduction(self, client_id: int) -> Introduction:
        """What a client has said of itself, to be added to."""
        known = self._introductions.setdefault(client_id, Introduction())
        self._introductions.move_to_end(client_id)
        while len(self._introductions) > _INTRODUCTIONS_MAX:
            self._introductions.popitem(last=False)
        return known

    async def admit(self, client_id: int, token: int, history: str | None, offset: int) -> None:
        """A client wants the stream, from `offset` of a history on; without a history it only knows SYNC."""
        self._admitting += 1
        try:
            await self._admit(client_id, token, history, offset)
        finally:
            self._admitting -= 1

    async def _admit(self, client_id: int, token: int, history: str | None, offset: int) -> None:
        replication = self._node.replication
        if replication.primary is not None and not replication.is_up:
            raise CommandError("NOMASTERLINK Can't SYNC while not connected with my master")
        known = self._introductions.get(client_id, Introduction())
        if known.contents != Contents() and not known.takes_mark:
            raise CommandError("ERR Filtered replica requires EOF capability")
        await self.keep_backlog()
        self._introductions.pop(client_id, None)
        where = (known.address, known.port)
        if history is not None and self._has(history, offset) and self._replicas.add_reader(client_id, offset - 1):
            preamble = f"+CONTINUE {replication.id}\r\n".encode()
            self._replicas.attach(token, client_id, *where, preamble, online=True, snapshot_only=False)
            replication.partial_syncs += 1
            _log.info("a replica goes on", offset=offset)
            return
        if history is not None and history != "?":
            replication.refused_partial_syncs += 1
        self._replicas.attach(token, client_id, *where, b"", online=False, snapshot_only=known.snapshot_only)
        self._unsynced[client_id] = _Unsynced(history is not None, known.takes_mark, known.is_valkey, known.contents)
        self._joined.set()
        if self._sync is None:
            self._sync = asyncio.get_running_loop().create_task(self._send_snapshots())

    def resume(self, place: Place) -> None:
        """The data that were loaded are those of a place in a history: this one goes on from there, under its own id,
        and whoever has followed that one up to there may go on with it."""
        replication = self._node.replication
        replication.second_id, replication.second_offset = place.id, place.offset + 1
        replication.offset = place.offset
        self._replicas.restart_backlog(place.offset, None)

    async def let_catch_up(self) -> None:
        """The server is to end: writers wait from now on, and `shutdown-timeout` seconds at most are given to replicas
        to get everything, so that they could go on where they are. EndCalledOffError by `call_off`."""
        replication, seconds = self._node.replication, self._node.config.get_int("shutdown-timeout")
        if replication.primary is not None or not self._online or not seconds:
            return
        self.hold_writers()
        until = replication.ends_by = time.monotonic() + seconds
        called_off: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends.add(called_off)
        try:
            # What was being executed when the pause began may have written since.
            await in_thread(self._node.engine.await_begun, seconds)
            # Who goes meanwhile, as its pod ends too, is not waited for any more.
            left = max(until - time.monotonic(), _LAST_SECONDS_MIN)
            reached = await self.wait(None, left, is_last=True, interruption=called_off)
        finally:
            self._ends.discard(called_off)
        if called_off.done():
            self.go_on()
            raise EndCalledOffError("it was called off")
        _log.info("replicas were waited for", replicas=self._online, with_everything=reached)

    def call_off(self) -> bool:
        """The server that waits for its replicas shall not end after all; False if none waits."""
        for end in self._ends:
            if not end.done():
                end.set_result("")
        return bool(self._ends)

    def hold_writers(self) -> None:
        """The server is to end, and what is written from now on nobody would have."""
        self._node.replication.is_ending = True
        self._node.engine.hold_writers(True)

    def go_on(self) -> None:
        """The server does not end after all."""
        replication = self._node.replication
        if replication.is_ending:
            replication.is_ending, replication.ends_by = False, 0.0
            self._node.engine.hold_writers(replication.failover_state != "no-failover")

    async def keep_backlog(self) -> None:
        """Keep what is written from now on for replicas, if that is not done yet."""
        # From then on the backlog says how far this is, or the link to a primary, which may end meanwhile.
        with native_threads():
            await in_thread(self._replicas.start_backlog, self._node.replication.current_offset)

    def _has(self, history: str, offset: int) -> bool:
        """Whether the data here are what a replica has up to the offset before this one."""
        replication = self._node.replication
        return history == replication.id or (
            history == replication.second_id and 0 <= offset <= replication.second_offset
        )

    # ---- snapshots

    async def _send_snapshots(self) -> None:
        try:
            while self._unsynced:
                await self._gather()
                await self._send_snapshot()
        except Exception:  # noqa: BLE001 - those who wait are to try again
            _log.exception("a snapshot for replicas has failed")
            self._replicas.cut(list(self._unsynced), "its snapshot has failed")
            self._unsynced.clear()
        finally:
            self._sync = None

    async def _gather(self) -> None:
        """Wait for more replicas that can share the snapshot."""
        config = self._node.config
        enough = config.get_int("repl-diskless-sync-max-replicas")
        delay = config.get_int("repl-diskless-sync-delay") if config.get_bool("repl-diskless-sync") else 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                while not (enough and len(self._unsynced) >= enough):
                    self._joined.clear()
                    await self._joined.wait()

    async def _send_snapshot(self) -> None:
        served = await self._present()
        while served and (self._saver.is_running or self._saver.is_barred):
            await asyncio.sleep(_RETRY_SECONDS)
            served = await self._present()
        if not served:
            return
        # Those who want the same as the first one.
        first = next(iter(served.values()))
        contents = first.contents
        wanted = (contents, first.is_valkey)
        served = {client_id: one for client_id, one in served.items() if (one.contents, one.is_valkey) == wanted}
        for client_id in served:
            del self._unsynced[client_id]
        # No file is made for a part, as in Redis.
        wants_file = not self._node.config.get_bool("repl-diskless-sync") and contents == Contents()
        is_diskless = not wants_file and all(one.takes_mark for one in served.values())
        with self._saver.syncing():
            try:
                await self._take_snapshot(served, contents, diskless=is_diskless)
            except BaseException:
                self._replicas.cut(list(served), "its snapshot has failed")
                raise

    async def _take_snapshot(self, served: dict[int, _Unsynced], contents: Contents, *, diskless: bool) -> None:
        engine, config, replication = self._node.engine, self._node.config, self._node.replication
        path = Path(config.get_str("dir")) / f"temp-{os.getpid()}-{next(_snapshot_numbers)}.sync.rdb"
        way, begun, ids = "sockets" if diskless else "disk", time.monotonic(), list(served)
        _log.info("a snapshot for replicas begins", replicas=len(ids), target=way)
        begin = functools.partial(
            engine.begin_sync, ids, path=path, mark=random_id().encode() if diskless else None,
            data=contents.data, functions=contents.functions, aux=self._aux(),
            for_valkey=any(one.is_valkey for one in served.values()),
            compress=config.get_bool("rdbcompression"), checksum=config.get_bool("rdbchecksum"),
        )  # fmt: skip
        try:
            offset = await in_thread(begin)
        except OSError as error:
            _log.error("a snapshot for replicas cannot be written", directory=str(path.parent), reason=str(error))
            self._replicas.say(ids, _FAILED)
            self._replicas.cut(ids, "its snapshot has failed")
            return
        announced = [client_id for client_id, one in served.items() if one.knows_offsets]
        self._replicas.say(announced, f"+FULLRESYNC {replication.id} {offset}\r\n".encode())
        replication.full_syncs += len(ids)
        try:
            keys, size, _ = await self._finish_save()
            if not diskless:
                self._replicas.send_snapshot(ids, path)
        except OSError as error:
            _log.error("a snapshot for replicas has failed", target=way, reason=str(error))
            self._replicas.cut(ids, "its snapshot has failed")
        else:
            _log.info("a snapshot for replicas was taken", replicas=len(ids), target=way, keys=keys, bytes=size,
                      seconds=round(time.monotonic() - begun, 3))  # fmt: skip
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    async def _finish_save(self) -> tuple[int, int, int]:
        """Not in the loop, whatever the system refuses: a transfer takes as long as the slowest replica."""
        engine = self._node.engine
        try:
            future = begin_in_thread(engine.finish_save)
        except ThreadError as error:
            engine.cancel_save()
            with contextlib.suppress(OSError):
                engine.finish_save()
            raise OSError(str(error)) from error
        return await future

    async def _present(self) -> dict[int, _Unsynced]:
        """Those of the replicas without a snapshot whose connections are links by now; the others have gone."""
        absent = set(self._unsynced)
        for _ in range(_PRESENT_TRIES):
            present = {row.client_id for row in self._node.replication.rows()}
            absent -= present
            if present.issuperset(self._unsynced):
                break
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            # Not those that have come meanwhile.
            self._unsynced = {client_id: one for client_id, one in self._unsynced.items() if client_id not in absent}
        return {client_id: one for client_id, one in self._unsynced.items() if client_id in present}

    def _aux(self) -> list[tuple[str, str]]:
        from sherd.native import redis_version, used_memory

        return [
            ("redis-ver", redis_version), ("redis-bits", "64"), ("used-mem", str(used_memory())), ("aof-base", "0"),
            ("sherd-ver", self._node.version),
        ]  # fmt: skip

    # ---- waiting for replicas

    async def wait(
        self,
        count: int | None,
        timeout_seconds: float | None,
        *,
        on_disk: bool = False,
        interruption: asyncio.Future[str] | None = None,
        is_last: bool = False,
    ) -> int:
        """Wait until so many replicas, or all that are there, have what is written now, or have it on disk, or until it
        is too late or nobody wants to know any more; how many have it then. is_last: they are asked although the
        server ends."""
        offset = await in_thread(self._replicas.end_offset)
        waiting = _Waiting(offset, count, on_disk)
        if self._is_over(waiting) or timeout_seconds == 0:
            return self._reached(offset, on_disk=on_disk)
        self._waiting.append(waiting)
        if interruption is not None:
            interruption.add_done_callback(lambda _: waiting.done.set())
        self._replicas.want_news(True)
        if is_last or self._may_add:
            self._replicas.append([b"REPLCONF", b"GETACK", b"*"])
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiting.done.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.remove(waiting)
            self._replicas.want_news(bool(self._waiting))
        return self._reached(offset, on_disk=on_disk)

    def take_news(self) -> None:
        """Replicas have acknowledged something, or have come or gone."""
        self._replicas.silence_news()
        for waiting in self._waiting:
            if self._is_over(waiting):
                waiting.done.set()

    def _is_over(self, waiting: _Waiting) -> bool:
        wanted = self._online if waiting.count is None else waiting.count
        return self._reached(waiting.offset, on_disk=waiting.on_disk) >= wanted

    @property
    def _online(self) -> int:
        return sum(row.state == "online" for row in self._node.replication.rows())

    def _reached(self, offset: int, *, on_disk: bool = False) -> int:
        def place(row: ReplicaRow) -> int:
            return row.synced if on_disk else row.acknowledged

        return sum(place(row) >= offset and row.state == "online" for row in self._node.replication.rows())

    # ---- time

    @property
    def _may_add(self) -> bool:
        """Whether something may be added to the stream that nobody has written: not while replicas are to have all,
        before one takes over or the server ends, for they would never have."""
        replication = self._node.replication
        return replication.failover_state == "no-failover" and not replication.is_ending

    async def watch(self) -> None:
        """Ping replicas, and let the backlog go that nobody came for."""
        asyncio.get_running_loop().add_reader(self._replicas.news_fd(), self.take_news)
        try:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._tick()
        finally:
            asyncio.get_running_loop().remove_reader(self._replicas.news_fd())

    def _tick(self) -> None:
        replication, config, now = self._node.replication, self._node.config, time.monotonic()
        has_replicas = bool(self._replicas.rows())
        # Those who come are none yet, and may count on what the backlog has.
        if self._admitting or self._unsynced or self._replicas.has_readers():
            self._alone_since = now
        if replication.primary is not None or has_replicas:
            self._alone_since = now
        if replication.primary is not None:
            return
        if has_replicas:
            if not self._may_add:
                return
            if now - self._pinged >= config.get_int("repl-ping-replica-period"):
                self._pinged = now
                self._replicas.append([b"PING"])
            return
        ttl = config.get_int("repl-backlog-ttl")
        if ttl and now - self._alone_since >= ttl and self._replicas.backlog()[0]:
            # What is written from here on nobody could tell a replica of the old history.
            replication.offset = self._replicas.stop_backlog()
            replication.id, replication.second_id, replication.second_offset = random_id(), "0" * 40, -1
            _log.info("the replication backlog was freed")

    def apply_configuration(self) -> None:
        """What the configuration says of the backlog."""
        self._replicas.set_backlog_size(self._node.config.get_int("repl-backlog-size"))
