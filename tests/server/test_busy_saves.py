"""A script that never ends keeps snapshots waiting, and nothing else: SHUTDOWN NOSAVE ends the server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.protocol.test_limits import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.sherd_only

# It has written, so that SCRIPT KILL does not end it.
endless = "redis.call('SET', 'k', 'v') while true do end"


@pytest.mark.parametrize("wanted_by", ["a save point", "SIGTERM", "SHUTDOWN"])
def test_a_snapshot_waits_for_a_busy_script_without_the_control_plane(wanted_by: str) -> None:
    directives = {"save": "1 1" if wanted_by == "a save point" else "3600 1", "busy-reply-threshold": "100"}
    with Server(directives=directives) as server, server.wire() as caller, server.wire() as client:
        client.call("SET", "changed", "1")
        caller.write("EVAL", endless, "0")
        eventually(lambda: client.call("GET", "k").raw.startswith(b"-BUSY"), "the script is busy")
        assert server.process is not None
        if wanted_by == "SIGTERM":
            server.process.send_signal(signal.SIGTERM)
        elif wanted_by == "SHUTDOWN":
            client.write("SHUTDOWN")
        with server.wire() as other:
            for _ in range(30):
                assert not other.call("INFO", "server").is_error
                time.sleep(0.1)
            other.write("SHUTDOWN", "NOSAVE")
            assert server.process.wait(timeout=20) == 0
