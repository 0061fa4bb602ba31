"""A command as COMMAND DOCS gives it: summary, history, successors, and the argument tree of its syntax."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sherd.families.command_table import CommandTable, Row, control_spec
from sherd.resp import Reply, ReplySet, Simple
from sherd.syntax import Argument, parse_syntax

# Commands that have a successor: since which version, and what to use instead.
DEPRECATED: Mapping[str, tuple[str, str]] = {
    "brpoplpush": ("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    "cluster|slaves": ("5.0.0", "`CLUSTER REPLICAS`"),
    "cluster|slots": ("7.0.0", "`CLUSTER SHARDS`"),
    "georadius": ("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    "georadius_ro": ("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    "georadiusbymember": ("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    "georadiusbymember_ro": ("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    "getset": ("6.2.0", "`SET` with the `!GET` argument"),
    "hmset": ("4.0.0", "`HSET` with multiple field-value pairs"),
    "psetex": ("2.6.12", "`SET` with the `PX` argument"),
    "quit": ("7.2.0", "just closing the connection"),
    "rpoplpush": ("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    "setex": ("2.6.12", "`SET` with the `EX` argument"),
    "setnx": ("2.6.12", "`SET` with the `NX` argument"),
    "slaveof": ("5.0.0", "`REPLICAOF`"),
    "substr": ("2.0.0", "`GETRANGE`"),
    "zrangebylex": ("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    "zrangebyscore": ("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    "zrevrange": ("6.2.0", "`ZRANGE` with the `REV` argument"),
    "zrevrangebylex": ("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    "zrevrangebyscore": ("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
}
# Commands that are meant for servers and their developers, not for applications.
_SYSTEM = frozenset({"debug", "pfdebug", "pfselftest", "replconf", "restore-asking"})


def docs_reply(table: CommandTable, row: Row) -> Reply:
    """The map of one command; fields that say nothing are left out."""
    name = str(row["name"])
    spec = control_spec(row)
    since, successor = DEPRECATED.get(name, ("", ""))
    doc_flags = ["deprecated"] if since else ["syscmd"] if name in _SYSTEM else []
    docs: dict[str, Reply] = {
        "summary": row["summary"],
        "since": row["since"],
        "group": row["group"],
        "complexity": row["complexity"],
        "history": ReplySet(list(change) for change in spec.history) if spec is not None else (),
        "doc_flags": ReplySet(map(Simple, doc_flags)),
        "deprecated_since": since,
        "replaced_by": successor,
        "arguments": [_argument_reply(argument) for argument in _arguments(row["syntax"], len(row["keys"]))],
        "subcommands": {str(child["name"]): docs_reply(table, child) for child in table.subcommands(row)},
    }
    return {field: value for field, value in docs.items() if value}


@lru_cache(maxsize=1024)
def _arguments(syntax: str, key_spec_count: int) -> tuple[Argument, ...]:
    return parse_syntax(syntax, key_spec_count)


def _argument_reply(argument: Argument) -> Reply:
    fields: dict[str, Any] = {"name": argument.name, "type": argument.type}
    if argument.type not in ("block", "oneof"):
        fields["display_text"] = argument.display
    if argument.key_spec_index is not None:
        fields["key_spec_index"] = argument.key_spec_index
    if argument.token is not None:
        fields["token"] = argument.token
    if argument.flags:
        fields["flags"] = ReplySet(map(Simple, argument.flags))
    if argument.arguments:
        fields["arguments"] = [_argument_reply(child) for child in argument.arguments]
    return fields
