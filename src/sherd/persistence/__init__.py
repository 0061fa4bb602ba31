"""Snapshots and the append-only file: when they are written, what became of that, and loading them at the start.

# Layout
- `saver`: taking snapshots
- `append`: the append-only file's life; `manifest`: which files it is made of; `claim`: whose directory it is
- `load`: loading what is there when the server starts
- `check`, `check_append`: `sherd check-rdb` and `sherd check-aof`; `progress`: a bar while they look
"""

from sherd.persistence.append import AppendOnly
from sherd.persistence.load import DataLoadError, LoadAtStart
from sherd.persistence.saver import SaveError, Saver

__all__ = ["AppendOnly", "DataLoadError", "LoadAtStart", "SaveError", "Saver"]
