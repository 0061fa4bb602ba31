"""The README says what is missing: all of it, and nothing that is there."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from sherd import native
from sherd.config import BY_NAME
from sherd.server.commands import declare_commands

root = Path(__file__).parents[2]
declare_commands()
present = {str(row["name"]).upper().replace("|", " ") for row in native.command_table()}


def _named_as_missing() -> list[str]:
    """Commands in backquotes, with `*` for any letters."""
    section = (root / "README.md").read_text().partition("## What is not there yet")[2].partition("\n## ")[0]
    commands = section.partition("A directive that would switch")[0]
    return re.findall(r"`([A-Z][A-Z. *-]*|\*[A-Z]+)`", " ".join(commands.split()))


def _known() -> set[str]:
    """Commands of Redis 7.0, Redis 8.0 and Valkey 9.1."""
    lines = (root / "tests" / "compat" / "data" / "commands.tsv").read_text().splitlines()
    names = (line.split("\t")[0].strip() for line in lines if line.strip() and not line.startswith("#"))
    return {name.upper().replace("|", " ") for name in names if name and name.upper() != "NAME"}


def test_every_known_command_that_is_missing_is_named_in_the_readme() -> None:
    named = _named_as_missing()
    unnamed = {
        name
        for name in _known() - present
        if not any(fnmatchcase(name, each) or fnmatchcase(name, each.removesuffix(" *")) for each in named)
    }
    assert sorted(unnamed) == []


def test_no_command_that_is_there_is_named_as_missing() -> None:
    wrong = {(each, name) for each in _named_as_missing() for name in present if fnmatchcase(name, each)}
    assert sorted(wrong) == []


def test_directives_that_documents_name_are_there() -> None:
    """With two dashes, as on a command line of the server's."""
    documents = [root / "README.md", *sorted((root / "docs").glob("*.md")), root / "Dockerfile"]
    no_directives = {"--directive", "--help"}
    lines = [line for file in documents for line in file.read_text().splitlines()]
    named = {
        option
        for line in lines
        if "sherd serve" in line or line.startswith("| `--")
        for option in re.findall(r"--[a-z-]+", line)
    }
    assert sorted(option for option in named - no_directives if option[2:] not in BY_NAME) == []
    # What Redis does not know is in the README's table.
    table = {option[2:] for line in lines if line.startswith("| `--") for option in re.findall(r"`(--[a-z-]+)`", line)}
    own = {name for name in BY_NAME if name.startswith(("metrics-", "python-commands")) or name == "shards"}
    assert sorted(own - table) == []


def test_contributors_are_told_of_every_folder_of_tests() -> None:
    folders = {file.parent.relative_to(root).as_posix() for file in (root / "tests").glob("*/test_*.py")}
    named = (root / "CONTRIBUTING.md").read_text().partition("## Where tests are")[2].partition("\n## ")[0]
    assert sorted(folder for folder in folders if f"`{folder}`" not in named) == []
