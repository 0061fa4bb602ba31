"""What the specifications say of commands besides how they are called is what Redis 8.0 and Valkey 9.1 say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.references import need_reference
from tests.support.servers import Shape

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only
references = ("redis8", "valkey9")


def _server(pool: ServerPool, reference: str | None) -> Server:
    if reference is None:
        return pool.get(shape=Shape(), flush=False)
    return pool.get(need_reference(reference), flush=False)


def _plain(value: Any) -> Any:
    """Texts instead of bytes, all the way down."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def _documents(wire: Wire) -> dict[str, dict[str, Any]]:
    """COMMAND DOCS, subcommands beside their containers."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [_plain(wire.value("COMMAND", "DOCS"))]
    while waiting:
        for name, entry in waiting.pop().items():
            found[name] = entry
            waiting.append(entry.get("subcommands", {}))
    return found


def _names_by_category(wire: Wire, *question: str) -> dict[str, set[str]]:
    categories = _plain(wire.value(*question))
    return {category: set(_plain(wire.value(*question, category))) for category in categories}


# Changes that came after the references, by their versions in Redis.
newer_changes = {
    "bitop": ["8.2.0"],
    "set": ["8.4.0"],
    "xadd": ["8.2.0", "8.6.0"],
    "xreadgroup": ["8.4.0"],
    "xtrim": ["8.2.0"],
}
# What Valkey's history says and Sherd has taken over.
valkeys_changes = {
    "bitcount": ["8.0.0"],
    "client|kill": ["8.1.0", "9.0.0"],
    "client|list": ["8.1.0", "9.0.0"],
    "geosearch": ["9.0.0"],
    "geosearchstore": ["9.0.0"],
    "set": ["8.1.0"],
}


def _changes(entry: dict[str, Any]) -> list[str]:
    return [since for since, _ in entry.get("history", ())]


def test_the_history_of_a_command_names_the_versions_that_redis_names(pool: ServerPool) -> None:
    """In the order of versions; how a change is described is up to each server."""
    with _server(pool, None).wire(protocol=3) as ours, _server(pool, "redis8").wire(protocol=3) as reference:
        own, theirs = _documents(ours), _documents(reference)
    both = own.keys() & theirs.keys()
    expected = {
        name: sorted(_changes(theirs[name]) + newer_changes.get(name, []) + valkeys_changes.get(name, []))
        for name in both
    }
    assert len(both) > 250
    assert {name: _changes(own[name]) for name in both} == expected


def test_what_valkey_alone_has_changed_is_known_to_valkey(pool: ServerPool) -> None:
    with _server(pool, "valkey9").wire(protocol=3) as reference:
        theirs = _documents(reference)
    for name, versions in valkeys_changes.items():
        assert set(versions) <= set(_changes(theirs[name])), name


def test_successors_and_kinds_of_commands_are_those_of_redis(pool: ServerPool) -> None:
    """Deprecated since which version, what replaces it, and whether it is a system command."""
    fields = ("doc_flags", "deprecated_since", "replaced_by")
    with _server(pool, None).wire(protocol=3) as ours, _server(pool, "redis8").wire(protocol=3) as reference:
        own, theirs = _documents(ours), _documents(reference)
    both = own.keys() & theirs.keys()
    told = {name: [own[name].get(field) for field in fields] for name in both}
    assert told == {name: [theirs[name].get(field) for field in fields] for name in both}
    assert sum("deprecated_since" in own[name] for name in both) >= 20


@pytest.mark.parametrize("reference", references)
def test_every_category_has_the_commands_that_acl_cat_lists(reference: str, pool: ServerPool) -> None:
    """Of the commands that both have; there is no difference to give a reason for."""
    with _server(pool, reference).wire() as wire:
        theirs = _names_by_category(wire, "ACL", "CAT")
        known = set(_plain(wire.value("COMMAND", "LIST")))
    with _server(pool, None).wire() as wire:
        both = known & set(_plain(wire.value("COMMAND", "LIST")))
        own = {
            category: set(_plain(wire.value("COMMAND", "LIST", "FILTERBY", "ACLCAT", category))) for category in theirs
        }
    assert len(both) > 250
    assert {category: names & both for category, names in own.items()} == {
        category: names & both for category, names in theirs.items()
    }
