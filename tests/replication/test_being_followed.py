"""Sherd as a primary: of Redis 7.0, Redis 8.0, Valkey 9.1, of another Sherd, and of what tools make of themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
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
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

OK = b"+OK\r\n"

# For a reader to see a few states, however busy the machine is.
READER_SECONDS_MAX = 60


def primary(shape: Shape | None = None, **directives: str) -> Server:
    named = {key.replace("_", "-"): value for key, value in directives.items()}
    return Server(shape=shape, directives={"enable-debug-command": "yes", "repl-diskless-sync-delay": "0", **named})


def reference_replica(name: str, port: int) -> Server:
    return Server(
        need_reference(name),
        directives={"enable-debug-command": "yes", "maxclients": "400", "replicaof": f"127.0.0.1 {port}"},
    )


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_real_servers_follow_and_have_everything(reference_name: str, shape: Shape) -> None:
    """What was there before, what is written during the snapshot, and what comes later: by way of a file, or, as
    `test_diskless_sync.py` has it, without one."""
    with primary(shape, repl_diskless_sync="no") as server, server.wire() as ours:
        fill(ours)
        with Writer(server), reference_replica(reference_name, server.port) as replica, replica.wire() as theirs:
            await_link(theirs)
        with reference_replica(reference_name, server.port) as replica, replica.wire() as theirs:
            await_link(theirs)
            for number in range(100):
                write_some(ours, number)
            await_equal(ours, theirs)
            role = ours.value("ROLE")
            assert (role[0], role[2][0][:2]) == (b"master", [b"127.0.0.1", str(replica.port).encode()])
            assert f"ip=127.0.0.1,port={replica.port},state=online," in info_field(ours, "replication", "slave0")
            assert b" flags=S " in ours.value("CLIENT", "LIST", "TYPE", "replica")


def test_real_servers_go_on_after_a_lost_link(reference_name: str) -> None:
    with primary() as server, server.wire() as ours, Proxy(("127.0.0.1", server.port)) as proxy:
        fill(ours)
        with reference_replica(reference_name, proxy.port) as replica, replica.wire() as theirs:
            await_link(theirs)
            with Writer(server) as writer:
                for _ in range(2):
                    seen, connections = writer.written, proxy.connections
                    eventually(lambda seen=seen: writer.written > seen + 10, "writes go on")  # type: ignore[misc]
                    proxy.cut()
                    eventually(lambda connections=connections: proxy.connections > connections, "it is back")  # type: ignore[misc]
                    await_link(theirs)
            await_equal(ours, theirs)
            assert info_field(ours, "stats", "sync_full") == "1"
            assert int(info_field(ours, "stats", "sync_partial_ok")) >= 2


@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["diskless", "by-file"])
def test_links_that_are_cut_at_random_bytes_lose_nothing(diskless: str) -> None:
    """Between Sherds of different shapes, in the middle of snapshots, commands and transactions."""
    with primary(Shape(4, 2), repl_diskless_sync=diskless) as server, server.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", server.port), (2_000, 60_000), seed=5) as proxy,
            replica_of(proxy.port, Shape(2, 1)) as replica,
            replica.wire() as theirs,
        ):
            with Writer(server):
                eventually(lambda: proxy.cuts >= 5, "the link is cut again and again")
            proxy.cut_after = None
            proxy.cut()
            await_link(theirs)
            await_equal(ours, theirs)


def test_a_transaction_over_shards_is_seen_whole_or_not_at_all_on_a_replica() -> None:
    """From four shards to two."""
    keys = [f"key:{number}" for number in range(8)]
    with (
        primary(Shape(4, 2)) as server,
        server.wire() as ours,
        replica_of(server.port, Shape(2, 1)) as replica,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        stop = threading.Event()
        torn: list[list[bytes]] = []
        seen: set[bytes] = set()

        def read() -> None:
            with replica.wire() as reader:
                while not stop.is_set():
                    values = reader.value("MGET", *keys)
                    seen.update(value for value in values if value)
                    if len(set(values)) != 1:
                        torn.append(values)

        thread = threading.Thread(target=read)
        thread.start()
        deadline, number = time.monotonic() + READER_SECONDS_MAX, 0
        # As many as the reader needs, which a busy machine lets wait.
        while number < 1000 or (len(seen) <= 5 and time.monotonic() < deadline):
            ours.pipeline([("MULTI",), *(("SET", key, str(number)) for key in keys), ("EXEC",)])
            number += 1
        await_equal(ours, theirs)
        stop.set()
        thread.join(30)
        assert not torn, torn[:3]
        assert len(seen) > 5


def test_wait_counts_the_replicas_that_have_what_was_written() -> None:
    with primary() as server, server.wire() as ours, Proxy(("127.0.0.1", server.port)) as proxy:
        assert ours.value("WAIT", "0", "100") == 0
        assert ours.value("WAIT", "1", "10") == 0
        with replica_of(server.port) as first, replica_of(proxy.port) as second:
            with first.wire() as wire, second.wire() as other:
                await_link(wire)
                await_link(other)
            ours.call("SET", "a", "1")
            assert ours.value("WAIT", "2", "20000") == 2
            proxy.accepts = False
            proxy.cut()
            eventually(lambda: info_field(ours, "replication", "connected_slaves") == "1", "one has gone")
            ours.call("SET", "a", "2")
            assert ours.value("WAIT", "1", "20000") == 1
            assert ours.value("WAIT", "2", "50") == 1
            ours.pipeline([("MULTI",), ("SET", "a", "3"), ("WAIT", "5", "0")])
            assert len(ours.value("EXEC")) == 2
            with first.wire() as wire:
                assert wire.call("WAIT", "1", "0").raw.startswith(b"-ERR WAIT cannot be used with replica instances.")


def test_writes_that_were_waited_for_survive_the_death_of_the_primary() -> None:
    """The replica that has acknowledged them becomes the primary."""
    server = primary(Shape(4, 2))
    acknowledged: list[str] = []
    with replica_of(server.port, Shape(2, 1)) as replica, replica.wire() as theirs:
        await_link(theirs)

        def write() -> None:
            with server.wire() as wire:
                number = 0
                try:
                    while True:
                        wire.call("SET", f"key:{number}", str(number))
                        if wire.value("WAIT", "1", "0") == 1:
                            acknowledged.append(f"key:{number}")
                        number += 1
                except (ConnectionClosed, OSError):
                    return

        threads = [threading.Thread(target=write)]
        threads[0].start()
        eventually(lambda: len(acknowledged) > 200, "writes are acknowledged")
        server.signal_and_wait(signal.SIGKILL)
        threads[0].join(30)
        assert theirs.call("REPLICAOF", "NO", "ONE").raw == OK
        lost = [key for key in acknowledged if theirs.value("GET", key) != key.partition(":")[2].encode()]
        assert not lost
    shutil.rmtree(server.directory, ignore_errors=True)


def test_replicas_of_a_promoted_replica_go_on_where_they_were() -> None:
    """It has the same history up to the promotion, and they know it by its old id."""
    server = primary()
    with server.wire() as ours, replica_of(server.port) as first, replica_of(server.port) as second:
        fill(ours)
        with first.wire() as one, second.wire() as two:
            await_link(one)
            await_link(two)
            await_equal(ours, one)
            await_equal(ours, two)
            server.signal_and_wait(signal.SIGKILL)
            assert one.call("REPLICAOF", "NO", "ONE").raw == OK
            one.call("SELECT", "5")
            one.call("SET", "after", "1")
            assert two.call("REPLICAOF", "127.0.0.1", str(first.port)).raw == OK
            await_link(two)
            await_equal(one, two)
            assert (info_field(one, "stats", "sync_partial_ok"), info_field(one, "stats", "sync_full")) == ("1", "0")
            assert info_field(two, "replication", "master_replid") == info_field(one, "replication", "master_replid")
            two.call("SELECT", "5")
            assert two.value("GET", "after") == b"1"
    shutil.rmtree(server.directory, ignore_errors=True)


def test_a_replica_hands_the_stream_on_to_its_own_replicas(reference_name: str) -> None:
    """Byte for byte: Sherd between a real primary and a real replica, and behind another Sherd."""
    with (
        Server(
            need_reference(reference_name),
            directives={"enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "maxclients": "400"},
        ) as top,
        top.wire() as ours,
    ):
        fill(ours)
        ours.call("SELECT", "3")
        ours.call("SET", "selected", "before")
        with replica_of(top.port, Shape(4, 2), repl_diskless_sync_delay="0") as middle, middle.wire() as between:
            await_link(between)
            with reference_replica(reference_name, middle.port) as last, last.wire() as theirs:
                await_link(theirs)
                # Nothing selects the database again.
                ours.call("SET", "selected", "after")
                for number in range(50):
                    write_some(ours, number)
                await_equal(ours, between)
                await_equal(ours, theirs)
                theirs.call("SELECT", "3")
                assert theirs.value("GET", "selected") == b"after"


def test_writes_are_refused_without_enough_replicas() -> None:
    with primary(min_replicas_to_write="1") as server, server.wire() as ours:
        assert ours.call("SET", "a", "1").raw == b"-NOREPLICAS Not enough good replicas to write.\r\n"
        with replica_of(server.port) as replica, replica.wire() as theirs:
            await_link(theirs)
            eventually(lambda: ours.call("SET", "a", "1").raw == OK, "writes are taken")
            assert info_field(ours, "replication", "min_slaves_good_slaves") == "1"
            assert ours.value("CLIENT", "KILL", "TYPE", "replica") == 1
            eventually(lambda: info_field(ours, "stats", "sync_partial_ok") == "1", "it comes back")


def test_a_failover_changes_the_roles_and_loses_nothing() -> None:
    with (
        primary() as server,
        server.wire() as ours,
        replica_of(server.port, repl_diskless_sync_delay="0") as replica,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        assert (
            ours.call("FAILOVER", "TO", "127.0.0.1", "1").raw
            == b"-ERR FAILOVER target HOST and PORT is not a replica.\r\n"
        )
        assert ours.call("FAILOVER", "ABORT").raw == b"-ERR No failover in progress.\r\n"
        written: list[int] = []
        stop = threading.Event()

        def write() -> None:
            with server.wire() as wire:
                number = 0
                while not stop.is_set():
                    if wire.call("SET", f"key:{number}", "1").raw == OK:
                        written.append(number)
                        number += 1

        thread = threading.Thread(target=write)
        thread.start()
        eventually(lambda: len(written) > 100, "writes go on")
        assert ours.call("FAILOVER", "TO", "127.0.0.1", str(replica.port), "TIMEOUT", "30000").raw == OK
        eventually(lambda: theirs.value("ROLE")[0] == b"master", "the replica is the primary")
        eventually(lambda: ours.value("ROLE")[0] == b"slave", "the primary is a replica")
        eventually(lambda: info_field(ours, "replication", "master_failover_state") == "no-failover", "it is over")
        await_link(ours)
        stop.set()
        thread.join(30)
        assert info_field(theirs, "stats", "sync_full") == "0"
        assert theirs.value("DBSIZE") == len(written)
        await_equal(theirs, ours)


def test_a_failover_that_no_replica_can_take_over_ends_in_time() -> None:
    with primary() as server, server.wire() as ours, replica_of(server.port) as replica, replica.wire() as theirs:
        await_link(theirs)
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            ours.call("SET", "a", "1")
            assert ours.call("FAILOVER", "TIMEOUT", "300").raw == OK
            assert ours.call("FAILOVER").raw == b"-ERR FAILOVER already in progress.\r\n"
            eventually(lambda: info_field(ours, "replication", "master_failover_state") == "no-failover", "it is over")
            assert ours.call("SET", "a", "2").raw == OK
        finally:
            os.kill(replica.pid, signal.SIGCONT)


@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["diskless", "by-file"])
@pytest.mark.parametrize("tool", ["redis-cli", "valkey-cli"])
def test_tools_fetch_a_snapshot_and_listen_to_the_stream(tool: str, diskless: str, tmp_path: Path) -> None:
    program = shutil.which(tool) or shutil.which(tool, path="/opt/ref/bin")
    if program is None:
        pytest.skip(f"no {tool} on this machine (tests/compat/install_references.sh installs it)")
    with primary(repl_diskless_sync=diskless) as server, server.wire() as ours:
        fill(ours)
        file = tmp_path / "fetched.rdb"
        finished = subprocess.run(
            [program, "-p", str(server.port), "--rdb", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        functions = tmp_path / "functions.rdb"
        command = [program, "-p", str(server.port), "--functions-rdb", str(functions)]
        subprocess.run(command, capture_output=True, timeout=60, check=True)
        assert functions.stat().st_size < file.stat().st_size / 10
        directives = {"dir": str(tmp_path), "dbfilename": file.name, "enable-debug-command": "yes"}
        with Server(directives=directives) as copy, copy.wire() as theirs:
            assert theirs.call("DEBUG", "DIGEST").raw == ours.call("DEBUG", "DIGEST").raw
        listener = subprocess.Popen(
            [program, "-p", str(server.port), "--replica"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: "state=online" in info_field_or_nothing(ours, "slave0"), "it listens")
            ours.call("SET", "heard", "of")
            assert listener.stdout is not None
            line = next(line for line in listener.stdout if b"heard" in line)
            assert b"of" in line
        finally:
            listener.kill()
            listener.wait(20)


def info_field_or_nothing(wire: Wire, field: str) -> str:
    text: str = wire.value("INFO", "replication").decode()
    return next((line for line in text.splitlines() if line.startswith(f"{field}:")), "")


def test_libraries_of_functions_are_replicated(reference_name: str) -> None:
    """In the snapshot and in the stream, from a real primary and to a real replica."""
    library = (
        "#!lua name={0}\nredis.register_function{{function_name='{0}', flags={{'no-writes'}}, "
        "callback=function(keys, args) return '{0}' .. args[1] end}}"
    )
    with (
        Server(
            need_reference(reference_name), directives={"repl-diskless-sync-delay": "0", "maxclients": "400"}
        ) as top,
        top.wire() as ours,
    ):
        ours.call("FUNCTION", "LOAD", library.format("before"))
        with (
            replica_of(top.port, Shape(4, 2), repl_diskless_sync_delay="0") as middle,
            middle.wire() as between,
            reference_replica(reference_name, middle.port) as last,
            last.wire() as theirs,
        ):
            await_link(between)
            await_link(theirs)
            ours.call("FUNCTION", "LOAD", library.format("after"))
            for wire in (between, theirs):
                eventually(lambda wire=wire: len(wire.value("FUNCTION", "LIST")) == 2, "both are there")  # type: ignore[misc]
                assert wire.value("FCALL_RO", "before", "0", "x") == b"beforex"
                assert wire.value("FCALL_RO", "after", "0", "y") == b"aftery"


def test_a_replica_appends_what_it_applies_and_has_it_after_a_restart(tmp_path: Path) -> None:
    """Its file begins with the primary's data, in the database that the stream had selected."""
    with primary() as server, server.wire() as ours:
        fill(ours)
        kept = {"dir": str(tmp_path), "appendonly": "yes"}
        with replica_of(server.port, Shape(4, 2), **kept) as replica, replica.wire() as theirs:
            theirs.call("SET", "own", "1")
            await_link(theirs)
            for number in range(100):
                write_some(ours, number)
            await_equal(ours, theirs)
            eventually(lambda: info_field(theirs, "persistence", "aof_rewrite_in_progress") == "0", "it has a base")
            for number in range(100):
                write_some(ours, number)
            eventually(lambda: ours.value("DBSIZE") == len(ours.value("KEYS", "*")), "nothing is left that has expired")
            await_equal(ours, theirs)
            expected = theirs.call("DEBUG", "DIGEST").raw
            assert replica.signal_and_wait(signal.SIGTERM) == 0
        with Server(directives={"enable-debug-command": "yes", **kept}) as again, again.wire() as wire:
            assert wire.call("DEBUG", "DIGEST").raw == expected


