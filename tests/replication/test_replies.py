"""What commands about replication answer, compared with the references: replies, errors, and the fields of INFO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.replication.support import SHAPES, await_link, eventually, replica_of
from tests.support.references import need_reference
from tests.support.servers import Server

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

REQUESTS = [
    "REPLICAOF",
    "REPLICAOF a",
    "REPLICAOF 127.0.0.1 abc",
    "REPLICAOF 127.0.0.1 70000",
    "REPLICAOF 127.0.0.1 -1",
    "REPLICAOF NO ONE",
    "SLAVEOF no one",
    "REPLCONF",
    "REPLCONF listening-port",
    "REPLCONF listening-port abc",
    "REPLCONF listening-port 7000",
    "REPLCONF capa eof capa psync2",
    "REPLCONF capa nobody-knows-it",
    "REPLCONF ip-address 10.0.0.1",
    "REPLCONF ip-address cache-0.cache-headless.production.svc.cluster.local",
    "REPLCONF rdb-only 2",
    "REPLCONF rdb-only abc",
    "REPLCONF rdb-filter-only nonsense",
    "REPLCONF getack",
    "REPLCONF nonsense 1",
    "PSYNC",
    "PSYNC ?",
    "PSYNC ? abc",
    "PSYNC ? -1 FAILOVER",
    "FAILOVER",
    "FAILOVER ABORT",
    "FAILOVER NOW",
    "FAILOVER TIMEOUT",
    "FAILOVER TIMEOUT 0",
    "FAILOVER TIMEOUT 10",
    "FAILOVER TO 127.0.0.1",
    "FAILOVER TO 127.0.0.1 7000 FORCE",
    "FAILOVER ABORT TIMEOUT 10",
    "ROLE",
    "ROLE now",
    "WAIT 0 0",
    "WAIT 1 10",
]


@pytest.fixture
def other(reference_name: str) -> Server:
    program = need_reference(reference_name)
    assert program is not None
    server = Server(program, directives={"maxclients": "400"})
    yield server  # type: ignore[misc]
    server.stop()


@pytest.mark.parametrize("shape", SHAPES, ids=["1-shard", "4-shards"])
def test_replies_of_a_primary_are_those_of_the_references(other: Server, shape: object) -> None:
    with Server(shape=shape) as server, server.wire() as ours, other.wire() as theirs:  # type: ignore[arg-type]
        different = []
        for request in REQUESTS:
            words = request.split()
            mine, real = ours.call(*words).raw, theirs.call(*words).raw
            if mine != real:
                different.append((request, mine, real))
        assert different == []


def fields(wire: Wire, *, drop: frozenset[str] = frozenset()) -> list[str]:
    text: str = wire.value("INFO", "replication").decode()
    return [line.partition(":")[0] for line in text.splitlines() if ":" in line and line.partition(":")[0] not in drop]


# Fields that one of the servers has and another has not.
_OF_SOME = frozenset(
    {
        "replicas_waiting_psync",
        "master_client_id",
        "replicas_repl_buffer_size",
        "replicas_repl_buffer_peak",
        "replica_full_sync_buffer_size",
        "replica_full_sync_buffer_peak",
    }
)


def test_info_has_the_fields_of_the_references_in_their_order(reference_name: str) -> None:
    """Of a primary with a replica, and of a replica whose link is up, and one whose link is down."""
    with (
        Server(
            need_reference(reference_name), directives={"repl-diskless-sync-delay": "0", "maxclients": "400"}
        ) as top,
        top.wire() as theirs,
        replica_of(top.port) as replica,
        replica.wire() as ours,
        Server(directives={"repl-diskless-sync-delay": "0"}) as server,
        server.wire() as mine,
        Server(
            need_reference(reference_name),
            directives={"replicaof": f"127.0.0.1 {server.port}", "maxclients": "400"},
        ) as follower,
        follower.wire() as real,
    ):
        await_link(ours)
        await_link(real)
        eventually(lambda: "slave0" in fields(mine), "it is there")
        assert fields(mine, drop=_OF_SOME) == fields(theirs, drop=_OF_SOME)
        assert set(fields(real, drop=_OF_SOME)) <= set(fields(ours, drop=_OF_SOME))
        assert ours.value("ROLE")[:4] == [b"slave", b"127.0.0.1", top.port, b"connected"]
        assert real.value("ROLE")[:4] == [b"slave", b"127.0.0.1", server.port, b"connected"]
        for protocol in ("3", "2"):
            # Of the pairs of HELLO the role is the sixth.
            greetings = [wire.call("HELLO", protocol).value for wire in (ours, real)]
            roles = [list(each.items())[5] if isinstance(each, dict) else tuple(each[10:12]) for each in greetings]
            assert roles == [(b"role", b"replica")] * 2
        refusal = b"-READONLY You can't write against a read only replica.\r\n"
        assert ours.call("SET", "a", "1").raw == real.call("SET", "a", "1").raw == refusal
        told = b"-ERR WAIT cannot be used with replica instances."
        assert all(wire.call("WAIT", "0", "0").raw.startswith(told) for wire in (ours, real))
        assert ours.call("FAILOVER").raw == real.call("FAILOVER").raw
        for wire, port in ((ours, top.port), (real, server.port)):
            already = wire.call("REPLICAOF", "127.0.0.1", str(port)).raw
            assert already == b"+OK Already connected to specified master\r\n"
