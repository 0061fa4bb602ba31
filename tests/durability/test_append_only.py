"""The append-only file of a running server: what is in it after a restart, how it is rewritten, and what becomes of it when
something goes wrong."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sherd.persistence.manifest import parse
from tests.durability.test_snapshots import digest, fill
from tests.protocol.test_limits import eventually, info_field
from tests.support.references import find_reference, reference_names
from tests.support.servers import Server, ServerDidNotStart, Shape, sherd_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Program
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

shapes = [Shape(1, 1), Shape(4, 2)]
OK = b"+OK\r\n"
REWRITE_STARTED = b"+Background append only file rewriting started\r\n"


def serve(directory: Path, shape: Shape | None = None, program: Program | None = None, **directives: str) -> Server:
    """A server with an append-only file in a folder that outlives it."""
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    directory.mkdir(exist_ok=True)
    home = {"dir": str(directory), "enable-debug-command": "yes", "appendonly": "yes"}
    return Server(program, shape=shape, directives={**home, **named})


def files(directory: Path) -> list[str]:
    """The files that hold the data, in order."""
    found = parse((directory / "appendonlydir" / "appendonly.aof.manifest").read_text())
    assert not found.history
    return [file.name for file in found.files]


def rewrite(wire: Wire) -> None:
    """Rewrite the file and wait for the end."""
    before = int(info_field(wire, "persistence", "aof_rewrites") or 0)
    assert wire.call("BGREWRITEAOF").raw == REWRITE_STARTED
    eventually(lambda: int(info_field(wire, "persistence", "aof_rewrites") or 0) > before, "the rewrite ends")
    eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
    assert info_field(wire, "persistence", "aof_last_bgrewrite_status") == "ok"


@pytest.mark.parametrize("line", ["SET k new KEEPTTL", "SET k new GET KEEPTTL", "MSETEX 2 o new k new KEEPTTL"])
def test_what_keeps_the_expiry_of_a_key_whose_time_was_over_stays(tmp_path: Path, line: str) -> None:
    """There was none to keep any more, but whoever reads the file or the stream would keep it."""
    with (
        serve(tmp_path / "own") as server,
        server.wire() as wire,
        serve(tmp_path / "other", replicaof=f"127.0.0.1 {server.port}") as replica,
        replica.wire() as theirs,
    ):
        eventually(lambda: info_field(theirs, "replication", "master_link_status") == "up", "the link is up")
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        wire.call("SET", "k", "old", "PX", "1")
        time.sleep(0.02)
        assert not wire.call(*line.split()).is_error
        eventually(lambda: theirs.value("GET", "k") == b"new", "the replica has it")
        assert wire.call("DEBUG", "LOADAOF").raw == OK
        for each in (wire, theirs):
            assert (each.value("GET", "k"), each.value("TTL", "k")) == (b"new", -1)


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
def test_everything_is_there_after_a_restart(tmp_path: Path, shape: Shape, policy: str) -> None:
    with serve(tmp_path, shape, appendfsync=policy) as server, server.wire() as wire:
        fill(wire)
        wire.pipeline([
            ("EVAL", "redis.call('SET', KEYS[1], 'x') redis.call('INCR', KEYS[2])", "2", "script", "count"),
            ("MULTI",), ("SPOP", "set:700", "5"), ("RENAME", "string:3:1", "renamed"), ("EXEC",),
            ("SET", "short", "life", "PX", "1"), ("HINCRBYFLOAT", "hash:3", "float", "1.5"),
        ])  # fmt: skip
        eventually(lambda: wire.value("GET", "short") is None, "it expires")
        expected = digest(wire)
        assert info_field(wire, "persistence", "aof_enabled") == "1"
        number = signal.SIGKILL if policy == "always" else signal.SIGTERM
        server.signal_and_wait(number)
    assert files(tmp_path) == ["appendonly.aof.1.incr.aof"]
    other = shapes[0] if shape == shapes[1] else shapes[1]
    with serve(tmp_path, other) as server, server.wire() as wire:
        assert digest(wire) == expected
        assert wire.value("GET", "count") == b"1"


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("shape", shapes, ids=["1-shard", "4-shards"])
def test_a_rewrite_leaves_a_base_and_what_came_after_it_began(tmp_path: Path, shape: Shape, preamble: str) -> None:
    with serve(tmp_path, shape, appendfsync="always", aof_use_rdb_preamble=preamble) as server, server.wire() as wire:
        fill(wire)
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "500")
        assert wire.call("BGREWRITEAOF").raw == REWRITE_STARTED
        assert wire.call("BGREWRITEAOF").raw.startswith(b"-ERR Background append only file rewriting already")
        for number in range(200):
            wire.pipeline([
                ("APPEND", f"string:700:{number}", "more"), ("DEL", f"string:700:{number + 300}"),
                ("RPUSH", "list:700", "more"), ("INCR", "counter"), ("SET", f"new:{number}", "v"),
            ])  # fmt: skip
            if number == 1:
                # Else nothing of this would say anything.
                eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "1", "it goes on")
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") == "1", "the rewrite ends")
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
        wire.call("SET", "last", "one")
        expected = digest(wire)
        server.signal_and_wait(signal.SIGKILL)
    form = "rdb" if preamble == "yes" else "aof"
    assert files(tmp_path) == [f"appendonly.aof.1.base.{form}", "appendonly.aof.2.incr.aof"]
    assert not (tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof").exists()
    with serve(tmp_path) as server, server.wire() as wire:
        assert digest(wire) == expected
        assert wire.value("GET", "counter") == b"200"


def test_it_is_switched_on_and_off_while_the_server_runs(tmp_path: Path) -> None:
    with serve(tmp_path, appendonly="no") as server, server.wire() as wire:
        fill(wire)
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == OK
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") == "1", "it has a base")
        wire.call("SET", "after", "1")
        expected = digest(wire)
        assert wire.call("CONFIG", "SET", "appendonly", "no").raw == OK
        wire.call("SET", "not appended", "1")
        assert info_field(wire, "persistence", "aof_enabled") == "0"
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert digest(wire) == expected


@pytest.mark.parametrize("has_begun", [False, True])
def test_nothing_is_left_when_it_is_switched_off_before_it_has_a_base(tmp_path: Path, has_begun: bool) -> None:
    with serve(tmp_path, appendonly="no", rdb_key_save_delay="20000") as server, server.wire() as wire:
        wire.pipeline([("SET", f"key:{number}", "1") for number in range(100)])
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == OK
        assert wire.call("SET", "meanwhile", "1").raw == OK
        if has_begun:
            eventually(lambda: any((tmp_path / "appendonlydir").glob("temp-*")), "the base has begun")
        assert wire.call("CONFIG", "SET", "appendonly", "no").raw == OK
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
        assert list((tmp_path / "appendonlydir").iterdir()) == []


def test_a_snapshot_is_taken_over_where_there_is_no_append_only_file_yet(tmp_path: Path) -> None:
    with serve(tmp_path, appendonly="no") as server, server.wire() as wire:
        fill(wire)
        wire.call("SAVE")
        expected = digest(wire)
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire:
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") == "1", "it has a base")
        assert digest(wire) == expected
        wire.call("SET", "after", "1")
        expected = digest(wire)
        server.signal_and_wait(signal.SIGKILL)
    (tmp_path / "dump.rdb").unlink()
    with serve(tmp_path) as server, server.wire() as wire:
        assert digest(wire) == expected


def test_it_is_rewritten_by_itself_when_it_has_grown(tmp_path: Path) -> None:
    limits = {"auto_aof_rewrite_min_size": "100kb", "auto_aof_rewrite_percentage": "100"}
    with serve(tmp_path, **limits) as server, server.wire() as wire:
        for number in range(2000):
            wire.call("SET", f"k{number % 3}", "x" * 100)
        eventually(lambda: info_field(wire, "persistence", "aof_rewrites") != "0", "it is rewritten")
        eventually(lambda: int(info_field(wire, "persistence", "aof_current_size") or 0) < 110_000, "it is small again")


def increment_of(directory: Path) -> Path:
    return directory / "appendonlydir" / files(directory)[-1]


def check_aof(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    line = [*sherd_command(), "check-aof", *arguments]
    return subprocess.run(line, input=answer, capture_output=True, text=True, timeout=60, check=False)


def test_an_end_that_is_cut_off_is_dropped_and_a_transaction_with_it(tmp_path: Path) -> None:
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire:
        wire.pipeline([("SET", "a", "1"), ("MULTI",), ("SET", "b", "1"), ("SET", "c", "1"), ("EXEC",)])
        server.signal_and_wait(signal.SIGKILL)
    increment = increment_of(tmp_path)
    whole = increment.read_bytes()
    begin = whole.index(b"*1\r\n$5\r\nMULTI")
    for cut in (len(whole) - 1, len(whole) - 30, begin + 3):
        increment.write_bytes(whole[:cut])
        found = check_aof(str(increment))
        assert found.returncode == 1
        assert f"ok_up_to={begin}" in found.stdout
        with pytest.raises(ServerDidNotStart, match="in the middle of a command"):
            serve(tmp_path, aof_load_truncated="no")
        assert increment.stat().st_size == cut, "who does not load it does not change it"
        with serve(tmp_path) as server, server.wire() as wire:
            assert wire.value("MGET", "a", "b", "c") == [b"1", None, None]
            server.signal_and_wait(signal.SIGKILL)
        assert increment.stat().st_size == begin


def test_what_is_no_command_keeps_the_server_from_starting_until_it_is_mended(tmp_path: Path) -> None:
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire:
        wire.pipeline([("SET", "a", "1"), ("SET", "b", "1")])
        server.signal_and_wait(signal.SIGKILL)
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    assert check_aof(str(manifest)).returncode == 0
    increment = increment_of(tmp_path)
    good = increment.read_bytes()
    increment.write_bytes(good + b"nonsense")
    with pytest.raises(ServerDidNotStart, match=f"at byte {len(good)}"):
        serve(tmp_path)
    with serve(tmp_path, aof_load_corrupt_tail_max_size="8") as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 2
        server.signal_and_wait(signal.SIGKILL)
    increment.write_bytes(good + b"nonsense")
    found = check_aof(str(manifest))
    assert (found.returncode, f"ok_up_to={len(good)}" in found.stdout) == (1, True)
    assert check_aof("--fix", str(manifest), answer="n\n").returncode == 1
    assert increment.stat().st_size == len(good) + 8
    assert check_aof("--fix", str(manifest), answer="y\n").returncode == 0
    assert increment.read_bytes() == good
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 2


def test_a_file_is_cut_off_at_a_time_that_it_was_marked_with(tmp_path: Path) -> None:
    with serve(tmp_path, appendfsync="always", aof_timestamp_enabled="yes") as server, server.wire() as wire:
        wire.call("SET", "early", "1")
        until = int(time.time())
        eventually(lambda: time.time() >= until + 2, "two seconds pass")
        wire.call("SET", "late", "1")
        server.signal_and_wait(signal.SIGKILL)
    increment = increment_of(tmp_path)
    whole = increment.read_bytes()
    assert b"#TS:" in whole
    assert check_aof("--truncate-to-timestamp", str(until - 3600), str(increment)).returncode == 1
    assert increment.read_bytes() == whole, "a time from before the file began would leave nothing of it"
    assert check_aof("--truncate-to-timestamp", str(until), str(increment)).returncode == 0
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("MGET", "early", "late") == [b"1", None]


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "file ../x seq 1 type i\n", "file a seq 0 type i\n", "file a seq 1 type z\n"]
)
def test_a_manifest_that_cannot_be_used_is_told_and_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "appendonlydir").mkdir()
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text(text)
    with pytest.raises(ServerDidNotStart, match="manifest"):
        serve(tmp_path)
    assert manifest.read_text() == text
    assert check_aof(str(manifest)).returncode == 1


def test_the_only_file_of_an_old_server_becomes_a_base(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
    )
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire:
        assert wire.value("GET", "a") == b"1"
        wire.call("INCR", "a")
        server.signal_and_wait(signal.SIGKILL)
    assert not (tmp_path / "appendonly.aof").exists()
    assert files(tmp_path) == ["appendonly.aof", "appendonly.aof.1.incr.aof"]
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("GET", "a") == b"2"


def test_a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: it can be lifted while the server runs."""
    with serve(tmp_path, appendfsync="always") as server, server.wire() as wire, server.wire() as reader:
        wire.call("SET", "k", "v")
        size = increment_of(tmp_path).stat().st_size
        hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 1000, hard))
        # Its answer waits for the disk.
        wire.write("SET", "waits", "x" * 5000)
        eventually(lambda: info_field(reader, "persistence", "aof_last_write_status") == "err", "it is noticed")
        assert reader.call("SET", "refused", "1").raw == b"-MISCONF Errors writing to the AOF file: File too large\r\n"
        assert reader.value("GET", "k") == b"v"
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert wire.read().raw == OK
        eventually(lambda: info_field(reader, "persistence", "aof_last_write_status") == "ok", "it recovers by itself")
        assert reader.call("SET", "after", "1").raw == OK
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("MGET", "k", "after", "refused") == [b"v", b"1", None]
        assert wire.value("STRLEN", "waits") == 5000


