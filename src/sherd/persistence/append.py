"""The append-only file: which files it is made of, when it is begun, rewritten and ended.

The data plane writes it (`shards/src/persistence/append_file.rs`); here its directory is looked after. A rewrite is a
snapshot and a new increment that begin at the same moment: the manifest names the increment before anything is
written to it, and the base when that is on disk, so a crash at any point leaves a manifest that says all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from pathlib import Path

from sherd.durable import delete_file, sync_folder
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.observability.replication import Place
from sherd.persistence import manifest
from sherd.persistence.claim import Claim
from sherd.persistence.manifest import AppendedFile, End, Manifest
from sherd.persistence.saver import Saver
from sherd.threads import in_thread

_log = get_logger()

# How often it is looked at whether a rewrite is due.
_LOOK_SECONDS = 1.0
# After a rewrite that failed, the next one waits so long.
_RETRY_SECONDS = 5.0


class AppendDirectory:
    """The names of one server's append-only files, and the right to them."""

    def __init__(self, node: Node) -> None:
        config = node.config
        self.name = config.get_str("appendfilename")
        self.home = Path(config.get_str("dir"))
        self.path = self.home / config.get_str("appenddirname")
        self._claim: Claim | None = None

    def claim(self) -> None:
        """Make it, if it is not there, and keep other servers from it until `release`, at the end of this one.

        Idempotent; DirectoryTakenError, or OSError.
        """
        if self._claim is None:
            self.path.mkdir(mode=0o755, exist_ok=True)
            self._claim = Claim(self.path)

    def release(self) -> None:
        """Let other servers have it; idempotent."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is."""
        return self.path / f"{self.name}.manifest"

    @property
    def old_path(self) -> Path:
        """Where a server before Redis 7 has its only file."""
        return self.home / self.name

    def read(self) -> Manifest | None:
        """The manifest; None if there is none."""
        return manifest.read(self.manifest_path)

    def write(self, content: Manifest) -> None:
        """Replace the manifest."""
        self.path.mkdir(mode=0o755, exist_ok=True)
        manifest.write(self.manifest_path, content)

    def size_of(self, content: Manifest) -> int:
        """Bytes of all files that hold the data."""
        return sum((self.path / file.name).stat().st_size for file in content.files)

    def delete_history(self, content: Manifest) -> Manifest:
        """Delete what is void, and the manifest's lines about it."""
        if not content.history:
            return content
        left = Manifest(content.base, content.increments)
        # A manifest that calls a file void and has it hold data as well is wrong about one of them.
        void = {file.name for file in content.history} - {file.name for file in content.files}
        # The manifest goes last: what it still names is deleted at the next start.
        for name in void:
            with contextlib.suppress(FileNotFoundError):
                delete_file(self.path / name)
        self.write(left)
        return left

    def delete_unnamed(self, file: AppendedFile) -> None:
        """Delete a file that the manifest has not come to name."""
        with contextlib.suppress(OSError, manifest.ManifestError):
            found = self.read()
            if found is None or file not in found.files:
                (self.path / file.name).unlink()


