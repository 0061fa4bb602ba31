"""Histograms, rates and text graphs: what INFO, LATENCY and the metrics page are computed with."""

from __future__ import annotations

import sys
import threading

import pytest

from sherd.observability.histogram import OCTAVES_NS, Histogram, octave_microseconds
from sherd.observability.process import open_descriptors, read_process
from sherd.observability.sampler import SAMPLES, Rate, Sampler
from sherd.observability.sparkline import elapsed_label, sparkline
from tests.python.fake_engine import BOUNDS, SNAPSHOT, histogram


def test_octaves_are_named_as_redis_names_them() -> None:
    names = [octave_microseconds(edge) for edge in OCTAVES_NS[:21]]
    assert names == [
        1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816, 67633, 135266, 270532, 541065,
        1082130,
    ]  # fmt: skip


def test_only_octaves_in_which_the_sum_grows_are_given() -> None:
    assert Histogram(BOUNDS, histogram(ns500=2, ns40000=3, ns50000=1)).octaves() == [(1, 2), (66, 6)]


def test_a_value_on_an_edge_belongs_to_the_octave_above() -> None:
    assert Histogram(BOUNDS, histogram(ns1023=1, ns1024=1)).octaves() == [(1, 1), (2, 2)]


def test_values_beyond_the_last_octave_are_counted_in_it() -> None:
    counts = [0] * 144
    counts[-1] = 2
    assert Histogram(BOUNDS, counts).octaves()[-1][1] == 2


def test_the_percentile_of_nothing_is_zero() -> None:
    assert Histogram(BOUNDS, [0] * 144).percentiles_ns([99]) == [0]


@pytest.mark.parametrize(("percentile", "edge"), [(0, 1024), (50, 1024), (99.9, 1024), (99.95, 2048), (100, 2048)])
def test_a_percentile_is_the_upper_edge_of_its_bucket(percentile: float, edge: int) -> None:
    assert Histogram(BOUNDS, histogram(ns1000=999, ns2000=1)).percentiles_ns([percentile]) == [edge]


def test_cumulative_sums_rise_to_the_count() -> None:
    whole = Histogram(BOUNDS, histogram(ns5=1, ns1000=2, ns1000000=3))
    assert whole.cumulative([8, 1024, 1 << 20, 1 << 30]) == [1, 3, 6, 6]


def test_a_rate_is_the_mean_over_the_last_sixteen_looks() -> None:
    rate = Rate()
    for look in range(100):
        rate.observe(look * 0.1, look * 50.0 if look < 50 else 2450 + (look - 49) * 10.0)
    assert rate.per_second() == pytest.approx(100)
    assert SAMPLES == 16


def test_a_counter_that_was_reset_does_not_give_a_negative_rate() -> None:
    rate = Rate()
    for when, value in ((0.0, 1000.0), (1.0, 0.0), (2.0, 30.0)):
        rate.observe(when, value)
    assert rate.per_second() == pytest.approx(30)


def test_a_rate_may_be_asked_for_while_it_is_observed() -> None:
    """INFO called by a script is answered by another thread than the loop's, which observes."""
    rate, asked = Rate(), threading.Event()

    def observe() -> None:
        look = 0
        while not asked.is_set():
            look += 1
            rate.observe(look * 0.1, look * 5.0)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    observer = threading.Thread(target=observe)
    observer.start()
    try:
        for _ in range(50_000):
            assert 0 <= rate.per_second() < 51
    finally:
        asked.set()
        observer.join()
        sys.setswitchinterval(interval)


def test_a_rate_without_two_looks_is_zero() -> None:
    rate = Rate()
    rate.observe(1.0, 5.0)
    assert rate.per_second() == 0


def test_the_sampler_reads_the_native_snapshot() -> None:
    now = [10.0]
    sampler = Sampler(lambda: now[0])
    sampler.sample(SNAPSHOT)
    now[0] += 2.0
    later = {**SNAPSHOT, "totals": {**SNAPSHOT["totals"], "commands": 120}}
    sampler.sample(later)
    assert sampler.per_second("commands") == pytest.approx(10)
    assert sampler.per_second("polls") == 0
    now[0] += 7.0
    assert sampler.seconds_since_sample() == 7


def test_a_graph_stands_on_the_floor_and_reaches_the_top() -> None:
    assert sparkline([1, 7, 4, 1], ["1m", "2s", "1s", "0s"]) == " #  \n |_ \n || \n_||_\n    \n1210\nmsss\n"


def test_a_graph_of_equal_values_is_flat() -> None:
    assert sparkline([5, 5], ["3s", "2s"]) == "  \n  \n  \n__\n  \n32\nss\n"


@pytest.mark.parametrize(("seconds", "label"), [(0, "0s"), (59, "59s"), (60, "1m"), (7300, "2h"), (200000, "2d")])
def test_an_age_is_given_in_its_largest_unit(seconds: int, label: str) -> None:
    assert elapsed_label(seconds) == label


def test_the_process_has_memory_threads_and_open_files() -> None:
    numbers = read_process()
    assert numbers.resident_bytes > 1_000_000
    assert numbers.system_memory_bytes > numbers.resident_bytes
    assert numbers.threads >= 1
    assert open_descriptors() >= 3
    assert numbers.cpu_user > 0


def test_a_late_look_at_a_counter_counts_as_the_looks_that_it_stands_for() -> None:
    rate = Rate()
    for when, value in ((0.0, 0.0), (10.0, 0.0), (10.1, 100.0)):
        rate.observe(when, value)
    # One look of 100 in the last sixteen, as if it had been looked at all the time.
    assert rate.per_second() == pytest.approx(100 / 1.6)
