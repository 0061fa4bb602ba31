"""Command specs imply what Redis implies: ACL categories, flag order, the legacy key range."""

from __future__ import annotations

import pytest

from sherd.config import Config
from sherd.spec import KeySpec, Services, command, container, declared_specs, legacy_key_range, make_spec


def test_flags_and_categories_come_in_redis_order() -> None:
    spec = make_spec("x", arity=1, summary="", group="server", since="", flags="stale admin loading", acl="connection")
    assert spec.flags == ("admin", "loading", "stale")
    assert spec.acl_categories == ("admin", "slow", "dangerous", "connection")


@pytest.mark.parametrize(
    ("flags", "acl", "categories"),
    [
        ("write denyoom", "string", ("write", "string", "slow")),
        ("readonly fast", "hash", ("read", "hash", "fast")),
        ("readonly noscript", "scripting", ("slow", "scripting")),
        ("pubsub fast", "", ("pubsub", "fast")),
        ("blocking", "connection", ("slow", "blocking", "connection")),
    ],
)
def test_flags_imply_acl_categories(flags: str, acl: str, categories: tuple[str, ...]) -> None:
    spec = make_spec("x", arity=1, summary="", group="", since="", flags=flags, acl=acl)
    assert spec.acl_categories == categories


def test_a_flag_that_does_not_exist_is_a_mistake_at_import() -> None:
    with pytest.raises(AssertionError, match="unknown flags"):
        make_spec("x", arity=1, summary="", group="", since="", flags="admn")


def range_spec(first: int, last: int, step: int = 1) -> KeySpec:
    return KeySpec(("index", first), ("range", last, step, 0))


@pytest.mark.parametrize(
    ("key_specs", "legacy"),
    [
        ((), (0, 0, 0)),
        ((range_spec(1, 0),), (1, 1, 1)),
        ((range_spec(1, -1, 2),), (1, -1, 2)),
        ((range_spec(1, 0), range_spec(2, 0)), (1, 2, 1)),
        ((range_spec(1, 0), KeySpec(("index", 2), ("keynum", 0, 1, 1))), (1, 1, 1)),
        ((KeySpec(("keyword", "STREAMS", 1), ("range", -1, 1, 2)),), (0, 0, 0)),
    ],
)
def test_key_specs_give_the_legacy_range(key_specs: tuple[KeySpec, ...], legacy: tuple[int, int, int]) -> None:
    assert legacy_key_range(key_specs) == legacy


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
        key_specs=(range_spec(2, 0),),
    )
    def look(request: object) -> None:
        return None

    first, second = declared_specs()
    assert (first["name"], first["container"], first["arity"]) == ("box", True, -2)
    assert (second["name"], second["container"]) == ("box|look", False)
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
