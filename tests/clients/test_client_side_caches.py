"""Caches of client libraries: what is read stays with the client, and is read again when another connection has changed it.

Each library is asked whether it has answered from its cache, and the server whether it was asked to track.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.toolchains import go_program, java_command, node_folder, run
from tests.replication.support import eventually
from tests.support.servers import Shape, stand_in_command

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool


@pytest.fixture
def server(pool: ServerPool) -> Server:
    """One whose keys are in several shards; what it did before is not counted."""
    server = pool.get(shape=Shape(shards=4, io_threads=2))
    with server.wire() as wire:
        wire.call("CONFIG", "RESETSTAT")
    return server


def assert_tracked(server: Server) -> None:
    """Clients have asked to be told of changes, and nobody is remembered who has gone."""
    with server.wire() as wire:
        assert b"cmdstat_client|tracking:" in wire.value("INFO", "commandstats")
        eventually(lambda: b"tracking_clients:0\r" in wire.value("INFO", "clients"), "they are forgotten")


def use(client: Any, other: Any) -> None:
    """redis-py's interface, with a cache and without."""
    other.set("k", "1")
    other.hset("h", "f", "1")
    assert [client.get("k"), client.get("k")] == [b"1", b"1"]
    assert [client.hget("h", "f"), client.hget("h", "f")] == [b"1", b"1"]
    told = other.info("all")
    assert told["tracking_clients"] == 1
    assert told["tracking_total_keys"] == 2
    assert (told["cmdstat_get"]["calls"], told["cmdstat_hget"]["calls"]) == (1, 1)
    other.set("k", "2")
    eventually(lambda: client.get("k") == b"2", "a change is seen")
    other.hdel("h", "f")
    eventually(lambda: client.hget("h", "f") is None, "a deletion is seen")
    other.flushall()
    eventually(lambda: client.get("k") is None, "an emptied database is seen")


def test_redis_py_keeps_what_it_reads(server: Server) -> None:
    """`cache_config=CacheConfig()`, which asks for Redis 7.4 or later by the answer to HELLO."""
    redis = pytest.importorskip("redis", minversion="5.2", reason="no redis-py that has a cache is installed")
    from redis.cache import CacheConfig

    with (
        redis.Redis(host="127.0.0.1", port=server.port, protocol=3, cache_config=CacheConfig()) as client,
        redis.Redis(host="127.0.0.1", port=server.port) as other,
    ):
        use(client, other)
    assert_tracked(server)


def test_redis_py_keeps_what_it_reads_of_a_cluster(pool: ServerPool) -> None:
    """`RedisCluster`, on one node that owns every slot."""
    redis = pytest.importorskip("redis", minversion="5.2", reason="no redis-py that has a cache is installed")
    from redis.cache import CacheConfig

    if stand_in_command() is not None:
        pytest.skip("a stand-in owns no slots by itself")
    node = pool.get(shape=Shape(shards=4, io_threads=2), directives={"cluster-enabled": "yes"})
    with node.wire() as wire:
        wire.call("CONFIG", "RESETSTAT")
    with (
        redis.RedisCluster(host="127.0.0.1", port=node.port, protocol=3, cache_config=CacheConfig()) as client,
        redis.Redis(host="127.0.0.1", port=node.port) as other,
    ):
        use(client, other)
    assert_tracked(node)


@pytest.mark.parametrize("library", ["rueidis", "valkey-go"])
def test_go_clients_keep_what_they_read(server: Server, library: str) -> None:
    """DoCache and DoMultiCache."""
    run(str(go_program("gocaches")), library, str(server.port))
    assert_tracked(server)


def test_node_redis_keeps_what_it_reads(server: Server) -> None:
    """`clientSideCache`."""
    run("node", str(node_folder("node") / "caching.mjs"), str(server.port))
    assert_tracked(server)


@pytest.mark.parametrize("main", ["UsesLettuce", "UsesJedis"])
def test_java_clients_keep_what_they_read(server: Server, main: str) -> None:
    """Lettuce's CacheFrontend; Jedis' CacheConfig, which asks for Redis 7.4 or later as redis-py does."""
    run(*java_command("java", main), "caches", str(server.port))
    assert_tracked(server)


def test_redisson_keeps_what_it_reads(server: Server) -> None:
    """A map with local copies, which are told of changes by Pub/Sub, and its client-side caching, which tracks."""
    run(*java_command("redisson", "Main"), "caches", str(server.port))
    assert_tracked(server)
