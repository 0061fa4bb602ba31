"""A CPython without the interpreter's lock: commands in Python are executed in parallel over the shards.

The server is run by such an interpreter: the one that runs the tests, the one that `SHERD_TEST_PYTHON` names, or the one of
`make free-threaded`, which builds Sherd for it. Where there is none, these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import free_threaded_commands
from tests.support.servers import Program, Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sherd_only
root = Path(__file__).parents[2]
# One key in each of four shards.
keys = ("{7}k", "{0}k", "{2}k", "{1}k")
_question = "import sys, sherd.native; sys.exit(getattr(sys, '_is_gil_enabled', lambda: True)())"


def _interpreter() -> str:
    """An interpreter without a lock that has Sherd."""
    built = root / ".venv-free-threaded/bin/python"
    for candidate in (sys.executable, os.environ.get("SHERD_TEST_PYTHON"), str(built) if built.exists() else None):
        if candidate and subprocess.run([candidate, "-c", _question], capture_output=True, check=False).returncode == 0:
            return candidate
    # CPythons without a lock are not on every machine, and want a build of their own.
    pytest.skip("no free-threaded CPython with Sherd here: `make free-threaded` builds for one")


def start(commands: str = str(Path(free_threaded_commands.__file__)), **directives: str) -> Server:
    """Four shards, and as many threads for commands as follow from that."""
    program = Program("sherd", (_interpreter(), "-m", "sherd", "serve"), is_sherd=True)
    return Server(program, shape=Shape(4, 2), directives={"python-commands": commands, **directives})


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The server of the tests that leave it as it was."""
    with start() as running:
        yield running


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_once(server: Server, lines: list[list[Any]], times: int = 1) -> list[list[Any]]:
    """What clients of their own are answered, each of which sends its line so many times."""
    answers: list[list[Any]] = [[] for _ in lines]

    def send(number: int) -> None:
        with server.wire(protocol=3, timeout_seconds=120) as wire:
            for _ in range(times):
                answers[number].append(wire.value(*lines[number]))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(lines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(each) == times for each in answers)
    return answers


def test_nothing_that_the_server_loads_brings_the_lock_back(server: Server) -> None:
    """Neither its own module nor those it stands on, that for scripts included, which is loaded with the first of them."""
    with server.wire() as wire:
        assert wire.value("EVAL", "return redis.call('INCR', KEYS[1])", "1", "k") == 1
        assert wire.value("INFO", "everything")
        assert wire.value("FREE.LOCK") == 0
    assert "GIL" not in server.log()


def test_commands_of_different_shards_are_executed_at_the_same_time(server: Server) -> None:
    """Each waits for three others within itself, with nothing set: there is a thread for each shard."""
    assert [each[-1] for each in at_once(server, [["FREE.MEET", key] for key in keys], times=50)] == [50] * 4


def test_commands_of_one_shard_are_one_step_each(server: Server) -> None:
    """No write is lost, whichever threads execute them."""
    counted = [f"{key}:counted" for key in keys]
    lines: list[list[Any]] = [["FREE.COUNT", key, 20] for key in (*counted, *counted)]
    at_once(server, lines, times=25)
    with server.wire() as wire:
        assert [wire.value("GET", key) for key in counted] == [b"1000"] * 4


def test_what_others_change_while_it_becomes_a_reply_is_still_a_reply(server: Server) -> None:
    """A dictionary and a list that all threads use."""
    for each in at_once(server, [["FREE.SHARE", key, number] for number, key in enumerate(keys)], times=200):
        assert all(isinstance(shared, dict) and isinstance(members, list) for shared, members in each)


def test_transactions_scripts_and_commands_in_python_go_on_side_by_side(server: Server) -> None:
    """Each kind holds shards in its own way, and none waits for another for ever."""
    script = "for number = 1, 50 do redis.call('INCR', KEYS[1]) end return redis.call('INCR', KEYS[2])"
    lines: list[list[Any]] = [["FREE.COUNT", key, 20] for key in keys]
    lines += [["EVAL", script, "2", "{2}all", "{7}all"], ["INFO", "everything"], ["MSET", "{0}m", "1", "{1}m", "2"]]
    answers = at_once(server, lines, times=40)
    assert answers[4][-1] == 40


