"""The suite about starts, with servers that are there at once."""

import time
from typing import cast

import pytest
from sherd_bench import procfs
from sherd_bench.load import Generator
from sherd_bench.servers import KINDS, ServerPlan
from sherd_bench.session import Parameters, Session
from sherd_bench.suites import start


def test_starts_are_measured_in_turns_and_an_idle_server_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What INFO loads would be in the memory of the server that is measured."""
    begun: list[tuple[str, bool]] = []

    class Started:
        pid, version, ready_seconds = 7, "1.0", 0.25

        def cpu_seconds(self) -> float:
            return 0.125

        def stop(self) -> None:
            """It was never there."""

    def begin(plan: ServerPlan, _cores: object, *, ask_version: bool = True) -> Started:
        begun.append((plan.label, ask_version))
        return Started()

    monkeypatch.setattr(start, "start", begin)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(procfs, "wakes", lambda _pid: 5)
    monkeypatch.setattr(procfs, "resident_bytes", lambda _pid: 27 * 2**20)
    plans = (ServerPlan("a", KINDS["sherd"]), ServerPlan("b", KINDS["valkey"]))
    measured = Session(Parameters(quick=True), plans, cast("Generator", None), log=lambda _text: None)
    rows = start.run(measured).tables[0].rows
    assert [row[:4] for row in rows] == [["a", "250", "125", "27.0"], ["b", "250", "125", "27.0"]]
    assert [label for label, asks in begun if asks] == ["a", "b"], "each is asked for its version once, by itself"
    assert [label for label, asks in begun if not asks][2:8] == ["a", "b", "b", "a", "a", "b"]
    assert measured.versions == {"a": "1.0", "b": "1.0"}
