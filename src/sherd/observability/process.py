"""What the operating system says about this process and this machine.

Read from /proc and getrusage at the moment of asking; a value that the system does not offer is 0, so that INFO and the
exporter work in a container that hides parts of /proc.
"""

from __future__ import annotations

import functools
import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/task/<tid>/stat after the command name, counted from 0.
_STAT_UTIME, _STAT_STIME = 11, 12


@dataclass(frozen=True, slots=True)
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
    main_user, main_system = _thread_cpu(os.getpid())
    return ProcessNumbers(
        resident_bytes=_resident_bytes(),
        cpu_user=own.ru_utime,
        cpu_system=own.ru_stime,
        children_cpu_user=children.ru_utime,
        children_cpu_system=children.ru_stime,
        main_thread_cpu_user=main_user,
        main_thread_cpu_system=main_system,
        system_memory_bytes=_system_memory_bytes(),
        threads=_count_entries("/proc/self/task"),
    )


def open_descriptors() -> int:
    """File descriptors in use. Apart from the rest: with many clients the count takes milliseconds."""
    return _count_entries("/proc/self/fd")


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def _thread_cpu(thread: int) -> tuple[float, float]:
    """User and system seconds of one thread; /proc counts in ticks of a hundredth of a second."""
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return (
            int(fields[_STAT_UTIME]) / _CLOCK_TICKS_PER_SECOND,
            int(fields[_STAT_STIME]) / _CLOCK_TICKS_PER_SECOND,
        )
    except (OSError, ValueError, IndexError):
        return 0.0, 0.0


def _count_entries(directory: str) -> int:
    try:
        return len(os.listdir(directory))  # noqa: PTH208 - a count of names, many times a minute
    except OSError:
        return 0


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
    return "X86 TSC" if platform.machine() in ("x86_64", "AMD64") else "POSIX clock_gettime"


@functools.cache
def executable() -> str:
    """The program that runs: the script where there is one, else the interpreter."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c", "-m") else None
    return str(script.absolute()) if script is not None and script.is_file() else sys.executable
