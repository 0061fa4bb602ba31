"""The metrics page: its table, its families, and its small HTTP server."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sherd.observability import exporter, page_server
from sherd.observability.exporter import MetricsServer, MetricsServerError
from sherd.observability.exposition import SnapshotCollector
from sherd.observability.metrics_table import METRICS, key_label, metric_names
from tests.python.fake_engine import Bench, command_row


def _samples(bench: Bench) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(bench.node))
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def page() -> Iterator[tuple[Bench, str, MetricsServer]]:
    bench = Bench()
    bench.node.ready = True
    server = MetricsServer(bench.node, "127.0.0.1", 0)
    server.start()
    yield bench, f"http://127.0.0.1:{server.port}", server
    server.stop()


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_every_metric_has_its_own_name_a_help_and_a_known_type() -> None:
    names = metric_names()
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.name.startswith(("redis_", "sherd_")), metric.name
        assert metric.help.endswith("."), metric.name
        assert metric.kind in ("gauge", "counter")
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name


def test_numbers_come_from_the_snapshot() -> None:
    samples = _samples(Bench())
    assert samples["redis_connected_clients"] == {(): 3}
    assert samples["redis_commands_processed_total"] == {(): 100}
    assert samples["redis_memory_used_peak_bytes"] == {(): 20 * 1024 * 1024}
    assert samples["redis_db_avg_ttl_seconds"] == {(("db", "db0"),): 1.5, (("db", "db3"),): 0}
    assert samples["redis_errors_total"] == {(("err", "ERR"),): 3, (("err", "WRONGTYPE"),): 2}
    assert samples["sherd_shard_batches_total"][(("path", "queued"), ("shard", "1"))] == 10
    assert samples["redis_last_slow_execution_duration_seconds"] == {(): pytest.approx(0.012345)}


def test_a_scrape_takes_one_snapshot() -> None:
    bench = Bench()
    _samples(bench)
    assert bench.engine.snapshots_taken == 1


def test_command_histograms_are_cumulative_and_agree_with_the_counters() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("get", ns1500=3, ns1000000=1)]
    samples = _samples(bench)
    seconds = samples["sherd_command_duration_seconds_bucket"]
    assert seconds[(("cmd", "get"), ("le", "1.024e-06"))] == 0
    assert seconds[(("cmd", "get"), ("le", "2.048e-06"))] == 3
    assert seconds[(("cmd", "get"), ("le", "+Inf"))] == 4
    assert samples["sherd_command_duration_seconds_sum"] == {(("cmd", "get"),): pytest.approx(0.0010045)}
    microseconds = samples["redis_commands_latencies_usec_bucket"]
    assert microseconds[(("cmd", "get"), ("le", "2"))] == 3
    assert samples["redis_commands_latencies_usec_sum"] == {(("cmd", "get"),): pytest.approx(1004.5)}
    quantiles = samples["redis_latency_percentiles_usec"]
    assert quantiles[(("cmd", "get"), ("quantile", "50"))] == pytest.approx(1.536)
    assert samples["redis_latency_percentiles_usec_count"] == {(("cmd", "get"),): 4}


def test_a_command_that_was_only_refused_has_no_histogram() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [("get", 0, 0, 5, 0, [0] * 144)]
    samples = _samples(bench)
    assert "sherd_command_duration_seconds_bucket" not in samples
    assert samples["redis_commands_rejected_calls_total"] == {(("cmd", "get"),): 5}


def test_cluster_series_exist_in_cluster_mode_only() -> None:
    assert "redis_cluster_state" not in _samples(Bench())
    assert _samples(Bench(cluster_enabled=True))["redis_cluster_slots_ok"] == {(): 16384}


def test_hot_keys_are_hashed_unless_asked_for() -> None:
    bench, open_bench = Bench(), Bench(metrics_hot_key_names=True)
    bench.engine.hot = open_bench.engine.hot = [(b"user:alice", 42)]
    (labels,) = _samples(bench)["sherd_hot_key_commands"]
    assert "alice" not in labels[0][1]
    assert _samples(open_bench)["sherd_hot_key_commands"] == {(("key", "user:alice"),): 42}


def test_big_keys_are_hashed_and_at_most_twenty() -> None:
    bench = Bench()
    bench.engine.big = [(b"user:%d" % number, 0, 0, 7, "set", 1000 - number, number) for number in range(100)]
    samples = _samples(bench)
    assert len(samples["sherd_big_key_bytes"]) == len(samples["sherd_big_key_elements"]) == 20
    assert max(samples["sherd_big_key_bytes"].values()) == 1000
    assert max(samples["sherd_big_key_elements"].values()) == 99
    assert not any("user" in label for labels in samples["sherd_big_key_bytes"] for _, label in labels)


def test_hot_keys_are_at_most_twenty() -> None:
    bench = Bench()
    bench.engine.hot = [(b"%d" % number, 100 - number) for number in range(100)]
    assert len(_samples(bench)["sherd_hot_key_commands"]) == 20


def test_a_key_that_is_no_text_or_too_long_still_makes_a_label() -> None:
    assert key_label(b"\xff\x00", plain=True) == "\\xff\x00"
    assert len(key_label(b"k" * 1000, plain=True)) == 67


def test_the_page_counts_its_scrapes() -> None:
    bench = Bench()
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(bench.node))
    generate_latest(registry)
    after = generate_latest(registry).decode()
    assert "\nredis_exporter_scrapes_total 2.0\n" in after
    assert 'redis_exporter_last_scrape_error{err=""} 0.0' in after


def test_the_page_serves_metrics_and_health(page: tuple[Bench, str, MetricsServer]) -> None:
    _, url, _ = page
    status, body = _get(url + "/metrics")
    assert status == 200
    assert b"# TYPE redis_commands_processed_total counter" in body
    assert _get(url + "/healthz") == (200, b"ok\n")
    assert _get(url + "/readyz") == (200, b"ready\n")
    assert _get(url + "/readyz?verbose") == (200, b"ready\n")
    assert _get(url + "/nothing")[0] == 404


def test_openmetrics_is_given_to_who_asks_for_it(page: tuple[Bench, str, MetricsServer]) -> None:
    request = urllib.request.Request(page[1] + "/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.read().endswith(b"# EOF\n")


def test_a_server_that_starts_or_stops_is_alive_but_not_ready(page: tuple[Bench, str, MetricsServer]) -> None:
    bench, url, _ = page
    bench.node.ready = False
    assert _get(url + "/readyz") == (503, b"starting\n")
    bench.node.stopping = True
    assert _get(url + "/readyz") == (503, b"stopping\n")
    assert _get(url + "/healthz")[0] == 200


def test_a_server_that_takes_its_last_snapshot_is_not_ready_any_more(page: tuple[Bench, str, MetricsServer]) -> None:
    """Nor is one that waits for its replicas: those who write are held back, and the server is going."""
    bench, url, _ = page
    bench.node.replication.is_ending = True
    assert _get(url + "/readyz") == (503, b"stopping\n")
    bench.node.replication.is_ending = False
    assert _get(url + "/readyz") == (200, b"ready\n")
    # Python's commands still run, and their clients are answered.
    bench.node.stopping = True
    assert _get(url + "/readyz") == (503, b"stopping\n")


def test_a_replica_is_ready_when_it_has_data_of_its_primary(
    page: tuple[Bench, str, MetricsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has none and gets none, as its primary is gone, serves what it has: others may begin then and find a primary."""
    bench, url, _ = page
    replication = bench.node.replication
    replication.primary = ("10.0.0.1", 6379)
    for phase, knows_place, ready in (
        ("connect", False, True), ("connecting", False, True), ("handshake", False, False), ("sync", False, False),
        ("sync", True, True), ("handshake", True, True), ("connected", True, True),
    ):  # fmt: skip
        replication.phase, replication.knows_place = phase, knows_place
        assert _get(url + "/readyz") == ((200, b"ready\n") if ready else (503, b"syncing\n")), phase
    # Its data have gone, and the new ones come.
    replication.phase, replication.is_emptied = "sync", True
    monkeypatch.setattr(type(replication), "status", lambda _: {"load_total": 9, "loaded_bytes": 3})
    assert _get(url + "/readyz") == (503, b"syncing\n")


