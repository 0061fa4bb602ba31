"""The metrics page: /metrics for Prometheus, /healthz and /readyz for whoever watches over the process.

It has a listener and a thread of its own, so that a probe is answered while the control plane is busy and a scrape
never delays a command. A scrape reads one native snapshot; nothing on the way of a command knows of Prometheus.

The HTTP server is small on purpose: one request a connection, a limit on its size and on the time it may take, a few
workers. Rejected: `http.server`, which lets a slow client hold a thread for as long as it sends a byte now and then.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from sherd.errors import SherdError
from sherd.log import get_logger
from sherd.observability.metrics_table import DISTRIBUTIONS, HOT_KEYS_MAX, METRICS, PAGE_METRICS, Distribution, Metric
from sherd.observability.node import Node
from sherd.observability.snapshot import CommandNumbers, Snapshot, take_snapshot

_log = get_logger()

REQUEST_BYTES_MAX = 8192
REQUEST_SECONDS_MAX = 5.0
WORKERS = 3
WAITING_CONNECTIONS_MAX = 32
ACCEPT_PAUSE_SECONDS = 0.1
STOP_SECONDS_MAX = 0.5
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
        self._socket = _bind(host, port)
        self._connections: queue.Queue[socket.socket | None] = queue.Queue(WAITING_CONNECTIONS_MAX)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._accept, name="sherd-metrics", daemon=True),
            *(threading.Thread(target=self._work, name=f"sherd-metrics-{n}", daemon=True) for n in range(WORKERS)),
        ]
        self._pages: dict[str, Callable[[str], tuple[int, str, bytes]]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Serve in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close the listener and end the threads; idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        for _ in range(WORKERS):
            with contextlib.suppress(queue.Full):
                self._connections.put_nowait(None)
        for thread in self._threads:
            if thread.is_alive():
                # A worker that a slow client holds must not hold up the server's end.
                thread.join(STOP_SECONDS_MAX)

    # ---- pages: status, content type, body

    def _metrics(self, accept: str) -> tuple[int, str, bytes]:
        encode, content_type = choose_encoder(accept)
        return 200, content_type, encode(self._registry)

    def _healthz(self, _accept: str) -> tuple[int, str, bytes]:
        lag = self._node.sampler.seconds_since_sample()
        if lag > LOOP_LAG_SECONDS_MAX:
            return 503, _TEXT, f"the control plane has not come round for {lag:.0f} seconds\n".encode()
        return 200, _TEXT, b"ok\n"

    def _readyz(self, _accept: str) -> tuple[int, str, bytes]:
        if self._node.ready:
            return 200, _TEXT, b"ready\n"
        return 503, _TEXT, b"stopping\n" if self._node.stopping else b"starting\n"

    # ---- connections

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:  # stopping, or out of descriptors for a moment
                self._stopping.wait(ACCEPT_PAUSE_SECONDS)
                continue
            try:
                self._connections.put_nowait(connection)
            except queue.Full:
                connection.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            connection = self._connections.get()
            if connection is not None:
                with contextlib.closing(connection), contextlib.suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = _read_request(connection)
        if request is None:
            status, content_type, body = 400, _TEXT, b"bad request\n"
            method = "GET"
        else:
            method, path, accept = request
            status, content_type, body = self._page(method, path, accept)
        connection.settimeout(REQUEST_SECONDS_MAX)
        connection.sendall(_head(status, content_type, len(body)) + (b"" if method == "HEAD" else body))

    def _page(self, method: str, path: str, accept: str) -> tuple[int, str, bytes]:
        page = self._pages.get(path)
        if page is None:
            return 404, _TEXT, b"not found: try /metrics, /healthz or /readyz\n"
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET\n"
        try:
            return page(accept)
        except Exception:  # noqa: BLE001 - a scrape that fails must not end the page
            _log.exception("the metrics page failed", path=path)
            return 500, _TEXT, b"see the server's log\n"


_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip


def _bind(host: str, port: int) -> socket.socket:
    wildcard = host in ("", "*")
    try:
        if wildcard and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server(("0.0.0.0" if wildcard else host, port), family=family)  # noqa: S104 - asked for
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
        raise MetricsServerError(f"cannot serve metrics on {where}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _read_request(connection: socket.socket) -> tuple[str, str, str] | None:
    """Method, path without its query, and the Accept header; None for what is no HTTP request."""
    deadline = time.monotonic() + REQUEST_SECONDS_MAX
    data = b""
    while b"\r\n\r\n" not in data:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or len(data) > REQUEST_BYTES_MAX:
            return None
        connection.settimeout(remaining)
        received = connection.recv(REQUEST_BYTES_MAX)
        if not received:
            return None
        data += received
    first, *headers = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    accept = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("accept:")]
    return words[0], words[1].partition("?")[0], ", ".join(accept)


def _head(status: int, content_type: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode()
