"""The control loop: requests that the data plane handed up, answered by the command families.

The data plane rings a descriptor when requests wait. They are taken in bounded batches, so that a flood of INFO cannot
keep the loop from its timers, and each is answered exactly once, whatever its handler does. Handlers run on the loop's
thread, one at a time and at once; one that has to wait is a coroutine, which becomes a task. A connection has one
request here at most, so what is being answered is bounded by maxclients.

EXEC of a transaction with control commands is such a request as well: the data plane executes its other commands in
this thread, between the handlers and with all shards held, so that everything happens in order and at once. Replies
that depend on nothing which a transaction changes (CONFIG GET, COMMAND DOCS) are made before the shards are held, so
that nobody else waits for them. The loop waits for shards for a moment only: where a script holds them, the transaction
waits beside the loop. So do the few handlers that ask for shards by themselves, in a thread. Commands in Python have
threads of their own; only where a transaction has both kinds of commands, which run in one thread, is it this one.

A tick of 100 ms moves the native log records on and feeds the sampler of the instantaneous rates; while clients do
nothing it is a second. The bell rings for log records as well. Nothing else polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sherd.families.dispatch import asks_for_shards, begin, blocks, dispatch, reads, waits
from sherd.log import get_logger
from sherd.native import look_for_huge_pages
from sherd.observability.node import Node
from sherd.observability.sampler import INTERVAL_SECONDS, SAMPLES
from sherd.persistence import Saver
from sherd.spec import Request, Services
from sherd.threads import in_thread

if TYPE_CHECKING:
    from sherd import native

_log = get_logger()

BATCH_REQUESTS = 64
LOG_RECORDS_A_TICK = 512
# A handler that is cancelled and does not end within this is left behind.
CANCEL_SECONDS_MAX = 0.2
QUIET_TICK_SECONDS = 1.0
# How long the loop waits for the shards of a transaction, which takes far less unless something in them takes long.
_HOLD_SECONDS = 0.01
# How long a thread waits for the end of what takes long, until the loop looks again.
_PRESS_SECONDS = 1.0

NativeRecord = tuple[int, float, str, str, dict[str, Any]]
LogSink = Callable[[Sequence[NativeRecord]], None]


def _waits(native_request: native.Request) -> bool:
    return waits(native_request.command, lambda: native_request.args)


class ControlLoop:
    """The asyncio side of one server; everything runs in the thread of `loop`."""

    def __init__(self, node: Node, services: Services, log_sink: LogSink) -> None:
        self._node = node
        self._services = services
        self._log_sink = log_sink
        self._active: set[asyncio.Task[None]] = set()
        # Commands that wait for as long as their clients like, by client and number; and what was said of such waits.
        self._interruptible: dict[tuple[int, int], asyncio.Future[str]] = {}
        self._interruptions: list[tuple[int, int, str]] = []
        # Whoever of all clients waits for shards in a thread.
        self._one_waits = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._ticker: asyncio.TimerHandle | None = None
        self._quiet_ticks = 0

    def start(self) -> None:
        """Listen to the data plane, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._node.engine.request_fd()
        self._loop.add_reader(self._descriptor, self._drain)
        self._tick()

    async def stop(self) -> None:
        """Take no more requests; connections whose request is still being answered (SHUTDOWN's) are closed."""
        assert self._loop is not None
        self._loop.remove_reader(self._descriptor)
        if self._ticker is not None:
            self._ticker.cancel()
        # What is cancelled before it has begun would neither close its connection nor end what it waits for.
        await asyncio.sleep(0)
        for task in self._active:
            task.cancel()
        if self._active:
            await asyncio.wait(self._active, timeout=CANCEL_SECONDS_MAX)

    def move_logs(self) -> None:
        """Pass on what the data plane logged."""
        records = self._node.engine.drain_logs(LOG_RECORDS_A_TICK)
        if records:
            self._log_sink(records)

    def _drain(self) -> None:
        if self._is_quiet():
            # Whoever asks for rates now gets those of this moment.
            self._tick()
        if self._node.engine.take_emptied():
            self._services.get(Saver).save_emptied()
        # Looked at before the requests, which were there before them.
        self._interruptions += self._node.engine.drain_interruptions()
        # Where more waits than a batch takes, the descriptor stays readable.
        requests = self._node.engine.drain_requests(BATCH_REQUESTS)
        if not requests:
            self.move_logs()
        for request in requests:
            try:
                self._begin(request)
            except Exception:  # noqa: BLE001 - those behind it in the batch are to be answered all the same
                _log.exception("a control request could not be answered", command=request.command)
        if len(requests) < BATCH_REQUESTS:
            self._interrupt()

    def _interrupt(self) -> None:
        for client_id, wait, reason in self._interruptions:
            waiting = self._interruptible.get((client_id, wait))
            if waiting is not None and not waiting.done():
                waiting.set_result(reason)
        self._interruptions.clear()

    def _begin(self, native_request: native.Request) -> None:
        assert self._loop is not None
        queued = native_request.queued
        if queued is not None:
            self._begin_exec(native_request, queued)
            return
        if asks_for_shards(native_request.command):
            self._start(self._answer_in_thread(native_request))
            return
        interruption = None
        if blocks(native_request.command):
            interruption = self._loop.create_future()
            self._interruptible[native_request.client_id, native_request.wait] = interruption
        request = self.request(native_request, interruption)
        reply = begin(native_request.command, request)
        if isinstance(reply, bytes):
            self._node.engine.reply(native_request, reply)
        else:
            self._start(self._answer_later(native_request, reply))

    def request(self, native_request: native.Request, interruption: asyncio.Future[str] | None = None) -> Request:
        """What a handler gets; from any thread."""
        return Request(
            token=native_request.token,
            client_id=native_request.client_id,
            args=native_request.args,
            db=native_request.db,
            resp=native_request.resp,
            addr=native_request.address,
            local_addr=native_request.local_address,
            user=native_request.user.decode("utf-8", "surrogateescape"),
            in_multi=native_request.in_multi,
            interruption=interruption,
            services=self._services,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._active.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("a control request could not be answered", reason=repr(task.exception()))

    async def _answer_later(self, native_request: native.Request, pending: Coroutine[Any, Any, bytes]) -> None:
        try:
            reply = await pending
        except asyncio.CancelledError:
            # The server ends: close the connection at once rather than let it wait for an answer.
            self._node.engine.reply(native_request, b"", close=True)
            raise
        finally:
            self._interruptible.pop((native_request.client_id, native_request.wait), None)
        self._node.engine.reply(native_request, reply)

    def _begin_exec(self, exec_request: native.Request, queued: Sequence[native.Request]) -> None:
        if any(_waits(each) for each in queued):
            self._start(self._execute_later(exec_request, queued))
        elif not self._execute(exec_request, queued, {}):
            self._start(self._execute_when_free(exec_request, queued, {}))

    async def _execute_later(self, exec_request: native.Request, queued: Sequence[native.Request]) -> None:
        # A handler that waits must not do so while its transaction holds the shards: it runs before.
        ready: dict[int, bytes] = {}
        try:
            for number, each in enumerate(queued):
                if _waits(each):
                    ready[number] = await dispatch(each.command, self.request(each))
        except asyncio.CancelledError:
            self._node.engine.reply(exec_request, b"", close=True)
            raise
        await self._execute_when_free(exec_request, queued, ready)

    async def _execute_when_free(
        self, exec_request: native.Request, queued: Sequence[native.Request], ready: Mapping[int, bytes]
    ) -> None:
        """The transaction as soon as its shards are not held for long any more: a script may be busy for ever."""
        try:
            while not self._execute(exec_request, queued, ready):
                await self._await_shards()
        except asyncio.CancelledError:
            self._node.engine.reply(exec_request, b"", close=True)
            raise

    async def _await_shards(self) -> None:
        """Until what is being executed is over, or for a moment. One waits for all: threads are few."""
        async with self._one_waits:
            await in_thread(self._node.engine.await_begun, _PRESS_SECONDS)

    async def _answer_in_thread(self, native_request: native.Request) -> None:
        """The answer of a handler that asks for shards, which may be busy for ever, and waits for nothing else."""
        try:
            async with self._one_waits:
                reply = await in_thread(begin, native_request.command, self.request(native_request))
        except asyncio.CancelledError:
            self._node.engine.reply(native_request, b"", close=True)
            raise
        assert isinstance(reply, bytes), "a handler that asks for shards is no coroutine function"
        self._node.engine.reply(native_request, reply)

    def _execute(
        self, exec_request: native.Request, queued: Sequence[native.Request], ready: Mapping[int, bytes]
    ) -> bool:
        """The transaction from its beginning to its end, without a chance for anything else in between.

        False if its shards are busy: then nothing was executed.
        """
        engine = self._node.engine
        ready = {**ready, **self._answer_ahead(queued)}
        more = engine.begin_exec(exec_request, _HOLD_SECONDS)
        if more is None:
            return False
        try:
            for number, each in enumerate(queued):
                if not more:
                    break
                more = engine.answer_in_exec(exec_request, ready.get(number) or self._answer_now(each))
        finally:
            engine.end_exec(exec_request)
        return True

    def _answer_ahead(self, queued: Sequence[native.Request]) -> dict[int, bytes]:
        ready = {}
        changes_config = False
        for number, each in enumerate(queued):
            if each.is_extension:
                continue
            source = reads(each.command)
            if source == "nothing" or (source == "config" and not changes_config):
                ready[number] = self._answer_now(each)
            changes_config = changes_config or each.command == "config|set"
        return ready

    def _answer_now(self, native_request: native.Request) -> bytes:
        if native_request.is_extension:
            return self._node.engine.call_in_exec(native_request)
        reply = begin(native_request.command, self.request(native_request))
        assert isinstance(reply, bytes), "a handler that waits is known by being a coroutine function"
        return reply

    def _is_quiet(self) -> bool:
        # All samples of the rates are those of a server that does nothing.
        return self._quiet_ticks >= SAMPLES

    def _tick(self) -> None:
        assert self._loop is not None
        try:
            self.move_logs()
            traffic = self._node.replication.traffic()[:2]
            changed = self._node.sampler.sample(self._node.engine.snapshot(commands=False), traffic)
            self._quiet_ticks = 0 if changed else self._quiet_ticks + 1
            look_for_huge_pages(self._is_quiet())
        except Exception:  # noqa: BLE001 - a tick that fails must not be the last one
            _log.exception("the control loop's tick failed")
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = self._loop.call_later(QUIET_TICK_SECONDS if self._is_quiet() else INTERVAL_SECONDS, self._tick)
