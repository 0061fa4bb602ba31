"""A script that is busy for ever does not stop the control plane, whatever others ask of it that needs the script's shards.

EXEC of a transaction with control commands, and commands that ask for shards by themselves, were waited for by the loop that
answers INFO, CONFIG and the probes of Kubernetes.
"""

from __future__ import annotations

import pytest

from tests.replication.support import eventually
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

pytestmark = pytest.mark.sherd_only
endless = "while true do end"
transaction = [("MULTI",), ("CONFIG", "GET", "port"), ("SET", "k", "v"), ("CLUSTER", "COUNTKEYSINSLOT", "1"), ("EXEC",)]
waiting = {
    "transaction": transaction,
    "transaction that waits": [("MULTI",), ("SET", "k", "v"), ("CONFIG", "REWRITE"), ("EXEC",)],
    "slots": [("CLUSTER", "COUNTKEYSINSLOT", "1")],
    "all slots": [("CLUSTER", "SLOT-STATS", "ORDERBY", "KEY-COUNT")],
    "keys of a slot": [("CLUSTER", "GETKEYSINSLOT", "1", "10")],
}


@pytest.mark.parametrize("what", waiting)
def test_who_waits_for_its_shards_stops_nobody_else(shape: Shape, what: str) -> None:
    with Server(shape=shape) as server, server.wire() as busy, server.wire() as other:
        busy.write("EVAL", endless, "0")
        waiters = [server.wire() for _ in range(8)]
        try:
            for waiter in waiters:
                waiter.send(b"".join(encode_command(*each) for each in waiting[what]))
            for _ in range(3):
                assert other.value("INFO", "server").startswith(b"# Server")
                assert other.value("CONFIG", "GET", "databases") == [b"databases", b"16"]
            # It may only have begun.
            eventually(lambda: other.call("SCRIPT", "KILL").raw == b"+OK\r\n", "it is killed")
            assert busy.read().raw.startswith(b"-")
            for waiter in waiters:
                replies = [waiter.read() for _ in waiting[what]]
                assert len(replies) == len(waiting[what])
            assert other.value("INFO", "server").startswith(b"# Server")
            if what == "transaction":
                assert other.value("GET", "k") == b"v"
        finally:
            for waiter in waiters:
                waiter.close()


def test_a_transaction_that_waits_for_a_script_ends_with_its_server(shape: Shape) -> None:
    with Server(shape=shape) as server, server.wire() as busy, server.wire() as waiter, server.wire() as other:
        busy.write("EVAL", endless, "0")
        waiter.send(b"".join(encode_command(*each) for each in transaction))
        assert other.value("INFO", "server").startswith(b"# Server")
        other.write("SHUTDOWN", "NOSAVE")
        assert server.process is not None
        assert server.process.wait(20) == 0
