"""SLOWLOG, LATENCY, MEMORY, MODULE, LOLWUT, TIME, ROLE, LASTSAVE, SHUTDOWN in the forms of Redis 8.0."""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from sherd.errors import CommandError
from sherd.families import commandlog, latency, lolwut, memory, module, persistence, replication, server, slowlog
from sherd.observability.snapshot import take_snapshot
from sherd.persistence import Saver
from sherd.spec import Services
from tests.python.fake_engine import Bench, command_row


def _error(bench: Bench, handler: object, *args: str) -> str:
    with pytest.raises(CommandError) as caught:
        bench.call(handler, *args)
    return str(caught.value)


def test_a_slow_log_entry_has_six_parts() -> None:
    bench = Bench()
    bench.engine.slow_entries = [(8, 1700000000, 12345, [b"GET", b"a"], "127.0.0.1:5", b"joe")]
    assert bench.call(slowlog.slowlog_get, "SLOWLOG", "GET") == (
        b"*1\r\n*6\r\n:8\r\n:1700000000\r\n:12345\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n$11\r\n127.0.0.1:5\r\n$3\r\njoe\r\n"
    )


def test_ten_slow_log_entries_are_given_unless_asked_otherwise() -> None:
    bench = Bench()
    bench.engine.slow_entries = [(number, 1, 1, [b"X"], "", b"") for number in range(20)]
    assert bench.call(slowlog.slowlog_get, "SLOWLOG", "GET").startswith(b"*10\r\n")
    assert bench.call(slowlog.slowlog_get, "SLOWLOG", "GET", "-1").startswith(b"*20\r\n")
    assert bench.call(slowlog.slowlog_get, "SLOWLOG", "GET", "0") == b"*0\r\n"
    assert bench.call(slowlog.slowlog_len, "SLOWLOG", "LEN") == b":20\r\n"
    assert bench.call(slowlog.slowlog_reset, "SLOWLOG", "RESET") == b"+OK\r\n"
    assert bench.call(slowlog.slowlog_len, "SLOWLOG", "LEN") == b":0\r\n"


def test_each_log_of_commands_is_asked_for_by_its_name() -> None:
    bench = Bench()
    bench.engine.slow_entries = [(8, 1700000000, 2000000, [b"GET", b"a"], "127.0.0.1:5", b"joe")]
    assert bench.call(commandlog.commandlog_get, "COMMANDLOG", "GET", "-1", "large-request").startswith(
        b"*1\r\n*6\r\n:8"
    )
    assert bench.call(commandlog.commandlog_len, "COMMANDLOG", "LEN", "LARGE-REPLY") == b":1\r\n"
    assert bench.call(commandlog.commandlog_reset, "COMMANDLOG", "RESET", "slow") == b"+OK\r\n"
    assert bench.engine.logs_asked == ["large-request", "large-reply", "slow"]
    assert _error(bench, commandlog.commandlog_len, "COMMANDLOG", "LEN", "x") == (
        "ERR type should be one of the following: slow, large-request, large-reply"
    )


@pytest.mark.parametrize("count", ["-2", "abc", "", "1.5", "9" * 40, "-"])
def test_a_bad_slow_log_count_is_refused(count: str) -> None:
    assert _error(Bench(), slowlog.slowlog_get, "SLOWLOG", "GET", count) == (
        "ERR count should be greater than or equal to -1"
    )


def test_too_many_slow_log_arguments_are_refused() -> None:
    assert _error(Bench(), slowlog.slowlog_get, "SLOWLOG", "GET", "1", "2") == (
        "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."
    )


def test_latency_latest_has_event_time_duration_and_worst() -> None:
    bench = Bench()
    bench.engine.events = [("command", 20, [(100, 20), (110, 7)]), ("expire-cycle", 3, [])]
    assert (
        bench.call(latency.latency_latest, "LATENCY", "LATEST") == b"*1\r\n*4\r\n$7\r\ncommand\r\n:110\r\n:7\r\n:20\r\n"
    )
    assert bench.call(latency.latency_history, "LATENCY", "HISTORY", "command") == (
        b"*2\r\n*2\r\n:100\r\n:20\r\n*2\r\n:110\r\n:7\r\n"
    )
    assert bench.call(latency.latency_history, "LATENCY", "HISTORY", "nothing") == b"*0\r\n"


