"""The limits that protect the server: buffers, connections, time, descriptors, passwords."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

# What only a hang reaches, even where every core is busy with something else.
wait_seconds_max = 60.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits, within a bound, until the condition holds."""
    deadline = time.monotonic() + wait_seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.02)


def connected_clients(wire: Wire) -> int:
    """The number of connections that INFO tells."""
    return int(info_field(wire, "clients", "connected_clients"))


def info_field(wire: Wire, section: str, field: str) -> str:
    """One field of INFO."""
    text: str = wire.value("INFO", section).decode()
    lines = text.splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith(f"{field}:"))


def test_a_client_that_never_reads_is_cut_at_the_hard_limit(shape: Shape) -> None:
    """Its replies are not kept beyond client-output-buffer-limit, and others are served meanwhile."""
    directives = {"client-output-buffer-limit": "normal 1048576 0 0"}
    with Server(shape=shape, directives=directives) as server, server.wire() as other:
        other.call("SET", "big", b"x" * 100_000)
        with server.wire(timeout_seconds=wait_seconds_max) as greedy:
            identity = greedy.value("CLIENT", "ID")
            with contextlib.suppress(OSError):
                for _ in range(600):
                    greedy.send(encode_command("GET", "big") * 10)
                    other.call("PING")
            eventually(
                lambda: b"id=%d " % identity not in other.value("CLIENT", "LIST"), "the greedy client was cut off"
            )
            assert len(greedy.read_until_closed(byte_count_max=1 << 30)) < 600 * 10 * 100_000
        assert other.call("PING").raw == b"+PONG\r\n"


def test_a_client_that_never_reads_holds_up_nobody_else(shape: Shape) -> None:
    """Without a limit the server stops reading from that client; a second client is answered."""
    with Server(shape=shape) as server, server.wire() as other, server.wire() as greedy:
        other.call("SET", "big", b"x" * 100_000)
        greedy.socket.setblocking(False)
        with contextlib.suppress(OSError):
            for _ in range(200):
                greedy.socket.send(encode_command("GET", "big"))
        for _ in range(50):
            assert other.call("ECHO", "x").value == b"x"


def test_a_query_beyond_its_buffer_limit_is_cut_off() -> None:
    """client-query-buffer-limit bounds what one unfinished request may hold."""
    with Server(directives={"client-query-buffer-limit": "1mb"}) as server:
        with server.wire(timeout_seconds=wait_seconds_max) as wire:
            with contextlib.suppress(ConnectionError):
                wire.send(encode_command("SET", "k", b"x" * (8 << 20)))
            received = wire.read_until_closed()
            assert b"+OK" not in received
        with server.wire() as wire:
            assert wire.value("EXISTS", "k") == 0


def test_a_bulk_beyond_proto_max_bulk_len_is_a_protocol_error() -> None:
    """The limit is a directive, with Redis' lowest value of one megabyte."""
    with Server(directives={"proto-max-bulk-len": "1mb"}) as server:
        with server.wire() as wire:
            assert wire.call("SET", "k", b"x" * (1 << 20)).raw == b"+OK\r\n"
            with contextlib.suppress(ConnectionError):
                wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n")
            assert wire.read_until_closed() == b"-ERR Protocol error: invalid bulk length\r\n"
        with server.wire() as wire:
            assert wire.call("SETRANGE", "k", "1048576", "x").raw == (
                b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
            )


def test_connections_beyond_maxclients_are_told_so() -> None:
    """They get an error and are closed; a place that comes free is given out again."""
    with Server(directives={"maxclients": "10"}) as server:
        wires = [server.wire()]
        # The one that asked whether the server is up may not have been noticed to be gone.
        eventually(lambda: connected_clients(wires[0]) == 1, "nobody else is connected")
        wires += [server.wire() for _ in range(9)]
        for wire in wires:
            assert wire.call("PING").raw == b"+PONG\r\n"
        with server.wire() as eleventh:
            assert eleventh.read_until_closed() == b"-ERR max number of clients reached\r\n"
        assert int(info_field(wires[0], "stats", "rejected_connections")) == 1
        wires.pop().close()
        eventually(lambda: connected_clients(wires[0]) < 10, "the closed connection was noticed")
        with server.wire() as again:
            assert again.call("PING").raw == b"+PONG\r\n"
        for wire in wires:
            wire.close()


def test_an_idle_connection_is_closed_after_timeout() -> None:
    """`timeout` seconds without a request; a busy connection stays."""
    with Server(directives={"timeout": "2"}) as server, server.wire() as idle, server.wire() as busy:
        idle.call("PING")
        deadline = time.monotonic() + wait_seconds_max
        idle.socket.settimeout(0.1)
        while time.monotonic() < deadline:
            assert busy.call("PING").raw == b"+PONG\r\n"
            try:
                assert idle.socket.recv(1) == b""
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the idle connection was never closed")


