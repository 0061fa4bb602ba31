"""Fixtures of the differential tests: a runner for Sherd and one for each reference."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.compat.engine import Runner, find_losses, find_mismatches
from tests.conftest import hypothesis_profile, shapes
from tests.support.references import need_reference, reference_names
from tests.support.servers import Shape, sherd_program, stand_in_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.compat.engine import Outcome
    from tests.compat.script import Step
    from tests.support.servers import Program, Server, ServerPool

Settings = tuple[tuple[str, str], ...]

cluster_ready_timeout_seconds = 20.0

# DEBUG is compared too, and it is off by default everywhere. The default number of clients is lowered to what the limit on
# descriptors leaves, of which each server needs another part for itself.
default_settings: Settings = (("enable-debug-command", "yes"), ("maxclients", "400"))


class Differential:
    """Runs sequences on Sherd and on a reference, and remembers what the reference said."""

    def __init__(self, pool: ServerPool) -> None:
        self.pool = pool
        self.runners: dict[int, Runner] = {}
        self.known: dict[tuple[str, Settings, int, bool, tuple[Step, ...]], Outcome] = {}

    def runner(self, program: Program, shape: Shape, settings: Settings) -> Runner:
        """The runner of a server with these settings."""
        directives = dict(default_settings + settings)
        server = self.pool.get(program, shape=shape, directives=directives, flush=False)
        if id(server) not in self.runners:
            cluster = directives.get("cluster-enabled") == "yes"
            if cluster and not program.is_sherd:
                _own_all_slots(server)
            self.runners[id(server)] = Runner(server, cluster=cluster)
        return self.runners[id(server)]

    def mismatches(
        self,
        reference: str,
        steps: Sequence[Step],
        shape: Shape,
        protocol: int,
        settings: Settings = (),
        *,
        carried: bool = False,
    ) -> list[str]:
        """What Sherd does differently from `reference`; skips the test when there is no such server.

        With `carried` the keys that are left are also moved between the two, by DUMP and RESTORE.
        """
        program = need_reference(reference)
        assert program is not None
        other = self.runner(program, Shape(), settings)
        key = (reference, settings, protocol, carried, tuple(steps))
        theirs = self.known.get(key)
        if theirs is None:
            theirs = self.known[key] = other.run(steps, protocol, dumped=carried)
        sherd = self.runner(sherd_program(), shape, settings)
        ours = sherd.run(steps, protocol, dumped=carried)
        problems = find_mismatches(steps, ours, theirs, reference)
        # Keys that differ already would differ again.
        if carried and not problems:
            problems = find_losses(ours, theirs, sherd, other, reference)
        return problems

    def close(self) -> None:
        """Closes the inspection connections."""
        for runner in self.runners.values():
            runner.close()


def _own_all_slots(server: Server) -> None:
    """Gives a reference what Sherd has from the start: every slot."""
    with server.wire() as wire:
        wire.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        deadline = time.monotonic() + cluster_ready_timeout_seconds
        while b"cluster_state:ok" not in wire.value("CLUSTER", "INFO"):
            assert time.monotonic() < deadline, "the reference's cluster did not become ready"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def differential(pool: ServerPool) -> Iterator[Differential]:
    """The engine, with its memory of what the references answered."""
    engine = Differential(pool)
    yield engine
    engine.close()


# Each number of shards and each protocol, but not each pair: how a reply is encoded and where a key lies have nothing to do
# with each other, and where the same sequences would be run again only for that, these two do. Looking for new failures is
# another matter.
_pairs = ("1-shard-resp3", "4-shards-resp2")
_more_pairs = ("1-shard-resp2", "4-shards-resp3") if hypothesis_profile == "deep" else ()


@pytest.fixture(params=(*_pairs, *_more_pairs))
def pairing(request: pytest.FixtureRequest) -> tuple[Shape, int]:
    """A shape of Sherd and a version of the protocol."""
    shape, _, protocol = request.param.rpartition("-resp")
    if stand_in_command() is not None and shape != "1-shard":
        pytest.skip("a stand-in has no shards")
    return shapes[shape], int(protocol)


@pytest.fixture(params=reference_names)
def reference_name(request: pytest.FixtureRequest) -> str:
    """Each known reference; the comparison skips itself where one is absent."""
    name: str = request.param
    return name
