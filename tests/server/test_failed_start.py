"""A start that fails leaves its reason where it is looked for, and one that works says what it will not do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.servers import Server, sherd_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

run_timeout_seconds = 60
wait_seconds_max = 60.0


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*sherd_command(), "serve", "--metrics-port", "0", "--bind", "127.0.0.1", *arguments],
        capture_output=True, text=True, timeout=run_timeout_seconds, env=os.environ, check=False,
    )  # fmt: skip


def _failure_in(log: Path) -> dict[str, Any]:
    """The line that tells why, once it is there."""
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        if log.exists():
            for line in log.read_text().splitlines():
                record: dict[str, Any] = json.loads(line)
                if record["event"] == "the server cannot start":
                    return record
        time.sleep(0.05)
    raise AssertionError("no reason in the log")


def test_a_port_that_is_taken_is_told_in_the_log_of_a_server_in_the_background(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _serve("--port", port, "--daemonize", "yes", "--logfile", str(log), "--log-format", "json")
        record = _failure_in(log)
    assert record["reason"] == f"cannot listen on 127.0.0.1:{port}: Address already in use ('port' names another one)"
    assert record["level"] == "warning"
    assert record["timestamp"]


def test_a_failure_is_told_in_the_log_and_on_the_standard_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    finished = _serve(
        "--port", "0", "--unixsocket", str(tmp_path / "none" / "s"), "--logfile", str(log), "--log-format", "json"
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("sherd: cannot listen on the Unix socket")
    assert finished.stderr.count("\n") == 1
    assert _failure_in(log)["reason"] == finished.stderr.removeprefix("sherd: ").rstrip("\n")


def test_a_bad_directive_is_told_in_the_log_file_that_another_line_names(tmp_path: Path) -> None:
    log, file = tmp_path / "log", tmp_path / "redis.conf"
    file.write_text(f"maxmemory lots\nlogfile {log}\nlog-format json\n")
    finished = subprocess.run(
        [*sherd_command(), "serve", str(file)], capture_output=True, text=True, timeout=run_timeout_seconds, check=False
    )
    reason = f"{file}:1: 'maxmemory lots': argument must be a memory value"
    assert (finished.returncode, finished.stderr) == (1, f"sherd: {reason}\n")
    assert _failure_in(log)["reason"] == reason


def test_a_log_file_that_cannot_be_opened_is_told_before_the_terminal_is_left(tmp_path: Path) -> None:
    path = tmp_path / "none" / "log"
    finished = _serve("--port", "0", "--unixsocket", str(tmp_path / "s"), "--daemonize", "yes", "--logfile", str(path))
    assert finished.returncode == 1
    assert finished.stderr == f"sherd: can't open the log file '{path}': No such file or directory\n"


@pytest.mark.parametrize(("arguments", "told"), [((), True), (("--save", ""), False)])
def test_a_start_says_once_that_nothing_is_saved_unless_that_is_meant(
    tmp_path: Path, arguments: tuple[str, ...], told: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        output = _serve("--port", str(taken.getsockname()[1]), *arguments).stdout
    assert output.count("nothing is saved to disk") == int(told)


def test_a_start_names_directives_without_effect() -> None:
    with Server(directives={"dynamic-hz": "no", "repl-timeout": "60"}) as server:
        lines = [line for line in server.log().splitlines() if "directives without effect" in line]
        assert len(lines) == 1
        assert "dynamic-hz" in lines[0]
        assert "repl-timeout" not in lines[0], "it says what holds anyway"
        with server.wire() as wire:
            assert wire.call("CONFIG", "SET", "list-compress-depth", "1", "hz", "20").raw == b"+OK\r\n"
        assert "list-compress-depth" in server.log().splitlines()[-1]


def test_a_snapshot_that_cannot_be_looked_at_is_not_taken_for_none(tmp_path: Path) -> None:
    """Whoever may not look into a folder does not know that nothing is there."""
    (tmp_path / "dump.rdb").symlink_to("dump.rdb")
    for name in ("dump.rdb", "n" * 300):
        finished = _serve("--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path),
                          "--dbfilename", name)  # fmt: skip
        assert finished.returncode == 1
        assert finished.stderr.startswith(f"sherd: cannot read {tmp_path / name}: ")
        assert finished.stderr.count("\n") == 1
