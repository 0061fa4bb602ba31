"""Clients that pop with tiny timeouts while others push, unblock, kill and hang up: who got what, and what is left.

The invariant of every race: an element that was pushed is either in one client's reply or still in the keyspace, and
never in both or twice. A client that is killed, or that says that it will send no more, reads until its connection
ends: what was taken for it must have been sent before that.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.resp import encode_command
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.servers import Server

race_seconds = float(os.environ.get("STRESS_SECONDS", "1.2"))
batch = 300
"""Elements that are pushed at once; commands with COUNT take as many."""

lists = ("list:a", "list:b", "list:c")
moved = ("moved:a", "moved:b")
zsets = ("zset:a", "zset:b")
stream, group = "stream:a", "group"

Command = tuple[str, ...]


def timeout_seconds() -> str:
    """One to three milliseconds."""
    return f"0.00{random.randint(1, 3)}"


commands: dict[str, Callable[[], Command]] = {
    "BLPOP": lambda: ("BLPOP", *lists, timeout_seconds()),
    "BRPOP": lambda: ("BRPOP", random.choice(lists), timeout_seconds()),
    "BLMPOP": lambda: ("BLMPOP", timeout_seconds(), "3", *lists, "LEFT", "COUNT", str(batch)),
    "BLMOVE": lambda: ("BLMOVE", random.choice(lists), random.choice(moved), "LEFT", "RIGHT", timeout_seconds()),
    "BLMOVEM": lambda: (
        "BLMOVEM", random.choice(lists), random.choice(moved), "LEFT", "RIGHT", timeout_seconds(), "COUNT", "100", "BULK",
    ),
    "BRPOPLPUSH": lambda: ("BRPOPLPUSH", random.choice(lists), random.choice(moved), timeout_seconds()),
    "BZPOPMIN": lambda: ("BZPOPMIN", *zsets, timeout_seconds()),
    "BZPOPMAX": lambda: ("BZPOPMAX", random.choice(zsets), timeout_seconds()),
    "BZMPOP": lambda: ("BZMPOP", timeout_seconds(), "2", *zsets, "MIN", "COUNT", str(batch)),
    "XREADGROUP": lambda: (
        "XREADGROUP", "GROUP", group, "consumer", "COUNT", str(batch), "BLOCK", str(random.randint(1, 3)), "STREAMS", stream, ">",
    ),
}  # fmt: skip


def taken(command: Command, reply: Any) -> list[bytes]:
    """The elements that a reply has taken out of where they were for good; a move leaves them in the keyspace."""
    if reply is None or isinstance(reply, Exception):
        return []
    match command[0]:
        case "BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX":
            return [reply[1]]
        case "BLMPOP":
            return list(reply[1])
        case "BZMPOP":
            return [member for member, _ in reply[1]]
        case "XREADGROUP":
            return [fields[1] for _, entries in reply for _, fields in entries]
        case _:
            return []


@dataclass
class Race:
    """One race against a server, and what became of its elements."""

    server: Server
    until: float = 0.0
    pushed: set[bytes] = field(default_factory=set)
    clients: list[int] = field(default_factory=list)
    received: Counter[bytes] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    errors: list[BaseException] = field(default_factory=list)

    def running(self) -> bool:
        """Whether the race goes on."""
        return time.monotonic() < self.until and not self.errors

    def note(self, command: Command, reply: Any) -> None:
        """Counts what a reply brought."""
        elements = taken(command, reply)
        with self.lock:
            self.received.update(elements)
            self.counts[command[0]] += bool(elements)

    # ----- those who take part -----

    def pop(self, names: list[str], hang_up: bool) -> None:
        """A client that waits again and again; it survives being killed, and may hang up itself."""
        while self.running():
            with contextlib.suppress(ConnectionClosed, ConnectionError), self.server.wire() as wire:
                self.clients.append(wire.value("CLIENT", "ID"))
                while self.running():
                    command = commands[random.choice(names)]()
                    wire.write(*command)
                    if hang_up and random.random() < 0.2:
                        with contextlib.suppress(OSError):
                            wire.half_close()
                    # After a half-closed connection's last reply, the next turn finds it closed.
                    self.note(command, wire.read().value)

    def push(self) -> None:
        """A client that pushes numbered elements to everything."""
        number = 0
        with self.server.wire() as wire:
            while self.running():
                requests = []
                for key in (random.choice(lists), random.choice(zsets), stream):
                    elements = [
                        f"{key}:{number + i}".encode()
                        for i in range(random.choice((1, 1, 20 if key == stream else batch)))
                    ]
                    number += len(elements)
                    self.pushed.update(elements)
                    requests += pushes(key, elements)
                wire.send(b"".join(requests))
                for _ in requests:
                    wire.read()
                time.sleep(random.choice((0, 0.001, 0.002)))

    def disturb(self, *forms: Command) -> None:
        """A client that does something to the clients of the race, whose ids stand for `ID` in the forms."""
        with self.server.wire() as wire:
            while self.running():
                for form in forms:
                    ids = [str(number) for number in random.choices(self.clients[-12:] or [0], k=4)]
                    wire.pipeline([[number if word == "ID" else word for word in form] for number in ids])
                time.sleep(0.001)

    def repeat(self, *command: str) -> None:
        """A client that runs one command every few milliseconds."""
        with self.server.wire() as wire:
            while self.running():
                wire.call(*command)
                time.sleep(0.005)

    # ----- beginning and end -----

    def prepare(self) -> None:
        """What must be there before the parts begin."""
        with self.server.wire() as wire:
            wire.call("FLUSHALL")
            for db in ("1", "0"):
                wire.call("SELECT", db)
                wire.call("XGROUP", "CREATE", stream, group, "$", "MKSTREAM")

    def run(self, *parts: Callable[[], None]) -> None:
        """Runs the parts side by side until the time is over."""
        self.prepare()

        def guarded(part: Callable[[], None]) -> None:
            try:
                part()
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                self.errors.append(error)

        self.until = time.monotonic() + race_seconds
        threads = [threading.Thread(target=guarded, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 + race_seconds)
            assert not thread.is_alive(), "a client waits for ever"
        if self.errors:
            raise self.errors[0]

    def left(self) -> Counter[bytes]:
        """What is still in the keyspace: in lists, sorted sets, and entries that nobody has read."""
        rest: Counter[bytes] = Counter()
        with self.server.wire() as wire:
            for db in ("0", "1"):
                wire.call("SELECT", db)
                for key in lists + moved:
                    rest.update(wire.value("LRANGE", key, "0", "-1"))
                for key in zsets:
                    rest.update(wire.value("ZRANGE", key, "0", "-1"))
                reply = wire.call("XREADGROUP", "GROUP", group, "last", "STREAMS", stream, ">")
                rest.update([] if reply.is_error else taken(("XREADGROUP",), reply.value))
        return rest

    def assert_conserved(self) -> None:
        """Every element is somewhere once."""
        everywhere = self.received + self.left()
        doubled = [element for element, count in everywhere.items() if count > 1]
        assert not doubled, f"{len(doubled)} of {len(self.pushed)} elements came twice: {doubled[:5]}"
        lost = self.pushed - set(everywhere)
        assert not lost, f"{len(lost)} of {len(self.pushed)} elements vanished: {sorted(lost)[:5]}"

    def assert_nobody_waits(self) -> None:
        """All clients of the race have gone, and so have their places in the queues."""
        deadline = time.monotonic() + 20
        with self.server.wire() as wire:
            while time.monotonic() < deadline:
                info = wire.value("INFO", "clients")
                if b"blocked_clients:0" in info and b"total_blocking_keys:0" in info:
                    return
                time.sleep(0.01)
        raise AssertionError(f"somebody waits for ever:\n{info.decode()}")


def pushes(key: str, elements: list[bytes]) -> Iterator[bytes]:
    """The commands that add elements to a key."""
    if key.startswith("list"):
        yield encode_command("RPUSH", key, *elements)
    elif key.startswith("zset"):
        yield encode_command("ZADD", key, *(part for element in elements for part in (b"1", element)))
    else:
        for element in elements:
            yield encode_command("XADD", key, "*", "element", element)
