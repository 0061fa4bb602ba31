"""A server that loads a lot when it starts: who is answered meanwhile, what is told of it, and how it ends."""

from __future__ import annotations

import shutil
import signal
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_append_only import rewrite
from tests.durability.test_append_only import serve as serve_appending
from tests.protocol.test_limits import eventually, info_field
from tests.replication.support import fill
from tests.support.references import reference_names, reference_server
from tests.support.servers import Server, Shape, free_port
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.servers import Program, ServerPool

shapes = [Shape(1, 1), Shape(4, 2)]
shape_names = ["1-shard", "4-shards"]
LOADING = b"-LOADING "
# One key takes so long that no test could see the end of the load, unless it sets this to 0.
SLOW = {"loading-process-events-interval-bytes": "1024", "key-load-delay": "50000"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a snapshot of many keys."""
    with Server(directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        fill(wire)
        wire.call("FUNCTION", "LOAD", "#!lua name=library\nredis.register_function('echo', function() return 1 end)")
        assert wire.call("SAVE").raw == b"+OK\r\n"
        (tmp_path / "keys").write_text(str(wire.value("DBSIZE")))
    return tmp_path


def start(directory: Path, shape: Shape = shapes[0], program: Program | None = None, **directives: str) -> Server:
    """A server that is loading, and goes on with that for as long as `key-load-delay` is what it is."""
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    server = Server(program, shape=shape, directives={"dir": str(directory), **SLOW, **named}, await_ping=False)
    eventually(lambda: _is_loading(server), "the server answers while it loads")
    return server


def _is_loading(server: Server) -> bool:
    assert server.is_running(), server.log()
    try:
        with server.wire() as wire:
            return wire.call("PING").raw.startswith(LOADING)
    except OSError:
        return False


def go_on(wire: Wire) -> None:
    """Has the load end, and waits for that."""
    assert wire.call("CONFIG", "SET", "key-load-delay", "0").raw == b"+OK\r\n"
    eventually(lambda: wire.call("PING").raw == b"+PONG\r\n", "it is loaded")


# Commands of every kind, with and without the flag `loading`.
ASKED = [
    ("PING",), ("GET", "a"), ("SET", "a", "1"), ("ECHO", "a"), ("SELECT", "1"), ("INFO", "server"), ("TIME",), ("ROLE",),
    ("COMMAND", "COUNT"), ("CONFIG", "GET", "maxmemory"), ("CLIENT", "ID"), ("CLIENT", "SETNAME", "a"), ("LASTSAVE",),
    ("HELLO", "2"), ("AUTH", "wrong"), ("MULTI",), ("GET", "a"), ("INFO",), ("EXEC",), ("DISCARD",), ("WATCH", "a"),
    ("UNWATCH",), ("SUBSCRIBE", "a"), ("UNSUBSCRIBE", "a"), ("PUBLISH", "a", "1"), ("PUBSUB", "CHANNELS"),
    ("SLOWLOG", "LEN"), ("LATENCY", "LATEST"), ("MEMORY", "DOCTOR"), ("DBSIZE",), ("SAVE",), ("BGSAVE",),
    ("BGREWRITEAOF",), ("FLUSHALL",), ("REPLICAOF", "NO", "ONE"), ("REPLCONF", "capa", "eof"), ("PSYNC", "?", "-1"),
    ("WAIT", "0", "0"), ("EVAL", "return 1", "0"), ("SCRIPT", "EXISTS", "a"), ("FUNCTION", "STATS"), ("FUNCTION", "LIST"),
    ("ACL", "WHOAMI"), ("OBJECT", "HELP"), ("XINFO", "HELP"), ("RESET",), ("NOPE",),
]  # fmt: skip


@pytest.mark.parametrize("reference_name", reference_names)
def test_the_same_commands_are_refused_as_by_real_servers(pool: ServerPool, saved: Path, reference_name: str) -> None:
    """A script that a real server runs needs data, so it is refused."""
    reference = reference_server(pool, reference_name)
    shutil.copytree(saved, saved / "theirs")
    with (
        start(saved) as ours,
        # It looks after clients between keys, and not between any two.
        start(saved / "theirs", program=reference.program, key_load_delay="20000") as theirs,
        ours.wire() as here,
        theirs.wire() as there,
    ):
        for command, one, other in zip(ASKED, here.pipeline(ASKED), there.pipeline(ASKED), strict=True):
            assert one.raw.startswith(LOADING) == other.raw.startswith(LOADING), (command, one.raw, other.raw)
            if one.raw.startswith(LOADING):
                assert one.raw == other.raw.replace(b"Valkey", b"Redis")
        assert there.call("PING").raw.startswith(LOADING)


@pytest.mark.sherd_only
@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_clients_are_told_until_all_is_there(saved: Path, shape: Shape) -> None:
    with start(saved, shape) as server, server.wire() as wire:
        lines = dict(
            line.split(":", 1) for line in wire.value("INFO", "persistence").decode().splitlines() if ":" in line
        )
        assert (lines["loading"], lines["async_loading"]) == ("1", "0")
        assert 0 < int(lines["loading_start_time"]) <= time.time()
        assert int(lines["loading_total_bytes"]) == (saved / "dump.rdb").stat().st_size
        assert 0 <= int(lines["loading_loaded_bytes"]) < int(lines["loading_total_bytes"])
        assert 0 <= float(lines["loading_loaded_perc"]) < 100
        assert int(lines["loading_eta_seconds"]) >= 0
        eventually(lambda: int(info_field(wire, "persistence", "loading_rdb_used_mem") or 0) > 0, "it is known")
        eventually(lambda: "loading" in server.log() and "left_seconds" in server.log(), "the log tells of it")
        go_on(wire)
        assert info_field(wire, "persistence", "loading") == "0"
        assert b"loading_total_bytes" not in wire.value("INFO", "persistence")
        assert wire.value("DBSIZE") == int((saved / "keys").read_text())
        assert wire.value("FCALL", "echo", "0") == 1


@pytest.mark.sherd_only
def test_clients_of_a_small_file_wait_for_it(saved: Path) -> None:
    """As those of Redis do, which looks after clients once in so many bytes."""
    server = Server(directives={"dir": str(saved), "key-load-delay": "1000"}, await_ping=False)
    with server:
        eventually(lambda: "listening" in server.log(), "it listens")
        with server.wire() as wire:
            assert wire.value("DBSIZE") == int((saved / "keys").read_text())


@pytest.mark.sherd_only
def test_probes_and_metrics_tell_that_it_is_loading(saved: Path) -> None:
    with start(saved) as server, server.wire() as wire:
        port = free_port()
        assert wire.call("CONFIG", "SET", "metrics-port", str(port)).raw == b"+OK\r\n"
        assert _get(port, "healthz") == (200, "ok\n")
        assert _get(port, "readyz") == (503, "loading\n")
        page = _get(port, "metrics")[1]
        assert "\nredis_loading_dump_file 1.0\n" in page
        size = float((saved / "dump.rdb").stat().st_size)
        assert f'sherd_load_bytes{{which="total"}} {size}\n' in page
        go_on(wire)
        assert _get(port, "readyz") == (200, "ready\n")
        assert "\nredis_loading_dump_file 0.0\n" in _get(port, "metrics")[1]


def _get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _shut_down(server: Server) -> int:
    with server.wire() as wire:
        wire.write("SHUTDOWN", "SAVE")
        with pytest.raises((ConnectionClosed, OSError)):
            wire.read()
    assert server.process is not None
    return server.process.wait(15)


ENDS = {
    "SIGTERM": lambda server: server.signal_and_wait(signal.SIGTERM),
    "SIGINT": lambda server: server.signal_and_wait(signal.SIGINT),
    "SHUTDOWN": _shut_down,
}


@pytest.mark.sherd_only
@pytest.mark.parametrize("append", ["no", "yes"], ids=["snapshot", "append-only"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_an_end_while_it_loads_comes_soon_and_leaves_the_files_alone(
    saved: Path, end: Callable[[Server], int], append: str
) -> None:
    """Also where the configuration asks for a snapshot at the end: it would have a part of the data."""
    if append == "yes":
        with serve_appending(saved) as server, server.wire() as wire:
            eventually(lambda: info_field(wire, "persistence", "aof_rewrites") == "1", "the base is written")
            wire.call("SET", "after", "1")
            server.signal_and_wait(signal.SIGTERM)
    before = _content(saved)
    with start(saved, shapes[1], save="1 1", appendonly=append) as server:
        assert end(server) == 0
        assert "the server ends before" not in server.log()
    assert _content(saved) == before


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.sherd_only
def test_a_file_that_cannot_be_loaded_ends_the_process_with_a_reason(saved: Path) -> None:
    path = saved / "dump.rdb"
    broken = path.read_bytes()[:-1] + b"x"
    path.write_bytes(broken)
    with start(saved) as server:
        with server.wire() as wire:
            assert wire.call("CONFIG", "SET", "key-load-delay", "0").raw == b"+OK\r\n"
        assert server.process is not None
        assert server.process.wait(30) == 1
        assert f"sherd: cannot load {path}: its checksum is wrong (at byte {len(broken)})" in server.log()
    assert path.read_bytes() == broken


@pytest.mark.sherd_only
@pytest.mark.parametrize("shape", shapes, ids=shape_names)
def test_nothing_expires_before_all_commands_were_read(tmp_path: Path, shape: Shape) -> None:
    """What has an end in the past at the beginning of the file is told to live on at its end."""
    with serve_appending(tmp_path) as server, server.wire() as wire:
        fill(wire)
        # The file begins with both before their time is over: more of it, where the machine is busy.
        for milliseconds in ("3000", "12000", "48000"):
            wire.call("SET", "lives", "on", "PX", milliseconds)
            wire.call("SET", "dies", "young", "PX", milliseconds)
            rewrite(wire)
            if wire.call("PERSIST", "lives").raw == b":1\r\n":
                break
        else:
            pytest.fail("the file was never written while the keys lived")
        eventually(lambda: wire.value("GET", "dies") is None, "its time is over")
        server.signal_and_wait(signal.SIGTERM)
    small = {"maxmemory": "1mb", "maxmemory_policy": "allkeys-lru"}
    with start(tmp_path, shape, appendonly="yes", **small) as server, server.wire() as wire:
        eventually(lambda: int(info_field(wire, "persistence", "loading_loaded_bytes") or 0) > 0, "it has begun")
        assert wire.call("CONFIG", "SET", "maxmemory", "0").raw == b"+OK\r\n"
        go_on(wire)
        assert (wire.value("GET", "lives"), wire.value("TTL", "lives")) == (b"on", -1)
        assert wire.value("GET", "dies") is None
        # And what is written from here on is behind that.
        wire.call("SET", "later", "1")
        server.signal_and_wait(signal.SIGTERM)
    with serve_appending(tmp_path) as server, server.wire() as wire:
        assert wire.value("MGET", "lives", "later", "dies") == [b"on", b"1", None]


@pytest.mark.sherd_only
def test_the_append_only_file_can_be_switched_while_the_snapshot_is_loaded(saved: Path) -> None:
    """It is begun with a base of its own then, whatever there may be from earlier times."""
    with start(saved) as server, server.wire() as wire:
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == b"+OK\r\n"
        go_on(wire)
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") == "1", "the base is written")
        wire.call("SET", "after", "1")
        server.signal_and_wait(signal.SIGTERM)
    with serve_appending(saved) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == int((saved / "keys").read_text()) + 1


JOBS = """
import sherd

@sherd.every(seconds=0.02, keys=["string:3:1"])
def job(call):
    call("SET", "string:3:1", "from the job")
"""


@pytest.mark.sherd_only
def test_jobs_in_python_rest_until_all_is_there(saved: Path) -> None:
    """A key that a job makes would be there twice when the file comes to it."""
    module = saved / "jobs.py"
    module.write_text(JOBS)
    with start(saved, python_commands=str(module)) as server, server.wire() as wire:
        eventually(lambda: int(info_field(wire, "persistence", "loading_loaded_bytes") or 0) > 0, "it has begun")
        time.sleep(0.2)
        go_on(wire)
        eventually(lambda: wire.value("GET", "string:3:1") == b"from the job", "the job runs")
