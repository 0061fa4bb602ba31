"""Glob patterns match names as Redis matches them, with bounded work."""

from __future__ import annotations

import pytest

from sherd.config.store import has_wildcard
from sherd.native import glob_filter


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("h?llo", "hello", True),
        ("h?llo", "hllo", False),
        ("h*llo", "heeeello", True),
        ("*a*b", "xxaxxb", True),
        ("*a*b", "xxaxxbc", False),
        ("h[ae]llo", "hallo", True),
        ("h[^e]llo", "hello", False),
        ("h[a-c]llo", "hbllo", True),
        ("h[c-a]llo", "hbllo", True),
        (r"h\*llo", "h*llo", True),
        (r"h\*llo", "hxllo", False),
        (r"[\]]", "]", True),
        ("[ab", "b", True),
        ("a\\", "a\\", True),
        ("[a-]", "^", True),
        ("[a-]", "-", False),
    ],
)
def test_a_pattern_matches_what_redis_matches(pattern: str, text: str, expected: bool) -> None:
    assert glob_filter(pattern.encode(), [text.encode()]) == ([0] if expected else [])


def test_case_counts_unless_it_is_ignored() -> None:
    assert glob_filter(b"MAX*", [b"maxmemory"]) == []
    assert glob_filter(b"MAX*", [b"maxmemory"], ignore_case=True) == [0]


def test_places_come_in_the_order_of_the_texts() -> None:
    assert glob_filter(b"[ac]*", [b"c1", b"b", b"a", b"c"]) == [0, 2, 3]


def test_many_stars_do_not_blow_the_work_up() -> None:
    assert glob_filter(b"*a" * 200 + b"b", [b"a" * 2000]) == []


def test_only_stars_brackets_and_question_marks_make_a_pattern() -> None:
    assert has_wildcard(b"max*")
    assert not has_wildcard(b"maxmemory")