_versioned = """
import sherd

values = {{"version": {version}, "calls": 0}}

@sherd.command("own.version", keys=1)
def version(call: sherd.Call, key: bytes) -> int:
    values["calls"] += 1
    call("INCR", key)
    return values["version"]

@sherd.every(seconds=0.01, keys=["{{7}}job"])
def job(call: sherd.Call) -> None:
    call("INCR", "{{7}}job")
"""


def test_loading_again_while_all_shards_execute_loses_no_request(tmp_path: Path) -> None:
    """Threads are within functions of the module, and its job runs, while another takes its place."""
    path = tmp_path / "own.py"
    path.write_text(_versioned.format(version=0))
    with start(str(path)) as server, server.wire() as wire:
        loaded, answers = threading.Event(), {key: [] for key in keys}

        def call(key: str) -> None:
            with server.wire(timeout_seconds=120) as own:
                while not loaded.is_set() or not answers[key]:
                    answers[key] += [reply.value for reply in own.pipeline([["OWN.VERSION", key]] * 10)]

        callers = [threading.Thread(target=call, args=(key,)) for key in keys]
        for caller in callers:
            caller.start()
        for version in range(1, 16):
            path.write_text(_versioned.format(version=version))
            assert wire.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        loaded.set()
        for caller in callers:
            caller.join(120)
        assert not any(caller.is_alive() for caller in callers)
        for key, versions in answers.items():
            # Each is of some version that was loaded, and none comes after a newer one.
            assert versions == sorted(versions)
            assert set(versions) <= set(range(16))
            assert wire.value("GET", key) == str(len(versions)).encode()
        assert int(wire.value("GET", "{7}job") or 0) > 0
        assert "Traceback" not in server.log()


def test_deadlines_strike_while_other_shards_execute() -> None:
    """A command beyond its deadline holds its own shard and no thread of another's."""
    with start(**{"python-command-timeout-ms": "20"}) as server:
        slow, quick = keys[:2], keys[2:]
        lines: list[list[Any]] = [["FREE.SLEEP", key, 500] for key in slow]
        lines += [["FREE.COUNT", key, 2] for key in quick]
        with server.wire() as wire:
            done: list[list[bytes]] = [[] for _ in lines]

            def send(number: int) -> None:
                with server.wire(timeout_seconds=120) as own:
                    for _ in range(5):
                        done[number].append(own.call(*lines[number]).raw)

            threads = [threading.Thread(target=send, args=(number,)) for number in range(len(lines))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
            assert [len(each) for each in done] == [5] * 4
            assert all(b"took longer than 20 ms" in reply for each in done[:2] for reply in each)
            # Each has ended in its turn, though its client had its answer before.
            until(lambda: [wire.value("GET", key) for key in slow] == [b"5"] * 2)
            for key, replies in zip(quick, done[2:], strict=True):
                late = sum(b"took longer" in reply for reply in replies)
                assert late + sum(reply.startswith(b":") for reply in replies) == 5
                until(lambda key=key: wire.value("GET", key) == b"10")
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("round_number", range(3))
def test_a_server_ends_while_all_its_threads_execute(round_number: int) -> None:
    """Whatever they are within: none is left, and nothing is written to what is gone."""
    with start() as server:
        counts = [0] * 8

        def call(number: int) -> None:
            key = keys[number % 4]
            line: list[Any] = ["FREE.COUNT", key, 5] if number < 6 else ["FREE.SHARE", key, number]
            try:
                with server.wire(timeout_seconds=120) as own:
                    while own.call(*line).raw:
                        counts[number] += 1
            except (OSError, ConnectionClosed):
                pass

        callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for caller in callers:
            caller.start()
        until(lambda: all(counts))
        server.stop()
        for caller in callers:
            caller.join(60)
        assert not any(caller.is_alive() for caller in callers)
        assert "Traceback" not in server.log()
        assert "panicked" not in server.log()
