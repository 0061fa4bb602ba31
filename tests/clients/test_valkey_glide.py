"""valkey-glide, whose core is Rust, standalone and cluster; skipped where it is not installed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.servers import stand_in_command

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool, Shape

glide = pytest.importorskip("glide", reason="valkey-glide is not installed")


# Its own is 250 ms for a request, which a busy machine may take.
patience_milliseconds = 30_000


def _settings(server: Server) -> dict[str, Any]:
    """Where the server is, and patience; the rest is as glide has it."""
    return {
        "addresses": [glide.NodeAddress("127.0.0.1", server.port)],
        "request_timeout": patience_milliseconds,
    }


async def _use(client: Any) -> None:
    assert await client.set("{t}k", "v") == "OK"
    assert await client.get("{t}k") == b"v"
    assert await client.hset("{t}h", {"f": "1"}) == 1
    assert await client.hgetall("{t}h") == {b"f": b"1"}
    assert await client.zadd("{t}z", {"a": 1.5}) == 1
    assert await client.zscore("{t}z", "a") == 1.5
    assert await client.lpush("{t}l", ["a", "b"]) == 2
    assert await client.mget(["{t}k", "{t}nothing"]) == [b"v", None]
    await client.close()


def test_glide_works_with_its_defaults(server: Server) -> None:
    """HELLO 3, SETINFO, INFO REPLICATION, then data."""

    async def work() -> None:
        advanced = glide.AdvancedGlideClientConfiguration(connection_timeout=patience_milliseconds)
        settings = glide.GlideClientConfiguration(**_settings(server), advanced_config=advanced)
        await _use(await glide.GlideClient.create(settings))

    asyncio.run(work())


def test_glide_works_as_a_cluster_client(pool: ServerPool, shape: Shape) -> None:
    """CLUSTER SLOTS from one node that owns every slot."""
    if stand_in_command() is not None:
        pytest.skip("a stand-in owns no slots by itself")
    server = pool.get(shape=shape, directives={"cluster-enabled": "yes"})

    async def work() -> None:
        advanced = glide.AdvancedGlideClusterClientConfiguration(connection_timeout=patience_milliseconds)
        settings = glide.GlideClusterClientConfiguration(**_settings(server), advanced_config=advanced)
        await _use(await glide.GlideClusterClient.create(settings))

    asyncio.run(work())
