"""Transactions that hold commands of both planes: in order, at once, and harmless to everybody else."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tests.support.servers import Server, Shape
from tests.support.wire import Wire, encode_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.servers import ServerPool

wait_seconds_max = 20.0


def _exec(wire: Wire, *commands: Sequence[str]) -> list[object]:
    replies = wire.pipeline([("MULTI",), *commands, ("EXEC",)])
    assert not replies[-1].is_error, replies[-1].raw
    values: list[object] = replies[-1].value
    return values


def _keys(info: object) -> int:
    assert isinstance(info, bytes)
    found = re.search(rb"db0:keys=(\d+)", info)
    return int(found[1]) if found else 0


def _stat(wire: Wire, section: str, name: str) -> str:
    lines = wire.value("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)[name]


def test_info_counts_the_keys_of_its_own_transaction_as_it_goes(wire: Wire) -> None:
    writes = [(("SET", f"k{number}", "v"), ("INFO", "keyspace")) for number in range(40)]
    values = _exec(wire, *[command for pair in writes for command in pair])
    assert [_keys(info) for info in values[1::2]] == list(range(1, 41))


def test_info_counts_hits_and_the_memory_of_its_own_transaction(wire: Wire) -> None:
    before, _, _, after = _exec(wire, ("INFO",), ("SET", "k", "v" * 1_000_000), ("GET", "k"), ("INFO",))
    numbers = [
        {name: int(re.search(rb"\n%s:(\d+)" % name, text)[1]) for name in (b"keyspace_hits", b"used_memory_dataset")}  # type: ignore[arg-type, index]
        for text in (before, after)
    ]
    assert numbers[1][b"keyspace_hits"] - numbers[0][b"keyspace_hits"] == 1
    assert numbers[1][b"used_memory_dataset"] - numbers[0][b"used_memory_dataset"] > 900_000


def test_answers_of_control_commands_do_not_count_as_data(wire: Wire) -> None:
    """What INFO's text takes on its way is nobody's data, however often it is asked for."""
    _exec(wire, *[("INFO", "everything")] * 20)
    before = int(_stat(wire, "memory", "used_memory_dataset"))
    for _ in range(20):
        _exec(wire, ("PING",), *[("INFO", "everything")] * 20, ("CLIENT", "GETNAME"))
    assert int(_stat(wire, "memory", "used_memory_dataset")) - before < 20_000


def test_others_see_all_of_a_mixed_transaction_or_none_of_it(pool: ServerPool) -> None:
    server = pool.get(shape=Shape(shards=4, io_threads=2))
    with server.wire() as writer, server.wire() as reader:
        for turn in range(150):
            command = [("MULTI",), ("SET", "a", str(turn)), ("CONFIG", "GET", "maxmemory"), ("SET", "b", str(turn))]
            for each in (*command, ("EXEC",)):
                writer.write(*each)
            for _ in range(3):
                a, b = reader.value("MGET", "a", "b")
                assert a == b
            for _ in range(5):
                writer.read()


def test_two_mixed_transactions_and_questions_to_the_shards_do_not_wait_for_one_another(pool: ServerPool) -> None:
    server = pool.get(shape=Shape(shards=4, io_threads=4), directives={"cluster-enabled": "yes"})
    wires = [server.wire() for _ in range(6)]
    transaction = [("MULTI",), ("INCR", "n"), ("CLUSTER", "COUNTKEYSINSLOT", "9"), ("INFO", "keyspace"), ("EXEC",)]
    for _ in range(60):
        for number, wire in enumerate(wires):
            for command in transaction if number % 2 else [("CLUSTER", "COUNTKEYSINSLOT", "9")] * 5:
                wire.write(*command)
        for wire in wires:
            for _ in range(5):
                assert not wire.read().is_error
    assert wires[0].value("GET", "n") == b"180"
    for wire in wires:
        wire.close()


def test_commands_of_the_connection_are_answered_in_their_places(wire: Wire) -> None:
    values = _exec(
        wire, ("PING", "1"), ("CONFIG", "GET", "databases"), ("ECHO", "2"), ("SET", "k", "3"), ("CLIENT", "SETNAME", "me"),
        ("CLIENT", "GETNAME"), ("INFO", "cluster"), ("GET", "k"), ("PING", "4"),
    )  # fmt: skip
    assert [values[index] for index in (0, 2, 3, 4, 5, 7, 8)] == [b"1", b"2", b"OK", b"OK", b"me", b"3", b"4"]


def test_an_aborted_mixed_transaction_executes_nothing(wire: Wire) -> None:
    replies = wire.pipeline([("MULTI",), ("CONFIG", "SET", "maxmemory-samples", "9"), ("SET", "k"), ("EXEC",)])
    assert replies[-1].raw.startswith(b"-EXECABORT")
    assert wire.value("CONFIG", "GET", "maxmemory-samples") in (
        [b"maxmemory-samples", b"5"],
        {b"maxmemory-samples": b"5"},
    )


def test_control_commands_of_a_transaction_are_counted_once(server: Server) -> None:
    with server.wire() as wire:
        wire.call("CONFIG", "RESETSTAT")
        _exec(wire, ("TIME",), ("SET", "k", "v"), ("TIME",), ("CONFIG", "SET", "nonsense", "1"))
        calls = {name: _stat(wire, "commandstats", f"cmdstat_{name}") for name in ("time", "set", "exec", "config|set")}
        assert [text.split(",")[0] for text in calls.values()] == ["calls=2", "calls=1", "calls=1", "calls=1"]
        assert calls["config|set"].endswith("failed_calls=1")
        assert _stat(wire, "errorstats", "errorstat_ERR") == "count=1"


def test_a_client_that_leaves_while_its_transaction_is_executed_costs_nothing(server: Server) -> None:
    for _ in range(20):
        with server.wire() as wire:
            for command in (("MULTI",), ("INCR", "left"), ("INFO",), ("INCR", "left"), ("EXEC",)):
                wire.write(*command)
    with server.wire() as wire:
        deadline = time.monotonic() + wait_seconds_max
        while int(_stat(wire, "clients", "connected_clients")) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert int(wire.value("GET", "left") or 0) % 2 == 0
        assert wire.value("PING") == b"PONG"


def test_a_transaction_in_which_the_server_becomes_a_replica_is_executed_as_a_whole() -> None:
    """The story: REPLICAOF was executed before the transaction, of which then nothing was. What was written behind it is in no
    history, so all data are asked for."""
    directives = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
    with (
        Server(directives=directives) as primary,
        Server(directives=directives) as server,
        primary.wire() as theirs,
        server.wire() as ours,
    ):
        theirs.call("SET", "of the primary", "1")
        follow = ("REPLICAOF", "127.0.0.1", str(primary.port))
        values = _exec(ours, ("SET", "a", "1"), follow, ("SET", "b", "2"), ("MGET", "a", "b"), ("ROLE",))
        assert values[:4] == [b"OK", b"OK", b"OK", [b"1", b"2"]]
        assert values[4][0] == b"slave"  # type: ignore[index]
        assert ours.call("SET", "c", "1").raw.startswith(b"-READONLY")
        deadline = time.monotonic() + wait_seconds_max
        while ours.call("KEYS", "*").raw != encode_command("of the primary"):  # it may also say that it loads
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert _exec(ours, ("REPLICAOF", "NO", "ONE"), ("ROLE",))[1][0] == b"master"  # type: ignore[index]
        assert ours.call("SET", "c", "1").raw == b"+OK\r\n"
