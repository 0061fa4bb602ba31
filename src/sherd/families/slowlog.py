"""SLOWLOG: the commands that took long, newest first. The data plane keeps the log; this shows it."""

from __future__ import annotations

from sherd.errors import CommandError
from sherd.families.help_lines import help_reply
from sherd.families.numbers import read_integer
from sherd.observability.node import Node
from sherd.resp import OK, Reply
from sherd.spec import Request, command, container

_COUNT_DEFAULT = 10
_COUNT_MAX = 2**63 - 1
_BAD_COUNT = "ERR count should be greater than or equal to -1"

container(
    "slowlog",
    group="server",
    since="2.2.12",
    summary="Groups the commands about the slow log.",
    complexity="Depends on subcommand.",
)


@command(
    "slowlog|get",
    arity=-2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    summary="Returns the newest entries of the slow log.",
    complexity="O(N) where N is the number of entries returned",
    syntax="[count]",
    history=(("4.0.0", "Client address and name in each entry."),),
    tips=("request_policy:all_nodes", "nondeterministic_output"),
)
def slowlog_get(request: Request) -> Reply:
    """[id, Unix seconds, microseconds, arguments, client address, client name] an entry; -1 gives all of them."""
    if len(request.args) > 3:
        name = request.args[1].decode()
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP.")
    count = count_of(request.args[2]) if len(request.args) == 3 else _COUNT_DEFAULT
    return entries_of(request, "slow", count)


def entries_of(request: Request, log: str, count: int) -> Reply:
    """The newest entries of a log of commands."""
    entries = request.services.get(Node).engine.command_log(log, count)
    return [
        [number, when, value, list(arguments), address, name]
        for number, when, value, arguments, address, name in entries
    ]


def count_of(word: bytes) -> int:
    """A number of entries."""
    count = read_integer(word, _BAD_COUNT)
    if not -1 <= count <= _COUNT_MAX:
        raise CommandError(_BAD_COUNT)
    return count


@command(
    "slowlog|len",
    arity=2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    summary="Returns the number of entries in the slow log.",
    complexity="O(1)",
    tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"),
)
def slowlog_len(request: Request) -> Reply:
    """A whole number."""
    return request.services.get(Node).engine.command_log_len("slow")


@command(
    "slowlog|reset",
    arity=2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    summary="Empties the slow log.",
    complexity="O(N) where N is the number of entries in the slowlog",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def slowlog_reset(request: Request) -> Reply:
    """OK; entry numbers go on from where they were."""
    request.services.get(Node).engine.command_log_reset("slow")
    return OK


@command(
    "slowlog|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="6.2.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def slowlog_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("slowlog", _HELP)


_HELP = (
    (
        "GET [<count>]",
        "Return the newest <count> entries (10 if not given, -1 for all).\n"
        "An entry has its id, Unix time, duration in microseconds, arguments,\n"
        "client address and client name.",
    ),
    ("LEN", "Return the number of entries."),
    ("RESET", "Remove all entries."),
)
