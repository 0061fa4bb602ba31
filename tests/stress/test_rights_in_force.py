"""What a change of users takes away is taken away when it is answered, on every thread, however busy.

ACL SETUSER and its relatives used to be answered before every IO thread had looked at its clients: of 40 times, in 20 somebody
who waited for a key still got an element that was pushed behind the answer, and in 22 a subscriber a message.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.stress.busy import await_blocked, busy
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.wire import Wire

tries = 15
shape = Shape(shards=4, io_threads=4)
begin = ("ACL", "SETUSER", "anna", "reset", "on", "nopass", "+@all", "~*", "&*")

Change = tuple[tuple[str, ...], ...]

waits: dict[str, Change] = {
    "command": (("ACL", "SETUSER", "anna", "-blpop"),),
    "keys": (("ACL", "SETUSER", "anna", "resetkeys", "~other"),),
    "deleted": (("ACL", "DELUSER", "anna"),),
    "transaction": (("MULTI",), ("SET", "k", "v"), ("ACL", "SETUSER", "anna", "-blpop"), ("EXEC",)),
    "file": (("ACL", "LOAD"),),
}
subscriptions: dict[str, Change] = {
    "channels": (("ACL", "SETUSER", "anna", "resetchannels", "&other"),),
    "deleted": (("ACL", "DELUSER", "anna"),),
    "transaction": (("MULTI",), ("ACL", "DELUSER", "anna"), ("SET", "k", "v"), ("EXEC",)),
    "file": (("ACL", "LOAD"),),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A busy server, whose file of users knows no anna."""
    users: Path = tmp_path_factory.mktemp("users") / "users.acl"
    users.write_text("user default on nopass ~* &* +@all\n", encoding="ascii")
    with Server(shape=shape, directives={"aclfile": str(users)}) as server, busy(server):
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[Wire]:
    """Who changes users."""
    with server.wire() as wire:
        yield wire


def _log_in(server: Server, stack: contextlib.ExitStack) -> list[Wire]:
    wires = [stack.enter_context(server.wire()) for _ in range(shape.io_threads)]
    for wire in wires:
        assert wire.call("AUTH", "anna", "any").raw == b"+OK\r\n"
    return wires


def _change(admin: Wire, change: Sequence[tuple[str, ...]]) -> None:
    for command in change:
        assert not admin.call(*command).is_error


@pytest.mark.parametrize("change", waits.values(), ids=waits)
def test_who_waits_without_the_right_to_it_gets_nothing_behind_the_answer(
    server: Server, admin: Wire, change: Change
) -> None:
    """Whatever the change was, of a command or of a transaction."""
    for _ in range(tries):
        assert admin.call(*begin).raw == b"+OK\r\n"
        with contextlib.ExitStack() as stack:
            for wire in _log_in(server, stack):
                wire.write("BLPOP", "queue", "0")
            await_blocked(admin, shape.io_threads)
            _change(admin, change)
            assert admin.call("RPUSH", "queue", "element").raw == b":1\r\n"
            assert admin.call("DEL", "queue").raw == b":1\r\n", "somebody got it"


@pytest.mark.parametrize("change", subscriptions.values(), ids=subscriptions)
def test_who_may_not_listen_any_more_hears_nothing_behind_the_answer(
    server: Server, admin: Wire, change: Change
) -> None:
    """And is not counted among the receivers."""
    for _ in range(tries):
        assert admin.call(*begin).raw == b"+OK\r\n"
        with contextlib.ExitStack() as stack:
            wires = _log_in(server, stack)
            for wire in wires:
                wire.call("SUBSCRIBE", "news")
            _change(admin, change)
            assert admin.call("PUBLISH", "news", "message").raw == b":0\r\n"
            for wire in wires:
                with pytest.raises(ConnectionClosed):
                    wire.read()


def test_who_waits_without_the_right_to_it_gets_nothing_of_the_same_transaction(server: Server, admin: Wire) -> None:
    """Its thread need not have heard of the change by then."""
    for _ in range(tries):
        assert admin.call(*begin).raw == b"+OK\r\n"
        with contextlib.ExitStack() as stack:
            wires = _log_in(server, stack)
            for wire in wires:
                wire.write("BLPOP", "queue", "0")
            await_blocked(admin, shape.io_threads)
            _change(admin, (("MULTI",), ("ACL", "SETUSER", "anna", "-blpop"), ("RPUSH", "queue", "element"), ("EXEC",)))
            assert admin.call("DEL", "queue").raw == b":1\r\n", "somebody got it"
            for wire in wires:
                expected = b"-NOPERM User anna has no permissions to run the 'blpop' command\r\n"
                assert wire.read().raw == expected
