"""`user` lines of the configuration: kept as they are written, as what they mean takes the command table to know."""

from __future__ import annotations

from collections.abc import Callable

from sherd.errors import ConfigError
from sherd.record import record


@record
class UserLine:
    """The words after `user`: a name and rules, and the error that the line would be."""

    words: tuple[str, ...]
    error: Callable[[str], ConfigError]
