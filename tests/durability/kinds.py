"""What a writer of the crash harness does: units of every kind of write, each of which follows from its number, so that another
server can be brought to where one was."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.wire import Wire

    Command = tuple[str, ...]

# Databases that one writer has for itself, whole ones, as some commands concern all keys of one.
databases_each = 4
names = 5
big = 700
# Milliseconds since the epoch: nothing expires while a test runs, or has before it began.
later_ms, past_ms = "4102444800000", "1000000000000"

python_commands = """
import sherd

@sherd.command("own.move", keys=2)
def move(call: sherd.Call, source: bytes, target: bytes, amount: int) -> object:
    call("DECRBY", source, amount)
    return call("INCRBY", target, amount)
"""

library = """#!lua name=library{writer}
redis.register_function('put{writer}', function(keys, args)
    redis.call('SET', keys[1], '{number}') return redis.call('LPUSH', keys[2], args[1])
end)"""
script = """
redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) redis.call('HSET', KEYS[3], ARGV[1], ARGV[1])
if redis.call('LLEN', KEYS[2]) > 20 then redis.call('LTRIM', KEYS[2], 5, -1) end
return 1"""


@dataclass
class Unit:
    """One writer's unit of a number: steps in their order, each of them all or nothing, and one after the other."""

    writer: int
    number: int

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.writer}:{self.number}")
        self.base = self.writer * databases_each
        self.is_transaction = self.random.random() < 0.5

    def key(self, kind: str) -> str:
        """One of a few keys of a kind, which lie in different shards."""
        return f"{kind}:{self.random.randrange(names)}"

    def elsewhere(self) -> str:
        """Another database of the writer's."""
        return str(self.base + self.random.randrange(1, databases_each))

    def steps(self) -> list[list[Command]]:
        """A step of several commands is a transaction. The last one says that the unit is over."""
        chosen = self.random.choices(_kinds, k=self.random.randrange(1, 4))
        commands = [command for kind in chosen for command in kind(self, str(self.number))]
        end = ("SET", "unit", str(self.number))
        return [[*commands, end]] if self.is_transaction else [*([command] for command in commands), [end]]


def _strings(unit: Unit, text: str) -> list[Command]:
    return [
        ("SET", unit.key("s"), text, "PXAT", later_ms), ("APPEND", unit.key("s"), "x"), ("INCRBYFLOAT", unit.key("f"), "0.5"),
        ("SETRANGE", unit.key("s"), "3", text), ("GETEX", unit.key("s"), "PERSIST"), ("PFADD", unit.key("p"), text),
        ("BITFIELD", unit.key("b"), "INCRBY", "u16", "#1", "7"), ("BITOP", "XOR", unit.key("b"), unit.key("b"), unit.key("s")),
    ]  # fmt: skip


def _names(unit: Unit, text: str) -> list[Command]:
    kind = unit.random.choice("slhzxt")
    return [
        ("RENAME", unit.key(kind), unit.key(kind)), ("COPY", unit.key(kind), unit.key(kind), "REPLACE"),
        ("COPY", unit.key(kind), f"{kind}:copy", "DB", unit.elsewhere(), "REPLACE"), ("RENAMENX", unit.key(kind), f"{kind}:new"),
        ("MOVE", f"{kind}:new", unit.elsewhere()), ("UNLINK", unit.key(kind)), ("SET", unit.key("s"), text),
    ]  # fmt: skip


def _databases(unit: Unit, text: str) -> list[Command]:
    first, second = unit.elsewhere(), unit.elsewhere()
    if not unit.is_transaction:
        return [("SWAPDB", first, second)]
    removal = [("FLUSHDB",)] if unit.random.random() < 0.2 else []
    return [("SWAPDB", first, second), ("SELECT", first), *removal, ("SET", "here", text), ("SELECT", str(unit.base))]


def _hashes(unit: Unit, text: str) -> list[Command]:
    key, field = unit.key("h"), str(unit.random.randrange(40))
    return [
        ("HSET", key, field, text, "stays", text), ("HPEXPIREAT", key, later_ms, "FIELDS", "1", field),
        ("HSETEX", key, "PXAT", later_ms, "FIELDS", "1", f"ex:{field}", text), ("HPERSIST", key, "FIELDS", "1", field),
        ("HPEXPIREAT", key, past_ms, "FIELDS", "1", str(unit.random.randrange(40))), ("HINCRBYFLOAT", key, "n", "1.5"),
        ("HGETDEL", key, "FIELDS", "1", str(unit.random.randrange(40))),
    ]  # fmt: skip


def _sets(unit: Unit, text: str) -> list[Command]:
    return [
        ("SADD", unit.key("t"), text, str(unit.number % 50)), ("SREM", unit.key("t"), str(unit.number % 49)),
        ("ZADD", unit.key("z"), text, str(unit.number % 60)), ("ZINCRBY", unit.key("z"), "0.25", str(unit.number % 7)),
        ("SUNIONSTORE", "t:union", unit.key("t"), unit.key("t")), ("ZUNIONSTORE", "z:union", "2", unit.key("z"), unit.key("t")),
        ("ZRANGESTORE", "z:range", "z:union", "0", "20"), ("SORT", unit.key("t"), "STORE", "l:sorted"),
        ("SMOVE", unit.key("t"), unit.key("t"), text), ("ZPOPMIN", unit.key("z")), ("SPOP", "t:union", "1000000"),
    ]  # fmt: skip


