"""ACL: users and their rights, read and changed; what was denied."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sherd.acl import CATEGORIES, AccessControl, RuleError, Selector, UserListError, has_spaces
from sherd.errors import CommandError
from sherd.families.command_table import CommandTable
from sherd.families.help_lines import help_reply
from sherd.families.numbers import read_integer
from sherd.log import get_logger
from sherd.resp import OK, Reply, ReplySet
from sherd.spec import Request, Secret, command, container

_log = get_logger()
_ADMIN = "admin noscript loading stale"
_READ = "noscript loading stale"
# What the slow log and MONITOR show of a user's rules and name.
_NAMES_OF_USERS = (Secret("", start=2, count=2**31),)
_LOG_COUNT_DEFAULT = 10
_PASSWORD_BITS_DEFAULT = 256
_PASSWORD_BITS_MAX = 4096
_NO_FILE = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
    "users in the Redis configuration."
)

container(
    "acl",
    group="server",
    since="6.0.0",
    summary="Groups the commands about users and their rights.",
    complexity="Depends on subcommand.",
)


def _access(request: Request) -> AccessControl:
    return request.services.get(AccessControl)


def _shown(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _miscounted(request: Request) -> CommandError:
    name = _shown(request.args[1])
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP.")


@command(
    "acl|setuser",
    arity=-3,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Makes a user, or changes the rules of one.",
    complexity="O(N) where N is the number of rules.",
    syntax="username [rule [rule ...]]",
    history=(("6.2.0", "Channel patterns."), ("7.0.0", "Selectors and key permissions.")),
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    secrets=_NAMES_OF_USERS,
)
def acl_setuser(request: Request) -> Reply:
    """OK; all rules take effect, or none."""
    name = request.args[2]
    if has_spaces(name):
        raise CommandError("ERR Usernames can't contain spaces or null characters")
    try:
        _access(request).set_user(name, request.args[3:])
    except RuleError as error:
        raise CommandError(f"ERR {error}") from error
    _log.info("user changed", user=_shown(name), client=request.addr, by=request.user)
    return OK


@command(
    "acl|deluser",
    arity=-3,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Deletes users and cuts their connections.",
    complexity="O(1) amortized time considering the typical user.",
    syntax="username [username ...]",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    secrets=_NAMES_OF_USERS,
)
def acl_deluser(request: Request) -> Reply:
    """How many users there were."""
    names = request.args[2:]
    if b"default" in names:
        raise CommandError("ERR The 'default' user cannot be removed")
    count = _access(request).delete(names)
    if count:
        _log.info("users deleted", users=" ".join(map(_shown, names)), client=request.addr, by=request.user)
    return count


@command(
    "acl|getuser",
    arity=3,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Returns the rules of a user.",
    complexity="O(N). Where N is the number of password, command and pattern rules that the user has.",
    syntax="username",
    history=(
        ("6.2.0", "Channels."),
        ("7.0.0", "Selectors, and keys and channels as rules."),
    ),
    secrets=_NAMES_OF_USERS,
)
def acl_getuser(request: Request) -> Reply:
    """A map, or null if there is no such user."""
    user = _access(request).find(request.args[2])
    if user is None:
        return None
    return {
        "flags": ReplySet(user.flags()),
        "passwords": list(user.passwords),
        **_rights(user.root),
        "selectors": [_rights(selector) for selector in user.selectors[1:]],
    }


def _rights(selector: Selector) -> Mapping[str, Reply]:
    rights: dict[str, Reply] = {
        "commands": selector.describe_commands(),
        "keys": selector.describe_keys(),
        "channels": selector.describe_channels(),
    }
    if not selector.all_databases:
        rights["databases"] = selector.describe_databases()
    return rights


@command(
    "acl|list",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Returns the rules of all users, as lines of an ACL file.",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_list(request: Request) -> Reply:
    """A line a user."""
    return [b"user %b %b" % (user.name, user.describe()) for user in _access(request).all()]


@command(
    "acl|users",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Returns the names of all users.",
    complexity="O(N). Where N is the number of configured users.",
)
def acl_users(request: Request) -> Reply:
    """Names, in order."""
    return [user.name for user in _access(request).all()]


@command(
    "acl|whoami",
    arity=2,
    flags=_READ,
    group="server",
    since="6.0.0",
    summary="Returns the name of the connection's user.",
    complexity="O(1)",
)
def acl_whoami(request: Request) -> Reply:
    """A name."""
    return request.user


@command(
    "acl|cat",
    reads="nothing",
    arity=-2,
    flags=_READ,
    group="server",
    since="6.0.0",
    summary="Returns the categories, or the commands of one.",
    complexity="O(1) since the categories and commands are a fixed set.",
    syntax="[category]",
)
def acl_cat(request: Request) -> Reply:
    """Names."""
    if len(request.args) > 3:
        raise _miscounted(request)
    if len(request.args) == 2:
        return list(CATEGORIES)
    names = _access(request).catalogue.names_in(request.args[2])
    if names is None:
        raise CommandError(f"ERR Unknown category '{_shown(request.args[2][:128])}'")
    return list(names)


@command(
    "acl|genpass",
    arity=-2,
    flags=_READ,
    group="server",
    since="6.0.0",
    summary="Returns a random password that is hard to guess.",
    complexity="O(1)",
    syntax="[bits:integer]",
)
def acl_genpass(request: Request) -> Reply:
    """Hexadecimal digits, as many as the bits need."""
    if len(request.args) > 3:
        raise _miscounted(request)
    bits = read_integer(request.args[2]) if len(request.args) == 3 else _PASSWORD_BITS_DEFAULT
    if not 0 < bits <= _PASSWORD_BITS_MAX:
        raise CommandError(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to "
            f"{_PASSWORD_BITS_MAX}"
        )
    digits = (bits + 3) // 4
    return os.urandom((digits + 1) // 2).hex()[:digits]


@command(
    "acl|log",
    arity=-2,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Returns what was denied of late.",
    complexity="O(N) with N being the number of entries shown.",
    syntax="[count:integer | RESET]",
    history=(("7.2.0", "Entry id, and when an entry was made and last changed."),),
)
def acl_log(request: Request) -> Reply:
    """A map an entry, newest first."""
    if len(request.args) > 3:
        raise _miscounted(request)
    access = _access(request)
    if len(request.args) == 3 and request.args[2].lower() == b"reset":
        access.reset_log()
        return OK
    count = read_integer(request.args[2]) if len(request.args) == 3 else _LOG_COUNT_DEFAULT
    return [_log_entry(row) for row in access.log(max(count, 0))]


def _log_entry(row: Any) -> Mapping[str, Reply]:
    return {
        "count": row["count"],
        "reason": row["reason"],
        "context": row["context"],
        "object": row["object"],
        "username": row["username"],
        "age-seconds": row["age_ms"] / 1000,
        "client-info": row["client"],
        "entry-id": row["id"],
        "timestamp-created": row["created_ms"],
        "timestamp-last-updated": row["updated_ms"],
    }


@command(
    "acl|dryrun",
    arity=-4,
    flags=_ADMIN,
    group="server",
    since="7.0.0",
    summary="Says whether a user may execute a command, without executing it.",
    complexity="O(1).",
    syntax="username command [arg [arg ...]]",
)
def acl_dryrun(request: Request) -> Reply:
    """OK, or a text that says what is missing."""
    access, name, words = _access(request), request.args[2], request.args[3:]
    if access.find(name) is None:
        raise CommandError(f"ERR User '{_shown(name)}' not found")
    table = request.services.get(CommandTable)
    row = table.resolve(words)
    if row is None:
        raise CommandError(f"ERR Command '{_shown(words[0])}' not found")
    arity = int(row["arity"])
    if len(words) != arity if arity >= 0 else len(words) < -arity:
        raise CommandError(f"ERR wrong number of arguments for '{row['name']}' command")
    own = str(row["name"]).partition("|")[0].encode()
    denied = access.check(name, [own, *words[1:]], request.db)
    if denied is None:
        return OK
    reason, place = denied
    if reason == "command":
        return f"User {_shown(name)} has no permissions to run the '{row['name']}' command"
    if reason == "database":
        return f"User {_shown(name)} has no permissions to access database {_shown(words[place])}"
    return f"User {_shown(name)} has no permissions to access the '{_shown(words[place])}' {reason}"


@command(
    "acl|save",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Writes all users to the ACL file.",
    complexity="O(N). Where N is the number of configured users.",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def acl_save(request: Request) -> Reply:
    """OK once the new file is on disk."""
    access = _access(request)
    if access.file is None:
        raise CommandError(_NO_FILE)
    try:
        access.save()
    except OSError as error:
        _log.error("users cannot be saved", aclfile=str(access.file), reason=str(error))
        raise CommandError(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
        ) from error
    return OK


@command(
    "acl|load",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="6.0.0",
    summary="Reads all users from the ACL file.",
    complexity="O(N). Where N is the number of configured users.",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def acl_load(request: Request) -> Reply:
    """OK; where anything is wrong with the file, all users stay what they were."""
    access = _access(request)
    if access.file is None:
        raise CommandError(_NO_FILE)
    try:
        access.reload()
    except UserListError as error:
        _log.warning("users cannot be loaded", aclfile=str(access.file), reason=str(error))
        raise CommandError(f"ERR {error}") from error
    _log.info("users loaded", aclfile=str(access.file), client=request.addr, by=request.user)
    return OK


@command(
    "acl|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="6.0.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def acl_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("acl", _HELP)


_HELP = (
    (
        "CAT [<category>]",
        "List all commands that belong to <category>, or all command categories\nwhen no category is specified.",
    ),
    ("DELUSER <username> [<username> ...]", "Delete a list of users."),
    (
        "DRYRUN <username> <command> [<arg> ...]",
        "Returns whether the user can execute the given command without executing the command.",
    ),
    ("GETUSER <username>", "Get the user's details."),
    (
        "GENPASS [<bits>]",
        "Generate a secure 256-bit user password. The optional `bits` argument can\n"
        "be used to specify a different size.",
    ),
    ("LIST", "Show users details in config file format."),
    ("LOAD", "Reload users from the ACL file."),
    ("LOG [<count> | RESET]", "Show the ACL log entries."),
    ("SAVE", "Save the current config to the ACL file."),
    ("SETUSER <username> <attribute> [<attribute> ...]", "Create or modify a user with the specified attributes."),
    ("USERS", "List all the registered usernames."),
    ("WHOAMI", "Return the current connection username."),
)
