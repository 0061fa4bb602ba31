"""Logs: structlog for both planes, readable on a terminal, JSON or key=value for machines.

An event is a short constant sentence, everything that varies is a field:
`log.info("client rejected", reason="maxclients")`.
Redis' levels are kept, since people know them from `loglevel`: debug, verbose, notice, warning, and nothing at all.
Python's logging levels stand for them (`verbose` lies between debug and info), so library loggers obey `loglevel` too.

The data plane logs into bounded rings of its own threads; `emit_native` takes what was drained from them, a batch at a
time, and writes it with the times and threads of the records, not of the drain.

Lines go out in one `write` a batch. Colours only on a terminal that is not told otherwise (NO_COLOR).

What clients have a say in (names of users, what scripts log, texts of exceptions) may be any text. Outside of JSON,
what cannot be printed is written as Python would write it: no text begins a line of its own, or speaks to the terminal.
Lines that follow another one, those of tracebacks, are indented.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sherd.config import Config
from sherd.errors import ConfigError
from sherd.later import put_off
from sherd.log import VERBOSE, send_to

# structlog loads what it finds of these, for forms that are not used here; with rich a start takes twice as long.
_hidden = [name for name in ("rich", "colorama", "better_exceptions", "twisted") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]
put_off("structlog.stdlib", "structlog.threadlocal")
import structlog  # noqa: E402

for _name in _hidden:
    del sys.modules[_name]

_NOTHING = logging.CRITICAL + 10
# For who reads a pipe and is slow for a moment. Who takes nothing for longer is not waited for again before it has.
_PATIENCE_MS = 100
_LOG_PARAMETERS = frozenset({"loglevel", "log-format", "log-timestamp-format", "logfile"})
# Severities as syslog has them, in its own numbers: debug, info, notice; warning is all the rest.
_SYSLOG_PRIORITIES = {logging.DEBUG: 7, VERBOSE: 6, logging.INFO: 5}
_SYSLOG_WARNING = 4

# What `loglevel` means to Python's logging.
THRESHOLDS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "verbose": VERBOSE,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "nothing": _NOTHING,
}
# Levels of native records: 0 debug, 1 verbose, 2 notice, 3 warning; more severe ones would be 4 and up.
_NATIVE_THRESHOLDS = (logging.DEBUG, VERBOSE, logging.INFO, logging.WARNING)
_LEVEL_NAMES = {logging.DEBUG: "debug", VERBOSE: "verbose", logging.INFO: "notice", logging.WARNING: "warning"}

NativeRecord = tuple[int, float, str, str, Mapping[str, Any]]
EventDict = MutableMapping[str, Any]


class LogOutput:
    """Where lines go, in which form and above which level; one a process, set up again when the configuration changes.

    stream: what lines are written to; a file given by name is opened for appending and owned, and opened again when it
    was moved away, as logrotate does. What cannot be written, to a full disk or a pipe that nobody reads, is counted,
    and told when it can be: a server neither ends for its log nor waits for who reads it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: TextIO | None = sys.stdout
        self._owned: TextIO | None = None
        # Its name, from the root on: the working directory may change.
        self._path = ""
        self._lost_lines = 0
        self._threshold = logging.INFO
        self._time_format = "iso8601"
        self._render: structlog.typing.Processor = structlog.processors.JSONRenderer()
        self._to_syslog = False

    def configure(self, *, level: str, form: str, time_format: str = "iso8601", file: str = "") -> None:
        """Set level, form (console, json, logfmt), form of the time and file; raises ConfigError for a bad file."""
        with self._lock:
            # One that is open stays so, whatever has become of its name.
            if not file or self._owned is None or _absolute(file) != self._path:
                self._reopen(file)
            self._threshold = THRESHOLDS[level]
            self._time_format = time_format
            self._render = _renderer(form, colors=_wants_colors(self._stream))

    def open_syslog(self, ident: str, facility: str) -> None:
        """Send every line to syslog as well; `facility` as in redis.conf: user, local0 to local7."""
        import syslog  # which few ask for

        syslog.openlog(ident, syslog.LOG_PID, getattr(syslog, f"LOG_{facility.upper()}"))
        self._to_syslog = True

    def _reopen(self, file: str) -> None:
        opened = open_log_file(file) if file else None
        previous, self._owned, self._stream = self._owned, opened, opened or sys.stdout
        self._path = _absolute(file)
        if previous is not None:
            with contextlib.suppress(OSError):
                previous.close()

    def enabled(self, threshold: int) -> bool:
        """Whether a line of this severity is written."""
        return threshold >= self._threshold

    def write(self, events: Iterable[tuple[int, float, EventDict]]) -> None:
        """Render and write events (severity, unix time, fields), those below the level left out."""
        lines = [
            (threshold, self._line(threshold, when, event))
            for threshold, when, event in events
            if self.enabled(threshold)
        ]
        if not lines:
            return
        with self._lock:
            if self._owned is not None and _was_moved(self._owned, self._path):
                with contextlib.suppress(ConfigError):
                    self._reopen(self._path)
            self._put([line for _, line in lines])
        if self._to_syslog:
            import syslog

            for threshold, line in lines:
                syslog.syslog(_SYSLOG_PRIORITIES.get(threshold, _SYSLOG_WARNING), line)

    def _put(self, lines: list[str]) -> None:
        if self._stream is None:  # the process was started without a standard output
            return
        told = []
        if self._lost_lines:
            told = [self._line(logging.WARNING, _now(), {"event": "log lines were lost", "lines": self._lost_lines})]
        try:
            text = "".join(f"{line}\n" for line in (*lines, *told))
            _write(self._stream, text, 0 if self._lost_lines else _PATIENCE_MS)
        except (OSError, ValueError):
            self._lost_lines += len(lines)
        else:
            self._lost_lines = 0

    def _line(self, threshold: int, when: float, event: EventDict) -> str:
        ordered: EventDict = {
            "timestamp": format_time(when, self._time_format),
            "level": _LEVEL_NAMES.get(threshold, "warning"),
            "event": event.get("event", ""),
            **event,
        }
        rendered = self._render(None, "", ordered)
        return rendered if isinstance(rendered, str) else str(rendered)


