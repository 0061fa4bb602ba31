"""The table of all commands, of both planes, can be documented and agrees with itself."""

from __future__ import annotations

from typing import Any

import pytest

from sherd import native
from sherd.config import PARAMETERS, Config
from sherd.families.command_docs import DEPRECATED, docs_reply
from sherd.families.command_table import CommandTable, info_reply
from sherd.resp import encode
from sherd.server.commands import declare_commands
from sherd.server.settings import native_settings
from sherd.spec import ACL_CATEGORY_ORDER, FLAG_ORDER, registered_commands
from sherd.syntax import parse_syntax

declare_commands()
ROWS: list[Any] = native.command_table()
TABLE = CommandTable(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_every_command_can_be_documented(row: Any) -> None:
    assert row["summary"].endswith(".")
    assert len(parse_syntax(row["syntax"])) >= (1 if row["syntax"] else 0)
    for resp in (2, 3):
        assert encode(docs_reply(TABLE, row), resp)
        assert encode(info_reply(TABLE, row), resp)


def test_a_row_is_encoded_once_a_protocol_and_form() -> None:
    table = CommandTable(ROWS)
    row = table.find(b"GET")
    for resp in (2, 3):
        for form in (info_reply, docs_reply):
            kept = table.encoded(row, resp, form)
            assert kept == encode(form(table, row), resp)
            assert table.encoded(row, resp, form) is kept
            assert encode([kept, b"x"], resp) == b"*2\r\n" + kept + b"$1\r\nx\r\n"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_every_command_has_known_flags_and_categories(row: Any) -> None:
    assert set(row["flags"]) <= set(FLAG_ORDER)
    assert set(row["categories"]) <= set(ACL_CATEGORY_ORDER)
    assert ("fast" in row["categories"]) is ("fast" in row["flags"])
    assert ("slow" in row["categories"]) is ("fast" not in row["flags"])


def test_control_commands_mean_the_same_in_both_planes() -> None:
    # Tests declare some of their own, after the data plane has got its table or before.
    declared = {name: entry for name, entry in registered_commands().items() if not name.startswith("testonly-")}
    for name, entry in declared.items():
        row = TABLE.find(name.encode())
        assert row is not None, name
        assert tuple(row["categories"]) == entry.spec.acl_categories, name
        assert (row["first_key"], row["last_key"], row["key_step"]) == entry.spec.legacy_keys, name


def test_successors_are_only_named_for_commands_that_could_exist() -> None:
    assert all(since and successor for since, successor in DEPRECATED.values())


def test_every_number_that_is_pushed_down_is_a_setting_of_the_data_plane() -> None:
    config = Config()
    config.choose_threads(1)
    engine = native.Server(shards=1, io_threads=1, cluster=False, settings={})
    known = engine.settings().keys()
    unknown = {name for name in native_settings(config) if name not in known}
    given_at_start = {"port", "tcp-backlog", "unixsocketperm", "io-threads", "shards"}
    native_names = {parameter.name for parameter in PARAMETERS if parameter.native}
    assert given_at_start <= native_names
    assert unknown == given_at_start