def _lists(unit: Unit, text: str) -> list[Command]:
    return [
        ("RPUSH", unit.key("l"), text, text), ("LMOVE", unit.key("l"), unit.key("l"), "LEFT", "RIGHT"),
        ("BLMOVE", unit.key("l"), unit.key("l"), "RIGHT", "LEFT", "0.001"), ("LINSERT", unit.key("l"), "BEFORE", text, "between"),
        ("BLMPOP", "0.001", "2", unit.key("l"), unit.key("l"), "LEFT", "COUNT", "2"), ("LTRIM", unit.key("l"), "0", "50"),
    ]  # fmt: skip


def _streams(unit: Unit, text: str) -> list[Command]:
    # An id may be used once, and a unit of several kinds may come here twice.
    key, group = unit.key("x"), unit.random.choice(("g", "h"))
    entry = f"{unit.number}-{unit.random.randrange(1, 1 << 30)}"
    return [
        ("XADD", key, "MAXLEN", "150", entry, "f", text), ("XGROUP", "CREATE", key, group, "0"),
        ("XREADGROUP", "GROUP", group, unit.random.choice("ab"), "COUNT", "3", "STREAMS", key, ">"),
        ("XACK", key, group, entry), ("XAUTOCLAIM", key, group, "c", "0", "0", "COUNT", "2"), ("XDEL", key, entry),
        ("XGROUP", "CREATECONSUMER", key, group, f"d{unit.number % 3}"), ("XSETID", key, f"{unit.number}-{1 << 31}"),
        ("XGROUP", "DELCONSUMER", key, group, f"d{unit.number % 5}"), ("XTRIM", key, "MAXLEN", "120"),
    ]  # fmt: skip


def _scripts(unit: Unit, text: str) -> list[Command]:
    number, key = str(unit.writer), unit.key("s")
    return [
        ("EVAL", script, "3", unit.key("n"), unit.key("l"), unit.key("h"), text),
        ("FUNCTION", "LOAD", "REPLACE", library.format(writer=number, number=unit.number % 9)),
        ("FCALL", f"put{number}", "2", key, unit.key("l"), text),
        ("OWN.MOVE", unit.key("n"), unit.key("n"), text),
    ]  # fmt: skip


def _times(unit: Unit, text: str) -> list[Command]:
    return [
        ("SET", unit.key("s"), text, "PXAT", past_ms), ("PEXPIREAT", unit.key("l"), later_ms), ("PEXPIREAT", unit.key("z"), past_ms),
        ("PERSIST", unit.key("l")), ("GETDEL", unit.key("s")), ("EXPIREAT", unit.key("x"), later_ms[:-3], "NX"),
    ]  # fmt: skip


def _big(unit: Unit, text: str) -> list[Command]:
    """Collections of which a snapshot saves one part after the other."""
    first = unit.random.randrange(20) * big
    elements = [f"{number}:{text}" for number in range(first, first + big)]
    return [
        unit.random.choice([
            ("RPUSH", "l:big", *elements), ("SADD", "t:big", *elements), ("HSET", "h:big", *elements),
            ("ZADD", "z:big", *(word for element in elements for word in (element.partition(":")[0], element))),
            ("LTRIM", "l:big", "300", "4000"), ("ZREMRANGEBYRANK", "z:big", "3000", "-1"), ("UNLINK", "t:big"), ("DEL", "h:big"),
        ]),
    ]  # fmt: skip


_kinds: list[Callable[[Unit, str], list[Command]]] = [
    _strings, _names, _names, _databases, _hashes, _sets, _lists, _streams, _streams, _scripts, _scripts, _times, _big,
]  # fmt: skip


def run_step(wire: Wire, step: list[Command]) -> None:
    """Executes a step. What the server does not refuse in general is no failure: a key may be of another kind."""
    lines = step if len(step) == 1 else [("MULTI",), *step, ("EXEC",)]
    for reply in wire.pipeline(lines):
        if reply.is_error and reply.raw.startswith(
            (b"-MISCONF", b"-EXECABORT", b"-READONLY", b"-LOADING", b"-ERR internal")
        ):
            raise RefusedError(reply.raw.decode(errors="replace"))


class RefusedError(Exception):
    """The server executes no writes now; the step was not executed."""


def state_of(wire: Wire, writer: int) -> dict[str, object]:
    """All that a writer has, but for times at which something was done."""
    state: dict[str, object] = {}
    for database in range(writer * databases_each, (writer + 1) * databases_each):
        wire.call("SELECT", str(database))
        keys = sorted(wire.value("KEYS", "*"))
        digests = wire.value("DEBUG", "DIGEST-VALUE", *keys) if keys else []
        times = [reply.value for reply in wire.pipeline([("PEXPIRETIME", key) for key in keys])] if keys else []
        for key, digest, time in zip(keys, digests, times, strict=True):
            state[f"{database}:{key.decode()}"] = (digest, time, _extra(wire, key))
    state["library"] = wire.value("FUNCTION", "LIST", "LIBRARYNAME", f"library{writer}", "WITHCODE")
    return state


def _extra(wire: Wire, key: bytes) -> object:
    match wire.value("TYPE", key):
        case b"hash":
            fields = sorted(wire.value("HKEYS", key))
            return wire.value("HPEXPIRETIME", key, "FIELDS", str(len(fields)), *fields)
        case b"stream":
            groups = wire.value("XINFO", "GROUPS", key)
            pending = [wire.value("XPENDING", key, group[1], "-", "+", "1000000") for group in groups]
            consumers = [wire.value("XINFO", "CONSUMERS", key, group[1]) for group in groups]
            owned = [[(entry[0], entry[1], entry[3]) for entry in entries] for entries in pending]
            return groups, owned, [[consumer[1] for consumer in found] for found in consumers]
        case _:
            return None
