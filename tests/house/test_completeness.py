"""The tables themselves are tested: every command has a test, every parameter a description, every test a sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool

tests_root = Path(__file__).parents[1]


def _words_in_tests() -> set[str]:
    """Every upper-case word of the tests' sources: command names are written so."""
    words: set[str] = set()
    for file in tests_root.glob("**/*.py"):
        if file.parent != Path(__file__).parent:
            words |= set(re.findall(r"[A-Z][A-Z_-]+", file.read_text()))
    return words


@pytest.mark.sherd_only
def test_every_command_of_the_table_appears_in_a_test(pool: ServerPool) -> None:
    """Adding a command touches its family and that family's test."""
    with pool.get(shape=Shape()).wire() as wire:
        names = {name.decode() for name in wire.value("COMMAND", "LIST")}
    words = _words_in_tests()
    untested = {name for name in names if not set(name.upper().split("|")) <= words}
    assert not untested, sorted(untested)


@pytest.mark.sherd_only
def test_every_command_has_a_summary_and_a_version(pool: ServerPool) -> None:
    """COMMAND DOCS of the whole table, subcommands included."""
    with pool.get(shape=Shape()).wire(protocol=3) as wire:
        docs = wire.value("COMMAND", "DOCS")
    undocumented: list[str] = []
    for name, entry in docs.items():
        entries = {name: entry, **entry.get(b"subcommands", {})}
        undocumented += [
            key.decode() for key, value in entries.items() if not value.get(b"summary") or not value.get(b"since")
        ]
    assert not undocumented, sorted(undocumented)


def _test_functions() -> list[tuple[Path, ast.FunctionDef]]:
    return [
        (file, node)
        for file in sorted(tests_root.glob("**/test_*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_every_test_is_named_as_a_sentence() -> None:
    """At least three words after `test_`."""
    short = [f"{file.name}: {node.name}" for file, node in _test_functions() if node.name.count("_") < 3]
    assert not short, short


def test_no_test_is_named_twice_in_its_file() -> None:
    """The second would silently replace the first."""
    seen: set[tuple[Path, str, int]] = set()
    repeated: list[str] = []
    for file in sorted(tests_root.glob("**/test_*.py")):
        for scope in ast.walk(ast.parse(file.read_text())):
            if not isinstance(scope, ast.Module | ast.ClassDef):
                continue
            for node in scope.body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    key = (file, node.name, id(scope))
                    if key in seen:
                        repeated.append(f"{file.name}: {node.name}")
                    seen.add(key)
    assert not repeated, repeated
