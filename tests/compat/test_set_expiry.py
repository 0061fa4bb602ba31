"""Members of sets that expire: no released reference has them, so what is to be answered is written down.

Each table is a title, then commands with their replies in brackets; a command without one is only run. `~n` is a number of
at most n, less the seconds that have really passed since the table began; a reply `{a, b}` is a set, in any order.
"""

from __future__ import annotations

import ast
import math
import time
from typing import TYPE_CHECKING

import pytest

from tests.compat.script import split_arguments
from tests.protocol.test_limits import eventually

if TYPE_CHECKING:
    from tests.support.wire import Reply, Wire

pytestmark = pytest.mark.sherd_only

wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value"

# How the sets of a table are stored: limits for both small forms, and what the members are called instead.
encodings = {
    "listpack": ({"set-max-listpack-entries": "128", "set-max-intset-entries": "512"}, {}),
    "intset": ({"set-max-listpack-entries": "128", "set-max-intset-entries": "512"}, {"a": "1", "b": "2", "c": "3"}),
    "hashtable": ({"set-max-listpack-entries": "0", "set-max-intset-entries": "0"}, {}),
}

TABLES = r"""
# SEXPIRE and its kin set a time to live for members
SADD s a b c                                        => 3
SEXPIRE s 1000 MEMBERS 2 a none                     => [1, -2]
STTL s MEMBERS 3 a b none                           => [~1000, -1, -2]
SPEXPIRE s 100000000 NX MEMBERS 2 a b               => [0, 1]
SPTTL s MEMBERS 1 c                                 => [-1]
SEXPIREAT s 4000000000 XX MEMBERS 1 a               => [1]
SEXPIRETIME s MEMBERS 2 a c                         => [4000000000, -1]
SPEXPIREAT s 5000000000001 MEMBERS 1 a GT           => [1]
SPEXPIRETIME s MEMBERS 1 a                          => [5000000000001]
SEXPIRETIME s MEMBERS 1 a                           => [5000000001]
SPEXPIREAT s 5000000000001 LT MEMBERS 1 a           => [0]
SEXPIRE s 1000 GT MEMBERS 1 c                       => [0]
SEXPIRE s 1000 LT MEMBERS 1 c                       => [1]
SPERSIST s MEMBERS 3 a none a                       => [1, -2, -1]
STTL s MEMBERS 1 a                                  => [-1]
SMEMBERS s                                          => {a, b, c}
SEXPIRE none 1000 MEMBERS 2 a b                     => [-2, -2]
EXISTS none                                         => 0

# A moment that has passed removes the member
SADD s a b                                          => 2
SPEXPIREAT s 1 MEMBERS 2 a a                        => [2, -2]
SMEMBERS s                                          => {b}
SEXPIRE s 0 MEMBERS 1 b                             => [2]
EXISTS s                                            => 0

# SADDEX adds members with a time to live, all or none
SADDEX s MXX EX 1000 MEMBERS 1 a                    => 0
EXISTS s                                            => 0
SADDEX s EX 1000 MEMBERS 2 a b                      => 1
SADDEX s MNX EX 1000 MEMBERS 2 b c                  => 0
SADDEX s KEEPTTL MEMBERS 2 a c                      => 1
STTL s MEMBERS 3 a b c                              => [~1000, ~1000, -1]
SADDEX s MEMBERS 1 a                                => 1
STTL s MEMBERS 1 a                                  => [-1]
SADDEX s MXX PXAT 5000000000000 MEMBERS 2 a c       => 1
SPEXPIRETIME s MEMBERS 2 a c                        => [5000000000000, 5000000000000]
SADDEX s PX 0 MEMBERS 3 a b c                       => 1
EXISTS s                                            => 0

# What other commands do to the times
SADDEX s EX 1000 MEMBERS 2 a b                      => 1
SADD s a c                                          => 1
STTL s MEMBERS 2 a c                                => [~1000, -1]
SREM s a                                            => 1
SADD s a                                            => 1
STTL s MEMBERS 1 a                                  => [-1]
SMOVE s other b                                     => 1
STTL other MEMBERS 1 b                              => [~1000]
COPY other copy                                     => 1
RENAME other new                                    => "OK"
STTL copy MEMBERS 1 b                               => [~1000]
STTL new MEMBERS 1 b                                => [~1000]
SUNIONSTORE union s new                             => 3
STTL union MEMBERS 3 a b c                          => [-1, -1, -1]

# Expired members are gone for every command
SADD all a b c                                      => 3
SADD s a b c                                        => 3
SPEXPIRE s 20 MEMBERS 2 a b                         => [1, 1]
WAIT_A_MOMENT
SISMEMBER s a                                       => 0
SMISMEMBER s a b c                                  => [0, 0, 1]
SMEMBERS s                                          => {c}
SCARD s                                             => 1
STTL s MEMBERS 2 a c                                => [-2, -1]
SINTER s all                                        => {c}
SDIFF all s                                         => {a, b}
SUNION s none                                       => {c}
SINTERCARD 2 all s                                  => 1
SORT s ALPHA                                        => ["c"]
SPOP s 5                                            => {c}
EXISTS s                                            => 0

# Mistakes are refused
SADD s a                                            => 1
SET string v                                        => "OK"
SEXPIRE string 10 MEMBERS 1 a                       => WRONGTYPE
STTL string MEMBERS 1 a                             => WRONGTYPE
SPERSIST string MEMBERS 1 a                         => WRONGTYPE
SADDEX string MEMBERS 1 a                           => WRONGTYPE
SEXPIRE s abc MEMBERS 1 a                           => ERR value is not an integer or out of range
SEXPIRE s -1 MEMBERS 1 a                            => ERR invalid expire time, must be >= 0
SEXPIRE s 9223372036854775807 MEMBERS 1 a           => ERR invalid expire time in 'sexpire' command
SEXPIRE s 10 NX XX MEMBERS 1 a                      => ERR Multiple condition flags specified
SEXPIRE s 10 MEMBERS 0 a                            => ERR Parameter `numMembers` should be greater than 0
SEXPIRE s 10 MEMBERS 2 a                            => ERR wrong number of arguments
SEXPIRE s 10 FIELDS 1 a                             => ERR unknown argument: FIELDS
SEXPIRE s 10 NX XX LT                               => ERR missing MEMBERS argument
STTL s FIELDS 1 a                                   => ERR Mandatory argument MEMBERS is missing or not at the right position
STTL s MEMBERS 0 a                                  => ERR Number of members must be a positive integer
SPERSIST s MEMBERS 2 a                              => ERR The `nummembers` parameter must match the number of arguments
SADDEX s EX 1 PX 1 MEMBERS 1 a                      => ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
SADDEX s MNX MXX MEMBERS 1 a                        => ERR Only one of MXX or MNX arguments can be specified
STTL s MEMBERS 1 a                                  => [-1]
"""


