"""Glob patterns as Redis matches them: `*`, `?`, `[a-z]`, `[^a]` and a backslash that takes the next one literally.

Patterns come from clients, so matching is bounded: only the last star is ever tried again, which makes the work at
most pattern length times text length. `fnmatch` was left aside: it has no escapes and builds a regular expression whose
backtracking a client could choose.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Token:
    """One place of a pattern: a star, or a set of single bytes, perhaps inverted."""

    star: bool
    members: frozenset[int] = frozenset()
    inverted: bool = False

    def takes(self, byte: int) -> bool:
        return (byte in self.members) != self.inverted


def has_wildcard(pattern: bytes) -> bool:
    """Whether a pattern could match more than one name; the test that CONFIG GET makes."""
    return any(byte in b"[*?" for byte in pattern)


def matches(pattern: bytes, text: bytes, *, ignore_case: bool = False) -> bool:
    """Whether the whole of `text` matches `pattern`."""
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    tokens = _tokens(pattern)
    token_index = text_index = 0
    star_index, star_text = -1, 0
    while text_index < len(text):
        token = tokens[token_index] if token_index < len(tokens) else None
        if token is not None and token.star:
            star_index, star_text = token_index, text_index
            token_index += 1
        elif token is not None and token.takes(text[text_index]):
            token_index += 1
            text_index += 1
        elif star_index >= 0:
            star_text += 1
            token_index, text_index = star_index + 1, star_text
        else:
            return False
    return all(token.star for token in tokens[token_index:])


def _tokens(pattern: bytes) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        byte = pattern[position]
        position += 1
        if byte == ord("*"):
            if not (tokens and tokens[-1].star):
                tokens.append(_Token(star=True))
        elif byte == ord("?"):
            tokens.append(_Token(star=False, inverted=True))
        elif byte == ord("["):
            token, position = _read_class(pattern, position)
            tokens.append(token)
        else:
            if byte == ord("\\") and position < len(pattern):
                byte = pattern[position]
                position += 1
            tokens.append(_Token(star=False, members=frozenset((byte,))))
    return tokens


def _read_class(pattern: bytes, position: int) -> tuple[_Token, int]:
    """The class after a `[`; one without its `]` ends with the pattern."""
    inverted = pattern[position : position + 1] == b"^"
    position += inverted
    members: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            members.add(pattern[position + 1])
            position += 2
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            low, high = sorted((pattern[position], pattern[position + 2]))
            members.update(range(low, high + 1))
            position += 3
        else:
            members.add(pattern[position])
            position += 1
    return _Token(star=False, members=frozenset(members), inverted=inverted), position + 1
