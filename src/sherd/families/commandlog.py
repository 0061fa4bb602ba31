"""COMMANDLOG: commands that took long, had large requests, or got large replies, newest first.

SLOWLOG shows the first of the three logs. The data plane keeps them; this shows them.
"""

from __future__ import annotations

from sherd.errors import CommandError
from sherd.families.help_lines import help_reply
from sherd.families.slowlog import count_of, entries_of
from sherd.observability.node import Node
from sherd.resp import OK, Reply
from sherd.spec import Request, command, container

_LOGS = ("slow", "large-request", "large-reply")
_TYPE = "<slow | large-request | large-reply>"

container(
    "commandlog",
    group="server",
    since="8.1.0",
    summary="Groups the commands about the logs of commands.",
    complexity="Depends on subcommand.",
)


def _log(word: bytes) -> str:
    name = word.decode(errors="replace").lower()
    if name not in _LOGS:
        raise CommandError(f"ERR type should be one of the following: {', '.join(_LOGS)}")
    return name


@command(
    "commandlog|get",
    arity=4,
    flags="admin loading stale",
    group="server",
    since="8.1.0",
    summary="Returns the newest entries of a log of commands.",
    complexity="O(N) where N is the number of entries returned",
    syntax=f"count {_TYPE}",
    tips=("request_policy:all_nodes", "nondeterministic_output"),
)
def commandlog_get(request: Request) -> Reply:
    """[id, Unix seconds, microseconds or bytes, arguments, address, name] an entry; -1 gives all of them."""
    count = count_of(request.args[2])
    return entries_of(request, _log(request.args[3]), count)


@command(
    "commandlog|len",
    arity=3,
    flags="admin loading stale",
    group="server",
    since="8.1.0",
    summary="Returns the number of entries in a log of commands.",
    complexity="O(1)",
    syntax=_TYPE,
    tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"),
)
def commandlog_len(request: Request) -> Reply:
    """A whole number."""
    return request.services.get(Node).engine.command_log_len(_log(request.args[2]))


@command(
    "commandlog|reset",
    arity=3,
    flags="admin loading stale",
    group="server",
    since="8.1.0",
    summary="Empties a log of commands.",
    complexity="O(N) where N is the number of entries in the commandlog",
    syntax=_TYPE,
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def commandlog_reset(request: Request) -> Reply:
    """OK; entry numbers go on from where they were."""
    request.services.get(Node).engine.command_log_reset(_log(request.args[2]))
    return OK


@command(
    "commandlog|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="8.1.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def commandlog_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("commandlog", _HELP)


_HELP = (
    (
        "GET <count> <type>",
        "Return the newest <count> entries of the given type (-1 for all).\n"
        "An entry has its id, Unix time, duration in microseconds (slow) or size in bytes\n"
        "(large-request, large-reply), arguments, client address and client name.",
    ),
    ("LEN <type>", "Return the number of entries of the given type."),
    ("RESET <type>", "Remove all entries of the given type."),
)
