"""Reading other servers' replies.

hiredis does that. In an interpreter without a lock it would bring the lock back for the whole process, as its module
does not say that it needs none; there a few lines of Python read the little that is read here.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

# Of a line, and of all that one reply may be made of: what is read here is short.
_LINE_BYTES_MAX = 64 * 1024
_REPLY_BYTES_MAX = 64 * 1024 * 1024
_DEPTH_MAX = 8


class ProtocolError(Exception):
    """What the other server sends is no reply."""


class ReplyError(Exception):
    """A reply that is an error; it is returned, not raised."""


class Reader(Protocol):
    """As hiredis has it: bytes in, replies out."""

    def feed(self, data: bytes) -> Any:
        """Take what was received."""

    def gets(self) -> Any:
        """The next reply; False while it is not whole."""


def new_reader() -> Reader:
    """A reader of one connection's replies."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        # Most servers never read a reply.
        import hiredis

        reader: Reader = hiredis.Reader(protocolError=ProtocolError, replyError=ReplyError)
        return reader
    return PlainReader()


class _UnfinishedError(Exception):
    pass


class PlainReader:
    """The same in Python, for RESP2."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._place = 0

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._data += data

    def gets(self) -> Any:
        """The next reply; False while it is not whole."""
        self._place = 0
        try:
            reply = self._value(0)
        except _UnfinishedError:
            if len(self._data) > _REPLY_BYTES_MAX:
                raise ProtocolError("a reply without an end") from None
            return False
        del self._data[: self._place]
        return reply

    def _value(self, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise ProtocolError("arrays within arrays without an end")
        line = self._line()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"+":
                return rest
            case b"-":
                return ReplyError(rest.decode(errors="replace"))
            case b":":
                return _number(rest)
            case b"$":
                return None if (length := _number(rest)) < 0 else self._bulk(length)
            case b"*":
                count = _number(rest)
                return None if count < 0 else [self._value(depth + 1) for _ in range(count)]
        raise ProtocolError(f"a reply that begins with {kind!r}")

    def _line(self) -> bytes:
        end = self._data.find(b"\r\n", self._place)
        if end < 0:
            if len(self._data) - self._place > _LINE_BYTES_MAX:
                raise ProtocolError("a line without an end")
            raise _UnfinishedError
        line = bytes(self._data[self._place : end])
        self._place = end + 2
        return line

    def _bulk(self, length: int) -> bytes:
        end = self._place + length
        if length > _REPLY_BYTES_MAX:
            raise ProtocolError("a reply that is too long")
        if len(self._data) < end + 2:
            raise _UnfinishedError
        value = bytes(self._data[self._place : end])
        self._place = end + 2
        return value


def _number(text: bytes) -> int:
    if not text.lstrip(b"-").isdigit() or len(text) > 20:
        raise ProtocolError(f"{text[:40]!r} is no number")
    return int(text)
