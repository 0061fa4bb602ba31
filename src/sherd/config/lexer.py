"""The words of a configuration line: how redis.conf quotes them, and how CONFIG REWRITE quotes them again.

The work is done on bytes, since `"\\xc3\\xa9"` names bytes, and the words come out as text in which undecodable bytes
survive (surrogateescape). `shlex` was tried and left: it knows no `\\xHH`, lets a quote end inside a word and treats
a backslash outside quotes as an escape, none of which Redis does.
"""

from __future__ import annotations

_SPACE = frozenset(b" \t\n\v\f\r")
_WORD_END = frozenset(b" \t\n\r\x00")
_ESCAPED_LETTERS = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_LETTER_OF_CONTROL = {10: "\\n", 13: "\\r", 9: "\\t", 8: "\\b", 7: "\\a", 34: '\\"', 92: "\\\\"}
_DOUBLE_QUOTE, _SINGLE_QUOTE, _BACKSLASH = ord('"'), ord("'"), ord("\\")


class UnbalancedQuotesError(ValueError):
    """A quote that does not end, or that ends inside a word."""


def split_words(line: str) -> list[str]:
    """The words of one line; `"..."` with escapes, `'...'` with only `\\'`.

    Raises UnbalancedQuotesError where Redis says "Unbalanced quotes in configuration line".
    """
    data = line.encode("utf-8", "surrogateescape")
    words: list[str] = []
    position = 0
    while True:
        while position < len(data) and data[position] in _SPACE:
            position += 1
        if position >= len(data):
            return words
        word, position = _read_word(data, position)
        words.append(word.decode("utf-8", "surrogateescape"))


def _read_word(data: bytes, position: int) -> tuple[bytearray, int]:
    word = bytearray()
    while position < len(data) and data[position] not in _WORD_END:
        character = data[position]
        if character == _DOUBLE_QUOTE:
            return word, _read_double_quoted(data, position + 1, word)
        if character == _SINGLE_QUOTE:
            return word, _read_single_quoted(data, position + 1, word)
        word.append(character)
        position += 1
    # A NUL ends the line for Redis, which reads it as a C string.
    return word, len(data) if position < len(data) and data[position] == 0 else position


def _read_double_quoted(data: bytes, position: int, word: bytearray) -> int:
    while position < len(data):
        character = data[position]
        if character == _BACKSLASH and position + 1 < len(data):
            position = _read_escape(data, position + 1, word)
        elif character == _DOUBLE_QUOTE:
            return _closed(data, position + 1)
        else:
            word.append(character)
            position += 1
    raise UnbalancedQuotesError


def _read_escape(data: bytes, position: int, word: bytearray) -> int:
    digits = data[position + 1 : position + 3]
    if (
        data[position] == ord("x")
        and len(digits) == 2
        and all(chr(digit) in "0123456789abcdefABCDEF" for digit in digits)
    ):
        word.append(int(digits, 16))
        return position + 3
    word.append(_ESCAPED_LETTERS.get(data[position], data[position]))
    return position + 1


def _read_single_quoted(data: bytes, position: int, word: bytearray) -> int:
    while position < len(data):
        if data[position] == _BACKSLASH and data[position + 1 : position + 2] == b"'":
            word.append(_SINGLE_QUOTE)
            position += 2
        elif data[position] == _SINGLE_QUOTE:
            return _closed(data, position + 1)
        else:
            word.append(data[position])
            position += 1
    raise UnbalancedQuotesError


def _closed(data: bytes, position: int) -> int:
    if position < len(data) and data[position] not in _SPACE:
        raise UnbalancedQuotesError
    return position


def quote(text: str) -> str:
    """`text` in double quotes, so that `split_words` gives it back; everything but printable ASCII is escaped."""
    quoted = []
    for byte in text.encode("utf-8", "surrogateescape"):
        if byte in _LETTER_OF_CONTROL:
            quoted.append(_LETTER_OF_CONTROL[byte])
        elif 32 <= byte < 127:
            quoted.append(chr(byte))
        else:
            quoted.append(f"\\x{byte:02x}")
    return '"' + "".join(quoted) + '"'
