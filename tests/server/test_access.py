"""Users and their rights in a running server: who is cut, who is refused, what is logged, what files say."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Reply, Wire

bound_seconds = 60.0
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=3)]


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own, as users stay."""
    with Server(shape=request.param) as server:
        yield server


def _user(admin: Wire, name: str, *rules: str) -> None:
    assert admin.call("ACL", "SETUSER", name, "reset", "on", "nopass", *rules).raw == b"+OK\r\n"


def _log_in(server: Server, name: str, protocol: int = 2) -> Wire:
    wire = server.wire(protocol=protocol)
    assert wire.call("AUTH", name, "any").raw == b"+OK\r\n"
    return wire


def _is_cut(wire: Wire) -> bool:
    with contextlib.suppress(ConnectionClosed):
        wire.read()
        return False
    return True


def _info(admin: Wire, field: str) -> int:
    lines = admin.value("INFO", "stats").decode().splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith(f"{field}:")))


def test_rights_count_from_the_answer_on(server: Server) -> None:
    """Clients on every thread are judged by a change as soon as it was answered, in the midst of a connection."""
    with server.wire() as admin, contextlib.ExitStack() as stack:
        _user(admin, "anna", "+get", "~*")
        wires = [stack.enter_context(_log_in(server, "anna")) for _ in range(6)]
        for number in range(30):
            rule = "-get" if number % 2 == 0 else "+get"
            assert admin.call("ACL", "SETUSER", "anna", rule).raw == b"+OK\r\n"
            for wire in wires:
                assert wire.call("GET", "k").is_error == (number % 2 == 0)


def test_a_pipeline_is_checked_command_by_command(server: Server) -> None:
    """Requests that begin alike are looked at by their keys all the same."""
    with server.wire() as admin:
        _user(admin, "anna", "+get", "~mine:*")
        admin.call("MSET", "mine:1", "a", "other", "secret")
        with _log_in(server, "anna") as wire:
            keys = ["mine:1", "mine:1", "other", "mine:1", "OTHER", "mine", "mine:1"] * 50
            wire.send(b"".join(encode_command("GET", key) for key in keys))
            for key in keys:
                expected = b"$1\r\na\r\n" if key == "mine:1" else b"-NOPERM No permissions to access a key\r\n"
                assert wire.read().raw == expected


def test_who_is_deleted_is_cut_wherever_it_is(server: Server) -> None:
    """Idle, waiting for a key, and in a transaction; a new user of the name is another one."""
    with server.wire() as admin, contextlib.ExitStack() as stack:
        _user(admin, "anna", "+@all", "~*")
        idle, waiting, queueing = (stack.enter_context(_log_in(server, "anna")) for _ in range(3))
        waiting.write("BLPOP", "nothing", "0")
        queueing.call("MULTI")
        _await(admin, "blocked_clients:1")
        assert admin.call("ACL", "DELUSER", "anna").raw == b":1\r\n"
        _user(admin, "anna", "+@all", "~*")
        for wire in (idle, waiting, queueing):
            assert _is_cut(wire)


def _await(admin: Wire, line: str) -> None:
    deadline = time.monotonic() + bound_seconds
    while line.encode() not in admin.value("INFO", "clients"):
        assert time.monotonic() < deadline, line
        time.sleep(0.01)


