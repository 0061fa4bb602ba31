"""What a server tells about itself over the wire: clients, slow commands, latency, memory, monitoring."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import TYPE_CHECKING

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

wait_seconds_max = 20.0


def _fields(line: bytes) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.decode().strip().split(" ") if "=" in word)


def _info(wire: Wire, section: str) -> dict[str, str]:
    lines = wire.value("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_client_list_has_a_line_for_every_connection(server: Server) -> None:
    """With the fields that tools read."""
    with server.wire() as first, server.wire() as second:
        first.call("CLIENT", "SETNAME", "first")
        second.call("SELECT", "3")
        second.call("GET", "k")
        lines = [_fields(line) for line in first.value("CLIENT", "LIST").splitlines()]
        by_id = {line["id"]: line for line in lines}
        mine = by_id[str(first.value("CLIENT", "ID"))]
        assert mine["name"] == "first"
        assert mine["cmd"] == "client|list"
        other = by_id[str(second.value("CLIENT", "ID"))]
        for name in (
            "addr",
            "laddr",
            "fd",
            "age",
            "idle",
            "flags",
            "db",
            "sub",
            "multi",
            "qbuf",
            "cmd",
            "user",
            "resp",
        ):
            assert name in other
        assert other["db"] == "3"
        assert other["resp"] == "2"


def test_clients_are_chosen_by_what_they_are_and_by_what_they_are_not(server: Server) -> None:
    """CLIENT LIST and CLIENT KILL understand the same filters, all of which have to hold."""
    with server.wire() as admin, server.wire() as named, server.wire() as other:
        named.call("CLIENT", "SETNAME", "worker")
        named.call("CLIENT", "SETINFO", "LIB-NAME", "library")
        named.call("CLIENT", "SETINFO", "LIB-VER", "1.2")
        named.call("CLIENT", "CAPA", "redirect")
        named.call("CLIENT", "NO-EVICT", "ON")
        named.call("SELECT", "3")
        (line,) = admin.value("CLIENT", "LIST", "NAME", "worker").splitlines()
        mine = str(admin.value("CLIENT", "ID"))
        ids = {name: str(wire.value("CLIENT", "ID")) for name, wire in (("named", named), ("other", other))}

        def listed(*filters: str) -> set[str]:
            lines = admin.value("CLIENT", "LIST", *filters).splitlines()
            # Others may be there that programs of other tests have left.
            return {_fields(line)["id"] for line in lines} & {mine, *ids.values()}

        for name, value in (
            ("NAME", "worker"),
            ("LIB-NAME", "library"),
            ("LIB-VER", "1.2"),
            ("CAPA", "r"),
            ("FLAGS", "e"),
            ("DB", "3"),
            ("ID", ids["named"]),
            ("ADDR", _fields(line)["addr"]),
        ):
            assert listed(name, value) == {ids["named"]}, name
            assert listed("NOT-" + name, value, "IP", "127.0.0.1") == {mine, ids["other"]}, name
        assert listed("SKIPME", "yes", "TYPE", "normal") == set(ids.values())
        assert listed("ID", mine, ids["named"], "USER", "default", "NOT-DB", "0") == {ids["named"]}
        assert listed("NOT-ID", mine, "NOT-ID", ids["named"]) == {ids["other"]}
        assert listed("NAME", "worker", "NAME", "nobody") == set()
        assert listed("NOT-TYPE", "normal") == listed("NOT-IP", "127.0.0.1") == listed("IDLE", "1000") == set()
        assert admin.value("CLIENT", "KILL", "NAME", "worker", "NOT-FLAGS", "e") == 0
        assert admin.value("CLIENT", "KILL", "ID", ids["other"], "ID", ids["named"], "FLAGS", "e") == 1
        assert listed() == {mine, ids["other"]}


def test_client_list_shows_a_transaction(server: Server) -> None:
    """multi counts queued commands, flags has x, cmd is the one that was queued last."""
    with server.wire() as busy, server.wire() as observer:
        for command, shown in ((("SET", "k", "v"), "set"), (("INFO",), "info"), (("ECHO", "x"), "echo")):
            busy.pipeline([("MULTI",), ("SET", "k", "w"), command])
            lines = [_fields(line) for line in observer.value("CLIENT", "LIST").splitlines()]
            assert [(line["multi"], line["cmd"]) for line in lines if "x" in line["flags"]] == [("2", shown)]
            busy.call("DISCARD")


def test_client_kill_by_address_and_by_name_of_user(server: Server) -> None:
    """The old form answers OK, the new form the number of connections."""
    with server.wire() as victim, server.wire() as killer:
        address = _fields(victim.value("CLIENT", "INFO"))["addr"]
        assert killer.call("CLIENT", "KILL", address).raw == b"+OK\r\n"
        assert victim.read_until_closed() == b""
    with server.wire() as victim, server.wire() as killer:
        address = _fields(victim.value("CLIENT", "INFO"))["addr"]
        assert killer.call("CLIENT", "KILL", "ADDR", address).raw == b":1\r\n"
        assert victim.read_until_closed() == b""


def test_client_kill_of_oneself_answers_first(server: Server) -> None:
    """SKIPME no includes the caller."""
    with server.wire() as wire:
        identity = str(wire.value("CLIENT", "ID"))
        wire.write("CLIENT", "KILL", "ID", identity, "SKIPME", "no")
        assert wire.read_until_closed() == b":1\r\n"


def test_client_reply_off_skip_and_on(server: Server) -> None:
    """OFF answers nothing until ON; SKIP hides one reply."""
    with server.wire() as wire:
        wire.write("CLIENT", "REPLY", "OFF")
        wire.write("SET", "k", "v")
        wire.write("CLIENT", "REPLY", "ON")
        assert wire.read().raw == b"+OK\r\n"
        wire.write("CLIENT", "REPLY", "SKIP")
        wire.write("SET", "k", "w")
        wire.write("ECHO", "seen")
        assert wire.read().value == b"seen"
        assert wire.value("GET", "k") == b"w"


def test_client_pause_holds_writes_and_lets_reads_through(server: Server) -> None:
    """WRITE mode, ended by UNPAUSE."""
    with server.wire() as writer, server.wire() as reader, server.wire() as operator:
        assert operator.call("CLIENT", "PAUSE", "60000", "WRITE").raw == b"+OK\r\n"
        try:
            writer.write("SET", "k", "paused")
            assert reader.call("GET", "k").raw == b"$-1\r\n"
            time.sleep(0.1)
            assert reader.call("GET", "k").raw == b"$-1\r\n"
        finally:
            assert operator.call("CLIENT", "UNPAUSE").raw == b"+OK\r\n"
        assert writer.read().raw == b"+OK\r\n"
        assert reader.value("GET", "k") == b"paused"


def test_client_pause_of_all_holds_back_the_control_plane_as_well(server: Server) -> None:
    """Nobody is answered but those who ask for what does not exist; each counts as blocked until the pause is over."""
    requests = [("INFO", "server"), ("CONFIG", "GET", "hz"), ("HELLO", "3"), ("TIME",), ("SLOWLOG", "LEN"), ("PING",)]
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.wire()) for _ in requests]
        operator, stranger = stack.enter_context(server.wire()), stack.enter_context(server.wire())
        begun = time.monotonic()
        assert operator.call("CLIENT", "PAUSE", "1500", "ALL").raw == b"+OK\r\n"
        for wire, request in zip(wires, requests, strict=True):
            wire.write(*request)
        assert stranger.call("NOSUCH").raw.startswith(b"-ERR unknown command")
        for wire in wires:
            assert not wire.read().raw.startswith(b"-")
            # Counted from before it began: this test may be held up as well.
            assert time.monotonic() - begun > 1.4


def test_client_pause_of_writes_holds_back_writes_of_the_control_plane_and_counts_who_waits(server: Server) -> None:
    """MIGRATE takes keys away; who is held back is among the blocked clients, which INFO tells."""
    with server.wire() as writer, server.wire() as mover, server.wire() as operator:
        operator.call("SET", "k", "v")
        assert operator.call("CLIENT", "PAUSE", "60000", "WRITE").raw == b"+OK\r\n"
        try:
            writer.write("SET", "k", "paused")
            mover.write("MIGRATE", "127.0.0.1", "1", "k", "0", "100")
            deadline = time.monotonic() + wait_seconds_max
            while _info(operator, "clients")["blocked_clients"] != "2":
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert operator.value("CONFIG", "GET", "hz")
            assert _info(operator, "clients")["paused_actions"] == "write"
        finally:
            assert operator.call("CLIENT", "UNPAUSE").raw == b"+OK\r\n"
        assert writer.read().raw == b"+OK\r\n"
        assert mover.read().raw.startswith(b"-IOERR")
        assert _info(operator, "clients")["blocked_clients"] == "0"


def test_a_pause_in_a_transaction_of_both_planes_begins_when_it_ends(server: Server) -> None:
    """INFO in it tells of no pause yet, and a write behind it in the same transaction is executed."""
    with server.wire() as operator, server.wire() as other:
        for request in (("MULTI",), ("CLIENT", "PAUSE", "60000", "WRITE"), ("INFO", "clients"), ("SET", "k", "v")):
            operator.call(*request)
        try:
            replies = operator.value("EXEC")
            assert (replies[0], replies[2]) == (b"OK", b"OK")
            assert b"paused_actions:none" in replies[1]
            other.write("SET", "k", "w")
            time.sleep(0.1)
            assert operator.value("GET", "k") == b"v"
        finally:
            assert operator.call("CLIENT", "UNPAUSE").raw == b"+OK\r\n"
        assert other.read().raw == b"+OK\r\n"


def test_client_pause_ends_by_itself(server: Server) -> None:
    """After its milliseconds, all commands go on."""
    with server.wire() as wire, server.wire() as operator:
        assert operator.call("CLIENT", "PAUSE", "100", "ALL").raw == b"+OK\r\n"
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_the_slow_log_keeps_what_was_slow(server: Server) -> None:
    """Id, time, duration, arguments, address and name; long arguments are cut."""
    with server.wire() as wire:
        wire.call("CLIENT", "SETNAME", "slow")
        wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        try:
            wire.call("SLOWLOG", "RESET")
            wire.call("SET", "k", "x" * 500)
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
            entries = wire.value("SLOWLOG", "GET", "10")
        finally:
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        entry = next(entry for entry in entries if entry[3][0] == b"SET")
        identity, moment, duration, arguments, address, name = entry
        assert identity >= 0
        assert abs(moment - time.time()) < 60
        assert duration >= 0
        assert arguments == [b"SET", b"k", b"x" * 128 + b"... (372 more bytes)"]
        assert re.fullmatch(rb"127\.0\.0\.1:\d+", address)
        assert name == b"slow"
        assert wire.value("SLOWLOG", "LEN") >= 1
        wire.call("SLOWLOG", "RESET")
        assert wire.value("SLOWLOG", "LEN") == 0


def test_the_slow_log_is_bounded(server: Server) -> None:
    """slowlog-max-len entries, the newest first."""
    with server.wire() as wire:
        wire.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "5")
        try:
            for number in range(20):
                wire.call("SET", "k", str(number))
            assert wire.value("SLOWLOG", "LEN") == 5
            identities = [entry[0] for entry in wire.value("SLOWLOG", "GET", "-1")]
            assert identities == sorted(identities, reverse=True)
        finally:
            wire.call("CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len", "128")
            wire.call("SLOWLOG", "RESET")


def test_latency_histogram_counts_calls(server: Server) -> None:
    """Cumulative buckets whose last one is the number of calls."""
    with server.wire(protocol=3) as wire:
        wire.call("CONFIG", "RESETSTAT")
        for _ in range(50):
            wire.call("SET", "k", "v")
        histogram = wire.value("LATENCY", "HISTOGRAM", "set")[b"set"]
        assert histogram[b"calls"] == 50
        counts = list(histogram[b"histogram_usec"].values())
        assert counts == sorted(counts)
        assert counts[-1] == 50


def test_info_counts_commands_and_keys(server: Server) -> None:
    """Counters move by what was done."""
    with server.wire() as wire:
        before = _info(wire, "stats")
        wire.pipeline([("SET", "k", "v"), ("GET", "k"), ("GET", "nothing"), ("SET", "t", "v", "EX", "1000")])
        after = _info(wire, "stats")
        assert int(after["keyspace_hits"]) - int(before["keyspace_hits"]) == 1
        assert int(after["keyspace_misses"]) - int(before["keyspace_misses"]) == 1
        assert int(after["total_commands_processed"]) - int(before["total_commands_processed"]) >= 5
        assert _info(wire, "keyspace")["db0"].startswith("keys=2,expires=1,")


def test_info_commandstats_names_what_was_called(server: Server) -> None:
    """calls, usec, failed and rejected calls a command."""
    with server.wire() as wire:
        wire.call("CONFIG", "RESETSTAT")
        wire.pipeline([("SET", "k", "v"), ("INCR", "k"), ("INCR",), ("CONFIG", "GET", "maxclients")])
        stats = _info(wire, "commandstats")
        assert "calls=1" in stats["cmdstat_set"]
        assert "failed_calls=1" in stats["cmdstat_incr"]
        assert "rejected_calls=1" in stats["cmdstat_incr"]
        assert "cmdstat_config|get" in stats
        errors = _info(wire, "errorstats")
        assert errors["errorstat_ERR"].startswith("count=")


def test_a_write_for_which_there_is_no_room_is_a_rejected_call() -> None:
    """Not one that has failed, whoever wanted it."""
    script = ("EVAL", "return redis.pcall('APPEND', KEYS[1], 'v')", "1", "k")
    with Server(directives={"maxmemory": "1"}) as server, server.wire() as wire:
        for command in (("SET", "k", "v"), ("MSET", "a", "1", "b", "2"), script, ("MULTI",), ("LPUSH", "l", "v")):
            wire.call(*command)
        wire.call("DISCARD")
        stats = _info(wire, "commandstats")
        for name in ("set", "mset", "append", "lpush"):
            assert stats[f"cmdstat_{name}"] == "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0", name
        assert _info(wire, "errorstats")["errorstat_OOM"] == "count=4"


def test_info_has_the_sections_that_tools_read(server: Server) -> None:
    """In Redis' order, each under its heading."""
    with server.wire() as wire:
        text = wire.value("INFO").decode()
        headings = re.findall(r"^# (\w+)", text, re.MULTILINE)
        for heading in ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Keyspace"):
            assert heading in headings
        everything = wire.value("INFO", "everything").decode()
        assert "# Commandstats" in everything
        assert wire.value("INFO", "nosuch") == b""
        assert [line for line in text.splitlines() if line and line[0] != "#" and ":" not in line] == []


