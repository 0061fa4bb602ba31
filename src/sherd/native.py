"""The native data plane, for the rest of the package.

The only importer of `sherd._native`: what the control plane may call is listed here and nowhere else, so that a change
of the binding is a change of this list. Modules that need only the types import them under `TYPE_CHECKING`, which lets
them be tested with a fake engine and no compiled module.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from sherd import _native
from sherd._native import (
    Call,
    CheckProgress,
    PrimaryLink,
    Replicas,
    Request,
    Server,
    TlsConnection,
    add_runtime,
    announce_runtime_maker,
    check_append,
    check_rdb,
    choose_huge_pages,
    command_count,
    command_table,
    dismiss_runtime_maker,
    event_names,
    fail_runtimes,
    glob_filter,
    histogram_bounds,
    huge_pages_gathered_bytes,
    key_positions,
    key_slot,
    load_lua,
    look_for_huge_pages,
    make_certificates,
    make_runtime,
    redis_version,
    register_commands,
    set_time_slice,
    setting_table,
    used_memory,
    wait_for_runtime_demand,
)

if TYPE_CHECKING:
    # Shapes of dictionaries; they exist for type checkers only.
    from sherd._native import (
        AccessLogRow,
        AppendReport,
        CommandRow,
        ExtensionCommand,
        ExtensionTask,
        LinkStatus,
        RdbReport,
        SelectorDict,
        SettingRow,
        SpecDict,
        UserDict,
    )

__all__ = [
    "AccessLogRow",
    "AppendReport",
    "Call",
    "CheckProgress",
    "CommandRow",
    "ExtensionCommand",
    "ExtensionTask",
    "LinkStatus",
    "PrimaryLink",
    "RdbReport",
    "Replicas",
    "Request",
    "SelectorDict",
    "Server",
    "SettingRow",
    "SpecDict",
    "TlsConnection",
    "UserDict",
    "add_runtime",
    "announce_runtime_maker",
    "build_id",
    "check_append",
    "check_rdb",
    "choose_huge_pages",
    "command_count",
    "command_table",
    "dismiss_runtime_maker",
    "event_names",
    "fail_runtimes",
    "glob_filter",
    "histogram_bounds",
    "huge_pages_gathered_bytes",
    "key_positions",
    "key_slot",
    "load_lua",
    "look_for_huge_pages",
    "make_certificates",
    "make_runtime",
    "module_path",
    "redis_version",
    "register_commands",
    "set_time_slice",
    "setting_table",
    "used_memory",
    "wait_for_runtime_demand",
]


def module_path() -> str:
    """The file of the compiled data plane, for Lua, which finds a function in it."""
    return _native.__file__ or ""


# How the note of a build begins that the linker leaves near the beginning of an ELF file: the lengths of its name and
# of what it says, its type, its name. What it says is a digest of 20 bytes.
_BUILD_NOTE = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0"
_BUILD_NOTE_WITHIN = 65536


@functools.cache
def build_id(file: Path | None = None) -> str:
    """16 hexadecimal digits that stand for the compiled data plane: of its bytes, so that equal builds are equal.

    Where the linker has left no digest in the file, it is made here, which takes dozens of milliseconds and OpenSSL.
    """
    try:
        with (file or Path(_native.__file__ or "")).open("rb") as module:
            _, note, digest = module.read(_BUILD_NOTE_WITHIN).partition(_BUILD_NOTE)
            if note and len(digest) >= 20:
                return digest[:8].hex()
            import hashlib

            module.seek(0)
            return hashlib.file_digest(module, "sha256").hexdigest()[:16]
    except OSError:
        return "0" * 16
