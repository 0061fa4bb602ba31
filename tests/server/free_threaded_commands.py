"""Commands in Python that `test_free_threaded` calls; a server loads this file."""

from __future__ import annotations

import sys
import threading
import time

import sherd

together = threading.Barrier(4)
shared: dict[str, int] = {}
shared_list: list[int] = []


@sherd.command("free.lock", flags="readonly")
def has_lock(call: sherd.Call) -> bool:
    """Whether there is an interpreter's lock now, in the thread that executes commands."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@sherd.command("free.meet", keys=1)
def meet(call: sherd.Call, key: bytes) -> int:
    """Returns when four commands are being executed at the same moment."""
    together.wait(60)
    hits = call("INCR", key)
    together.wait(60)
    return int(hits)


@sherd.command("free.count", keys=1)
def count(call: sherd.Call, key: bytes, times: int) -> int:
    """Reads and writes, which only the command's hold on its shard makes one step."""
    for _ in range(times):
        call("SET", key, int(call("GET", key) or 0) + 1)
    return int(call("GET", key))


@sherd.command("free.share", keys=1)
def share(call: sherd.Call, key: bytes, number: int) -> list[object]:
    """Returns what commands of other threads are changing at that moment."""
    for place in range(20):
        shared[f"{number}:{place}"] = place
        shared_list.append(number)
    for place in range(20):
        del shared[f"{number}:{place}"]
        shared_list.pop()
    call("SET", key, number)
    return [shared, shared_list]


@sherd.command("free.sleep", keys=1)
def sleep(call: sherd.Call, key: bytes, milliseconds: int) -> int:
    """Holds its shard for some time, in which other threads execute commands of others."""
    time.sleep(milliseconds / 1000)
    return int(call("INCR", key))


@sherd.command("free.compute", keys=1, flags="readonly")
def compute(call: sherd.Call, key: bytes, rounds: int) -> int:
    """Uses a core and nothing else."""
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total
