"""What the metrics page shows: one snapshot's families in Prometheus' formats.

A module apart from the page's listener, which loads it with the first scrape: prometheus_client takes as much memory
and time to load as the rest of the control plane together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from sherd.config.special_kinds import format_percentile
from sherd.observability.metrics_table import DISTRIBUTIONS, HOT_KEYS_MAX, METRICS, PAGE_METRICS, Distribution, Metric
from sherd.observability.node import Node
from sherd.observability.snapshot import CommandNumbers, Snapshot, take_snapshot


class Exposition:
    """The page of one server."""

    def __init__(self, node: Node) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SnapshotCollector(node))

    def page(self, accept: str) -> tuple[str, bytes]:
        """Content type and body, in the format that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class SnapshotCollector(Collector):
    """Prometheus' view of one snapshot."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._scrapes = 0
        self._last_seconds = 0.0

    def collect(self) -> Iterator[Family]:
        """All families that have a value."""
        started = time.perf_counter()
        snapshot = take_snapshot(self._node, hot_keys=HOT_KEYS_MAX)
        families = [*map(_family, METRICS, [snapshot] * len(METRICS)), *self._distributions(snapshot)]
        yield from (family for family in families if family.samples)
        with self._lock:
            self._scrapes += 1
            values = (self._scrapes, self._last_seconds, 0)
            self._last_seconds = time.perf_counter() - started
        for (name, kind, text), value in zip(PAGE_METRICS, values, strict=True):
            family = Family(name.removesuffix("_total"), text, kind)
            family.add_sample(name, {"err": ""} if name.endswith("_error") else {}, value)
            yield family

    def _distributions(self, snapshot: Snapshot) -> Iterator[Family]:
        percentiles = self._node.config.get_tuple("latency-tracking-info-percentiles")
        for distribution in DISTRIBUTIONS:
            family = Family(distribution.name, distribution.help, distribution.kind)
            for command in snapshot.commands:
                if not command.histogram.count():
                    continue
                if distribution.kind == "histogram":
                    _add_histogram(family, distribution, command)
                else:
                    _add_summary(family, distribution, command, percentiles)
            yield family


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    family = Family(metric.name.removesuffix("_total"), metric.help, metric.kind)
    value = metric.source(snapshot)
    rows = [((), value)] if isinstance(value, (int, float)) else value
    for labels, number in rows:
        family.add_sample(metric.name, dict(zip(metric.labels, labels, strict=True)), number)
    return family


def _add_histogram(family: Family, distribution: Distribution, command: CommandNumbers) -> None:
    edges = distribution.edges()
    sums = command.histogram.cumulative([nanoseconds for nanoseconds, _ in edges])
    for (_, label), count in zip(edges, sums, strict=True):
        _add(family, "_bucket", command, count, le=f"{label:.12g}")
    total = command.histogram.count()
    _add(family, "_bucket", command, total, le="+Inf")
    _add(family, "_count", command, total)
    _add(family, "_sum", command, command.nanoseconds / 1e9 / distribution.unit_seconds)


def _add_summary(
    family: Family, distribution: Distribution, command: CommandNumbers, percentiles: tuple[float, ...]
) -> None:
    for percentile, value in zip(percentiles, command.histogram.percentiles_ns(percentiles), strict=True):
        _add(family, "", command, value / 1e9 / distribution.unit_seconds, quantile=format_percentile(percentile))
    _add(family, "_count", command, command.histogram.count())
    _add(family, "_sum", command, command.nanoseconds / 1e9 / distribution.unit_seconds)


def _add(family: Family, suffix: str, command: CommandNumbers, value: float, **labels: str) -> None:
    family.add_sample(family.name + suffix, {"cmd": command.name, **labels}, value)
