"""COMMAND: what commands there are, what they take, and where the keys of a command line stand."""

from __future__ import annotations

from collections.abc import Sequence

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.command_docs import docs_reply
from sherd.families.command_table import CommandTable, info_reply, key_flags_reply
from sherd.families.data_plane import DataPlane
from sherd.resp import Reply, Simple
from sherd.spec import Request, command

# How much of a name that does not exist an error repeats.
_SHOWN_NAME_BYTES = 128
_UNORDERED = ("nondeterministic_output_order",)


def _table(request: Request) -> CommandTable:
    return request.services.get(CommandTable)


@command(
    "command",
    reads="nothing",
    arity=-1,
    flags="loading stale",
    acl="connection",
    group="server",
    since="2.8.13",
    summary="Returns what is known of every command.",
    complexity="O(N) in the number of commands",
    tips=_UNORDERED,
)
def command_all(request: Request) -> Reply:
    """One entry a command; subcommands stand inside of their containers."""
    if len(request.args) > 1:
        name = request.args[1][:_SHOWN_NAME_BYTES].decode("utf-8", "surrogateescape")
        raise CommandError(f"ERR unknown subcommand '{name}'. Try COMMAND HELP.")
    return _all_commands(request)


def _all_commands(request: Request) -> Reply:
    table = _table(request)
    return [table.encoded(row, request.resp, info_reply) for row in table.top_level()]


@command(
    "command|count",
    reads="nothing",
    arity=2,
    flags="loading stale",
    acl="connection",
    group="server",
    since="2.8.13",
    summary="Returns the number of commands, subcommands not counted.",
    complexity="O(1)",
)
def command_count(request: Request) -> Reply:
    """A whole number."""
    return _table(request).top_level_count


@command(
    "command|info",
    reads="nothing",
    arity=-2,
    flags="loading stale",
    acl="connection",
    group="server",
    since="2.8.13",
    summary="Returns what is known of some commands, or of all.",
    complexity="O(N) in the number of commands asked for",
    syntax="[command-name [command-name ...]]",
    history=(("7.0.0", "Without names every command is returned."),),
    tips=_UNORDERED,
)
def command_info(request: Request) -> Reply:
    """One entry a name, null for a name that does not exist."""
    names = request.args[2:]
    if not names:
        return _all_commands(request)
    table = _table(request)
    rows = [table.find(name) for name in names]
    return [table.encoded(row, request.resp, info_reply) if row is not None else None for row in rows]


@command(
    "command|docs",
    reads="nothing",
    arity=-2,
    flags="loading stale",
    acl="connection",
    group="server",
    since="7.0.0",
    summary="Returns documentation of some commands, or of all.",
    complexity="O(N) in the number of commands asked for",
    syntax="[command-name [command-name ...]]",
    tips=_UNORDERED,
)
def command_docs(request: Request) -> Reply:
    """A map from names to documentation; names that do not exist are left out."""
    table = _table(request)
    names = request.args[2:]
    rows = map(table.find, names) if names else table.top_level()
    return {row["name"]: table.encoded(row, request.resp, docs_reply) for row in rows if row is not None}


@command(
    "command|list",
    reads="nothing",
    arity=-2,
    flags="loading stale",
    acl="connection",
    group="server",
    since="7.0.0",
    summary="Returns the names of all commands and subcommands, or of those that pass a filter.",
    complexity="O(N) in the number of commands",
    syntax="[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    tips=_UNORDERED,
)
def command_list(request: Request) -> Reply:
    """Names, sorted."""
    words = request.args[2:]
    table = _table(request)
    if not words:
        return table.names
    if len(words) != 3 or words[0].upper() != b"FILTERBY":
        raise CommandError(SYNTAX_ERROR)
    return _filtered(request, words[1].upper(), words[2])


def _filtered(request: Request, criterion: bytes, wanted: bytes) -> list[Reply]:
    table = _table(request)
    if criterion == b"PATTERN":
        places = request.services.get(DataPlane).glob_filter(wanted, table.names, True)
        return [table.names[place] for place in places]
    if criterion == b"ACLCAT":
        category = wanted.decode("latin-1").lower()
        return [str(row["name"]) for row in table.all() if category in row["categories"]]
    if criterion == b"MODULE":
        name = wanted.decode("utf-8", "surrogateescape")
        return [str(row["name"]) for row in table.all() if row.get("module") == name]
    raise CommandError(SYNTAX_ERROR)


@command(
    "command|getkeys",
    reads="nothing",
    arity=-3,
    flags="loading stale",
    acl="connection",
    group="server",
    since="2.8.13",
    summary="Returns the keys of a whole command line.",
    complexity="O(N) in the number of arguments",
    syntax="command [arg ...]",
)
def command_getkeys(request: Request) -> Reply:
    """The keys, in the order in which they stand."""
    words = request.args[2:]
    return [words[index] for index, _ in _keys_of(request, words)]


@command(
    "command|getkeysandflags",
    reads="nothing",
    arity=-3,
    flags="loading stale",
    acl="connection",
    group="server",
    since="7.0.0",
    summary="Returns the keys of a whole command line and what is done to each.",
    complexity="O(N) in the number of arguments",
    syntax="command [arg ...]",
)
def command_getkeysandflags(request: Request) -> Reply:
    """Pairs of a key and its flags."""
    words = request.args[2:]
    return [[words[index], key_flags_reply(flags)] for index, flags in _keys_of(request, words)]


def _keys_of(request: Request, words: list[bytes]) -> Sequence[tuple[int, str]]:
    row = _table(request).resolve(words)
    if row is None:
        raise CommandError("ERR Invalid command specified")
    # What only leads to a slot, as CLUSTERSCAN's cursor does, is no key.
    if all("NOT_KEY" in flags for flags, _, _ in row["keys"]):
        raise CommandError("ERR The command has no key arguments")
    arity = int(row["arity"])
    if (arity > 0 and len(words) != arity) or len(words) < -arity:
        raise CommandError("ERR Invalid number of arguments specified for command")
    # By the name that the data plane knows.
    own = str(row["name"]).partition("|")[0].encode()
    positions = request.services.get(DataPlane).key_positions([own, *words[1:]])
    if positions:
        return positions
    if "no_mandatory_keys" in row["flags"]:
        return ()
    raise CommandError("ERR Invalid arguments specified for command")


@command(
    "command|help",
    arity=2,
    flags="loading stale",
    acl="connection",
    group="server",
    since="5.0.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def command_help(request: Request) -> Reply:
    """Lines of text."""
    return [Simple(line) for line in _HELP]


_HELP = (
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return what is known of every command.",
    "COUNT",
    "    Return the number of commands.",
    "LIST [FILTERBY <MODULE <name> | ACLCAT <category> | PATTERN <pattern>>]",
    "    Return the names of all commands, or of those that pass a filter.",
    "INFO [<command-name> ...]",
    "    Return what is known of some commands, or of all.",
    "DOCS [<command-name> ...]",
    "    Return documentation of some commands, or of all.",
    "GETKEYS <full-command>",
    "    Return the keys of a whole command line.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys of a whole command line and what is done to each.",
    "HELP",
    "    Print this help.",
)
