"""Commands in Python over their life: loading, loading again, deadlines, memory, the end of the server, embedded servers."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server import extension_under_test
from tests.support.servers import Server, ServerDidNotStart, Shape
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sherd_only
extension = str(Path(extension_under_test.__file__))
wait_seconds = 20.0

one_command = """
import sherd

@sherd.command("{name}", keys=1)
def answer(call: sherd.Call, key: bytes) -> int:
    return {value}
"""


def until(condition: Callable[[], object]) -> None:
    """Waits for something that happens by itself; fails after a generous while."""
    deadline = time.monotonic() + wait_seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def start(path: Path, **directives: str) -> Server:
    """A server with the commands of a file."""
    return Server(directives={"python-commands": str(path), **directives}, shape=Shape(shards=2))


beside_scripts = """
import time
import sherd

@sherd.command("slow.set", keys=1)
def slow_set(call: sherd.Call, key: bytes, seconds: float) -> object:
    time.sleep(seconds)
    return call("SET", key, "v")
"""


@pytest.mark.parametrize("script", ["return 'done'", "redis.call('INFO', 'server') return 'done'"])
def test_a_script_behind_a_command_in_python_does_not_wait_for_pythons_lock(tmp_path: Path, script: str) -> None:
    """The story: who lets go of a shard executes what came to it meanwhile, also a thread of Python's, which did so with the
    interpreter's lock. A script that needed its first runtime there, or that asked the control plane, waited for that lock, and
    everybody else for the shard, until the script was told after ten seconds that there is no runtime.
    """
    path = tmp_path / "slow.py"
    path.write_text(beside_scripts)
    server = Server(directives={"python-commands": str(path)}, shape=Shape(shards=1))
    with server, server.wire() as slow, server.wire() as other:
        for _ in range(3):
            # From now on it is known to be quick, and is executed by whoever has its shard.
            assert other.value("EVAL", script, "1", "k") == b"done"
        slow.write("SLOW.SET", "k", "0.3")
        time.sleep(0.1)
        assert other.value("EVAL", script, "1", "k") == b"done"
        assert slow.read().raw == b"+OK\r\n"


@pytest.mark.parametrize("script", ["return 'done'", "redis.call('INFO', 'server') return 'done'"])
def test_a_transaction_runs_a_script_behind_a_command_in_python(tmp_path: Path, script: str) -> None:
    """The story: such a script was executed with the interpreter's lock, as above."""
    path = tmp_path / "slow.py"
    path.write_text(beside_scripts)
    with start(path) as server, server.wire() as wire:
        for line in (("MULTI",), ("SLOW.SET", "k", "0"), ("EVAL", script, "1", "k")):
            wire.call(*line)
        assert wire.value("EXEC") == [b"OK", b"done"]


def test_a_pause_is_answered_when_commands_in_python_that_came_before_are_done(tmp_path: Path) -> None:
    """The story: those that waited in the queue of their thread were executed during the pause."""
    path = tmp_path / "slow.py"
    path.write_text(beside_scripts)
    with start(path) as server, server.wire() as slow, server.wire() as queued, server.wire() as operator:
        slow.write("SLOW.SET", "a", "0.8")
        queued.write("SLOW.SET", "b", "0")
        time.sleep(0.1)
        assert operator.call("CLIENT", "PAUSE", "100000", "WRITE").raw == b"+OK\r\n"
        assert operator.value("MGET", "a", "b") == [b"v", b"v"]
        assert operator.call("CLIENT", "UNPAUSE").raw == b"+OK\r\n"
        assert slow.read().raw + queued.read().raw == b"+OK\r\n+OK\r\n"


