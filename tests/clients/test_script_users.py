"""Programs that stand on scripts, each with the first example of its documentation; one that is not installed is skipped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.servers import Server

redis = pytest.importorskip("redis", reason="redis-py is not installed")

wait_seconds_max = 60


def _url(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def test_redis_py_holds_a_lock(server: Server) -> None:
    """Another client gets it only when it is released; it is extended and reacquired by its owner."""
    with redis.Redis(host="127.0.0.1", port=server.port) as client, redis.Redis(port=server.port) as other:
        with client.lock("lock", timeout=30) as lock:
            assert lock.owned() and lock.locked()
            assert not other.lock("lock", timeout=30).acquire(blocking=False)
            assert lock.extend(30) and lock.reacquire()
            assert client.ttl("lock") > 20
        mine = other.lock("lock", timeout=30)
        assert mine.acquire(blocking=False)
        with pytest.raises(redis.exceptions.LockNotOwnedError):
            lock.local.token = b"somebody else's"
            lock.release()
        mine.release()
        assert not client.exists("lock")


def test_celery_runs_a_task(server: Server) -> None:
    """`add.delay(4, 4)`, with a worker in this process."""
    celery = pytest.importorskip("celery", reason="Celery is not installed")
    worker = pytest.importorskip("celery.contrib.testing.worker")
    app = celery.Celery("tasks", broker=_url(server), backend=_url(server))

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    with worker.start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=wait_seconds_max):
        assert add.delay(4, 4).get(timeout=wait_seconds_max) == 8
        assert celery.group(add.s(number, number) for number in range(5))().get(timeout=wait_seconds_max) == [
            0, 2, 4, 6, 8,
        ]  # fmt: skip


def test_dramatiq_runs_an_actor(server: Server) -> None:
    """An actor that is sent messages, some of them later."""
    dramatiq = pytest.importorskip("dramatiq", reason="Dramatiq is not installed")
    brokers = pytest.importorskip("dramatiq.brokers.redis")
    broker = brokers.RedisBroker(url=_url(server))
    done: list[int] = []

    def count_words(number: int) -> None:
        done.append(number)

    actor = dramatiq.actor(count_words, broker=broker)
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=2)
    worker.start()
    try:
        for number in range(10):
            actor.send(number)
        actor.send_with_options(args=(10,), delay=200)
        deadline = time.monotonic() + wait_seconds_max
        while len(done) < 11 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sorted(done) == list(range(11))
    finally:
        worker.stop()
        broker.close()


def test_rq_runs_a_job(server: Server) -> None:
    """A job that is enqueued, and a worker that ends when there is nothing left."""
    rq = pytest.importorskip("rq", reason="RQ is not installed")
    with redis.Redis(host="127.0.0.1", port=server.port) as connection:
        queue = rq.Queue(connection=connection)
        job = queue.enqueue("operator.add", 2, 3)
        rq.SimpleWorker([queue], connection=connection).work(burst=True)
        assert job.is_finished and job.return_value() == 5


def test_huey_runs_a_task(server: Server) -> None:
    """A task, one that is scheduled, and a consumer in this process."""
    huey = pytest.importorskip("huey", reason="Huey is not installed")
    app = huey.RedisHuey("app", host="127.0.0.1", port=server.port)

    @app.task()
    def add(x: int, y: int) -> int:
        return x + y

    consumer = app.create_consumer(workers=1, scheduler_interval=1)
    consumer.start()
    try:
        result, later = add(1, 2), add.schedule(args=(3, 4), delay=1)
        assert result.get(blocking=True, timeout=wait_seconds_max) == 3
        assert later.get(blocking=True, timeout=wait_seconds_max) == 7
    finally:
        consumer.stop(graceful=True)


@pytest.mark.parametrize(
    "strategy", ["FixedWindowRateLimiter", "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter"]
)
def test_limits_counts_hits(server: Server, strategy: str) -> None:
    """Two a minute: the third is refused, until the window is cleared."""
    limits = pytest.importorskip("limits", reason="limits is not installed")
    limiter = getattr(limits.strategies, strategy)(limits.storage.storage_from_string(_url(server)))
    two = limits.parse("2/minute")
    assert [limiter.hit(two, "somebody") for _ in range(3)] == [True, True, False]
    assert limiter.hit(two, "somebody else")
    assert not limiter.test(two, "somebody")
    limiter.clear(two, "somebody")
    assert limiter.hit(two, "somebody")


def test_django_redis_locks(server: Server) -> None:
    """A lock of Django's cache, and a counter that is never lost."""
    pytest.importorskip("django_redis", reason="django-redis is not installed")
    from django.conf import settings
    from django.core.cache import CacheHandler

    backend: dict[str, Any] = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": _url(server)}
    if not settings.configured:
        settings.configure(CACHES={"default": backend})
    cache = CacheHandler({"default": backend})["default"]
    with cache.lock("somekey", timeout=30):
        cache.set("foo", "bar", timeout=None)
        assert not cache.lock("somekey", timeout=30).acquire(blocking=False)
    assert cache.get("foo") == "bar"
    assert cache.lock("somekey", timeout=30).acquire(blocking=False)