def test_monitor_shows_commands_of_others(server: Server) -> None:
    """Time, database, address and quoted arguments; never a password."""
    with server.wire() as monitor, server.wire() as wire:
        assert monitor.call("MONITOR").raw == b"+OK\r\n"
        wire.pipeline([("SELECT", "1"), ("SET", "k", b'a"\n\xff'), ("AUTH", "hidden"), ("ECHO", "end")])
        seen: list[bytes] = []
        while not seen or b"end" not in seen[-1]:
            seen.append(monitor.read().raw)
        set_line = next(line for line in seen if b'"SET"' in line)
        assert re.fullmatch(rb'\+\d+\.\d{6} \[1 127\.0\.0\.1:\d+\] "SET" "k" "a\\"\\n\\xff"\r\n', set_line)
        assert not any(b"hidden" in line for line in seen)


def test_memory_usage_grows_with_the_value(server: Server) -> None:
    """In bytes, the key's own overhead included."""
    with server.wire() as wire:
        wire.call("SET", "small", "x")
        wire.call("SET", "large", b"x" * 100_000)
        small, large = wire.value("MEMORY", "USAGE", "small"), wire.value("MEMORY", "USAGE", "large")
        assert 0 < small < 200
        assert 100_000 < large < 130_000


def test_debug_sleep_holds_only_its_caller_for_the_time(pool: object) -> None:
    """DEBUG is refused unless it is switched on."""
    with Server() as server, server.wire() as wire:
        assert wire.call("DEBUG", "SLEEP", "0").raw.startswith(b"-ERR DEBUG command not allowed.")
    with Server(directives={"enable-debug-command": "yes"}) as server, server.wire() as wire:
        assert wire.call("DEBUG", "SLEEP", "0.01").raw == b"+OK\r\n"