def test_a_module_that_is_loaded_again_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(one_command.format(name="own.answer", value=1))
    with start(path) as server, server.wire() as wire:
        assert wire.value("OWN.ANSWER", "k") == 1
        # Of the same size and within the same second: what compiled files cannot tell apart.
        path.write_text(one_command.format(name="own.answer", value=2))
        assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        assert wire.value("OWN.ANSWER", "k") == 2
        path.write_text(one_command.format(name="own.another", value=3))
        assert wire.call("SHERD", "RELOAD", str(path)).raw == b"+OK\r\n"
        assert wire.value("OWN.ANOTHER", "k") == 3
        assert wire.call("OWN.ANSWER", "k").raw.startswith(b"-ERR unknown command")
        assert wire.value("COMMAND", "INFO", "own.answer") == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def broken(:\n", b"SyntaxError: invalid syntax (own.py, line 1)"),
        ("import sherd\n1 / 0\n", b"ZeroDivisionError: division by zero (own.py, line 2)"),
        ("import no_such_module\n", b"ModuleNotFoundError: No module named 'no_such_module' (own.py, line 1)"),
        (one_command.format(name="get", value=1), b"get is a command of the server"),
        (one_command.format(name="Own", value=1), b"'Own' is no name of a command"),
        (one_command.format(name="a.b", value=1).replace("keys=1", "keys=2"), b"argument 2 is to be a key"),
        (one_command.format(name="a.b", value=1).replace("keys=1", "flags='quick'"), b"no flag 'quick'"),
        (one_command.format(name="a.b", value=1).replace("keys=1", "flags='writes'"), b"(did you mean 'write'?)"),
        (one_command.format(name="a.b", value=1).replace("bytes", "list"), b"key is a <class 'list'>"),
        (one_command.format(name="a.b", value=1).replace("def", "async def"), b"a command is a plain function"),
        (
            one_command.format(name="a.b", value=1)
            + one_command.format(name="a.b", value=2).replace("answer", "other"),
            b"a.b is declared twice",
        ),
        (
            one_command.format(name="a.b", value=1).replace('("a.b", keys=1)', ""),
            b"own.py: a command is declared with its name",
        ),
        ("import sherd\n\n@sherd.every(seconds=0)\ndef job(call): ...\n", b"at least 0.01 (own.py, line 3)"),
        (
            "import sherd\n\n@sherd.every(seconds=1)\nasync def job(call): ...\n",
            b"own.py: job: a job is a plain function",
        ),
        (
            "import sherd\n\n@sherd.on('set')\ndef hook(call): ...\n",
            b"own.py: hook: it is called with the call and the event",
        ),
        (
            "import sherd\n\n@sherd.on('expird')\ndef hook(call, event): ...\n",
            b"own.py: hook: there is no event 'expird' (did you mean 'expired'?)",
        ),
        (one_command.format(name="a.b", value=1).replace("keys=1", "acl='fancy'"), b"a.b: there is no category fancy"),
        ("def answer(call): ...\n", b"own.py declares no command, job or hook"),
    ],
)
def test_a_module_that_cannot_be_loaded_changes_nothing_and_tells_why(tmp_path: Path, text: str, reason: bytes) -> None:
    path = tmp_path / "own.py"
    path.write_text(one_command.format(name="own.answer", value=1))
    with start(path) as server, server.wire() as wire:
        path.write_text(text)
        reply = wire.call("SHERD", "RELOAD").raw
        assert reply.startswith(b"-ERR nothing was changed: ")
        assert reason in reply
        assert wire.value("OWN.ANSWER", "k") == 1
    with pytest.raises(ServerDidNotStart, match="Python commands cannot be loaded"):
        start(path)


def test_a_package_is_loaded_again_with_its_submodules(tmp_path: Path) -> None:
    package = tmp_path / "package_under_test"
    package.mkdir()
    (package / "__init__.py").write_text("from package_under_test import part\n")
    (package / "part.py").write_text(one_command.format(name="own.answer", value=1))
    with (
        Server(
            directives={"python-commands": "package_under_test"}, environment={"PYTHONPATH": str(tmp_path)}
        ) as server,
        server.wire() as wire,
    ):
        assert wire.value("OWN.ANSWER", "k") == 1
        (package / "part.py").write_text(one_command.format(name="own.answer", value=2))
        assert wire.call("SHERD", "RELOAD", "package_under_test").raw == b"+OK\r\n"
        assert wire.value("OWN.ANSWER", "k") == 2
        assert wire.call("SHERD", "RELOAD", "other").raw == b"-ERR nothing was changed: no module other was loaded\r\n"


