"""INFO: the form of Redis' text, and values that come from the snapshot."""

from __future__ import annotations

import re
import time

import pytest

from sherd import native
from sherd.families.info import info
from sherd.observability.info import DEFAULT_SECTIONS, SECTIONS, needs_commands, render_info, wanted_sections
from sherd.observability.info_table import FIELDS, human_bytes
from sherd.observability.snapshot import take_snapshot
from tests.python.fake_engine import Bench, command_row


def _text(bench: Bench, *sections: str) -> str:
    return render_info(take_snapshot(bench.node), wanted_sections(sections))


def _fields(bench: Bench, *sections: str) -> dict[str, str]:
    lines = [line for line in _text(bench, *sections).split("\r\n") if line and not line.startswith("#")]
    return dict(line.split(":", 1) for line in lines)


def test_sections_are_separated_by_an_empty_line_and_end_with_a_line_break() -> None:
    text = _text(Bench(), "cluster", "cpu")
    assert re.fullmatch(r"# CPU\r\n(used_\w+:[\d.]+\r\n){6}\r\n# Cluster\r\ncluster_enabled:0\r\n", text)


def test_sections_come_once_and_in_the_servers_order_whatever_the_client_wrote() -> None:
    assert wanted_sections(["KEYSPACE", "server", "Server"]) == ("server", "keyspace")


def test_no_argument_means_the_default_sections() -> None:
    assert wanted_sections([]) == DEFAULT_SECTIONS == wanted_sections(["default"])
    assert "commandstats" not in DEFAULT_SECTIONS


def test_all_leaves_modules_out_and_everything_has_them() -> None:
    assert set(wanted_sections(["all"])) == set(SECTIONS) - {"modules"}
    assert wanted_sections(["everything"]) == tuple(SECTIONS)


def test_an_unknown_section_is_an_empty_text() -> None:
    bench = Bench()
    assert bench.call(info, "INFO", "nonsense") == b"$0\r\n\r\n"
    assert bench.call(info, "INFO", "nonsense", resp=3) == b"=4\r\ntxt:\r\n"


def test_every_field_of_the_table_is_printed_in_everything() -> None:
    bench = Bench()
    assert {field.name for field in FIELDS} <= set(_fields(bench, "everything"))


def test_no_field_is_in_the_table_twice() -> None:
    names = [(field.section, field.name) for field in FIELDS]
    assert len(names) == len(set(names))
    assert {section for section, _ in names} <= set(SECTIONS)


def test_clients_are_told_the_identity_that_they_depend_on() -> None:
    fields = _fields(Bench(), "server")
    # Below 8, from which on clients expect modules that are not here; Sidekiq wants 7.0 at least.
    assert fields["redis_version"] == native.redis_version == "7.2.4"
    assert fields["server_name"] == "sherd"
    assert fields["sherd_version"] == "1.2.3"
    assert fields["redis_mode"] == fields["server_mode"] == "standalone"
    assert fields["listener0"] == "name=tcp,bind=127.0.0.1,bind=-::1,port=7000"


def test_uptime_is_whole_seconds_and_days() -> None:
    fields = _fields(Bench(), "server")
    assert (fields["uptime_in_seconds"], fields["uptime_in_days"]) == ("90061", "1")


def test_memory_shares_are_computed_from_the_same_snapshot() -> None:
    fields = _fields(Bench(), "memory")
    assert fields["used_memory_human"] == "10.00M"
    assert fields["used_memory_peak_perc"] == "50.00%"
    assert fields["used_memory_dataset"] == "800"
    assert int(fields["used_memory_overhead"]) == 10 * 1024 * 1024 - 800


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (25276510208, "23.54G"), (1024**5 * 3, "3.00P"), (2**63, "8192.00P")],
)
def test_bytes_for_people_have_two_decimals_and_a_unit(value: int, text: str) -> None:
    assert human_bytes(value) == text


def test_a_command_has_calls_microseconds_and_the_mean() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("config|get", ns2000=3, ns8000=1)]
    assert _fields(bench, "commandstats") == {
        "cmdstat_config|get": "calls=4,usec=14,usec_per_call=3.50,rejected_calls=0,failed_calls=0"
    }


