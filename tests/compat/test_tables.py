"""Every case of every family's table gives the reference's replies and leaves the reference's keys."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import tests.compat.cases
from tests.compat.script import Case, parse_cases

if TYPE_CHECKING:
    from tests.compat.conftest import Differential
    from tests.support.servers import Shape


def _all_cases() -> list[object]:
    found: list[object] = []
    for module in pkgutil.iter_modules(tests.compat.cases.__path__):
        table: str = getattr(importlib.import_module(f"tests.compat.cases.{module.name}"), "CASES", "")
        found += [
            pytest.param(case, id=f"{module.name}: {case.title}") for case in (parse_cases(table) if table else [])
        ]
    return found


@pytest.mark.parametrize("case", _all_cases())
def test_a_case_of_the_tables_matches_the_reference(
    case: Case, differential: Differential, reference_name: str, shape: Shape, protocol: int
) -> None:
    """Replies byte for byte, then type, encoding, expiry and content of every key."""
    reason = case.why_not_with(reference_name)
    if reason is not None:
        pytest.skip(reason)
    if case.protocol not in (None, protocol):
        pytest.skip(f"about RESP{case.protocol}")
    mismatches = differential.mismatches(reference_name, case.steps, shape, protocol, case.settings)
    assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])
