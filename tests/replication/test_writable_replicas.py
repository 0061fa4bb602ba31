"""What clients write to a replica (`replica-read-only no`) that expires, the replica removes itself.

The story: all keys were left to the primary, which knows nothing of these, so they were never removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.support import SHAPE_NAMES, SHAPES, await_equal, await_link, eventually, replica_of
from tests.support.references import need_reference
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

writable = {"replica_read_only": "no", "enable_debug_command": "yes"}
names = ["sherd", "redis8", "valkey9"]

# Stands for that of a text.
payload = b"PAYLOAD"

# Commands that give keys an expiry, each its own, and how many.
giving = [
    ("SET", "{k}1", "v", "PX", "1000"),
    ("PSETEX", "{k}2", "1000", "v"),
    ("GETEX", "{k}of", "PX", "1000"),
    ("PEXPIRE", "{k}list", "1000"),
    ("RESTORE", "{k}3", "1000", payload),
    ("COPY", "{k}1", "{k}4"),
    ("RENAME", "{k}2", "{k}5"),
    ("EVAL", "redis.call('SET', KEYS[1], 'v', 'PX', 1000)", "1", "{k}6"),
    ("INCREX", "{k}7", "PX", "1000"),
    ("MSETEX", "2", "{k}8", "v", "{k}9", "v", "PX", "1000"),
    ("MOVE", "{k}6", "1"),
]


def tracked(wire: Wire) -> int:
    return int(info_field(wire, "stats", "slave_expires_tracked_keys") or 0)


def serve(name: str, primary: Server, shape: Shape | None = None, **directives: str) -> Server:
    if name == "sherd":
        return replica_of(primary.port, shape, **writable, **directives)
    named = {key.replace("_", "-"): value for key, value in {**writable, **directives}.items()}
    return Server(need_reference(name), directives={"replicaof": f"127.0.0.1 {primary.port}", **named})


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
@pytest.mark.parametrize("name", names)
def test_keys_of_its_own_expire_and_those_of_the_primary_wait_for_it(name: str, shape: Shape) -> None:
    with (
        Server(directives={"repl-diskless-sync-delay": "0", "enable-debug-command": "yes"}) as primary,
        serve(name, primary, shape) as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        # It does not tell that it has expired.
        ours.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        ours.call("SET", "of the primary", "v", "PX", "1000")
        ours.call("SET", "taken over", "v")
        eventually(lambda: theirs.value("DBSIZE") == 2, "they are there")
        theirs.call("SET", "lasting", "v")
        theirs.call("SET", "short", "v", "PX", "1000")
        theirs.call("PEXPIRE", "taken over", "1000")
        assert tracked(theirs) == 2
        eventually(lambda: theirs.value("DBSIZE") == 2, "those of its own have gone")
        assert theirs.value("EXISTS", "lasting") == 1
        assert theirs.value("KEYS", "*") == [b"lasting"], "the primary's has expired for readers"
        eventually(lambda: tracked(theirs) == 0, "they are forgotten")


def test_whatever_gives_a_key_its_expiry() -> None:
    with (
        Server(directives={"repl-diskless-sync-delay": "0"}) as primary,
        serve("sherd", primary) as replica,
        replica.wire() as wire,
    ):
        await_link(wire)
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        wire.call("SET", "{k}of", "v")
        wire.call("RPUSH", "{k}list", "v")
        dumped = wire.value("DUMP", "{k}of")
        for words in giving:
            command = [dumped if word is payload else word for word in words]
            assert not wire.call(*command).is_error, command
        assert (wire.value("DBSIZE"), tracked(wire)) == (9, 12), "two are elsewhere now"
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        for database in ("0", "1"):
            wire.call("SELECT", database)
            eventually(lambda: wire.value("DBSIZE") == 0, "all have gone")
        eventually(lambda: tracked(wire) == 0, "the names are forgotten")


def test_a_replica_s_own_names_are_forgotten_with_its_data_and_its_role() -> None:
    with (
        Server(directives={"repl-diskless-sync-delay": "0", "enable-debug-command": "yes"}) as primary,
        serve("sherd", primary) as replica,
        primary.wire() as ours,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        theirs.call("SET", "k", "own", "EX", "1000")
        assert tracked(theirs) == 1
        ours.call("SET", "k", "v", "EX", "1000")
        ours.call("CLIENT", "KILL", "TYPE", "replica")
        theirs.call("REPLICAOF", "NO", "ONE")
        eventually(lambda: tracked(theirs) == 0, "all keys are its own")
        theirs.call("SET", "other", "v")
        assert theirs.call("REPLICAOF", "127.0.0.1", str(primary.port)).raw == b"+OK\r\n"
        await_link(theirs)
        await_equal(ours, theirs)
        assert tracked(theirs) == 0
