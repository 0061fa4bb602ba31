"""Random commands of a family, from templates, as hypothesis strategies that shrink.

    SET {key} {value} [NX | XX | GET | EX {ttl} | PX {ttl} | KEEPTTL]
    ZUNIONSTORE {key} {count} {key}+ [WEIGHTS {score}+ | AGGREGATE (SUM|MIN|MAX)]
    HSET {key} <{field} {value}>+

`{atom}` is a word from a small alphabet, so that commands of one sequence meet on the same keys; `( | )` picks one
alternative; `[ | ]` picks up to three in any order, repeats and conflicts included; `< >` groups; `+` after an atom or
a group repeats it one to three times. Now and then an argument is left out, doubled or replaced, which is where
parsers break.

Templates were chosen over strategies written out by hand: one line shows what a command can be given, and a family's
grammar reads like its documentation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

Words = list[bytes]

steps_max = 14
options_max = 3
repeats_max = 3

# {a}1 and {a}2 share a slot; the others spread over the slot range.
keys = [b"k1", b"k2", b"k3", b"k4", b"{a}1", b"{a}2"]
edge_integers = [
    b"0", b"1", b"-1", b"2", b"-2", b"3", b"5", b"-5", b"10", b"100", b"-100", b"4294967296",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809",
    b"99999999999999999999", b"", b" 1", b"1 ", b"+1", b"01", b"0x10", b"1.0", b"1e3", b"abc", b"-0",
]  # fmt: skip
edge_floats = [
    b"0", b"1", b"-1", b"1.5", b"-2.25", b"3", b"inf", b"-inf", b"+inf", b"nan", b"-0", b"1e400", b"-1e400", b"1e-400",
    b"1e17", b"123456789012345680", b"0.1", b"3.0e2", b"", b" 1", b"1 ", b"1,5", b"abc", b"infinity",
]  # fmt: skip
values = [
    b"", b"a", b"b", b"hello", b"1", b"10", b"-5", b"3.5", b"9223372036854775807", b"-9223372036854775808", b"inf", b"nan",
    b"\xff\x00\xfe", b"with space", b"line\r\nbreak", b"x" * 44, b"x" * 45, b"y" * 64, b"y" * 65, b"z" * 600,
]  # fmt: skip

# Times to live are far away or already past: none ends while a sequence runs.
ttls = [
    b"1000", b"5000", b"100000", b"100000000", b"0", b"-1", b"-100000", b"9223372036854775807", b"9223372036854775",
    b"9223372036854775808", b"-9223372036854775808", b"", b"abc", b"1.5",
]  # fmt: skip
timestamps = [
    b"0", b"1", b"-1", b"1000000", b"4000000000", b"5000000000", b"4000000000000", b"5000000000000",
    b"9223372036854775807", b"9223372036854775", b"9223372036854775808", b"abc", b"",
]  # fmt: skip

_weighted_integers = [b"0", b"1", b"2", b"-1", b"3"] * 6 + edge_integers
_weighted_floats = [b"0", b"1", b"2", b"-1", b"1.5", b"3"] * 6 + edge_floats

alphabets: dict[str, Sequence[bytes]] = {
    "key": keys,
    "equal": [b"e1", b"e2", b"e3"],
    "value": [b"a", b"b", b"c"] * 5 + values,
    "field": [b"f1", b"f2", b"f3", b"f4", b"1", b"2", b"", b"\xff\x00", b"f" * 64, b"f" * 65],
    "member": [b"a", b"b", b"c", b"d", b"1", b"2", b"3", b"-7", b"", b"\xff\x00", b"m" * 64, b"m" * 65],
    "int": _weighted_integers,
    "count": [b"1", b"2", b"3", b"10", b"0"] * 6 + edge_integers,
    # What all servers agree on when they sort.
    "number": [b"1", b"2", b"10", b"-5", b"3.5", b"-inf", b"1e3", b"+7", b".5", b"01"] * 4
    + [b"1 ", b"nan", b"-", b"abc"],
    "index": [b"0", b"1", b"2", b"-1", b"-2", b"-3", b"100", b"-100"] * 3 + edge_integers,
    "float": _weighted_floats,
    "score": _weighted_floats,
    "ttl": [b"1000", b"100000"] * 6 + ttls,
    "at": [b"4000000000", b"5000000000"] * 5 + timestamps,
    "at_ms": [b"4000000000000", b"5000000000000"] * 5 + timestamps,
    # Times of fields: Valkey takes some that Redis, and so Sherd, finds too far away (2^46 ms).
    "field_ttl": [b"1000", b"100000"] * 3 + [b"0", b"-1", b"9223372036854775807", b"", b"abc", b"1.5"],
    "field_at": [b"4000000000", b"5000000000"] * 3 + [b"0", b"1", b"-1", b"9223372036854775808", b"abc", b""],
    "field_at_ms": [b"4000000000000", b"5000000000000"] * 3 + [b"0", b"1", b"-1", b"9223372036854775808", b"abc"],
    # Of pending entries: 0 ms, or as far from what `ttl` makes of it as no sequence takes.
    "idle": [b"0", b"99000", b"50000000"] * 3 + [b"-1", b"9223372036854775808", b"", b"abc"],
    "position": [b"0", b"1", b"2", b"-1", b"-2", b"-3", b"100", b"-100", b"abc", b"", b"1.5"],
    "bound": [b"-inf", b"+inf", b"0", b"1", b"(1", b"2", b"(2", b"(-1"] * 3
    + [b"(", b"((1", b"", b"nan", b"(nan", b"abc", b"(inf", b"1e400", b"[1"],
    "lex": [b"-", b"+", b"[a", b"(a", b"[b", b"(c", b"[d"] * 3 + [b"", b"a", b"[", b"(", b"--", b"+a", b"[\xff"],
    "pattern": [
        b"*",
        b"k*",
        b"k?",
        b"k[1-2]",
        b"k[^1]",
        b"\\k1",
        b"",
        b"**",
        b"[",
        b"k[",
        b"k[a-",
        b"{a}*",
        b"f?",
        b"a*",
    ],
    # The identifier of entries that nobody got, which is a bracket in templates.
    "new": [b">"],
    "longitude": [b"13.361389", b"15.087269", b"2.35", b"-122.4", b"0"] * 5
    + [b"180", b"-180", b"180.1", b"179.999", b"nan", b"inf", b"-0", b"1e-7", b"", b"abc"],
    "latitude": [b"38.115556", b"37.502669", b"48.85", b"-33.86", b"0"] * 5
    + [b"85.05112878", b"-85.05112878", b"85.06", b"-90", b"nan", b"-inf", b"-0", b"", b"abc"],
    "radius": [b"100", b"200", b"1000", b"20000", b"0", b"0.5"] * 4 + [b"-1", b"nan", b"inf", b"1e400", b"", b"abc"],
    "unit": [b"m", b"km", b"KM", b"mi", b"ft"] * 4 + [b"", b"parsec"],
    "width": [b"u1", b"u8", b"u16", b"u31", b"u63", b"i1", b"i5", b"i8", b"i32", b"i63", b"i64"] * 4
    + [b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"", b"U8", b"i08", b"i-1", b"u8x"],
    "offset": [b"0", b"1", b"7", b"8", b"100", b"#0", b"#1", b"#3"] * 4
    + [b"-1", b"#", b"#-1", b"x", b"", b"4294967296", b"#9223372036854775807", b"+1", b"01"],
    "db": [b"0", b"1", b"2", b"1", b"15", b"16", b"-1", b"abc", b""],
    "garbage": [b"", b"x", b"NX", b"COUNT", b"WITHSCORES", b"\x00", b"9999999999999999999999"],
}

_lexer = re.compile(r"\s*(\{\w+\}|[\[\](|)<>+]|[^\s\[\](|)<>+{}]+)")


def commands_of(grammar: str) -> SearchStrategy[tuple[bytes, ...]]:
    """One random command of a family."""
    templates = [_Template(line).parse() for line in grammar.strip().splitlines() if line.strip()]
    return st.composite(_draw_command)(templates=templates)


def sequences_of(*grammars: str, length_max: int = steps_max) -> SearchStrategy[list[tuple[bytes, ...]]]:
    """A random sequence of commands of one or several families."""
    return st.lists(st.one_of([commands_of(grammar) for grammar in grammars]), min_size=2, max_size=length_max)


def _draw_command(draw: DrawFn, templates: list[SearchStrategy[Words]]) -> tuple[bytes, ...]:
    words = draw(
        st.one_of(templates) if len(templates) < 4 else st.sampled_from(templates).flatmap(lambda chosen: chosen)
    )
    # One command in sixteen is damaged; zero, the value that shrinking prefers, leaves it whole.
    damage = draw(st.integers(0, 47))
    if damage in (45, 46, 47) and len(words) > 1:
        place = draw(st.integers(1, len(words) - 1))
        if damage == 45:
            del words[place]
        elif damage == 46:
            words.insert(place, words[place])
        else:
            words[place] = draw(st.sampled_from(alphabets["garbage"]))
    return tuple(words)


class _Template:
    """A recursive-descent reader of one template."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.tokens: list[str] = [match.group(1) for match in _lexer.finditer(line)]
        assert "".join(self.tokens) == re.sub(r"\s+", "", line), f"cannot read all of {line!r}"
        self.position = 0

    def parse(self) -> SearchStrategy[Words]:
        strategy = self._sequence(closers="")
        assert self.position == len(self.tokens), f"unbalanced brackets in {self.line!r}"
        return strategy

    def _next(self) -> str:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def _peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _sequence(self, closers: str) -> SearchStrategy[Words]:
        parts: list[SearchStrategy[Words]] = []
        while (token := self._peek()) and (token not in closers or not closers):
            part = self._part(self._next())
            if self._peek() == "+":
                self._next()
                part = st.lists(part, min_size=1, max_size=repeats_max).map(_join)
            parts.append(part)
        return st.tuples(*parts).map(_join)

    def _part(self, token: str) -> SearchStrategy[Words]:
        if token.startswith("{"):
            return st.sampled_from(alphabets[token[1:-1]]).map(lambda word: [word])
        if token == "(":
            return st.one_of(self._alternatives(")"))
        if token == "[":
            choice = st.one_of(self._alternatives("]"))
            return st.one_of(st.just([]), choice, st.lists(choice, min_size=1, max_size=options_max).map(_join))
        if token == "<":
            return self._alternatives(">")[0]
        assert token not in ")]>|+", f"{token!r} out of place in {self.line!r}"
        return st.just([token.encode()])

    def _alternatives(self, closer: str) -> list[SearchStrategy[Words]]:
        found = [self._sequence("|" + closer)]
        while self._next() == "|":
            found.append(self._sequence("|" + closer))
        return found


def _join(parts: Sequence[Words]) -> Words:
    return [word for part in parts for word in part]
