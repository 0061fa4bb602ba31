"""Configuration lines are split into words as Redis splits them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherd.config.lexer import UnbalancedQuotesError, quote, split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  save  3600 1 ", ["save", "3600", "1"]),
        ('save ""', ["save", ""]),
        ("a 'b c' d", ["a", "b c", "d"]),
        (r"a 'it\'s'", ["a", "it's"]),
        (r"a 'no\n'", ["a", r"no\n"]),
        (r'a "\x41\n\t\"\\\q"', ["a", 'A\n\t"\\q']),
        (r'"\xc3\xa9"', ["é"]),
        (r'"\xff"', ["\udcff"]),
        (r'"\xg1"', ["xg1"]),
        ('a\tb"c d"', ["a", "bc d"]),
        ("a # b", ["a", "#", "b"]),
        ("a\\ b", ["a\\", "b"]),
    ],
)
def test_a_line_is_split_into_its_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ['a "b', "a 'b", '"a"b', "'a'b", '"\\'])
def test_unbalanced_quotes_are_refused(line: str) -> None:
    with pytest.raises(UnbalancedQuotesError):
        split_words(line)


@given(st.binary())
def test_what_is_quoted_is_read_back_unchanged(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    quoted = quote(text)
    assert quoted.isascii()
    assert split_words(quoted) == [text]


@given(st.text())
def test_no_line_makes_the_lexer_fail_in_another_way(line: str) -> None:
    try:
        words = split_words(line.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
    except UnbalancedQuotesError:
        return
    assert all(isinstance(word, str) for word in words)
