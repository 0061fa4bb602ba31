"""The control plane's own logger: events with fields, which go where the process that Sherd runs in has them.

    _log = get_logger()
    _log.warning("the pid file cannot be written", path=path, reason=reason)

`sherd serve` sends them through structlog (`sherd.observability.logs`). In a program that embeds a server they become
records of Python's logger `sherd`: structlog's and logging's configuration are that program's, and nothing here changes
them. Using structlog's global logger directly was left aside for that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

# Severity as Python's logging has it, the event, and its fields; `exc_info` among them is an exception or True.
Sink = Callable[[int, str, Mapping[str, Any]], None]

VERBOSE = 15


def to_python_logging(severity: int, event: str, fields: Mapping[str, Any]) -> None:
    """One record of the logger `sherd`."""
    details = "".join(f" {name}={value}" for name, value in fields.items() if name != "exc_info")
    logging.getLogger("sherd").log(severity, "%s%s", event, details, exc_info=fields.get("exc_info"))


_sink: Sink = to_python_logging


def send_to(sink: Sink) -> None:
    """Where the events of this process go from now on."""
    global _sink  # noqa: PLW0603 - a process-wide fact
    _sink = sink


class Logger:
    """`debug`, `verbose`, `notice` (also `info`), `warning`, `error`, `exception`, each with an event and fields."""

    __slots__ = ()

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks for a fault."""
        _sink(logging.DEBUG, event, fields)

    def verbose(self, event: str, **fields: Any) -> None:
        """Between debug and notice, as Redis has it."""
        _sink(VERBOSE, event, fields)

    def notice(self, event: str, **fields: Any) -> None:
        """What an operator wants to know of an ordinary day."""
        _sink(logging.INFO, event, fields)

    info = notice

    def warning(self, event: str, **fields: Any) -> None:
        """What an operator should do something about."""
        _sink(logging.WARNING, event, fields)

    error = warning

    def exception(self, event: str, **fields: Any) -> None:
        """A warning with the exception that is being handled."""
        fields.setdefault("exc_info", True)
        _sink(logging.WARNING, event, fields)


def get_logger() -> Logger:
    """The logger; there is no state in it."""
    return Logger()
