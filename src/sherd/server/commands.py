"""Declares the control plane's commands to the data plane, once a process.

Importing a family declares its commands; all modules of `sherd.families` are families or serve them, so a new one is
found without a list to keep.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading

from sherd import families, native
from sherd.spec import KeySpec, RegisteredCommand, registered_commands

_lock = threading.Lock()
_declared = False


def load_families() -> None:
    """Import every family."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")


def declare_commands() -> None:
    """Tell the data plane; all servers of a process have the same commands, so only the first call does something."""
    global _declared  # noqa: PLW0603 - a process-wide fact
    with _lock:
        if not _declared:
            load_families()
            native.register_commands([spec_dict(entry) for entry in registered_commands().values()])
            _declared = True


def spec_dict(entry: RegisteredCommand) -> native.SpecDict:
    """A specification as the data plane takes it."""
    spec = entry.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "since": spec.since,
        "complexity": spec.complexity,
        "group": spec.group,
        "arity": spec.arity,
        "flags": list(spec.flags),
        "categories": list(spec.acl),
        "keys": [_key_spec(key_spec) for key_spec in spec.key_specs],
        "syntax": spec.syntax,
        "tips": list(spec.tips),
        "container": entry.handler is None,
    }


def _key_spec(spec: KeySpec) -> tuple[str, tuple[str | int, ...], tuple[str | int, ...]]:
    return " ".join(spec.flags), spec.begin, spec.find
