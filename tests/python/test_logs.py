"""Logs: levels of Redis, three forms, native records with their own times, no colour in a file."""

from __future__ import annotations

import errno
import io
import json
import logging
import syslog
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sherd.config import Config, load_config
from sherd.errors import ConfigError
from sherd.log import get_logger, send_to, to_python_logging
from sherd.observability.logs import LogOutput, emit_native, format_time, setup_logs, setup_logs_from


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    send_to(to_python_logging)
    root.handlers = handlers
    root.setLevel(level)


def logged(tmp_path: Path, level: str = "notice", form: str = "json") -> Path:
    file = tmp_path / "log"
    setup_logs(level=level, form=form, file=str(file))
    return file


def test_a_json_line_has_time_level_event_and_fields(tmp_path: Path) -> None:
    file = logged(tmp_path)
    structlog.get_logger().notice("server ready", port=6379, key=b"\xff")
    line = json.loads(file.read_text())
    assert line.pop("timestamp")
    assert line == {"level": "notice", "event": "server ready", "port": 6379, "key": "\\xff"}


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["a", "b", "c", "d", "native"]),
        ("verbose", ["b", "c", "d", "native"]),
        ("notice", ["c", "d"]),
        ("warning", ["d"]),
        ("nothing", []),
    ],
)
def test_lines_below_the_level_are_left_out(tmp_path: Path, level: str, events: list[str]) -> None:
    file = logged(tmp_path, level)
    log = structlog.get_logger()
    log.debug("a")
    log.verbose("b")
    log.info("c")
    log.error("d")
    emit_native([(1, 0.0, "io-0", "native", {})])
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == events


def test_native_records_keep_their_time_and_thread(tmp_path: Path) -> None:
    file = logged(tmp_path)
    emit_native([(2, 1.5, "io-1", "client rejected", {"reason": "maxclients"}), (9, 2.0, "shard-0", "panic", {})])
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first == {
        "timestamp": format_time(1.5, "iso8601"),
        "level": "notice",
        "event": "client rejected",
        "thread": "io-1",
        "reason": "maxclients",
    }
    assert (second["level"], second["event"]) == ("warning", "panic")


def test_a_console_line_in_a_file_has_no_colour(tmp_path: Path) -> None:
    file = logged(tmp_path, form="console")
    structlog.get_logger().warning("disk is slow", seconds=3)
    text = file.read_text()
    assert "\x1b" not in text
    assert text.endswith("[warning] disk is slow seconds=3\n")


def test_logfmt_writes_pairs(tmp_path: Path) -> None:
    file = logged(tmp_path, form="logfmt")
    structlog.get_logger().info("server ready", port=6379)
    assert file.read_text().endswith('level=notice event="server ready" port=6379\n')


@pytest.mark.parametrize("form", ["console", "logfmt", "json"])
def test_a_text_of_a_client_neither_begins_a_line_nor_speaks_to_the_terminal(tmp_path: Path, form: str) -> None:
    """Scripts log what they like, users have any name, and exceptions quote what was sent."""
    evil = "a\n2026-01-01T00:00:00.000+00:00 [notice] nobody did this\r\x1b[2J\x00\x9b31m\u2028\u202e"
    file = logged(tmp_path, form=form)
    emit_native([(3, 0.0, "sherd-io-0", evil, {"user": evil, "name": "x\x1b[31my"})])
    try:
        raise ValueError(evil)
    except ValueError:
        structlog.get_logger().exception("it failed")
    text = file.read_text(encoding="utf-8")
    assert not set("\r\x1b\x00\x9b\u2028\u202e") & set(text)
    lines = text.split("\n")[:-1]
    assert sum("nobody did this" in line for line in lines) >= 2
    assert not [line for line in lines if line.startswith(("2026-01", "a\n"))]
    if form != "console":
        assert len(lines) == 2


def test_an_exception_is_part_of_its_line(tmp_path: Path) -> None:
    file = logged(tmp_path)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(file.read_text())
    assert line["exception"].endswith("ValueError: boom")


def test_what_libraries_log_comes_out_in_the_same_form(tmp_path: Path) -> None:
    file = logged(tmp_path)
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").debug("hidden")
    (line,) = map(json.loads, file.read_text().splitlines())
    assert (line["event"], line["logger"], line["level"]) == ("slow callback", "asyncio", "warning")


