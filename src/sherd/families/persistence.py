"""SAVE, BGSAVE, LASTSAVE: snapshots on request."""

from __future__ import annotations

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.observability.node import Node
from sherd.persistence import SaveError, Saver
from sherd.resp import Reply, Simple
from sherd.spec import Request, command

_IN_PROGRESS = "ERR Background save already in progress"


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
    """Answers at once."""
    words = [word.decode("latin-1").lower() for word in request.args[1:]]
    if words not in ([], ["schedule"], ["cancel"]):
        raise CommandError(SYNTAX_ERROR)
    saver = request.services.get(Saver)
    if words == ["cancel"]:
        if not saver.cancel():
            raise CommandError("ERR Background saving is currently not in progress or scheduled")
        return Simple("Background saving cancelled")
    if saver.start(schedule=bool(words)):
        return Simple("Background saving started")
    if words:
        return Simple("Background saving scheduled")
    raise CommandError(_IN_PROGRESS)


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
