"""Snapshots and the append-only file: when they are written, what became of that, and loading them at the start."""

from sherd.persistence.append import AppendOnly
from sherd.persistence.load import LoadAtStart, LoadError
from sherd.persistence.saver import SaveError, Saver

__all__ = ["AppendOnly", "LoadAtStart", "LoadError", "SaveError", "Saver"]
