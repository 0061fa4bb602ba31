"""RESP3: the types that HELLO 3 switches on, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.resp import encode_command

if TYPE_CHECKING:
    from tests.support.servers import Server


def test_hello_switches_nulls_maps_sets_and_doubles(server: Server) -> None:
    """The same data, in both versions of the protocol, on one connection."""
    with server.wire() as wire:
        wire.pipeline([("HSET", "h", "f", "v"), ("SADD", "s", "m"), ("ZADD", "z", "1.5", "m")])
        questions = [("GET", "nothing"), ("HGETALL", "h"), ("SMEMBERS", "s"), ("ZSCORE", "z", "m")]
        second = [b"$-1\r\n", b"*2\r\n$1\r\nf\r\n$1\r\nv\r\n", b"*1\r\n$1\r\nm\r\n", b"$3\r\n1.5\r\n"]
        third = [b"_\r\n", b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n", b"~1\r\n$1\r\nm\r\n", b",1.5\r\n"]
        assert [reply.raw for reply in wire.pipeline(questions)] == second
        assert wire.call("HELLO", "3").raw.startswith(b"%7\r\n")
        assert [reply.raw for reply in wire.pipeline(questions)] == third
        assert wire.call("HELLO", "2").raw.startswith(b"*14\r\n")
        assert [reply.raw for reply in wire.pipeline(questions)] == second


def test_hello_in_a_pipeline_applies_from_the_next_command_on(server: Server) -> None:
    """Commands before it in the same packet are answered in the old version."""
    with server.wire() as wire:
        wire.send(encode_command("GET", "x") + encode_command("HELLO", "3") + encode_command("GET", "x"))
        assert wire.read().raw == b"$-1\r\n"
        assert wire.read().raw[:1] == b"%"
        assert wire.read().raw == b"_\r\n"


def test_the_version_belongs_to_the_connection(server: Server) -> None:
    """Another connection goes on in RESP2."""
    with server.wire(protocol=3) as third, server.wire() as second:
        assert third.call("GET", "x").raw == b"_\r\n"
        assert second.call("GET", "x").raw == b"$-1\r\n"


def test_reset_goes_back_to_resp2(server: Server) -> None:
    """RESET restores what a fresh connection has."""
    with server.wire(protocol=3) as wire:
        assert wire.call("RESET").raw == b"+RESET\r\n"
        assert wire.call("GET", "x").raw == b"$-1\r\n"


def test_hello_tells_who_answers(server: Server) -> None:
    """Fields and their order are Redis'."""
    with server.wire() as wire:
        greeting = wire.value("HELLO", "3")
        names = [name.decode() for name in greeting]
        assert names == ["server", "version", "proto", "id", "mode", "role", "modules"]
        assert greeting[b"proto"] == 3
        assert greeting[b"id"] == wire.value("CLIENT", "ID")
        assert (greeting[b"mode"], greeting[b"role"]) == (b"standalone", b"master")


def test_exec_nests_resp3_types(server: Server) -> None:
    """The replies inside EXEC's array keep their own types."""
    with server.wire(protocol=3) as wire:
        wire.call("HSET", "h", "f", "v")
        replies = wire.pipeline([("MULTI",), ("HGETALL", "h"), ("GET", "nothing"), ("EXEC",)])
        assert replies[-1].raw == b"*2\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n"


def test_an_aborted_exec_is_a_null_of_the_version(server: Server) -> None:
    """`*-1` in RESP2, `_` in RESP3."""
    for protocol, null in ((2, b"*-1\r\n"), (3, b"_\r\n")):
        with server.wire(protocol=protocol) as wire, server.wire() as other:
            wire.call("WATCH", "k")
            other.call("SET", "k", "changed")
            assert wire.pipeline([("MULTI",), ("PING",), ("EXEC",)])[-1].raw == null
