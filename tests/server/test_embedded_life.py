"""Embedded servers come and go in a program that is not theirs: in any thread, in any number, leaving nothing behind.

Each program runs in a process of its own: what is tested is what it is like at its end, and a crash must be that
process' alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sherd_only

rounds_variable = "TEST_SERVER_ROUNDS"
"""How many servers each of the eight threads starts; 200 before a release."""

run_timeout_seconds = 600


def run_program(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python program to its end, which must be a good one."""
    finished = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, *arguments],
        capture_output=True, text=True, timeout=run_timeout_seconds, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, f"exit code {finished.returncode}\n{finished.stdout}\n{finished.stderr[-4000:]}"
    return finished


COMING_AND_GOING = """
import sys, threading
import sherd

done = []

def come_and_go():
    for _ in range(int(sys.argv[1])):
        with sherd.Server(port=0, shards=1, io_threads=1) as server:
            assert server.port
    done.append(True)

threads = [threading.Thread(target=come_and_go) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
"""


def test_eight_threads_start_and_stop_servers_at_once() -> None:
    """The data plane is first loaded in one of these threads, and that one ends while others still come."""
    assert run_program(COMING_AND_GOING, os.environ.get(rounds_variable, "25")).stdout.split() == ["8"]


LOADED_IN_A_THREAD_THAT_ENDS = """
import threading

def use():
    import sherd
    with sherd.Server(port=0, shards=1, io_threads=1) as server:
        assert server.port

for _ in range(20):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
"""


def test_the_thread_that_loaded_the_data_plane_may_end() -> None:
    """The system gives its id, which the allocator remembers, to one of the threads that follow."""
    run_program(LOADED_IN_A_THREAD_THAT_ENDS)


MEMORY_COMES_BACK = """
import gc, os, socket
import sherd
gc.disable()

def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def fill(port):
    with socket.create_connection(("127.0.0.1", port)) as client:
        for number in range(20):
            # Small values: those do not have mappings of their own.
            pairs = b"".join(b"$9\\r\\n%03d-%05d\\r\\n$100\\r\\n%s\\r\\n" % (number, each, b"x" * 100) for each in range(10_000))
            client.sendall(b"*20001\\r\\n$4\\r\\nMSET\\r\\n" + pairs)
            assert client.recv(100) == b"+OK\\r\\n"

with sherd.Server(port=0) as server:
    pass
before, servers = resident_mb(), []
for _ in range(6):
    with sherd.Server(port=0) as server:
        fill(server.port)
        assert resident_mb() > before + 15, "the data are there"
    servers.append(server)  # what was stopped holds nothing, though there is still somebody who knows it
print(before, resident_mb())
assert resident_mb() < before + 40
"""


def test_a_stopped_server_has_freed_its_data_without_the_cyclic_collector() -> None:
    """Six with more than twenty megabytes each leave less than the size of two."""
    run_program(MEMORY_COMES_BACK)


NOTHING_REFERS_TO_ITSELF = """
import contextlib, gc, os, threading, time
import sherd
gc.disable()

def tasks():
    names = []
    for task in os.listdir("/proc/self/task"):
        # It may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(open(f"/proc/self/task/{task}/comm").read().strip())
    return sorted(names)

with sherd.Server(port=0, metrics_port=0):
    pass
gc.collect()
before = tasks()
for _ in range(10):
    server = sherd.Server(port=0)
    server.start()
    server.stop()
del server
left = [one for one in gc.get_objects() if type(one).__module__.startswith("sherd.server")]
assert not left, left
# A thread that was joined may be seen for a moment still: Python lets go of it before the system does.
for _ in range(500):
    if tasks() == before:
        break
    time.sleep(0.02)
assert tasks() == before, (before, tasks())
assert threading.active_count() == 1
"""


def test_a_stopped_server_leaves_no_thread_and_no_cycle() -> None:
    """With the cyclic collector off, nothing of ten servers is left once nobody knows them any more."""
    run_program(NOTHING_REFERS_TO_ITSELF)


FORGOTTEN = """
import sherd
servers = [sherd.Server(port=0).start() for _ in range(3)]
print(all(server.port for server in servers))
"""


