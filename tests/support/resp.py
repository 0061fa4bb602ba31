"""RESP on the tests' side: an encoder, a scanner that finds where one reply ends, and a tree that keeps every byte.

Parsers made for applications throw away what a byte-for-byte comparison needs: whether a null was `$-1`, `*-1` or `_`,
whether a reply was a map or a flat array. So the tests keep the raw bytes of a reply and, where an order has to be
ignored, a tree of `Node`s that remembers each type byte. hiredis gives the ordinary Python value beside it, and is at
the same time a second opinion on whether the bytes are well formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hiredis

type_bytes_of_lines = b"+-:_#,("
type_bytes_of_blobs = b"$=!"
type_bytes_of_lists = b"*~>"
type_bytes_of_pairs = b"%|"

Argument = bytes | str | int | float


class MalformedReply(Exception):
    """The server sent bytes that are no RESP."""


@dataclass(frozen=True, slots=True)
class Node:
    """One reply: its type byte, its payload, and its children when it is an aggregate.

    The nulls of RESP2 are kinds of their own, `$-1` and `*-1`, so that no string and no array equals them.
    """

    kind: str
    text: bytes = b""
    items: tuple[Node, ...] | None = None

    @property
    def is_error(self) -> bool:
        """Whether the reply is an error."""
        return self.kind in ("-", "!")

    def pairs(self) -> list[tuple[Node, Node]]:
        """The children two by two, for maps and for their flat RESP2 form."""
        items = self.items or ()
        return list(zip(items[::2], items[1::2], strict=True))

    def show(self) -> str:
        """A short form for failure messages, close to how the reply looks on the wire."""
        if self.items is not None:
            return f"{self.kind}[{', '.join(item.show() for item in self.items)}]"
        return f"{self.kind} null" if self.kind in ("_", "$-1", "*-1") else f"{self.kind}{self.text!r}"


def to_bytes(argument: Argument) -> bytes:
    """The bytes that an argument has on the wire."""
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, str):
        return argument.encode()
    return repr(argument).encode()


def encode_command(*arguments: Argument) -> bytes:
    """A request as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = to_bytes(argument)
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def find_reply_end(buffer: bytes | bytearray, start: int = 0) -> int | None:
    """The offset just past the reply that begins at `start`, or None when more bytes are needed.

    Iterative, because a hostile or broken server could nest deeper than Python recurses. An attribute counts as part
    of the reply that it precedes.
    """
    position = start
    pending = 1
    while pending:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            if position < len(buffer) and buffer[position : position + 1] not in _all_type_bytes:
                raise MalformedReply(bytes(buffer[position : position + 64]))
            return None
        kind = buffer[position : position + 1]
        after_line = line_end + 2
        pending -= 1
        if kind in type_bytes_of_lines:
            position = after_line
            continue
        try:
            length = int(buffer[position + 1 : line_end])
        except ValueError:
            raise MalformedReply(bytes(buffer[position : position + 64])) from None
        if kind in type_bytes_of_blobs:
            position = after_line
            if length >= 0:
                position += length + 2
                if position > len(buffer):
                    return None
        elif kind in type_bytes_of_lists:
            position = after_line
            pending += max(length, 0)
        elif kind in type_bytes_of_pairs:
            position = after_line
            pending += 2 * max(length, 0) + (1 if kind == b"|" else 0)
        else:
            raise MalformedReply(bytes(buffer[position : position + 64]))
    return position


_all_type_bytes = type_bytes_of_lines + type_bytes_of_blobs + type_bytes_of_lists + type_bytes_of_pairs


def parse_node(raw: bytes) -> Node:
    """The tree of exactly one reply."""
    node, end = _parse_at(raw, 0)
    if end != len(raw):
        raise MalformedReply(raw[end : end + 64])
    return node


def _parse_at(raw: bytes, start: int) -> tuple[Node, int]:
    line_end = raw.index(b"\r\n", start)
    kind = raw[start : start + 1]
    text = raw[start + 1 : line_end]
    position = line_end + 2
    if kind in type_bytes_of_lines:
        return Node(kind.decode(), text), position
    length = int(text)
    if kind in type_bytes_of_blobs:
        if length < 0:
            return Node("$-1"), position
        return Node(kind.decode(), raw[position : position + length], None), position + length + 2
    if length < 0:
        return Node("*-1"), position
    if kind in type_bytes_of_pairs:
        length *= 2
    items: list[Node] = []
    for _ in range(length):
        item, position = _parse_at(raw, position)
        items.append(item)
    return Node(kind.decode(), b"", tuple(items)), position


def parse_value(raw: bytes) -> Any:
    """The ordinary Python value, through hiredis. Errors come back as `hiredis.ReplyError` objects, not raised."""
    reader = hiredis.Reader()
    reader.feed(raw)
    return reader.gets()
