"""Snapshots: when they are taken, what became of them, and loading one at the start."""

from sherd.persistence.load import LoadError, load_at_start
from sherd.persistence.saver import SaveError, Saver

__all__ = ["LoadError", "SaveError", "Saver", "load_at_start"]