def test_modules_that_import_commands_of_each_other_are_loaded_again(tmp_path: Path) -> None:
    """All at once or one of them: what both have is its module's, and old ones of it are gone, jobs among them."""
    package = tmp_path / "package_in_parts"
    package.mkdir()
    (package / "__init__.py").touch()
    job = (
        '@sherd.every(seconds=0.05, keys=["{name}"])\ndef tick(call: sherd.Call) -> None:\n    call("INCR", "{name}")\n'
    )
    (package / "first.py").write_text(one_command.format(name="own.first", value=1) + job.format(name="ticks"))
    second = "import sherd\nfrom package_in_parts.first import answer, tick\n"
    second += '@sherd.command("own.second", keys=1)\ndef second(call: sherd.Call, key: bytes) -> int:\n'
    (package / "second.py").write_text(second + "    return answer(call, key) + 10\n")
    for order in (["first", "second"], ["second", "first"], ["first", "second", ""]):
        sources = [f"package_in_parts.{name}".rstrip(".") for name in order]
        with (
            Server(
                directives={"python-commands": " ".join(sources)},
                environment={"PYTHONPATH": str(tmp_path)},
                shape=Shape(shards=2),
            ) as server,
            server.wire() as wire,
        ):
            for number, name in enumerate(["", "package_in_parts.first", "package_in_parts.second", ""], start=2):
                text = one_command.format(name="own.first", value=number) + job.format(name=f"ticks{number}")
                (package / "first.py").write_text(text)
                assert wire.call("SHERD", "RELOAD", *name.split()).raw == b"+OK\r\n", (order, name)
                if name != "package_in_parts.second":
                    assert wire.value("OWN.FIRST", "k") == number
                    until(lambda key=f"ticks{number}": wire.value("EXISTS", key))  # type: ignore[misc]
                assert wire.value("OWN.SECOND", "k") in (10 + number, 9 + number)
                jobs = wire.value("SHERD", "COMMANDS")
                assert str(jobs).count("tick") == 1
            assert wire.value("OWN.SECOND", "k") == 15
            (package / "first.py").write_text("import sherd\nraise ValueError\n")
            assert b"ValueError" in wire.call("SHERD", "RELOAD").raw
            assert (wire.value("OWN.FIRST", "k"), wire.value("OWN.SECOND", "k")) == (5, 15)
            (package / "first.py").write_text(one_command.format(name="own.first", value=1) + job.format(name="ticks"))


def test_whatever_can_be_called_may_be_a_command_or_a_job(tmp_path: Path) -> None:
    """Objects and partial functions, which have no names of their own: their parameters are read all the same."""
    path = tmp_path / "own.py"
    path.write_text("""
import functools
import sherd

class Adder:
    def __call__(self, call: sherd.Call, key: bytes, number: int) -> int:
        return call("INCRBY", key, number) + number - number

def add(bonus: int, call: sherd.Call, key: bytes, number: int) -> int:
    return call("INCRBY", key, number + bonus)

def tick(key: str, call: sherd.Call) -> None:
    call("INCR", key)

first = sherd.command("own.first", keys=1)(Adder())
second = sherd.command("own.second", keys=1)(functools.partial(add, 10))
job = sherd.every(seconds=0.05, keys=["ticks"])(functools.partial(tick, "ticks"))
""")
    with start(path) as server, server.wire() as wire:
        assert wire.value("OWN.FIRST", "n", 1) == 1
        assert wire.value("OWN.SECOND", "n", 1) == 12
        for name in ("OWN.FIRST", "OWN.SECOND"):
            assert wire.call(name, "n", "x").raw.endswith(b": number must be an integer\r\n")
        until(lambda: wire.value("GET", "ticks"))
        assert all(word in str(wire.value("SHERD", "COMMANDS")) for word in ("Adder", "add", "tick"))
        assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"


