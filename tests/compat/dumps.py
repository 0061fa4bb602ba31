"""What the DUMP payloads of two servers are compared by.

Their bytes cannot be: each version of Redis writes its own number into the footer, each LZF compressor finds other repeats,
hash tables are written in the order of their buckets, and Sherd chooses formats that Redis 7.0 reads already, where newer
servers have newer ones for the same value (sets in listpacks, streams with the time of a consumer's last success). What
no server has a choice in are the packed encodings: integers, listpacks and intsets, once they are expanded. So those are
compared byte for byte wherever both servers wrote the same one, which says that the encodings in memory agree down to
the width of each integer; of everything else the engine compares what it becomes when the other server restores it.
"""

from __future__ import annotations

from dataclasses import dataclass

footer_bytes = 10

# Numbers of RDB formats.
of_string, of_intset, of_hash_listpack, of_zset_listpack, of_quicklist, of_set_listpack = 0, 11, 16, 17, 18, 20
of_hash_metadata = 24
of_hash_listpack_metadata = 25

_one_block = (of_string, of_intset, of_hash_listpack, of_zset_listpack, of_set_listpack)

Packed = tuple[int, tuple[bytes, ...]]
"""The format's number, and the expanded blocks."""


def find_packed(payload: bytes) -> Packed | None:
    """The expanded blocks of a payload whose format leaves no choice; None for the others."""
    kind = payload[0]
    reader = _Reader(payload[1:-footer_bytes])
    if kind in _one_block:
        return kind, (reader.string(),)
    if kind == of_quicklist:
        blocks = []
        for _ in range(reader.length()):
            container = b"%d" % reader.length()
            blocks += [container, reader.string()]
        return kind, tuple(blocks)
    return None


def same_packed(mine: bytes, other: bytes, reference: str) -> bool:
    """Whether two payloads have the same blocks, as far as they are comparable."""
    packed, other_packed = find_packed(mine), find_packed(other)
    if packed is None or other_packed is None or packed[0] != other_packed[0]:
        return True
    # Redis 7.0 writes scores with seventeen digits.
    return packed == other_packed or (reference == "redis7" and packed[0] == of_zset_listpack)


def is_readable_by(reference: str, payload: bytes) -> bool:
    """Whether a reference knows the format: those of fields that expire are no two servers' common ones."""
    return payload[0] not in (of_hash_metadata, of_hash_listpack_metadata) or reference == "redis8"


@dataclass
class _Reader:
    data: bytes
    position: int = 0

    def take(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]

    def length(self) -> int:
        first = self.take(1)[0]
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.take(1)[0]
        return int.from_bytes(self.take(4 if first == 0x80 else 8))

    def string(self) -> bytes:
        first = self.data[self.position]
        if first in (0xC0, 0xC1, 0xC2):
            self.position += 1
            return b"%d" % int.from_bytes(self.take(1 << (first - 0xC0)), "little", signed=True)
        if first == 0xC3:
            self.position += 1
            compressed, plain = self.length(), self.length()
            text = _expand(self.take(compressed))
            assert len(text) == plain
            return text
        return self.take(self.length())


def _expand(data: bytes) -> bytes:
    """What LZF made small."""
    text = bytearray()
    position = 0
    while position < len(data):
        control = data[position]
        position += 1
        if control < 32:
            text += data[position : position + control + 1]
            position += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[position]
            position += 1
        start = len(text) - ((control & 0x1F) << 8 | data[position]) - 1
        position += 1
        for at in range(start, start + length + 2):
            text.append(text[at])
    return bytes(text)
