"""The commands that are measured, and what must be in the server before they mean anything.

Keys, members and shapes are those of redis-benchmark, so that figures compare. What differs: an RPOP or SPOP always
finds something to take, and a GET always finds its key; an empty answer is cheaper than the one that is claimed.
"""

from dataclasses import dataclass
from typing import Literal

# A batch of this depth fills a server several times as fast as single requests would.
FILL_PIPELINE = 64
# LRANGE reads 100 of these.
LIST_LENGTH = 1000


@dataclass(frozen=True)
class Fill:
    """Commands sent before the measurement, numbered 0, 1, 2, ..."""

    command: str
    count: Literal["keys", "requests", "list"]

    def requests(self, keys: int, requests: int) -> int:
        """How many of them, for a measurement with that many keys and requests."""
        return {"keys": keys, "requests": requests + FILL_PIPELINE, "list": LIST_LENGTH}[self.count]


@dataclass(frozen=True)
class Workload:
    """One row of a table."""

    name: str
    command: str
    fill: Fill | None = None
    # Costly commands get fewer requests, so that every row takes about the same time.
    request_divisor: int = 1


_KEYS = Fill("set", "keys")

BASIC = (
    Workload("SET", "set", _KEYS),
    Workload("GET", "get", _KEYS),
    Workload("INCR", "incr", Fill("incr", "keys")),
)

STRUCTURES = (
    Workload("LPUSH", "lpush"),
    Workload("RPOP", "rpop", Fill("lpush", "requests")),
    Workload("SADD", "sadd"),
    Workload("HSET", "hset"),
    Workload("ZADD", "zadd"),
    Workload("SPOP", "spop", Fill("sadd", "requests")),
    Workload("LRANGE_100", "lrange_100", Fill("lpush", "list"), request_divisor=10),
    Workload("MSET", "mset", _KEYS, request_divisor=5),
)

BY_NAME = {workload.name.lower(): workload for workload in (*BASIC, *STRUCTURES)}


def choose(defaults: tuple[Workload, ...], names: tuple[str, ...]) -> tuple[Workload, ...]:
    """Those of `defaults` that are named, all of them when none is."""
    if not names:
        return defaults
    return tuple(workload for workload in defaults if workload.name.lower() in names)
