"""Fixtures that every suite shares: the server pool, and parameters for shards and protocol.

`server` and `wire` are looped over one and four shards, `wire` over RESP2 and RESP3 too, so a plain test states one
behaviour and is run four times. Servers live for the whole session; see `tests.support.servers`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.references import best_reference
from tests.support.servers import (
    Server,
    ServerPool,
    Shape,
    log_tail_bytes,
    remove_directories,
    stand_in_command,
    started,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.support.wire import Wire

# "ci" is bounded and repeatable; SHERD_TEST_PROFILE=deep looks for new failures and takes as long as it takes.
hypothesis.settings.register_profile(
    "ci",
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.register_profile(
    "deep",
    max_examples=int(os.environ.get("SHERD_TEST_EXAMPLES", "3000")),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis_profile = os.environ.get("SHERD_TEST_PROFILE", "ci")
hypothesis.settings.load_profile(hypothesis_profile)

# A machine behind a proxy must not ask it for what this machine itself serves.
_own_hosts = "127.0.0.1,localhost"
_elsewhere = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{_elsewhere},{_own_hosts}" if _elsewhere else _own_hosts

# Of a failure when it happens; the summary has all of it.
failure_characters = 4000

shapes = {"1-shard": Shape(shards=1, io_threads=2), "4-shards": Shape(shards=4, io_threads=4)}


class FailuresAtOnce:
    """Shows a failure when it happens, since a run that is cut comes to no summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            reporter.write_line(f"\nFAILED {report.nodeid} in its {report.when}")
            reporter.write_line(report.longreprtext[-failure_characters:])


def pytest_configure(config: pytest.Config) -> None:
    """Declares the markers, since the configuration insists on declared ones."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))
    config.addinivalue_line("markers", "sherd_only: states something that no stand-in does")
    config.addinivalue_line("markers", "needs_reference(name): compares with a real server")


def pytest_sessionfinish() -> None:
    """Leaves nothing behind of servers that were not to start, or were killed."""
    remove_directories()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what a stand-in cannot show, when one is tried."""
    if stand_in_command() is None:
        return
    for item in items:
        if item.get_closest_marker("sherd_only"):
            item.add_marker(pytest.mark.skip(reason="a stand-in is tried, and this is about Sherd"))


_pool = ServerPool()


@pytest.fixture(scope="session")
def pool() -> Iterator[ServerPool]:
    """The servers of this session."""
    yield _pool
    _pool.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the servers' last lines to the report of a failed test."""
    report = yield
    used = list(_pool.drain_used()) if report.when == "teardown" else list(_pool.in_use)
    # Also those that are a test's own, and have ended by now.
    used += [server for server in started if server not in used]
    if report.when == "teardown":
        started.clear()
    if report.failed:
        for server in used:
            name = f"{server.program.name} on port {server.port}, running: {server.is_running()}"
            report.sections.append((name, server.log()[-log_tail_bytes:]))
    # What was printed may be no text, and between the processes of a parallel run only text can be sent.
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(params=list(shapes))
def shape(request: pytest.FixtureRequest) -> Shape:
    """One shard, and four."""
    if stand_in_command() is not None and request.param != "1-shard":
        pytest.skip("a stand-in has no shards")
    return shapes[request.param]


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request: pytest.FixtureRequest) -> int:
    """RESP2 and RESP3."""
    version: int = request.param
    return version


@pytest.fixture
def server(pool: ServerPool, shape: Shape) -> Server:
    """A shared, empty server with default configuration."""
    return pool.get(shape=shape)


@pytest.fixture
def wire(server: Server, protocol: int) -> Iterator[Wire]:
    """A fresh connection to `server`."""
    with server.wire(protocol=protocol) as connection:
        yield connection


@pytest.fixture
def reference(pool: ServerPool) -> Server:
    """The closest reference that this machine has, shared and empty."""
    program = best_reference()
    if program is None:
        pytest.skip("no reference server on this machine (tests/compat/install_references.sh installs them)")
    return pool.get(program)