def test_who_waits_without_the_right_to_it_is_refused(server: Server) -> None:
    """The list gets its element afterwards, and it stays there."""
    with server.wire() as admin:
        _user(admin, "anna", "+@all", "~*")
        with _log_in(server, "anna") as wire, _log_in(server, "anna") as other:
            wire.write("BLPOP", "list", "0")
            other.write("BLPOP", "mine", "0")
            _await(admin, "blocked_clients:2")
            assert admin.call("ACL", "SETUSER", "anna", "resetkeys", "~mine").raw == b"+OK\r\n"
            assert wire.read().raw == b"-NOPERM No permissions to access a key\r\n"
            assert admin.call("RPUSH", "list", "x").raw == b":1\r\n"
            assert admin.call("LLEN", "list").raw == b":1\r\n"
            admin.call("RPUSH", "mine", "y")
            assert other.read().value == [b"mine", b"y"]
            assert wire.call("PING").raw == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("command", "kept"),
    [(("SUBSCRIBE", "news"), "&news"), (("PSUBSCRIBE", "n*"), "&n*"), (("SSUBSCRIBE", "news"), "&ne*")],
)
def test_a_subscriber_that_may_not_listen_any_more_is_cut(
    server: Server, protocol: int, command: tuple[str, str], kept: str
) -> None:
    """And one that still may goes on."""
    with server.wire() as admin:
        _user(admin, "anna", "+@all", "&*")
        _user(admin, "bert", "+@all", "&*")
        with _log_in(server, "anna", protocol) as wire, _log_in(server, "bert", protocol) as other:
            wire.call(*command)
            other.call(*command)
            admin.call("ACL", "SETUSER", "anna", "resetchannels", kept)
            admin.call("ACL", "SETUSER", "bert", "resetchannels", "&other")
            assert _is_cut(other)
            publish = "SPUBLISH" if command[0] == "SSUBSCRIBE" else "PUBLISH"
            assert admin.call(publish, "news", "m").raw == b":1\r\n"
            assert wire.read().value[-1] == b"m"


def test_a_subscriber_that_takes_its_own_channels_away_is_answered_before_it_is_cut(server: Server) -> None:
    """As one that deletes its own user."""
    with server.wire() as admin:
        for command in (("ACL", "SETUSER", "anna", "resetchannels"), ("ACL", "DELUSER", "anna")):
            _user(admin, "anna", "+@all", "&*")
            with _log_in(server, "anna", 3) as wire:
                wire.call("SUBSCRIBE", "news")
                assert not wire.call(*command).is_error
                assert _is_cut(wire)


def test_wrong_passwords_are_counted_and_slowed_and_nobody_else_waits(server: Server) -> None:
    """After some of them a connection is not listened to for a while; others are served meanwhile."""
    with server.wire() as admin:
        admin.call("ACL", "SETUSER", "anna", "on", ">right")
        before = _info(admin, "acl_access_denied_auth")
        with server.wire() as guessing:
            begun = time.monotonic()
            guessing.send(b"".join(encode_command("AUTH", "anna", f"wrong {number}") for number in range(9)))
            guessing.write("AUTH", "anna", "right")
            served = 0
            replies: list[Reply] = []
            while len(replies) < 10:
                assert admin.call("PING").raw == b"+PONG\r\n"
                served += 1
                guessing.timeout_seconds = 0.01
                with contextlib.suppress(TimeoutError):
                    replies.append(guessing.read())
                assert time.monotonic() - begun < bound_seconds
            # 50 + 100 + 200 + 400 ms, each of them counted in whole milliseconds.
            assert time.monotonic() - begun >= 0.746
            assert served > 10
            assert [reply.is_error for reply in replies] == [True] * 9 + [False]
        assert _info(admin, "acl_access_denied_auth") == before + 9


def test_passwords_cannot_be_guessed_within_a_transaction(server: Server) -> None:
    """What is wrong too often in one is refused without a look, the right one too."""
    with server.wire() as admin:
        admin.call("ACL", "SETUSER", "anna", "on", ">right", "+@all")
        with server.wire() as wire:
            wire.call("MULTI")
            for number in range(20):
                wire.call("AUTH", "anna", f"wrong {number}")
            wire.call("AUTH", "anna", "right")
            node = wire.call("EXEC").node
            assert node.items is not None
            assert all(item.text.startswith(b"WRONGPASS") for item in node.items)
            assert wire.value("ACL", "WHOAMI") == b"default"
        (entry,) = admin.value("ACL", "LOG", "1")
        assert (b"context", b"multi") in zip(entry[::2], entry[1::2], strict=True)


