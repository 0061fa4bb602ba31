"""Every command in scope is served, and COMMAND describes it as Redis 8.0 does, or Valkey 9.1 where only it has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.command_table import CommandRow, commands_in_scope, read_table
from tests.compat.script import split_arguments
from tests.support.servers import Shape
from tests.support.wire import Wire

if TYPE_CHECKING:
    from tests.support.servers import ServerPool

_rows = commands_in_scope()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _flatten(entries: list[Any], found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for entry in entries:
        found[_text(entry[0])] = entry
        if len(entry) > 9:
            _flatten(entry[9], found)
    return found


@pytest.fixture(scope="module")
def described(pool: ServerPool) -> dict[str, list[Any]]:
    """The whole COMMAND reply, subcommands included, by name."""
    with pool.get(shape=Shape()).wire() as wire:
        return _flatten(wire.value("COMMAND"), {})


@pytest.mark.parametrize("row", _rows, ids=lambda row: row.name)
def test_a_command_in_scope_is_described_as_the_reference_describes_it(
    row: CommandRow, described: dict[str, list[Any]]
) -> None:
    """Arity, flags, first and last key, step and ACL categories are equal."""
    assert row.name in described, f"COMMAND does not list {row.name}"
    entry = described[row.name]
    assert entry[1] == row.arity
    assert frozenset(map(_text, entry[2])) == row.flags
    assert (entry[3], entry[4], entry[5]) == (row.first_key, row.last_key, row.step)
    assert frozenset(map(_text, entry[6])) == row.acl_categories


def test_every_subcommand_is_listed_under_its_container(described: dict[str, list[Any]]) -> None:
    """`config|get` is found in the entry of `config`."""
    for row in _rows:
        if row.container is not None:
            names = [_text(entry[0]) for entry in described[row.container][9]]
            assert row.name in names


@pytest.mark.sherd_only
def test_nothing_is_described_that_no_reference_knows(described: dict[str, list[Any]], pool: ServerPool) -> None:
    """What came after the references says so with its version; a command of Sherd's own is named with its prefix."""
    unknown = {name for name in described if name not in read_table() and not name.startswith("sherd")}
    with pool.get(shape=Shape(), flush=False).wire(protocol=3) as wire:
        versions = {name: _text(wire.value("COMMAND", "DOCS", name)[name.encode()][b"since"]) for name in unknown}
    for name, since in versions.items():
        major, minor, _ = map(int, since.split("."))
        assert major == _redis_major and minor > 0, f"{name} is said to be there since {since}"


# SADDEX is in the development branch of Redis 8.12 and in a proposal for Valkey, which differ in the reply; here it is the
# former. All others that are newer than the references are Redis' too.
_redis_major = 8


@pytest.mark.parametrize("row", _rows, ids=lambda row: row.name)
def test_a_wrong_number_of_arguments_is_refused(row: CommandRow, pool: ServerPool) -> None:
    """One argument too few, and one too many where the number is fixed, give the arity error with the full name."""
    if row.name in _arity_checked_by_hand:
        pytest.skip("takes any number, or is checked in its family's table")
    server = pool.get(shape=Shape(), flush=False)
    words = row.name.split("|")
    counts = {abs(row.arity) - 1} | ({row.arity + 1} if row.arity > 0 else set())
    with server.wire() as wire:
        for count in sorted(counts):
            if count < len(words):
                continue
            reply = wire.call(*words, *["x"] * (count - len(words)))
            assert reply.raw == f"-ERR wrong number of arguments for '{row.name}' command\r\n".encode()


# QUIT takes anything, and EXEC with arguments has an error of its own, which its table has.
_arity_checked_by_hand = frozenset({"quit", "exec"})


def test_command_info_answers_one_entry_a_name(wire: Wire) -> None:
    """In order, with a null for what does not exist."""
    reply = wire.value("COMMAND", "INFO", "get", "nosuch", "SET")
    assert [_text(entry[0]) if entry else None for entry in reply] == ["get", None, "set"]


def test_command_count_is_the_length_of_command(wire: Wire) -> None:
    """Subcommands are not counted."""
    assert wire.value("COMMAND", "COUNT") == len(wire.value("COMMAND"))


def test_command_list_names_every_command(wire: Wire, described: dict[str, list[Any]]) -> None:
    """COMMAND LIST has the same names, subcommands included."""
    assert sorted(map(_text, wire.value("COMMAND", "LIST"))) == sorted(described)


def test_command_list_filters_by_category_and_pattern(wire: Wire) -> None:
    """ACLCAT gives the members of a category, PATTERN a glob over the names."""
    strings = {_text(name) for name in wire.value("COMMAND", "LIST", "FILTERBY", "ACLCAT", "string")}
    assert {"get", "set", "incr"} <= strings
    assert "lpush" not in strings
    matched = {_text(name) for name in wire.value("COMMAND", "LIST", "FILTERBY", "PATTERN", "z*store")}
    assert {"zunionstore", "zinterstore", "zdiffstore", "zrangestore"} <= matched
    assert all(name.startswith("z") for name in matched)


@pytest.mark.parametrize("row", [row for row in _rows if row.container is None], ids=lambda row: row.name)
def test_command_docs_has_a_summary_and_a_group(row: CommandRow, pool: ServerPool) -> None:
    """Interactive clients show these."""
    with pool.get(shape=Shape(), flush=False).wire(protocol=3) as wire:
        docs = wire.value("COMMAND", "DOCS", row.name)
    fields = {_text(key): value for key, value in docs[row.name.encode()].items()}
    assert fields["summary"]
    assert _text(fields["group"]) == row.group
    assert "since" in fields


def test_an_unknown_command_is_quoted_with_the_beginning_of_its_arguments(wire: Wire) -> None:
    """The text that clients parse to learn that a command is missing."""
    reply = wire.call(*split_arguments(b"NOSUCH a b"))
    assert reply.raw == b"-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n"