def test_an_append_only_file_that_cannot_be_written_is_told_in_the_log(tmp_path: Path) -> None:
    """While it lasts, when it is over, and at an end that loses what was acknowledged."""
    with serve(tmp_path, appendfsync="no") as server, server.wire() as wire:
        # Longer than the log, which the limit is not for.
        wire.call("SET", "k", "v" * 100_000)
        eventually(lambda: increment_of(tmp_path).stat().st_size > 100_000, "it is written")
        hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (increment_of(tmp_path).stat().st_size, hard))
        wire.call("SET", "k", "w")
        eventually(lambda: "the append-only file cannot be written" in server.log(), "it is told")
        assert "reason='File too large'" in server.log()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
        eventually(lambda: "the append-only file is written again" in server.log(), "so is its end")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (increment_of(tmp_path).stat().st_size, hard))
        assert wire.call("SET", "lost", "1").raw == OK
        assert server.signal_and_wait(signal.SIGTERM) == 0
        assert "the append-only file lacks what was written last" in server.log()


def test_waitaof_tells_that_what_was_written_is_on_disk(tmp_path: Path) -> None:
    with serve(tmp_path, appendfsync="no") as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        assert wire.value("WAITAOF", "1", "0", "0") == [1, 0]
        assert wire.value("WAITAOF", "1", "1", "50") == [1, 0], "there is no replica"
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("GET", "k") == b"v"
        for arguments in (("2", "0", "0"), ("0", "-1", "0"), ("0", "0", "-1"), ("0", "0", "x")):
            assert wire.call("WAITAOF", *arguments).raw.startswith(b"-ERR ")


