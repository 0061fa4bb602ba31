"""Commands in Python that the tests of `test_python_commands` call; a server loads this file."""

from __future__ import annotations

import enum
import time

import sherd


class Order(enum.Enum):
    """An enumeration as a parameter."""

    UP = "up"
    DOWN = "down"


@sherd.command("rate.limit", keys=1, flags="write fast", summary="Counts a hit and tells whether it may pass.")
def rate_limit(call: sherd.Call, key: bytes, limit: int, window_seconds: int) -> bool:
    hits = call("INCR", key)
    if hits == 1:
        call("EXPIRE", key, window_seconds)
    return hits <= limit


@sherd.command("test.types", flags="readonly")
def types(
    call: sherd.Call,
    raw: bytes,
    text: str,
    number: int,
    share: float,
    on: bool,
    order: Order = Order.UP,
    most: int | None = None,
    *rest: float,
) -> list[object]:
    """Tells what it was given."""
    return [raw, text, number, share, on, order.value, most, *rest]


@sherd.command("test.values", flags="readonly")
def values(call: sherd.Call, which: str) -> object:
    return {
        "none": None,
        "true": True,
        "false": False,
        "int": 42,
        "huge": 2**70,
        "float": 0.5,
        "text": "gr\u00fcn",
        "bytes": b"\xff\x00",
        "list": [1, b"two", [3.0]],
        "tuple": (1, 2),
        "dict": {"a": 1, b"b": [2]},
        "set": {3, 1, 2},
        "status": sherd.Status("FINE"),
        "error": sherd.Error("ODD that\r\nis"),
        "nested": [1, sherd.Error("ODD inside")],
        "object": object(),
    }[which]


@sherd.command("test.read", keys="all", flags="readonly")
def read(call: sherd.Call, *words: bytes) -> str:
    """What a data command's reply looks like in Python."""
    return repr(call(*words))


@sherd.command("test.call", keys=1)
def call_one(call: sherd.Call, key: bytes, *words: bytes) -> object:
    return call(*words)


@sherd.command("test.reader", keys=1, flags="readonly")
def reader(call: sherd.Call, key: bytes) -> object:
    return call("SET", key, "written")


@sherd.command("test.transfer", keys=2)
def transfer(call: sherd.Call, source: bytes, target: bytes, amount: int) -> int:
    left = call("DECRBY", source, amount)
    time.sleep(0)
    call("INCRBY", target, amount)
    return left


@sherd.command("test.sum", keys=lambda *keys: keys, flags="readonly")
def total(call: sherd.Call, *keys: bytes) -> int:
    return sum(int(call("GET", key) or 0) for key in keys)


@sherd.command("test.third", keys=(1, 3))
def third(call: sherd.Call, source: bytes, middle: bytes, target: bytes) -> object:
    return call("COPY", source, target)


@sherd.command("test.fails", keys=1)
def fails(call: sherd.Call, key: bytes) -> None:
    call("SET", key, "before")
    raise ZeroDivisionError("on purpose")


@sherd.command("test.refuses", keys=1)
def refuses(call: sherd.Call, key: bytes) -> None:
    raise sherd.CommandError("LATER come again")


@sherd.command("test.catches", keys=1)
def catches(call: sherd.Call, key: bytes) -> str:
    call("SET", key, "text")
    try:
        call("LPUSH", key, 1)
    except sherd.CommandError as error:
        return str(error)
    return "no error"


@sherd.command("test.sleep", keys=1)
def sleep(call: sherd.Call, key: bytes, seconds: float) -> str:
    call("SET", key, "asleep")
    time.sleep(seconds)
    call("SET", key, "awake")
    return "slept"


@sherd.command("test.grow", keys=1, flags="write denyoom")
def grow(call: sherd.Call, key: bytes, size: int) -> object:
    return call("APPEND", key, b"x" * size)


@sherd.command("test.state")
def state(call: sherd.Call) -> list[object]:
    return [call.command, call.db, call.client_id, call.in_multi]


kept: list[sherd.Call] = []


@sherd.command("test.keep")
def keep(call: sherd.Call) -> str:
    kept.append(call)
    return "kept"


@sherd.command("test.use-kept", keys="all")
def use_kept(call: sherd.Call) -> object:
    return kept[-1]("DBSIZE")


@sherd.command("test.publish", keys=1)
def publish(call: sherd.Call, key: bytes, channel: bytes) -> int:
    call("SET", key, "published")
    return call("PUBLISH", channel, "from a command")


@sherd.every(seconds=0.05, keys=["ticks"])
def tick(call: sherd.Call) -> None:
    call("INCR", "ticks")


@sherd.on("expired", pattern="session:*")
def session_ended(call: sherd.Call, event: sherd.Event) -> None:
    call("SET", event.key, f"{event.name} {event.db}")


@sherd.on("del", pattern="watched:*", keys="all")
def deleted(call: sherd.Call, event: sherd.Event) -> None:
    call("RPUSH", "deleted", event.key)


@sherd.command("test.repeated", keys=1, flags="readonly")
def repeated(call: sherd.Call, key: bytes, count: int) -> list[bytes]:
    """A reply that is much larger than what it is made of."""
    value: bytes = call("GET", key)
    return [value] * count
