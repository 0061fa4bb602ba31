"""A server that nobody uses takes little: memory, wake-ups, modules. What wakes it later is served as ever."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.servers import Server, Shape, sherd_program

pytestmark = pytest.mark.sherd_only

RESIDENT_MB_MAX = 32
WAKES_A_SECOND_MAX = 12
SECONDS = 5

# What a start without clients, data and extensions does without, and what brings each of them in.
LATER = {
    "ssl": "TLS of the control plane",
    "asyncio.sslproto": "TLS of the control plane",
    "inspect": "a traceback, commands in Python",
    "ast": "inspect",
    "hashlib": "a password, the build's id",
    "tempfile": "CONFIG REWRITE, ACL SAVE",
    "random": "LOLWUT",
    "uuid": "structlog.threadlocal",
    "gzip": "a scrape",
    "ctypes": "MEMORY MALLOC-STATS",
    "difflib": "a mistake in the configuration",
    "platform": "never",
    "hiredis": "MIGRATE, REPLICAOF",
    "lupa": "a script",
    "lupa.lua51": "a script",
    "prometheus_client": "a scrape",
    "structlog.stdlib": "never",
    "structlog.threadlocal": "never",
    "sherd.extensions.declare": "commands in Python",
    "sherd.extensions.sources": "commands in Python",
    "sherd.extensions.specification": "commands in Python",
    "sherd.observability.exposition": "a scrape",
    "sherd.observability.info": "INFO",
    "sherd.observability.metrics_table": "a scrape",
    "sherd.observability.page_access": "a password of the metrics page",
    "sherd.observability.snapshot": "INFO, a scrape",
    "sherd.syntax": "COMMAND DOCS",
    "sherd.directive_help": "--help",
}


def wakes(pid: int) -> int:
    """How often the threads of a process have slept so far."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        count += int((task / "status").read_text().partition("voluntary_ctxt_switches:")[2].split()[0])
    return count


def until_quiet() -> None:
    """The rates of the last moments are those of a server that does nothing."""
    time.sleep(3)


def test_an_idle_server_sleeps_and_takes_little_memory() -> None:
    """With the page for Prometheus, which nobody asks: neither its library nor OpenSSL is loaded."""
    with Server(shape=Shape(shards=1, io_threads=2), directives={"metrics-port": "0"}) as server:
        until_quiet()
        before, begun = wakes(server.pid), time.monotonic()
        time.sleep(SECONDS)
        rate = (wakes(server.pid) - before) / (time.monotonic() - begun)
        assert rate <= WAKES_A_SECOND_MAX
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert int(status.partition("VmRSS:")[2].split()[0]) / 1024 <= RESIDENT_MB_MAX
        assert "libssl" not in Path(f"/proc/{server.pid}/maps").read_text()


def imported(log: str) -> set[str]:
    """The modules that `python -v` has told of."""
    return set(re.findall(r"^import '([\w.]+)' # ", log, re.MULTILINE))


def test_a_start_imports_only_what_every_server_uses() -> None:
    """And what it leaves out is there when somebody uses it."""
    program = sherd_program()
    program = dataclasses.replace(program, command=(sys.executable, "-v", *program.command[1:]))
    with Server(program) as server, server.wire() as wire:
        # The control plane answers when it is there, clients are served before.
        assert wire.call("TIME").value
        loaded = imported(server.log())
        assert {"sherd.server.runtime", "sherd.families.info", "asyncio", "structlog"} <= loaded
        assert not loaded & LATER.keys()
        assert b"# Server" in wire.value("INFO")
        assert "hashlib" not in imported(server.log())
        assert wire.call("COMMAND", "DOCS", "GET").value
        assert wire.call("EVAL", "return 7", "0").value == 7
        assert wire.call("COMMAND", "COUNT").value > 200
        assert imported(server.log()) & LATER.keys() >= {
            "lupa.lua51", "sherd.observability.info", "sherd.syntax",
        }  # fmt: skip


def test_lua_takes_no_memory_before_the_first_script() -> None:
    with Server() as server, server.wire() as wire:
        maps = Path(f"/proc/{server.pid}/maps")
        until_quiet()
        assert "lua51" not in maps.read_text()
        assert wire.call("EVAL", "return 7", "0").value == 7
        assert "lua51" in maps.read_text()


def test_keys_expire_on_a_server_that_had_nothing_to_do(shape: Shape) -> None:
    """Without being touched: the shards' threads look again once there is something that expires."""
    with Server(shape=shape) as server, server.wire() as wire:
        until_quiet()
        for number in range(50):
            wire.call("SET", f"k{number}", "v", "PX", "30")
        wire.call("HSET", "h", "f", "v", "g", "v")
        wire.call("HPEXPIRE", "h", "30", "FIELDS", "1", "f")
        for _ in range(500):
            if b"expired_keys:50" in wire.value("INFO", "stats") and b"expired_subkeys:1" in wire.value(
                "INFO", "stats"
            ):
                break
            time.sleep(0.02)
        assert b"expired_keys:50" in wire.value("INFO", "stats")
        assert b"expired_subkeys:1" in wire.value("INFO", "stats")


def test_a_pause_ends_in_time_on_a_server_that_had_nothing_to_do() -> None:
    """A client that is held back is looked at every tick, however long the thread would have slept."""
    with Server(shape=Shape()) as server, server.wire() as wire, server.wire() as paused:
        until_quiet()
        wire.call("CLIENT", "PAUSE", "100")
        assert paused.call("SET", "k", "v").raw == b"+OK\r\n"


TLS_LATER = """
import sys
from sherd import later
from sherd.later import put_off
put_off("asyncio", "ssl", "asyncio.sslproto")
import asyncio
assert "asyncio.events" not in sys.modules
early = asyncio
assert early.run and "asyncio.events" in sys.modules
put_off("http")
import http
later.load("http", "asyncio", "nothing.of.the.kind")
import http.client
assert isinstance(http.HTTPStatus.OK, int)
import asyncio.base_events, asyncio.sslproto
assert asyncio is not early and early.run is asyncio.run
import ssl as imported
assert "_ssl" not in sys.modules
context = imported.create_default_context()
assert "_ssl" in sys.modules and sys.modules["ssl"] is not imported
assert isinstance(context, asyncio.base_events.ssl.SSLContext)

async def make():
    loop = asyncio.get_running_loop()
    protocol = asyncio.base_events.sslproto.SSLProtocol(loop, asyncio.Protocol(), context, None)
    assert isinstance(protocol, asyncio.sslproto.SSLProtocol)

asyncio.run(make())
put_off("ssl")
assert sys.modules["ssl"].SSLContext is type(context)
try:
    imported.nothing_of_the_kind
except AttributeError:
    print("good")
"""


def test_a_module_that_was_put_off_is_there_when_it_is_used() -> None:
    """asyncio's TLS works though asyncio was imported without OpenSSL."""
    finished = subprocess.run(
        [sys.executable, "-c", TLS_LATER], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.stdout == "good\n", finished.stderr
