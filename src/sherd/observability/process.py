"""What the operating system says about this process and this machine.

Read from /proc and getrusage at the moment of asking; a value that the system does not offer is 0, so that INFO and the
exporter work in a container that hides parts of /proc.
"""

from __future__ import annotations

import functools
import os
import resource
import sys
import threading
from pathlib import Path

from sherd.record import record

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/task/<tid>/stat after the command name, counted from 0.
_STAT_UTIME, _STAT_STIME = 11, 12
_FILE_BYTES_MAX = 4096


@record
class ProcessNumbers:
    """CPU in seconds, memory in bytes."""

    resident_bytes: int
    cpu_user: float
    cpu_system: float
    children_cpu_user: float
    children_cpu_system: float
    main_thread_cpu_user: float
    main_thread_cpu_system: float
    system_memory_bytes: int
    threads: int


def read_process() -> ProcessNumbers:
    """The numbers now."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    main_user, main_system = _main_thread_cpu()
    return ProcessNumbers(
        resident_bytes=_resident_bytes(),
        cpu_user=own.ru_utime,
        cpu_system=own.ru_stime,
        children_cpu_user=children.ru_utime,
        children_cpu_system=children.ru_stime,
        main_thread_cpu_user=main_user,
        main_thread_cpu_system=main_system,
        system_memory_bytes=_system_memory_bytes(),
        threads=_thread_count(),
    )


def open_descriptors() -> int:
    """File descriptors in use."""
    try:
        # Since Linux 6.2 the directory's size is their number; counting takes milliseconds where clients are many.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208
    except OSError:
        return 0


def _thread_count() -> int:
    try:
        # Each thread has a directory in this one, and so a link to it, besides the two that every directory has.
        return os.stat("/proc/self/task").st_nlink - 2  # noqa: PTH116 - of a path that never changes
    except OSError:
        return 0


def _resident_bytes() -> int:
    try:
        return int(_read("/proc/self/statm").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def _main_thread_cpu() -> tuple[float, float]:
    """User and system seconds of the process's first thread, in which the control plane of a server runs."""
    if threading.get_native_id() == os.getpid():
        own = resource.getrusage(resource.RUSAGE_THREAD)
        return own.ru_utime, own.ru_stime
    return _thread_cpu(os.getpid())


def _thread_cpu(thread: int) -> tuple[float, float]:
    """User and system seconds of one thread; /proc counts in ticks of a hundredth of a second."""
    try:
        fields = _read(f"/proc/self/task/{thread}/stat").rpartition(b")")[2].split()
        return (
            int(fields[_STAT_UTIME]) / _CLOCK_TICKS_PER_SECOND,
            int(fields[_STAT_STIME]) / _CLOCK_TICKS_PER_SECOND,
        )
    except (OSError, ValueError, IndexError):
        return 0.0, 0.0


def _read(path: str) -> bytes:
    """A short file of /proc, in three system calls and nothing else: INFO waits for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _FILE_BYTES_MAX)
    finally:
        os.close(descriptor)


@functools.cache
def _system_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


@functools.cache
def operating_system() -> str:
    """As INFO writes it: name, release, machine."""
    names = os.uname()
    return f"{names.sysname} {names.release} {names.machine}"


@functools.cache
def arch_bits() -> int:
    """The width of a pointer."""
    return 64 if sys.maxsize > 2**32 else 32


@functools.cache
def monotonic_clock() -> str:
    """The clock that the data plane times commands with."""
    return "X86 TSC" if os.uname().machine in ("x86_64", "AMD64") else "POSIX clock_gettime"


@functools.cache
def executable() -> str:
    """The program that runs: the script where there is one, else the interpreter."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c", "-m") else None
    return str(script.absolute()) if script is not None and script.is_file() else sys.executable