def test_denials_are_counted_and_logged(server: Server) -> None:
    """With who, what, where, and the client that was refused last."""
    with server.wire() as admin:
        admin.call("ACL", "LOG", "RESET")
        admin.call("CONFIG", "RESETSTAT")
        _user(admin, "anna", "+get", "+publish", "+select", "~a", "&c", "db=0")
        with _log_in(server, "anna") as wire:
            wire.call("SET", "a", "1")
            wire.call("GET", "b")
            wire.call("GET", "b")
            wire.call("PUBLISH", "d", "m")
            wire.call("SELECT", "1")
            identifier = admin.value("CLIENT", "LIST").decode()
        entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in admin.value("ACL", "LOG")]
        shown = [(entry[b"reason"], entry[b"object"], entry[b"count"]) for entry in entries]
        assert shown == [(b"database", b"1", 1), (b"channel", b"d", 1), (b"key", b"b", 2), (b"command", b"set", 1)]
        refused = (b" cmd=select ", b" cmd=publish ", b" cmd=get ", b" cmd=set ")
        assert all(cmd in entry[b"client-info"] for cmd, entry in zip(refused, entries, strict=True))
        assert all(b"user=anna" in entry[b"client-info"] and entry[b"username"] == b"anna" for entry in entries)
        assert "user=anna" in identifier
        fields = {"auth": 0, "cmd": 1, "key": 2, "channel": 1, "db": 1}
        assert {name: _info(admin, f"acl_access_denied_{name}") for name in fields} == fields
        admin.call("CONFIG", "SET", "acllog-max-len", "2")
        with _log_in(server, "anna") as wire:
            for key in "xyz":
                wire.call("GET", key)
        assert len(admin.value("ACL", "LOG")) == 2


def test_users_are_in_client_list_and_may_be_cut_by_name(server: Server) -> None:
    """CLIENT KILL USER."""
    with server.wire() as admin:
        _user(admin, "anna", "+@all")
        with _log_in(server, "anna") as wire, server.wire() as other:
            assert admin.value("CLIENT", "LIST").count(b"user=anna ") == 1
            assert admin.call("CLIENT", "KILL", "USER", "anna").raw == b":1\r\n"
            assert _is_cut(wire)
            assert other.call("PING").raw == b"+PONG\r\n"


def test_secrets_of_rules_are_not_shown(server: Server) -> None:
    """The slow log hides all that follows ACL SETUSER, GETUSER and DELUSER, which MONITOR does not show at all; neither does the log."""
    with server.wire() as admin, server.wire() as monitor:
        admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        monitor.call("MONITOR")
        admin.call("ACL", "SETUSER", "anna", "on", ">hidden-word")
        admin.call("ACL", "SETUSER", "anna", "on", ">hidden-word", "nonsense")
        admin.call("AUTH", "anna", "hidden-word")
        admin.call("AUTH", "default", "")
        admin.call("ACL", "GETUSER", "hidden-user")
        admin.call("ACL", "DELUSER", "hidden-user")
        admin.call("ECHO", "seen")
        lines = [monitor.read().raw]
        while b"seen" not in lines[-1]:
            lines.append(monitor.read().raw)
        assert not any(b"hidden-word" in line for line in lines), lines
        shown = repr(admin.value("SLOWLOG", "GET", "-1"))
        assert "SETUSER" in shown
        assert "hidden-word" not in shown
        assert "hidden-user" not in shown, "names of users are as secret as their rules"
        assert "hidden-word" not in server.log()


def test_functions_have_the_rights_of_who_calls_them(server: Server) -> None:
    """Whoever has loaded them; commands of the control plane among what they call."""
    library = (
        "#!lua name=mine\n"
        "redis.register_function('read', function(keys, args) return redis.call('GET', args[1]) end)\n"
        "redis.register_function('ask', function(keys, args) return redis.call('INFO', 'server') end)\n"
    )
    with server.wire() as admin:
        assert admin.value("FUNCTION", "LOAD", library) == b"mine"
        admin.call("MSET", "mine:1", "a", "other", "secret")
        _user(admin, "anna", "+fcall", "+get", "~mine:*")
        with _log_in(server, "anna") as wire:
            assert wire.value("FCALL", "read", "0", "mine:1") == b"a"
            for arguments in (("read", "0", "other"), ("ask", "0"), ("read", "1", "other", "mine:1")):
                reply = wire.call("FCALL", *arguments).raw
                assert b"ACL failure in script" in reply or reply.startswith(b"-NOPERM"), reply
            assert wire.call("FUNCTION", "LIST").raw.startswith(
                b"-NOPERM User anna has no permissions to run the 'function|"
            )
        admin.call("FUNCTION", "FLUSH")
