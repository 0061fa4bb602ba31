"""Every data command meets every type, alone, twice and inside a transaction, as the reference does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.command_table import commands_in_scope, read_table
from tests.compat.examples import EXAMPLES, VALUES, value_at
from tests.compat.script import Step

if TYPE_CHECKING:
    from tests.compat.conftest import Differential
    from tests.support.servers import Shape

_data_groups = {"string", "hash", "list", "set", "sorted-set", "generic"}
# MIGRATE needs a second server; tests/compat/test_migrate.py has one.
_without_example = {"migrate", "object", "wait"}
_server_tags = {"redis7": "r70", "redis8": "r80", "valkey9": "vk91"}


def test_every_data_command_in_scope_has_an_example() -> None:
    """So that the loops below leave nothing out."""
    wanted = {row.name for row in commands_in_scope() if row.group in _data_groups}
    assert {name for name in wanted if name.partition("|")[0] not in _without_example} == set(EXAMPLES)


def _with_values(command: tuple[bytes, ...], first: str | None, others: str | None) -> list[Step]:
    places = {b"k1": first, b"k2": others, b"k3": others}
    setup = [value_at(kind, key) for key, kind in places.items() if kind is not None]
    return [Step(1, line) for line in [*setup, command]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_command_meets_every_type_as_the_reference_does(
    name: str, differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """On no key, on keys of its own type, of another type, and of two different types."""
    if _server_tags[reference_name] not in read_table()[name].servers:
        pytest.skip(f"{reference_name} has no {name}")
    problems: list[str] = []
    for first in (None, *VALUES):
        for others in dict.fromkeys((None, first, "string", "list")):
            steps = _with_values(EXAMPLES[name], first, others)
            found = differential.mismatches(reference_name, steps, *pairing)
            problems += [f"k1 is {first}, k2 and k3 are {others}: {problem}" for problem in found]
    assert not problems, "\n".join([f"differs from {reference_name}:", *problems])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_command_in_a_transaction_answers_as_it_does_alone(
    name: str, differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """Queued on keys of every type."""
    if _server_tags[reference_name] not in read_table()[name].servers:
        pytest.skip(f"{reference_name} has no {name}")
    steps = [Step(1, (b"MULTI",))]
    for kind in VALUES:
        steps += [Step(1, (b"DEL", b"k1", b"k2", b"k3")), *_with_values(EXAMPLES[name], kind, kind)]
    steps.append(Step(1, (b"EXEC",)))
    mismatches = differential.mismatches(reference_name, steps, *pairing)
    assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])
