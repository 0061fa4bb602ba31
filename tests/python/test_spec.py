"""Command specs: what the decorator makes of words, and the form in which they go down."""

from __future__ import annotations

import pytest

from sherd.config import Config
from sherd.spec import KeySpec, Services, command, container, declared_specs


def range_spec(first: int, last: int, step: int = 1) -> KeySpec:
    return KeySpec(("index", first), ("range", last, step, 0))


def test_declared_commands_go_down_in_the_data_planes_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sherd.spec._registry", {})
    container("box", group="server", since="1.0.0", summary="Groups.")

    @command(
        "box|look",
        arity=3,
        group="server",
        since="1.0.0",
        summary="Looks.",
        flags="fast",
        history=(("2.0.0", "More."),),
        key_specs=(range_spec(2, 0),),
    )
    def look(request: object) -> None:
        return None

    first, second = declared_specs()
    assert (first["name"], first["container"], first["arity"]) == ("box", True, -2)
    assert (second["name"], second["container"]) == ("box|look", False)
    assert (second["flags"], second["history"], second["deprecated"]) == (["fast"], [("2.0.0", "More.")], None)
    assert second["keys"] == [("", ("index", 2), ("range", 0, 1, 0))]


def test_a_command_cannot_be_declared_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sherd.spec._registry", {})
    container("box", group="server", since="1.0.0", summary="Groups.")
    with pytest.raises(AssertionError, match="declared twice"):
        container("box", group="server", since="1.0.0", summary="Groups.")


def test_services_are_found_by_their_type() -> None:
    config = Config()
    assert Services(config).get(Config) is config
    with pytest.raises(AssertionError, match="no Config is provided"):
        Services().get(Config)
