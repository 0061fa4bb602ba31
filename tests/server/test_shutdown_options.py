"""shutdown-on-sigterm and shutdown-on-sigint: what a signal has saved, and what keeps the server from ending."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.replication.support import eventually
from tests.support.servers import Server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("points", "how", "is_saved"),
    [("", "default", False), ("", "save", True), ("3600 1", "default", True), ("3600 1", "nosave now", False)],
)
def test_the_options_say_whether_a_signal_saves(
    number: signal.Signals, points: str, how: str, is_saved: bool, tmp_path: Path
) -> None:
    """By default save points decide, as for SHUTDOWN."""
    directive = f"shutdown-on-{number.name.lower()}"
    with Server(directives={"dir": str(tmp_path), "save": points, directive: how}) as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        assert server.signal_and_wait(number) == 0
    assert (tmp_path / "dump.rdb").exists() == is_saved


def test_a_signal_ends_the_server_by_force_where_saving_fails(tmp_path: Path) -> None:
    """Without force the server goes on; what CONFIG SET says counts from then on."""
    with Server(directives={"dir": str(tmp_path), "save": "3600 1"}) as server, server.wire() as wire:
        assert server.process is not None
        wire.call("SET", "k", "v")
        (tmp_path / "dump.rdb").mkdir()
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "the last snapshot failed" in server.log(), "the failure was told")
        assert wire.value("CONFIG", "SET", "shutdown-on-sigterm", "force") == b"OK"
        assert server.signal_and_wait(signal.SIGTERM) == 0
