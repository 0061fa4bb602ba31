"""As the first process of a container a server gets the children of processes that have ended, and collects them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import eventually
from tests.support.servers import Program, Server, sherd_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

inside = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
may_be_first = (
    shutil.which("nsenter") is not None
    and shutil.which("unshare") is not None
    and subprocess.run([*inside, "true"], check=False, capture_output=True).returncode == 0
)
# What the server's module does, with less patience.
start = "import sys; from sherd.server import process; process._ORPHAN_SECONDS = 0.2; from sherd.cli import main; sys.exit(main())"


@pytest.mark.skipif(not may_be_first, reason="no process may have others of its own here")
def test_what_a_probe_leaves_behind_is_collected(tmp_path: Path) -> None:
    interpreter = sherd_command()[0]
    program = Program("sherd", (*inside, interpreter, "-c", start, "serve"), is_sherd=True)
    with Server(program, directives={"dir": str(tmp_path)}) as server:
        (first,) = _children(server.pid)
        probe = [
            "nsenter",
            "--target",
            str(first),
            "--pid",
            "--mount",
            "setsid",
            "sh",
            "-c",
            "sleep 0.3 & sleep 0.3 & exit",
        ]
        subprocess.run(probe, check=True)
        assert len(_children(first)) == 2, "they are the server's now"
        eventually(lambda: not _children(first), "nothing is left of them")
        os.kill(first, signal.SIGTERM)
        assert server.process is not None
        assert server.process.wait(20) == 0


def _children(process: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(process), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(number) for number in found.stdout.split()]


def test_a_child_that_the_process_has_begun_itself_is_left_to_whoever_waits_for_it() -> None:
    program = (
        "import subprocess, sys, time; from sherd.server.process import ended_strangers;"
        "child = subprocess.Popen(['false']); stranger = subprocess.Popen(['true'], start_new_session=True); time.sleep(1);"
        "assert ended_strangers() == {stranger.pid}; assert child.wait() == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
