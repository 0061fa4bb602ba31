"""A server whose control group has a limit of memory says so at its start where `maxmemory` does not keep within it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sherd.config.control_group import memory_advice, memory_limit


def _group(folder: Path, files: dict[str, str], own: str) -> tuple[Path, Path]:
    root = folder / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    root.mkdir(exist_ok=True)
    (folder / "own").write_text(own)
    return root, folder / "own"


@pytest.mark.parametrize(
    ("files", "own", "limit"),
    [
        ({"memory.max": "1073741824\n"}, "0::/\n", 1 << 30),
        ({"memory.max": "max\n"}, "0::/\n", 0),
        ({"a/b/memory.max": "max\n", "a/memory.max": "4096000\n"}, "0::/a/b\n", 4096000),
        ({"a/b/memory.max": "5000\n", "a/memory.max": "4096000\n"}, "0::/a/b\n", 5000),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, "4:memory:/\n", 0),
        ({"memory/x/memory.limit_in_bytes": "777777\n"}, "5:cpu:/x\n4:cpuset,memory:/x\n", 777777),
        ({}, "nonsense", 0),
        ({}, "", 0),
    ],
)
def test_the_least_limit_of_the_groups_counts(tmp_path: Path, files: dict[str, str], own: str, limit: int) -> None:
    assert memory_limit(*_group(tmp_path, files, own)) == limit


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "absent", tmp_path / "absent") == 0


@pytest.mark.parametrize(
    ("maxmemory", "limit", "said"),
    [
        (0, 0, ""),
        (100, 0, ""),
        (1 << 29, 1 << 30, ""),
        (0, 1 << 30, "limited to 1024 MB, beyond which the system ends it, and maxmemory is not set: set maxmemory to 768mb"),
        (1 << 30, 1 << 30, "and maxmemory is 1073741824 bytes: set maxmemory to 768mb"),
    ],
)  # fmt: skip
def test_a_limit_that_maxmemory_does_not_keep_within_is_told(maxmemory: int, limit: int, said: str) -> None:
    advice = memory_advice(maxmemory, limit)
    assert said in advice
    assert bool(said) == bool(advice)
