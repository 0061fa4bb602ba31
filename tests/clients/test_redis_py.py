"""redis-py, standalone and RedisCluster, as an application uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.replication.support import eventually
from tests.support.servers import Server, ServerPool, Shape, stand_in_command

if TYPE_CHECKING:
    from collections.abc import Iterator

redis = pytest.importorskip("redis", reason="redis-py is not installed")


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A client with its defaults."""
    connection = redis.Redis(host="127.0.0.1", port=server.port)
    yield connection
    connection.close()


@pytest.fixture
def cluster_client(pool: ServerPool, shape: Shape) -> Iterator[Any]:
    """A cluster client with its defaults, on one node that owns every slot."""
    if stand_in_command() is not None:
        pytest.skip("a stand-in owns no slots by itself")
    server = pool.get(shape=shape, directives={"cluster-enabled": "yes"})
    connection = redis.RedisCluster(host="127.0.0.1", port=server.port)
    yield connection
    connection.close()


def test_redis_py_uses_every_type(client: Any) -> None:
    """Strings, hashes, lists, sets, sorted sets, expiry."""
    assert client.set("s", "v", ex=1000) is True
    assert client.get("s") == b"v"
    assert 0 < client.ttl("s") <= 1000
    assert client.hset("h", mapping={"f": "1", "g": "2"}) == 2
    assert client.hgetall("h") == {b"f": b"1", b"g": b"2"}
    assert client.rpush("l", *range(5)) == 5
    assert client.lrange("l", 0, -1) == [b"0", b"1", b"2", b"3", b"4"]
    assert client.sadd("set", "a", "b") == 2
    assert client.smembers("set") == {b"a", b"b"}
    assert client.zadd("z", {"a": 1, "b": 2.5}) == 2
    scores = client.zrange("z", 0, -1, withscores=True)
    assert [(member, score) for member, score in scores] == [(b"a", 1.0), (b"b", 2.5)]
    assert client.delete("s", "h", "l", "set", "z") == 5


def test_redis_py_works_in_resp2_and_resp3(server: Server) -> None:
    """With either version asked for."""
    for protocol in (2, 3):
        with redis.Redis(host="127.0.0.1", port=server.port, protocol=protocol) as client:
            client.hset("h", "f", "v")
            assert client.hgetall("h") == {b"f": b"v"}


def test_redis_py_pipelines_and_transactions(client: Any) -> None:
    """Plain pipelines, MULTI pipelines and an optimistic transaction."""
    with client.pipeline(transaction=False) as pipeline:
        for number in range(100):
            pipeline.set(f"key:{number}", number)
        assert pipeline.execute() == [True] * 100
    with client.pipeline() as pipeline:
        pipeline.incr("n").incr("n").get("n")
        assert pipeline.execute() == [1, 2, b"2"]

    def double(pipeline: Any) -> None:
        current = int(pipeline.get("n"))
        pipeline.multi()
        pipeline.set("n", current * 2)

    client.transaction(double, "n")
    assert client.get("n") == b"4"


def test_redis_py_raises_its_own_errors(client: Any) -> None:
    """Error texts are recognised by their first word."""
    client.set("s", "v")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("s", "x")
    with client.pipeline() as pipeline, pytest.raises(redis.WatchError):
        pipeline.watch("s")
        client.set("s", "changed")
        pipeline.multi()
        pipeline.get("s")
        pipeline.execute()


def test_redis_py_scans_and_inspects(client: Any) -> None:
    """Iterators and the parsers of INFO, CLIENT LIST, CONFIG, SLOWLOG, COMMAND."""
    client.mset({f"key:{number}": number for number in range(500)})
    assert len(set(client.scan_iter(match="key:*", count=50))) == 500
    assert client.dbsize() == 500
    assert client.info("server")["redis_version"].count(".") == 2
    assert client.info()["role"] == "master"
    assert any(entry["cmd"].startswith("client") for entry in client.client_list())
    assert "maxclients" in client.config_get("maxclients")
    assert isinstance(client.slowlog_get(), list)
    assert client.command_count() > 100
    assert "get" in client.command()
    assert client.memory_usage("key:1") > 0
    assert client.object("encoding", "key:1") == b"int"
    assert isinstance(client.memory_stats(), dict)
    assert client.lastsave() is not None
    assert client.time()[0] > 0


def test_redis_py_reconnects_after_a_kill(server: Server, client: Any) -> None:
    """A dropped connection is opened anew by the pool."""
    client.set("k", "v")
    number = client.client_id()
    with server.wire() as wire:
        wire.call("CLIENT", "KILL", "TYPE", "normal")
        eventually(lambda: wire.value("CLIENT", "LIST", "ID", str(number)) == b"", "the connection has ended")
    assert client.get("k") == b"v"
    assert client.client_id() != number