def test_latency_reset_tells_how_many_events_were_forgotten() -> None:
    bench = Bench()
    bench.engine.events = [("command", 1, [(1, 1)]), ("fork", 1, [(1, 1)])]
    assert bench.call(latency.latency_reset, "LATENCY", "RESET", "fork", "nothing") == b":1\r\n"
    assert bench.call(latency.latency_reset, "LATENCY", "RESET") == b":1\r\n"


def test_latency_graph_has_a_heading_a_rule_and_a_column_a_spike() -> None:
    text = latency.draw(latency.Event("command", 9, [(940, 1), (998, 7), (1000, 4)]), 1000)
    assert text == (
        f"command - high 7 ms, low 1 ms (all time high 9 ms)\n{'-' * 80}\n # \n |_\n ||\n_||\n   \n120\nmss\n"
    )


def test_latency_graph_of_an_unknown_event_is_an_error() -> None:
    assert _error(Bench(), latency.latency_graph, "LATENCY", "GRAPH", "foo") == (
        "ERR No samples available for event 'foo'"
    )


def test_the_latency_doctor_knows_whether_the_monitor_is_on() -> None:
    off, on = Bench(), Bench(latency_monitor_threshold=5)
    assert b"latency-monitor-threshold" in off.call(latency.latency_doctor, "LATENCY", "DOCTOR")
    assert b"No latency spike" in on.call(latency.latency_doctor, "LATENCY", "DOCTOR")
    on.engine.events = [("command", 30, [(100, 10), (130, 30)])]
    report = on.call(latency.latency_doctor, "LATENCY", "DOCTOR", resp=3)
    assert report.startswith(b"=")
    assert b"command: 2 spikes over 30 seconds, average 20 ms, mean deviation 10 ms, worst ever 30 ms" in report


def test_latency_histogram_is_a_map_of_maps_in_resp3() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("get", ns3000=2, ns40000=1), ("set", 0, 0, 1, 0, [0] * 144)]
    assert bench.call(latency.latency_histogram, "LATENCY", "HISTOGRAM", resp=3) == (
        b"%1\r\n$3\r\nget\r\n%2\r\n$5\r\ncalls\r\n:3\r\n$14\r\nhistogram_usec\r\n%2\r\n:4\r\n:2\r\n:66\r\n:3\r\n"
    )
    assert bench.call(latency.latency_histogram, "LATENCY", "HISTOGRAM") == (
        b"*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:3\r\n$14\r\nhistogram_usec\r\n*4\r\n:4\r\n:2\r\n:66\r\n:3\r\n"
    )


def test_latency_histogram_of_a_container_gives_its_subcommands() -> None:
    bench = Bench()
    bench.engine.numbers["commands"] = [command_row("config|get", ns3000=1), command_row("configure", ns3000=1)]
    reply = bench.call(latency.latency_histogram, "LATENCY", "HISTOGRAM", "CONFIG", "nope", "config|GET", resp=3)
    assert reply.startswith(b"%1\r\n$10\r\nconfig|get\r\n")


def test_memory_stats_has_doubles_for_ratios() -> None:
    bench = Bench()
    reply = bench.call(memory.memory_stats, "MEMORY", "STATS", resp=3)
    assert re.search(rb"\$15\r\npeak.percentage\r\n,50\r\n", reply)
    assert b"$10\r\nkeys.count\r\n:9\r\n" in reply
    assert bench.call(memory.memory_stats, "MEMORY", "STATS").startswith(b"*")


def test_the_memory_doctor_names_a_peak_far_above_the_use() -> None:
    bench = Bench()
    snapshot = take_snapshot(bench.node)
    assert "The peak of 20971520 bytes" in memory.diagnose(snapshot)
    bench.engine.numbers["memory"]["used"] = 1000
    assert "Too little memory" in memory.diagnose(take_snapshot(bench.node))


