"""The table of all commands, of both planes, can be documented and agrees with itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sherd import native
from sherd.families.command_docs import docs_reply
from sherd.families.command_table import CommandTable, info_reply
from sherd.resp import encode
from sherd.server.commands import declare_commands
from sherd.spec import declared_specs
from sherd.syntax import parse_syntax

declare_commands()
ROWS: list[Any] = native.command_table()
TABLE = CommandTable(lambda: ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_every_command_can_be_documented(row: Any) -> None:
    assert row["summary"].endswith(".")
    assert len(parse_syntax(row["syntax"])) >= (1 if row["syntax"] else 0)
    for resp in (2, 3):
        assert encode(docs_reply(TABLE, row), resp)
        assert encode(info_reply(TABLE, row), resp)


def test_a_row_is_encoded_once_a_protocol_and_form() -> None:
    table = CommandTable(lambda: ROWS)
    row = table.find(b"GET")
    for resp in (2, 3):
        for form in (info_reply, docs_reply):
            kept = table.encoded(row, resp, form)
            assert kept == encode(form(table, row), resp)
            assert table.encoded(row, resp, form) is kept
            assert encode([kept, b"x"], resp) == b"*2\r\n" + kept + b"$1\r\nx\r\n"


def test_all_that_is_told_of_a_command_goes_down_and_comes_back_up() -> None:
    # Tests declare some of their own, after the data plane has got its table or before.
    declared = [spec for spec in declared_specs() if not spec["name"].startswith("testonly-")]
    derived = {"flags", "categories", "container"}
    for spec in declared:
        row = TABLE.find(spec["name"].encode())
        assert row is not None, spec["name"]
        assert {name: row[name] for name in spec if name not in derived} == {
            name: value for name, value in spec.items() if name not in derived
        }
        assert set(row["flags"]) == set(spec["flags"]), spec["name"]
        assert set(row["categories"]) >= set(spec["categories"]), spec["name"]


@pytest.mark.parametrize("field", ["flags", "categories"])
def test_a_flag_or_category_that_does_not_exist_is_a_mistake_at_the_start(field: str) -> None:
    spec: Any = {**declared_specs()[0], field: ["admn"]}
    with pytest.raises(ValueError, match=r"there is no (flag|category) admn"):
        native.register_commands([spec])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_history_and_successors_name_versions_and_say_something(row: Any) -> None:
    versions = [tuple(map(int, since.split("."))) for since, _ in row["history"]]
    assert versions == sorted(versions)
    assert all(what.endswith(".") for _, what in row["history"])
    if row["deprecated"] is not None:
        since, successor = row["deprecated"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", since)
        assert successor
