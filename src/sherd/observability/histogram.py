"""Reading the data plane's latency histograms: percentiles, and the coarser buckets that others show.

The data plane counts in quarter octaves of nanoseconds. A percentile is the upper edge of the bucket that holds it,
never a guess between two edges, so it may be a fifth too high but never too low. LATENCY HISTOGRAM and the metrics page
show whole octaves: a fourth of the numbers, with edges that are the same in every process, so that instances add up.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from sherd.record import record

# Octaves from 2^10 ns, about a microsecond, to 2^36 ns, a little over a minute.
_FIRST_OCTAVE, _LAST_OCTAVE = 10, 36
# The metrics page leaves out what lies above 2^34 ns (17 s): it is in the +Inf bucket.
_LAST_SHOWN_OCTAVE = 34
OCTAVES_NS = tuple(1 << octave for octave in range(_FIRST_OCTAVE, _LAST_OCTAVE + 1))
SHOWN_OCTAVES_NS = tuple(1 << octave for octave in range(_FIRST_OCTAVE, _LAST_SHOWN_OCTAVE + 1))


def octave_microseconds(bound_ns: int) -> int:
    """How LATENCY HISTOGRAM names the bucket below a power of two of nanoseconds: 1, 2, 4, ... 16, 33, 66, 132.

    Redis counts with a resolution of a 128th and names a bucket after the last value that falls in with its edge.
    """
    return (bound_ns + bound_ns // 128 - 1) // 1000


@functools.cache
def _octave_label(bound_ns: int) -> int:
    """The octave that the bucket below a bound belongs to; what is longer than the last one counts to it."""
    return octave_microseconds(OCTAVES_NS[min(bisect_left(OCTAVES_NS, bound_ns), len(OCTAVES_NS) - 1)])


@record
class Histogram:
    """Counts between bounds; `bounds` are exclusive upper ones in nanoseconds, rising."""

    bounds: Sequence[int]
    counts: Sequence[int]

    def count(self) -> int:
        """Values counted in all."""
        return sum(self.counts)

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """Values that so many percent of the values do not exceed; 0 for no values."""
        sums = list(accumulate(self.counts))
        total = sums[-1] if sums else 0
        if not total:
            return [0] * len(percentiles)
        last = len(self.bounds) - 1
        ranks = (max(1, math.ceil(total * percentile / 100)) for percentile in percentiles)
        return [self.bounds[min(bisect_left(sums, rank), last)] for rank in ranks]

    def cumulative(self, edges: Sequence[int]) -> list[int]:
        """How many values lie below each of `edges` (nanoseconds, rising, each one of the bounds)."""
        sums = [0, *accumulate(self.counts)]
        return [sums[bisect_left(self.bounds, edge) + 1] if edge <= self.bounds[-1] else sums[-1] for edge in edges]

    def octaves(self) -> list[tuple[int, int]]:
        """(microseconds, values up to there) of the octaves in which the sum grows; the rest says nothing new."""
        found: dict[int, int] = {}
        total = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count:
                total += count
                found[_octave_label(bound)] = total
        return list(found.items())
