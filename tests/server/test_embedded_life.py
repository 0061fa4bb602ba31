"""Embedded servers come and go in a program that is not theirs: in any thread, in any number, leaving nothing behind.

Each program runs in a process of its own: what is tested is what it is like at its end, and a crash must be that
process' alone.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.sherd_only

rounds_variable = "SHERD_TEST_SERVER_ROUNDS"
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
