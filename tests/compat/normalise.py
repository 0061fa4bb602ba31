"""How the replies of two servers to one command are compared.

The rule is equality of bytes. It is relaxed only where the protocol promises less: the order of sets and hashes,
chance, the clock, and texts that carry a server's own name or counters. An error is always compared exactly, even for
those commands.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.resp import Node

if TYPE_CHECKING:
    from collections.abc import Callable

Command = tuple[bytes, ...]

# What rounding to seconds and a clock that is being corrected may add to how far apart two servers were asked.
time_tolerance_seconds = 3.0


def same_bytes(command: Command, ours: Node, theirs: Node) -> bool:
    """Equal down to the type byte."""
    return ours == theirs


def same_members(command: Command, ours: Node, theirs: Node) -> bool:
    """Equal as a collection: the order is the server's own business."""
    if ours.items is None or theirs.items is None:
        return ours == theirs
    return ours.kind == theirs.kind and _sorted(ours.items) == _sorted(theirs.items)


def same_pairs(command: Command, ours: Node, theirs: Node) -> bool:
    """Equal as a collection of pairs, be it a map or the flat array of RESP2."""
    if ours.items is None or theirs.items is None or len(ours.items) % 2 or len(theirs.items) % 2:
        return ours == theirs
    return ours.kind == theirs.kind and _sorted_pairs(ours) == _sorted_pairs(theirs)


def same_shape(command: Command, ours: Node, theirs: Node) -> bool:
    """The same type bytes and lengths all the way down; the payloads are chance."""
    if ours.kind != theirs.kind or (ours.items is None) != (theirs.items is None):
        return False
    if ours.items is None or theirs.items is None:
        return True
    return len(ours.items) == len(theirs.items) and all(
        same_shape(command, mine, other) for mine, other in zip(ours.items, theirs.items, strict=True)
    )


def same_random_text(command: Command, ours: Node, theirs: Node) -> bool:
    """Texts of the same length."""
    return ours.kind == theirs.kind and len(ours.text) == len(theirs.text)


def same_kind(command: Command, ours: Node, theirs: Node) -> bool:
    """The same outermost type: the content is the server's own."""
    return ours.kind == theirs.kind


def same_scan(command: Command, ours: Node, theirs: Node) -> bool:
    """Cursors are private; two whole iterations hold the same elements."""
    if ours.items is None or theirs.items is None or len(ours.items) != 2 or len(theirs.items) != 2:
        return ours == theirs
    if ours.kind != theirs.kind or any(
        mine.kind != other.kind for mine, other in zip(ours.items, theirs.items, strict=True)
    ):
        return False
    if ours.items[0].text != b"0" or theirs.items[0].text != b"0":
        return True
    in_pairs = command[0].upper() in (b"HSCAN", b"ZSCAN") and b"NOVALUES" not in [word.upper() for word in command]
    return (same_pairs if in_pairs else same_members)(command, ours.items[1], theirs.items[1])


def same_greeting(command: Command, ours: Node, theirs: Node) -> bool:
    """HELLO: the same fields in the same order, and the same values where they do not name the server."""
    if ours.kind != theirs.kind or ours.items is None or theirs.items is None:
        return ours == theirs
    own = (b"server", b"version", b"id", b"modules")
    mine, other = (
        [(name.text, value.show() if name.text not in own else value.kind) for name, value in node.pairs()]
        for node in (ours, theirs)
    )
    return mine == other


def same_numbers(ours: Node, theirs: Node, tolerance: float = 0.0) -> bool:
    """Equal but for the spelling of floats, of which older servers print seventeen digits."""
    if ours.kind != theirs.kind or (ours.items is None) != (theirs.items is None):
        return False
    if ours.items is not None and theirs.items is not None:
        return len(ours.items) == len(theirs.items) and all(
            same_numbers(mine, other, tolerance) for mine, other in zip(ours.items, theirs.items, strict=True)
        )
    try:
        mine, other = float(ours.text), float(theirs.text)
    except ValueError:
        return ours == theirs
    return mine == other or abs(mine - other) <= tolerance


def same_coordinates(ours: Node, theirs: Node) -> bool:
    """Equal as far as seventeen decimals show it."""
    return same_numbers(ours, theirs, tolerance=1e-16)


def same_but_order(ours: Node, theirs: Node) -> bool:
    """The same elements, in any order."""
    return same_members((), ours, theirs)


