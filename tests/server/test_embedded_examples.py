"""The examples of docs/embedded.md: pytest runs them as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sherd_only
pytest.importorskip("redis", reason="redis-py is not installed")

page = Path(__file__).parents[2] / "docs" / "embedded.md"


def test_the_tests_of_the_page_about_embedded_servers_pass(tmp_path: Path) -> None:
    """The first block is the conftest.py, each other one a file of tests."""
    fixtures, *files = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(fixtures)
    for number, text in enumerate(files):
        (tmp_path / f"test_{number}.py").write_text(text)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    tests = sum(text.count("\ndef test_") + text.startswith("def test_") for text in files)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{tests} passed" in finished.stdout
