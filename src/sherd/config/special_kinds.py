"""Kinds of value with a grammar of their own: save points, modules, buffer limits, event flags, addresses,
percentiles.

Each takes exactly what Redis 8.0 takes and refuses the rest in the same words; see `kinds` for what a kind is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from sherd.config.kinds import Kind, Value, format_memory, parse_memory
from sherd.config.lexer import quote
from sherd.errors import ValueRefusedError

BIND_ADDRESSES_MAX = 16
OOM_SCORE_MAX = 2000


class SavePoints(Kind):
    """Pairs of seconds and changes; the value is a tuple of such pairs, () means that snapshots are off."""

    label = "pairs of seconds and changes"
    multi = True
    may_be_empty = True
    accumulates = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[tuple[int, int], ...]:
        if list(words) in ([], [""]):
            return ()
        numbers = [_plain_number(word) for word in words]
        points = list(zip(numbers[::2], numbers[1::2], strict=False))
        if len(numbers) % 2 or any(seconds < 1 or changes < 0 for seconds, changes in points):
            raise ValueRefusedError("Invalid save parameters")
        return tuple(points)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)

    def lines(self, name: str, value: Value) -> list[str]:
        assert isinstance(value, tuple)
        return [f"{name} {seconds} {changes}" for seconds, changes in value] or [f'{name} ""']


def _plain_number(word: str) -> int:
    return int(word) if re.fullmatch(r"-?[0-9]{1,18}", word) else -1


class Modules(Kind):
    """Names of modules, or paths of files, each on a line of its own or several on one."""

    label = "modules or files"
    multi = True
    accumulates = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[str, ...]:
        if any("\0" in word for word in words):
            raise ValueRefusedError("a name has no zero bytes")
        return tuple(word for word in words if word)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(value)

    def lines(self, name: str, value: Value) -> list[str]:
        assert isinstance(value, tuple)
        return [f"{name} {quote(word)}" for word in value] or [f'{name} ""']


class BufferLimits(Kind):
    """Output buffer limits: (hard, soft, soft seconds) for normal, replica and pubsub clients, in this order."""

    label = "class, hard limit, soft limit, soft seconds"
    multi = True
    may_be_empty = True
    classes = ("normal", "slave", "pubsub")
    _class_of = {"normal": 0, "slave": 1, "replica": 1, "pubsub": 2}  # noqa: RUF012 - a constant

    def parse(self, words: Sequence[str], current: Value) -> tuple[tuple[int, int, int], ...]:
        words = [] if list(words) == [""] else list(words)
        if len(words) % 4:
            raise ValueRefusedError("Wrong number of arguments in buffer limit configuration.")
        assert isinstance(current, tuple)
        limits = list(current)
        for start in range(0, len(words), 4):
            client_class = self._class_of.get(words[start].lower())
            if client_class is None:
                raise ValueRefusedError("Invalid client class specified in buffer limit configuration.")
            hard, soft = parse_memory(words[start + 1]), parse_memory(words[start + 2])
            if hard is None or soft is None or not re.fullmatch(r"[0-9]{1,18}", words[start + 3]):
                raise ValueRefusedError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            limits[client_class] = (hard, soft, int(words[start + 3]))
        return tuple(limits)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(
            f"{name} {hard} {soft} {seconds}" for name, (hard, soft, seconds) in zip(self.classes, value, strict=True)
        )

    def lines(self, name: str, value: Value) -> list[str]:
        assert isinstance(value, tuple)
        return [
            f"{name} {'replica' if client_class == 'slave' else client_class}"
            f" {format_memory(hard)} {format_memory(soft)} {seconds}"
            for client_class, (hard, soft, seconds) in zip(self.classes, value, strict=True)
        ]


class EventFlags(Kind):
    """Classes of keyspace events; kept in the order and with the `A` that Redis gives back."""

    label = "event classes"
    # Everything that `A` stands for. It leaves out two classes, and the channels: of keys and of their elements.
    all_classes = "g$lshzxetd"
    _accepted = "Ag$lshzxeKEtmdnSTIV"

    def parse(self, words: Sequence[str], current: Value) -> str:
        given = set(words[0])
        if not given.issubset(self._accepted):
            raise ValueRefusedError(f"Invalid event class character. Use '{self._accepted}'.")
        if "A" in given:
            given.update(self.all_classes)
        marks = "".join(flag for flag in "nKEmSTIV" if flag in given)
        if given.issuperset(self.all_classes):
            return "A" + marks
        return "".join(flag for flag in self.all_classes if flag in given) + marks

    def format(self, value: Value) -> str:
        # The servers that people compare with do not print `n` beside `A`, though it stays in force.
        text = str(value)
        return text.replace("n", "") if text.startswith("A") else text

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {quote(str(value))}"]


class Addresses(Kind):
    """Addresses to listen on: `*`, `::*`, IPv4, IPv6 or host names; a leading `-` makes one optional."""

    label = "addresses"
    multi = True
    may_be_empty = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[str, ...]:
        if list(words) in ([], [""]):
            return ()
        if len(words) > BIND_ADDRESSES_MAX:
            raise ValueRefusedError("Too many bind addresses specified.")
        return tuple(words)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(value)

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {self.format(value)}" if value else f'{name} ""']


class OomScores(Kind):
    """Three kernel OOM scores: primary, replica, background work."""

    label = "three scores"
    multi = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[int, ...]:
        if len(words) != 3:
            raise ValueRefusedError("wrong number of arguments")
        scores = tuple(int(word) if re.fullmatch(r"-?[0-9]{1,9}", word) else OOM_SCORE_MAX + 1 for word in words)
        if any(abs(score) > OOM_SCORE_MAX for score in scores):
            raise ValueRefusedError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return scores

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(map(str, value))


def format_percentile(percentile: float) -> str:
    """As Redis writes it: six decimals, without zeros at the end, so that 99.99999 is not 100."""
    return f"{percentile:f}".rstrip("0").rstrip(".")


class Percentiles(Kind):
    """Percentiles between 0 and 100; none at all turns them off."""

    label = "percentiles"
    multi = True
    may_be_empty = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[float, ...]:
        if list(words) in ([], [""]):
            return ()
        return tuple(self._percentile(word) for word in words)

    @staticmethod
    def _percentile(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if math.isnan(value) or word != word.strip() or "_" in word:
            raise ValueRefusedError("Invalid latency-tracking-info-percentiles parameters")
        if not 0.0 <= value <= 100.0:
            raise ValueRefusedError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return value

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(format_percentile(percentile) for percentile in value)

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {self.format(value)}" if value else f'{name} ""']


class Primary(Kind):
    """Host and port of the primary to follow; () stands for none (`no one`)."""

    label = "host and port"
    multi = True

    def parse(self, words: Sequence[str], current: Value) -> tuple[str, ...]:
        if list(words) in ([], [""]) or [word.lower() for word in words] == ["no", "one"]:
            return ()
        if len(words) != 2:
            raise ValueRefusedError("wrong number of arguments")
        if not re.fullmatch(r"[0-9]{1,5}", words[1]) or int(words[1]) > 65535:
            raise ValueRefusedError("Invalid master port")
        return tuple(words)

    def format(self, value: Value) -> str:
        assert isinstance(value, tuple)
        return " ".join(value)

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {self.format(value)}"] if value else []


class Directory(Kind):
    """A directory that exists, kept as an absolute path. The process does not change into it."""

    label = "directory"

    def parse(self, words: Sequence[str], current: Value) -> str:
        path = Path(words[0])
        try:
            path.stat()
        except (OSError, ValueError) as error:
            raise ValueRefusedError(getattr(error, "strerror", None) or str(error)) from error
        if not path.is_dir():
            raise ValueRefusedError("Not a directory")
        return str(path.resolve())

    def lines(self, name: str, value: Value) -> list[str]:
        return [f"{name} {quote(str(value))}"]