def test_config_set_loglevel_takes_effect_at_once(tmp_path: Path) -> None:
    file = tmp_path / "log"
    config = load_config(None, ["--logfile", str(file), "--log-format", "json"], {})
    setup_logs_from(config)
    structlog.get_logger().debug("before")
    config.set_many([(b"loglevel", b"debug")])
    structlog.get_logger().debug("after")
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["after"]


def test_lines_go_to_syslog_too_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr("syslog.openlog", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr("syslog.syslog", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr("sherd.observability.logs._output", LogOutput())
    arguments = ["--logfile", str(tmp_path / "log"), "--log-format", "logfmt", "--syslog-enabled", "yes"]
    setup_logs_from(load_config(None, [*arguments, "--syslog-ident", "cache", "--syslog-facility", "local3"], {}))
    structlog.get_logger().warning("disk is slow")
    opened, (priority, line) = sent
    assert opened == ("cache", syslog.LOG_PID, syslog.LOG_LOCAL3)
    assert priority == syslog.LOG_WARNING
    assert str(line).endswith('event="disk is slow"')


def test_a_log_file_that_cannot_be_opened_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"^can't open the log file '/nowhere/log': No such file or directory$"):
        setup_logs(level="notice", form="json", file="/nowhere/log")


class Full(io.StringIO):
    """A stream that takes nothing while it is full."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_that_cannot_be_written_are_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Full()
    monkeypatch.setattr("sys.stdout", stream)
    setup_logs(level="notice", form="json")
    log = structlog.get_logger()
    log.notice("first")
    emit_native([(2, 0.0, "io-0", "second", {}), (3, 0.0, "io-0", "third", {})])
    stream.is_full = False
    log.notice("fourth")
    log.notice("fifth")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["fourth", "log lines were lost", "fifth"]
    assert lines[1]["lines"] == 3


def test_a_process_without_a_standard_output_logs_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    setup_logs(level="notice", form="console")
    structlog.get_logger().notice("a line")


def test_a_file_that_was_moved_away_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As logrotate does, which need not copy and truncate. The working directory may have changed."""
    monkeypatch.chdir(tmp_path)
    setup_logs(level="notice", form="json", file="log")
    log = structlog.get_logger()
    log.notice("before")
    monkeypatch.chdir("/")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.notice("after")
    events = [json.loads((tmp_path / name).read_text())["event"] for name in ("log.1", "log")]
    assert events == ["before", "after"]


def test_a_file_that_cannot_be_opened_again_is_written_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    setup_logs(level="notice", form="json", file=str(folder / "log"))
    folder.rename(tmp_path / "moved")
    structlog.get_logger().notice("a line")
    setup_logs(level="debug", form="json", file=str(folder / "log"))
    structlog.get_logger().debug("another line")
    events = [json.loads(line)["event"] for line in (tmp_path / "moved" / "log").read_text().splitlines()]
    assert events == ["a line", "another line"]


def test_times_have_three_forms() -> None:
    assert format_time(1.5, "milliseconds") == 1500
    assert str(format_time(0.25, "legacy")).endswith(".250")
    assert "T" in str(format_time(0.0, "iso8601"))
    assert Config().get_str("log-timestamp-format") == "iso8601"


def test_the_control_planes_own_events_go_through_structlog_where_the_process_is_sherds(tmp_path: Path) -> None:
    file = logged(tmp_path)
    get_logger().verbose("below the level")
    try:
        raise ValueError("on purpose")
    except ValueError:
        get_logger().exception("failed", command=b"get")
    (line,) = file.read_text().splitlines()
    event = json.loads(line)
    assert (event["level"], event["event"], event["command"]) == ("warning", "failed", "get")
    assert "ValueError: on purpose" in event["exception"]


def test_the_control_planes_own_events_are_python_records_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        get_logger().debug("looked", at="this")
        get_logger().error("failed", exc_info=ValueError("on purpose"))
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("sherd", logging.DEBUG, "looked at=this"), ("sherd", logging.WARNING, "failed"),
    ]  # fmt: skip
    assert caplog.records[1].exc_info is not None