def test_time_is_the_clock(server: Server) -> None:
    """Seconds and microseconds, as text."""
    with server.wire() as wire:
        seconds, microseconds = map(int, wire.value("TIME"))
        assert abs(seconds - time.time()) < 60
        assert 0 <= microseconds < 1_000_000


def test_touching_keys_resets_their_idle_time_unless_no_touch_is_on(server: Server) -> None:
    """OBJECT IDLETIME itself does not count as use."""
    with server.wire() as wire:
        begun = time.monotonic()
        wire.call("SET", "k", "v")
        idle_seconds = wire.value("OBJECT", "IDLETIME", "k")
        # The clock of accesses has whole seconds.
        assert 0 <= idle_seconds <= time.monotonic() - begun + 1
        assert wire.call("CLIENT", "NO-TOUCH", "ON").raw == b"+OK\r\n"
        assert wire.value("GET", "k") == b"v"


def test_a_pipeline_that_kills_its_own_connection_gets_the_replies_before(server: Server) -> None:
    """Commands after the QUIT are not run, those before it are answered."""
    with server.wire() as wire:
        wire.send(encode_command("ECHO", "a") + encode_command("QUIT") + encode_command("ECHO", "b"))
        assert wire.read_until_closed() == b"$1\r\na\r\n+OK\r\n"


