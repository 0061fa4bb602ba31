"""Random sequences of each family give the reference's replies and leave the reference's keys.

The profile "ci" runs a few dozen repeatable sequences a family; `SHERD_TEST_PROFILE=deep` runs thousands of new ones.
A failure is shrunk by hypothesis to the shortest sequence that still differs; that one belongs into the family's table.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note

import tests.compat.cases
from tests.compat.differences import is_accident
from tests.compat.grammar import sequences_of
from tests.compat.script import Step

if TYPE_CHECKING:
    from types import ModuleType

    from tests.compat.conftest import Differential
    from tests.support.servers import Shape


def _modules() -> dict[str, ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(tests.compat.cases.__path__)]
    modules = {name: importlib.import_module(f"tests.compat.cases.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "GRAMMAR")}


_families = _modules()


def _is_comparable(family: str, reference: str) -> bool:
    return reference not in getattr(_families[family], "GRAMMAR_NOT_WITH", {})


@pytest.mark.parametrize("family", [*_families, "all"])
def test_random_sequences_match_the_reference(
    family: str, differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """Replies byte for byte, then type, encoding, expiry, content and payload of every key."""
    chosen = [name for name in _families if family in (name, "all") and _is_comparable(name, reference_name)]
    if not chosen:
        pytest.skip(_families[family].GRAMMAR_NOT_WITH[reference_name])
    grammars = [_families[name].GRAMMAR for name in chosen]

    @given(sequences_of(*grammars))
    def run(commands: list[tuple[bytes, ...]]) -> None:
        steps = tuple(Step(1, command) for command in commands if not is_accident(reference_name, command))
        mismatches = differential.mismatches(reference_name, steps, *pairing, carried=True)
        note("\n".join(step.show() for step in steps))
        assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])

    run()