def test_a_command_that_was_only_refused_has_no_percentiles() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [("get", 0, 0, 5, 0, [0] * 144)]
    assert _text(bench, "latencystats") == "# Latencystats\r\n"
    assert _text(bench, "commandstats").count("rejected_calls=5") == 1


def test_percentiles_are_upper_edges_in_microseconds() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("get", ns1100=99, ns1000000=1)]
    value = _fields(bench, "latencystats")["latency_percentiles_usec_get"]
    assert value == "p50=1.280,p99=1.280,p99.9=1048.576"


def test_percentiles_are_left_out_where_tracking_is_off() -> None:
    bench = Bench(latency_tracking=False)
    bench.engine.numbers["commands"] = [command_row("get", ns1100=1)]
    assert _text(bench, "latencystats") == "# Latencystats\r\n"


def test_databases_without_keys_are_not_listed() -> None:
    bench = Bench()
    bench.engine.numbers["dbs"] = [(0, 8, 2, 1500, 3), (3, 0, 0, 0, 0)]
    assert _fields(bench, "keyspace") == {"db0": "keys=8,expires=2,avg_ttl=1500,subexpiry=3"}


def test_error_codes_are_listed_by_name() -> None:
    assert _text(Bench(), "errorstats") == "# Errorstats\r\nerrorstat_ERR:count=3\r\nerrorstat_WRONGTYPE:count=2\r\n"


def test_a_pause_shows_what_is_left_of_it() -> None:
    bench = Bench()
    bench.engine.numbers["clients"] |= {"paused_ms": 1234, "paused_reason": "write"}
    fields = _fields(bench, "clients")
    assert (fields["paused_reason"], fields["paused_actions"]) == ("client_pause", "write")
    assert fields["paused_timeout_milliseconds"] == "1234"


def test_a_pause_of_the_servers_own_has_its_reason() -> None:
    bench = Bench()
    bench.node.replication.failover_state = "waiting-for-sync"
    fields = _fields(bench, "clients")
    assert (fields["paused_reason"], fields["paused_actions"]) == ("failover_in_progress", "write")
    bench.engine.numbers["clients"] |= {"paused_ms": 1234, "paused_reason": "all"}
    bench.node.replication.is_ending = True
    fields = _fields(bench, "clients")
    assert (fields["paused_reason"], fields["paused_actions"]) == ("shutdown_in_progress", "all")


def test_a_server_that_waits_for_its_replicas_before_it_ends_says_for_how_long() -> None:
    bench = Bench()
    assert _fields(bench, "server")["shutdown_in_milliseconds"] == "0"
    bench.node.replication.ends_by = time.monotonic() + 60
    assert 0 < int(_fields(bench, "server")["shutdown_in_milliseconds"]) <= 60_000
    bench.node.replication.ends_by = time.monotonic() - 1
    assert _fields(bench, "server")["shutdown_in_milliseconds"] == "1", "it is not over before it is over"


def test_each_shard_and_io_thread_has_a_line() -> None:
    fields = _fields(Bench(), "sherd", "threads")
    assert fields["shard_1"].startswith("keys=4,memory_bytes=400,commands=50,busy_usec=500000,queue_depth=1")
    assert fields["longest_slice_usec"] == "2000"
    assert fields["io_thread_0"] == "clients=1,reads=5,writes=10"


def test_info_asks_the_engine_once() -> None:
    bench = Bench()
    bench.call(info, "INFO", "everything")
    assert bench.engine.snapshots_taken == 1


def test_info_has_single_commands_counted_up_only_for_the_sections_that_show_them() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("get", ns1100=1)]
    assert b"cmdstat_get" in bench.call(info, "INFO", "commandstats")
    assert needs_commands(wanted_sections(["latencystats"]))
    assert not needs_commands(wanted_sections([]))


def test_a_percent_sign_in_a_value_is_text() -> None:
    bench = Bench(availability_zone="100%s%%")
    assert _fields(bench, "server")["availability_zone"] == "100%s%%"
