"""Conversations of several connections with one server: what each of them is sent, step by step.

A conversation is a list of steps, each of which is commands of one connection. Behind each step every connection sends a
PING with a word of its own; what comes before its answer is what the step has brought it. `@b` stands for the id of
connection `b`, in commands and in what is heard.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from tests.support.resp import encode_command

if TYPE_CHECKING:
    from tests.support.servers import Server
    from tests.support.wire import Wire

ids_told_from = 300

Heard = list[tuple[str, str, list[bytes]]]
"""The step, the connection and what it was sent, for each of them."""


def _words(command: str, ids: dict[str, int]) -> list[str]:
    return ["" if word == '""' else re.sub(r"@([abc])", lambda hit: str(ids[hit[1]]), word) for word in command.split()]


def _nameless(reply: bytes, ids: dict[str, int]) -> bytes:
    for name, number in ids.items():
        reply = reply.replace(b":%d\r\n" % number, b":@%s\r\n" % name.encode())
    return reply


def use_up_small_ids(server: Server) -> None:
    """An id that is a usual reply as well, of a server that has just started, would be taken for one."""
    while True:
        with server.wire() as wire:
            if wire.value("CLIENT", "ID") > ids_told_from:
                return


def hold(server: Server, conversation: str, protocol: int) -> Heard:
    """Holds a conversation with a server."""
    heard: Heard = []
    with contextlib.ExitStack() as stack:
        names_ids = re.search(r"(?<!\S)@[abc](?!\S)", conversation) is not None
        if names_ids:
            use_up_small_ids(server)
        wires: dict[str, Wire] = {name: stack.enter_context(server.wire(protocol=protocol)) for name in ("a", "b", "c")}
        bystander = stack.enter_context(server.wire())
        ids = {name: wire.value("CLIENT", "ID") for name, wire in wires.items()} if names_ids else {}
        for number, step in enumerate(conversation.strip().splitlines()):
            name, _, commands = step.partition(" ")
            words = [_words(command, ids) for command in commands.split("; ")]
            wires[name].send(b"".join(encode_command(*command) for command in words))
            # The references tell some things when they have taken all that there is to read.
            bystander.call("PING")
            for other in [name, *(other for other in wires if other != name)]:
                end = f"end of step {number}"
                wires[other].write("PING", end)
                replies: list[bytes] = []
                while not replies or end.encode() not in replies[-1]:
                    replies.append(_nameless(wires[other].read().raw, ids))
                heard.append((step, other, replies))
    return heard
