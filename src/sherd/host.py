"""The process as the machine sees it: readiness for systemd, OOM score, group of the Unix socket.

Small duties that configuration asks for and that need nothing of the server but to be called: `announce_start` once it
serves, `announce_stop` when it goes. None of them may keep a server from serving: what the system refuses is a warning.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

import structlog

from sherd.config import Config
from sherd.errors import ConfigApplyError

_log = structlog.get_logger()
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_OOM_SCORE_LIMIT = 1000
_PRIMARY = 0


class Host:
    """What a supervisor and the kernel are told of one run of the server."""

    def __init__(self, config: Config, oom_score: Path = _OOM_SCORE) -> None:
        self._config = config
        self._oom_score = oom_score
        self._oom_score_before = _read_score(oom_score)

    def announce_start(self) -> None:
        """Set the OOM score and tell a supervisor that the server is ready."""
        if self._config.get_str("oom-score-adj") != "no":
            with contextlib.suppress(ConfigApplyError):
                self._adjust_oom_score()
        self._config.add_listener(self._config_changed)
        if self._supervised():
            notify_supervisor(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=Serving")

    def announce_stop(self) -> None:
        """Tell the supervisor that the server is about to go."""
        if self._supervised():
            notify_supervisor("STOPPING=1")

    def _supervised(self) -> bool:
        return self._config.get_str("supervised") in ("systemd", "auto")

    def _config_changed(self, changed: frozenset[str]) -> None:
        if changed & {"oom-score-adj", "oom-score-adj-values"}:
            self._adjust_oom_score()

    def _adjust_oom_score(self) -> None:
        mode = self._config.get_str("oom-score-adj")
        score = self._oom_score_before
        if mode != "no":
            wanted = int(self._config.get_tuple("oom-score-adj-values")[_PRIMARY])
            score = wanted if mode == "absolute" else score + wanted
        score = max(-_OOM_SCORE_LIMIT, min(_OOM_SCORE_LIMIT, score))
        try:
            self._oom_score.write_text(str(score))
        except OSError as error:
            reason = "Failed to apply new oom_score_adj configuration, check server logs."
            _log.warning("OOM score not set", score=score, reason=error.strerror)
            raise ConfigApplyError("oom-score-adj", reason) from error


def _read_score(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def notify_supervisor(message: str) -> bool:
    """Send a state to the socket that systemd names in NOTIFY_SOCKET; False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    address = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
            notices.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("supervisor not told", reason=error.strerror)
        return False
    return True


def set_socket_group(path: str, group: str) -> None:
    """Give a Unix socket's file to a group; ConfigApplyError where the group is unknown or the system refuses."""
    try:
        shutil.chown(path, group=group)
    except (LookupError, OSError) as error:
        raise ConfigApplyError("unixsocketgroup", str(error)) from error
