"""Loading the snapshot that is there when the server starts."""

from __future__ import annotations

import time
from pathlib import Path

from sherd.errors import SherdError
from sherd.log import get_logger
from sherd.observability.node import Node

_log = get_logger()


class LoadError(SherdError):
    """The snapshot that is there cannot be loaded: the server must not start, for it would overwrite it."""


def load_at_start(node: Node) -> None:
    """Load `dbfilename` in `dir`, if it is there; raises LoadError with the place of what is wrong."""
    path = Path(node.config.get_str("dir")) / node.config.get_str("dbfilename")
    begun = time.monotonic()
    try:
        report = node.engine.load(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LoadError(f"cannot read {path}: {error.strerror or error}") from error
    if report["fault"] is not None:
        offset, key, what = report["fault"]
        of_key = f", in key {key!r}" if key is not None else ""
        raise LoadError(f"cannot load {path}: {what} (at byte {offset}{of_key}); move it away, or mend it")
    seconds = time.monotonic() - begun
    saves = node.saves
    saves.loaded_keys = report["keys"] - report["expired"]
    saves.loaded_expired = report["expired"]
    _log.info("snapshot loaded", path=str(path), keys=saves.loaded_keys, expired=report["expired"],
              libraries=len(report["functions"]), seconds=round(seconds, 3))  # fmt: skip
