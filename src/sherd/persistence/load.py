"""Loading what is there when the server starts: the append-only file if it is on, else the snapshot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sherd.durable import cut_file
from sherd.errors import SherdError
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.observability.replication import place_of_snapshot
from sherd.persistence.append import AppendDirectory, adopt_old_file
from sherd.persistence.manifest import AppendedFile, Manifest, ManifestError

if TYPE_CHECKING:
    from sherd.native import AppendReport

_log = get_logger()


class DataLoadError(SherdError):
    """What is there cannot be loaded: the server must not start, for it would overwrite it."""


class LoadAtStart:
    """What holds the data, found at once and loaded later by `run`, which takes its time.

    Raises SherdError with the place of what is wrong. With `appendonly yes` and no append-only file the snapshot is
    loaded, where Redis starts with nothing: who switches the append-only file on in the configuration wants to keep
    the data.
    """

    def __init__(self, node: Node, directory: AppendDirectory) -> None:
        self._node = node
        self._directory = directory
        self._manifest = self._find_appended() if node.config.get_bool("appendonly") else None
        self._snapshot = Path(node.config.get_str("dir")) / node.config.get_str("dbfilename")
        if self._manifest is not None:
            sizes = [_size(self._directory.path / file.name) for file in self._manifest.files]
        else:
            sizes = _sizes_of_what_is_there(self._snapshot)
        self.has_data = bool(sizes)
        self.total_bytes = sum(sizes)

    def run(self) -> None:
        """Load it. Returns early, with a part of the data, where the server is to end."""
        if self._manifest is not None:
            self._load_appended(self._manifest)
        elif self.has_data:
            self._load_snapshot()

    def _find_appended(self) -> Manifest | None:
        """The files that the manifest names; None if there are none. Nobody else changes them from here on."""
        directory = self._directory
        try:
            directory.claim()
            adopt_old_file(directory)
            manifest = directory.read()
        except ManifestError as error:
            raise DataLoadError(f"cannot use {directory.manifest_path}: {error}") from error
        except OSError as error:
            raise DataLoadError(f"cannot use {directory.path}: {error.strerror or error}") from error
        return manifest if manifest is not None and manifest.files else None

    def _load_snapshot(self) -> None:
        node, path, begun = self._node, self._snapshot, time.monotonic()
        try:
            # A primary says when a key goes.
            report = node.engine.load(path, keep_expired=bool(node.config.get_tuple("replicaof")))
        except OSError as error:
            raise DataLoadError(f"cannot read {path}: {error.strerror or error}") from error
        if node.stopping:
            return
        if report["fault"] is not None:
            raise DataLoadError(_told(path, report["fault"]))
        seconds = time.monotonic() - begun
        saves = node.saves
        saves.loaded_keys = report["keys"] - report["expired"] - report["empty"]
        saves.loaded_expired = report["expired"]
        saves.loaded_place = place_of_snapshot(report["aux"])
        if report["empty"]:
            _log.warning("keys with nothing in them were left out", path=str(path), keys=report["empty"])
        _log.info("snapshot loaded", path=str(path), keys=saves.loaded_keys, expired=report["expired"],
                  libraries=len(report["functions"]), seconds=round(seconds, 3))  # fmt: skip

    def _load_appended(self, manifest: Manifest) -> None:
        node, directory, begun = self._node, self._directory, time.monotonic()
        commands = done_bytes = failed = 0
        for file in manifest.files:
            if node.start_load is not None:
                node.start_load.done_bytes = done_bytes
            done_bytes += _size(directory.path / file.name)
            report = _load_file(node, directory, manifest, file)
            commands, failed = commands + report["commands"], failed + report["failed"]
            if node.stopping:
                return
        end = manifest.end
        if end is not None and not failed and _size(directory.path / manifest.files[-1].name) == end.size:
            node.saves.loaded_place = end.place
        seconds = round(time.monotonic() - begun, 3)
        _log.info("append-only file loaded", path=str(directory.path), commands=commands, seconds=seconds)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataLoadError(f"cannot read {path}: {error.strerror or error}") from error


def _sizes_of_what_is_there(path: Path) -> list[int]:
    """The size of a file, or nothing. One that cannot be looked at is none that is not there."""
    try:
        return [path.stat().st_size]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataLoadError(f"cannot read {path}: {error.strerror or error}") from error


def _load_file(node: Node, directory: AppendDirectory, manifest: Manifest, file: AppendedFile) -> AppendReport:
    path = directory.path / file.name
    try:
        report = node.engine.load_append(path)
    except OSError as error:
        raise DataLoadError(f"cannot read {path}: {error.strerror or error}") from error
    if node.stopping:
        # What was not read is no fault of the file.
        return report
    node.saves.loaded_keys += report["keys"]
    if report["failed"] and node.config.get_str("propagation-error-behavior") == "panic":
        what = f"{report['failed']} of its commands fail, the first one with {report['first_error']}"
        raise DataLoadError(f"cannot load {path}: {what}, and propagation-error-behavior is panic")
    if report["failed"]:
        _log.warning("commands of the append-only file failed", path=str(path), commands=report["failed"],
                     first=report["first_error"])  # fmt: skip
    if report["others"]:
        names = sorted({args[0].decode("latin-1").lower() for _, args in report["others"]})
        _log.warning("commands of the append-only file were left out", path=str(path), names=" ".join(names))
    if report["fault"] is not None:
        _mend(node, path, report, is_end=manifest.is_end(file, directory.path))
    return report


def _mend(node: Node, path: Path, report: AppendReport, *, is_end: bool) -> None:
    """Cut off the end of a file that is no whole command, where the configuration allows it; DataLoadError if not."""
    assert report["fault"] is not None
    told = _told(path, report["fault"])
    size = path.stat().st_size
    dropped = size - report["valid"]
    if report["truncated"]:
        allowed = node.config.get_bool("aof-load-truncated")
    else:
        allowed = 0 < dropped <= node.config.get_int("aof-load-corrupt-tail-max-size")
    in_snapshot = report["snapshot"] and report["valid"] == 0
    if not is_end or not allowed or in_snapshot:
        raise DataLoadError(f"{told} (`sherd check-aof --fix` cuts it off)")
    cut_file(path, report["valid"])
    _log.warning("the end of the append-only file was cut off", path=str(path), bytes=dropped, reason=told)


def _told(path: Path, fault: tuple[int, bytes | None, str]) -> str:
    offset, key, what = fault
    of_key = f", in key {key!r}" if key is not None else ""
    return f"cannot load {path}: {what} (at byte {offset}{of_key}); move it away, or mend it"
