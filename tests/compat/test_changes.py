"""`rdb_changes_since_last_save` counts what a command has changed as the references count it, command by command."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.compat.cases.changes import CHANGES, SERVED
from tests.compat.conftest import default_settings
from tests.compat.script import Case, parse_cases
from tests.support.references import need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from tests.compat.script import Step
    from tests.support.servers import Program, Server, ServerPool
    from tests.support.wire import Wire

_cases = parse_cases(CHANGES)
_served = parse_cases(SERVED)

# A client is seen to wait within milliseconds; the bound is for a machine that has other things to do.
waiting_timeout_seconds = 20.0


def _server(pool: ServerPool, program: Program | None, shape: Shape) -> Server:
    return pool.get(program or sherd_program(), shape=shape, directives=dict(default_settings))


def _read(name: bytes, text: bytes) -> int:
    match = re.search(rb"%b:(\d+)" % name, text)
    assert match is not None
    return int(match.group(1))


def _changes(wire: Wire) -> int:
    return _read(b"rdb_changes_since_last_save", wire.value("INFO", "persistence"))


def _count(server: Server, steps: tuple[Step, ...]) -> list[tuple[str, int]]:
    """What each command adds to the count."""
    counted = []
    # Asked over another connection, for in a transaction the question would be queued.
    with server.wire() as wire, server.wire() as asking:
        before = _changes(asking)
        for step in steps:
            wire.call(*step.arguments)
            after = _changes(asking)
            counted.append((step.show(), after - before))
            before = after
    return counted


def _await_blocked(wire: Wire) -> None:
    deadline = time.monotonic() + waiting_timeout_seconds
    while _read(b"blocked_clients", wire.value("INFO", "clients")) == 0:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def _count_served(server: Server, steps: tuple[Step, ...]) -> int:
    """What the last command of the first connection adds, which serves the second one's."""
    *before, waiting, serving = steps
    with server.wire() as wire, server.wire() as waiter:
        for step in before:
            wire.call(*step.arguments)
        waiter.write(*waiting.arguments)
        _await_blocked(wire)
        count = _changes(wire)
        wire.call(*serving.arguments)
        assert not waiter.read().is_error
        return _changes(wire) - count


def _skip_if_not_with(case: Case, reference: str) -> None:
    reason = case.why_not_with(reference)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("case", _cases, ids=lambda case: case.title)
def test_a_command_counts_the_changes_that_the_reference_counts(
    case: Case, pool: ServerPool, reference_name: str, shape: Shape
) -> None:
    """After each command the count has grown by as much as there."""
    _skip_if_not_with(case, reference_name)
    theirs = _count(_server(pool, need_reference(reference_name), shape), case.steps)
    assert _count(_server(pool, None, shape), case.steps) == theirs


@pytest.mark.parametrize("case", _served, ids=lambda case: case.title)
def test_a_push_that_serves_a_waiting_client_counts_both(
    case: Case, pool: ServerPool, reference_name: str, shape: Shape
) -> None:
    """The push's changes and those of the command that it completes."""
    _skip_if_not_with(case, reference_name)
    theirs = _count_served(_server(pool, need_reference(reference_name), shape), case.steps)
    assert _count_served(_server(pool, None, shape), case.steps) == theirs


# MIGRATE needs a second server; RESTORE-ASKING is RESTORE in a cluster.
_without_a_case = frozenset({"migrate", "restore-asking"})


def test_every_writing_command_of_the_references_has_a_case(pool: ServerPool, reference_name: str) -> None:
    """What a reference has and Sherd has is compared."""
    described = []
    for program in (None, need_reference(reference_name)):
        with _server(pool, program, Shape()).wire() as wire:
            described.append(
                {
                    entry[0].decode().partition("|")[0]
                    for entry in wire.value("COMMAND")
                    if "write" in {str(flag, "ascii") if isinstance(flag, bytes) else flag for flag in entry[2]}
                }
            )
    common = described[0] & described[1]
    run = {step.arguments[0].decode().lower() for case in _cases + _served for step in case.steps}
    assert common - run <= _without_a_case
