"""SHERD COMMANDS and SHERD RELOAD: the commands in Python that were loaded, and loading them again."""

from __future__ import annotations

from sherd.errors import CommandError, LoadError
from sherd.extensions.manager import Extensions
from sherd.resp import OK, Reply
from sherd.spec import Request, command
from sherd.threads import in_thread


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
