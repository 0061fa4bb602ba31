"""How many cores there are for this process, and how many threads that makes by default.

Counted are the cores that the scheduler lets the process use, or fewer where a control group caps the CPU time, since a
container with two CPUs on a large host must not start sixty threads. The rule: an IO thread for each core, up to a
bound, and a shard for every two of them, because the IO threads execute most commands themselves while they hold a
shard's baton and the shard's own thread only does what is left.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

IO_THREADS_MAX_DEFAULT = 16
_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_cores(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """Cores that this process may use, at least 1."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = cpu_max.read_text().split()[:2]
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no control group with a limit
    return max(1, cores)


def default_threads(cores: int) -> tuple[int, int]:
    """IO threads and shards for a machine with so many cores."""
    io_threads = max(1, min(cores, IO_THREADS_MAX_DEFAULT))
    return io_threads, max(1, io_threads // 2)
