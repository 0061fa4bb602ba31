"""Clients and programs in other languages, through small programs; skipped where the toolchain or the packages are not there.

ioredis, node-redis, go-redis, Lettuce, Jedis, redis-rs and redis-rb in their default settings; BullMQ, asynq, Sidekiq and Redisson, which
stand on scripts, with the first examples of their documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sherd.certificates import make_certificates
from tests.clients.toolchains import go_program, java_command, node_folder, ruby_command, run, rust_program
from tests.support.servers import Server, free_port, stand_in_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import ServerPool, Shape


@pytest.fixture
def ports(server: Server, pool: ServerPool, shape: Shape) -> list[str]:
    """The port of a standalone server and that of a cluster node; 0 where there is none."""
    if stand_in_command() is not None:
        return [str(server.port), "0"]
    node = pool.get(shape=shape, directives={"cluster-enabled": "yes"})
    return [str(server.port), str(node.port)]


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The port of a server that wants TLS and certificates, and the folder that has them."""
    make_certificates(tmp_path / "tls", ["localhost", "127.0.0.1"])
    tls, port = tmp_path / "tls", str(free_port())
    directives = {
        "tls-port": port, "tls-cert-file": str(tls / "server.crt"), "tls-key-file": str(tls / "server.key"),
        "tls-ca-cert-file": str(tls / "ca.crt"),
    }  # fmt: skip
    with Server(directives=directives):
        yield port, str(tls)


def test_ioredis_and_node_redis_work_with_their_defaults(ports: list[str]) -> None:
    """Standalone, as cluster clients, and as subscribers."""
    run("node", str(node_folder("node") / "main.mjs"), *ports)


def test_go_redis_works_with_its_defaults(ports: list[str]) -> None:
    """Standalone, as a cluster client, and as a subscriber."""
    run(str(go_program("go")), *ports)


@pytest.mark.sherd_only
def test_go_redis_speaks_tls(encrypted: tuple[str, str]) -> None:
    """With a certificate of its own."""
    run(str(go_program("go")), encrypted[0], "0", encrypted[1])


def test_lettuce_works_with_its_defaults(ports: list[str]) -> None:
    """Standalone, as a cluster client, and as a subscriber."""
    run(*java_command("java", "UsesLettuce"), *ports)


@pytest.mark.sherd_only
def test_lettuce_speaks_tls(encrypted: tuple[str, str]) -> None:
    """With a certificate of its own."""
    run(*java_command("java", "UsesLettuce"), encrypted[0], "0", encrypted[1])


def test_jedis_works_with_its_defaults(ports: list[str]) -> None:
    """Standalone, as a cluster client, and as a subscriber."""
    run(*java_command("java", "UsesJedis"), *ports)


def test_redis_rs_works_with_its_defaults(ports: list[str]) -> None:
    """Standalone in both protocols, as a cluster client, and as a subscriber."""
    run(str(rust_program("rust")), *ports)


def test_redis_rb_works_with_its_defaults(server: Server) -> None:
    """Values, pipelines, transactions, scripts, and as a subscriber."""
    run(*ruby_command("redis_rb.rb", "redis"), str(server.port))


def test_sidekiq_does_jobs(server: Server, tmp_path: Path) -> None:
    """Jobs at once, in bulk, later, and again after a failure, done by a process of its own."""
    command = ruby_command("sidekiq.rb", "sidekiq")
    run(*command, str(server.port), str(tmp_path / "worker.log"))


def test_bullmq_does_jobs(server: Server) -> None:
    """Jobs at once, later, after a failure, and a flow; each step of them is a script that leaves its keys."""
    run("node", str(node_folder("bullmq") / "main.mjs"), str(server.port))


def test_asynq_does_tasks(server: Server) -> None:
    """Tasks at once, later, after a failure, and one that an inspector starts."""
    run(str(go_program("asynq")), str(server.port))


def test_redisson_has_maps_and_locks(server: Server) -> None:
    """A map, a lock between two clients, a semaphore, a rate limiter and a latch."""
    run(*java_command("redisson", "Main"), str(server.port))
