"""Keyspace events as Redis 8.0 raises them: what every command of the tables tells, in its order.

Valkey tells some things in other words (a time that has passed is `expired` to it, where Redis has `del`), so it is not asked.
Misses are compared for one call of each command; those of XREAD are left out, which tells of each twice there.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from typing import TYPE_CHECKING

import pytest

import tests.compat.cases
from tests.compat.conftest import default_settings
from tests.compat.differences import is_accident
from tests.compat.examples import EXAMPLES, VALUES, value_at
from tests.compat.script import parse_cases, split_arguments
from tests.support.references import need_reference
from tests.support.servers import Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from tests.compat.script import Case
    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

Line = tuple[bytes, ...]
Told = list[tuple[bytes, bytes]]

_reference = "redis8"
_classes = "KEAn"
_tables = [
    (module.name, name)
    for module in pkgutil.iter_modules(tests.compat.cases.__path__)
    for name in ("CASES", "CHANGES")
    if hasattr(importlib.import_module(f"tests.compat.cases.{module.name}"), name)
]
# What ends the connection, or is about the events themselves.
_left_out = (b"SHUTDOWN", b"MONITOR", b"SYNC", b"PSYNC", b"QUIT", b"NOTIFY-KEYSPACE-EVENTS")

# What takes the place of a key whose time is over, or finds it gone.
_OVER_EXPIRED = """
SET k x
SET k x GET
SET k x NX
SET k x XX
SET k x KEEPTTL
SETNX k x
SETEX k 100 x
GETSET k x
MSET o y k x
MSETNX k x
APPEND k x
SETRANGE k 1 x
INCR k
GETDEL k
GETEX k PERSIST
RENAME text k
RENAMENX text k
COPY text k
COPY text k REPLACE
BITOP AND k text text
BITOP AND k none none
PFADD k a
PFMERGE k
SUNIONSTORE k set
SINTERSTORE k none
ZUNIONSTORE k 1 set
ZRANGESTORE k sorted 0 -1
ZRANGESTORE k none 0 -1
GEOSEARCHSTORE k places FROMLONLAT 1 1 BYRADIUS 1000 km
SORT set ALPHA STORE k
SORT none STORE k
LPUSH k x
LPUSHX k x
LMOVE list k LEFT LEFT
SMOVE set k a
HSET k f v
ZADD k 1 x
XADD k 1-1 f v
DEL k
EXISTS k
EXPIRE k 100
PERSIST k
EVAL "return redis.call('SET', KEYS[1], 'z')" 1 k
"""


_kinds = (*VALUES, "")
"""Types that the first key may have, or none."""


def _hear(server: Server, ears: Wire, told: Wire) -> Told:
    """What was told up to now."""
    told.call("PUBLISH", "mark", "")
    heard = []
    while (message := ears.read().value)[0] != b"message":
        heard.append((message[2], message[3]))
    return heard


def _run(server: Server, lines: list[Line]) -> list[tuple[Line, Told]]:
    with server.wire() as admin, server.wire() as ears, server.wire() as wire:
        admin.call("FLUSHALL")
        admin.call("CONFIG", "SET", "notify-keyspace-events", _classes)
        ears.pipeline([("PSUBSCRIBE", "__key*"), ("SUBSCRIBE", "mark")])
        told = []
        try:
            for line in lines:
                wire.call(*line)
                told.append((line, _hear(server, ears, admin)))
        except ConnectionClosed:
            pass
        admin.call("CONFIG", "SET", "notify-keyspace-events", "")
        admin.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        return told


def _server(pool: ServerPool, case: Case | None, shape: Shape | None) -> Server:
    directives = dict(default_settings + (case.settings if case else ()))
    if shape is None:
        return pool.get(need_reference(_reference), directives=directives)
    return pool.get(shape=shape, directives=directives)


def _is_compared(case: Case) -> bool:
    lines = [step.arguments for step in case.steps]
    return (
        case.why_not_with(_reference) is None
        and case.protocol != 3
        and ("cluster-enabled", "yes") not in case.settings
        and {step.connection for step in case.steps} == {1}
        and not any(word.upper() in _left_out for line in lines for word in line[:3])
        and not any(is_accident(_reference, line) for line in lines)
    )


def _whole(told: list[tuple[Line, Told]]) -> Told:
    """All events of a case but those of time, which is over when somebody finds that."""
    return [
        (channel, message) for _, events in told for channel, message in events if b"expired" not in channel + message
    ]


@pytest.mark.parametrize(("table", "name"), _tables)
def test_commands_tell_what_they_do_as_the_reference(table: str, name: str, pool: ServerPool, shape: Shape) -> None:
    """Every line of the tables that has a connection to itself."""
    cases = parse_cases(getattr(importlib.import_module(f"tests.compat.cases.{table}"), name))
    different = []
    for case in filter(_is_compared, cases):
        lines = [step.arguments for step in case.steps]
        theirs = _run(_server(pool, case, None), lines)
        ours = _run(_server(pool, case, shape), lines)
        if _whole(theirs) != _whole(ours):
            different += [
                f"{case.title}: {line!r}\n    expected {expected}\n    got      {told}"
                for (line, expected), (_, told) in zip(theirs, ours, strict=True)
                if expected != told
            ]
    assert not different, "\n".join(different[:20])


@pytest.mark.parametrize("command", _OVER_EXPIRED.strip().splitlines())
@pytest.mark.parametrize("way", ["alone", "in a transaction"])
def test_a_key_whose_time_was_over_is_told_of_when_something_takes_its_place(
    command: str, way: str, pool: ServerPool, shape: Shape
) -> None:
    """And counted."""
    line = split_arguments(command.encode())
    assert _over_expired(_server(pool, None, shape), line, way) == _over_expired(_server(pool, None, None), line, way)


# What another key takes the place of, or is written anew, may be told of as a new one.
_REPLACING = """
SET k x
GETSET k x
RENAME text k
COPY text k REPLACE
RESTORE k 0 PAYLOAD REPLACE
RESTORE k 1 PAYLOAD ABSTTL REPLACE
RESTORE none 0 PAYLOAD
BITOP NOT k text
SUNIONSTORE k set
SORT set ALPHA STORE k
ZUNIONSTORE k 1 set
GEOSEARCHSTORE k places FROMLONLAT 1 1 BYRADIUS 1000 km
"""


@pytest.mark.parametrize("command", _REPLACING.strip().splitlines())
def test_a_key_that_is_replaced_is_told_of_as_the_reference_does(command: str, pool: ServerPool, shape: Shape) -> None:
    """As a new one, or not."""
    told = []
    for server in (_server(pool, None, None), _server(pool, None, shape)):
        with server.wire() as wire:
            wire.call("FLUSHALL")
            wire.pipeline([
                ("SET", "text", "s"), ("SADD", "set", "a"), ("GEOADD", "places", "1", "1", "a"), ("SET", "k", "old"),
            ])  # fmt: skip
            payload = wire.value("DUMP", "text")
            wire.call("CONFIG", "SET", "notify-keyspace-events", _classes)
            with server.wire() as ears:
                ears.pipeline([("PSUBSCRIBE", "__key*"), ("SUBSCRIBE", "mark")])
                reply = wire.call(
                    *(payload if word == b"PAYLOAD" else word for word in split_arguments(command.encode()))
                )
                told.append((reply.raw, _hear(server, ears, wire)))
            wire.call("CONFIG", "SET", "notify-keyspace-events", "")
    assert told[1] == told[0]


def _over_expired(server: Server, line: Line, way: str) -> tuple[bytes, Told, int]:
    with server.wire() as wire:
        wire.call("FLUSHALL")
        wire.pipeline([
            ("DEBUG", "SET-ACTIVE-EXPIRE", "0"), ("SET", "text", "s"), ("SADD", "set", "a"), ("ZADD", "sorted", "1", "a"),
            ("GEOADD", "places", "1", "1", "a"), ("RPUSH", "list", "a", "b"), ("SET", "k", "old", "PX", "1"),
        ])  # fmt: skip
        time.sleep(0.01)
        wire.call("CONFIG", "RESETSTAT")
        wire.call("CONFIG", "SET", "notify-keyspace-events", _classes)
        with server.wire() as ears:
            ears.pipeline([("PSUBSCRIBE", "__key*"), ("SUBSCRIBE", "mark")])
            if way == "alone":
                reply = wire.call(*line)
            else:
                reply = wire.pipeline([("MULTI",), line, ("EXEC",)])[-1]
            told = _hear(server, ears, wire)
        wire.call("CONFIG", "SET", "notify-keyspace-events", "")
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        expired = [row for row in wire.value("INFO", "stats").split() if row.startswith(b"expired_keys:")]
        return reply.raw, told, int(expired[0].partition(b":")[2])


@pytest.mark.parametrize("kind", _kinds, ids=[kind or "absent" for kind in _kinds])
def test_keys_that_are_not_found_are_told_of(kind: str, pool: ServerPool, shape: Shape) -> None:
    """By every command, where its other keys are not there and the first one is of any type."""
    program = _server(pool, None, None)
    with program.wire() as wire:
        known = {name.upper() for name in wire.value("COMMAND", "LIST")}
    lines = [line for line in EXAMPLES.values() if line[0].upper() in known and line[0].upper() not in _unlike_misses]
    assert len(lines) > 100
    told = [_misses(server, kind, lines) for server in (program, _server(pool, None, shape))]
    assert [pair for pair in zip(*told, strict=True) if pair[0] != pair[1]] == []


# What is done at random may find less, and MIGRATE has nowhere to go.
_unlike_misses = (b"SPOP", b"SRANDMEMBER", b"MIGRATE")


def _misses(server: Server, kind: str, lines: list[Line]) -> list[tuple[Line, Told]]:
    told = []
    with server.wire() as admin, server.wire() as ears, server.wire() as wire:
        admin.call("CONFIG", "SET", "notify-keyspace-events", "Em")
        ears.pipeline([("PSUBSCRIBE", "__key*"), ("SUBSCRIBE", "mark")])
        for line in lines:
            wire.call("FLUSHALL")
            if kind:
                wire.call(*value_at(kind, b"k1"))
            wire.call(*line)
            told.append((line, _hear(server, ears, admin)))
        admin.call("CONFIG", "SET", "notify-keyspace-events", "")
    return told
