"""The metrics page of a real server: good form, the same numbers as INFO, and what redis_exporter asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sherd.observability.metrics_table import key_label
from tests.metrics.served import ServedMetrics, under_load, use_everything

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sherd_only

promtool = shutil.which("promtool")


@pytest.fixture(scope="module")
def served() -> Iterator[ServedMetrics]:
    """A server that was used a little."""
    one = ServedMetrics(enable_debug_command="yes")
    use_everything(one)
    with under_load(one):
        deadline = time.monotonic() + 30
        # Hot keys are sampled, so they take a few hundred commands to appear.
        while "sherd_hot_key_commands{" not in one.get("/metrics") and time.monotonic() < deadline:
            time.sleep(0.05)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def spoiled() -> Iterator[ServedMetrics]:
    """Another one, for tests after which nothing is as it was."""
    one = ServedMetrics(enable_debug_command="yes")
    use_everything(one)
    yield one
    one.stop()


def _value(page: str, series: str) -> float:
    (found,) = re.findall(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(found)


@pytest.mark.skipif(promtool is None, reason="promtool is not installed (Debian package prometheus)")
def test_promtool_finds_no_fault_with_the_page(served: ServedMetrics) -> None:
    """Names, units, suffixes, help texts."""
    assert promtool is not None
    page = served.get("/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_page_and_info_tell_the_same(served: ServedMetrics) -> None:
    """Both read one snapshot class; nothing changes in between here."""
    with served.server.wire() as wire:
        info = dict(
            line.split(":", 1) for line in wire.value("INFO", "everything").decode().split("\r\n") if ":" in line
        )
    page = served.get("/metrics")
    for field, series in {
        "keyspace_hits": "redis_keyspace_hits_total",
        "keyspace_misses": "redis_keyspace_misses_total",
        "total_error_replies": "sherd_error_replies_total",
        "maxclients": "redis_max_clients",
        "shards": "sherd_shards",
        "cross_shard_transactions": "sherd_cross_shard_transactions_total",
        "process_id": "redis_process_id",
        "rdb_changes_since_last_save": "redis_rdb_changes_since_last_save",
    }.items():
        assert float(info[field]) == _value(page, series), field
    set_calls = int(info["cmdstat_set"].split(",")[0].removeprefix("calls="))
    assert _value(page, 'redis_commands_total{cmd="set"}') == set_calls
    assert _value(page, 'sherd_command_duration_seconds_count{cmd="set"}') == set_calls
    assert int(info["db0"].split(",")[0].removeprefix("keys=")) == _value(page, 'redis_db_keys{db="db0"}')


def test_shards_add_up_to_the_database(served: ServedMetrics) -> None:
    """Keys of the shards are the keys of all databases."""
    page = served.get("/metrics")
    by_shard = re.findall(r'^sherd_shard_keys\{shard="\d"\} (\S+)$', page, re.MULTILINE)
    by_db = re.findall(r'^redis_db_keys\{db="db\d+"\} (\S+)$', page, re.MULTILINE)
    assert len(by_shard) == 2
    assert sum(map(float, by_shard)) == sum(map(float, by_db)) > 0


def test_probes_say_that_the_server_lives_and_is_ready(served: ServedMetrics) -> None:
    """What Kubernetes asks."""
    assert served.get("/healthz") == "ok\n"
    assert served.get("/readyz") == "ready\n"


def test_hot_keys_are_on_the_page_without_their_names(served: ServedMetrics) -> None:
    """A key may name a person."""
    page = served.get("/metrics")
    labels = re.findall(r'^sherd_hot_key_commands\{key="(\w+)"\}', page, re.MULTILINE)
    assert 0 < len(labels) <= 20
    assert all(re.fullmatch(r"[0-9a-f]{12}", label) for label in labels)


def test_the_hot_key_of_a_script_is_its_key_and_neither_its_text_nor_a_number(spoiled: ServedMetrics) -> None:
    """Nor is the number of keys one that stands before them."""
    commands = [
        ("EVAL", "return redis.call('get', KEYS[1])", "1", "of-a-script"),
        ("ZUNION", "1", "of-a-union"),
        ("EVAL", "return ARGV[1]", "0", "no-key"),
    ]
    with spoiled.server.wire() as wire:
        for _ in range(8):
            wire.pipeline(commands * 512)
    labels = set(re.findall(r'^sherd_hot_key_commands\{key="(\w+)"\}', spoiled.get("/metrics"), re.MULTILINE))
    assert {key_label(key, plain=False) for key in (b"of-a-script", b"of-a-union")} <= labels
    others = {commands[0][1].encode(), commands[2][1].encode(), b"1", b"0", b"no-key"}
    assert not {key_label(key, plain=False) for key in others} & labels


def test_redis_exporter_gets_an_answer_to_all_that_it_asks(served: ServedMetrics) -> None:
    """The commands that it sends at every scrape."""
    with served.server.wire() as wire:
        for words in (
            ("INFO", "ALL"), ("CONFIG", "GET", "*"), ("LATENCY", "LATEST"), ("LATENCY", "HISTOGRAM"),
            ("SLOWLOG", "LEN"), ("SLOWLOG", "GET", "1"), ("CLIENT", "LIST"), ("CLIENT", "SETNAME", "redis_exporter"),
        ):  # fmt: skip
            assert not wire.call(*words).is_error, words
        assert wire.call("CLUSTER", "INFO").raw == b"-ERR This instance has cluster support disabled\r\n"


def test_reset_statistics_begin_at_zero_again(spoiled: ServedMetrics) -> None:
    """CONFIG RESETSTAT reaches INFO and the page alike."""
    with spoiled.server.wire() as wire:
        wire.pipeline([("SET", "text", "v"), ("GET", "text")])
        page = spoiled.get("/metrics")
        assert _value(page, "redis_keyspace_hits_total") > 0
        assert _value(page, 'redis_commands_total{cmd="set"}') > 0
        wire.call("CONFIG", "RESETSTAT")
    page = spoiled.get("/metrics")
    assert _value(page, "redis_keyspace_hits_total") == 0
    assert 'redis_commands_total{cmd="set"}' not in page


def test_the_page_moves_when_its_port_is_changed(spoiled: ServedMetrics) -> None:
    """CONFIG SET metrics-port 0 closes it, another number opens it there."""
    from tests.support.servers import free_port

    before = spoiled.metrics_port
    with spoiled.server.wire() as wire:
        assert wire.call("CONFIG", "SET", "metrics-port", "0").raw == b"+OK\r\n"
        with pytest.raises(OSError):
            spoiled.get("/healthz")
        spoiled.metrics_port = free_port()
        assert wire.call("CONFIG", "SET", "metrics-port", str(spoiled.metrics_port)).raw == b"+OK\r\n"
    assert spoiled.get("/healthz") == "ok\n"
    assert spoiled.metrics_port != before