def test_waitaof_counts_nothing_before_the_first_base_is_on_disk(tmp_path: Path) -> None:
    """The story: behind CONFIG SET appendonly yes it said at once that all was on disk, where a crash then lost everything: an
    increment is worth nothing without its base, in Redis as well, which says 0."""
    with serve(tmp_path, appendonly="no", appendfsync="always") as server, server.wire() as wire:
        wire.call("DEBUG", "POPULATE", "20")
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "50000")
        assert wire.call("CONFIG", "SET", "appendonly", "yes").raw == OK
        assert wire.value("WAITAOF", "0", "0", "0") == [0, 0]
        assert wire.call("SET", "k", "v").raw == OK
        assert wire.value("WAITAOF", "1", "0", "100") == [0, 0]
        assert wire.value("WAITAOF", "1", "0", "0") == [1, 0]
        assert info_field(wire, "persistence", "aof_rewrite_in_progress") == "0"
        server.signal_and_wait(signal.SIGKILL)
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("DBSIZE") == 21


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_waitaof_counts_what_is_on_disk_though_replicas_were_pinged_since(tmp_path: Path, policy: str) -> None:
    """The story: what goes to replicas only, as their PING does, was looked for in the file, where it never comes."""
    ping = {"repl-ping-replica-period": "1", "repl-diskless-sync-delay": "0"}
    with (
        serve(tmp_path, appendfsync=policy, **ping) as server,
        server.wire() as wire,
        Server(directives={"replicaof": f"127.0.0.1 {server.port}"}) as replica,
        replica.wire() as follower,
    ):
        eventually(lambda: info_field(follower, "replication", "master_link_status") == "up", "the link is up")
        wire.call("SET", "k", "v")
        offset = int(info_field(wire, "replication", "master_repl_offset") or 0)
        eventually(
            lambda: int(info_field(wire, "replication", "master_repl_offset") or 0) > offset, "the replica is pinged"
        )
        eventually(lambda: wire.value("WAITAOF", "0", "0", "0") == [1, 0], "all of the file is on disk")


