"""What the server needs of its process: file descriptors, the pid file, signals, and a quick end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Self

from sherd.errors import ConfigError
from sherd.log import get_logger
from sherd.threads import start_thread

_log = get_logger()

# Descriptors for everything but clients: listeners, epoll, eventfds, logs, files, the metrics page.
RESERVED_DESCRIPTORS = 32
_DESCRIPTORS_PER_IO_THREAD = 4
# A module's folder and file, and one that is imported meanwhile.
_DESCRIPTORS_KEPT = 3
_ORPHAN_SECONDS = 20.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Other servers take these as a wish for a new log file or configuration. Here they would end the process with nothing
# saved; redis-server outlives all but SIGUSR1. Python ignores SIGPIPE and SIGXFSZ by itself.
_STRAY_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def raise_descriptor_limit(maxclients: int, io_threads: int) -> int:
    """Make room for `maxclients` clients and return how many there is room for.

    The soft limit is raised as far as the hard one allows; the hard one too where the process may. Raises ConfigError
    where there is no room for a single client.
    """
    reserved = RESERVED_DESCRIPTORS + _DESCRIPTORS_PER_IO_THREAD * io_threads
    wanted = maxclients + reserved
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return maxclients
    reached = _try_limits(wanted, hard)
    if reached - reserved < 1:
        raise ConfigError(
            f"the limit of {reached} open files leaves none for clients: {wanted} are needed for maxclients "
            f"{maxclients} (raise ulimit -n or lower maxclients)"
        )
    if reached < wanted:
        _log.warning(
            "maxclients lowered to what the limit of open files allows",
            maxclients_asked=maxclients, maxclients=reached - reserved, open_files=reached,
        )  # fmt: skip
    return min(maxclients, reached - reserved)


def _try_limits(wanted: int, hard: int) -> int:
    """The soft limit that could be set, as near to `wanted` as the system allows."""
    unlimited = hard == resource.RLIM_INFINITY
    if unlimited or hard >= wanted:
        attempts = [(wanted, hard)]
    else:
        attempts = [(wanted, wanted), (hard, hard)]
    for soft, new_hard in attempts:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, new_hard))
        except (ValueError, OSError):
            continue
        return soft
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class RoomForImports:
    """Descriptors that are kept for modules which are imported later: a server that has none left shall answer INFO all
    the same, although it imports what it needs for that with its first use.

    The import system asks this for every module first. It finds none, but gives up what it keeps where nothing is left,
    so that those who are asked next can read files, and takes it again when there is room.
    """

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._lock = threading.Lock()

    def install(self) -> None:
        """Keep descriptors from now on."""
        self.find_spec("")
        sys.meta_path.insert(0, self)

    def find_spec(self, _name: str, _path: object = None, _target: object = None) -> None:
        """Find nothing, and see to it that a file can be opened."""
        with self._lock:
            try:
                while len(self._kept) <= _DESCRIPTORS_KEPT:
                    self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                self._close(0)
            self._close(_DESCRIPTORS_KEPT)

    def _close(self, down_to: int) -> None:
        while len(self._kept) > down_to:
            os.close(self._kept.pop())


class PidFile:
    """A file with the process id, there while the server runs; an unwritable one is worth a warning, not the end."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._path.write_text(f"{os.getpid()}\n")
            except OSError as error:
                _log.warning("the pid file cannot be written", path=str(self._path), reason=error.strerror)
                self._path = None
        return self

    def __exit__(self, *_exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the file, if it was written; idempotent."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class StopSignals:
    """SIGTERM and SIGINT, taken by a thread of their own; signals that mean nothing here are ignored.

    Python runs its handlers in the main thread, which is the control plane's: while that waits for a shard, a signal
    would wait as well. Made before other threads, which inherit that the signals are not theirs.
    """

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        for number in _STRAY_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def start(self, stop: Callable[[signal.Signals], None]) -> None:
        """Call `stop` with each signal from now on, and with one that has come meanwhile."""

        def wait() -> None:
            while True:
                stop(signal.Signals(signal.sigwait(_STOP_SIGNALS)))

        start_thread(wait, "sherd-signals")


def reap_orphans() -> None:
    """As the first process of a container: reap what others leave behind, such as the children of a probe that took
    too long. Until then each counts among the processes that the container may have.

    Not by ignoring SIGCHLD: commands in Python may have children, for whose ends they wait.
    """
    if os.getpid() == 1:
        start_thread(_reap, "sherd-orphans")


def _reap() -> None:
    known: set[int] = set()
    while True:
        time.sleep(_ORPHAN_SECONDS)
        ended = ended_strangers()
        # Nobody else has wanted to know for as long.
        for process in ended & known:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        known = ended


def ended_strangers() -> set[int]:
    """Children of this process that have ended and are of another session: those that it has not begun itself."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        # A process may go while it is looked at. Its name, in parentheses, may have any characters.
        with contextlib.suppress(OSError):
            state, parent, _, session, *_ = path.read_text(errors="replace").rpartition(")")[2].split()
            if state == "Z" and int(parent) == os.getpid() and int(session) != os.getsid(0):
                found.add(int(path.parent.name))
    return found


def end_process(code: int) -> NoReturn:
    """End at once. The keyspace is left to the system: freeing it piece by piece takes seconds where it is large."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the process was started without
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def notify_supervisor(state: str) -> None:
    """Tell systemd, where it runs this process and asked to be told."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notification:
        try:
            notification.sendto(state.encode(), address)
        except OSError as error:
            _log.warning("the supervisor could not be told", state=state, reason=error.strerror)
