"""HOTKEYS and SHERD BIGKEYS as far as the control plane makes them."""

from __future__ import annotations

import time

import pytest

from sherd.errors import CommandError
from sherd.families import hotkeys
from sherd.families.sherd import sherd_bigkeys
from sherd.resp import Reply
from tests.python.fake_engine import Bench


def start(bench: Bench, words: str) -> Reply:
    """The reply to HOTKEYS START."""
    reply: Reply = hotkeys.hotkeys_start(bench.request("HOTKEYS", "START", *words.split()))
    return reply


def get(bench: Bench) -> dict[str, Reply]:
    """The reply to HOTKEYS GET."""
    reply = hotkeys.hotkeys_get(bench.request("HOTKEYS", "GET"))
    assert isinstance(reply, list)
    (found,) = reply
    assert isinstance(found, dict)
    return found


def stop(bench: Bench) -> Reply:
    """The reply to HOTKEYS STOP."""
    return hotkeys.hotkeys_stop(bench.request("HOTKEYS", "STOP"))


def reset(bench: Bench) -> Reply:
    """The reply to HOTKEYS RESET."""
    return hotkeys.hotkeys_reset(bench.request("HOTKEYS", "RESET"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "METRICS parameter is required"),
        ("COUNT 5", "METRICS parameter is required"),
        ("METRICS 0", "METRICS count"),
        ("METRICS -1", "METRICS count"),
        ("METRICS 3 CPU NET", "METRICS count"),
        ("METRICS 2 CPU", "METRICS count does not match number of metric types provided"),
        ("METRICS 1 CPU NET", "syntax error"),
        ("METRICS 1 GPU", "METRICS no valid metrics"),
        ("METRICS 2 CPU CPU", "METRICS CPU"),
        ("METRICS 2 NET NET", "METRICS NET"),
        ("METRICS 1 CPU COUNT 0", "COUNT must be between 1 and 64"),
        ("METRICS 1 CPU COUNT 100", "COUNT must be between 1 and 64"),
        ("METRICS 1 CPU SAMPLE 0", "SAMPLE ratio must be positive"),
        ("METRICS 1 CPU SAMPLE", "syntax error"),
        ("METRICS 1 CPU SLOTS 2 0 5", "SLOTS parameter cannot be used in non-cluster mode"),
    ],
)
def test_what_start_does_not_understand_it_refuses(words: str, expected: str) -> None:
    bench = Bench()
    with pytest.raises(CommandError, match=expected):
        start(bench, words)
    assert bench.engine.heat_calls == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("METRICS 1 CPU SLOTS 2 0", "not enough slot numbers provided"),
        ("METRICS 1 CPU SLOTS 2 0 0", "duplicate slot number"),
        ("METRICS 1 CPU SLOTS 1 0 SLOTS 1 5", "SLOTS parameter already specified"),
        ("METRICS 1 CPU SLOTS 1 16384", "out of range slot"),
    ],
)
def test_slots_are_checked(words: str, expected: str) -> None:
    with pytest.raises(CommandError, match=expected):
        start(Bench(cluster_enabled=True), words)


def test_a_metric_that_is_not_known_counts_but_is_not_shown() -> None:
    bench = Bench()
    assert start(bench, "METRICS 2 GPU CPU") == "OK"
    assert "by-cpu-time-us" in get(bench)
    assert "by-net-bytes" not in get(bench)


def test_a_session_is_stopped_before_another_begins() -> None:
    bench = Bench()
    assert stop(bench) is None
    assert hotkeys.hotkeys_get(bench.request("HOTKEYS", "GET")) is None
    start(bench, "METRICS 1 NET SAMPLE 5")
    with pytest.raises(CommandError, match="already in progress"):
        start(bench, "METRICS 1 NET")
    with pytest.raises(CommandError, match="stop tracking first"):
        reset(bench)
    assert get(bench)["tracking-active"] == 1
    assert stop(bench) == "OK"
    assert stop(bench) is None
    assert (get(bench)["tracking-active"], get(bench)["sample-ratio"]) == (0, 5)
    assert reset(bench) == "OK"
    assert hotkeys.hotkeys_get(bench.request("HOTKEYS", "GET")) is None
    assert bench.engine.heat_calls == [("start", 5, []), ("stop",), ("reset",)]


