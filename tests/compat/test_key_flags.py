"""COMMAND GETKEYSANDFLAGS names the keys of a command line, and what is done to each, as the references do."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

import tests.compat.cases
from tests.compat.script import parse_cases, split_arguments
from tests.conftest import shapes
from tests.support.references import need_reference

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Reply

Line = tuple[bytes, ...]

# What the tables do not say, or no server would execute.
_MORE = """
SET k
SET k v GET
SET k v get
SET k v EX 10 NX GET
SET k v GET GET
SET k v EX GET
SET k GET
SETEX k 10 v
BITFIELD k
BITFIELD k GET u8 0
BITFIELD k get u8 0 GET u8 8
BITFIELD k GET u8
BITFIELD k GET u8 0 SET u8 0 1
BITFIELD k OVERFLOW SAT
BITFIELD k OVERFLOW SAT GET u8 0
BITFIELD k GET u8 0 OVERFLOW
BITFIELD k GET u8 0 WHAT
BITFIELD k INCRBY u8 0
BITFIELD k set u8 0 1
BITFIELD_RO k GET u8 0
SORT k
SORT k STORE d
SORT k STORE
SORT k STORE d STORE e
SORT k BY store GET x LIMIT 0 store STORE d
SORT k LIMIT 0
SORT k BY
SORT k WHAT STORE d
SORT_RO k BY w_* GET #
GEORADIUS k 1 2 3 m
GEORADIUS k 1 2 3 m STORE d
GEORADIUS k 1 2 3 m STOREDIST d
GEORADIUS k 1 2 3 m STORE d STOREDIST e
GEORADIUS k 1 2 3 m STORE
GEORADIUS k 1 2 3 m COUNT 1 STORE d
GEORADIUSBYMEMBER k m 3 m STORE d
GEORADIUS_RO k 1 2 3 m
PFMERGE d
PFMERGE d k1 k2
PFCOUNT k1 k2
PFDEBUG GETREG k
BITOP AND d k1 k2
BITOP NOT d
XREAD STREAMS k1 k2 0 0
XREAD COUNT 1 STREAMS k 0
XREAD STREAMS k
XREAD STREAMS
XREAD BLOCK 0 COUNT 1 STREAMS k1 k2 0
XREADGROUP GROUP g c STREAMS k1 >
XREADGROUP GROUP g c COUNT 1 NOACK STREAMS k1 k2 > 0
XGROUP CREATE k g 0
XINFO STREAM k
XAUTOCLAIM k g c 0 0
EVAL s 0
EVAL s 1 k a
MIGRATE h 1 k 0 100
MIGRATE h 1 "" 0 100 KEYS k1 k2
MIGRATE h 1 "" 0 100 COPY REPLACE AUTH p KEYS k1
MIGRATE h 1 "" 0 100 AUTH2 u p KEYS k1 k2
MIGRATE h 1 "" 0 100
MIGRATE h 1 k 0 100 KEYS k1
MIGRATE h 1 "" 0 100 KEYS
COPY k d DB 1 REPLACE
MSET k1 a k2
MSETNX k1 a k2 b
MSETEX 2 k1 a k2 b EX 10
MSETEX 1 k1 a k2 b
LMPOP 0 LEFT
LMPOP -1 k LEFT
LMPOP abc k LEFT
BLMPOP 0 2 k1 k2 LEFT
BLPOP k1 k2 0
BLPOP 0
BRPOPLPUSH k1 k2 0
BLMOVE k1 k2 LEFT LEFT 0
BZPOPMIN k1 k2 0
BZMPOP 0 2 k1 k2 MIN
ZUNION 2 k1 k2
ZDIFF 0
ZDIFFSTORE d 1 k
ZINTERCARD 1 k
ZRANGESTORE d k 0 1
SINTERCARD 2 k1 k2
SMOVE k1 k2 m
SDIFFSTORE d k1
SDIFFSTORE d
HSETEX k FIELDS 1 f v
HGETEX k PERSIST FIELDS 1 f
HGETDEL k FIELDS 1 f
HEXPIRE k 10 FIELDS 1 f
LCS k1 k2 LEN
GETEX k
GETEX k PERSIST
GETDEL k
DELIFEQ k v
SET k v IFEQ w
SET k v IFEQ get
RESTORE k 0 x
RESTORE k 0 x REPLACE
DUMP k
OBJECT FREQ k
MEMORY USAGE k
MEMORY DOCTOR x
DEBUG OBJECT k
TOUCH k1 k2
UNLINK k1 k2
EXISTS k k
RENAMENX k1 k2
MOVE k 1
WATCH k1 k2
EXPIRE k 10 NX
CLUSTER KEYSLOT k
CLUSTERSCAN 0
SCAN 0
KEYS *
PUBLISH c m
GEOSEARCHSTORE d k FROMMEMBER m BYRADIUS 1 m
"""

# Where one of the references differs from the others; Sherd follows Redis 8.0 if that has a say.
_excused = {
    "redis7": re.compile(rb"SINTERSTORE |ZRANK |ZREVRANK |GEORADIUS k 1 2 3 m STORE d STOREDIST e"),
    "redis8": re.compile(rb"GEORADIUS k 1 2 3 m STORE d STOREDIST e"),
    "valkey9": re.compile(rb"HSETEX "),
}
_unknown = b"-ERR Invalid command specified\r\n"


def command_lines() -> list[Line]:
    """Every command line of the case tables, once, and those above."""
    found: dict[Line, None] = {}
    for module in pkgutil.iter_modules(tests.compat.cases.__path__):
        names = vars(importlib.import_module(f"tests.compat.cases.{module.name}"))
        for table in (names.get("CASES"), names.get("CHANGES")):
            for case in parse_cases(table) if table else []:
                # That one word is too few, Redis 7.0 tells otherwise.
                found |= dict.fromkeys(step.arguments for step in case.steps if len(step.arguments) > 1)
    return [*found, *(split_arguments(line.encode()) for line in _MORE.strip().splitlines())]


def _keys(reply: Reply) -> object:
    if reply.is_error:
        return reply.raw
    return [(key, frozenset(flags)) for key, flags in reply.value]


def _ask(server: Server, lines: list[Line]) -> list[object]:
    with server.wire(timeout_seconds=60) as wire:
        return [_keys(reply) for reply in wire.pipeline([(b"COMMAND", b"GETKEYSANDFLAGS", *line) for line in lines])]


def test_keys_and_flags_of_every_command_line_are_those_of_the_reference(pool: ServerPool, reference_name: str) -> None:
    """Flags that depend on the arguments, errors of lines without keys, all but commands that one of them lacks."""
    lines = command_lines()
    theirs = _ask(pool.get(need_reference(reference_name)), lines)
    ours = _ask(pool.get(shape=shapes["1-shard"]), lines)
    excused = _excused[reference_name]
    different = [
        f"{line!r}\n    expected {expected!r}\n    got      {got!r}"
        for line, expected, got in zip(lines, theirs, ours, strict=True)
        if got != expected and _unknown not in (got, expected) and not excused.match(b" ".join(line))
    ]
    assert not different, "\n".join([f"differs from {reference_name}:", *different])