def test_redis_py_monitors(server: Server, client: Any) -> None:
    """MONITOR lines are parsed."""
    with client.monitor() as monitor:
        with server.wire() as wire:
            wire.call("SET", "watched", "v")
        for entry in monitor.listen():
            if "watched" in entry["command"]:
                assert entry["db"] == 0
                break


def test_redis_cluster_routes_over_every_slot(cluster_client: Any) -> None:
    """Single keys of all slots, and multi-key commands in one slot."""
    for number in range(200):
        assert cluster_client.set(f"key:{number}", number)
    assert [int(cluster_client.get(f"key:{number}")) for number in range(200)] == list(range(200))
    assert cluster_client.mset({"{t}a": "1", "{t}b": "2"})
    assert cluster_client.mget("{t}a", "{t}b") == [b"1", b"2"]
    assert cluster_client.mget_nonatomic("key:1", "key:2") == [b"1", b"2"]
    assert cluster_client.delete("{t}a", "{t}b") == 2


def test_redis_cluster_knows_the_node(cluster_client: Any) -> None:
    """One primary that owns every slot, under the address that the client connected to."""
    nodes = cluster_client.get_nodes()
    assert len(nodes) == 1
    assert nodes[0].host == "127.0.0.1"
    assert cluster_client.cluster_info(target_nodes=nodes[0])["cluster_state"] == "ok"
    assert cluster_client.cluster_keyslot("foo") == 12182
    assert len(cluster_client.cluster_shards()) == 1


def test_redis_cluster_pipelines(cluster_client: Any) -> None:
    """Commands of many slots in one go."""
    with cluster_client.pipeline() as pipeline:
        for number in range(50):
            pipeline.set(f"key:{number}", number)
        assert pipeline.execute() == [True] * 50


def test_redis_cluster_raises_cross_slot(cluster_client: Any) -> None:
    """The server refuses, the client tells."""
    with pytest.raises((redis.RedisError, redis.exceptions.RedisClusterException)):
        cluster_client.rename("a", "b")


def test_asyncio_redis_py_works(server: Server) -> None:
    """The asyncio client with its defaults."""
    import asyncio

    import redis.asyncio

    async def work() -> None:
        client = redis.asyncio.Redis(host="127.0.0.1", port=server.port)
        try:
            await asyncio.gather(*(client.set(f"key:{number}", number) for number in range(100)))
            values: list[Any] = await client.mget([f"key:{number}" for number in range(100)])
            assert [int(value) for value in values] == list(range(100))
        finally:
            await client.aclose()

    asyncio.run(work())


def test_redis_py_subscribes_and_publishes(server: Server) -> None:
    """Channels and patterns with either protocol, handlers, and a subscription's end."""
    for protocol in (2, 3):
        with redis.Redis(host="127.0.0.1", port=server.port, protocol=protocol) as client, client.pubsub() as pubsub:
            handled: list[Any] = []
            pubsub.subscribe("news", jobs=handled.append)
            pubsub.psubscribe("n*")
            kinds = [pubsub.get_message(timeout=20)["type"] for _ in range(3)]
            assert kinds == ["subscribe", "subscribe", "psubscribe"]
            assert client.publish("news", "hello") == 2
            assert client.publish("jobs", "work") == 1
            heard = [pubsub.get_message(timeout=20) for _ in range(3)]
            assert [message and (message["type"], message["pattern"], message["channel"], message["data"]) for message in heard] == [
                ("message", None, b"news", b"hello"), ("pmessage", b"n*", b"news", b"hello"), None,
            ]  # fmt: skip
            assert [message["data"] for message in handled] == [b"work"]
            assert client.pubsub_numsub("news", "jobs", "none") == [(b"news", 1), (b"jobs", 1), (b"none", 0)]
            assert sorted(client.pubsub_channels()) == [b"jobs", b"news"]
            assert client.pubsub_numpat() == 1
            pubsub.unsubscribe()
            pubsub.punsubscribe()
            assert {pubsub.get_message(timeout=20)["type"] for _ in range(3)} == {"unsubscribe", "punsubscribe"}


def test_redis_py_is_told_of_keyspace_events(server: Server) -> None:
    """As caches and job queues use them."""
    with redis.Redis(host="127.0.0.1", port=server.port) as client, client.pubsub() as pubsub:
        client.config_set("notify-keyspace-events", "KEA")
        pubsub.psubscribe("__keyevent@0__:*")
        assert pubsub.get_message(timeout=20)["type"] == "psubscribe"
        client.set("k", "v")
        client.delete("k")
        heard = [pubsub.get_message(timeout=20) for _ in range(2)]
        assert [(message["channel"], message["data"]) for message in heard] == [
            (b"__keyevent@0__:set", b"k"), (b"__keyevent@0__:del", b"k"),
        ]  # fmt: skip
        client.config_set("notify-keyspace-events", "")
