"""The right to a directory of append-only files, which one process has at a time.

Two that append to one file, or cut off what seems to be its broken end, spoil it. The right is a lock on the directory
itself: no file is left behind, and it ends with the process, however that ends.
"""

from __future__ import annotations

import os
from pathlib import Path

from sherd.errors import SherdError


class DirectoryTakenError(SherdError):
    """A server appends to the files; one line for the operator."""


class Claim:
    """Had from its making on; DirectoryTakenError if another one has it, OSError if there is no such directory."""

    def __init__(self, path: Path) -> None:
        import fcntl  # few servers need it

        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise DirectoryTakenError(f"another server appends to {path}") from None
        except OSError:
            # Not every network's filesystem locks directories. It works there as well, unguarded.
            pass

    def release(self) -> None:
        """Let others have it; once."""
        os.close(self._descriptor)
