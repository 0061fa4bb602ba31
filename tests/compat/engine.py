"""Runs a sequence of commands on a server and compares what two servers made of it.

What is compared is every reply, errors included, and then the state left behind: for each key its type, encoding, time
to live and content. On request the keys are also carried over: what DUMP gives here is restored there and the other way
round, and must become the same keys. A case runs on connections of its own, so that MULTI, SELECT or HELLO cannot leak into the next
one; state is read and cleared over one long-lived connection a server.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.compat import dumps, normalise
from tests.compat.differences import find_encoding_difference, is_meant
from tests.support.resp import Node, encode_command
from tests.support.wire import ConnectionClosed, Reply, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.compat.normalise import Command
    from tests.compat.script import Step
    from tests.support.servers import Server

inspected_databases = (0, 1, 2, 15)

Place = tuple[int, bytes]
"""A database and a key in it."""


def _ask_type(key: bytes) -> Command:
    return (b"TYPE", key)


# How the content of each type is read; a type that is not here is known by its name alone.
_content_commands: dict[bytes, Callable[[bytes], Command]] = {
    b"string": lambda key: (b"GET", key),
    b"list": lambda key: (b"LRANGE", key, b"0", b"-1"),
    b"set": lambda key: (b"SMEMBERS", key),
    b"hash": lambda key: (b"HGETALL", key),
    b"zset": lambda key: (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"),
    # Entries, groups, consumers and what is pending: a count of 0 asks for all of them.
    b"stream": lambda key: (b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"),
}

closed_node = Node("closed")
silent_node = Node("silent")

# Long enough for any command of a case, short enough that a run with many silent cases ends.
case_timeout_seconds = 8.0


@dataclass(frozen=True)
class KeyState:
    """What a sequence left under one key."""

    type: bytes
    encoding: bytes
    expiry: Node
    content: Node


@dataclass(frozen=True)
class Outcome:
    """The replies to a sequence, in order, and the state of every key afterwards."""

    replies: tuple[Node, ...]
    keys: dict[Place, KeyState]
    dumps: dict[Place, bytes]
    begun_seconds: float
    ended_seconds: float


def find_drift_seconds(ours: Outcome, theirs: Outcome) -> float:
    """How far apart two servers can have done or told the same at most: from the first's beginning to the other's end.

    Answers of references are remembered, so minutes may lie between the two, and either may have had to wait for a core.
    """
    return max(ours.ended_seconds, theirs.ended_seconds) - min(ours.begun_seconds, theirs.begun_seconds)


@dataclass
class Runner:
    """One server as the engine sees it."""

    server: Server
    cluster: bool = False
    _admin: Wire | None = field(default=None, repr=False)

    def admin(self) -> Wire:
        """The connection for inspection and clearing; made anew after it broke."""
        if self._admin is None:
            self._admin = self.server.wire()
        return self._admin

    def close(self) -> None:
        """Closes the inspection connection."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def run(self, steps: Sequence[Step], protocol: int, *, dumped: bool = False) -> Outcome:
        """Runs the steps on an empty server; with `dumped` the keys' payloads are asked for, too."""
        self.clear()
        settings = self._settings_at_stake(steps)
        begun_seconds = time.monotonic()
        connections = {
            number: self.server.wire(protocol=protocol, timeout_seconds=case_timeout_seconds)
            for number in {step.connection for step in steps}
        }
        try:
            if len(connections) == 1:
                replies = _pipelined(next(iter(connections.values())), steps)
            else:
                replies = [_one(connections[step.connection], step) for step in steps]
        finally:
            for wire in connections.values():
                wire.close()
        for name, value in settings.items():
            self.admin().call("CONFIG", "SET", name, value)
        keys = self.state()
        payloads = self.dump(keys) if dumped else {}
        return Outcome(tuple(replies), keys, payloads, begun_seconds, time.monotonic())

    def _settings_at_stake(self, steps: Sequence[Step]) -> dict[bytes, bytes]:
        """What the steps may set otherwise and later sequences shall find as it is."""
        named = {
            name
            for step in steps
            if [word.upper() for word in step.arguments[:2]] == [b"CONFIG", b"SET"]
            for name in step.arguments[2::2]
        }
        found: dict[bytes, bytes] = {}
        for name in sorted(named):
            flat = self.admin().value("CONFIG", "GET", name)
            # One that does not exist, or a pattern, sets nothing.
            if len(flat) == 2:
                found[name] = flat[1]
        return found

    def dump(self, places: Iterable[Place]) -> dict[Place, bytes]:
        """The payload of each key that is still there."""
        places = list(places)
        replies = self._ask([(database, (b"DUMP", key)) for database, key in places])
        return {place: reply.node.text for place, reply in zip(places, replies, strict=True) if reply.value is not None}

    def carry(self, payloads: Mapping[Place, bytes]) -> tuple[dict[Place, KeyState], list[str]]:
        """Restores payloads on an empty server; the keys that they become, and what was refused."""
        self.clear()
        replies = self._ask(
            [(database, (b"RESTORE", key, b"0", payload)) for (database, key), payload in payloads.items()]
        )
        refused = [
            f"RESTORE of key {place[1]!r} in database {place[0]}: {reply.node.show()}, format {payloads[place][0]}"
            for place, reply in zip(payloads, replies, strict=True)
            if reply.is_error
        ]
        return self.state(), refused

    def clear(self) -> None:
        """Empties the server, over a new connection if the last one was lost."""
        with contextlib.suppress(ConnectionClosed, OSError):
            if self.admin().call("FLUSHALL").raw == b"+OK\r\n":
                return
        self.close()
        assert self.admin().call("FLUSHALL").raw == b"+OK\r\n"

    def state(self) -> dict[Place, KeyState]:
        """Type, encoding, time to live and content of every key in the inspected databases."""
        databases = (0,) if self.cluster else inspected_databases
        listings = self._ask([(database, (b"KEYS", b"*")) for database in databases])
        places = [
            (database, key)
            for database, listing in zip(databases, listings, strict=True)
            for key in sorted(listing.value)
        ]
        facts = self._ask(
            [
                (database, command)
                for database, key in places
                for command in ((b"TYPE", key), (b"OBJECT", b"ENCODING", key), (b"PEXPIRETIME", key))
            ]
        )
        kinds = [reply.node.text for reply in facts[::3]]
        contents = self._ask(
            [
                (database, _content_commands.get(kind, _ask_type)(key))
                for (database, key), kind in zip(places, kinds, strict=True)
            ]
        )
        return {
            place: KeyState(
                kinds[index], facts[3 * index + 1].node.text, facts[3 * index + 2].node, contents[index].node
            )
            for index, place in enumerate(places)
        }

    def _ask(self, questions: Sequence[tuple[int, Command]]) -> list[Reply]:
        """Replies to commands in given databases, in one round trip."""
        commands: list[Command] = []
        selected = -1
        for database, command in questions:
            if database != selected and not self.cluster:
                commands.append((b"SELECT", b"%d" % database))
                selected = database
            commands.append(command)
        replies = self.admin().pipeline(commands)
        return [reply for reply, command in zip(replies, commands, strict=True) if command[0] != b"SELECT"]


