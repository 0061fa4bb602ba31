"""How samples become figures, and figures become pages."""

import xml.etree.ElementTree as ET

import pytest
from sherd_bench import cli
from sherd_bench.document import Circumstances, Findings, page
from sherd_bench.load import LoadPlan, LoadResult
from sherd_bench.plot import Panel, bars
from sherd_bench.procfs import machine_facts
from sherd_bench.session import Measurement, Parameters, Sample
from sherd_bench.suites.journal.score import Bound, Score
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import BY_NAME

REPORT = (
    '{"requests": 10, "errors": 1, "nulls": 2, "error_texts": ["ERR no"], "elapsed_seconds": 0.5, '
    '"requests_per_second": 20.0, "generator_cpu_us_per_request": 0.1, '
    '"latency_us": {"mean": 1, "min": 1, "p50": 2, "p90": 3, "p99": 4, "p99_9": 5, "max": 6}}'
)


def sample(cpu: float, rate: float, highest: float, errors: int = 0) -> Sample:
    """A sample of which only the figures given matter."""
    load = LoadResult(
        requests=100,
        errors=errors,
        nulls=0,
        error_texts=("ERR x",) if errors else (),
        elapsed_seconds=1.0,
        requests_per_second=rate,
        generator_cpu_us_per_request=0.1,
        p50_us=1.0,
        p99_us=2.0,
        p99_9_us=3.0,
        max_us=highest,
    )
    return Sample(load, cpu, 0.0)


def test_a_measurement_takes_medians_but_the_highest_latency_and_all_errors() -> None:
    """One disturbed round shifts no median, yet no pause and no error is lost."""
    measured = Measurement.of([sample(1.0, 10, 7), sample(9.0, 1, 50, errors=2), sample(2.0, 20, 8)])
    assert (measured.server_cpu_us_per_request, measured.requests_per_second) == (2.0, 10)
    assert (measured.max_us, measured.errors, measured.error_text) == (50, 2, "ERR x")


def test_the_generators_report_is_read() -> None:
    """Every field that the suites use comes from the generator's JSON."""
    result = LoadResult.from_json(REPORT)
    assert (result.requests, result.errors, result.nulls, result.error_texts) == (10, 1, 2, ("ERR no",))
    assert (result.p50_us, result.p99_us, result.p99_9_us, result.max_us) == (2, 4, 5, 6)


def test_a_plan_names_only_what_is_set() -> None:
    """An absent rate must not reach the generator, where it would mean open loop."""
    words = LoadPlan(commands=("get", "set"), requests=5).arguments(7001)
    assert "--rate" not in words
    assert "--duration" not in words
    assert words[words.index("--requests") + 1] == "5"
    assert words.count("--command") == 2


def test_ratios_are_against_valkey_and_absent_without_it() -> None:
    """A ratio against nothing would be a claim without a base."""
    assert ratio_columns(["sherd", "valkey", "redis"]) == ["sherd/valkey", "redis/valkey"]
    assert ratios({"sherd": 1.0, "valkey": 4.0, "redis": 6.0}) == ["0.25", "1.50"]
    assert ratio_columns(["sherd", "redis"]) == []
    assert ratio_columns(["valkey", "a", "b", "c", "d"]) == []
    assert ratios({"sherd": 1.0, "redis": 2.0}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")],
)
def test_numbers_keep_about_three_digits(value: float, text: str) -> None:
    """Figures of all sizes stay readable beside each other."""
    assert number(value) == text


def test_a_table_is_aligned_markdown() -> None:
    """Every line has the same width, so the terminal shows columns too."""
    table = Table("Title", ["name", "a"], [["x", "1"], ["longer", "22.5"]])
    lines = table.markdown().splitlines()[2:]
    assert lines[1] == "| ------ | ---: |"
    assert len({len(line) for line in lines}) == 1


def test_a_picture_is_well_formed_and_leaves_out_missing_bars() -> None:
    """A server that refused a command has no bar, and names are escaped."""
    panel = Panel("pipeline 1", ["A&B", "C"], {"sherd": [1.0, None], "valkey": [2.0, 4.0]})
    root = ET.fromstring(bars("Title", "us", [panel]))
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["A&B: 1.000", "A&B: 2.000", "C: 4.000"]


@pytest.mark.parametrize(
    ("values", "bound", "cells"),
    [
        ({"sherd": 1.0, "valkey": 4.0}, Bound(0.5), ["1.00", "4.00", "0.250", "<= 0.500 x valkey", "yes"]),
        ({"sherd": 3.0, "valkey": 4.0}, Bound(0.5), ["3.00", "4.00", "0.750", "<= 0.500 x valkey", "no"]),
        ({"sherd": 5.0, "valkey": 4.0}, Bound(1.3, is_most=False), ["5.00", "4.00", "1.25", ">= 1.30 x valkey", "no"]),
        ({"sherd": 1.5}, Bound(2.0, of_reference=False, unit=" ms"), ["1.50", "-", "1.50 ms", "<= 2.00 ms", "yes"]),
        ({"sherd": 1.5}, Bound(2.0), ["1.50", "-", "-", "<= 2.00 x valkey", "-"]),
        ({"valkey": 1.5}, Bound(2.0, of_reference=False), ["-", "1.50", "-", "<= 2.00", "-"]),
    ],
)
def test_an_aim_is_judged_by_the_figures_of_one_run(values: dict[str, float], bound: Bound, cells: list[str]) -> None:
    """A figure or its ratio against the bound; without what it is compared with there is no judgement."""
    score = Score(["sherd", "valkey"])
    score.add("figure", values, bound)
    assert score.table().rows == [["figure", *cells]]


def test_a_page_warns_of_error_replies_before_any_table() -> None:
    """A reader must not quote a figure that a server answered with errors."""
    circumstances = Circumstances(
        command="python bench/run.py",
        machine=machine_facts(),
        versions={"sherd": "0.1.0"},
        settings="50 connections",
        foreign_share=None,
        failures=["sherd: spop: ERR unknown command"],
    )
    text = page("core", Findings("Core", "How.", [Table("T", ["a"], [["b"]])]), circumstances)
    assert text.index("ERR unknown command") < text.index("### T")
    assert "other work" not in text


@pytest.mark.parametrize(("share", "warns"), [(0.02, False), (0.5, True)])
def test_a_page_from_a_busy_machine_says_so(share: float, *, warns: bool) -> None:
    """Figures that other work disturbed are marked where they are read."""
    circumstances = Circumstances("x", machine_facts(), {}, "y", share, failures=[])
    assert ("busy with other work" in circumstances.markdown()) is warns


def test_a_quick_run_sends_fewer_requests_and_costly_commands_fewer_still() -> None:
    """Rows of one table take about the same time."""
    full, quick = Parameters(), Parameters(quick=True)
    assert quick.requests(BY_NAME["get"], 16) < full.requests(BY_NAME["get"], 16)
    assert full.requests(BY_NAME["lrange_100"], 16) < full.requests(BY_NAME["get"], 16)


@pytest.mark.parametrize("words", [["--clients", "0"], ["--workloads", "sett"], ["--server-args", "x=y"]])
def test_wrong_arguments_are_refused_before_anything_starts(words: list[str]) -> None:
    """A misspelt name must not turn into an hour of the wrong benchmark."""
    with pytest.raises(SystemExit):
        cli.main(words)
