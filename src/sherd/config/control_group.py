"""How much memory the control group of this process may have, as that of a container or a systemd unit.

Beyond it the kernel ends the process, whatever it has not saved. `maxmemory` has servers evict, or refuse writes, long
before that; it is 0 by default, as in Redis, which is no limit.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
# What version 1 says where there is no limit is this, rounded down to whole pages.
_UNLIMITED = 1 << 62
# What data may have of it: buffers of clients, the backlog of replicas and what the allocator wastes come on top.
_DATA_PERCENT = 75


def memory_limit(root: Path = _ROOT, own: Path = _OWN) -> int:
    """Bytes; 0 where there is no limit."""
    files = [root / "memory.max", root / "memory" / "memory.limit_in_bytes"]
    try:
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                # Any of those that the group is in may have the limit.
                group = root / path.lstrip("/")
                files += [at / "memory.max" for at in (group, *group.parents) if at.is_relative_to(root)]
            elif "memory" in controllers.split(","):
                files.append(root / "memory" / path.lstrip("/") / "memory.limit_in_bytes")
    except (OSError, ValueError):
        pass  # no control groups
    limits = [limit for limit in map(_read, files) if 0 < limit < _UNLIMITED]
    return min(limits, default=0)


def memory_advice(maxmemory: int, limit: int) -> str:
    """What an operator should know of `maxmemory` in a group with this limit (bytes, 0 is none); "" if it is well."""
    if not limit or 0 < maxmemory < limit:
        return ""
    advised = limit * _DATA_PERCENT // 100 >> 20
    state = f"is {maxmemory} bytes" if maxmemory else "is not set"
    return (
        f"the memory of this process is limited to {limit >> 20} MB, beyond which the system ends it, and maxmemory "
        f"{state}: set maxmemory to {advised}mb, say, and choose a maxmemory-policy"
    )


def _read(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0  # "max", or no such file