def test_a_program_that_forgets_its_servers_ends_without_a_word() -> None:
    """No traceback of an executor that is closed already, no warning."""
    finished = run_program(FORGOTTEN)
    assert finished.stdout == "True\n"
    assert finished.stderr == ""


HOST_LOGS = """
import logging
import structlog

configured = structlog.is_configured()
defaults = structlog.get_config()
root, handlers, level = logging.getLogger(), list(logging.getLogger().handlers), logging.getLogger().level
ours = logging.getLogger("sherd")
assert (ours.handlers, ours.level, ours.propagate) == ([], logging.NOTSET, True)

import sherd

with sherd.Server(port=0, maxclients=10) as server:
    assert structlog.is_configured() == configured
    assert structlog.get_config() == defaults
assert structlog.get_config() == defaults
assert (root.handlers, root.level) == (handlers, level)
assert (ours.handlers, ours.level, ours.propagate) == ([], logging.NOTSET, True)
"""


@pytest.mark.parametrize(
    "host", ["", "import structlog; structlog.configure(processors=[structlog.dev.ConsoleRenderer()])\n"]
)
def test_the_logs_of_the_program_around_it_stay_as_they_were(host: str) -> None:
    """Both where the program has set up structlog and where it has not."""
    run_program(host + HOST_LOGS)


LOGGED = """
import logging
logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
import sherd
with sherd.Server(port=0) as server:
    try:
        sherd.Server(port=0, unixsocket="/nonexistent/socket").start()
    except Exception as error:
        print(type(error).__name__)
from sherd.log import get_logger
get_logger().warning("an event", reason="a reason")
"""


def test_what_an_embedded_server_logs_are_records_of_the_logger_sherd() -> None:
    """Where the program around it sends them is its own affair."""
    finished = run_program(LOGGED)
    assert finished.stdout == "ListenError\n"
    assert "sherd WARNING an event reason=a reason" in finished.stderr


STOPPED_DURING_A_COMMAND = """
import logging, socket, time
logging.basicConfig(format="%(message)s")
import sherd

server = sherd.Server(port=0, enable_debug_command=True).start()
client = socket.create_connection(("127.0.0.1", server.port))
client.sendall(b"*3\\r\\n$5\\r\\nDEBUG\\r\\n$5\\r\\nSLEEP\\r\\n$3\\r\\n120\\r\\n")
while not server.node.engine.busy_shards():
    time.sleep(0.01)
server.stop()
server.stop()
assert server.node.engine.busy_shards(), "the command goes on"
"""


def test_stop_returns_while_a_command_is_executed() -> None:
    """And the process ends as well: the command, of two minutes, would outlast the patience of this test."""
    finished = subprocess.run(
        [sys.executable, "-c", STOPPED_DURING_A_COMMAND], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "the server ends before its commands do shards=0" in finished.stderr
    assert "Traceback" not in finished.stderr


A_CHILD_ENDS = """
import os, socket, sys
import sherd

with sherd.Server(save="3600 1", appendonly=True, dir=sys.argv[1], unixsocket=sys.argv[2]) as server:
    child = os.fork()
    if child == 0:
        # It leaves the block, and is told at its exit to stop servers that were forgotten.
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert os.path.exists(sys.argv[2])
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"PING\\r\\n")
        assert client.recv(100) == b"+PONG\\r\\n"
"""


def test_a_child_that_was_forked_ends_without_the_server(tmp_path: Path) -> None:
    """It has no thread that could write what is to be saved; files and sockets are its parent's."""
    run_program(A_CHILD_ENDS, str(tmp_path), str(tmp_path / "s"))


A_CHILD_HAS_A_SERVER = """
import os, socket
import sherd

def run_a_script(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=8) as client:
        client.sendall(b"EVAL 'return 7' 0\\r\\n")
        assert client.recv(100) == b":7\\r\\n"

with sherd.Server() as server:
    run_a_script(server)
    child = os.fork()
    if child == 0:
        with sherd.Server() as own:
            run_a_script(own)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    run_a_script(server)
"""


def test_a_child_that_was_forked_may_have_a_server_of_its_own() -> None:
    """With scripts, for which its parent's thread makes runtimes in the parent only."""
    run_program(A_CHILD_HAS_A_SERVER)
