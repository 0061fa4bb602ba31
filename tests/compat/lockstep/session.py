"""Holds a conversation with one server, step by step, and collects what each connection is sent at each step.

A conversation is text. Its first line names the connections and the protocol of each, every further line is a step, a pipeline
of commands of one connection:

    : a2 b3 c3
    a BLPOP l 0
    b SET k 1 PX 20; GET k; ~80
    c CLIENT UNBLOCK @a

`@a` is the id of that connection, quotes are redis-cli's, and `~80` waits so many milliseconds before the step is over. A step
is over when the server is quiet. A reference has one thread, so it is when it has answered two pings of a bystander.
Sherd has many; it gets as long as it needs for what the references have sent, and then a moment for more. A connection that was closed
is opened again by its next step.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.compat.conversation import use_up_small_ids
from tests.compat.script import split_arguments
from tests.support.resp import Node, encode_command, find_reply_end, parse_node
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.servers import Server

Command = tuple[bytes, ...]

closed = Node("closed")
read_size_bytes = 1 << 16
arrival_timeout_seconds = 2.0
settling_seconds = 0.002
bystander_user = "bystander"
# What expires and whose time is over is found often, so that steps need not wait for long.
directives = {"enable-debug-command": "yes", "maxclients": "400", "hz": "100"}

Heard = dict[str, list[Node]]
"""What each connection was sent in one step."""


@dataclass(frozen=True)
class Step:
    """A pipeline of one connection."""

    name: str
    line: str

    @property
    def commands(self) -> list[Command]:
        """The commands, without waits."""
        parts = [split_arguments(part.encode()) for part in self.line.split("; ")]
        return [part for part in parts if not part[0].startswith(b"~")]

    @property
    def wait_seconds(self) -> float:
        """How long the step waits after it was sent."""
        return sum(int(part[1:]) for part in self.line.split("; ") if part.startswith("~")) / 1000


@dataclass(frozen=True)
class Conversation:
    """The protocol of each connection, and the steps."""

    protocols: Mapping[str, int]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        head = ": " + " ".join(f"{name}{protocol}" for name, protocol in self.protocols.items())
        return "\n".join([head, *(f"{step.name} {step.line}" for step in self.steps)])


def parse(text: str) -> Conversation:
    """Reads a conversation."""
    head, *lines = text.strip().splitlines()
    protocols = {word[0]: int(word[1]) for word in head.removeprefix(":").split()}
    return Conversation(protocols, tuple(Step(*line.split(" ", 1)) for line in lines))


@dataclass
class Line:
    """One connection: its socket, what has come and is not a whole reply, and whose it is."""

    socket: socket.socket
    protocol: int
    number: int
    port: int
    buffer: bytearray = field(default_factory=bytearray)
    is_closed: bool = False

    def receive(self) -> list[Node]:
        """What has come, without waiting."""
        nodes: list[Node] = []
        while not self.is_closed:
            try:
                data = self.socket.recv(read_size_bytes)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            self.buffer += data
            while self.buffer and (end := find_reply_end(self.buffer)) is not None:
                nodes.append(parse_node(bytes(self.buffer[:end])))
                del self.buffer[:end]
            if not data:
                self.is_closed = True
                self.socket.close()
                nodes.append(closed)
        return nodes


_reset = (
    "CLIENT UNPAUSE", "CONFIG SET maxmemory 0 min-replicas-to-write 0", "CONFIG SET maxmemory-policy noeviction hash-max-listpack-entries 512 list-max-listpack-size -2", "FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH", "ACL DELUSER alice bob", "ACL LOG RESET",
    'CONFIG SET notify-keyspace-events "" slowlog-log-slower-than -1 slowlog-max-len 1000 latency-monitor-threshold 0',
    "DEBUG SET-ACTIVE-EXPIRE 1", "SLOWLOG RESET", "LATENCY RESET", "CONFIG RESETSTAT",
)  # fmt: skip


class Session:
    """A server that conversations are held with, one after the other."""

    def __init__(self, server: Server) -> None:
        self.server = server
        use_up_small_ids(server)
        self.bystander = self._new_bystander()
        self.lines: dict[str, Line] = {}
        self.ids: dict[int, str] = {}
        """Of all connections that there were in a conversation: those that were opened again have several."""

    def _new_bystander(self) -> Wire:
        wire = self.server.wire()
        wire.value("ACL", "SETUSER", bystander_user, "on", "nopass", "~*", "&*", "+@all")
        wire.value("AUTH", bystander_user, "x")
        return wire

    def begin(self, protocols: Mapping[str, int]) -> None:
        """Closes what is open, empties the server, and opens the connections of a conversation."""
        for line in self.lines.values():
            line.socket.close()
        self.lines, self.ids = {}, {}
        for reply in self.bystander.pipeline([split_arguments(command.encode()) for command in _reset]):
            assert not reply.is_error, reply.raw
        while b"connected_clients:1\r" not in self.bystander.value("INFO", "clients"):
            time.sleep(0.001)
        # A connection that had gone may have changed something after all.
        self.bystander.pipeline([split_arguments(command.encode()) for command in _reset])
        for name, protocol in protocols.items():
            self._open(name, protocol)
        self.bystander.value("CONFIG", "RESETSTAT")

    def _open(self, name: str, protocol: int) -> None:
        wire = self.server.wire(protocol=protocol)
        number = wire.value("CLIENT", "ID")
        self.ids[number] = name
        wire.socket.setblocking(False)
        self.lines[name] = Line(wire.socket, protocol, number, wire.socket.getsockname()[1])

    def take(self, step: Step, arrived: Callable[[Heard], bool | None] | None = None) -> Heard:
        """Takes one step. Without `arrived` the server is quiet when it has answered twice."""
        heard: Heard = {name: [] for name in self.lines}
        if self.lines[step.name].is_closed:
            self._open(step.name, self.lines[step.name].protocol)
        data = b"".join(encode_command(*self._words(command)) for command in step.commands)
        with contextlib.suppress(ConnectionError):
            self.lines[step.name].socket.sendall(data)
        if step.wait_seconds:
            time.sleep(step.wait_seconds)
        self.bystander.call("PING")
        if arrived is not None:
            self._await(heard, arrived)
            self.bystander.call("PING")
        self.bystander.call("PING")
        self._collect(heard)
        return heard

    def is_blocked(self, name: str) -> bool:
        """Whether a connection waits for something other than its client."""
        told = self.bystander.value("CLIENT", "LIST", "ID", str(self.lines[name].number))
        return re.search(rb" flags=\w*b", told) is not None

    def _words(self, command: Command) -> Command:
        numbers = {name: line.number for name, line in self.lines.items()}
        return tuple(
            re.sub(rb"@([a-e])\b", lambda hit: b"%d" % numbers.get(hit[1].decode(), 0), word) for word in command
        )

    def _await(self, heard: Heard, arrived: Callable[[Heard], bool | None]) -> None:
        """`arrived` says yes or no, or that there may be more to come."""
        deadline = time.monotonic() + arrival_timeout_seconds
        self._collect(heard)
        while not (state := arrived(heard)) and time.monotonic() < deadline:
            if state is None:
                deadline = min(deadline, time.monotonic() + 10 * settling_seconds)
            self._poll(heard, deadline - time.monotonic())
        settled = time.monotonic() + settling_seconds
        while (left := settled - time.monotonic()) > 0:
            self._poll(heard, left)

    def _poll(self, heard: Heard, seconds: float) -> None:
        sockets = [line.socket for line in self.lines.values() if not line.is_closed]
        if select.select(sockets, [], [], max(seconds, 0))[0]:
            self._collect(heard)

    def _collect(self, heard: Heard) -> None:
        # Of what a monitor hears, what the bystander does is not compared.
        own = b":%d] " % self.bystander.socket.getsockname()[1]
        for name, line in self.lines.items():
            heard[name] += [node for node in line.receive() if not (node.kind == "+" and own in node.text)]

    def close(self) -> None:
        """Closes all connections."""
        for line in self.lines.values():
            line.socket.close()
        self.bystander.close()

    def is_alive(self) -> bool:
        """Whether the server still answers."""
        try:
            return self.bystander.call("PING").raw == b"+PONG\r\n"
        except (ConnectionClosed, OSError):
            return False
