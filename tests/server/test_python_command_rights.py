"""Commands in Python: what was asked before one was executed holds for what is executed then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only
wait_seconds = 20.0
changed = b"-TRYAGAIN 'own.set' was loaded again with other keys or flags. Try again\r\n"

sets = """
import sherd

@sherd.command("own.set", keys={keys}, flags="{flags}")
def own_set(call: sherd.Call, *names: bytes) -> list[object]:
    return [call("{name}", name, {value}) for name in names]
"""
numbered = """
import pathlib
import time
import sherd

@sherd.command("numbered.set", keys=lambda number: [f"number:{number}"], flags="write")
def numbered_set(call: sherd.Call, number: int) -> object:
    return call("SET", f"number:{number}", number)

@sherd.command("numbered.get", keys=lambda number: [f"number:{number}"], flags="readonly")
def numbered_get(call: sherd.Call, number: int) -> object:
    return call("GET", f"number:{number}")

@sherd.command("one.set", keys=1)
def one_set(call: sherd.Call, key: bytes, seconds: float = 0.0) -> object:
    if seconds:
        pathlib.Path(__file__).with_name("begun").touch()
        time.sleep(seconds)
    return call("SET", key, "x")

@sherd.command("one.get", keys=1, flags="readonly")
def one_get(call: sherd.Call, key: bytes) -> object:
    return call("GET", key)
"""


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + wait_seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def _start(path: Path, text: str, shards: int = 4) -> Server:
    path.write_text(text)
    return Server(directives={"python-commands": str(path)}, shape=Shape(shards=shards))


@pytest.mark.parametrize(
    ("keys", "flags"), [("2", "write"), ("lambda *names: names", "write"), ("'all'", "write"), ("1", "readonly")]
)
def test_a_queued_command_that_is_another_one_by_now_is_not_executed(tmp_path: Path, keys: str, flags: str) -> None:
    """Its shards were taken, and its client's rights asked, for what it was."""
    path = tmp_path / "own.py"
    before = sets.format(keys="1", flags="write", name="SET", value=1).replace("*names", "first: bytes, *others")
    after = sets.format(keys=keys, flags=flags, name="SET" if flags == "write" else "GETRANGE", value="2")
    if keys in "12":
        after = after.replace("*names: bytes", "first: bytes, second: bytes").replace("in names", "in (first, second)")
    with (
        _start(path, before.replace("in names", "in [first]")) as server,
        server.wire() as wire,
        server.wire() as other,
    ):
        names = [f"key{number}" for number in range(8)]
        for second in names:
            wire.pipeline([["MULTI"], ["SET", "plain", second], ["OWN.SET", "a", second], ["GET", "plain"]])
            path.write_text(after)
            assert other.call("SHERD", "RELOAD").raw == b"+OK\r\n"
            replies = wire.call("EXEC").raw
            assert replies == b"*3\r\n+OK\r\n" + changed + b"$4\r\n%s\r\n" % second.encode()
            path.write_text(before.replace("in names", "in [first]"))
            assert other.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        assert other.value("MGET", "a", *names) == [None] * 9
        wire.pipeline([["MULTI"], ["OWN.SET", "a"]])
        # A module that is loaded again as it was is no other one.
        path.write_text(before.replace("in names", "in [first]").replace("'SET'", "'set'") + "\n")
        assert other.call("SHERD", "RELOAD").raw == b"+OK\r\n"
        assert wire.value("EXEC") == [[b"OK"]]


@pytest.mark.parametrize("shards", [1, 4])
def test_keys_that_a_function_finds_are_asked_about_as_others(tmp_path: Path, shards: int) -> None:
    with _start(tmp_path / "own.py", numbered, shards) as server, server.wire() as admin, server.wire() as wire:
        admin.call("ACL", "SETUSER", "anna", "on", "nopass", "~number:1*", "%R~number:2", "+@all")
        wire.call("AUTH", "anna", "any")
        denied = b"-NOPERM No permissions to access a key\r\n"
        assert wire.value("NUMBERED.SET", 1) == b"OK"
        assert wire.value("NUMBERED.GET", 1) == b"1"
        assert wire.value("NUMBERED.GET", 2) is None
        admin.call("ACL", "LOG", "RESET")
        assert wire.call("NUMBERED.SET", 2).raw == denied
        assert wire.call("NUMBERED.GET", 3).raw == denied
        entry = admin.value("ACL", "LOG")[0]
        assert entry[entry.index(b"reason") + 1] == b"key"
        assert entry[entry.index(b"object") + 1] == b"number:3"
        replies = wire.pipeline([["MULTI"], ["NUMBERED.SET", 2], ["NUMBERED.SET", 11], ["EXEC"]])
        assert replies[-1].raw == b"*2\r\n" + denied + b"+OK\r\n"
        assert admin.value("GET", "number:2") is None
        admin.call("ACL", "SETUSER", "anna", "(~number:2 +numbered.set)")
        wire.call("AUTH", "anna", "any")
        assert wire.value("NUMBERED.SET", 2) == b"OK"
        assert wire.call("NUMBERED.SET", 3).raw == denied


