"""Rates over the last moments: the instantaneous_* values of INFO.

A counter is looked at every 100 ms, or every second while nothing happens, and the differences of the last 16 looks are
kept, which is what the servers that people compare with do, so a dashboard shows the same lag and the same smoothness.
Sampling is one small native call; a rate computed from the caller's previous INFO would depend on who asks how often.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SAMPLES = 16
INTERVAL_SECONDS = 0.1

# Name of the rate and where its counter stands in the native snapshot.
_COUNTERS: Mapping[str, tuple[str, str]] = {
    "commands": ("totals", "commands"),
    "input_bytes": ("net", "input_bytes"),
    "output_bytes": ("net", "output_bytes"),
}
_IO_COUNTERS = ("polls", "busy_seconds")
# Bytes over links of replication, in and out.
_LINK_COUNTERS = ("repl_input_bytes", "repl_output_bytes")


class Rate:
    """The mean growth a second over the kept samples. One thread observes, any may ask."""

    def __init__(self) -> None:
        # Replaced as a whole: it may be looked at meanwhile.
        self._samples: tuple[tuple[float, float], ...] = ()
        self._last: tuple[float, float] | None = None

    def observe(self, when: float, value: float) -> None:
        """Take the counter's value at a monotonic time in seconds; a counter that was reset starts over."""
        last, self._last = self._last, (when, value)
        if last is not None and when > last[0] and value >= last[1]:
            # A late look counts as the looks that it stands for.
            looks = max(1, round((when - last[0]) / INTERVAL_SECONDS))
            taken = ((value - last[1]) / looks, (when - last[0]) / looks)
            self._samples = (*self._samples, *(taken,) * min(looks, SAMPLES))[-SAMPLES:]

    def reset(self) -> None:
        """Forget what was observed; the next observation only begins."""
        self._samples = ()
        self._last = None

    def per_second(self) -> float:
        """0 as long as nothing was observed twice."""
        samples = self._samples
        seconds = sum(sample[1] for sample in samples)
        return sum(sample[0] for sample in samples) / seconds if seconds else 0.0


class Sampler:
    """The rates of one server. `sample` is called by the control plane's loop, the rates are read from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rates = {name: Rate() for name in (*_COUNTERS, *_IO_COUNTERS, *_LINK_COUNTERS)}
        self._counts: list[float] = []
        self.last_sample = clock()

    def sample(self, snapshot: Mapping[str, Any], link_bytes: Sequence[float] = (0, 0)) -> bool:
        """Look at the counters of a native snapshot, and at the bytes over links of replication, in and out; whether
        clients or links have done anything since the last look."""
        now = self.last_sample = self._clock()
        counts = [snapshot[group][counter] for group, counter in _COUNTERS.values()] + list(link_bytes)
        changed, self._counts = counts != self._counts, counts
        for name, (group, counter) in _COUNTERS.items():
            self._rates[name].observe(now, snapshot[group][counter])
        for name in _IO_COUNTERS:
            self._rates[name].observe(now, sum(thread[name] for thread in snapshot["io_detail"]))
        for name, value in zip(_LINK_COUNTERS, link_bytes, strict=True):
            self._rates[name].observe(now, value)
        return changed

    def reset(self) -> None:
        """Begin all rates anew (CONFIG RESETSTAT)."""
        for rate in self._rates.values():
            rate.reset()

    def per_second(self, name: str) -> float:
        """The rate of `commands`, `input_bytes`, `output_bytes`, `polls`, `busy_seconds`, or of bytes over links."""
        return self._rates[name].per_second()

    def seconds_since_sample(self) -> float:
        """How long the control plane's loop has not come round."""
        return self._clock() - self.last_sample