def test_scripts_know_no_command_of_a_module_however_often_it_is_loaded(tmp_path: Path) -> None:
    """What a script has called first is remembered for its next run: never a command that may become another one."""
    path = tmp_path / "own.py"
    script = "return redis.call(ARGV[1], KEYS[1])"
    unknown = b"-ERR Unknown Redis command called from script"
    path.write_text(one_command.format(name="own.answer", value=1))
    with start(path) as server, server.wire() as wire:
        for value in (2, 3):
            for name in ("own.answer", "incr", "ownanswer"):
                reply = wire.call("EVAL", script, "1", "k", name).raw
                assert reply.startswith(b":" if name == "incr" else unknown)
            path.write_text(one_command.format(name="own.answer", value=value))
            assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"
            assert wire.value("OWN.ANSWER", "k") == value


def test_loading_again_under_load_loses_no_request(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(one_command.format(name="own.answer", value=1))
    with start(path) as server:
        done, wrong, answered = threading.Event(), [], []

        def call() -> None:
            with server.wire() as wire:
                while not done.is_set():
                    replies = wire.pipeline([["OWN.ANSWER", "k"]] * 20)
                    answered.append(len(replies))
                    wrong.extend(reply.raw for reply in replies if reply.raw not in (b":1\r\n", b":2\r\n"))

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        with server.wire() as wire:
            for number in range(20):
                path.write_text(one_command.format(name="own.answer", value=number % 2 + 1))
                assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        done.set()
        for caller in callers:
            caller.join(60)
        assert not any(caller.is_alive() for caller in callers)
        assert answered
        assert not wrong


def test_a_command_beyond_its_deadline_is_an_error_and_its_shards_come_back() -> None:
    directives = {"python-commands": extension, "python-command-timeout-ms": "100"}
    with Server(directives=directives) as server, server.wire() as wire, server.wire() as other:
        replies = wire.pipeline([
            ["TEST.CALL", "k", "SET", "k", "1"], ["TEST.SLEEP", "k", "1.0"], ["TEST.CALL", "k", "GET", "k"],
        ])  # fmt: skip
        assert replies[0].raw == b"+OK\r\n"
        assert replies[1].raw == (
            b"-ERR test.sleep took longer than 100 ms (python-command-timeout-ms) and has not ended yet\r\n"
        )
        # What stands behind it is executed when it has ended.
        assert replies[2].value == b"awake"
        assert other.value("GET", "k") == b"awake"
        until(lambda: "that was beyond its deadline has ended" in server.log())
        assert "a Python command is beyond its deadline and holds its shards" in server.log()
        assert "has ended thread=python command=test.sleep" in server.log()
        wire.write("TEST.SLEEP", "k", "1.0")
        assert wire.read().is_error
        # The client goes on at once, as does who needs no shard.
        assert wire.value("PING") == b"PONG"
        assert wire.value("GET", "k") == b"awake"


def test_a_deadline_within_a_transaction_makes_the_commands_reply_an_error() -> None:
    directives = {"python-commands": extension, "python-command-timeout-ms": "50"}
    with Server(directives=directives) as server, server.wire() as wire:
        wire.pipeline([["MULTI"], ["SET", "a", "1"], ["TEST.SLEEP", "k", "0.3"], ["GET", "k"]])
        replies = wire.call("EXEC").value
        assert replies[0] == b"OK"
        assert "took longer than 50 ms" in str(replies[1])
        assert replies[2] == b"awake"


def test_no_deadline_is_kept_where_it_is_turned_off() -> None:
    directives = {"python-commands": extension, "python-command-timeout-ms": "0"}
    with Server(directives=directives) as server, server.wire() as wire:
        assert wire.value("TEST.SLEEP", "k", "0.3") == b"slept"
        assert wire.call("CONFIG", "SET", "python-command-timeout-ms", "50").raw == b"+OK\r\n"
        assert wire.call("TEST.SLEEP", "k", "0.5").is_error


def test_others_go_on_while_a_command_takes_long() -> None:
    with (
        Server(directives={"python-commands": extension}, shape=Shape(shards=4)) as server,
        server.wire() as wire,
        server.wire() as other,
    ):
        wire.write("TEST.SLEEP", "slow", "1.0")
        names = [f"key:{number}" for number in range(64)]
        elsewhere = [name for name in names if _shard_of(name) != _shard_of("slow")]
        assert len(elsewhere) > 20
        assert all(other.value("SET", name, "x") == b"OK" for name in elsewhere)
        assert other.value("CONFIG", "GET", "port")
        assert wire.read().value == b"slept"


def _shard_of(key: str) -> int:
    from sherd.native import key_slot

    return key_slot(key.encode()) // 4096


def test_memory_limits_refuse_what_needs_memory() -> None:
    directives = {"python-commands": extension, "maxmemory": "1", "maxmemory-policy": "noeviction"}
    with Server(directives=directives) as server, server.wire() as wire:
        out_of_memory = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        assert wire.call("TEST.GROW", "k", "10").raw == out_of_memory
        assert wire.call("TEST.CALL", "k", "SET", "k", "x").raw == out_of_memory
        assert wire.value("TEST.READ", "GET", "k") == b"None"
        assert wire.call("CONFIG", "SET", "maxmemory", "0").raw == b"+OK\r\n"
        assert wire.value("TEST.GROW", "k", "10") == 10


def test_memory_of_what_commands_write_is_counted_to_their_shards() -> None:
    with Server(directives={"python-commands": extension}, shape=Shape(shards=1)) as server, server.wire() as wire:
        assert wire.value("TEST.GROW", "big", str(8 << 20)) == 8 << 20
        for _ in range(200):
            wire.value("TEST.READ", "GET", "small")
        dataset = next(
            int(line.partition(b":")[2])
            for line in wire.value("INFO", "memory").splitlines()
            if line.startswith(b"used_memory_dataset:")
        )
        assert 8 << 20 <= dataset < 12 << 20


def test_keys_in_different_slots_are_refused_in_cluster_mode() -> None:
    directives = {"python-commands": extension, "cluster-enabled": "yes"}
    with Server(directives=directives, shape=Shape(shards=2)) as server, server.wire() as wire:
        cross = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
        assert wire.call("TEST.TRANSFER", "a", "b", 1).raw == cross
        assert wire.call("TEST.SUM", "a", "b").raw == cross
        assert wire.value("TEST.TRANSFER", "{t}a", "{t}b", 1) == -1
        assert wire.value("TEST.SUM", "{t}a", "{t}b") == 0


def test_a_server_ends_in_time_whatever_its_commands_do() -> None:
    with Server(directives={"python-commands": extension}) as server, server.wire() as wire:
        wire.write("TEST.SLEEP", "k", "60")
        with server.wire() as other:
            until(lambda: other.value("SHERD", "COMMANDS"))
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 10


def test_an_embedded_server_takes_functions_and_modules() -> None:
    import sherd

    calls: list[bytes] = []

    @sherd.command("own.note", keys=1)
    def note(call: sherd.Call, key: bytes) -> int:
        calls.append(key)
        return int(call("INCR", key))

    assert note.__name__ == "note"
    with (
        sherd.Server(commands=[note, extension_under_test]) as server,
        sherd.Server() as other,
        Wire(("127.0.0.1", server.port)) as wire,
        Wire(("127.0.0.1", other.port)) as other_wire,
    ):
        assert wire.value("OWN.NOTE", "k") == 1
        assert wire.value("TEST.CALL", "k", "INCR", "k") == 2
        assert other_wire.call("OWN.NOTE", "k").raw.startswith(b"-ERR unknown command")
    assert calls == [b"k"]


def test_embedded_servers_with_commands_come_and_go_without_leaving_threads() -> None:
    import sherd

    before = threading.active_count()
    for _ in range(5):
        with sherd.Server(commands=[extension_under_test]) as server, Wire(("127.0.0.1", server.port)) as wire:
            assert wire.value("TEST.CALL", "k", "INCR", "k") == 1
    until(lambda: threading.active_count() <= before + 1)


def test_what_declares_nothing_is_no_source_of_commands() -> None:
    import sherd
    from sherd.errors import ConfigError

    with pytest.raises(ConfigError, match="declares no command"):
        sherd.Server(commands=[len]).start()


def test_several_threads_execute_commands_side_by_side() -> None:
    directives = {"python-commands": extension, "python-command-threads": "4"}
    with Server(directives=directives, shape=Shape(shards=4)) as server:
        wires = [server.wire() for _ in range(4)]
        for number, wire in enumerate(wires):
            wire.write("TEST.SLEEP", f"{{{number * 7}}}k", "0.5")
        assert [wire.read().value for wire in wires] == [b"slept"] * 4
        for wire in wires:
            wire.close()


def test_rights_are_asked_for_as_for_built_in_commands(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(one_command.format(name="own.answer", value=1))
    with start(path) as server, server.wire() as wire, server.wire() as guest:
        assert wire.call("ACL", "SETUSER", "guest", "on", ">secret", "~mine:*", "+own.answer").raw == b"+OK\r\n"
        assert wire.call("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read").raw == b"+OK\r\n"
        guest.call("AUTH", "guest", "secret")
        assert guest.value("OWN.ANSWER", "mine:k") == 1
        assert guest.call("OWN.ANSWER", "other").raw == b"-NOPERM No permissions to access a key\r\n"
        replies = guest.pipeline([["OWN.ANSWER", "mine:k"], ["OWN.ANSWER", "other"], ["OWN.ANSWER", "mine:k"]])
        assert [reply.is_error for reply in replies] == [False, True, False]
        guest.call("AUTH", "reader", "secret")
        assert guest.call("OWN.ANSWER", "k").raw.startswith(b"-NOPERM User reader has no permissions to run")
        # A command that comes later is known to rules, and to who may do everything.
        path.write_text(one_command.format(name="own.later", value=2))
        assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        assert wire.value("OWN.LATER", "k") == 2
        until(lambda: wire.call("ACL", "SETUSER", "guest", "+own.later").raw == b"+OK\r\n")
        guest.call("AUTH", "guest", "secret")
        assert guest.value("OWN.LATER", "mine:k") == 2


def test_what_commands_write_survives_in_the_append_only_file(tmp_path: Path) -> None:
    directives = {"python-commands": extension, "appendonly": "yes", "dir": str(tmp_path), "appendfsync": "always"}
    with Server(directives=directives) as server, server.wire() as wire:
        replies = wire.pipeline([["TEST.TRANSFER", "a", "b", "5"], ["SET", "c", "1"], ["TEST.CALL", "c", "INCR", "c"]])
        assert [reply.value for reply in replies] == [-5, b"OK", 2]
        wire.pipeline([["MULTI"], ["TEST.CALL", "d", "INCR", "d"], ["INCR", "e"], ["EXEC"]])
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*.aof"))
    assert b"MULTI\r\n*3\r\n$6\r\nDECRBY" in files
    assert b"TEST." not in files
    with Server(directives=directives) as server, server.wire() as wire:
        assert wire.value("MGET", "a", "b", "c", "d", "e") == [b"-5", b"5", b"2", b"1", b"1"]


def test_jobs_rest_while_the_server_follows_another_one() -> None:
    with Server(directives={"python-commands": extension}) as server, server.wire() as wire:
        until(lambda: int(wire.value("GET", "ticks") or 0) >= 2)
        assert wire.call("REPLICAOF", "127.0.0.1", "1").raw == b"+OK\r\n"

        def rests() -> bool:
            before = wire.value("GET", "ticks")
            time.sleep(0.5)
            return bool(wire.value("GET", "ticks") == before)

        until(rests)
        before = int(wire.value("GET", "ticks"))
        assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
        until(lambda: int(wire.value("GET", "ticks")) > before)


def test_a_flood_of_exceptions_is_told_as_a_number() -> None:
    with Server(directives={"python-commands": extension}) as server, server.wire() as wire:

        def flood() -> bool:
            replies = wire.pipeline([["TEST.FAILS", "k"]] * 100)
            assert all(reply.is_error for reply in replies)
            return "untold=" in server.log()

        until(flood)
