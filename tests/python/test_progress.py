"""`sherd check-aof` and `check-rdb` show how far they are to whoever waits at a terminal, and to nobody else."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from sherd import native
from sherd.persistence.progress import bar, shown_progress

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "marks", "percent"),
    [(0, 0, 0, 0), (0, 8, 0, 0), (2, 8, 10, 25), (8, 8, 40, 100), (9, 8, 40, 100)],
)
def test_a_bar_grows_with_what_is_done(done: int, total: int, marks: int, percent: int) -> None:
    assert bar(done, total) == f"[{'#' * marks}{'-' * (40 - marks)}] {percent:3d} %"


def test_a_terminal_sees_it_and_nothing_of_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with shown_progress("some.aof"):
        deadline = time.monotonic() + 20
        while "some.aof" not in terminal.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_what_is_no_terminal_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    with shown_progress("some.aof"):
        time.sleep(0.3)
    assert written.getvalue() == ""


def test_a_check_tells_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "some.aof"
    file.write_bytes(b"*1\r\n$4\r\nPING\r\n" * 5000)
    progress = native.CheckProgress()
    assert progress.bytes() == (0, 0)
    assert native.check_append(file, progress)["fault"] is None
    done, total = progress.bytes()
    assert total == file.stat().st_size
    assert done == 4096 * 14, "every 1024 commands"