def test_reads_and_errors_are_counted_as_in_redis(server: Server) -> None:
    """EXEC that executes nothing has failed; a subcommand that does not exist is no command that could be counted."""
    with server.wire() as wire:
        wire.call("CONFIG", "RESETSTAT")
        assert wire.call("EXEC").is_error
        for command in (("MULTI",), ("GET",), ("EXEC",), ("OBJECT", "nonsense"), ("CONFIG",), ("CLIENT", "KILL")):
            wire.call(*command)
        stats = _info(wire, "commandstats")
        assert stats["cmdstat_exec"].split(",")[0::4] == ["calls=2", "failed_calls=2"]
        assert "cmdstat_object" not in stats
        assert stats["cmdstat_config"].endswith("rejected_calls=1,failed_calls=0")
        errors = _info(wire, "errorstats")
        assert (errors["errorstat_EXECABORT"], errors["errorstat_ERR"]) == ("count=1", "count=5")
        assert _info(wire, "stats")["total_error_replies"] == "6"


def test_a_protocol_error_is_an_error_reply_and_no_unexpected_one(server: Server) -> None:
    with server.wire() as wire, server.wire() as broken:
        wire.call("CONFIG", "RESETSTAT")
        broken.send(b"*1\r\n:1\r\n")
        broken.read_until_closed()
        stats = _info(wire, "stats")
        assert (stats["total_error_replies"], stats["unexpected_error_replies"]) == ("1", "0")