def _write(stream: TextIO, text: str, patience_ms: int) -> None:
    """Write, but to a pipe or a terminal only what it takes: BlockingIOError if it takes nothing for so long."""
    descriptor = _descriptor(stream)
    if descriptor < 0 or stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.write(text)
        stream.flush()
        return
    # They are not made to return at once: others may write to them as well.
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    data = text.encode(stream.encoding, "backslashreplace")
    for begin in range(0, len(data), select.PIPE_BUF):
        if not room.poll(patience_ms):
            raise BlockingIOError
        os.write(descriptor, data[begin : begin + select.PIPE_BUF])


def _descriptor(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # of a program's own making
        return -1


_output = LogOutput()


def setup_logs(*, level: str, form: str, time_format: str = "iso8601", file: str = "") -> None:
    """Make structlog and Python's logging write through Sherd's output. May be called again at any time."""
    _output.configure(level=level, form=form, time_format=time_format, file=file)
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=_Logger,
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    send_to(_to_structlog)
    root = logging.getLogger()
    root.handlers = [_LibraryHandler()]
    root.setLevel(THRESHOLDS[level])


def setup_logs_from(config: Config) -> None:
    """Log as the configuration says, now and after every change of it."""

    def apply(changed: frozenset[str]) -> None:
        if changed & _LOG_PARAMETERS:
            setup_logs(
                level=config.get_str("loglevel"),
                form=config.get_str("log-format"),
                time_format=config.get_str("log-timestamp-format"),
                file=config.get_str("logfile"),
            )

    config.add_listener(apply)
    apply(_LOG_PARAMETERS)
    if config.get_bool("syslog-enabled"):
        _output.open_syslog(config.get_str("syslog-ident"), config.get_str("syslog-facility"))


def check_log_file(config: Config) -> None:
    """Raise ConfigError where the log file of a configuration cannot be opened."""
    if config.get_str("logfile"):
        open_log_file(config.get_str("logfile")).close()


def open_log_file(name: str) -> TextIO:
    """A log file, for appending; raises ConfigError with one line."""
    try:
        return Path(name).open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"can't open the log file '{name}': {error.strerror}") from error