def test_a_replica_appends_its_primary_s_data_and_what_follows(tmp_path: Path) -> None:
    primary_home, replica_home = tmp_path / "primary", tmp_path / "replica"
    primary_home.mkdir()
    replica_home.mkdir()
    with serve(primary_home, appendonly="no") as primary, primary.wire() as wire:
        fill(wire)
        with serve(replica_home) as replica, replica.wire() as follower:
            follower.call("SET", "of other data", "1")
            follower.call("REPLICAOF", "127.0.0.1", str(primary.port))
            eventually(lambda: info_field(follower, "replication", "master_link_status") == "up", "the link is up")
            eventually(lambda: info_field(follower, "persistence", "aof_rewrites") != "0", "it is rewritten")
            wire.call("SET", "after", "1")
            wire.call("INCR", "count")
            expected = digest(wire)
            eventually(lambda: digest(follower) == expected, "the replica has all of it")
            assert follower.call("WAITAOF", "1", "0", "0").raw.startswith(b"-ERR WAITAOF cannot be used with replica")
            replica.signal_and_wait(signal.SIGTERM)
        with serve(replica_home) as replica, replica.wire() as follower:
            assert digest(follower) == expected


references = [found for found in map(find_reference, reference_names) if found is not None]


@pytest.mark.skipif(not references, reason="no reference server is installed")
@pytest.mark.parametrize("program", references, ids=lambda program: program.name)
@pytest.mark.parametrize("rewritten", [False, True], ids=["as commands", "rewritten"])
def test_directories_are_interchanged_with_real_servers(tmp_path: Path, program: Program, rewritten: bool) -> None:
    commands = [
        ("SET", "a", "1", "EX", "10000"), ("RPUSH", "l", "1", "2", "3"), ("LPOP", "l"), ("SADD", "s", "1", "2", "3"),
        ("SPOP", "s"), ("ZADD", "z", "1.5", "m"), ("HSET", "h", "f", "v"), ("HINCRBYFLOAT", "h", "n", "1.5"),
        ("XADD", "x", "*", "f", "v"), ("XGROUP", "CREATE", "x", "g", "0"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS",
        "x", ">"), ("INCRBYFLOAT", "n", "1.25"), ("MULTI",), ("SET", "m", "1"), ("SELECT", "2"), ("SET", "m", "2"),
        ("EXEC",), ("SELECT", "0"), ("SETEX", "e", "5000", "v"), ("GETEX", "e", "PERSIST"), ("PFADD", "p", "a", "b"),
        ("GEOADD", "geo", "13.3", "38.1", "Palermo"), ("COPY", "l", "l2"), ("XTRIM", "x", "MAXLEN", "~", "1"),
    ]  # fmt: skip
    asks = [("GET", "a"), ("LRANGE", "l", "0", "-1"), ("SMEMBERS", "s"), ("ZRANGE", "z", "0", "-1", "WITHSCORES"),
            ("HGETALL", "h"), ("XRANGE", "x", "-", "+"), ("XPENDING", "x", "g"), ("GET", "n"), ("GET", "m"),
            ("GET", "e"), ("TTL", "e"), ("PFCOUNT", "p"), ("PEXPIRETIME", "a"), ("DBSIZE",), ("LRANGE", "l2", "0", "-1"),
            ("SELECT", "2"), ("GET", "m")]  # fmt: skip
    for number, (writer, loader) in enumerate([(None, program), (program, None)]):
        directory = tmp_path / str(number)
        directory.mkdir()
        with _server_of(directory, writer) as server, server.wire() as wire:
            wire.pipeline(commands)
            if rewritten:
                wire.call("BGREWRITEAOF")
                eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "it ends")
                eventually(lambda: info_field(wire, "persistence", "aof_rewrite_scheduled") == "0", "it ends")
                eventually(lambda: bool(bases_in(directory)), "a base")  # noqa: B023
                wire.call("SET", "after", "1")
            expected = [reply.raw for reply in wire.pipeline(asks)]
            assert server.signal_and_wait(signal.SIGTERM) == 0
        with _server_of(directory, loader) as server, server.wire() as wire:
            eventually(lambda: not wire.call("GET", "a").raw.startswith(b"-LOADING"), "it is loaded")
            assert [reply.raw for reply in wire.pipeline(asks)] == expected