def test_keys_that_clients_wait_for_are_counted_by_kind(server: Server) -> None:
    names = ("blocked_clients", "clients_in_timeout_table", "total_blocking_keys", "total_blocking_keys_on_nokey")
    waits = [
        ("BLPOP", "q1", "q2", "0"),
        ("BLPOP", "q1", "30"),
        ("XREADGROUP", "GROUP", "g", "me", "BLOCK", "30000", "STREAMS", "x", ">"),
        ("XREAD", "BLOCK", "0", "STREAMS", "x", "$"),
    ]
    with server.wire() as observer:
        observer.call("XGROUP", "CREATE", "x", "g", "$", "MKSTREAM")
        wires = [server.wire() for _ in waits]
        for wire, command in zip(wires, waits, strict=True):
            wire.write(*command)
        assert _await_fields(observer, "clients", dict(zip(names, ("4", "2", "3", "1"), strict=True)))
        observer.call("RPUSH", "q1", "a", "b")
        assert _await_fields(observer, "clients", dict(zip(names, ("2", "1", "1", "1"), strict=True)))
        for wire in wires:
            wire.close()
        assert _await_fields(observer, "clients", dict.fromkeys(names, "0"))


def test_a_large_request_shows_as_the_recent_peak_of_input(server: Server) -> None:
    with server.wire() as wire:
        wire.call("SET", "k", "v" * 3_000_000)
        deadline = time.monotonic() + wait_seconds_max
        peak = 0
        while peak < 3_000_000 and time.monotonic() < deadline:
            peak = int(_info(wire, "clients")["client_recent_max_input_buffer"])
        # The request and what was read behind it: room for both, and not twice as much.
        assert 3_000_000 <= peak < 4_000_000


def test_every_client_takes_memory_even_if_it_is_idle(server: Server) -> None:
    with server.wire() as observer:
        wires = [server.wire() for _ in range(50)]
        for wire in wires:
            wire.call("PING")
        deadline = time.monotonic() + wait_seconds_max
        while int(_info(observer, "memory")["mem_clients_normal"]) < 50 * 500 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert int(_info(observer, "memory")["mem_clients_normal"]) >= 50 * 500
        for wire in wires:
            wire.close()


def test_connections_that_come_at_once_do_not_exceed_maxclients(pool: ServerPool) -> None:
    server = pool.get(shape=Shape(shards=1, io_threads=4), directives={"maxclients": "20"})
    with server.wire() as observer:
        # Whoever was there before may not have been noticed to be gone.
        assert _await_fields(observer, "clients", {"connected_clients": "1"})
        observer.call("CONFIG", "RESETSTAT")
        assert isinstance(server.address, tuple)
        sockets = [socket.create_connection(server.address) for _ in range(80)]
        assert _await_fields(observer, "stats", {"rejected_connections": "61", "total_connections_received": "19"})
        assert _info(observer, "clients")["connected_clients"] == "20"
        for each in sockets:
            each.close()
        assert _await_fields(observer, "clients", {"connected_clients": "1"})


def _await_fields(wire: Wire, section: str, wanted: dict[str, str]) -> bool:
    deadline = time.monotonic() + wait_seconds_max
    while time.monotonic() < deadline:
        found = _info(wire, section)
        if all(found[name] == value for name, value in wanted.items()):
            return True
        time.sleep(0.02)
    raise AssertionError({name: found[name] for name in wanted})
