"""Whole numbers among the arguments of commands, read as strictly as the data plane reads them.

In one place, as Python's integers know no bounds: a reader of its own that counts digits takes what no other server
takes, and waits for as long as that says.
"""

from __future__ import annotations

import re

from sherd.errors import CommandError

NOT_AN_INTEGER = "ERR value is not an integer or out of range"
_WHOLE = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_LONG_MAX = 2**63 - 1
# Whose end is a moment of 64 bits as well, until the year 2109.
_TIMEOUT_MS_MAX = _LONG_MAX - 2**42


def read_integer(word: bytes, refusal: str = NOT_AN_INTEGER) -> int:
    """A number of 64 bits, without plus, blanks, leading zeros or minus zero; raises CommandError with the refusal."""
    if not _WHOLE.fullmatch(word) or not -_LONG_MAX - 1 <= int(word) <= _LONG_MAX:
        raise CommandError(refusal)
    return int(word)


def read_timeout_ms(word: bytes) -> int:
    """A time to wait in milliseconds, 0 for ever; raises CommandError."""
    timeout_ms = read_integer(word, "ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise CommandError("ERR timeout is negative")
    if timeout_ms > _TIMEOUT_MS_MAX:
        raise CommandError("ERR timeout is out of range")
    return timeout_ms
