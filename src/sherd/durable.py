"""Files that are as they were or as they are to be, whatever ends the process or the machine."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_NEW_FILE_MODE = 0o600
# Bytes of a file that the system forgets at once: half a millisecond's work, before others get the processor.
_FORGOTTEN_BYTES = 8 << 20


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in the place of another one, with its mode, when it is on disk. OSError leaves what was there."""
    import tempfile  # which loads what a server has no other use for

    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _NEW_FILE_MODE
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_file(path: Path) -> None:
    """Deletes a file of any size without a wait for threads that wake on the same processor. Not in the loop.

    The system forgets what it has in memory of a file when its name goes, in one go; so that is done bit by bit before.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            for offset in range(0, os.fstat(descriptor).st_size, _FORGOTTEN_BYTES):
                os.posix_fadvise(descriptor, offset, _FORGOTTEN_BYTES, os.POSIX_FADV_DONTNEED)
                os.sched_yield()
        finally:
            os.close(descriptor)
    path.unlink()


def close_memory(descriptor: int) -> None:
    """Empties and closes a file in memory, bit by bit as `delete_file`. Nobody may read it any more."""
    try:
        for size in range(os.fstat(descriptor).st_size, 0, -_FORGOTTEN_BYTES):
            os.ftruncate(descriptor, max(0, size - _FORGOTTEN_BYTES))
            os.sched_yield()
    finally:
        os.close(descriptor)


def cut_file(path: Path, size: int) -> None:
    """Cuts a file off behind its first `size` bytes."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