def test_a_control_plane_that_stands_still_is_not_alive(page: tuple[Bench, str, MetricsServer]) -> None:
    bench, url, _ = page
    bench.node.sampler.last_sample -= exporter.LOOP_LAG_SECONDS_MAX + 1
    status, body = _get(url + "/healthz")
    assert status == 503
    assert b"has not come round" in body


def test_a_failing_scrape_is_an_answer_and_not_the_end(page: tuple[Bench, str, MetricsServer]) -> None:
    bench, url, _ = page
    numbers = bench.engine.numbers
    bench.engine.numbers = {}
    assert _get(url + "/metrics")[0] == 500
    bench.engine.numbers = numbers
    assert _get(url + "/metrics")[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"200"),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", b"200"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /healthz\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000 + b"\r\n", b"400"),
    ],
    ids=["get", "head", "post", "tls", "no version", "long"],
)
def test_anything_may_be_sent_to_the_page(
    page: tuple[Bench, str, MetricsServer], request_bytes: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", page[2].port), timeout=30) as connection:
        connection.sendall(request_bytes[:5])
        connection.sendall(request_bytes[5:])
        assert connection.recv(12).split(b" ")[1] == status


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HT", b"GET /metrics HTTP/1.1\r\n\r\n"], ids=["silent", "slow", "deaf"]
)
def test_slow_clients_keep_nobody_from_the_page(page: tuple[Bench, str, MetricsServer], said: bytes) -> None:
    """However many hold their connections open, and whatever they wait for."""
    slow = []
    for _ in range(100):
        client = socket.create_connection(("127.0.0.1", page[2].port))
        client.sendall(said)
        slow.append(client)
    for path in ("/healthz", "/readyz", "/healthz"):
        assert _get(page[1] + path)[0] == 200
    for client in slow:
        client.close()