def test_what_a_user_may_do_is_told_without_doing_it(tmp_path: Path) -> None:
    with _start(tmp_path / "own.py", numbered) as server, server.wire() as wire:
        wire.call("ACL", "SETUSER", "anna", "on", "nopass", "~mine:*", "+one.set")
        assert wire.value("ACL", "DRYRUN", "anna", "ONE.SET", "mine:k") == b"OK"
        assert b"no permissions to access the 'k' key" in wire.value("ACL", "DRYRUN", "anna", "one.set", "k")
        assert b"no permissions to run the 'one.get' command" in wire.value("ACL", "DRYRUN", "anna", "one.get", "k")


def test_a_write_that_waited_until_its_server_was_a_replica_is_refused(tmp_path: Path) -> None:
    """Alone and in a transaction."""
    with (
        _start(tmp_path / "own.py", numbered) as server,
        server.wire() as slow,
        server.wire() as late,
        server.wire() as later,
        server.wire() as admin,
    ):
        slow.write("ONE.SET", "a", "2.0")
        _until((tmp_path / "begun").exists)
        late.write("ONE.SET", "b")
        later.pipeline([["MULTI"], ["ONE.SET", "c"], ["SET", "d", "x"]])
        later.write("EXEC")
        _until(lambda: admin.value("CLIENT", "LIST").count(b"cmd=one.set") == 2)
        assert admin.call("REPLICAOF", "127.0.0.1", "1").raw == b"+OK\r\n"
        assert slow.read().value == b"OK"
        assert late.read().raw == b"-READONLY You can't write against a read only replica.\r\n"
        assert later.read().raw == (
            b"-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n"
        )
        assert admin.value("MGET", "b", "c", "d") == [None, None, None]


def _invalidated(wire: Wire) -> bytes:
    """The keys of the invalidation that has come before the answer to a PING, if one has."""
    wire.write("PING")
    told = wire.read()
    if told.raw == b"+PONG\r\n":
        return b""
    assert wire.read().raw == b"+PONG\r\n"
    return bytes(told.raw)


def _until_invalidated(wire: Wire, key: str) -> None:
    _until(lambda: key.encode() in _invalidated(wire))


@pytest.mark.parametrize("shards", [1, 4])
def test_what_a_command_reads_is_tracked_for_its_client(tmp_path: Path, shards: int) -> None:
    """As what a script reads: with CLIENT CACHING too, and in transactions; and own changes are not told with NOLOOP."""
    with _start(tmp_path / "own.py", numbered, shards) as server, server.wire() as other:
        with server.wire(protocol=3) as wire:
            wire.call("CLIENT", "TRACKING", "ON")
            for command in (["ONE.GET", "k"], ["NUMBERED.GET", "1"]):
                key = "k" if command[1] == "k" else "number:1"
                wire.call(*command)
                other.call("SET", key, "1")
                _until_invalidated(wire, key)
            wire.pipeline([["MULTI"], ["ONE.GET", "k"], ["EXEC"]])
            other.call("SET", "k", "2")
            _until_invalidated(wire, "k")
        with server.wire(protocol=3) as wire:
            wire.call("CLIENT", "TRACKING", "ON", "NOLOOP")
            for command in (["ONE.SET", "k"], ["MULTI", "ONE.SET k", "EXEC"]):
                wire.call("GET", "k")
                replies = wire.pipeline([part.split() for part in command] if command[0] == "MULTI" else [command])
                assert not any(reply.is_error for reply in replies)
                assert [_invalidated(wire) for _ in range(3)] == [b""] * 3
        with server.wire(protocol=3) as wire:
            wire.call("CLIENT", "TRACKING", "ON", "OPTIN")
            wire.pipeline([["CLIENT", "CACHING", "YES"], ["ONE.GET", "a"], ["ONE.GET", "b"], ["GET", "c"]])
            for key in ("c", "b", "a"):
                other.call("SET", key, "1")
            _until_invalidated(wire, "a")
            assert _invalidated(wire) == b""
