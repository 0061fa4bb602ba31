"""RDB files cross between Sherd and real servers, in both directions, and hold the same."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.durability.test_snapshots import fill
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


def contents(wire: Wire) -> dict[bytes, bytes]:
    """Type, expiry and value of every key of both databases."""
    found: dict[bytes, bytes] = {}
    for number in ("0", "3"):
        wire.call("SELECT", number)
        for key in sorted(wire.value("KEYS", "*")):
            kind = wire.value("TYPE", key)
            read: dict[object, tuple[str, ...]] = {
                b"string": ("GET",), b"list": ("LRANGE", "0", "-1"), b"set": ("SORT", "ALPHA"),
                b"hash": ("HGETALL",), b"zset": ("ZRANGE", "0", "-1", "WITHSCORES"), b"stream": ("XRANGE", "-", "+"),
            }  # fmt: skip
            name, *rest = read[kind]
            reply = wire.call(name, key, *rest)
            value = repr(sorted(reply.value)) if kind == b"hash" else repr(reply.value)
            if kind == b"zset":
                # Redis 7.0 shows more digits of the same score.
                value = repr(
                    [(member, float(score)) for member, score in zip(reply.value[::2], reply.value[1::2], strict=True)]
                )
            found[number.encode() + b":" + key] = b"%s %s %s" % (
                kind, value.encode(), wire.call("PEXPIRETIME", key).raw,
            )  # fmt: skip
    return found


def fill_for(wire: Wire, name: str) -> None:
    fill(wire)
    if name != "redis8":
        # Fields that expire are written as Redis 8 does; the others refuse the whole file.
        wire.call("HPERSIST", "hash:3", "FIELDS", "1", "field 1")
        wire.call("DEL", "hash:3")


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("name", reference_names)
def test_a_real_server_loads_what_sherd_has_saved(tmp_path: Path, name: str, shards: int) -> None:
    program = need_reference(name)
    with Server(shape=Shape(shards, 2), directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        fill_for(wire, name)
        assert wire.call("SAVE").raw == b"+OK\r\n"
        expected = contents(wire)
    with Server(program, directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        assert contents(wire) == expected


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("name", reference_names)
def test_sherd_loads_what_a_real_server_has_saved(tmp_path: Path, name: str, shards: int) -> None:
    program = need_reference(name)
    with Server(program, directives={"dir": str(tmp_path)}) as server, server.wire() as wire:
        fill(wire)
        assert wire.call("SAVE").raw == b"+OK\r\n"
        expected = contents(wire)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "dump.rdb", copy)
    with Server(shape=Shape(shards, 2), directives={"dir": str(copy)}) as server, server.wire() as wire:
        assert contents(wire) == expected
