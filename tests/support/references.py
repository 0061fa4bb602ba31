"""The servers that Sherd is compared with, as far as this machine has them.

Three are known: Redis 7.0 (Debian's own, the one that is everywhere), Redis 8.0 and Valkey 9.1 (whose texts Sherd
follows). A candidate counts by the version that it prints, not by its file name. `SHERD_TEST_REFERENCES` narrows the
choice to some of the names, for a quick run; `SHERD_TEST_REFERENCE_PATH` names a folder with the programs, by default
the one that `tests/compat/install_references.sh` fills.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Program

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool

reference_names = ("redis7", "redis8", "valkey9")
default_folder = "/opt/ref/bin"

_candidates = {
    "redis7": ("redis7", "redis-server"),
    "redis8": ("redis8", "redis-server"),
    "valkey9": ("valkey9", "valkey-server"),
}
_versions = {
    "redis7": re.compile(r"Redis server v=7\.0\."),
    "redis8": re.compile(r"Redis server v=8\.0\."),
    "valkey9": re.compile(r"Valkey server v=9\.1\."),
}


@functools.cache
def find_reference(name: str) -> Program | None:
    """The reference called `name`, or None when this machine has none of that version."""
    folder = Path(os.environ.get("SHERD_TEST_REFERENCE_PATH", default_folder))
    for candidate in _candidates[name]:
        for path in (str(folder / candidate), shutil.which(candidate)):
            if path and Path(path).exists() and _versions[name].search(_version_text(path)):
                return Program(name, (path, "--daemonize", "no"))
    return None


@functools.cache
def _version_text(path: str) -> str:
    finished = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return finished.stdout


def why_absent(name: str) -> str | None:
    """The reason to skip the comparison with `name`, or None when it can be made."""
    chosen = os.environ.get("SHERD_TEST_REFERENCES")
    if chosen is not None and name not in re.split(r"[,\s]+", chosen):
        return f"SHERD_TEST_REFERENCES leaves {name} out"
    if find_reference(name) is None:
        return f"no {name} on this machine (tests/compat/install_references.sh installs it)"
    return None


def best_reference() -> Program | None:
    """The reference whose texts Sherd follows most closely, of those that are here."""
    for name in ("redis8", "valkey9", "redis7"):
        if why_absent(name) is None:
            return find_reference(name)
    return None


def need_reference(name: str) -> Program | None:
    """The reference `name`; skips the test when there is none."""
    reason = why_absent(name)
    if reason is not None:
        pytest.skip(reason)  # a reference server is not installed on every machine: the reason says how
    return find_reference(name)


def reference_server(pool: ServerPool, name: str, **directives: str) -> Server:
    """A shared, empty server of the reference `name`; skips the test when there is none."""
    return pool.get(
        need_reference(name), directives={key.replace("_", "-"): value for key, value in directives.items()}
    )
