"""Scripts in a Lua that lupa has not made: the same replies, or a clear refusal.

The directive `lua-library` names lupa's own module here, which holds a whole Lua: what differs from the usual way is who makes
the runtimes. Where the system has a library of Lua 5.1 that is tried too, and one without Lua stands for what has none.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.compat.cases import functions, scripts
from tests.compat.conftest import default_settings
from tests.compat.engine import Runner, find_mismatches
from tests.compat.script import Case, parse_cases
from tests.support.servers import Server, Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool

pytestmark = pytest.mark.sherd_only

wait_seconds_max = 30.0


def _lupa_module() -> str:
    found = importlib.util.find_spec("lupa.lua51")
    assert found is not None and found.origin is not None
    return found.origin


@pytest.fixture(scope="module", params=["lupa", "system"])
def runners(request: pytest.FixtureRequest, pool: ServerPool) -> Iterator[tuple[Runner, Runner]]:
    """A server that makes its runtimes by itself, and one that has them from lupa."""
    library = _lupa_module() if request.param == "lupa" else ctypes.util.find_library("lua5.1")
    if library is None:
        pytest.skip("the system has no shared library of Lua 5.1")
    pair = []
    for more in ({"lua-library": library}, {}):
        server = pool.get(sherd_program(), shape=Shape(), directives={**dict(default_settings), **more}, flush=False)
        pair.append(Runner(server))
    yield pair[0], pair[1]
    for runner in pair:
        runner.close()


_cases = [
    pytest.param(case, id=case.title)
    for table in (scripts.CASES, functions.CASES)
    for case in parse_cases(table)
    if not case.settings
]


@pytest.mark.parametrize("case", _cases)
def test_scripts_answer_the_same_in_another_lua(case: Case, runners: tuple[Runner, Runner]) -> None:
    """Every case of the tables, byte for byte."""
    ours, theirs = (runner.run(case.steps, case.protocol or 3) for runner in runners)
    assert not find_mismatches(case.steps, ours, theirs, "sherd")


def test_a_script_meets_the_memory_limit_of_another_lua() -> None:
    """With an error; the server lives on."""
    with Server(directives={"lua-library": _lupa_module()}) as server, server.wire() as wire:
        source = "local s = 'x' while true do s = s .. s end"
        assert b"not enough memory" in wire.call("EVAL", source, "0").raw
        assert wire.call("EVAL", "return 1", "0").value == 1


def test_without_a_lua_the_log_and_every_script_say_so() -> None:
    """From the start on; everything else works."""
    without_lua = "libc.so.6" if sys.platform == "linux" else "libSystem.dylib"
    with Server(directives={"lua-library": without_lua}) as server, server.wire() as wire:
        deadline = time.monotonic() + wait_seconds_max
        while "scripts cannot be run" not in server.log() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "Lua's C API is not complete" in server.log()
        for command in (("EVAL", "return 1", "0"), ("SCRIPT", "LOAD", "return 1"), ("EVAL_RO", "return 1", "0")):
            assert wire.call(*command).raw.startswith(b"-ERR scripts cannot be run: Lua's C API is not complete: ")
        library = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"
        assert b"Lua's C API is not complete" in wire.call("FUNCTION", "LOAD", library).raw
        assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