def test_a_client_that_reads_a_long_reply_is_not_idle() -> None:
    """`timeout` goes by what a client does, and it reads: what it is sent counts as what it sends does."""
    with Server(directives={"timeout": "600"}) as server, server.wire() as other, server.wire() as slow:
        other.call("SET", "big", b"x" * (64 << 20))
        identity = slow.value("CLIENT", "ID")

        def idle_seconds() -> int:
            found = re.search(rb"^id=%d .* idle=(\d+) " % identity, other.value("CLIENT", "LIST"), re.MULTILINE)
            assert found
            return int(found[1])

        slow.write("GET", "big")
        eventually(lambda: idle_seconds() >= 3, "it has sent and read nothing for a while")
        received = 0
        while received < 32 << 20:
            received += len(slow.socket.recv(1 << 20))
        eventually(lambda: idle_seconds() < 3, "it has read")


def test_a_transaction_beyond_the_query_buffer_limit_is_not_executed_in_part() -> None:
    """The client is cut with the command that is too much, whatever it has sent behind that."""
    with Server(directives={"client-query-buffer-limit": "1mb"}) as server, server.wire() as other:
        with server.wire() as wire:
            wire.call("MULTI")
            assert wire.call("SET", "a", b"x" * 1_040_000).raw == b"+QUEUED\r\n"
            with contextlib.suppress(ConnectionError):
                wire.send(
                    encode_command("SET", "b", b"x" * 10_000) + encode_command("SET", "c", "1") + encode_command("EXEC")
                )
            assert wire.read_until_closed() == b""
        assert other.value("EXISTS", "a", "b", "c") == 0


