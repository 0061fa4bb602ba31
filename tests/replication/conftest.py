"""Fixtures of the tests of replication."""

from __future__ import annotations

import pytest

from tests.support.references import need_reference, reference_names


@pytest.fixture(params=reference_names)
def reference_name(request: pytest.FixtureRequest) -> str:
    """Each server that Sherd replicates from and to; skips where it is not installed."""
    name: str = request.param
    need_reference(name)
    return name
