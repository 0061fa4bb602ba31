"""Following a primary: the link, kept up for as long as it is wanted, and what changes with the role.

A task connects, shakes hands, has the data plane load a snapshot or go on with the stream, and begins again when the
link is lost, after a pause that grows while it goes on failing. What it knows of the data's history decides whether
the primary has to send all of it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sherd.config import BY_NAME, Source
from sherd.durable import close_memory, delete_file
from sherd.errors import ThreadError
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.observability.replication import CONNECT, CONNECTED, CONNECTING, HANDSHAKE, SYNC, Place, random_id
from sherd.persistence import AppendOnly
from sherd.record import record
from sherd.replication.handshake import Admission, HandshakeError, Introduction, introduce
from sherd.threads import begin_in_thread, in_thread, native_threads
from sherd.wire import Wire, connect, open_wire

if TYPE_CHECKING:
    from sherd.native import PrimaryLink, RdbReport

_log = get_logger()
_Result = TypeVar("_Result")

# The first pause is short: a primary that restarts is there again soon.
_PAUSE_SECONDS_MIN = 0.1
_PAUSE_SECONDS_MAX = 5.0
# How long a server that begins to follow waits for the end of what is being executed; its control loop waits as well.
_SETTLE_SECONDS_MAX = 0.05
_snapshot_numbers = itertools.count()
# The words of `repl-diskless-load`.
_DISABLED, _ON_EMPTY, _SWAPS, _EMPTIES = "disabled on-empty-db swapdb flush-before-load".split()


@record
class _Way:
    """How a snapshot takes the place of the data. in_memory: it is received there and not into a file. empties_first:
    the old data go before it comes. beside: they go when the new ones are complete; `serves`: clients are answered from
    them meanwhile."""

    in_memory: bool = False
    empties_first: bool = False
    beside: bool = False
    serves: bool = False


def _random_part() -> float:
    """Between a half and the whole, so that replicas do not come back all at once."""
    return 0.5 + os.urandom(1)[0] / 512


@contextlib.asynccontextmanager
async def _snapshot_file(folder: Path, *, in_memory: bool) -> AsyncIterator[tuple[Path, int | None]]:
    """Where a snapshot is received: a file that is yet to be made, or the descriptor of one in memory."""
    if in_memory:
        descriptor = os.memfd_create("sherd-snapshot", os.MFD_CLOEXEC)
        try:
            yield Path(f"/proc/self/fd/{descriptor}"), descriptor
        finally:
            os.close(descriptor)
        return
    path = folder / f"temp-{os.getpid()}-{next(_snapshot_numbers)}.replica.rdb"
    try:
        yield path, None
    finally:
        with contextlib.suppress(OSError):
            await in_thread(delete_file, path)


Execute = Callable[[Sequence[bytes]], Awaitable[bytes]]


class Follower:
    """The replica's side of one server. `execute` runs a command of the control plane that the primary has sent."""

    def __init__(self, node: Node, execute: Execute, append: AppendOnly) -> None:
        self._node = node
        self._append = append
        self._execute = execute
        self._task: asyncio.Task[None] | None = None
        # Tasks that were told to end; the next one begins when they have.
        self._ending: set[asyncio.Task[None]] = set()
        self._database = 0
        # The next PSYNC asks the primary to become one, and `_taken_over` is told what it says to that.
        self._hands_over = False
        self._taken_over: asyncio.Future[bool] | None = None

    # ---- the role

    def follow(
        self, host: str, port: int, source: Source = Source.RUNTIME, *, settled: bool = False, writes_on: bool = False
    ) -> None:
        """Follow a primary from now on, and no other; `source` says who wants it. settled: nobody writes any more.
        writes_on: somebody does who cannot be waited for, the transaction that this is a part of.

        ThreadError, and no change, where there can be no thread for what it sends.
        """
        replication = self._node.replication
        if replication.replicas is not None:
            with native_threads():
                replication.replicas.prepare()
        was_primary = replication.primary is None
        offset, is_kept = replication.current_offset, replication.backlog()[0]
        replication.primary = (host, port)
        replication.phase, replication.down_since = CONNECT, time.monotonic()
        self._node.config.put(BY_NAME["replicaof"], (host, str(port)), source)
        self._node.engine.follow(f"{host}:{port}")
        self.apply_configuration()
        replicas = replication.replicas
        if was_primary and replicas is not None:
            # Whoever has followed this server, and is primary now, may know how to go on from here: if nothing is being
            # written that nobody else would ever have.
            is_kept = is_kept and not writes_on
            is_kept = is_kept and (settled or self._node.engine.await_begun(_SETTLE_SECONDS_MAX))
            replication.offset = replicas.end_offset() if is_kept else offset
            replication.knows_place = is_kept
            replicas.set_follows(True)
        self._cut_replicas("this server follows another one")
        self._restart(self._run)
        _log.info("following", primary=f"{host}:{port}")

    def resume(self, place: Place) -> None:
        """The data that were loaded are those of a place in a history; the primary of `follow` may go on from there."""
        replication = self._node.replication
        replication.id, replication.offset, self._database = place.id, place.offset, place.database
        if replication.replicas is not None:
            replication.replicas.restart_backlog(place.offset, place.database)

    async def lead(self) -> None:
        """Follow nobody from now on. The data stay, and their history goes on under another id."""
        replication = self._node.replication
        if replication.primary is None:
            return
        self._node.config.put(BY_NAME["replicaof"], (), Source.RUNTIME)
        self._restart(self._promote)
        assert self._task is not None
        await asyncio.wait([self._task])
        _log.info("following nobody")

    def hand_over(self, host: str, port: int, *, settled: bool) -> asyncio.Future[bool]:
        """Follow a replica, which is asked to become the primary. The future tells whether it has."""
        self.follow(host, port, settled=settled)
        # Its task has yet to begin, and whatever is followed after that ends this.
        self._hands_over = True
        self._taken_over = asyncio.get_running_loop().create_future()
        return self._taken_over

    def _cut_replicas(self, reason: str) -> None:
        if self._node.replication.replicas is not None:
            self._node.replication.replicas.cut_all(reason)

    async def stop(self) -> None:
        """End the link; the server ends."""
        self._cancel_task()
        while self._ending:
            await asyncio.wait(list(self._ending))

    def go_on(self) -> None:
        """Follow again whom `stop` has left: the server does not end after all."""
        if self._node.replication.primary is not None and self._task is not None and self._task.done():
            self._restart(self._run)

    def apply_configuration(self) -> None:
        """Say what clients may do here now."""
        replication, config, engine = self._node.replication, self._node.config, self._node.engine
        is_replica = replication.primary is not None
        engine.refuse_writes_as_replica(is_replica and config.get_bool("replica-read-only"))
        engine.hide_stale_data(is_replica and not replication.is_up and not config.get_bool("replica-serve-stale-data"))
        if replication.link is not None:
            replication.link.set_timeout(config.get_int("repl-timeout"))

    # ---- the task

    def _restart(self, run: Callable[[], Coroutine[None, None, None]]) -> None:
        async def begin() -> None:
            while self._ending:
                await asyncio.wait(list(self._ending))
            await run()

        self._cancel_task()
        self._task = asyncio.get_running_loop().create_task(begin())

    def _cancel_task(self) -> None:
        self._close_link()
        self._end_handing_over(taken=False)
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._ending.add(self._task)
            self._task.add_done_callback(self._ending.discard)

    def _close_link(self) -> None:
        link = self._node.replication.link
        if link is not None:
            link.close()

    async def _promote(self) -> None:
        # The stream is applied no more once the task before has ended.
        replication = self._node.replication
        replication.primary = None
        replication.change_history(random_id())
        if replication.replicas is not None:
            replication.replicas.set_follows(False)
        self._append.switch(on=self._node.config.get_bool("appendonly"))
        # They come back at once, and go on under the new id.
        self._cut_replicas("this server has become a primary")
        self._node.engine.follow(None)
        self.apply_configuration()

    async def _run(self) -> None:
        pause = _PAUSE_SECONDS_MIN
        while True:
            begun = time.monotonic()
            try:
                await self._follow_once()
            except (OSError, HandshakeError, UnicodeError, ThreadError) as error:
                self._end_handing_over(taken=False)
                _log.warning("the link to the primary is down", reason=str(error) or "it took too long")
            except Exception:  # noqa: BLE001 - a mistake here must not be the end of replication
                _log.exception("the link to the primary has failed")
            # A link that has lasted says that the primary is well.
            if time.monotonic() - begun > _PAUSE_SECONDS_MAX:
                pause = _PAUSE_SECONDS_MIN
            await asyncio.sleep(pause * _random_part())
            pause = min(pause * 2, _PAUSE_SECONDS_MAX)

    async def _follow_once(self) -> None:
        """One link, from its beginning to its end; always ends with an exception."""
        replication = self._node.replication
        assert replication.primary is not None
        host, port = replication.primary
        config = self._node.config
        timeout, source = float(config.get_int("repl-timeout")), config.get_str("bind-source-addr")
        replication.phase = CONNECTING
        try:
            connection = await connect(host, port, timeout, source)
            wire = open_wire(self._node.engine, connection, host, tls=config.get_bool("tls-replication"))
            try:
                replication.phase = HANDSHAKE
                admission = await introduce(wire, self._introduction(), timeout)
                self._end_handing_over(taken=not admission.full)
                self._take_over(wire)
            except BaseException:
                wire.close()
                raise
            if admission.full:
                await self._load_snapshot(admission)
            else:
                self._continue(admission)
            await self._apply()
        finally:
            await self._end_link()

    def _introduction(self) -> Introduction:
        config, replication = self._node.config, self._node.replication
        user, password = config.get_str("masteruser"), config.get_str("masterauth")
        credentials = (*((user,) if user else ()), password) if password else ()
        history = replication.id if replication.knows_place else ""
        announced = config.get_int("replica-announce-port") or self._port()
        address = config.get_str("replica-announce-ip")
        return Introduction(credentials, announced, address, history, replication.offset, self._hands_over)

    def _port(self) -> int:
        """Where this server is to be reached, by the encrypted way if its own links take that."""
        config = self._node.config
        return (config.get_bool("tls-replication") and config.get_int("tls-port")) or self._node.port

    def _end_handing_over(self, *, taken: bool) -> None:
        self._hands_over = False
        if self._taken_over is not None and not self._taken_over.done():
            self._taken_over.set_result(taken)

    def _take_over(self, wire: Wire) -> None:
        link = wire.link(self._node.engine)
        self._node.replication.link = link
        link.set_timeout(self._node.config.get_int("repl-timeout"))

    async def _load_snapshot(self, admission: Admission) -> None:
        replication = self._node.replication
        link = replication.link
        assert link is not None
        replication.phase, replication.syncing_since = SYNC, time.time()
        replication.syncing_begun = time.monotonic()
        way = self._way_to_load(admission)
        try:
            if way.empties_first:
                replication.is_emptied = True
                self._node.engine.set_loading(True)
                self._part_with_data()
                await self._in_thread(link.empty)
            folder = Path(self._node.config.get_str("dir"))
            async with _snapshot_file(folder, in_memory=way.in_memory) as (path, descriptor):
                await self._receive(link, path, descriptor)
                replication.serves_while_loading = way.serves
                report = await self._load(link, path, descriptor, way)
        finally:
            replication.serves_while_loading = False
            if way.empties_first:
                replication.is_emptied = False
                self._node.engine.set_loading(False)
        database = next((text for name, text in report["aux"] if name == "repl-stream-db"), "0")
        self._database = int(database) if database.isdigit() else 0
        replication.id, replication.offset = admission.id, admission.offset
        replication.knows_place = True
        restart = functools.partial(self._restart_backlog, admission.offset, self._database)
        try:
            await self._in_thread(restart)
        finally:
            # Whatever is to be followed instead: the data are others from here on.
            self._cut_replicas("this server has other data now")
            # Begins with all of the new data.
            self._append.switch(on=self._node.config.get_bool("appendonly"))
        link.begin(admission.offset, self._database)
        seconds = round(time.monotonic() - replication.syncing_begun, 3)
        _log.info("synchronised with the primary", keys=report["keys"], seconds=seconds)

    def _restart_backlog(self, offset: int, database: int) -> None:
        if self._node.replication.replicas is not None:
            self._node.replication.replicas.restart_backlog(offset, database)

    def _way_to_load(self, admission: Admission) -> _Way:
        """As `repl-diskless-load` says."""
        mode, replication = self._node.config.get_str("repl-diskless-load"), self._node.replication
        if mode == _ON_EMPTY:
            # As of the last tick; either way is safe.
            keys = sum(database[1] for database in self._node.engine.snapshot(commands=False)["dbs"])
            return _Way(in_memory=not keys)
        # Other data than those of an earlier moment would be answered from as if they were the primary's.
        serves = mode == _SWAPS and replication.knows_place and replication.id == admission.id
        empties_first, beside = mode == _EMPTIES, mode == _SWAPS
        return _Way(in_memory=mode != _DISABLED, empties_first=empties_first, beside=beside, serves=serves)

    def _part_with_data(self) -> None:
        # From the first key on the data are of no history that anybody could go on with.
        self._node.replication.knows_place = False
        # What is appended would have the old data in front of it.
        if self._append.is_on:
            self._append.switch(on=False)

    async def _receive(self, link: PrimaryLink, path: Path, descriptor: int | None) -> None:
        if descriptor is None:
            size = await self._in_thread(lambda: link.receive_snapshot(path))
        else:
            size = await self._in_thread(lambda: link.receive_snapshot_into(descriptor))
        _log.info("snapshot of the primary received", bytes=size, in_memory=descriptor is not None)

    async def _load(self, link: PrimaryLink, path: Path, descriptor: int | None, way: _Way) -> RdbReport:
        knew_place = self._node.replication.knows_place
        self._part_with_data()
        # The thread's own: a task that is cancelled again does not wait for it any more.
        memory = contextlib.ExitStack()
        if descriptor is not None:
            memory.callback(close_memory, os.dup(descriptor))

        def load() -> RdbReport:
            # Emptied only when nothing is read from it.
            with memory:
                return link.load(path, beside=way.beside, serves=way.serves)

        is_exchanged = False
        try:
            report = await self._in_thread(load)
            is_exchanged = report["fault"] is None
        except ThreadError:
            memory.close()
            raise
        finally:
            if way.beside and not is_exchanged and not self._node.stopping:
                # The old data are there as they were.
                self._node.replication.knows_place = knew_place
                self._append.switch(on=self._node.config.get_bool("appendonly"))
        if report["fault"] is not None:
            offset, _, what = report["fault"]
            raise HandshakeError(f"the snapshot of the primary cannot be loaded: {what} (at byte {offset})")
        return report

    def _continue(self, admission: Admission) -> None:
        replication = self._node.replication
        assert replication.link is not None
        if admission.id != replication.id:
            replication.change_history(admission.id)
            self._cut_replicas("the history has another id now")
        replication.link.begin(admission.offset, self._database)
        _log.info("the stream of the primary goes on", offset=admission.offset)

    async def _apply(self) -> None:
        replication = self._node.replication
        link = replication.link
        assert link is not None
        replication.phase, replication.syncing_since = CONNECTED, 0.0
        self.apply_configuration()
        while True:
            for command in await self._in_thread(link.run):
                await self._execute(command)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        """What the data plane does for the link; it has ended when this returns, even if the task was cancelled."""
        future = begin_in_thread(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._close_link()
            await asyncio.wait([future])
            # Nobody wants to know any more how it ended, which asyncio would tell in the log.
            if not future.cancelled():
                future.exception()
            raise

    async def _end_link(self) -> None:
        replication = self._node.replication
        if replication.link is not None:
            status = replication.link.status()
            # Whatever the phase says, which `follow` has changed by now.
            if status["applied"] >= 0:
                replication.offset, self._database = status["applied"], status["db"]
            replication.knows_place = replication.knows_place and not status["diverged"]
            replication.link.close()
            replication.end_link()
        if replication.is_up or not replication.down_since:
            replication.down_since = time.monotonic()
        replication.phase = CONNECT
        self.apply_configuration()
