"""Three sentinels over a Sherd with two replicas, one of them the reference's: whatever happens to the primary, what all
replicas have acknowledged is there afterwards, and everybody follows one primary."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest
import redis
from redis.sentinel import Sentinel

from tests.replication.support import eventually
from tests.replication.test_sentinel import follows, group, own_wire, protected, secret, sentinel
from tests.support.references import need_reference
from tests.support.servers import Program, Server, free_port, sherd_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

sherd = Program("sherd", (*sherd_command(), "serve"), is_sherd=True)


class Member:
    """A server with a configuration file, which sentinels have it rewrite, so that it starts again as what it was."""

    def __init__(self, program: Program, directory: Path, primary: int | None) -> None:
        directory.mkdir()
        file = directory / "server.conf"
        replica_of = "" if primary is None else f"replicaof 127.0.0.1 {primary}\n"
        file.write_text(f"{replica_of}appendonly yes\ndir {directory}\n")
        # The file comes before all directives.
        words = program.command if program.is_sherd else program.command[:1]
        self.program = Program(program.name, (*words, str(file)), program.is_sherd)
        self.directives = {**protected, "port": str(free_port()), "appendonly": "yes", "dir": str(directory)}
        self.server = Server(self.program, directives=self.directives)

    def start_again(self) -> None:
        """After its end."""
        self.server = Server(self.program, directives=self.directives)


class Recording:
    """A client that asks sentinels for the primary, and notes what both replicas have acknowledged."""

    def __init__(self, ports: list[int]) -> None:
        self._sentinel = Sentinel([("127.0.0.1", port) for port in ports], socket_timeout=2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.safe: list[bytes] = []

    def _run(self) -> None:
        client = self._sentinel.master_for(group, password=secret, socket_timeout=3, socket_connect_timeout=1)
        for number in itertools.count():
            if self._stop.is_set():
                return
            # It is told that a primary has gone or is none any more, and finds the next one.
            with contextlib.suppress(redis.RedisError):
                pipeline = client.pipeline(transaction=False)
                pipeline.rpush("list", number)
                pipeline.wait(2, 1000)
                if pipeline.execute()[1] == 2:
                    self.safe.append(b"%d" % number)
                    continue
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)


def die(member: Member, asked: Wire) -> None:
    """It is killed, and comes back when another one has taken over."""
    member.server.signal_and_wait(signal.SIGKILL)
    eventually(lambda: _chosen(asked) != member.server.port, "another one is chosen")
    member.start_again()


def freeze(member: Member, asked: Wire) -> None:
    """It stands still meanwhile, and goes on as if nothing had been."""
    os.kill(member.server.pid, signal.SIGSTOP)
    try:
        eventually(lambda: _chosen(asked) != member.server.port, "another one is chosen")
    finally:
        os.kill(member.server.pid, signal.SIGCONT)


def hand_over(member: Member, asked: Wire) -> None:
    """As it is asked for, which a sentinel that has not looked at the new replicas yet refuses."""
    eventually(lambda: asked.call("SENTINEL", "FAILOVER", group).raw == b"+OK\r\n", "there is one who can")
    eventually(lambda: _chosen(asked) != member.server.port, "another one is chosen")


def cut_clients(member: Member, _: Wire) -> None:
    """As sentinels do themselves."""
    for kind in ("normal", "pubsub"):
        with own_wire(member.server) as wire:
            wire.write("CLIENT", "KILL", "TYPE", kind)


def _chosen(asked: Wire) -> int:
    return int(asked.value("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)[1])


def test_nothing_that_all_replicas_have_acknowledged_is_lost(reference_name: str, tmp_path: Path) -> None:
    reference = need_reference(reference_name)
    assert reference is not None
    happenings: list[Callable[[Member, Wire], None]] = [die, hand_over, cut_clients, freeze]
    with contextlib.ExitStack() as stack:
        first = Member(sherd, tmp_path / "first", None)
        members = [first]
        stack.callback(lambda: [member.server.stop() for member in members])
        members += [
            Member(kind, tmp_path / name, first.server.port) for kind, name in ((sherd, "second"), (reference, "third"))
        ]
        homes = [tmp_path / f"sentinel-{number}" for number in range(3)]
        for home in homes:
            home.mkdir()
        asked = [stack.enter_context(sentinel(reference.command[0], home, first.server.port, 2)) for home in homes]
        eventually(lambda: all(_knows(wire, 2, 2) for wire in asked), "they have found replicas and one another")
        primary = first
        with Recording([int(wire.socket.getpeername()[1]) for wire in asked]) as recording:
            for happens in happenings:
                before = len(recording.safe)
                eventually(lambda before=before: len(recording.safe) > before + 20, "writes are acknowledged")  # type: ignore[misc]
                happens(primary, asked[0])
                primary = _settle(members, asked)
            before = len(recording.safe)
            eventually(lambda: len(recording.safe) > before + 20, "writes are acknowledged")
        with own_wire(primary.server) as wire:
            there = wire.value("LRANGE", "list", "0", "-1")
            assert set(recording.safe) <= set(there)
            assert len(set(there)) == len(there)
            for member in members:
                eventually(lambda member=member: _list_of(member) == there, "all have the same")  # type: ignore[misc]


def _knows(wire: Wire, replicas: int, sentinels: int) -> bool:
    found = [len(wire.value("SENTINEL", kind, group)) for kind in ("REPLICAS", "SENTINELS")]
    return found == [replicas, sentinels]


def _settle(members: list[Member], asked: list[Wire]) -> Member:
    """Waits until all sentinels name one primary, which all others follow; returns it."""
    by_port = {member.server.port: member for member in members}

    def is_settled() -> bool:
        ports = {_chosen(wire) for wire in asked}
        primary = by_port[min(ports)]
        others = [member for member in members if member is not primary]
        return len(ports) == 1 and all(follows(member.server, primary.server) for member in others)

    eventually(is_settled, "all follow one primary")
    return by_port[_chosen(asked[0])]


def _list_of(member: Member) -> list[bytes]:
    with own_wire(member.server) as wire:
        found: list[bytes] = wire.value("LRANGE", "list", "0", "-1")
        return found
