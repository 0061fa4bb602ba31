"""A setting of the data plane is declared there; the table of directives, which describes it, says the same."""

from __future__ import annotations

from typing import Any

import pytest

from sherd import native
from sherd.config import BY_NAME, Config
from sherd.config.kinds import Boolean, Enumeration, Integer, Memory
from sherd.config.special_kinds import EventFlags
from sherd.config.table.network import IO_THREADS_MAX, SHARDS_MAX
from sherd.errors import ConfigError
from sherd.server.settings import native_settings

ROWS: list[Any] = native.setting_table()
# Parts of one directive, which is no single number.
PARTS = {
    f"output-limit-{name}-{part}" for name in ("normal", "replica", "pubsub") for part in ("hard", "soft", "seconds")
}
SINGLE = [row for row in ROWS if row["name"] not in PARTS]
# The largest number that the data plane takes.
INT64_MAX = 2**63 - 1


def _bounds(kind: object) -> tuple[int, int]:
    if isinstance(kind, Boolean):
        return 0, 1
    if isinstance(kind, Integer):
        return kind.clamp or (kind.minimum, kind.maximum)
    assert isinstance(kind, Memory), kind
    return -100 if kind.percent else kind.minimum, min(kind.maximum, INT64_MAX)


@pytest.mark.parametrize("row", SINGLE, ids=lambda row: str(row["name"]))
def test_every_setting_is_a_directive_with_the_same_bounds(row: Any) -> None:
    """Under the same name; a word or letter that can be configured has a number, and the other way round."""
    parameter = BY_NAME[row["name"]]
    assert not parameter.inert
    kind = parameter.kind
    if isinstance(kind, Enumeration):
        assert set(row["numbers"]) == set(kind.names)
    elif isinstance(kind, EventFlags):
        # Every letter by itself, and A for those that it stands for.
        for letter in row["numbers"]:
            assert set(str(kind.parse([letter], ""))) <= set(row["numbers"])
        all_bits = sum(row["numbers"][letter] for letter in EventFlags.all_classes)
        assert row["numbers"]["A"] == all_bits
    else:
        assert (row["least"], row["greatest"]) == _bounds(kind)


def test_every_default_is_the_same_on_both_sides() -> None:
    """What a server without any configuration does is what CONFIG GET says."""
    assert native_settings(Config()) == {row["name"]: row["default"] for row in ROWS}


def test_a_server_takes_every_setting_that_is_pushed_down() -> None:
    """Nothing is refused in silence."""
    engine = native.Server(shards=1, io_threads=1, cluster=False, settings={})
    settings = native_settings(Config())
    assert [name for name, value in settings.items() if not engine.set_settings({name: value})] == []
    assert engine.set_settings(settings)
    assert engine.settings().keys() == {row["name"] for row in ROWS}


def test_what_can_be_configured_is_what_the_data_plane_has_room_for() -> None:
    """More would be taken, told by CONFIG GET, and not be there."""
    engine = native.Server(shards=SHARDS_MAX + 1, io_threads=IO_THREADS_MAX + 1, cluster=False, settings={})
    snapshot = engine.snapshot()
    assert len(snapshot["shards_detail"]) == BY_NAME["shards"].kind.parse([str(SHARDS_MAX)], 0) == SHARDS_MAX
    assert len(snapshot["io_detail"]) == BY_NAME["io-threads"].kind.parse(["128"], 0)
    with pytest.raises(ConfigError):
        BY_NAME["shards"].kind.parse([str(SHARDS_MAX + 1)], 0)