def _one(wire: Wire, step: Step) -> Node:
    try:
        return wire.call(*step.arguments).node
    except ConnectionClosed:
        return closed_node
    except TimeoutError:
        return silent_node


def _pipelined(wire: Wire, steps: Sequence[Step]) -> list[Node]:
    """The replies to steps sent at once; for each step without one, whether the server closed or stays silent."""
    with contextlib.suppress(ConnectionError):
        wire.send(b"".join(encode_command(*step.arguments) for step in steps))
    nodes: list[Node] = []
    missing = closed_node
    try:
        for _ in steps:
            nodes.append(wire.read().node)
    except ConnectionClosed:
        pass
    except TimeoutError:
        missing = silent_node
    return nodes + [missing] * (len(steps) - len(nodes))


@dataclass(frozen=True)
class _Comparison:
    """With whom, and how far apart the one and the other can have been asked."""

    reference: str
    drift_seconds: float
    names: frozenset[bytes] = frozenset()
    """The commands that were run, in capitals."""

    def same(self, command: Command, mine: Node, other: Node) -> bool:
        """Whether two replies agree, or differ as is meant."""
        if normalise.same_reply(command, mine, other, self.drift_seconds):
            return True
        return is_meant(self.reference, command, mine, other)


def find_mismatches(steps: Sequence[Step], ours: Outcome, theirs: Outcome, reference: str) -> list[str]:
    """What differs and is not meant to, a line each; empty when the two servers agree."""
    comparison = _Comparison(
        reference,
        find_drift_seconds(ours, theirs),
        frozenset(step.arguments[0].upper() for step in steps),
    )
    problems: list[str] = []
    queued: dict[int, list[Command]] = {}
    for step, mine, other in zip(steps, ours.replies, theirs.replies, strict=True):
        command = step.arguments
        queue = queued.setdefault(step.connection, [])
        if command[0].upper() == b"EXEC" and mine.items is not None and other.items is not None and queue:
            problems += _compare_exec(step, queue, mine, other, comparison)
        elif not comparison.same(command, mine, other):
            problems.append(f"{step.show()}\n    expected {other.show()[:1000]}\n    got      {mine.show()[:1000]}")
        if other.text == b"QUEUED":
            queue.append(command)
        elif command[0].upper() in (b"EXEC", b"DISCARD", b"RESET"):
            queue.clear()
    return problems + _compare_states(ours, theirs, comparison)


