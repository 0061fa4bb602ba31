"""What users may do, over every command line that the tables have: as the references judge it, and when it is tried."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

import pytest

import tests.compat.cases
from tests.compat.differences import is_accident
from tests.compat.examples import EXAMPLES
from tests.compat.script import parse_cases, split_arguments
from tests.compat.test_key_flags import command_lines
from tests.support.references import need_reference
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

Line = tuple[bytes, ...]

# Keys of the tables are mostly k, k1, k2, ...; channels are c, d, one, two.
_USERS = {
    "all": "+@all allkeys allchannels",
    "nothing": "",
    "keys": "+@all ~k1 ~k2 ~{a}* &c*",
    "readers": "+@all %R~* %W~k1 &*",
    "writers": "+@all %W~* %R~k1",
    "reading": "+@read +@connection ~k*",
    "writing": "+@write -@string +set allkeys",
    "fast": "+@fast -@write (+@write ~k1)",
    "selected": "(+@read ~k1) (+@write %W~k2) (+@pubsub &one)",
    "subcommands": "+config|get +object|encoding +xinfo|stream +client -client|kill +select|1 allkeys",
    "undangerous": "+@all -@dangerous -@admin ~* &*",
}
# Command lines whose keys the references do not find, or not all of them, though one may be used; Sherd looks at what may be one.
EXCUSED = re.compile(
    rb"CLUSTERSCAN |DELIFEQ |MSETEX |HGETDEL |DIGEST |INCREX |HSETEX "
    rb"|PFMERGE \S+$|Z(UNION|INTER|DIFF)STORE \S+ (0|abc|-?\d+) \S+$|MIGRATE h 1 k 0 100 KEYS|GEORADIUS k 1 2 3 m STORE d STOREDIST e",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(rb"-ERR (Command|wrong number|unknown)")


_TOGETHER = 500
"""Questions that are sent before their answers are read."""


def _ask(server: Server, lines: list[Line]) -> dict[tuple[str, Line], bytes]:
    answers: dict[tuple[str, Line], bytes] = {}
    with server.wire(timeout_seconds=60) as wire:
        for name, rules in _USERS.items():
            assert wire.call("ACL", "SETUSER", name, "reset", *rules.split()).raw == b"+OK\r\n"
            for start in range(0, len(lines), _TOGETHER):
                part = lines[start : start + _TOGETHER]
                replies = wire.pipeline([(b"ACL", b"DRYRUN", name.encode(), *line) for line in part])
                answers |= {(name, line): reply.raw for line, reply in zip(part, replies, strict=True)}
        wire.call("ACL", "DELUSER", *_USERS)
    return answers


def test_users_may_do_what_they_may_with_the_reference(pool: ServerPool, reference_name: str) -> None:
    """ACL DRYRUN of every command line of the tables, for users of all sorts."""
    if reference_name == "redis7":
        pytest.skip("the answers have had the user's name in them since Redis 7.2")
    lines = [line for line in command_lines() if not is_accident(reference_name, line)]
    theirs = _ask(pool.get(need_reference(reference_name)), lines)
    ours = _ask(pool.get(shape=Shape()), lines)
    different = [
        f"{name}: {line!r}\n    expected {expected!r}\n    got      {ours[name, line]!r}"
        for (name, line), expected in theirs.items()
        if expected != ours[name, line]
        and not _UNKNOWN.match(expected)
        and not _UNKNOWN.match(ours[name, line])
        and not EXCUSED.match(b" ".join(line))
    ]
    assert not different, "\n".join([f"{len(different)} differ from {reference_name}:", *different[:60]])


_KEY = re.compile(rb"k[1-3]")
# What the examples leave out: keys in odd places, and commands that only look.
_MORE = """
OBJECT ENCODING k1
OBJECT FREQ k1
OBJECT IDLETIME k1
OBJECT REFCOUNT k1
MEMORY USAGE k1
DUMP k1
RESTORE k1 0 x REPLACE
SORT k1 STORE k2
SORT k1 LIMIT 0 1 GET # BY nosort STORE k2
GEORADIUS k1 1 2 3 m STORE k2
GEORADIUS k1 1 2 3 m STOREDIST k2
GEORADIUSBYMEMBER k1 a 3 m STORE k2
XREAD COUNT 1 STREAMS k1 k2 0 0
XREADGROUP GROUP g c STREAMS k1 >
XREADGROUP COUNT 1 GROUP STREAMS c STREAMS k1 >
XREADGROUP NOACK GROUP STREAMS STREAMS STREAMS k1 k2 > >
XINFO STREAM k1
XGROUP CREATE k1 g $
EVAL "return redis.call('GET', KEYS[1])" 1 k1
EVAL_RO "return redis.call('GET', KEYS[1])" 2 k1 k2
EVALSHA 0123456789012345678901234567890123456789 1 k1
MIGRATE 127.0.0.1 1 k1 0 10
MIGRATE 127.0.0.1 1 "" 0 10 KEYS k1 k2
MIGRATE 127.0.0.1 1 k1 0 10 AUTH2 KEYS allowed:x
WATCH k1 k2
SET k1 x GET
SET k1 x KEEPTTL
BITFIELD k1 GET u8 0
BITFIELD k1 SET u8 0 1
BITOP AND k1 k2 k3
COPY k1 k2 DB 1
LMPOP 1 k1 LEFT
ZMPOP 2 k1 k2 MIN
BLMPOP 0.01 2 k1 k2 LEFT
BZMPOP 0.01 1 k1 MIN
ZINTERCARD 2 k1 k2
SINTERCARD 2 k1 k2 LIMIT 1
ZDIFFSTORE k1 2 k2 k3
"""


def _attempts() -> Iterator[tuple[Line, int]]:
    """Every example with one key that is not allowed, and the place of that."""
    more = [split_arguments(line.encode()) for line in _MORE.strip().splitlines()]
    for line in [*EXAMPLES.values(), *more]:
        places = [place for place, word in enumerate(line) if _KEY.fullmatch(word)]
        for place in places:
            renamed = list(line)
            for other in places:
                renamed[other] = (b"other:{s}" if other == place else b"allowed:{s}") + line[other]
            yield tuple(renamed), place


def _spellings(line: Line) -> Iterator[Line]:
    yield line
    yield (line[0].swapcase(), *line[1:])
    yield tuple(word if word.startswith((b"other:", b"allowed:")) else word.lower() for word in line)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with a user for keys of its own, and keys that are not: one of each type under each name."""
    with Server(shape=Shape(shards=4, io_threads=2), directives={"enable-debug-command": "yes"}) as server:
        with server.wire() as admin:
            rules = ("on", "nopass", "+@all", "allchannels", "~allowed:*")
            assert admin.call("ACL", "SETUSER", "guest", *rules).raw == b"+OK\r\n"
        yield server


