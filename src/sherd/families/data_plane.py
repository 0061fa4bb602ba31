"""What control commands ask of the data plane: plain callables, so that a test needs no compiled engine.

The server fills this in with the functions of the native engine and provides it to the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sherd.record import record


@record
class DataPlane:
    """The four things that are asked.

    command_table: one row a command or subcommand of both planes, sorted by name. key_positions: argument numbers and
    key flags of a whole command line, None where its arguments make no sense. reset_stats: zero the counters.
    glob_filter: places of the texts that a pattern matches, in any case of letters where that is asked for.
    """

    command_table: Callable[[], Sequence[Mapping[str, Any]]]
    key_positions: Callable[[list[bytes]], Sequence[tuple[int, str]] | None]
    reset_stats: Callable[[], None]
    glob_filter: Callable[[bytes, Sequence[bytes], bool], Sequence[int]]
