"""The engine as the control plane drives it, without sockets: its own commands follow the rules that clients' do."""

from __future__ import annotations

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
    engine.set_setting("maxmemory", 0)
    assert engine.execute([b"SET", b"k", b"v"]) == b"+OK\r\n"
    assert engine.execute([b"BLPOP", b"list", b"0"]) == b"*-1\r\n"
