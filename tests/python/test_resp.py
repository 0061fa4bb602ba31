"""Replies are encoded byte for byte as Redis sends them, in both protocols."""

from __future__ import annotations

import pytest

from sherd.resp import NULL_ARRAY, OK, Error, Push, Reply, ReplySet, Simple, Verbatim, encode, format_double


@pytest.mark.parametrize(
    ("value", "resp2", "resp3"),
    [
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (-7, b":-7\r\n", b":-7\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
        (float("nan"), b"$3\r\nnan\r\n", b",nan\r\n"),
        (b"a\r\n\xff", b"$4\r\na\r\n\xff\r\n", b"$4\r\na\r\n\xff\r\n"),
        ("é", b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
        ("\udcff", b"$1\r\n\xff\r\n", b"$1\r\n\xff\r\n"),
        (OK, b"+OK\r\n", b"+OK\r\n"),
        (Error("ERR two\r\nlines"), b"-ERR two  lines\r\n", b"-ERR two  lines\r\n"),
        ([], b"*0\r\n", b"*0\r\n"),
        ([1, [b"a", None]], b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n", b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n"),
        ((1, 2), b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:2\r\n"),
        ({b"a": 1, "b": []}, b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*0\r\n", b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*0\r\n"),
        ({b"b", b"a"}, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"~2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        (ReplySet([Simple("x"), Simple("a")]), b"*2\r\n+x\r\n+a\r\n", b"~2\r\n+x\r\n+a\r\n"),
        (Verbatim("txt", "hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
        (Push([b"a"]), b"*1\r\n$1\r\na\r\n", b">1\r\n$1\r\na\r\n"),
    ],
)
def test_a_value_is_encoded_as_the_protocol_says(value: Reply, resp2: bytes, resp3: bytes) -> None:
    assert encode(value, 2) == resp2
    assert encode(value, 3) == resp3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (100.0, "100"),
        (0.1, "0.1"),
        (-1.25, "-1.25"),
        (1e20, "1e+20"),
        (123456789012345680.0, "123456789012345680"),
        (1e7, "10000000"),
        (1e8, "1e+8"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_a_double_is_printed_with_its_shortest_digits(value: float, text: str) -> None:
    assert format_double(value) == text


def test_a_verbatim_string_needs_a_format_of_three_letters() -> None:
    with pytest.raises(ValueError, match="three letters"):
        Verbatim("text", "x")