def test_a_client_that_says_nothing_is_cut_after_a_while(
    page: tuple[Bench, str, MetricsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server, "REQUEST_SECONDS_MAX", 0.05)
    with socket.create_connection(("127.0.0.1", page[2].port), timeout=30) as silent:
        assert silent.recv(100) == b""


@pytest.mark.parametrize(
    ("offer", "coding"),
    [("gzip", "gzip"), ("deflate, GZIP;q=0.5", "gzip"), ("*", "gzip"), ("gzip;q=0", None), ("br", None), ("", None)],
)
def test_the_page_is_compressed_for_who_takes_it(
    page: tuple[Bench, str, MetricsServer], offer: str, coding: str | None
) -> None:
    request = urllib.request.Request(page[1] + "/metrics", headers={"Accept-Encoding": offer})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
        assert answer.headers["Content-Encoding"] == coding
    text = gzip.decompress(body) if coding else body
    assert b"# TYPE redis_commands_processed_total counter" in text
    assert coding is None or len(body) < len(text) / 2


def test_stopping_ends_every_thread_even_while_a_client_is_silent() -> None:
    before = set(threading.enumerate())
    server = MetricsServer(Bench().node, "127.0.0.1", 0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        time.sleep(0.05)
        server.stop()
        server.stop()
        silent.close()
    deadline = time.monotonic() + 30
    while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


def test_a_port_that_is_taken_is_one_clear_line(page: tuple[Bench, str, MetricsServer]) -> None:
    with pytest.raises(MetricsServerError) as caught:
        MetricsServer(page[0].node, "127.0.0.1", page[2].port)
    reason = "Address already in use ('metrics-port' names another one, 0 none)"
    assert str(caught.value) == f"cannot serve metrics on 127.0.0.1:{page[2].port}: {reason}"


def test_every_address_can_be_listened_on() -> None:
    server = MetricsServer(Bench().node, "*", 0)
    server.start()
    assert _get(f"http://127.0.0.1:{server.port}/healthz")[0] in (200, 503)
    server.stop()
