"""The lines of docs/replication.md that move the data from Redis or Valkey to Sherd and back, while clients write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.replication.support import await_equal, await_link, eventually, fill
from tests.support.references import need_reference
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

page = Path(__file__).parents[2] / "docs" / "replication.md"


def steps() -> list[list[str]]:
    """The blocks of lines under the heading about moving."""
    section = page.read_text().partition("## Moving from Redis")[2]
    blocks = re.findall(r"(?:^    redis-cli .*\n)+", section, re.MULTILINE)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


def run(lines: list[str], ports: dict[str, int]) -> None:
    """Runs lines as a shell would, each of which has to succeed."""
    program = shutil.which("redis-cli") or "/opt/ref/bin/redis-cli"
    for line in lines:
        words = [str(ports[word[1:]]) if word.startswith("$") else word for word in line.split()]
        finished = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=60, check=False)
        assert finished.returncode == 0, finished.stderr
        assert "ERR" not in finished.stdout, (line, finished.stdout)


def write(wire: Wire, first: int) -> None:
    for number in range(first, first + 50):
        assert wire.call("SET", f"moved:{number}", str(number)).raw == b"+OK\r\n"


def test_data_move_to_sherd_and_back_by_the_lines_of_the_page(reference_name: str) -> None:
    follow, change, keep, back = steps()
    debugging = {"enable-debug-command": "yes", "repl-diskless-sync-delay": "0"}
    with (
        Server(need_reference(reference_name), directives={**debugging, "maxclients": "400"}) as redis,
        Server(shape=Shape(2, 2), directives=debugging) as sherd,
        redis.wire() as old,
        sherd.wire() as new,
    ):
        ports = {"REDIS": redis.port, "SHERD": sherd.port}
        fill(old)
        run(follow, ports)
        await_link(new)
        write(old, 0)
        await_equal(old, new)
        run(change, ports)
        write(new, 50)
        run(keep, ports)
        await_link(old)
        write(new, 100)
        await_equal(new, old)
        run(back, ports)
        await_link(new)
        write(old, 150)
        await_equal(old, new)
        eventually(lambda: new.value("GET", "moved:199") == b"199", "all of it is there")
        assert [
            value for value in new.value("MGET", *(f"moved:{number}" for number in range(200))) if value is None
        ] == []
