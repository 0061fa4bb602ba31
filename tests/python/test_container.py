"""The container's entrypoint and health check follow the conventions that people know from the Redis image."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BASH = shutil.which("bash") or "/bin/bash"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Programs that print how they were called; `id` says that the caller is `$STUB_UID`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    programs = {
        "sherd": 'echo "sherd $* protected=${SHERD_PROTECTED_MODE-unset} umask=$(umask)"',
        "setpriv": 'echo "setpriv $*"',
        "find": "true",
        "id": 'echo "$STUB_UID"',
    }
    for name, body in programs.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return directory


def entrypoint(stubs: Path, *arguments: str, uid: str = "999", **environment: str) -> str:
    result = subprocess.run(
        [BASH, str(DEPLOY / "entrypoint.sh"), *arguments],
        env={"PATH": f"{stubs}:{os.environ['PATH']}", "STUB_UID": uid, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "sherd serve protected=no umask=0077"),
        (("serve",), "sherd serve protected=no umask=0077"),
        (("--maxmemory", "1gb"), "sherd serve --maxmemory 1gb protected=no umask=0077"),
        (("/etc/redis.conf", "--port", "7"), "sherd serve /etc/redis.conf --port 7 protected=unset umask=0077"),
        (("sherd", "serve", "--port", "7"), "sherd serve --port 7 protected=no umask=0077"),
    ],
)
def test_arguments_go_to_the_server(stubs: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert entrypoint(stubs, *arguments) == expected


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_do_not_serve(stubs: Path, argument: str) -> None:
    assert entrypoint(stubs, argument).startswith(f"sherd {argument} ")


def test_anything_else_is_a_command_of_its_own(stubs: Path) -> None:
    assert entrypoint(stubs, "echo", "hello") == "hello"


@pytest.mark.parametrize("variable", ["SHERD_REQUIREPASS", "REDIS_PASSWORD_FILE", "SHERD_PROTECTED_MODE"])
def test_protected_mode_stays_as_it_is_once_somebody_decided(stubs: Path, variable: str) -> None:
    output = entrypoint(stubs, **{variable: "yes"})
    assert "protected=no" not in output


def test_root_gives_up_its_rights(stubs: Path) -> None:
    assert entrypoint(stubs, "--port", "7", uid="0") == (
        "setpriv --reuid=sherd --regid=sherd --clear-groups --no-new-privs sherd serve --port 7"
    )


class _Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Keep the test's output quiet."""


@pytest.fixture
def health() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def check(port: int) -> int:
    environment = {"PATH": os.environ["PATH"], "SHERD_METRICS_PORT": str(port)}
    return subprocess.run(
        [BASH, str(DEPLOY / "healthcheck.sh")], env=environment, capture_output=True, check=False
    ).returncode


def test_the_health_check_asks_healthz(health: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = health.server_address[1]
    assert check(port) == 0
    monkeypatch.setattr(_Health, "status", 503)
    assert check(port) != 0


def test_the_health_check_fails_where_nobody_listens(health: http.server.HTTPServer) -> None:
    port = health.server_address[1]
    health.server_close()
    assert check(port) != 0


def test_the_health_check_passes_where_metrics_are_off() -> None:
    assert check(0) == 0
