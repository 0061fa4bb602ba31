"""How far a check of a file is, on the terminal of whoever waits for it.

Drawn on the standard error by a thread of its own, as the check is one call of the data plane; where that is no
terminal, nothing is drawn, and no thread begun.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from sherd import native

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY_SECONDS = 0.2
_WIDTH = 40


@contextlib.contextmanager
def shown_progress(path: object) -> Iterator[native.CheckProgress]:
    """What the check is to be given, and a bar until it is over."""
    progress = native.CheckProgress()
    if not sys.stderr.isatty():
        yield progress
        return
    from sherd.threads import start_thread

    over = threading.Event()

    def draw() -> None:
        while not over.wait(_EVERY_SECONDS):
            _draw(bar(*progress.bytes()) + f" {path}")

    thread = start_thread(draw, "sherd-progress")
    try:
        yield progress
    finally:
        over.set()
        thread.join()
        # What is printed next begins where the bar was.
        _draw("")


def bar(done: int, total: int) -> str:
    """`[#####-----]  50 %`."""
    part = min(done / total, 1.0) if total else 0.0
    marks = int(part * _WIDTH)
    return f"[{'#' * marks}{'-' * (_WIDTH - marks)}] {int(part * 100):3d} %"


def _draw(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()
