"""The commands of a server: the control plane's, declared to the data plane once a process, and what a configuration
says of names and of commands in Python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sherd import native
from sherd.config import Config
from sherd.config.renames import resolve_renames
from sherd.errors import ConfigError, LoadError
from sherd.extensions.manager import Extensions
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


def configured_renames(
    config: Config, read_rows: Callable[[], Sequence[Mapping[str, Any]]]
) -> dict[bytes, bytes | None]:
    """What `rename-command` makes of the command table's names; raises ConfigError."""
    if not config.renamed_commands:
        return {}
    own = [str(row["name"]).encode() for row in read_rows() if "|" not in row["name"]]
    return resolve_renames(config.renamed_commands, own)


def load_extensions(extensions: Extensions) -> None:
    """Load commands in Python for the first time; raises ConfigError."""
    try:
        extensions.load()
    except LoadError as error:
        raise ConfigError(f"Python commands cannot be loaded: {error}") from error
