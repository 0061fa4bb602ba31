"""What the kernel says about a process and about the machine.

CPU time comes from the process's CPU clock rather than from `/proc/<pid>/stat`: both count all threads, living and
ended, but the latter counts in ticks of 10 ms, which is several per cent of a short run.
"""

import ctypes
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def cpu_seconds(pid: int) -> float:
    """User and system time in seconds of a process and its living descendants, all threads included."""
    return _own_cpu_seconds(pid) + sum(cpu_seconds(child) for child in _children(pid))


def _own_cpu_seconds(pid: int) -> float:
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise ProcessLookupError(f"no process {pid}")
    return time.clock_gettime(clock.value)


def ended_children_seconds(pid: int) -> float:
    """User and system time of the children of a process that have ended, in ticks of 10 ms."""
    # The name in the second field may have blanks; it ends with the last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in _tasks(pid):
        try:
            text = Path(f"/proc/{pid}/task/{task}/children").read_text()
        except OSError:
            continue
        children.extend(int(child) for child in text.split())
    return children


def _tasks(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def thread_count(pid: int) -> int:
    """The number of threads of a process."""
    return len(_tasks(pid))


def wakes(pid: int) -> int:
    """How often the threads of a process have gone to sleep so far, each of which they woke from or will."""
    count = 0
    for task in _tasks(pid):
        status = Path(f"/proc/{pid}/task/{task}/status").read_text()
        count += int(status.partition("voluntary_ctxt_switches:")[2].split()[0])
    return count


def resident_bytes(pid: int) -> int:
    """Physical memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory")


def proportional_bytes(pid: int) -> int:
    """Physical memory of a process and its descendants, in bytes, where what several share counts once in all."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        # A child that has just ended has none.
        lines = []
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return own + sum(proportional_bytes(child) for child in _children(pid))


def busy_seconds_of_machine() -> float:
    """Seconds that all cores together have been busy since boot."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    ticks = [int(field) for field in fields]
    # user nice system idle iowait irq softirq steal; guest time is already in user.
    busy = sum(ticks[:3]) + sum(ticks[5:8])
    return busy / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class MachineFacts:
    """What a reader needs to judge the figures."""

    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str

    def lines(self) -> list[str]:
        """One fact a line, for the page."""
        return [
            f"processor: {self.processor}, {self.cores} cores",
            f"memory: {self.memory_bytes / 2**30:.0f} GiB",
            f"kernel: {self.kernel}",
            f"Python: {self.python}",
        ]


def machine_facts() -> MachineFacts:
    """Facts of this machine."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return MachineFacts(
        processor=processor,
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )
