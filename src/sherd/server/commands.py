"""Declares the control plane's commands to the data plane, once a process."""

from __future__ import annotations

import threading
from typing import cast

from sherd import native
from sherd.families import load_families
from sherd.spec import declared_specs

_lock = threading.Lock()
_declared = False


def declare_commands() -> None:
    """Tell the data plane; all servers of a process have the same commands, so only the first call does something."""
    global _declared  # noqa: PLW0603 - a process-wide fact
    with _lock:
        if not _declared:
            load_families()
            native.register_commands(cast("list[native.SpecDict]", declared_specs()))
            _declared = True
