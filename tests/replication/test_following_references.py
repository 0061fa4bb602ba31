"""Sherd follows Redis 7.0, Redis 8.0 and Valkey 9.1: everything that they have and write is here as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_limits import info_field
from tests.replication.proxy import Proxy
from tests.replication.support import (
    SHAPE_NAMES,
    SHAPES,
    Writer,
    await_equal,
    await_link,
    eventually,
    fill,
    replica_of,
    write_some,
)
from tests.support.references import need_reference
from tests.support.servers import Server

if TYPE_CHECKING:
    from tests.support.servers import Shape

pytestmark = pytest.mark.sherd_only


def primary(name: str, **directives: str) -> Server:
    named = {key.replace("_", "-"): value for key, value in directives.items()}
    common = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "maxclients": "400"}
    # What a quick writer writes while a replica lets a second go by before it comes back.
    backlog = {"repl-backlog-size": "64mb"}
    return Server(need_reference(name), directives={**common, **backlog, **named})


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["diskless", "by-file"])
def test_a_replica_gets_all_data_and_what_is_written_meanwhile(
    reference_name: str, diskless: str, shape: Shape
) -> None:
    """The snapshot comes with an unknown length or with a known one; writes go on before, during and after it."""
    with primary(reference_name, repl_diskless_sync=diskless) as server, server.wire() as ours:
        fill(ours)
        with Writer(server) as writer, replica_of(server.port, shape) as replica, replica.wire() as wire:
            await_link(wire)
            seen = writer.written
            eventually(lambda: writer.written > seen + 20, "writes go on")
        with replica_of(server.port, shape) as replica, replica.wire() as wire:
            await_link(wire)
            for number in range(100):
                write_some(ours, number)
            await_equal(ours, wire)
            assert info_field(wire, "stats", "unexpected_error_replies") == "0"
            assert info_field(ours, "replication", "connected_slaves") == "1"


def test_a_link_that_is_cut_goes_on_where_it_was(reference_name: str) -> None:
    """Without a second snapshot, as the backlog of the primary still has what is missing."""
    with primary(reference_name) as server, server.wire() as ours, Proxy(("127.0.0.1", server.port)) as proxy:
        fill(ours)
        with replica_of(proxy.port) as replica, replica.wire() as wire:
            await_link(wire)
            with Writer(server) as writer:
                for round_number in range(3):
                    seen = writer.written
                    eventually(lambda seen=seen: writer.written > seen + 10, "writes go on")  # type: ignore[misc]
                    connections = proxy.connections
                    proxy.cut()
                    eventually(lambda connections=connections: proxy.connections > connections, "it connects again")  # type: ignore[misc]
                    await_link(wire)
                    assert round_number < 3
            await_equal(ours, wire)
            assert info_field(ours, "stats", "sync_full") == "1"
            assert int(info_field(ours, "stats", "sync_partial_ok")) >= 3


def test_a_link_that_is_cut_at_random_bytes_loses_nothing(reference_name: str) -> None:
    """In the middle of commands, of transactions and of snapshots."""
    with primary(reference_name) as server, server.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", server.port), (2_000, 60_000), seed=3) as proxy,
            replica_of(proxy.port) as replica,
            replica.wire() as wire,
        ):
            with Writer(server):
                eventually(lambda: proxy.cuts >= 5, "the link is cut again and again")
            proxy.cut_after = None
            proxy.cut()
            await_link(wire)
            await_equal(ours, wire)


def test_a_password_is_told_and_a_wrong_one_keeps_the_link_down(reference_name: str) -> None:
    with primary(reference_name, requirepass="secret") as server, server.wire() as ours:
        assert ours.call("AUTH", "secret").raw == b"+OK\r\n"
        ours.call("SET", "a", "1")
        with replica_of(server.port, masterauth="wrong") as replica, replica.wire() as wire:
            eventually(lambda: "AUTH was answered" in replica.log(), "the password is refused")
            assert info_field(wire, "replication", "master_link_status") == "down"
            wire.call("CONFIG", "SET", "masterauth", "secret")
            await_link(wire)
            assert wire.value("GET", "a") == b"1"
