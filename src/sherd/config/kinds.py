"""The kinds of value that a parameter can have: one small class each, which parses, prints and rewrites it.

`parse` takes words, as a configuration line or CONFIG SET gives them, and raises ValueRefusedError with Redis' own
reason; `format` gives the text of CONFIG GET; `lines` gives the configuration lines of CONFIG REWRITE. A value is a
plain bool, int, str or tuple, so the data plane and the tests need no class of this module.

Kinds with a grammar of their own (save points, buffer limits, event flags) stand in `special_kinds`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sherd.config.lexer import quote
from sherd.errors import ValueRefusedError
from sherd.record import field, record

Value: TypeAlias = bool | int | str | tuple[Any, ...]

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)
UINT_MAX = 2**32 - 1
LONG_MAX = 2**63 - 1
ULONG_MAX = 2**64 - 1

# The longest number that Redis reads before a memory unit.
_MEMORY_DIGITS_MAX = 127
_MEMORY_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}


class Kind:
    """What all kinds share: one word in, the value's text out, one configuration line."""

    label = "value"
    # Several words on one line belong to the value; CONFIG SET gives them as one argument, split at spaces.
    multi = False
    # A line without any word is a value too: none of them.
    may_be_empty = False
    # Several lines of one file add up, where other kinds take the last line.
    accumulates = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        """The value that `words` name. `current` is the value so far, for kinds that change only a part of it."""
        raise AssertionError("every kind parses")

    def format(self, value: Value) -> str:
        """The value as CONFIG GET gives it."""
        return str(value)

    def lines(self, name: str, value: Value) -> list[str]:
        """The lines that set `value`, as CONFIG REWRITE writes them."""
        return [f"{name} {self.format(value)}"]

    def describe(self) -> str:
        """The kind and its limits in a few words, for the reference docs and `--help`."""
        return self.label


class Boolean(Kind):
    """`yes` or `no`, in any case."""

    label = "yes or no"

    def parse(self, words: Sequence[str], current: Value) -> bool:
        word = words[0].lower()
        if word not in ("yes", "no"):
            raise ValueRefusedError("argument must be 'yes' or 'no'")
        return word == "yes"

    def format(self, value: Value) -> str:
        return "yes" if value else "no"


@record
class Integer(Kind):
    """A whole number within bounds, written without leading zeros or a plus sign."""

    minimum: int = 0
    maximum: int = INT_MAX
    # Values that are taken and then brought within these limits, as Redis does for `hz`.
    clamp: tuple[int, int] | None = None
    words_for_zero: tuple[str, ...] = ()

    def parse(self, words: Sequence[str], current: Value) -> int:
        if words[0].lower() in self.words_for_zero:
            return 0
        value = parse_whole_number(words[0])
        if value is None:
            raise ValueRefusedError("argument couldn't be parsed into an integer")
        check_bounds(value, self.minimum, self.maximum)
        if self.clamp is not None:
            value = max(self.clamp[0], min(self.clamp[1], value))
        return value

    def describe(self) -> str:
        return f"integer, {self.minimum} to {self.maximum}"


@record
class Octal(Kind):
    """A file mode in octal digits."""

    maximum: int = 0o777

    def parse(self, words: Sequence[str], current: Value) -> int:
        if not re.fullmatch(r"[0-7]{1,6}", words[0]):
            raise ValueRefusedError("argument couldn't be parsed as an octal number")
        value = int(words[0], 8)
        if value > self.maximum:
            raise ValueRefusedError(f"argument must be between 0 and {self.maximum:o} inclusive")
        return value

    def format(self, value: Value) -> str:
        return f"{value:o}"

    def describe(self) -> str:
        return f"octal file mode, 0 to {self.maximum:o}"


