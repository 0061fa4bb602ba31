"""Who has just cloned the repository is told what is missing, by name, before anything is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
run_timeout_seconds = 60
# What the check itself is made of.
tools = ("make", "bash", "sed", "awk", "find", "nproc")
programs = {"python": f'#!/bin/sh\nexec {sys.executable} "$@"\n', "cc": "#!/bin/sh\n", "cargo": "#!/bin/sh\necho {}\n"}


def _check(folder: Path, *present: str, cargo: str = "cargo 1.85.0 (d73d2caf9 2024-12-31)") -> str:
    """What `make check-tools` says where only these programs are installed."""
    for tool in tools:
        found = shutil.which(tool)
        assert found is not None, f"{tool} is not installed, which the tests are run with"
        (folder / tool).symlink_to(found)
    for name in present:
        path = folder / name.replace("python", "python3")
        path.write_text(programs[name].format(f"'{cargo}'") if name == "cargo" else programs[name])
        path.chmod(0o755)
    finished = subprocess.run(
        [str(folder / "make"), "check-tools"],
        cwd=root, env={"PATH": str(folder), "HOME": os.environ.get("HOME", "/")},
        capture_output=True, text=True, timeout=run_timeout_seconds, check=False,
    )  # fmt: skip
    assert (finished.returncode == 0) == (finished.stderr == "")
    return finished.stderr


def test_a_machine_that_has_everything_is_told_nothing(tmp_path: Path) -> None:
    assert _check(tmp_path, "python", "cc", "cargo") == ""


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ((), "sherd: Python 3.11 or later is needed"),
        (("python",), "sherd: a C compiler is needed"),
        (("python", "cc"), "sherd: Rust 1.85 or later is needed: install it with rustup"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, present: tuple[str, ...], missing: str) -> None:
    assert _check(tmp_path, *present).startswith(missing)


@pytest.mark.parametrize("version", ["cargo 1.65.0", "cargo 1.9.0", "cargo 0.99.0", "error: no default toolchain"])
def test_a_rust_that_is_too_old_is_told_before_it_fails(tmp_path: Path, version: str) -> None:
    """Its own message would speak of a lock file that it cannot parse."""
    told = _check(tmp_path, "python", "cc", "cargo", cargo=version)
    assert told.startswith(f"sherd: Rust 1.85 or later is needed, and here is: {version}:")


def test_lupa_is_there_before_the_rust_tests_run() -> None:
    """What a machine has done before does not matter: those that run scripts fail without it."""
    finished = subprocess.run(
        ["make", "--dry-run", "--always-make", "test-rust"],
        cwd=root, capture_output=True, text=True, timeout=run_timeout_seconds, check=True,
    )  # fmt: skip
    assert 0 < finished.stdout.find("maturin develop") < finished.stdout.find("cargo test --workspace")