def same_but_too_many_read(ours: Node, theirs: Node) -> bool:
    """Equal but for groups of which the other server says that they lag behind by less than none."""
    if ours.items is None or theirs.items is None or len(ours.items) != len(theirs.items):
        return ours == theirs
    fields = {theirs.items[place].text: place + 1 for place in range(len(theirs.items) - 1)}
    lag, read = fields.get(b"lag"), fields.get(b"entries-read")
    if lag is not None and read is not None and theirs.items[lag].kind == ":" and int(theirs.items[lag].text) < 0:
        too_many = -int(theirs.items[lag].text)
        return int(ours.items[lag].text) == 0 and int(ours.items[read].text) == int(theirs.items[read].text) - too_many
    return all(same_but_too_many_read(mine, other) for mine, other in zip(ours.items, theirs.items, strict=True))


def same_before_odd_bytes(ours: Node, theirs: Node) -> bool:
    """Errors that are equal up to the first byte that is no text."""
    mine, other = (re.split(rb"[\x00\x80-\xff]", node.text)[0] for node in (ours, theirs))
    return ours.is_error and theirs.is_error and ours.kind == theirs.kind and other.startswith(mine)


# What Valkey's scripts say in other words, and ours.
_script_words = (
    (r"script: (\w+, )?on ", "script: on "),
    (r"0x[0-9a-f]+", "0x0"),
    ("Unknown Redis command called", "Unknown command called"),
    ("calling Redis command from", "calling command from"),
    ("This (Redis|Valkey) command is", "This command is"),
    ("for this redis lib call", "for this call"),
    ("Lua redis lib command arguments", "Command arguments"),
    (r"\b(redis|server)\.(log|setresp|set_repl|acl_check_cmd)\(\)", r"\2()"),
    (r"\b(redis|server)\.register_function\b", "register_function"),
    (r"Error registering functions: ERR (Library names can only|Function already exists in)", r"\1"),
    ("Library names can only", "Function names can only"),
    (r"No matching script\. Please use EVAL\.", "No matching script."),
)


def same_script_words(ours: Node, theirs: Node) -> bool:
    """Whether replies of scripts are the same but for the words in which Valkey tells errors."""

    def plain(node: Node) -> str:
        text = node.show()
        for pattern, word in _script_words:
            text = re.sub(pattern, word, text)
        return text

    return plain(ours) == plain(theirs)


def same_sign(command: Command, ours: Node, theirs: Node) -> bool:
    """Integers that are both negative and equal, or both not negative: counters and ids of the server's own."""
    if ours.kind != ":" or theirs.kind != ":":
        return ours == theirs
    mine, other = int(ours.text), int(theirs.text)
    return mine == other if min(mine, other) < 0 else True


def same_time(ours: Node, theirs: Node, tolerance: float) -> bool:
    """Times, to live or of day, that are about equal; the negative ones mean something and are equal exactly."""
    if ours.items is not None and theirs.items is not None and len(ours.items) == len(theirs.items):
        pairs = zip(ours.items, theirs.items, strict=True)
        return ours.kind == theirs.kind and all(same_time(mine, other, tolerance) for mine, other in pairs)
    if ours.kind != ":" or theirs.kind != ":":
        return ours == theirs
    mine, other = int(ours.text), int(theirs.text)
    return mine == other if min(mine, other) < 0 else abs(mine - other) <= tolerance


# A moment in milliseconds since 1970 has that many, and nothing else in a reply that tells of a stream.
moment_min = 10**12


def _same_stream(command: Command, ours: Node, theirs: Node, tolerance_ms: float) -> bool:
    """Equal but for moments that are about the same: when entries were delivered and consumers were seen."""
    if ours.kind != theirs.kind or (ours.items is None) != (theirs.items is None):
        return False
    if ours.items is not None and theirs.items is not None:
        return len(ours.items) == len(theirs.items) and all(
            _same_stream(command, mine, other, tolerance_ms)
            for mine, other in zip(ours.items, theirs.items, strict=True)
        )
    if ours.kind == ":" and min(int(ours.text), int(theirs.text)) >= moment_min:
        return abs(int(ours.text) - int(theirs.text)) <= tolerance_ms
    return ours == theirs