class AppendOnly:
    """The append-only file of one server. What became of rewrites is in `node.appends`."""

    def __init__(self, node: Node, saver: Saver) -> None:
        self._node = node
        self._saver = saver
        self.directory = AppendDirectory(node)
        self._manifest = Manifest()
        self._running: asyncio.Task[None] | None = None
        # What is going on is not wanted any more, and may not have begun yet.
        self._is_cancelled = False
        # Nothing is to be appended to the increment that is being begun: the file was turned off since.
        self._is_void = False
        self._retry_at = 0.0
        # The number of the error that the log tells of; 0 while the file can be written.
        self._told_error = 0

    @property
    def is_on(self) -> bool:
        """Whether writes are appended, or will be when the first rewrite is over."""
        return self._node.appends.enabled

    @property
    def is_rewriting(self) -> bool:
        """Whether a rewrite is going on."""
        return self._running is not None

    def begin_at_start(self) -> None:
        """Begin to append behind what was loaded; nobody executes yet. OSError if that cannot be."""
        directory = self.directory
        directory.path.mkdir(mode=0o755, exist_ok=True)
        self._node.appends.enabled = True
        found = directory.read() or Manifest()
        if not found.files and self._node.saves.loaded_keys:
            # A snapshot was loaded: what is appended needs a base, which is written when the server runs.
            self._node.appends.scheduled = True
            return
        if not found.increments:
            found = found.with_increment(found.next_increment(directory.name))
            # The file first: the manifest names nothing that is not there.
            (directory.path / found.increments[-1].name).touch(0o644)
            sync_folder(directory.path)
            directory.write(found)
        elif found.end is not None:
            # It goes on from there.
            found = found.with_end(None)
            directory.write(found)
        self._manifest = directory.delete_history(found)
        last = directory.path / self._manifest.increments[-1].name
        total = directory.size_of(self._manifest)
        self._node.engine.begin_append(last, total - last.stat().st_size)
        self._name_files()
        self._node.appends.base_size = total

    def switch(self, *, on: bool) -> None:
        """CONFIG SET appendonly: on begins with a rewrite, off ends with everything on disk.

        DirectoryTakenError, and no change, where another server appends to its files.
        """
        if on == self.is_on:
            return
        if on:
            self.directory.claim()
        self._node.appends.enabled = on
        if on:
            self._manifest = self._read_or_none()
            self.start(schedule=True)
            return
        self.cancel()
        self._is_void = True
        self._node.engine.end_append()

    def conclude(self) -> None:
        """Sync everything, and note in the manifest where in the history of replication the data are, so that a server
        that starts from them can go on there. What is executed after that makes the note void."""
        history = self._node.replication.saved_history
        place = self._node.engine.append_place()
        if error := self._error():
            _log.error(
                "the append-only file lacks what was written last",
                path=str(self.directory.path),
                reason=os.strerror(error),
            )
        if place is None or history is None or self.is_rewriting or not self._manifest.increments:
            return
        offset, database, size = place
        try:
            self.directory.write(self._manifest.with_end(End(Place(history, offset, database), size)))
        except OSError as error:
            _log.warning("the end of the append-only file could not be noted", reason=error.strerror or str(error))

    def start(self, *, schedule: bool = False) -> bool:
        """Begin a rewrite; False if one is going on, or a snapshot, after which one follows with `schedule`."""
        appends = self._node.appends
        if self._running is not None or self._saver.is_running:
            appends.scheduled = appends.scheduled or schedule
            return False
        appends.scheduled = self._is_cancelled = False
        self._running = asyncio.get_running_loop().create_task(self._rewrite())
        self._saver.set_barred(True)
        return True

    def cancel(self) -> None:
        """End the rewrite that is going on or scheduled."""
        self._node.appends.scheduled = False
        if self._running is not None:
            self._is_cancelled = True
            self._node.engine.cancel_save()

    async def watch(self) -> None:
        """Rewrite when the file has grown enough, or must be, for as long as the server runs; tell of its errors."""
        if self._node.appends.scheduled:
            self.start(schedule=True)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._tell_error()
            if not self.is_rewriting and time.monotonic() >= self._retry_at and self._is_due():
                self.start(schedule=True)

    def _tell_error(self) -> None:
        """Log that the file cannot be written, and that it can be again."""
        error = self._error()
        if error == self._told_error:
            return
        self._told_error = error
        if error:
            _log.error(
                "the append-only file cannot be written", path=str(self.directory.path), reason=os.strerror(error)
            )
        else:
            _log.info("the append-only file is written again")

    def _error(self) -> int:
        status = self._node.engine.append_status()
        return status["error"] if status is not None else 0

    def _is_due(self) -> bool:
        appends, config = self._node.appends, self._node.config
        if appends.scheduled:
            return True
        status = self._node.engine.append_status()
        if not appends.enabled:
            return False
        if status is None or status["needs_base"]:
            # It is to be on and has no file yet, or a file that is not to be trusted any more.
            return True
        percent, size = config.get_int("auto-aof-rewrite-percentage"), status["size"]
        if percent == 0 or size <= config.get_int("auto-aof-rewrite-min-size"):
            return False
        return size * 100 // max(appends.base_size, 1) - 100 >= percent

    async def _rewrite(self) -> None:
        appends, started = self._node.appends, time.monotonic()
        appends.current_since = started
        try:
            await self._saver.await_shards()
            if self._is_cancelled:
                return
            await self._write_base()
        except ValueError:
            # A snapshot for replicas is being taken: one is taken at a time.
            appends.scheduled = True
        except (OSError, manifest.ManifestError) as error:
            self._node.engine.end_rewrite(None)
            if self._is_cancelled:
                _log.info("a rewrite of the append-only file was cancelled")
            else:
                appends.last_ok = False
                appends.failures += 1
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                _log.error("a rewrite of the append-only file failed", reason=str(error))
        else:
            appends.last_ok, appends.failures = True, 0
            appends.count += 1
            _log.info(
                "append-only file rewritten", bytes=appends.base_size, seconds=round(time.monotonic() - started, 3)
            )
        finally:
            appends.last_seconds, appends.current_since = int(time.monotonic() - started), 0.0
            self._running = None
            self._saver.set_barred(False)
            if not appends.enabled and self._node.engine.append_status() is not None:
                self._node.engine.end_append()

    async def _write_base(self) -> None:
        directory, config = self.directory, self._node.config
        as_snapshot = config.get_bool("aof-use-rdb-preamble")
        base = self._manifest.next_base(directory.name, is_snapshot=as_snapshot)
        increment = self._manifest.next_increment(directory.name)
        await self._begin(base, increment, as_snapshot=as_snapshot)
        named, engine = self._manifest, self._node.engine
        rewritten = named.with_base(base, increment)
        try:
            await in_thread(engine.finish_save)
            directory.write(rewritten)
        except OSError:
            if not named.increments or named.increments[-1] != increment:
                # Without its base the increment is worth nothing.
                engine.end_append()
                _empty_file(directory.path / increment.name)
                directory.delete_unnamed(increment)
            directory.delete_unnamed(base)
            raise
        self._manifest = rewritten
        base_size = (directory.path / base.name).stat().st_size
        engine.end_rewrite(base_size)
        self._name_files()
        self._manifest = await in_thread(directory.delete_history, self._manifest)
        status = engine.append_status()
        self._node.appends.base_size = status["size"] if status is not None else base_size

    async def _begin(self, base: AppendedFile, increment: AppendedFile, *, as_snapshot: bool) -> None:
        """Begin the base, and append to the increment from the same moment on.

        Not in the loop: all shards are held for that, and a script that comes now may be busy for ever.
        """
        directory, engine, config = self.directory, self._node.engine, self._node.config
        directory.path.mkdir(mode=0o755, exist_ok=True)
        # What a rewrite that failed has left behind is of no use. Not deleted: the manifest may name it already.
        _empty_file(directory.path / increment.name)
        named = self._manifest
        if engine.append_status() is not None:
            # What is appended now goes on there. Otherwise it is worth nothing without its base.
            named = named.with_increment(increment)
            directory.write(named)
        self._is_void = False
        begin = functools.partial(
            engine.begin_save,
            directory.path / base.name,
            compress=config.get_bool("rdbcompression"),
            checksum=config.get_bool("rdbchecksum"),
            sync_in_passing=config.get_bool("aof-rewrite-incremental-fsync"),
            aux=self._saver.aux(time.time(), is_base=True),
            as_commands=not as_snapshot,
            increment=directory.path / increment.name,
        )
        await in_thread(begin)
        if self._is_void:
            # The increment lacks what was written between the end of the last one and now.
            engine.end_append()
        else:
            self._manifest = named
        if self._is_cancelled:
            engine.cancel_save()

    def _name_files(self) -> None:
        files = self._manifest.files
        self._node.engine.set_append_files([self.directory.path / file.name for file in files])

    def _read_or_none(self) -> Manifest:
        """What the directory has; a manifest that cannot be read is put away, for it is of no use to anyone."""
        directory = self.directory
        try:
            return directory.read() or Manifest()
        except manifest.ManifestError as error:
            aside = directory.manifest_path.with_suffix(f".broken-{int(time.time())}")
            directory.manifest_path.replace(aside)
            _log.warning("a manifest that cannot be read was put away", path=str(aside), reason=str(error))
            return Manifest()


def _empty_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644))


def adopt_old_file(directory: AppendDirectory) -> None:
    """Make the only file of a server before Redis 7 the base of a directory."""
    if not directory.old_path.is_file() or (directory.path / directory.name).exists():
        return
    only = Manifest(AppendedFile(directory.name, 1, "b"))
    if directory.read() not in (None, only):
        return
    directory.write(only)
    directory.old_path.replace(directory.path / directory.name)
    sync_folder(directory.path)
    sync_folder(directory.home)
    _log.info("the old append-only file was moved into its directory", path=str(directory.path))
