"""SAVE, BGSAVE, LASTSAVE: snapshots on request. BGREWRITEAOF, WAITAOF: rewriting the append-only file, and its disk."""

from __future__ import annotations

import asyncio
import time

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.interruption import is_interrupted, refuse_interrupted
from sherd.families.numbers import read_integer, read_timeout_ms
from sherd.observability.node import Node
from sherd.persistence import AppendOnly, SaveError, Saver
from sherd.replication import Primary
from sherd.resp import Reply, Simple
from sherd.spec import Request, command
from sherd.threads import in_thread

_NOT_POSITIVE = "ERR value is out of range, must be positive"
_IN_PROGRESS = "ERR Background save already in progress"
_REWRITING = (
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a "
    "BGSAVE whenever possible."
)


@command(
    "save",
    arity=1,
    flags="admin noscript no_async_loading no_multi",
    group="server",
    since="1.0.0",
    summary="Saves the data to disk and answers when that is done.",
    complexity="O(N) where N is the total number of keys in all databases",
)
async def save(request: Request) -> Reply:
    """Others are served meanwhile, in which it differs from Redis'."""
    saver = request.services.get(Saver)
    await saver.await_emptied()
    if saver.is_running:
        raise CommandError(_IN_PROGRESS)
    try:
        await saver.save()
    except SaveError as error:
        raise CommandError("ERR") from error
    return Simple("OK")


@command(
    "bgsave",
    arity=-1,
    flags="admin noscript no_async_loading",
    group="server",
    since="1.0.0",
    summary="Saves the data to disk in the background.",
    complexity="O(1)",
    syntax="[SCHEDULE | CANCEL]",
    history=(("3.2.2", "Added the `SCHEDULE` option."),),
)
async def bgsave(request: Request) -> Reply:
    """Answers when the moment is over of which the snapshot is."""
    words = [word.decode("latin-1").lower() for word in request.args[1:]]
    if words not in ([], ["schedule"], ["cancel"]):
        raise CommandError(SYNTAX_ERROR)
    saver = request.services.get(Saver)
    if words == ["cancel"]:
        if not saver.cancel():
            raise CommandError("ERR Background saving is currently not in progress or scheduled")
        return Simple("Background saving cancelled")
    await saver.await_emptied()
    if saver.start(schedule=bool(words)):
        await saver.await_begun()
        return Simple("Background saving started")
    if words:
        return Simple("Background saving scheduled")
    raise CommandError(_IN_PROGRESS if saver.is_running else _REWRITING)


@command(
    "bgrewriteaof",
    arity=1,
    flags="admin noscript no_async_loading",
    group="server",
    since="1.0.0",
    summary="Rewrites the append-only file in the background, so that it holds the data and no history.",
    complexity="O(1)",
)
async def bgrewriteaof(request: Request) -> Reply:
    """Does not wait for its end."""
    append = request.services.get(AppendOnly)
    await request.services.get(Saver).await_emptied()
    if append.is_rewriting:
        raise CommandError("ERR Background append only file rewriting already in progress")
    if append.start(schedule=True):
        return Simple("Background append only file rewriting started")
    return Simple("Background append only file rewriting scheduled")


@command(
    "lastsave",
    arity=1,
    flags="loading stale fast",
    acl="admin dangerous",
    group="server",
    since="1.0.0",
    summary="Returns when the data was last saved.",
    complexity="O(1)",
    tips=("nondeterministic_output",),
)
def lastsave(request: Request) -> Reply:
    """Unix seconds; the server's start where nothing was saved since."""
    return int(request.services.get(Node).saves.last_time)


# How often it is looked at whether a disk that takes nothing has recovered.
_LOOK_SECONDS = 0.05
_ON_REPLICA = (
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and "
    "are not propagated."
)
_NO_FILE = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


@command(
    "waitaof",
    arity=4,
    flags="blocking",
    acl="connection",
    group="generic",
    since="7.2.0",
    summary="Waits until the client's writes are on disk here and on replicas.",
    complexity="O(1)",
    syntax="numlocal numreplicas timeout",
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
async def waitaof(request: Request) -> Reply:
    """How many of this server and of its replicas have on disk what was written before. The file here is synced at
    once, instead of in the next second."""
    local = read_integer(request.args[1])
    if local not in (0, 1):
        raise CommandError("ERR value is out of range, value must between 0 and 1")
    replicas = read_integer(request.args[2], _NOT_POSITIVE)
    if replicas < 0:
        raise CommandError(_NOT_POSITIVE)
    timeout_ms = read_timeout_ms(request.args[3])
    node = request.services.get(Node)
    if node.replication.primary is not None:
        raise CommandError(_ON_REPLICA)
    if local and not node.appends.enabled:
        raise CommandError(_NO_FILE)
    # Within a transaction nobody could wait.
    seconds = 0.0 if request.in_multi else timeout_ms / 1000 or None
    primary = request.services.get(Primary)
    both = [
        asyncio.ensure_future(_await_sync(request, node, seconds, wanted=local > 0)),
        asyncio.ensure_future(primary.wait(replicas, seconds, on_disk=True, interruption=request.interruption)),
    ]
    try:
        synced, reached = await asyncio.gather(*both)
    finally:
        # Of the other one, if one has failed.
        for task in both:
            task.cancel()
    refuse_interrupted(request)
    return [synced, reached]


async def _await_sync(request: Request, node: Node, seconds: float | None, *, wanted: bool) -> int:
    """1 if everything that was written before is on disk here, for which is waited so long at most if it is wanted."""
    offset = node.engine.journal_offset() if node.appends.enabled else 0
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    while wanted and seconds != 0 and not _is_synced(node, offset) and not is_interrupted(request):
        if not node.appends.enabled:
            raise CommandError(_NO_FILE)
        if await _has_all_of_the_file(node, offset):
            return 1
        left = deadline - time.monotonic()
        if left <= 0:
            break
        if not _is_synced(node, offset):
            await asyncio.sleep(min(_LOOK_SECONDS, left))
    return _is_synced(node, offset)


async def _has_all_of_the_file(node: Node, offset: int) -> bool:
    """Whether all up to an offset that is for the file is on disk after it was synced. What is for replicas only, as
    PING is, is in no file, so that the file's own offset may never get there."""
    place = await in_thread(node.engine.append_place)
    status = node.engine.append_status()
    return place is not None and place[0] >= offset and status is not None and status["synced"] is not None


def _is_synced(node: Node, offset: int) -> int:
    """1 if everything up to an offset is on disk here."""
    status = node.engine.append_status()
    synced = status["synced"] if status is not None else None
    return int(synced is not None and synced >= offset)