def test_the_memory_doctor_names_pages_that_are_nearly_empty_and_their_cure() -> None:
    bench = Bench()
    assert "activedefrag" not in memory.diagnose(take_snapshot(bench.node))
    bench.engine.numbers["memory"]["active"] = 90 * 1024 * 1024
    assert f"{80 * 1024 * 1024} bytes are lost" in memory.diagnose(take_snapshot(bench.node))


def test_memory_purge_and_malloc_stats_answer_without_an_allocator_that_helps() -> None:
    bench = Bench()
    assert bench.call(memory.memory_purge, "MEMORY", "PURGE") == b"+OK\r\n"
    assert bench.engine.purges == 1
    assert bench.call(memory.memory_malloc_stats, "MEMORY", "MALLOC-STATS") == (
        b"$45\r\nStats not supported for the current allocator\r\n"
    )


def test_there_are_no_modules() -> None:
    assert Bench().call(module.module_list, "MODULE", "LIST") == b"*0\r\n"


@pytest.mark.parametrize(
    "handler",
    [slowlog.slowlog_help, commandlog.commandlog_help, latency.latency_help, memory.memory_help, module.module_help],
)
def test_help_begins_with_the_form_and_ends_with_help(handler: object) -> None:
    reply = Bench().call(handler, "X", "HELP")
    assert b" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n" in reply.split(b"+")[1]
    assert reply.endswith(b"+HELP\r\n+    Print this help.\r\n")


def test_time_is_seconds_and_microseconds_as_text() -> None:
    assert re.fullmatch(rb"\*2\r\n\$10\r\n\d{10}\r\n\$\d\r\n\d{1,6}\r\n", Bench().call(server.server_time, "TIME"))


def test_role_and_lastsave_are_those_of_a_primary_that_never_saved() -> None:
    bench = Bench()
    assert bench.call(replication.role, "ROLE") == b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
    assert bench.call(persistence.lastsave, "LASTSAVE") == b":%d\r\n" % int(bench.node.saves.last_time)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("FOO", "ERR syntax error"),
        ("NOSAVE SAVE", "ERR syntax error"),
        ("ABORT NOW", "ERR syntax error"),
        ("ABORT", "ERR No shutdown in progress."),
        ("SAVE", "ERR Errors trying to SHUTDOWN. Check logs."),
    ],
)
def test_a_shutdown_that_cannot_be_is_refused_and_stops_nothing(words: str, message: str) -> None:
    stops: list[int] = []
    bench = Bench()
    services = Services(server.Lifecycle(lambda: stops.append(1)), Saver(bench.node))
    request = bench.request("SHUTDOWN", *words.split())
    request.services = services
    with pytest.raises(CommandError, match=re.escape(message)):
        asyncio.run(server.shutdown(request))
    assert not stops


def test_a_shutdown_stops_the_server_and_does_not_answer() -> None:
    async def shut_down() -> bool:
        stopped = asyncio.Event()
        bench = Bench()
        request = bench.request("SHUTDOWN", "NOSAVE", "now", "FORCE")
        request.services = Services(server.Lifecycle(stopped.set), Saver(bench.node))
        task = asyncio.create_task(server.shutdown(request))
        await stopped.wait()
        answered, _ = await asyncio.wait([task], timeout=0.01)
        task.cancel()
        return bool(answered)

    assert asyncio.run(shut_down()) is False


def test_lolwut_draws_another_pot_each_time_and_tells_the_version() -> None:
    bench = Bench()
    assert bench.call(lolwut.lolwut, "LOLWUT").endswith(b"Sherd ver. 1.2.3\n\r\n")
    pots = {lolwut.draw_pot(40, 20, 12, random.Random(seed)) for seed in range(5)}
    assert len(pots) == 5


@pytest.mark.parametrize("words", ["VERSION x", "VERSION 5 x", "1.5", "9" * 30])
def test_lolwut_refuses_sizes_that_are_no_numbers(words: str) -> None:
    assert _error(Bench(), lolwut.lolwut, "LOLWUT", *words.split()) == "ERR value is not an integer or out of range"


def test_lolwut_bounds_the_size_of_its_picture() -> None:
    reply = Bench().call(lolwut.lolwut, "LOLWUT", "VERSION", "5", "999999", "999999", "999999")
    assert len(reply) < 200 * 100 * 3 + 500