def without_successes(node: Node) -> Node:
    """What XINFO tells of a stream, less when its consumers last got something, which Redis 7.0 does not know."""
    if node.items is None:
        return node
    items = [without_successes(item) for item in node.items]
    names = [place for place, item in enumerate(items) if item.text in (b"active-time", b"inactive")]
    kept = [item for place, item in enumerate(items) if place not in names and place - 1 not in names]
    return replace(node, items=tuple(kept))


def same_but_successes(ours: Node, theirs: Node) -> bool:
    """Equal but for when consumers last got something, whenever the one and the other server were asked."""
    mine, other = without_successes(ours), without_successes(theirs)
    return _same_stream((), mine, other, math.inf) or _same_consumers((), mine, other, math.inf)


def _same_consumers(command: Command, ours: Node, theirs: Node, tolerance_ms: float) -> bool:
    """XINFO CONSUMERS: the times without work are about the same."""

    def places(row: tuple[Node, ...]) -> set[int]:
        return {place + 1 for place, item in enumerate(row) if item.text in _idle_names}

    return _same_with_times(ours, theirs, places, tolerance_ms)


_idle_names = (b"idle", b"inactive")


def _same_pending(command: Command, ours: Node, theirs: Node, tolerance_ms: float) -> bool:
    """XPENDING: the third column of its rows is for how long an entry was not delivered again."""
    if len(command) == 3:
        return ours == theirs
    return _same_with_times(ours, theirs, lambda row: {2}, tolerance_ms)


def _same_with_times(
    ours: Node, theirs: Node, places: Callable[[tuple[Node, ...]], set[int]], tolerance_ms: float
) -> bool:
    """Rows that are equal but for times at some places of each."""
    if ours.kind != theirs.kind or ours.items is None or theirs.items is None or len(ours.items) != len(theirs.items):
        return ours == theirs
    for mine, other in zip(ours.items, theirs.items, strict=True):
        if mine.items is None or other.items is None or len(mine.items) != len(other.items):
            return False
        times = places(mine.items)
        for place, (left, right) in enumerate(zip(mine.items, other.items, strict=True)):
            if left != right and not (place in times and same_time(left, right, tolerance_ms)):
                return False
    return True


# What of an entry of ACL LOG is the server's own, or the clock's.
_own_of_denials = (b"age-seconds", b"client-info", b"entry-id", b"timestamp-created", b"timestamp-last-updated")


def same_denials(command: Command, ours: Node, theirs: Node) -> bool:
    """ACL LOG: the same entries but for numbers, clients and times, which are there."""
    if ours.kind != theirs.kind or ours.items is None or theirs.items is None or len(ours.items) != len(theirs.items):
        return ours == theirs

    def told(entry: Node) -> list[tuple[bytes, str]]:
        return [
            (name.text, value.kind if name.text in _own_of_denials else value.show()) for name, value in entry.pairs()
        ]

    return all(
        mine.kind == other.kind and mine.items is not None and other.items is not None and told(mine) == told(other)
        for mine, other in zip(ours.items, theirs.items, strict=True)
    )


def same_kind_of_text(ours: Node, theirs: Node) -> bool:
    """As many lines of the same types."""
    return same_shape((), ours, theirs)


def same_but_databases(ours: Node, theirs: Node) -> bool:
    """ACL GETUSER: the same rules but for databases where they are all, and for flags that only Redis shows."""

    def told(user: Node) -> list[tuple[bytes, object]]:
        rights: list[tuple[bytes, object]] = []
        for name, value in user.pairs():
            if name.text == b"flags":
                flags = value.items or ()
                rights.append((name.text, [flag.text for flag in flags if b"sanitize-payload" not in flag.text]))
            elif name.text == b"selectors":
                rights.append((name.text, [told(selector) for selector in value.items or ()]))
            elif (name.text, value.text) != (b"databases", b"alldbs"):
                rights.append((name.text, value.show()))
        return rights

    if ours.items is None or theirs.items is None:
        return ours == theirs
    return ours.kind == theirs.kind and told(ours) == told(theirs)


def _sorted(items: tuple[Node, ...]) -> list[str]:
    return sorted(item.show() for item in items)


def _sorted_pairs(node: Node) -> list[tuple[str, str]]:
    return sorted((first.show(), second.show()) for first, second in node.pairs())


