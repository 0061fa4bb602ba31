"""Readiness for a supervisor, OOM score, group of a socket: small duties, done when asked."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sherd.config import load_config
from sherd.errors import ConfigApplyError, ConfigSetError
from sherd.host import Host, notify_supervisor, set_socket_group


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_that_the_server_is_ready_and_that_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"@sherd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind("\0" + name[1:] if abstract else name)
        notices.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        host = Host(load_config(None, ["--supervised", "systemd"], {}))
        host.announce_start()
        host.announce_stop()
        assert notices.recv(1000) == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=Serving".encode()
        assert notices.recv(1000) == b"STOPPING=1"


def test_without_a_supervisor_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify_supervisor("READY=1")


@pytest.mark.parametrize(("mode", "score"), [("no", "100"), ("relative", "150"), ("yes", "150"), ("absolute", "50")])
def test_the_oom_score_follows_its_mode(tmp_path: Path, mode: str, score: str) -> None:
    file = tmp_path / "oom_score_adj"
    file.write_text("100")
    config = load_config(None, ["--oom-score-adj-values", "50", "200", "800"], {})
    host = Host(config, file)
    host.announce_start()
    assert file.read_text() == "100"
    config.set_many([(b"oom-score-adj", mode.encode()), (b"hz", b"20")])
    assert file.read_text() == score


def test_an_oom_score_that_the_system_refuses_is_refused_by_config_set(tmp_path: Path) -> None:
    config = load_config(None, [], {})
    host = Host(config, tmp_path / "nowhere" / "oom_score_adj")
    host.announce_start()
    with pytest.raises(ConfigSetError, match="Failed to apply new oom_score_adj configuration, check server logs"):
        config.set_many([(b"oom-score-adj", b"yes")])
    assert config.get_str("oom-score-adj") == "no"


def test_a_socket_can_be_given_to_a_group_that_exists(tmp_path: Path) -> None:
    file = tmp_path / "socket"
    file.touch()
    with pytest.raises(ConfigApplyError, match="no-such-group"):
        set_socket_group(str(file), "no-such-group")
