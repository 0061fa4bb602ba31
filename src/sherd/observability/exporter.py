"""The metrics page: /metrics for Prometheus, /healthz and /readyz for whoever watches over the process.

It has a listener and a thread of its own, so that a probe is answered while the control plane is busy and a scrape
never delays a command. A scrape reads one native snapshot; nothing on the way of a command knows of Prometheus.

The HTTP server is small on purpose, see `page_server`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from sherd.errors import SherdError
from sherd.observability.metrics_table import DISTRIBUTIONS, HOT_KEYS_MAX, METRICS, PAGE_METRICS, Distribution, Metric
from sherd.observability.node import Node
from sherd.observability.page_server import TEXT, Answer, PageServer
from sherd.observability.snapshot import CommandNumbers, Snapshot, take_snapshot

# A control loop that has not come round for so long will not come back.
LOOP_LAG_SECONDS_MAX = 30.0


class MetricsServerError(SherdError):
    """The page's address cannot be used; one line for the operator."""


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
        _add(family, "", command, value / 1e9 / distribution.unit_seconds, quantile=f"{percentile:g}")
    _add(family, "_count", command, command.histogram.count())
    _add(family, "_sum", command, command.nanoseconds / 1e9 / distribution.unit_seconds)


def _add(family: Family, suffix: str, command: CommandNumbers, value: float, **labels: str) -> None:
    family.add_sample(family.name + suffix, {"cmd": command.name, **labels}, value)


class MetricsServer:
    """The page of one server. Raises MetricsServerError if its address cannot be bound."""

    def __init__(self, node: Node, host: str, port: int) -> None:
        self._node = node
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SnapshotCollector(node))
        pages = {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}
        self._server = PageServer(_bind(host, port), pages, slow={"/metrics"})

    @property
    def port(self) -> int:
        """The port in use."""
        return self._server.port

    def start(self) -> None:
        """Serve in threads of its own."""
        self._server.start()

    def stop(self, *, wait: bool = True) -> None:
        """Close the listener and end the threads; idempotent. Without `wait` a scrape that goes on ends by itself."""
        self._server.stop(wait=wait)

    # ---- pages: status, content type, body

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return 200, content_type, encode(self._registry)

    def _healthz(self, _accept: str) -> Answer:
        lag = self._node.sampler.seconds_since_sample()
        if lag > LOOP_LAG_SECONDS_MAX:
            return 503, TEXT, f"the control plane has not come round for {lag:.0f} seconds\n".encode()
        return 200, TEXT, b"ok\n"

    def _readyz(self, _accept: str) -> Answer:
        if self._node.ready:
            return 200, TEXT, b"ready\n"
        return 503, TEXT, b"stopping\n" if self._node.stopping else b"starting\n"


def _bind(host: str, port: int) -> socket.socket:
    wildcard = host in ("", "*")
    try:
        if wildcard and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server(("0.0.0.0" if wildcard else host, port), family=family)  # noqa: S104 - asked for
    except (OSError, ValueError) as error:  # a name that no system could know is a ValueError
        where = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
        raise MetricsServerError(f"cannot serve metrics on {where}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "that is no host name"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