def _tables() -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for block in TABLES.strip().split("\n\n"):
        title, *lines = block.splitlines()
        tables[title.removeprefix("# ")] = lines
    return tables


tables = _tables()


def _plain(value: object) -> object:
    """Bytes as text, sets as sorted lists, at any depth."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    if isinstance(value, (set, frozenset)):
        return sorted(str(_plain(element)) for element in value)
    return value


def _check(line: str, reply: Reply, expected: str, names: dict[str, str], passed_seconds: float) -> None:
    if expected.startswith(("ERR ", "WRONGTYPE")):
        text = wrong_type if expected == "WRONGTYPE" else expected
        assert reply.raw == f"-{text}\r\n".encode(), line
        return
    value = _plain(reply.value)
    if expected.startswith("{"):
        assert isinstance(value, list), line
        wanted = [names.get(name, name) for name in expected.strip("{}").split(", ")]
        assert sorted(map(str, value)) == sorted(wanted), line
    elif "~" in expected:
        assert isinstance(value, list), line
        for number, word in zip(value, expected.strip("[]").split(", "), strict=True):
            most = int(word.removeprefix("~"))
            # Rounding adds at most one on either side.
            allowance = math.ceil(passed_seconds) + 1 if word.startswith("~") else 0
            assert most - allowance <= number <= most, line
    else:
        wanted_value = ast.literal_eval(expected)
        if wanted_value == ["c"]:
            wanted_value = [names.get("c", "c")]
        assert value == wanted_value, line


@pytest.mark.parametrize("encoding", encodings)
@pytest.mark.parametrize("title", tables)
def test_members_expire_as_written_down(wire: Wire, title: str, encoding: str) -> None:
    """Every table, whichever way the sets begin."""
    settings, names = encodings[encoding]
    defaults = {name: wire.value("CONFIG", "GET", name) for name in settings}
    before = {name: pair[name.encode()] if isinstance(pair, dict) else pair[1] for name, pair in defaults.items()}
    try:
        for name, value in settings.items():
            wire.call("CONFIG", "SET", name, value)
        begun = time.monotonic()
        for line in tables[title]:
            command, _, expected = line.partition("=>")
            words = [names.get(word.decode(), word.decode()) for word in split_arguments(command.strip().encode())]
            if words == ["WAIT_A_MOMENT"]:
                time.sleep(0.05)
                continue
            reply = wire.call(*words)
            if expected:
                _check(line, reply, expected.strip(), names, time.monotonic() - begun)
    finally:
        for name, value in before.items():
            wire.call("CONFIG", "SET", name, value)


def _info(wire: Wire, section: str) -> dict[str, str]:
    lines = wire.value("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_members_disappear_without_being_touched_and_are_counted(wire: Wire) -> None:
    """SCARD falls and keys go by themselves; INFO tells how many keys have such members, and how many members have gone."""
    before = int(_info(wire, "stats")["expired_subkeys"])
    fields_before = int(_info(wire, "stats")["expired_fields"])
    for number in range(20):
        wire.call("SADD", f"set:{number}", *(f"m{member}" for member in range(300)))
        wire.call("SPEXPIRE", f"set:{number}", "60", "MEMBERS", "200", *(f"m{member}" for member in range(200)))
        wire.call("SADDEX", f"gone:{number}", "PX", "60", "MEMBERS", "2", "a", "b")
    wire.call("HSETEX", "hash", "PX", "60", "FIELDS", "1", "f", "v")
    wire.call("SADDEX", "stays", "EX", "1000", "MEMBERS", "1", "a")
    eventually(lambda: wire.value("DBSIZE") == 21, "keys whose members have all expired are gone")
    eventually(lambda: all(wire.value("SCARD", f"set:{n}") == 100 for n in range(20)), "members are gone")
    assert int(_info(wire, "stats")["expired_subkeys"]) - before == 20 * 200 + 20 * 2 + 1
    assert int(_info(wire, "stats")["expired_fields"]) - fields_before == 1
    assert _info(wire, "keyspace")["db0"].endswith("subexpiry=1")
    wire.call("SPERSIST", "stays", "MEMBERS", "1", "a")
    assert _info(wire, "keyspace")["db0"].endswith("subexpiry=0")


def test_a_dumped_set_keeps_its_times(wire: Wire) -> None:
    """RESTORE of what Sherd has dumped; without times the payload is the one that every server reads."""
    wire.call("SADD", "s", "a", "b")
    plain = wire.value("DUMP", "s")
    wire.call("SEXPIREAT", "s", "4000000000", "MEMBERS", "1", "a")
    timed = wire.value("DUMP", "s")
    assert plain[0] == 2
    assert timed[0] == 200
    assert wire.call("RESTORE", "copy", "0", timed).raw == b"+OK\r\n"
    assert wire.value("SEXPIRETIME", "copy", "MEMBERS", "2", "a", "b") == [4000000000, -1]
    assert wire.call("RESTORE", "bad", "0", timed[:-1] + b"x").raw.startswith(b"-ERR DUMP payload version or checksum")