def _absolute(file: str) -> str:
    return str(Path(file).absolute())


def _was_moved(file: TextIO, path: str) -> bool:
    """Whether another file has its name by now, or none."""
    try:
        return not os.path.samestat(Path(path).stat(), os.fstat(file.fileno()))
    except OSError:
        return True


def emit_native(records: Iterable[NativeRecord]) -> None:
    """Write a batch of the data plane's records: (level, unix time, thread, event, fields)."""
    _output.write(
        (_NATIVE_THRESHOLDS[max(0, min(level, 3))], when, {"event": event, "thread": thread, **fields})
        for level, when, thread, event, fields in records
    )


def format_time(when: float, form: str) -> str | int:
    """A unix time in local time as ISO 8601 with its offset, as Redis wrote it, or as milliseconds since 1970."""
    if form == "milliseconds":
        return int(when * 1000)
    local = datetime.fromtimestamp(when).astimezone()
    if form == "legacy":
        return local.strftime("%d %b %Y %H:%M:%S.") + f"{local.microsecond // 1000:03d}"
    return local.isoformat(timespec="milliseconds")


class _Logger(structlog.BoundLoggerBase):
    """`debug`, `verbose`, `notice` (also `info`), `warning`, `error`, `exception`, each with an event and fields."""

    def debug(self, event: str, **fields: Any) -> None:
        self._emit(logging.DEBUG, event, fields)

    def verbose(self, event: str, **fields: Any) -> None:
        self._emit(VERBOSE, event, fields)

    def notice(self, event: str, **fields: Any) -> None:
        self._emit(logging.INFO, event, fields)

    info = notice

    def warning(self, event: str, **fields: Any) -> None:
        self._emit(logging.WARNING, event, fields)

    error = warning

    def exception(self, event: str, **fields: Any) -> None:
        fields.setdefault("exc_info", True)
        self._emit(logging.WARNING, event, fields)

    def _emit(self, threshold: int, event: str, fields: dict[str, Any]) -> None:
        if _output.enabled(threshold):
            self._proxy_to_logger("msg", event, severity=threshold, **fields)


def _to_structlog(severity: int, event: str, fields: Mapping[str, Any]) -> None:
    """The control plane's own events, in the same form as everything else."""
    if _output.enabled(severity):
        _own.msg(event, severity=severity, **fields)


def _to_output(_logger: Any, _method: str, event: EventDict) -> str:
    """The last processor: hand the event to the output and give structlog nothing more to do."""
    threshold = event.pop("severity")
    _output.write([(threshold, _now(), event)])
    return ""


_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    _to_output,
]
_own = structlog.wrap_logger(structlog.ReturnLogger(), processors=_PROCESSORS, wrapper_class=structlog.BoundLogger)


def _now() -> float:
    return datetime.now().astimezone().timestamp()


class _LibraryHandler(logging.Handler):
    """What libraries log with Python's logging (asyncio's "slow callback"), in the same form as everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        event: EventDict = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = logging.Formatter().formatException(record.exc_info)
        _output.write([(min(record.levelno, logging.WARNING), record.created, event)])


def _renderer(form: str, *, colors: bool) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(default=_plain)
    if form == "logfmt":
        pairs = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
        return _in_one_line(pairs, lambda value: printable(str(value)))
    console = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=0, pad_level=False)
    return _in_one_line(console, lambda value: value if value.isprintable() else _Quoted(value))


def _in_one_line(render: structlog.typing.Processor, show: Callable[[str], object]) -> structlog.typing.Processor:
    """A renderer whose texts cannot end its line: `show` says how a field is written; events stay bare."""

    def show_field(name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        if name in ("exception", "stack"):
            return "\n".join("  " + printable(line) for line in value.split("\n"))
        return printable(value) if name == "event" else show(value)

    def render_printable(logger: Any, name: str, event: EventDict) -> Any:
        return render(logger, name, {key: show_field(key, value) for key, value in event.items()})

    return render_printable


def printable(text: str) -> str:
    """A text without anything that ends a line or that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Quoted:
    """A text that is to be shown as Python writes it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _plain(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _wants_colors(stream: TextIO | None) -> bool:
    if stream is None:
        return False
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
