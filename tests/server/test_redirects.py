"""A replica sends clients that understand it to its primary: CLIENT CAPA redirect."""

from __future__ import annotations

import pytest

from tests.support.servers import Server, free_port

pytestmark = pytest.mark.sherd_only


def test_a_replica_redirects_clients_that_have_said_they_understand_it() -> None:
    """Writes, and reads unless READONLY was asked for; in transactions with EXEC; nobody else, and nobody on a primary."""
    port = free_port()
    with Server() as server, server.wire() as wire, server.wire() as plain:
        assert wire.call("CLIENT", "CAPA", "redirect").raw == b"+OK\r\n"
        assert b" capa=r " in wire.value("CLIENT", "INFO") and b" capa= " in plain.value("CLIENT", "INFO")
        assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
        assert wire.call("REPLICAOF", "127.0.0.1", str(port)).raw == b"+OK\r\n"
        redirect = b"-REDIRECT 127.0.0.1:%d\r\n" % port
        assert wire.call("SET", "k", "x").raw == redirect
        assert wire.call("GET", "k").raw == redirect
        assert wire.call("PING").raw == b"+PONG\r\n"
        assert plain.call("SET", "k", "x").raw.startswith(b"-READONLY")
        assert plain.call("GET", "k").value == b"v"
        assert wire.call("READONLY").raw == b"+OK\r\n"
        assert wire.call("GET", "k").value == b"v"
        assert wire.call("SET", "k", "x").raw == redirect
        assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"
        assert wire.call("SET", "k", "x").raw == b"+OK\r\n"


def test_a_transaction_that_a_primary_has_begun_is_redirected_as_well() -> None:
    """EXEC says where to go and nothing before that: clients look at how an error begins."""
    port = free_port()
    with Server() as server, server.wire() as wire, server.wire() as plain:
        wire.call("CLIENT", "CAPA", "redirect")
        for client in (wire, plain):
            client.call("MULTI")
            assert client.call("SET", "k", "v").raw == b"+QUEUED\r\n"
        with server.wire() as admin:
            assert admin.call("REPLICAOF", "127.0.0.1", str(port)).raw == b"+OK\r\n"
        assert wire.call("EXEC").raw == b"-REDIRECT 127.0.0.1:%d\r\n" % port
        assert plain.call("EXEC").raw.startswith(b"-EXECABORT ")
        assert wire.call("EXEC").raw == b"-ERR EXEC without MULTI\r\n"
