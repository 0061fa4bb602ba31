"""The examples of the README do what it says beside them, as they would be pasted."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

redis = pytest.importorskip("redis", reason="redis-py is not installed")
pytestmark = pytest.mark.sherd_only

readme = (Path(__file__).parents[2] / "README.md").read_text()
run_timeout_seconds = 60


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def _sessions() -> list[tuple[str, str]]:
    """Command lines of the shell with what they print."""
    parts = [part for block in _blocks("") if block.startswith("$ ") for part in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


@pytest.fixture
def started() -> Iterator[tuple[Server, int]]:
    """A server with its metrics page, on ports of their own instead of the usual ones."""
    metrics_port = free_port()
    with Server(environment={}, directives={}) as server:
        with server.wire() as wire:
            assert wire.call("CONFIG", "SET", "metrics-port", str(metrics_port)).raw == b"+OK\r\n"
        yield server, metrics_port


def test_the_shell_session_prints_what_the_readme_shows(started: tuple[Server, int]) -> None:
    server, metrics_port = started
    sessions = _sessions()
    assert len(sessions) >= 3
    for command, output in sessions:
        program = command.split()[0]
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        here = command.replace("redis-cli", f"redis-cli -p {server.port} --no-raw").replace("9121", str(metrics_port))
        finished = subprocess.run(
            ["bash", "-c", here], capture_output=True, text=True, timeout=run_timeout_seconds, check=True
        )
        assert finished.stdout == output if output else finished.stdout, command


# Commands of one's own are tried in tests/server/test_python_command_examples.py.
@pytest.mark.parametrize(
    "example",
    [block for block in _blocks("python") if "@sherd.command" not in block],
    ids=["with a server", "with its own server"],
)
def test_the_python_examples_run(example: str, started: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    if "sherd.Server" not in example:
        monkeypatch.setattr(redis, "Redis", functools.partial(redis.Redis, port=started[0].port))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(example, "README.md", "exec"), {})
    assert printed.getvalue().startswith("[")
