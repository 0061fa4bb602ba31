"""The engine as the control plane drives it, without sockets: its own commands follow the rules that clients' do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sherd import native
from sherd.server.commands import declare_commands


@pytest.mark.parametrize("shards", [1, 4])
def test_a_write_over_the_memory_limit_is_refused_whoever_has_it_executed(shards: int) -> None:
    """A command of the control plane used to be taken for one of a transaction, for which room has been made."""
    declare_commands()
    engine = native.Server(shards=shards, io_threads=1, cluster=False, settings={"maxmemory": 1})
    refusal = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    assert engine.execute([b"SET", b"k", b"v"]) == refusal
    assert engine.execute([b"GET", b"k"]) == b"$-1\r\n"
    assert engine.set_settings({"maxmemory": 0})
    assert engine.execute([b"SET", b"k", b"v"]) == b"+OK\r\n"
    assert engine.execute([b"BLPOP", b"list", b"0"]) == b"*-1\r\n"


def test_the_id_of_a_build_is_its_linkers_digest_or_that_of_its_bytes(tmp_path: Path) -> None:
    """Without a digest in the file, or with a part of one, the whole file is read."""
    note = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0"
    contents = {
        "built": (b"\x7fELF" + note + bytes(range(20)) + b"code", bytes(range(8)).hex()),
        "without": (b"\x7fELFcode", hashlib.sha256(b"\x7fELFcode").hexdigest()[:16]),
        "cut": (note + b"123", hashlib.sha256(note + b"123").hexdigest()[:16]),
    }
    for name, (content, expected) in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        assert native.build_id(file) == expected
    assert native.build_id(tmp_path / "nowhere") == "0" * 16
    own = native.build_id()
    assert len(own) == 16 and own != "0" * 16 and int(own, 16)
