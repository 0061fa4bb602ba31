"""A command as COMMAND DOCS gives it: summary, history, successors, and the argument tree of its syntax."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sherd.families.command_table import CommandTable, Row
from sherd.resp import Reply, ReplySet, Simple

if TYPE_CHECKING:
    from sherd.syntax import Argument


def docs_reply(table: CommandTable, row: Row) -> Reply:
    """The map of one command; fields that say nothing are left out."""
    deprecated_since, replaced_by = row["deprecated"] or ("", "")
    docs: dict[str, Reply] = {
        "summary": row["summary"],
        "since": row["since"],
        "group": row["group"],
        "complexity": row["complexity"],
        "history": ReplySet(map(list, row["history"])),
        "doc_flags": ReplySet(map(Simple, row["doc_flags"])),
        "deprecated_since": deprecated_since,
        "replaced_by": replaced_by,
        "arguments": [_argument_reply(argument) for argument in _arguments(row["syntax"], len(row["keys"]))],
        "subcommands": {str(child["name"]): docs_reply(table, child) for child in table.subcommands(row)},
    }
    return {field: value for field, value in docs.items() if value}


@lru_cache(maxsize=1024)
def _arguments(syntax: str, key_spec_count: int) -> tuple[Argument, ...]:
    from sherd.syntax import parse_syntax  # most servers never document a command

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
