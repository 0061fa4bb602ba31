"""Libraries of functions cross between Sherd and real servers by FUNCTION DUMP and RESTORE and in snapshots, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Program, ServerPool
    from tests.support.wire import Wire

short = "#!lua name=short\nredis.register_function('short', function() return 'short' end)"
long = "#!lua name=long\n" + "-- a comment that says nothing\n" * 200 + (
    "redis.register_function{function_name='long', callback=function(keys) return redis.call('set', keys[1], 'x') end, "
    "flags={'allow-oom'}, description='It is long.'}"
)  # fmt: skip
other = "#!lua name=short\nredis.register_function('other', function() return 'other' end)"
rival = "#!lua name=rival\nredis.register_function('long', function() return 'rival' end)"


@pytest.fixture
def wires(pool: ServerPool, reference_name: str, shape: Shape) -> Iterator[tuple[Wire, Wire]]:
    """Sherd and a reference, both without libraries."""
    reference = need_reference(reference_name)
    assert reference is not None

    def empty(program: Program, shape: Shape) -> Wire:
        wire = pool.get(program, shape=shape).wire()
        wire.call("FUNCTION", "FLUSH")
        return wire

    with empty(sherd_program(), shape) as ours, empty(reference, Shape()) as theirs:
        yield ours, theirs


def _listed(wire: Wire) -> list[object]:
    return sorted(wire.value("FUNCTION", "LIST", "WITHCODE"), key=repr)


@pytest.mark.parametrize("to_sherd", [True, False], ids=["to Sherd", "from Sherd"])
def test_libraries_cross_by_dump_and_restore(wires: tuple[Wire, Wire], to_sherd: bool) -> None:
    """Short sources, and long ones, which are compressed; the functions work on the other side."""
    source, target = reversed(wires) if to_sherd else wires
    for code in (short, long):
        source.call("FUNCTION", "LOAD", code)
    payload = source.value("FUNCTION", "DUMP")
    assert target.call("FUNCTION", "RESTORE", payload).raw == b"+OK\r\n"
    assert _listed(target) == _listed(source)
    assert target.value("FCALL", "short", "0") == b"short"
    assert target.call("FCALL", "long", "1", "k").raw == b"+OK\r\n"


@pytest.mark.parametrize("policy", [(), ("APPEND",), ("REPLACE",), ("FLUSH",)])
@pytest.mark.parametrize(
    "present", [(short,), (other,), (rival,), (rival, other)], ids=["same", "other", "rival", "both"]
)
def test_a_policy_decides_about_what_is_there(
    wires: tuple[Wire, Wire], policy: tuple[str, ...], present: tuple[str, ...]
) -> None:
    """The same replies, and the same libraries afterwards: all of a payload are restored, or none."""
    outcomes = []
    for wire in wires:
        for code in (short, long):
            wire.call("FUNCTION", "LOAD", code)
        payload = wire.value("FUNCTION", "DUMP")
        wire.call("FUNCTION", "FLUSH")
        for code in present:
            wire.call("FUNCTION", "LOAD", code)
        outcomes.append((wire.call("FUNCTION", "RESTORE", payload, *policy).raw, _listed(wire)))
    assert outcomes[0] == outcomes[1]


def test_a_payload_that_is_none_is_refused_in_the_same_words(wires: tuple[Wire, Wire]) -> None:
    """What is cut, changed, or holds values instead of libraries."""
    ours, theirs = wires
    theirs.call("FUNCTION", "LOAD", short)
    theirs.call("SET", "k", "v")
    payload = theirs.value("FUNCTION", "DUMP")
    theirs.call("FUNCTION", "FLUSH")
    changed = bytes([*payload[:5], payload[5] ^ 1, *payload[6:]])
    for broken in (b"", b"x", payload[:-1], changed, theirs.value("DUMP", "k")):
        assert ours.call("FUNCTION", "RESTORE", broken).raw == theirs.call("FUNCTION", "RESTORE", broken).raw
