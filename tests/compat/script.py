r"""The language of the case tables: a heading, then commands as one would type them into redis-cli.

    # SET with NX leaves a key that exists
    SET k1 a
    SET k1 b NX
    2> GET k1

A blank line ends a case. `2>` sends on a second connection. Quoting is redis-cli's: "\xff\r\n" and 'plain'. Two
expansions keep long arguments short: `*{a,100}` is one argument of a hundred a's, `@{f:v:1..3}` is the six arguments
f1 v1 f2 v2 f3 v3. A line that begins with % says where a case belongs:

    % only valkey9                  the command exists nowhere else
    % not redis7: reason            the behaviour is newer
    % setting name value            the servers run with this directive
    % protocol 3                    only in that version of RESP

Plain text was chosen over Python literals because a family has hundreds of commands, and a table that reads like a
session is checked by eye against the documentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_token = re.compile(rb"""\s*("(?:\\.|[^"\\])*"|'(?:\\'|[^'])*'|\S+)""")
_escape = re.compile(rb"\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL)
_named_escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_repeat = re.compile(rb"\*\{(.*),(\d+)\}", re.DOTALL)
_expansion = re.compile(rb"@\{(.*?)(-?\d+)\.\.(-?\d+)\}")


@dataclass(frozen=True)
class Step:
    """One command on one of the case's connections."""

    connection: int
    arguments: tuple[bytes, ...]

    def show(self) -> str:
        """The command as redis-cli would take it, cut where it is long."""
        parts = [repr(argument[:60])[2:-1] + ("..." if len(argument) > 60 else "") for argument in self.arguments[:24]]
        words = [part if part and not re.search(r"[\s\\]", part) else f'"{part}"' for part in parts]
        return f"{self.connection}> " * (self.connection > 1) + " ".join(words)


@dataclass(frozen=True)
class Case:
    """A named sequence of commands."""

    title: str
    steps: tuple[Step, ...]
    only: frozenset[str] = frozenset()
    excluded: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    protocol: int | None = None

    def why_not_with(self, reference: str) -> str | None:
        """The reason not to compare with a reference, or None."""
        if self.only and reference not in self.only:
            return f"only {', '.join(sorted(self.only))} has this"
        return dict(self.excluded).get(reference)


def split_arguments(line: bytes) -> tuple[bytes, ...]:
    """The arguments of one line, unquoted and expanded."""
    arguments: list[bytes] = []
    for match in _token.finditer(line):
        arguments += _expand(match.group(1))
    return tuple(arguments)


def _expand(token: bytes) -> list[bytes]:
    if token[:1] == b'"':
        return [_escape.sub(_unescape, token[1:-1])]
    if token[:1] == b"'":
        return [token[1:-1].replace(b"\\'", b"'")]
    if match := _repeat.fullmatch(token):
        return [match.group(1) * int(match.group(2))]
    if match := _expansion.fullmatch(token):
        prefixes = match.group(1).split(b":")
        if len(prefixes) > 1:
            prefixes = prefixes[:-1] if prefixes[-1] == b"" else prefixes
        numbers = range(int(match.group(2)), int(match.group(3)) + 1)
        return [prefix + b"%d" % number for number in numbers for prefix in prefixes]
    return [token]


def _unescape(match: re.Match[bytes]) -> bytes:
    if match.group(1) is not None:
        return bytes([int(match.group(1), 16)])
    return _named_escapes.get(match.group(2), match.group(2))


def parse_cases(text: str) -> list[Case]:
    """All cases of a table; every case has a title of its own."""
    cases = [_parse_case(block) for block in re.split(r"\n\s*\n", text.strip()) if block.strip()]
    titles = [case.title for case in cases]
    repeated = {title for title in titles if titles.count(title) > 1}
    assert not repeated, f"titles used twice: {repeated}"
    return cases


def _parse_case(block: str) -> Case:
    title = ""
    steps: list[Step] = []
    only: set[str] = set()
    excluded: list[tuple[str, str]] = []
    settings: list[tuple[str, str]] = []
    protocol: int | None = None
    for line in (line.strip() for line in block.strip().splitlines()):
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif line.startswith("% only "):
            only |= set(line.removeprefix("% only ").split())
        elif line.startswith("% not "):
            names, _, reason = line.removeprefix("% not ").partition(": ")
            assert reason, f"{line!r} gives no reason"
            excluded += [(name, reason) for name in names.split()]
        elif line.startswith("% setting "):
            name, _, value = line.removeprefix("% setting ").partition(" ")
            settings.append((name, value))
        elif line.startswith("% protocol "):
            protocol = int(line.removeprefix("% protocol "))
        else:
            assert not line.startswith("%"), f"unknown direction {line!r}"
            match = re.match(r"(\d)> (.*)", line)
            connection, rest = (int(match.group(1)), match.group(2)) if match else (1, line)
            steps.append(Step(connection, split_arguments(rest.encode())))
    assert title and steps, f"a case without a title or commands:\n{block}"
    return Case(title, tuple(steps), frozenset(only), tuple(excluded), tuple(settings), protocol)
