"""Random rules of users mean here what they mean on the real servers: some of what `fuzz_rules` does for as long as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.fuzz_rules import references, run
from tests.support.references import need_reference
from tests.support.servers import Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool


@pytest.mark.parametrize("name", references)
@pytest.mark.parametrize("seed", [1, 2])
def test_random_rules_are_taken_and_mean_the_same(pool: ServerPool, name: str, seed: int, shape: Shape) -> None:
    """What is refused, what is told of the user, and what it may do."""
    assert run(pool.get(shape=shape), pool.get(need_reference(name)), name, seed, users=30) > 1000
