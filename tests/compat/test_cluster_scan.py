"""CLUSTERSCAN compared with Valkey, which has it too."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.protocol.test_limits import eventually
from tests.support.references import find_reference, need_reference
from tests.support.servers import Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

clustered = {"cluster-enabled": "yes"}


@contextlib.contextmanager
def _cluster(pool: ServerPool, name: str, shape: Shape) -> Iterator[Wire]:
    """A cluster of one node that owns all slots."""
    program = sherd_program() if name == "sherd" else find_reference(name)
    server: Server = pool.get(program, shape=shape, directives=clustered)
    with server.wire() as wire:
        if name != "sherd" and b"cluster_slots_assigned:0" in wire.value("CLUSTER", "INFO"):
            wire.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            eventually(lambda: b"cluster_state:ok" in wire.value("CLUSTER", "INFO"), "the cluster is ready")
        wire.call("FLUSHALL")
        yield wire


def _scan(wire: Wire, *options: str) -> list[bytes]:
    """All that CLUSTERSCAN finds."""
    cursor, found = b"0", []
    for _ in range(10_000):
        cursor, part = wire.value("CLUSTERSCAN", cursor, *options)
        found += part
        if cursor == b"0":
            return sorted(set(found))
    raise AssertionError("the scan does not end")


def test_clusterscan_finds_what_valkey_finds(pool: ServerPool, shape: Shape) -> None:
    """Every key, and with a pattern, a type or a slot what belongs to it."""
    need_reference("valkey9")
    found = []
    for name in ("sherd", "valkey9"):
        with _cluster(pool, name, shape) as wire:
            wire.pipeline([("SET", f"key:{number}", "v") for number in range(200)])
            wire.pipeline([("RPUSH", f"{{tag}}:{number}", "v") for number in range(100)])
            slot = str(wire.value("CLUSTER", "KEYSLOT", "tag"))
            choices: tuple[tuple[str, ...], ...] = (
                (), ("COUNT", "50"), ("MATCH", "{tag}*"), ("MATCH", "key:1*"), ("MATCH", "key:7"), ("TYPE", "list"),
                ("SLOT", slot), ("SLOT", slot, "MATCH", "*:1*"), ("SLOT", "0"),
            )  # fmt: skip
            found.append([_scan(wire, *options) for options in choices])
    assert found[0] == found[1]
    assert len(found[0][0]) == 300


def test_clusterscan_refuses_what_valkey_refuses(pool: ServerPool, shape: Shape) -> None:
    """Word for word; also what it answers to where there is nothing to find."""
    need_reference("valkey9")
    for words in (
        "abc", "", "17", "00", "+0", "0-{06S}", "0-{06S}-x", "0-{06S}-0-1", "0 COUNT 0", "0 COUNT a", "0 SLOT",
        "0 SLOT 16384", "0 SLOT -1", "0 SLOT x", "0 SLOT 0 SLOT 1", "0-{06S}-0 SLOT 1", "0 TYPE foo", "0 FOO",
        "0 NOVALUES", "abc COUNT x", "0-{06S}-0 SLOT 0", "0-{5h4}-0 MATCH {06S}*", "0 MATCH {06S}* SLOT 9",
        "0-{06S}-0 MATCH {5h4}* SLOT 0", "0-{06S}-18446744073709551615 SLOT 0",
    ):  # fmt: skip
        replies = []
        for name in ("sherd", "valkey9"):
            with _cluster(pool, name, shape) as wire:
                replies.append(wire.call("CLUSTERSCAN", *words.split(" ")).raw)
        assert replies[0] == replies[1], words