def test_resetstat_forgets_synchronisations_and_bytes_over_links() -> None:
    """As all other counters, on both sides of a link that stays."""
    counters = ("sync_full", "sync_partial_ok", "sync_partial_err")
    with (
        primary(repl_ping_replica_period="1000") as server,
        server.wire() as ours,
        replica_of(server.port) as replica,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        ours.call("SET", "k", "v" * 10_000)
        await_equal(ours, theirs)
        assert info_field(ours, "stats", "sync_full") == "1"
        for wire, field in ((ours, "total_net_repl_output_bytes"), (theirs, "total_net_repl_input_bytes")):
            assert int(info_field(wire, "stats", field)) > 10_000
            wire.call("CONFIG", "RESETSTAT")
            assert [info_field(wire, "stats", name) for name in counters] == ["0"] * 3
            assert int(info_field(wire, "stats", field)) < 1000
        ours.call("SET", "k", "v" * 10_000)
        await_equal(ours, theirs)
        assert int(info_field(theirs, "stats", "total_net_repl_input_bytes")) > 10_000


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB ASYNC", "MULTI FLUSHDB", "EVAL redis.call('flushall')"])
def test_flushing_an_empty_primary_empties_a_replica_that_is_written_to(command: str) -> None:
    """What its clients have written there goes as well, whether the primary had any keys or none."""
    with (
        primary() as server,
        server.wire() as ours,
        replica_of(server.port, replica_read_only="no") as replica,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        theirs.call("SET", "own", "1")
        word, _, rest = command.partition(" ")
        if word == "MULTI":
            ours.call("MULTI")
            ours.call(rest)
            ours.call("EXEC")
        elif word == "EVAL":
            ours.call("EVAL", rest, "0")
        else:
            ours.call(*command.split())
        eventually(lambda: theirs.value("DBSIZE") == 0, "the replica is empty")
        assert ours.value("WAIT", "1", "1000") == 1


@pytest.mark.parametrize("name", ["sherd", *reference_names])
def test_messages_reach_subscribers_of_replicas(name: str) -> None:
    """Published by a client, in a transaction or by a script, behind what was written before; and not the other way round."""
    with (
        primary(Shape(4, 2)) as server,
        replica_of(server.port) if name == "sherd" else reference_replica(name, server.port) as replica,
        server.wire() as ours,
        replica.wire() as theirs,
        replica.wire(protocol=3) as ears,
    ):
        await_link(theirs)
        ears.pipeline([("SUBSCRIBE", "news"), ("PSUBSCRIBE", "ne*"), ("SSUBSCRIBE", "shard")])
        for number in range(50):
            ours.pipeline([("SET", "k", f"{number}"), ("PUBLISH", "news", f"{number}")])
            heard = [ears.read().value for _ in range(2)]
            assert heard == [
                [b"message", b"news", b"%d" % number],
                [b"pmessage", b"ne*", b"news", b"%d" % number],
            ]
            assert int(theirs.value("GET", "k")) == number
        ears.call("PUNSUBSCRIBE")
        ours.pipeline(
            [("MULTI",), ("SET", "k", "1"), ("PUBLISH", "news", "queued"), ("SPUBLISH", "shard", "too"), ("EXEC",)]
        )
        ours.value("EVAL", "redis.call('SET', 'k', 2) return redis.call('PUBLISH', 'news', 'from a script')", "0")
        assert [ears.read().value for _ in range(3)] == [
            [b"message", b"news", b"queued"], [b"smessage", b"shard", b"too"], [b"message", b"news", b"from a script"],
        ]  # fmt: skip
        with server.wire(protocol=3) as other:
            other.call("SUBSCRIBE", "news")
            assert theirs.value("PUBLISH", "news", "here only") == 1
            assert ears.read().value == [b"message", b"news", b"here only"]
            await_equal(ours, theirs)
            assert other.call("PING").raw == b"+PONG\r\n"


def test_messages_go_along_a_chain_once_and_into_no_file() -> None:
    with (
        primary(appendonly="yes") as first,
        replica_of(first.port) as second,
        second.wire() as middle,
        replica_of(second.port) as third,
        first.wire() as ours,
        third.wire() as theirs,
        third.wire() as ears,
    ):
        await_link(middle)
        await_link(theirs)
        ears.call("SUBSCRIBE", "news")
        ours.value("PUBLISH", "news", "one")
        assert ears.read().value == [b"message", b"news", b"one"]
        # What a replica publishes itself would make it and those that follow it differ from its primary.
        middle.value("PUBLISH", "news", "of the second alone")
        ours.value("PUBLISH", "news", "two")
        assert ears.read().value == [b"message", b"news", b"two"]
        ours.value("SET", "k", "v")
        await_equal(ours, theirs)
        files = list((first.directory / "appendonlydir").glob("*.incr.aof"))
        eventually(lambda: any(b"SET" in file.read_bytes() for file in files), "the write is in the file")
        assert not any(b"PUBLISH" in file.read_bytes() for file in files)
