"""Snapshots and the append-only file: when they are written, what became of that, and loading them at the start."""

from sherd.persistence.append import AppendOnly
from sherd.persistence.load import DataLoadError, LoadAtStart
from sherd.persistence.saver import SaveError, Saver

__all__ = ["AppendOnly", "DataLoadError", "LoadAtStart", "SaveError", "Saver"]
