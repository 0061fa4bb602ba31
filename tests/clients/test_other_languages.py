"""Clients and programs in other languages, through small programs; skipped where the toolchain or the packages are not there.

ioredis, node-redis and go-redis in their default settings; BullMQ, asynq and Redisson, which stand on scripts, with the first
examples of their documentation.

Packages are installed once into a cache folder of the user, not into the source tree, with a bound on the time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import stand_in_command

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool, Shape

# Longer than that is not worth waiting for: the tests are skipped then.
install_timeout_seconds = 90
run_timeout_seconds = 120
node_major_min = 18
sources = Path(__file__).parent
cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sherd-tests"


def _cache_folder(name: str) -> Path:
    folder = cache / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pytest.skip(f"nowhere to install packages: {error}")  # a user without a home of its own
    return folder


def _node_major() -> int:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    return int(version.strip().removeprefix("v").partition(".")[0])


def _install(folder: Path, *command: str) -> str | None:
    """Runs an installation; the reason why it failed, or None."""
    try:
        finished = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=install_timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {install_timeout_seconds} s"
    return None if finished.returncode == 0 else (finished.stderr.strip().splitlines() or ["failed"])[-1][:200]


def _node_program(name: str, *packages: str) -> Path:
    """A Node program with its packages beside it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    if _node_major() < node_major_min:
        pytest.skip(f"the client libraries need Node {node_major_min} or later")
    folder = _cache_folder(name)
    for file in ("package.json", "main.mjs"):
        shutil.copy(sources / name / file, folder / file)
    if not all((folder / "node_modules" / package).exists() for package in packages):
        reason = _install(folder, "npm", "install", "--silent", "--no-audit", "--no-fund")
        if reason is not None:
            pytest.skip(f"the npm packages cannot be installed: {reason}")
    return folder / "main.mjs"


def _go_program(name: str) -> Path:
    """A Go program, compiled."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    folder = _cache_folder(name)
    program = folder / "client-test"
    stale = not program.exists() or program.stat().st_mtime < (sources / name / "main.go").stat().st_mtime
    if stale:
        for file in ("go.mod", "main.go"):
            shutil.copy(sources / name / file, folder / file)
        for command in (("go", "mod", "tidy"), ("go", "build", "-o", str(program), ".")):
            reason = _install(folder, *command)
            if reason is not None:
                pytest.skip(f"the {name} program cannot be built: {reason}")
    return program


@pytest.fixture(scope="session")
def node_program() -> Path:
    """The program that uses ioredis and node-redis."""
    return _node_program("node", "ioredis", "redis")


@pytest.fixture(scope="session")
def go_program() -> Path:
    """The program that uses go-redis."""
    return _go_program("go")


@pytest.fixture(scope="session")
def redisson_program() -> Path:
    """The Java program with its libraries beside it: Java compiles it when it is run."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("a JDK and Maven are not installed")
    folder = _cache_folder("redisson")
    for file in ("pom.xml", "Main.java"):
        shutil.copy(sources / "redisson" / file, folder / file)
    if not any((folder / "lib").glob("redisson-*.jar")):
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        reason = _install(folder, "mvn", "-q", "-B", copy, "-DoutputDirectory=lib")
        if reason is not None:
            pytest.skip(f"Redisson cannot be installed: {reason}")
    return folder / "Main.java"


@pytest.fixture
def ports(server: Server, pool: ServerPool, shape: Shape) -> list[str]:
    """The port of a standalone server and that of a cluster node; 0 where there is none."""
    if stand_in_command() is not None:
        return [str(server.port), "0"]
    node = pool.get(shape=shape, directives={"cluster-enabled": "yes"})
    return [str(server.port), str(node.port)]


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=run_timeout_seconds, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.strip().endswith("OK")


def test_ioredis_and_node_redis_work_with_their_defaults(node_program: Path, ports: list[str]) -> None:
    """Standalone and as cluster clients."""
    _run("node", str(node_program), *ports)


def test_go_redis_works_with_its_defaults(go_program: Path, ports: list[str]) -> None:
    """Standalone and as a cluster client."""
    _run(str(go_program), *ports)


def test_bullmq_does_jobs(server: Server) -> None:
    """Jobs at once, later, after a failure, and a flow; each step of them is a script that leaves its keys."""
    _run("node", str(_node_program("bullmq", "bullmq")), str(server.port))


def test_asynq_does_tasks(server: Server) -> None:
    """Tasks at once, later, after a failure, and one that an inspector starts."""
    _run(str(_go_program("asynq")), str(server.port))


def test_redisson_has_maps_and_locks(redisson_program: Path, server: Server) -> None:
    """A map, a lock between two clients, a semaphore, a rate limiter and a latch."""
    libraries = redisson_program.parent / "lib"
    _run("java", "-cp", f"{libraries}/*", str(redisson_program), str(server.port))
