"""A few rounds of the crash harnesses; `make crash ROUNDS=1000` does as many as one likes."""

from __future__ import annotations

import pytest

from tests.durability import failover, mixed
from tests.durability.crash import run
from tests.support.servers import Shape

pytestmark = pytest.mark.sherd_only


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_killed_server_has_everything_that_its_policy_promises(policy: str) -> None:
    crashes = run(3, policy, seed=12, shape=Shape(2, 2))
    assert crashes.kills >= 3
    if policy == "always":
        assert crashes.lost == 0


@pytest.mark.parametrize(("appendonly", "encrypts"), [("yes", False), ("no", False), ("yes", True)])
def test_a_replica_that_takes_over_has_every_write_that_was_waited_for(appendonly: str, encrypts: bool) -> None:
    failovers = failover.run(3, seed=12, shape=Shape(2, 2), appendonly=appendonly, encrypts=encrypts)
    assert (failovers.kills, failovers.lost) == (3, 0)
    assert failovers.waited > 0, "nothing was waited for"


@pytest.mark.parametrize("policy", ["always", "everysec", "link"])
def test_writes_of_every_kind_are_there_up_to_one_of_their_steps(policy: str) -> None:
    """One round with each of what happens meanwhile."""
    crashes = mixed.run(len(mixed.events) if policy == "always" else 3, policy, seed=8, shape=Shape(3, 2))
    assert crashes.units > 0
    if policy != "everysec":
        assert crashes.lost == 0
