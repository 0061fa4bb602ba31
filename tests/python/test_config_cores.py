"""The default number of threads follows the cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sherd.config.cores import available_cores, default_threads


@pytest.mark.parametrize(("cores", "threads"), [(1, (1, 1)), (2, (2, 1)), (4, (4, 2)), (8, (8, 4)), (64, (16, 8))])
def test_threads_grow_with_the_cores_up_to_a_bound(cores: int, threads: tuple[int, int]) -> None:
    assert default_threads(cores) == threads


@pytest.mark.parametrize("text", ["max 100000\n", "", "x y", "100000 0"])
def test_a_control_group_without_a_limit_leaves_all_cores(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert available_cores(tmp_path / "cpu.max") == len(os.sched_getaffinity(0))


def test_a_control_group_caps_the_cores_but_never_at_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert available_cores(tmp_path / "cpu.max") == 1
    assert available_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))
