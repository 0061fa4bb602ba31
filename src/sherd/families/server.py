"""TIME, SHUTDOWN: what the server says about itself as a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from sherd.errors import SYNTAX_ERROR, CommandError, EndCalledOffError
from sherd.log import get_logger
from sherd.persistence import SaveError, Saver
from sherd.record import record
from sherd.resp import OK, Reply
from sherd.spec import Request, command
from sherd.threads import in_thread

_log = get_logger()

_NOT_ENDED = "ERR Errors trying to SHUTDOWN. Check logs."


async def _nothing() -> None:
    """There are no replicas."""


@record
class Lifecycle:
    """How a handler ends the server; provided by whoever runs it. `stop` returns at once, the server ends soon.

    `sync` returns when everything that was written is on disk, as far as it is kept there. `has_all_data`: nothing is
    being loaded. `let_replicas_catch_up` and `end_writes` hold writers back until `go_on`. `call_off` has the former
    fail, with EndCalledOffError; False if nobody waits.
    """

    stop: Callable[[], None]
    sync: Callable[[], None] = lambda: None
    has_all_data: Callable[[], bool] = lambda: True
    let_replicas_catch_up: Callable[[], Awaitable[None]] = _nothing
    end_writes: Callable[[], Awaitable[None]] = _nothing
    go_on: Callable[[], None] = lambda: None
    call_off: Callable[[], bool] = lambda: False


@command(
    "time",
    arity=1,
    flags="loading stale fast",
    group="server",
    since="2.6.0",
    summary="Returns the server's clock.",
    complexity="O(1)",
    tips=("nondeterministic_output",),
)
def server_time(request: Request) -> Reply:
    """Unix seconds and the microseconds within the second, as text."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return [str(seconds), str(nanoseconds // 1000)]


@command(
    "shutdown",
    arity=-1,
    flags="admin noscript loading stale no_multi allow_busy",
    group="server",
    since="1.0.0",
    summary="Ends the server.",
    complexity="O(N) when saving, where N is the total number of keys in all databases when saving data, "
    "otherwise O(1)",
    syntax="[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    history=(("7.0.0", "NOW, FORCE and ABORT."),),
)
async def shutdown(request: Request) -> Reply:
    """No reply when it works: the connection is closed with all others."""
    words = [word.decode("latin-1").lower() for word in request.args[1:]]
    _check_shutdown(words)
    lifecycle = request.services.get(Lifecycle)
    if words == ["abort"]:
        if not lifecycle.call_off():
            raise CommandError("ERR No shutdown in progress.")
        return OK
    saver = request.services.get(Saver)
    _log.info("shutdown asked for", client=request.addr)
    if "now" not in words:
        try:
            await lifecycle.let_replicas_catch_up()
        except EndCalledOffError as error:
            raise CommandError(_NOT_ENDED) from error
    # A part of the data must not take the place of the file that has all of them.
    if lifecycle.has_all_data() and ("save" in words or (saver.has_save_points and "nosave" not in words)):
        try:
            await lifecycle.end_writes()
            await saver.save()
        except SaveError as error:
            if "force" not in words:
                lifecycle.go_on()
                raise CommandError(_NOT_ENDED) from error
    await in_thread(lifecycle.sync)
    lifecycle.stop()
    # The server's end closes the connection; an answer would tell the client that it goes on.
    await asyncio.Event().wait()
    raise AssertionError("the event is never set")


def _check_shutdown(words: list[str]) -> None:
    known = {"nosave", "save", "now", "force", "abort"}
    conflict = {"save", "nosave"} <= set(words) or ("abort" in words and len(words) > 1)
    if conflict or not known.issuperset(words):
        raise CommandError(SYNTAX_ERROR)
