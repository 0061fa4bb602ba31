"""A counter is declared once, in Rust; INFO and the metrics page show all that is declared to be shown, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sherd import native
from sherd.server.commands import declare_commands
from tests.python.fake_engine import SNAPSHOT

root = Path(__file__).parents[2]
PARTS = ("clients", "net", "totals", "defragmentation", "shards_detail", "io_detail", "slowlog")
_SOURCES = "\n".join(
    file.read_text()
    for folder in ("observability", "families", "server")
    for file in sorted((root / "src" / "sherd" / folder).glob("*.py"))
)


@pytest.fixture(scope="module")
def snapshot() -> dict[str, Any]:
    """The numbers of a server that has not been started."""
    declare_commands()
    return native.Server(shards=2, io_threads=2, cluster=False, settings={}).snapshot()


def _numbers(part: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = part[0] if isinstance(part, list) else part
    return numbers


@pytest.mark.parametrize("part", PARTS)
def test_the_engine_that_tests_use_counts_what_the_real_one_counts(part: str, snapshot: dict[str, Any]) -> None:
    assert _numbers(SNAPSHOT[part]).keys() == _numbers(snapshot[part]).keys()


@pytest.mark.parametrize("part", PARTS)
def test_every_counter_that_is_shown_is_read(part: str, snapshot: dict[str, Any]) -> None:
    """By attribute, by name, or as a column of the numbered metrics."""
    unread = [
        name for name in _numbers(snapshot[part]) if not re.search(rf"\.{name}\b|\"{name}\"|\b{name}: ", _SOURCES)
    ]
    assert unread == []


def test_every_counter_of_the_data_plane_is_declared() -> None:
    """A counter outside of a catalogue is neither reset nor shown unless somebody thinks of it."""
    bare = {
        f"{file.relative_to(root)}: {field}"
        for crate in ("shards", "ioth")
        for file in (root / crate / "src").glob("**/*.rs")
        for field in re.findall(r"^\s*pub (\w+): Counter,", file.read_text(), re.MULTILINE)
    }
    # What the sizes of one database are is told by database, and never reset.
    assert bare == {
        f"shards/src/keyspace/stats.rs: {field}" for field in ("keys", "volatile_keys", "timed_keys", "average_ttl_ms")
    }