def test_the_costliest_keys_come_first_and_totals_are_those_of_the_session() -> None:
    bench = Bench()
    start(bench, "METRICS 2 CPU NET COUNT 2")
    bench.engine.numbers["net"]["input_bytes"] += 70
    bench.engine.costs["by_nanoseconds"] = [(b"a", 1500), (b"b", 9000), (b"c", 4000)]
    bench.engine.costs["by_net_bytes"] = [(b"a", 3)]
    reply = get(bench)
    assert reply["by-cpu-time-us"] == [b"b", 9, b"c", 4]
    assert reply["by-net-bytes"] == [b"a", 3]
    assert reply["total-net-bytes"] == reply["net-bytes-all-commands-all-slots"] == 70
    assert not [name for name in reply if name.endswith("selected-slots-us")]
    stop(bench)
    bench.engine.numbers["net"]["input_bytes"] += 1000
    assert get(bench)["total-net-bytes"] == 70


def test_a_session_is_as_long_as_it_lasts_whatever_the_wall_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    start(bench, "METRICS 1 CPU")
    began_ns, hour_ns = time.monotonic_ns(), 3600 * 1_000_000_000
    unix_ms = get(bench)["collection-start-time-unix-ms"]
    monkeypatch.setattr(time, "time_ns", lambda: unix_ms * 1_000_000 - hour_ns)
    monkeypatch.setattr(time, "monotonic_ns", lambda: began_ns + 5_000_000_000)
    assert 5000 <= get(bench)["collection-duration-ms"] < 3_600_000
    stop(bench)
    monkeypatch.setattr(time, "monotonic_ns", lambda: began_ns + 9_000_000_000)
    reply = get(bench)
    assert (reply["collection-start-time-unix-ms"], reply["collection-duration-ms"] // 1000) == (unix_ms, 5)


def test_sums_of_selected_slots_are_shown_where_slots_were_selected() -> None:
    bench = Bench(cluster_enabled=True)
    bench.engine.costs.update(nanoseconds=7000, net_bytes=8, sampled_nanoseconds=3000, sampled_net_bytes=4)
    start(bench, "METRICS 1 CPU SLOTS 4 5 0 6 4")
    reply = get(bench)
    assert reply["selected-slots"] == [[0], [4, 6]]
    assert (reply["all-commands-selected-slots-us"], reply["net-bytes-all-commands-selected-slots"]) == (7, 8)
    assert "sampled-commands-selected-slots-us" not in reply
    stop(bench)
    start(bench, "METRICS 1 CPU SAMPLE 10 SLOTS 1 0")
    assert get(bench)["sampled-commands-selected-slots-us"] == 3
    assert get(bench)["net-bytes-sampled-commands-selected-slots"] == 4


def bigkeys(bench: Bench, words: str = "") -> list[Reply]:
    """The keys that SHERD BIGKEYS gives."""
    reply = sherd_bigkeys(bench.request("SHERD", "BIGKEYS", *words.split()))
    assert isinstance(reply, list)
    return [row["key"] for row in reply if isinstance(row, dict)]


def test_big_keys_are_sorted_and_chosen() -> None:
    bench = Bench()
    bench.engine.big = [
        (b"text", 0, 0, 5, "string", 9000, 0), (b"list", 1, 0, 16000, "list", 500, 70),
        (b"set", 1, 2, 12000, "set", 7000, 20),
    ]  # fmt: skip
    assert bigkeys(bench) == bigkeys(bench, "BY MEMORY") == [b"text", b"set", b"list"]
    assert bigkeys(bench, "by elements") == [b"list", b"set"]
    assert bigkeys(bench, "COUNT 1") == [b"text"]
    assert bigkeys(bench, "SHARD 1 COUNT 5") == [b"set", b"list"]
    assert bigkeys(bench, "SLOT 16000") == [b"list"]
    for words in ("COUNT", "BY SIZE", "COUNT -1", "COUNT x", "FOO 1"):
        with pytest.raises(CommandError):
            bigkeys(bench, words)