def _compare_exec(step: Step, queue: list[Command], mine: Node, other: Node, comparison: _Comparison) -> list[str]:
    my_items, other_items = mine.items or (), other.items or ()
    if len(my_items) != len(other_items) or len(queue) != len(my_items):
        return [f"{step.show()}\n    expected {other.show()[:1000]}\n    got      {mine.show()[:1000]}"]
    return [
        f"EXEC of {command!r}\n    expected {theirs.show()[:1000]}\n    got      {ours.show()[:1000]}"
        for command, ours, theirs in zip(queue, my_items, other_items, strict=True)
        if not comparison.same(command, ours, theirs)
    ]


def _compare_states(ours: Outcome, theirs: Outcome, comparison: _Comparison) -> list[str]:
    problems: list[str] = []
    for place in sorted(set(ours.keys) | set(theirs.keys)):
        mine, other = ours.keys.get(place), theirs.keys.get(place)
        where = f"key {place[1]!r} in database {place[0]}"
        if mine is None or other is None:
            problems.append(f"{where}\n    expected {_show(other)}\n    got      {_show(mine)}")
            continue
        if mine.encoding != other.encoding and not find_encoding_difference(
            comparison.reference, mine, other, comparison.names
        ):
            problems.append(f"OBJECT ENCODING of {where}: expected {other.encoding!r}, got {mine.encoding!r}")
        if mine.type != other.type or not comparison.same((b"PEXPIRETIME",), mine.expiry, other.expiry):
            problems.append(f"{where}\n    expected {_show(other)}\n    got      {_show(mine)}")
        elif not comparison.same(_content_name(mine.type), mine.content, other.content):
            problems.append(
                f"{where}\n    expected {other.content.show()[:1000]}\n    got      {mine.content.show()[:1000]}"
            )
    return problems


def find_losses(ours: Outcome, theirs: Outcome, sherd: Runner, other: Runner, reference: str) -> list[str]:
    """What becomes another key when it is dumped on one server and restored on the other."""
    problems = [
        f"DUMP of key {place[1]!r} in database {place[0]}\n    expected {theirs.dumps[place]!r}\n    got      {payload!r}"
        for place, payload in ours.dumps.items()
        if place in theirs.dumps and not dumps.same_packed(payload, theirs.dumps[place], reference)
    ]
    outgoing = {place: payload for place, payload in ours.dumps.items() if dumps.is_readable_by(reference, payload)}
    kept, own_refused = other.carry(theirs.dumps)
    incoming, our_refused = sherd.carry(theirs.dumps)
    arrived, their_refused = other.carry(outgoing)
    assert not own_refused, own_refused
    problems += [f"here: {problem}" for problem in our_refused]
    problems += [f"there: {problem}" for problem in their_refused]
    expected = {place: kept[place] for place in outgoing if place in kept}
    # What was written first may be from an earlier run, and idle times go on until they are asked for.
    drift_seconds = time.monotonic() - min(ours.begun_seconds, theirs.begun_seconds)
    problems += [
        f"from there to here: {problem}" for problem in _compare_carried(incoming, kept, reference, drift_seconds)
    ]
    problems += [
        f"from here to there: {problem}" for problem in _compare_carried(arrived, expected, reference, drift_seconds)
    ]
    return problems


def _compare_carried(
    arrived: Mapping[Place, KeyState], expected: Mapping[Place, KeyState], reference: str, drift_seconds: float
) -> list[str]:
    """As `_compare_states`, without the one thing that the common format of streams lacks."""
    mine, other = (
        Outcome((), {place: _without_successes(state) for place, state in keys.items()}, {}, 0.0, 0.0)
        for keys in (arrived, expected)
    )
    return _compare_states(mine, other, _Comparison(reference, drift_seconds, frozenset({b"RESTORE"})))


def _without_successes(state: KeyState) -> KeyState:
    return replace(state, content=normalise.without_successes(state.content)) if state.type == b"stream" else state


def _content_name(kind: bytes) -> Command:
    return _content_commands.get(kind, _ask_type)(b"")


def _show(state: KeyState | None) -> str:
    if state is None:
        return "no key"
    return (
        f"{state.type.decode()} ({state.encoding.decode()}), expiry {state.expiry.show()}: {state.content.show()[:600]}"
    )
