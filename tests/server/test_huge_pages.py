"""Memory that is in use is gathered in huge pages while a server works: nothing changes but where it is, and none is added."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import pytest

from tests.protocol.test_limits import eventually
from tests.support.servers import Server, Shape

MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _is_possible() -> bool:
    """Since Linux 6.1 a process can ask for it; where all memory is huge by itself, only since 6.18."""
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    mode = MODE.read_text() if MODE.exists() else "[never]"
    return "[never]" not in mode and release >= ((6, 18) if "[always]" in mode else (6, 1))


pytestmark = [
    pytest.mark.sherd_only,
    pytest.mark.skipif(not _is_possible(), reason="the kernel gathers no huge pages for a process that asks"),
]
POPULATE = ("DEBUG", "POPULATE", "400000", "key", "100")


def _kilobytes(pid: int, name: str) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition(f"{name}:")[2].split()[0])


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_data_is_gathered_as_it_grows_and_stays_what_it_was(shape: Shape) -> None:
    with Server(shape=shape, directives={"enable-debug-command": "yes"}) as server, server.wire() as wire:
        assert _kilobytes(server.pid, "AnonHugePages") == 0, "a small server has none"
        assert wire.call(*POPULATE).raw == b"+OK\r\n"
        digest, resident = wire.call("DEBUG", "DIGEST").raw, _kilobytes(server.pid, "Rss")
        eventually(lambda: _kilobytes(server.pid, "AnonHugePages") >= 16 << 10, "memory is gathered")
        assert wire.call("DEBUG", "DIGEST").raw == digest
        assert _kilobytes(server.pid, "Rss") < resident * 1.1
        # What is freed goes back, in whatever pages it was.
        assert wire.call("FLUSHALL").raw == b"+OK\r\n"
        assert wire.call("MEMORY", "PURGE").raw == b"+OK\r\n"
        eventually(lambda: _kilobytes(server.pid, "Rss") < resident / 2, "memory goes back to the system")


def test_nothing_is_gathered_where_it_is_turned_off() -> None:
    directives = {"enable-debug-command": "yes", "gather-huge-pages": "no"}
    with Server(directives=directives) as server, server.wire() as wire:
        assert wire.call(*POPULATE).raw == b"+OK\r\n"
        for _ in range(10):
            time.sleep(0.1)
            assert _kilobytes(server.pid, "AnonHugePages") == 0