def _fill(admin: Wire, name: str) -> None:
    """The same keys again, whatever was done to those of the guest."""
    admin.call("FLUSHALL")
    makers = (
        ("SET", "{}", "1"), ("RPUSH", "{}", "a", "b"), ("SADD", "{}", "a", "b"), ("ZADD", "{}", "1", "a"),
        ("HSET", "{}", "f", "1"), ("XADD", "{}", "1-1", "f", "v"),
    )  # fmt: skip
    kind = int(name)
    for prefix in ("allowed:{s}", "other:{s}"):
        for key in ("k1", "k2", "k3"):
            admin.call(*(word.replace("{}", prefix + key) for word in makers[kind]))


@pytest.mark.parametrize("way", ["alone", "in a transaction", "in a script"])
def test_no_command_reaches_a_key_that_is_not_allowed(guarded: Server, way: str) -> None:
    """Every command with keys, in all spellings, by every way: refused, and the key stays what it was."""
    attempts = list(_attempts())
    assert len(attempts) > 200
    with guarded.wire() as admin:
        for kind in range(6):
            _fill(admin, str(kind))
            before = admin.value("DEBUG", "DIGEST-VALUE", *_others())
            with guarded.wire() as guest:
                assert guest.call("AUTH", "guest", "x").raw == b"+OK\r\n"
                for line, _ in attempts:
                    for spelled in _spellings(line) if kind == 0 else [line]:
                        _try(guest, spelled, way)
            assert admin.value("DEBUG", "DIGEST-VALUE", *_others()) == before, kind


def _others() -> list[str]:
    return [f"other:{{s}}{key}" for key in ("k1", "k2", "k3")]


_NOT_IN_SCRIPTS = b"is not allowed from script"


def _try(guest: Wire, line: Line, way: str) -> None:
    if way == "alone":
        reply = guest.call(*line).raw
        assert reply.startswith(b"-NOPERM"), (line, reply)
    elif way == "in a transaction":
        guest.call("MULTI")
        reply = guest.call(*line).raw
        assert reply.startswith(b"-NOPERM") or b"inside a transaction" in reply or b"inside MULTI" in reply, (
            line,
            reply,
        )
        assert guest.call("EXEC").raw.startswith(b"-EXECABORT") or b"inside" in reply, (line, reply)
        guest.call("DISCARD")
    else:
        # Nothing is declared: what the script calls is checked.
        reply = guest.call("EVAL", "return redis.call(unpack(ARGV))", "0", *line).raw
        assert b"ACL failure in script" in reply or _NOT_IN_SCRIPTS in reply or b"unpack" in reply, (line, reply)


def test_the_tables_have_the_lines_that_are_asked_about() -> None:
    """Lines of all families, and those with odd places of keys."""
    modules = [module.name for module in pkgutil.iter_modules(tests.compat.cases.__path__)]
    tables = [getattr(importlib.import_module(f"tests.compat.cases.{name}"), "CASES", "") for name in modules]
    lines = set(command_lines())
    steps = {step.arguments for table in tables if table for case in parse_cases(table) for step in case.steps}
    assert {step for step in steps if len(step) > 1} <= lines
    assert len(lines) > 2000
