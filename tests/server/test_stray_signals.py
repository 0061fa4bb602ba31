"""Signals that mean nothing to Sherd: a script that asks each daemon for a new log file, or a terminal that is closed, ends no
server, whose data since the last snapshot would be lost."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_loading import go_on, start
from tests.replication.support import fill
from tests.support.servers import Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

strays = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGXFSZ]


def test_a_server_outlives_signals_that_mean_nothing_to_it() -> None:
    with Server() as server, server.wire() as wire:
        assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
        for number in strays:
            os.kill(server.pid, number)
            time.sleep(0.05)
            assert server.is_running(), f"{number.name} has ended it"
        assert wire.value("GET", "k") == b"v"


def test_so_does_one_that_is_still_loading(tmp_path: Path) -> None:
    with Server(directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        fill(wire)
        keys = wire.value("DBSIZE")
        wire.call("SAVE")
    with start(tmp_path) as server, server.wire() as wire:
        for number in strays:
            os.kill(server.pid, number)
        go_on(wire)
        assert wire.value("DBSIZE") == keys