def bases_in(directory: Path) -> list[Path]:
    return list((directory / "appendonlydir").glob("*.base.*"))


def _server_of(directory: Path, program: Program | None) -> Server:
    directives = {"dir": str(directory), "appendonly": "yes"}
    return Server(program, shape=Shape(2, 2), directives=directives)


def test_two_servers_do_not_append_to_one_file(tmp_path: Path) -> None:
    """The second one changes nothing, not even what looks like a broken end, and is told so by a line."""
    with serve(tmp_path) as first, first.wire() as wire:
        wire.call("SET", "k", "v")
        path = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
        eventually(lambda: path.stat().st_size > 0, "it is written")
        with path.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n")
        size = path.stat().st_size
        with pytest.raises(ServerDidNotStart) as caught:
            serve(tmp_path)
        assert f"another server appends to {tmp_path / 'appendonlydir'}" in str(caught.value)
        with serve(tmp_path, appendonly="no") as second, second.wire() as other:
            refused = other.call("CONFIG", "SET", "appendonly", "yes").raw
            assert b"another server appends to" in refused
            assert other.value("CONFIG", "GET", "appendonly") == [b"appendonly", b"no"]
        # Nor does a check cut anything off meanwhile.
        words = [*sherd_command(), "check-aof", "--fix", str(path)]
        checked = subprocess.run(words, input="y\n", capture_output=True, text=True, timeout=60, check=False)
        assert (checked.returncode, checked.stderr) == (1, f"sherd: another server appends to {path.parent}\n")
        assert path.stat().st_size == size
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("GET", "k") == b"v"