def test_ten_thousand_connections_leave_nothing_behind(shape: Shape) -> None:
    """Opened in chunks, some with half a request, and dropped."""
    # As many at once as this process may have open, with room for what it has open already.
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    chunk = 500 if limit == resource.RLIM_INFINITY else min(500, limit // 2)
    rounds = -(-10_000 // chunk)
    with Server(shape=shape) as server, server.wire() as observer:
        # The one that asked whether the server is up may not have been noticed to be gone.
        eventually(lambda: connected_clients(observer) == 1, "nobody else is connected")
        for round_number in range(rounds):
            sockets = [socket.create_connection(server.address, 20) for _ in range(chunk)]  # type: ignore[arg-type]
            for index, connection in enumerate(sockets):
                if index % 3 == 0:
                    connection.sendall(b"*2\r\n$4\r\nECHO\r\n$100\r\nhalf")
                elif index % 3 == 1:
                    connection.sendall(encode_command("SET", f"key:{index}", "v"))
            for connection in sockets:
                connection.close()
            assert observer.call("PING").raw == b"+PONG\r\n", f"in round {round_number}"
        eventually(lambda: connected_clients(observer) == 1, "all connections were noticed as closed")
        # Where few descriptors are allowed, some come before those of the last round were noticed as closed.
        counters = ("total_connections_received", "rejected_connections")
        assert sum(int(info_field(observer, "stats", name)) for name in counters) >= rounds * chunk


def test_running_out_of_descriptors_is_survived() -> None:
    """Connections beyond the limit wait or fail, the others are served, and afterwards all is well."""
    with Server(descriptor_limit=96, directives={"maxclients": "1000"}) as server, server.wire() as first:
        first.call("SET", "k", "v")
        sockets: list[socket.socket] = []
        with contextlib.suppress(OSError):
            sockets += [socket.create_connection(server.address, 5) for _ in range(200)]  # type: ignore[arg-type]
        assert first.call("GET", "k").value == b"v"
        for connection in sockets:
            connection.close()
        eventually(lambda: connected_clients(first) <= 2, "the connections were noticed as closed")
        with server.wire() as later:
            assert later.call("GET", "k").value == b"v"
        assert server.is_running()


class TestAuthentication:
    """requirepass: what a connection may do before it says the password."""

    @pytest.fixture
    def guarded(self, pool: object, shape: Shape) -> Server:
        """A server with a password, shared by this class."""
        from tests.support.servers import ServerPool

        assert isinstance(pool, ServerPool)
        return pool.get(shape=shape, directives={"requirepass": "secret"}, flush=False)

    def test_commands_before_auth_are_refused(self, guarded: Server) -> None:
        """All but AUTH, HELLO, QUIT and RESET."""
        with guarded.wire() as wire:
            for command in (("GET", "k"), ("SET", "k", "v"), ("PING",), ("MULTI",), ("INFO",), ("CONFIG", "GET", "*")):
                assert wire.call(*command).raw == b"-NOAUTH Authentication required.\r\n"

    def test_errors_before_auth_tell_nothing_about_commands(self, guarded: Server) -> None:
        """Unknown commands and wrong arity are the only errors that come first, as in Redis."""
        with guarded.wire() as wire:
            assert wire.call("NOSUCH").raw.startswith(b"-ERR unknown command 'NOSUCH'")
            assert wire.call("GET").raw == b"-ERR wrong number of arguments for 'get' command\r\n"
            assert wire.call("RESET").raw == b"+RESET\r\n"

    def test_a_wrong_password_is_refused(self, guarded: Server) -> None:
        """Also for a user that does not exist."""
        refusal = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        with guarded.wire() as wire:
            for arguments in (("wrong",), ("default", "wrong"), ("nobody", "secret"), ("",)):
                assert wire.call("AUTH", *arguments).raw == refusal
            assert wire.call("HELLO", "3", "AUTH", "default", "wrong").raw == refusal
            assert wire.call("GET", "k").raw == b"-NOAUTH Authentication required.\r\n"

    def test_hello_without_auth_is_refused(self, guarded: Server) -> None:
        """With a text that names both ways out."""
        with guarded.wire() as wire:
            assert wire.call("HELLO", "3").raw == (
                b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
                b"<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
                b"the same time\r\n"
            )

    @pytest.mark.parametrize("arguments", [("AUTH", "secret"), ("AUTH", "default", "secret")])
    def test_the_right_password_opens_the_connection(self, guarded: Server, arguments: tuple[str, ...]) -> None:
        """With and without the user's name."""
        with guarded.wire() as wire:
            assert wire.call(*arguments).raw == b"+OK\r\n"
            assert wire.call("PING").raw == b"+PONG\r\n"

    def test_hello_authenticates_and_switches_at_once(self, guarded: Server) -> None:
        """HELLO 3 AUTH default secret."""
        with guarded.wire() as wire:
            assert wire.call("HELLO", "3", "AUTH", "default", "secret").raw.startswith(b"%")
            assert wire.call("GET", "nothing").raw == b"_\r\n"

    def test_reset_takes_the_authentication_back(self, guarded: Server) -> None:
        """RESET leaves a fresh, closed connection."""
        with guarded.wire() as wire:
            wire.call("AUTH", "secret")
            assert wire.call("RESET").raw == b"+RESET\r\n"
            assert wire.call("PING").raw == b"-NOAUTH Authentication required.\r\n"

    @pytest.mark.parametrize(
        ("request_bytes", "error"),
        [
            (b"*11\r\n", b"-ERR Protocol error: unauthenticated multibulk length\r\n"),
            (b"*2\r\n$16385\r\n", b"-ERR Protocol error: unauthenticated bulk length\r\n"),
        ],
        ids=["eleven arguments", "a bulk of 16 kB"],
    )
    def test_an_unauthenticated_request_has_small_limits(
        self, guarded: Server, request_bytes: bytes, error: bytes
    ) -> None:
        """Ten arguments of 16 kB are enough for AUTH."""
        with guarded.wire() as wire:
            wire.send(request_bytes)
            assert wire.read_until_closed() == error

    def test_a_password_set_at_run_time_applies_to_new_connections(self) -> None:
        """Those that are in stay in."""
        with Server() as server, server.wire() as before:
            assert before.call("CONFIG", "SET", "requirepass", "new").raw == b"+OK\r\n"
            assert before.call("PING").raw == b"+PONG\r\n"
            with server.wire() as after:
                assert after.call("PING").raw == b"-NOAUTH Authentication required.\r\n"
                assert after.call("AUTH", "new").raw == b"+OK\r\n"


class TestMemoryLimit:
    """maxmemory with the policy noeviction."""

    def test_writes_beyond_maxmemory_are_refused_and_reads_are_served(self, shape: Shape) -> None:
        """OOM for commands that may add; DEL and GET go on, and make room."""
        with Server(shape=shape, directives={"maxmemory": "24mb"}) as server, server.wire() as wire:
            reply = b""
            written = 0
            while written < 400:
                reply = wire.call("SET", f"key:{written}", b"x" * 100_000).raw
                if reply != b"+OK\r\n":
                    break
                written += 1
            assert reply == b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
            assert wire.value("STRLEN", "key:0") == 100_000
            big = b"x" * 100_000
            assert wire.call("LPUSH", "list", big).raw.startswith(b"-OOM")
            assert wire.pipeline([("MULTI",), ("SET", "k", big)])[1].raw.startswith(b"-OOM")
            assert wire.call("EXEC").raw.startswith(b"-EXECABORT")
            assert wire.value("DEL", *[f"key:{index}" for index in range(written)]) == written
            eventually(lambda: wire.call("SET", "k", "v").raw == b"+OK\r\n", "deleting made room")

    def test_maxmemory_can_be_raised_at_run_time(self) -> None:
        """CONFIG SET applies to the next write."""
        with Server(directives={"maxmemory": "1"}) as server, server.wire() as wire:
            assert wire.call("SET", "k", "v").raw.startswith(b"-OOM")
            assert wire.call("CONFIG", "SET", "maxmemory", "0").raw == b"+OK\r\n"
            assert wire.call("SET", "k", "v").raw == b"+OK\r\n"


def test_a_unix_socket_serves_with_its_permissions() -> None:
    """unixsocket and unixsocketperm; port 0 opens no TCP port."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        directives = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700"}
        with Server(directives=directives) as server, server.wire() as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"
            assert path.stat().st_mode & 0o777 == 0o700


def test_a_closed_connection_answers_nothing_more(server: Server) -> None:
    """CLIENT KILL by id ends a connection at once."""
    with server.wire() as victim, server.wire() as killer:
        identity = victim.value("CLIENT", "ID")
        assert killer.value("CLIENT", "KILL", "ID", str(identity)) == 1
        with pytest.raises((ConnectionClosed, ConnectionError)):
            for _ in range(100):
                victim.call("PING")
