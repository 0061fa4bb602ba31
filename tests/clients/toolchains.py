"""Programs in other languages: their packages, and what is compiled of them, in a cache folder of the user.

They are installed and compiled once, not in the source tree, with a bound on the time. Where a toolchain or the packages are not there,
the test that wants them is skipped with the reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

# Longer than that is not worth waiting for: the tests are skipped then.
install_timeout_seconds = 300
run_timeout_seconds = 120
node_major_min = 18
sources = Path(__file__).parent
cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sherd-tests"


def _node_major() -> int:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    return int(version.strip().removeprefix("v").partition(".")[0])


def _install(folder: Path, *command: str) -> str | None:
    """Runs an installation; the reason why it failed, or None."""
    try:
        finished = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=install_timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {install_timeout_seconds} s"
    lines = (finished.stderr or finished.stdout).strip().splitlines() or ["failed"]
    return None if finished.returncode == 0 else lines[-1][:200]


def _prepare(name: str, *commands: tuple[str, ...]) -> Path:
    """A folder of the cache with the sources, and what commands have made of them; other sources have another folder."""
    files = sorted(file for file in (sources / name).iterdir() if file.is_file())
    digest = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
    folder = cache / f"{name}-{digest[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        pytest.skip(f"nowhere to install packages: {error}")  # a user without a home of its own
    with lock:
        # Tests that run side by side want the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".ready").exists():
            return folder
        for file in files:
            shutil.copyfile(file, folder / file.name)
        for command in commands:
            reason = _install(folder, *command)
            if reason is not None:
                pytest.skip(f"{name} cannot be made ready: {reason}")
        (folder / ".ready").touch()
    return folder


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")  # languages that not every machine has


def node_folder(name: str) -> Path:
    """A folder with Node programs and their packages."""
    _need("node", "npm")
    if _node_major() < node_major_min:
        pytest.skip(f"the client libraries need Node {node_major_min} or later")
    return _prepare(name, ("npm", "install", "--silent", "--no-audit", "--no-fund"))


def go_program(name: str) -> Path:
    """A Go program, compiled."""
    _need("go")
    program = "client-test"
    return _prepare(name, ("go", "mod", "tidy"), ("go", "build", "-o", program, ".")) / program


def rust_program(name: str) -> Path:
    """A Rust program, compiled."""
    _need("cargo")
    return _prepare(name, ("cargo", "build", "--quiet")) / "target" / "debug" / "client-test"


def ruby_command(program: str, *libraries: str) -> list[str]:
    """What runs a Ruby program that uses these libraries; nobody but the system installs them."""
    _need("ruby")
    required = [word for library in libraries for word in ("-r", library)]
    if subprocess.run(["ruby", *required, "-e", ""], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip(f"Ruby has not all of {', '.join(libraries)}")  # not every machine's system brings them
    return ["ruby", str(sources / "ruby" / program)]


def java_command(name: str, main: str) -> list[str]:
    """What runs a class of a folder of Java programs, which are compiled, with their libraries beside them."""
    _need("java", "javac", "mvn")
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
    programs = sorted(file.name for file in (sources / name).glob("*.java"))
    folder = _prepare(
        name,
        ("mvn", "-q", "-B", copy, "-DoutputDirectory=lib"),
        ("javac", "-nowarn", "-cp", "lib/*", "-d", "classes", *programs),
    )
    # Starting is most of what these programs do.
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder}/classes:{folder}/lib/*", main]


def run(*command: str) -> None:
    """Runs a program, which prints OK when all was as it should be."""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=run_timeout_seconds, check=False)
    except subprocess.TimeoutExpired as slow:
        printed = [(part or b"").decode(errors="replace") for part in (slow.stdout, slow.stderr)]
        raise AssertionError(f"longer than {run_timeout_seconds} s, and printed so far: {''.join(printed)}") from slow
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.strip().endswith("OK")
