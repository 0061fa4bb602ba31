"""Programs that stand on Pub/Sub: socket.io's Redis adapters, channels_redis, Celery's results and commands, RQ's commands.

One that is not installed is skipped; packages of other languages are brought by `tests.clients.toolchains`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.toolchains import node_folder, run
from tests.protocol.test_limits import info_field
from tests.replication.support import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Server

redis = pytest.importorskip("redis", reason="redis-py is not installed")

wait_seconds_max = 60


def _url(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def _calls(client: Any, command: str) -> int:
    calls: int = client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]
    return calls


def test_socket_io_servers_hear_each_other(server: Server) -> None:
    """Broadcasts, rooms, and questions to the other server, by channels, patterns and shard channels."""
    run("node", str(node_folder("socketio") / "main.mjs"), str(server.port))
    with server.wire() as wire:
        eventually(lambda: info_field(wire, "clients", "pubsub_clients") == "0", "nobody is subscribed any more")
        assert wire.value("PUBSUB", "CHANNELS") == wire.value("PUBSUB", "SHARDCHANNELS") == []


def test_celery_has_results_and_commands_by_publishing(server: Server) -> None:
    """Who waits for a result is told by a channel, and workers are asked by another one."""
    celery = pytest.importorskip("celery", reason="Celery is not installed")
    worker = pytest.importorskip("celery.contrib.testing.worker")
    app = celery.Celery("tasks", broker=_url(server), backend=_url(server))

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    with redis.Redis(host="127.0.0.1", port=server.port) as client:
        client.config_resetstat()
        with worker.start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=wait_seconds_max):
            results = [add.delay(number, number) for number in range(5)]
            assert [result.get(timeout=wait_seconds_max) for result in results] == [0, 2, 4, 6, 8]
            assert _calls(client, "subscribe") >= 1
            assert _calls(client, "publish") >= 5
            # The worker asks to hear commands beside the first task that it takes, and waits for no answer.
            eventually(lambda: _calls(client, "psubscribe") >= 1, "the worker hears commands")
            answers = app.control.broadcast("ping", reply=True, timeout=wait_seconds_max, limit=1)
            assert [list(answer.values()) for answer in answers] == [[{"ok": "pong"}]]


def test_rq_workers_are_told_to_stop_jobs_and_themselves(server: Server, tmp_path: Any) -> None:
    """Commands to a worker, which listens to a channel of its own."""
    rq = pytest.importorskip("rq", reason="RQ is not installed")
    commands = pytest.importorskip("rq.command")
    with redis.Redis(host="127.0.0.1", port=server.port) as connection:
        queue = rq.Queue(connection=connection)
        job = queue.enqueue("time.sleep", 3600)
        line = [sys.executable, "-m", "rq.cli", "worker", "--url", _url(server), "--name", "one", "default"]
        with (
            (tmp_path / "log").open("w+") as log,
            # It may kill all of its process group.
            subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True) as worker,
        ):
            try:
                eventually(lambda: job.get_status() == "started", "the job has begun")
                # It has asked to hear commands before, and waits for no answer.
                eventually(lambda: len(connection.pubsub_channels("rq:pubsub:*")) == 1, "the worker hears commands")
                commands.send_stop_job_command(connection, job.id)
                eventually(lambda: job.get_status() == "stopped", "the job was stopped")
                commands.send_shutdown_command(connection, "one")
                assert worker.wait(wait_seconds_max) == 0
            finally:
                worker.kill()


async def _use_layers(make: Callable[[], Any], subscribed: Callable[[], bool]) -> None:
    """Two processes' layers: groups, and a channel of one of them."""
    first, second = make(), make()
    channel = await second.new_channel()
    await second.group_add("group", channel)
    # The layer does not wait for the answers to SUBSCRIBE, and what is published meanwhile goes by.
    await asyncio.to_thread(eventually, subscribed, "the layer hears its channel and its group")
    for number in range(3):
        await first.group_send("group", {"type": "news", "number": number})
        heard = await asyncio.wait_for(second.receive(channel), wait_seconds_max)
        assert heard == {"type": "news", "number": number}
    await first.send(channel, {"type": "direct"})
    assert await asyncio.wait_for(second.receive(channel), wait_seconds_max) == {"type": "direct"}
    await second.group_discard("group", channel)
    await first.group_send("group", {"type": "lost"})
    await first.send(channel, {"type": "last"})
    assert await asyncio.wait_for(second.receive(channel), wait_seconds_max) == {"type": "last"}
    for layer in (first, second):
        await layer.flush()
        if hasattr(layer, "close_pools"):
            await layer.close_pools()


@pytest.mark.parametrize(("module", "layer"), [("core", "RedisChannelLayer"), ("pubsub", "RedisPubSubChannelLayer")])
def test_channels_reach_other_processes(server: Server, module: str, layer: str) -> None:
    """Django's channels over sorted sets and scripts, and over Pub/Sub."""
    layers = pytest.importorskip(f"channels_redis.{module}", reason="channels_redis is not installed")
    names = 2 if module == "pubsub" else 0
    with server.wire() as wire:
        asyncio.run(
            _use_layers(
                lambda: getattr(layers, layer)(hosts=[_url(server)]),
                lambda: len(wire.value("PUBSUB", "CHANNELS", "asgi*")) == names,
            )
        )