def _random_members(command: Command, ours: Node, theirs: Node) -> bool:
    # A whole collection comes in any order; a part of it is chance.
    return same_members(command, ours, theirs) or same_shape(command, ours, theirs)


_rules: dict[bytes, Callable[[Command, Node, Node], bool]] = {
    b"SMEMBERS": same_members,
    b"SINTER": same_members,
    b"SUNION": same_members,
    b"SDIFF": same_members,
    b"HKEYS": same_members,
    b"HVALS": same_members,
    b"HGETALL": same_pairs,
    b"KEYS": same_members,
    b"SCAN": same_scan,
    b"HSCAN": same_scan,
    b"SSCAN": same_scan,
    b"ZSCAN": same_scan,
    b"SPOP": _random_members,
    b"SRANDMEMBER": _random_members,
    b"HRANDFIELD": _random_members,
    b"ZRANDMEMBER": _random_members,
    b"RANDOMKEY": same_shape,
    b"TIME": same_shape,
    b"HELLO": same_greeting,
    b"LASTSAVE": same_sign,
    b"ROLE": same_shape,
    b"INFO": same_kind,
    b"LOLWUT": same_kind,
    b"CONFIG GET": same_pairs,
    b"COMMAND": same_kind,
    b"COMMAND COUNT": same_sign,
    b"COMMAND LIST": same_kind,
    b"COMMAND DOCS": same_kind,
    b"COMMAND HELP": same_kind,
    b"ACL CAT": same_members,
    b"ACL GENPASS": same_random_text,
    b"ACL LOG": same_denials,
    b"CLIENT ID": same_sign,
    b"CLIENT INFO": same_kind,
    b"CLIENT LIST": same_kind,
    b"CLIENT HELP": same_kind,
    b"CLUSTER MYID": same_shape,
    b"CLUSTER MYSHARDID": same_shape,
    b"CLUSTER NODES": same_kind,
    b"CLUSTER INFO": same_kind,
    b"CLUSTER GETKEYSINSLOT": same_members,
    b"CLUSTER HELP": same_kind,
    b"CONFIG HELP": same_kind,
    b"OBJECT HELP": same_kind,
    b"OBJECT IDLETIME": same_sign,
    b"MEMORY USAGE": same_sign,
    b"MEMORY STATS": same_kind,
    b"MEMORY DOCTOR": same_kind,
    b"MEMORY HELP": same_kind,
    b"MEMORY MALLOC-STATS": same_kind,
    b"SLOWLOG GET": same_kind,
    b"SLOWLOG HELP": same_kind,
    b"LATENCY HELP": same_kind,
    b"LATENCY DOCTOR": same_kind,
    b"LATENCY HISTOGRAM": same_kind,
    b"DEBUG OBJECT": same_kind,
    b"DEBUG HELP": same_kind,
}


# Those whose replies have times in them; the last argument says how many milliseconds these may be apart.
_timed_rules: dict[bytes, Callable[[Command, Node, Node, float], bool]] = {
    b"XINFO STREAM": _same_stream,
    b"XINFO CONSUMERS": _same_consumers,
    b"XPENDING": _same_pending,
}


# Commands whose replies are times, and their units in a second.
_units_per_second = {
    prefix + name: unit
    for prefix in (b"", b"H")
    for name, unit in ((b"TTL", 1), (b"EXPIRETIME", 1), (b"PTTL", 1000), (b"PEXPIRETIME", 1000))
}


def command_name(command: Command) -> bytes:
    """The upper-case name, with the subcommand where the table of rules has one."""
    first = command[0].upper()
    if len(command) > 1:
        whole = first + b" " + command[1].upper()
        if whole in _rules or whole in _timed_rules:
            return whole
    return first


def same_reply(command: Command, ours: Node, theirs: Node, drift_seconds: float = 0.0) -> bool:
    """Whether two replies to `command` are the same, by the rule of that command.

    `drift_seconds` is how far apart the two servers can have been asked: times may differ by that much more.
    """
    if ours.is_error or theirs.is_error:
        return ours == theirs
    name = command_name(command)
    if name in _units_per_second:
        return same_time(ours, theirs, (time_tolerance_seconds + drift_seconds) * _units_per_second[name])
    if name in _timed_rules:
        return _timed_rules[name](command, ours, theirs, (time_tolerance_seconds + drift_seconds) * 1000)
    return _rules.get(name, same_bytes)(command, ours, theirs)
