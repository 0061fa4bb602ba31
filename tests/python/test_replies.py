"""Replies of other servers are read alike, with hiredis and where that cannot be used."""

from __future__ import annotations

import hiredis
import pytest

from sherd.replies import PlainReader, ProtocolError, ReplyError, new_reader

REPLIES = [
    b"+OK\r\n", b"+\r\n", b"-ERR no\r\n", b":-12\r\n", b":0\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$3\r\na\r\n\r\n",
    b"*0\r\n", b"*-1\r\n", b"*2\r\n+a\r\n*2\r\n$1\r\nb\r\n:3\r\n", b"+CONTINUE " + b"a" * 40 + b"\r\n",
]  # fmt: skip
MALFORMED = [b"?\r\n", b"$x\r\n", b"*" + b"9" * 30 + b"\r\n", b"*1\r\n" * 20, b":\r\n", b"+" + b"a" * 100_000]


def _shown(reply: object) -> object:
    return ("error", str(reply)) if isinstance(reply, Exception) else reply


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_both_readers_return_the_same_however_it_arrives(size: int) -> None:
    data = b"".join(REPLIES)
    plain, other = PlainReader(), hiredis.Reader(replyError=ReplyError)
    replies: list[list[object]] = [[], []]
    for start in range(0, len(data), size):
        for reader, into in zip((plain, other), replies, strict=True):
            reader.feed(data[start : start + size])
            while (reply := reader.gets()) is not False:
                into.append(_shown(reply))
    assert replies[0] == replies[1]
    assert len(replies[0]) == len(REPLIES)


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_reply_is_an_error(data: bytes) -> None:
    reader = PlainReader()
    reader.feed(data)
    with pytest.raises(ProtocolError):
        reader.gets()


def test_errors_are_of_the_same_kinds_with_hiredis() -> None:
    reader = new_reader()
    reader.feed(b"-ERR no\r\n?")
    assert isinstance(reader.gets(), ReplyError)
    with pytest.raises(ProtocolError):
        reader.gets()
