"""SHERD: what only this server has, under its own name, so that it never meets a command of Redis or Valkey.

COMMANDS and RELOAD are about commands in Python: what was loaded, and loading it again. BIGKEYS shows what the shards'
own threads have found while they go through the keys at their leisure (`shards/src/maintenance/survey.rs`), so it is
answered at once and costs the data plane nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sherd.errors import SYNTAX_ERROR, CommandError, LoadError
from sherd.extensions.manager import Extensions
from sherd.families.help_lines import help_reply
from sherd.observability.node import Node
from sherd.record import record
from sherd.resp import OK, Reply
from sherd.spec import Request, command, container
from sherd.threads import in_thread

_NUMBER_DIGITS_MAX = 9

container(
    "sherd",
    group="server",
    since="0.1.0",
    summary="Groups the commands of Sherd's own.",
    complexity="Depends on subcommand.",
)


@command(
    "sherd|bigkeys",
    arity=-2,
    flags="loading stale",
    group="server",
    since="0.1.0",
    summary="Returns the keys that take the most memory, or have the most elements, as last seen.",
    complexity="O(S) in the number of shards",
    syntax="[BY <MEMORY | ELEMENTS>] [COUNT count] [SLOT slot] [SHARD shard]",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
)
def sherd_bigkeys(request: Request) -> Reply:
    """A map a key, the biggest first: key, db, type, bytes, elements, slot, shard. Ten keys unless told otherwise.

    Bytes are an estimate, as MEMORY USAGE gives it. Each shard keeps some dozens of keys; one that has just been made
    appears when the shard's thread has come by, one that has gone stays until then.
    """
    wishes = _bigkey_wishes(request.args[2:])
    from sherd.observability.snapshot import BigKey

    keys = [BigKey(*row) for row in request.services.get(Node).engine.big_keys()]
    keys = [key for key in keys if wishes.slot in (None, key.slot) and wishes.shard in (None, key.shard)]
    if wishes.by_elements:
        keys = [key for key in keys if key.elements]
    keys.sort(key=lambda key: (-(key.elements if wishes.by_elements else key.bytes), key.key))
    return [
        {
            "key": key.key,
            "db": key.database,
            "type": key.type,
            "bytes": key.bytes,
            "elements": key.elements,
            "slot": key.slot,
            "shard": key.shard,
        }
        for key in keys[: wishes.count]
    ]


@record(frozen=False)
class _BigKeyWishes:
    by_elements: bool = False
    count: int = 10
    slot: int | None = None
    shard: int | None = None


def _bigkey_wishes(words: Sequence[bytes]) -> _BigKeyWishes:
    wishes = _BigKeyWishes()
    if len(words) % 2:
        raise CommandError(SYNTAX_ERROR)
    for name, value in zip(words[::2], words[1::2], strict=True):
        match name.upper(), value.upper():
            case b"BY", b"MEMORY":
                wishes.by_elements = False
            case b"BY", b"ELEMENTS":
                wishes.by_elements = True
            case b"COUNT", _:
                wishes.count = _small_number(value)
            case b"SLOT", _:
                wishes.slot = _small_number(value)
            case b"SHARD", _:
                wishes.shard = _small_number(value)
            case _:
                raise CommandError(SYNTAX_ERROR)
    return wishes


def _small_number(word: bytes) -> int:
    if not word.isdigit() or len(word) > _NUMBER_DIGITS_MAX:
        raise CommandError("ERR value is out of range, must be positive")
    return int(word)


@command(
    "sherd|commands",
    reads="nothing",
    arity=2,
    flags="loading stale",
    group="server",
    since="0.1.0",
    summary="Returns the commands, jobs and hooks in Python that were loaded.",
    complexity="O(N) in the number of them",
)
def sherd_commands(request: Request) -> Reply:
    """A map: the commands, jobs and hooks, each a list of maps."""
    from sherd.extensions.declare import name_of

    loaded = request.services.get(Extensions).loaded
    commands: list[Reply] = [
        {
            "name": command.name,
            "module": loaded.modules[command.name],
            "function": name_of(command.declared.function),
            "summary": str(command.spec["summary"]),
            "arity": int(command.spec["arity"]),
            "flags": list(command.declared.flags),
            "keys": command.keys,
        }
        for command in loaded.commands
    ]
    jobs: list[Reply] = [{"function": name_of(job.function), "seconds": job.seconds} for job in loaded.jobs.values()]
    hooks: list[Reply] = [
        {"function": name_of(hook.function), "event": hook.event, "pattern": hook.pattern}
        for hook in loaded.hooks.values()
    ]
    return {"commands": commands, "jobs": jobs, "hooks": hooks}


@command(
    "sherd|reload",
    arity=-2,
    flags="admin noscript loading stale",
    group="server",
    since="0.1.0",
    summary="Loads a module of Python commands again, or all; one that cannot be loaded stays what it was.",
    complexity="O(N) in the number of commands",
    syntax="[module]",
)
async def sherd_reload(request: Request) -> Reply:
    """OK, or why nothing was changed."""
    if len(request.args) > 3:
        raise CommandError("ERR wrong number of arguments for 'sherd|reload' command")
    name = request.args[2].decode("utf-8", "surrogateescape") if len(request.args) > 2 else None
    try:
        # Modules do what they like while they are loaded, and may take their time.
        await in_thread(request.services.get(Extensions).reload, name)
    except LoadError as error:
        raise CommandError(f"ERR nothing was changed: {error}") from error
    return OK


@command(
    "sherd|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="0.1.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def sherd_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("sherd", _HELP)


_HELP = (
    (
        "BIGKEYS [BY <MEMORY | ELEMENTS>] [COUNT <count>] [SLOT <slot>] [SHARD <shard>]",
        "Return the biggest keys that were seen lately (10 if not given).",
    ),
    ("COMMANDS", "Return the commands, jobs and hooks in Python that were loaded."),
    ("RELOAD [<module>]", "Load a module of Python commands again, or all of them."),
)
