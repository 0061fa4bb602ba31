"""Threads are begun in one place of each language, where it is decided what happens if the system refuses one."""

from __future__ import annotations

import re
from pathlib import Path

root = Path(__file__).parents[2]

_rust = re.compile(r"\bthread::(?:spawn|Builder)\b|\bBuilder::new\(\)\.name|\bscope\.spawn\b")
_python = re.compile(r"\bThread\(|\bto_thread\(|\brun_in_executor\(")


def _program(file: Path) -> str:
    """What a file has besides its own tests."""
    return re.split(r"#\[cfg\((?:all\()?test\b.*\]\n(?:#.*\n)*(?:pub(?:\(\w+\))? )?mod ", file.read_text())[0]


def test_nobody_else_begins_threads_in_rust() -> None:
    """`std::thread::spawn` and `Scope::spawn` panic where the system refuses a thread."""
    files = [
        file
        for crate in ("metrics", "shards/types", "shards", "scripts", "ioth", "native")
        for file in sorted((root / crate / "src").glob("**/*.rs"))
        if "tests" not in file.parts and not file.stem.endswith("tests")
    ]
    assert len(files) > 200
    found = {str(file.relative_to(root)) for file in files if _rust.search(_program(file))}
    assert found == {"shards/src/threads.rs"}


def test_nobody_else_begins_threads_in_python() -> None:
    """An executor raises where the system refuses a thread, and keeps the work for later."""
    files = sorted((root / "src" / "sherd").glob("**/*.py"))
    found = {str(file.relative_to(root)) for file in files if _python.search(file.read_text())}
    assert found == {"src/sherd/threads.py"}
