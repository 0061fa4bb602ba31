"""A CPython without the interpreter's lock: commands in Python are executed in parallel over the shards.

The server is run by such an interpreter: the one that runs the tests, the one that `SHERD_TEST_PYTHON` names, or the one of
`make free-threaded`, which builds Sherd for it. Where there is none, these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import free_threaded_commands
from tests.support.servers import Program, Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Four shards, and as many threads for commands as follow from that."""
    program = Program("sherd", (_interpreter(), "-m", "sherd", "serve"), is_sherd=True)
    directives = {"python-commands": str(Path(free_threaded_commands.__file__))}
    with Server(program, shape=Shape(4, 2), directives=directives) as running:
        yield running


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