@record
class Memory(Kind):
    """A number of bytes, with a unit or without; with `percent`, `N%` too, which is kept as -N. Where -1 is within the
    bounds it is a word for no limit."""

    minimum: int = 0
    maximum: int = ULONG_MAX
    percent: bool = False
    # Smaller values are taken and raised to this, as Redis does for the replication backlog.
    floor: int = 0

    def parse(self, words: Sequence[str], current: Value) -> int:
        if self.percent and words[0].endswith("%"):
            share = parse_whole_number(words[0][:-1])
            if share is None or share < 0:
                raise ValueRefusedError("argument must be a memory or percent value")
            if share > 100:
                raise ValueRefusedError("percentage argument must be less or equal to 100")
            return -share
        if self.minimum < 0 and words[0] == "-1":
            return -1
        value = parse_memory(words[0])
        if value is None:
            raise ValueRefusedError(f"argument must be a memory {'or percent ' if self.percent else ''}value")
        check_bounds(value, self.minimum, self.maximum)
        return max(value, self.floor)

    def format(self, value: Value) -> str:
        assert isinstance(value, int)
        return f"{-value}%" if value < 0 and self.percent else str(value)

    def lines(self, name: str, value: Value) -> list[str]:
        assert isinstance(value, int)
        return [f"{name} {self.format(value) if value < 0 else format_memory(value)}"]

    def describe(self) -> str:
        return "bytes (units b, k, kb, m, mb, g, gb)" + (" or a percentage" if self.percent else "")


@record
class Enumeration(Kind):
    """One of a few names, in any case; `synonyms` are other names for the same."""

    names: tuple[str, ...]
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def parse(self, words: Sequence[str], current: Value) -> str:
        word = words[0].lower()
        word = self.synonyms.get(word, word)
        if word not in self.names:
            raise ValueRefusedError("argument(s) must be one of the following: " + ", ".join(self.names))
        return word

    def describe(self) -> str:
        return "one of " + ", ".join(self.names)


@record
class Flags(Kind):
    """Any combination of a few names; the first stands for none of the others."""

    names: tuple[str, ...]
    check: Callable[[frozenset[str]], str | None] = lambda names: None
    multi = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[str, ...]:
        given = {word.lower() for word in words}
        if not given or not given.issubset(self.names):
            raise ValueRefusedError("argument(s) must be one of the following: " + ", ".join(self.names))
        given.discard(self.names[0])
        reason = self.check(frozenset(given))
        if reason:
            raise ValueRefusedError(reason)
        return tuple(name for name in self.names if name in given)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(value) or self.names[0]

    def describe(self) -> str:
        return "any of " + ", ".join(self.names)


@record
class Text(Kind):
    """Any string; `check` gives the reason why one is refused, or None."""

    check: Callable[[str], str | None] = lambda text: None

    def parse(self, words: Sequence[str], current: Value) -> str:
        reason = self.check(words[0])
        if reason:
            raise ValueRefusedError(reason)
        return words[0]

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {quote(str(value))}"]

    def describe(self) -> str:
        return "string"


def parse_whole_number(text: str) -> int | None:
    """A 64-bit whole number in the strict form that Redis takes (`-5`, `0`, `17`), or None."""
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,19}", text):
        return None
    value = int(text)
    return value if -LONG_MAX - 1 <= value <= LONG_MAX else None


def parse_memory(text: str) -> int | None:
    """A number of bytes with an optional unit, or None. No digits read as 0 and too many as the most, as in Redis."""
    match = re.fullmatch(r"([0-9]*)([a-zA-Z]*)", text)
    if match is None or len(match[1]) > _MEMORY_DIGITS_MAX:
        return None
    unit = _MEMORY_UNITS.get(match[2].lower())
    if unit is None:
        return None
    return min(int(match[1] or "0") * unit, ULONG_MAX)


def format_memory(value: int) -> str:
    """Bytes in the largest unit that divides them: `100mb`, `1kb`, `1500`."""
    for unit in ("gb", "mb", "kb"):
        size = _MEMORY_UNITS[unit]
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def check_bounds(value: int, minimum: int, maximum: int) -> None:
    """Refuse a value outside its bounds, in Redis' words."""
    if not minimum <= value <= maximum:
        raise ValueRefusedError(f"argument must be between {minimum} and {maximum} inclusive")
