"""The suites about memory and about large collections, with a server that only counts what it is asked."""

from typing import cast

import pytest
from sherd_bench import cli, session
from sherd_bench.servers import KINDS, RunningServer
from sherd_bench.session import Session
from sherd_bench.suites import growth, memory
from sherd_bench.tables import Table


class FakeServer:
    """Tells the same longest slice each time, or none."""

    label = "fake"

    def __init__(self, longest_slice: str | None) -> None:
        self.longest_slice = longest_slice
        self.calls: list[tuple[str, ...]] = []

    def client(self) -> "FakeServer":
        return self

    def call(self, *arguments: str) -> None:
        self.calls.append(arguments)

    def info(self, _section: str) -> dict[str, str]:
        return {} if self.longest_slice is None else {growth.FIELD: self.longest_slice}

    def flush(self) -> None:
        self.calls.append(("flush",))

    def settle(self) -> None:
        """It is always idle."""


class FakeSession:
    """Logs nowhere."""

    def log(self, text: str) -> None:
        """Nobody reads it."""


def table(server: FakeServer) -> Table | None:
    return growth.table(cast("Session", FakeSession()), cast("RunningServer", server), 1000)


def test_a_server_that_tells_no_slices_is_not_asked_for_them() -> None:
    """Filling it with millions of elements would be for nothing."""
    server = FakeServer(None)
    assert table(server) is None
    assert not server.calls


def test_every_type_has_a_figure_for_every_way_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that a type does not have are marked, and each figure is taken after the last one was forgotten."""
    fills: list[str] = []
    monkeypatch.setattr(growth, "fill_gently", lambda _session, _server, command, *_: fills.append(command))
    server = FakeServer("1500")
    found = table(server)
    assert found is not None
    rows = {row[0]: dict(zip(growth.STEPS, row[1:], strict=True)) for row in found.rows}
    assert set(rows) == {kind.name for kind in growth.KINDS}
    assert set(rows["set"].values()) == {"1.50"}
    assert {step for step, cell in rows["string"].items() if cell == "-"} == {"first TTL inside", "taken apart"}
    figures = sum(cell != "-" for row in rows.values() for cell in row.values())
    # And the idle one.
    assert server.calls.count(("CONFIG", "RESETSTAT")) == figures + 1
    assert {kind.add for kind in growth.KINDS} < set(fills)


def test_the_halves_of_a_row_store_different_names() -> None:
    """Else the second half would overwrite the first, and a server would seem to need nothing."""
    for shape in [row for rows in memory.shapes(1000) for row in rows]:
        appends = shape.command.startswith(("RPUSH list", "XADD"))
        assert (memory.HALF in shape.command) != appends, shape.name


def test_the_memory_suite_fills_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is in the table of overheads and in that of totals."""
    if KINDS["redis"].find() is None:
        pytest.skip("no Redis is installed")
    monkeypatch.setattr(memory, "REST_SECONDS", 0.0)
    monkeypatch.setattr(session.Parameters, "scaled", lambda _self, _count, _quick: 500)
    assert cli.main(["--quick", "--servers", "redis", "--suite", "memory"]) == 0
    page = capsys.readouterr().out
    assert "?" not in page
    first_cells = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    for shape in [row for rows in memory.shapes(500) for row in rows]:
        assert first_cells.count(shape.name) == 2, shape.name
