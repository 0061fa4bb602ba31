"""Replies: Python values in, RESP2 or RESP3 bytes out, byte for byte what Redis sends.

A handler returns plain Python values; only what Python cannot say has a type here (`Simple`, `Error`, `Verbatim`,
`Push`, `ReplySet`, `Encoded`, `NULL_ARRAY`). One function, `encode`, knows both protocols, so no handler asks which one
its client speaks. Reading RESP is the work of `replies.py`, never this module's.

Rejected: a class for every RESP type. `[1, b"a", None]` reads like the reply it becomes, wrappers do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

CRLF = b"\r\n"


class Simple(str):
    """A status reply: `+OK`. Must hold no line break."""

    __slots__ = ()


class Error(str):
    """An error reply with its code: `Error("ERR syntax error")`. Line breaks are sent as spaces, as Redis does."""

    __slots__ = ()


class Verbatim:
    """A verbatim string (`txt` or `mkd`): `=15\\r\\ntxt:...` in RESP3, a bulk string in RESP2."""

    __slots__ = ("format", "text")

    def __init__(self, format: str, text: str | bytes) -> None:  # noqa: A002 - the protocol's own word
        if len(format) != 3:
            raise ValueError("a verbatim string's format has three letters")
        self.format = format
        self.text = text


class Push(list["Reply"]):
    """An out-of-band message: `>` in RESP3, an array in RESP2."""

    __slots__ = ()


class ReplySet(tuple["Reply", ...]):
    """An ordered RESP3 set (`~`), an array in RESP2. Python's own sets are sent sorted, so that replies are stable."""

    __slots__ = ()


class Encoded(bytes):
    """One whole reply as it goes on the wire, kept from an earlier time; its protocol must be the client's."""

    __slots__ = ()


class _NullArray:
    """`*-1` in RESP2 and `_` in RESP3."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL_ARRAY"


NULL_ARRAY = _NullArray()
OK = Simple("OK")

Reply: TypeAlias = (
    bool
    | int
    | float
    | bytes
    | bytearray
    | str
    | Verbatim
    | _NullArray
    | Sequence["Reply"]
    | Mapping[Any, "Reply"]
    | AbstractSet[Any]
    | None
)

_LINE_BREAKS = str.maketrans("\r\n", "  ")


def to_bytes(text: str | bytes | bytearray) -> bytes:
    """Text as it goes on the wire: bytes that came in undecodable go out unchanged (surrogateescape)."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)


def encode(value: Reply, resp: int = 2) -> bytes:
    """The bytes of one reply. `resp` is 2 or 3; anything but 3 is taken as 2."""
    output = bytearray()
    _write(output, value, resp == 3)
    return bytes(output)


def _write(output: bytearray, value: Reply, resp3: bool) -> None:
    # The order matters: bool is an int, Simple and Error are str, Push and ReplySet are sequences.
    if isinstance(value, str):
        _write_text(output, value)
    elif isinstance(value, (bytes, bytearray)):
        if type(value) is Encoded:
            output += value
        else:
            _write_bulk(output, value)
    elif isinstance(value, bool):
        output += (b"#t\r\n" if value else b"#f\r\n") if resp3 else (b":1\r\n" if value else b":0\r\n")
    elif isinstance(value, int):
        output += b":%d\r\n" % value
    elif isinstance(value, float):
        _write_double(output, value, resp3)
    elif value is None:
        output += b"_\r\n" if resp3 else b"$-1\r\n"
    elif isinstance(value, Verbatim):
        _write_verbatim(output, value, resp3)
    elif isinstance(value, _NullArray):
        output += b"_\r\n" if resp3 else b"*-1\r\n"
    elif isinstance(value, Mapping):
        output += (b"%%%d\r\n" if resp3 else b"*%d\r\n") % (len(value) if resp3 else 2 * len(value))
        for key, item in value.items():
            _write(output, key, resp3)
            _write(output, item, resp3)
    elif isinstance(value, (AbstractSet, ReplySet)):
        _write_items(output, b"~" if resp3 else b"*", _ordered(value), resp3)
    else:
        marker = b">" if resp3 and isinstance(value, Push) else b"*"
        _write_items(output, marker, value, resp3)


def _ordered(members: AbstractSet[Any] | ReplySet) -> Sequence[Reply]:
    return members if isinstance(members, ReplySet) else sorted(members)


def _write_items(output: bytearray, marker: bytes, items: Sequence[Reply], resp3: bool) -> None:
    output += marker + b"%d\r\n" % len(items)
    for item in items:
        _write(output, item, resp3)


def _write_text(output: bytearray, value: str) -> None:
    if isinstance(value, Simple):
        output += b"+" + to_bytes(value) + CRLF
    elif isinstance(value, Error):
        output += b"-" + to_bytes(value.translate(_LINE_BREAKS)) + CRLF
    else:
        _write_bulk(output, to_bytes(value))


def _write_bulk(output: bytearray, value: bytes | bytearray) -> None:
    output += b"$%d\r\n" % len(value)
    output += value
    output += CRLF


def _write_verbatim(output: bytearray, value: Verbatim, resp3: bool) -> None:
    body = to_bytes(value.text)
    if not resp3:
        _write_bulk(output, body)
        return
    output += b"=%d\r\n" % (len(body) + 4)
    output += value.format.encode() + b":" + body + CRLF


def _write_double(output: bytearray, value: float, resp3: bool) -> None:
    text = format_double(value).encode()
    if resp3:
        output += b"," + text + CRLF
    else:
        _write_bulk(output, text)


def format_double(value: float) -> str:
    """A double as Redis prints it: the shortest digits that read back as the same number, `1e+20` style exponents."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    from decimal import Decimal  # for replies with fractions only

    sign, digit_tuple, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    if not digits:
        return "-0" if sign else "0"
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    return ("-" if sign else "") + _place_point(stripped, exponent)


def _place_point(digits: str, exponent: int) -> str:
    """`digits` times ten to the `exponent`: plain up to seven zeros away from the digits, scientific beyond."""
    magnitude = exponent + len(digits) - 1
    if exponent >= 0 and abs(magnitude) < len(digits) + 7:
        return digits + "0" * exponent
    if exponent < 0 and (exponent > -7 or abs(magnitude) < 4):
        point = len(digits) + exponent
        return f"{digits[:point]}.{digits[point:]}" if point > 0 else f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if magnitude < 0 else '+'}{abs(magnitude)}"
