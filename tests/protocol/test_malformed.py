"""A request that breaks the protocol is answered with the reference's error, and the connection is closed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.support.references import need_reference
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from tests.support.servers import Server, ServerPool

# The marker is sent in the same packet, so that a connection that survives is recognised without waiting.
marker = b"*2\r\n$4\r\nECHO\r\n$6\r\nmarker\r\n"
marker_reply = b"$6\r\nmarker\r\n"

MALFORMED = {
    "a negative bulk length": b"*2\r\n$3\r\nGET\r\n$-1\r\n",
    "a very negative bulk length": b"*1\r\n$-9223372036854775808\r\n",
    "a bulk length beyond the limit": b"*2\r\n$3\r\nGET\r\n$536870913\r\n",
    "a bulk length beyond 64 bits": b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n",
    "a bulk length that is no number": b"*2\r\n$3\r\nGET\r\n$abc\r\n",
    "an empty bulk length": b"*2\r\n$3\r\nGET\r\n$\r\n",
    "a bulk length with a sign": b"*1\r\n$+4\r\nPING\r\n",
    "a bulk length with a leading zero": b"*1\r\n$04\r\nPING\r\n",
    "a bulk length with a space": b"*1\r\n$ 4\r\nPING\r\n",
    "a bulk length with a fraction": b"*1\r\n$4.0\r\nPING\r\n",
    "an argument without a dollar": b"*1\r\n+PING\r\n",
    "an argument that is an integer": b"*1\r\n:1\r\n",
    "an argument that is an array": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "a nested map": b"*1\r\n%1\r\n",
    "a multibulk length beyond 32 bits": b"*4294967296\r\n",
    "a multibulk length beyond the limit": b"*2147483648\r\n",
    "a multibulk length beyond 64 bits": b"*99999999999999999999\r\n",
    "a multibulk length that is no number": b"*abc\r\n",
    "an empty multibulk length": b"*\r\n",
    "a multibulk length with a sign": b"*+1\r\n$4\r\nPING\r\n",
    "a multibulk length with a space": b"* 1\r\n$4\r\nPING\r\n",
    "a good command, then a bad one": b"*1\r\n$4\r\nPING\r\n*1\r\n!4\r\nPING\r\n",
    "an inline command with unbalanced double quotes": b'SET k "value\r\n',
    "an inline command with unbalanced single quotes": b"SET k 'value\r\n",
    "an inline command with text after a closing quote": b'SET k "value"x\r\n',
}

# Valkey 9.1 refuses these; Redis skips the two bytes unseen, and takes what somebody else put behind them for a request.
LINE_ENDS = {
    "after a multibulk length": b"*1\rX$4\r\nPING\r\n",
    "after a multibulk length of two digits": b"*10\rX",
    "after a multibulk length that is no number": b"*x\rX",
    "after an empty array": b"*0\rX",
    "after a bulk length": b"*1\r\n$4\rXPING\r\n",
    "after a bulk length of two digits": b"*2\r\n$4\r\nECHO\r\n$10\rX0123456789\r\n",
    "after a bulk length of three digits": b"*2\r\n$4\r\nECHO\r\n$100\rX" + b"x" * 100 + b"\r\n",
    "after a negative bulk length": b"*1\r\n$-1\rX",
    "after an argument": b"*1\r\n$4\r\nPINGXX",
    "after an argument, the line feed": b"*1\r\n$4\r\nPING\rX",
    "after an argument, the carriage return": b"*1\r\n$4\r\nPINGX\n",
    "after an argument with a wrong length": b"*2\r\n$4\r\nECHO\r\n$3\r\nabcd\r\n",
    "after an argument of kilobytes": b"*2\r\n$4\r\nECHO\r\n$4000\r\n" + b"x" * 4000 + b"XX",
    "after the eleventh argument": b"*11\r\n" + b"$4\r\nPING\r\n" * 10 + b"$1\r\naXX",
}

UNTERMINATED = {
    "an inline command": b"x" * 70_000,
    "a multibulk header": b"*" + b"1" * 70_000,
    "a bulk header": b"*1\r\n$" + b"1" * 70_000,
}

TOLERATED = {
    "an empty line": b"\r\n",
    "many empty lines": b"\r\n" * 50,
    "an empty array": b"*0\r\n",
    "a null array": b"*-1\r\n",
    "a negative array": b"*-10\r\n",
    "an inline command": b"PING\r\n",
    "an inline command with a bare line feed": b"PING\n",
    "an inline command with quotes": b'ECHO "a\\x41\\n b"\r\n',
    "an inline command with single quotes": b"ECHO 'it\\'s'\r\n",
    "an inline command in spaces": b"   PING    hello   \r\n",
    "an inline command with a tab": b"ECHO\thello\r\n",
    "an inline command of only spaces": b"     \r\n",
    "an empty command name": b"*1\r\n$0\r\n\r\n",
    "a command name of binary": b"*1\r\n$3\r\n\x00\xff\r\r\n",
    "an inline command that looks like RESP": b"+OK\r\n",
    "an inline command that is a number": b":1\r\n",
    "an inline command with an HTTP-like word": b"GETX / HTTP/1.1\r\n",
    "an inline command with non-UTF-8": b"ECHO \xff\xfe\r\n",
    "an inline command with an empty argument": b'ECHO ""\r\n',
    "an inline command of 60 kB": b"ECHO " + b"x" * 60_000 + b"\r\n",
}


def exchange(server: Server, request: bytes) -> bytes:
    """What comes back for `request` and the marker after it, up to the marker's reply or the end of the connection."""
    with server.wire(timeout_seconds=10) as wire:
        # The server may close, and reset, while the rest is still being sent.
        try:
            wire.send(request + marker)
        except ConnectionError:
            return wire.read_until_closed()
        collected = b""
        while not collected.endswith(marker_reply):
            try:
                collected += wire.read().raw
            except ConnectionClosed as closed:
                return collected + closed.partial + b"<closed>"
        return collected


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_gets_the_references_error_and_a_closed_connection(
    request_bytes: bytes, server: Server, reference: Server
) -> None:
    """The bytes before the close are the reference's; a new connection works."""
    expected = exchange(reference, request_bytes)
    assert exchange(server, request_bytes) == expected
    with server.wire() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


@pytest.mark.parametrize("request_bytes", LINE_ENDS.values(), ids=LINE_ENDS)
def test_other_bytes_than_a_line_end_are_refused(request_bytes: bytes, server: Server) -> None:
    """Alone, behind a good request, and behind one that begins with the same bytes, which takes a shorter way."""
    error = b"-ERR Protocol error: invalid CRLF in request\r\n<closed>"
    assert exchange(server, request_bytes) == error
    for before, reply in (
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
        (b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\n", b"$1\r\na\r\n"),
    ):
        assert exchange(server, before * 3 + request_bytes) == reply * 3 + error


@pytest.mark.parametrize("request_bytes", LINE_ENDS.values(), ids=LINE_ENDS)
def test_valkey_refuses_the_same_line_ends(request_bytes: bytes, server: Server, pool: ServerPool) -> None:
    """The reference for this is Valkey 9.1 alone."""
    valkey = need_reference("valkey9")
    assert exchange(server, request_bytes) == exchange(pool.get(valkey), request_bytes)


def test_a_line_end_in_two_pieces_is_one(server: Server) -> None:
    """Half of it is neither refused nor taken for a whole one."""
    with server.wire() as wire:
        for part in (b"*1\r", b"\n$4", b"\r", b"\nPING", b"\r", b"\n"):
            wire.send(part)
        assert wire.read().raw == b"+PONG\r\n"


@pytest.mark.parametrize("request_bytes", UNTERMINATED.values(), ids=UNTERMINATED)
def test_a_line_that_does_not_end_within_64_kb_is_refused(
    request_bytes: bytes, server: Server, reference: Server
) -> None:
    """No line end comes, so the server has to give up by itself."""
    received: list[bytes] = []
    for peer in (reference, server):
        with peer.wire(timeout_seconds=10) as wire:
            with contextlib.suppress(ConnectionError):
                wire.send(request_bytes)
            received.append(wire.read_until_closed())
    assert received[0] == received[1]


def test_a_zero_byte_where_a_dollar_should_be_is_a_protocol_error(server: Server) -> None:
    """As in Valkey 9.1; Redis waits for ever, because it looks for the line's end with C string functions."""
    with server.wire(timeout_seconds=10) as wire:
        wire.send(b"*1\r\n\x00\r\n" + marker)
        assert wire.read_until_closed() == b"-ERR Protocol error: expected '$', got '\x00'\r\n"


@pytest.mark.parametrize("request_bytes", TOLERATED.values(), ids=TOLERATED)
def test_an_odd_request_is_taken_as_the_reference_takes_it(
    request_bytes: bytes, server: Server, reference: Server
) -> None:
    """Inline commands, empty lines and empty arrays."""
    assert exchange(server, request_bytes) == exchange(reference, request_bytes)


def test_an_endless_inline_command_is_refused_early(server: Server) -> None:
    """The server stops reading far below the gigabyte that the client would send."""
    chunk = b"x" * 65536
    with server.wire(timeout_seconds=10) as wire:
        sent = 0
        try:
            while sent < 1 << 30:
                wire.send(chunk)
                sent += len(chunk)
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 64 << 20
    with server.wire() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_a_huge_announced_array_costs_no_memory(server: Server) -> None:
    """A header that promises a million arguments is believed only as they come."""
    wires = [server.wire() for _ in range(20)]
    try:
        for wire in wires:
            wire.send(b"*1048576\r\n$4\r\nECHO\r\n")
        with server.wire() as other:
            assert other.call("PING").raw == b"+PONG\r\n"
            info = other.value("INFO", "memory").decode()
    finally:
        for wire in wires:
            wire.close()
    used = int(next(line for line in info.splitlines() if line.startswith("used_memory:")).partition(":")[2])
    assert used < 512 << 20


def test_a_huge_announced_bulk_is_believed_only_as_it_comes(server: Server) -> None:
    """Half a gigabyte is allowed; connections that only announce it leave the server working."""
    wires = [server.wire() for _ in range(10)]
    try:
        for wire in wires:
            wire.send(b"*2\r\n$4\r\nECHO\r\n$536870912\r\nabc")
        with server.wire() as other:
            assert other.call("PING").raw == b"+PONG\r\n"
    finally:
        for wire in wires:
            wire.close()


def test_nested_arrays_a_million_deep_are_refused_at_the_first_level(server: Server) -> None:
    """The request parser knows one level only, so that depth costs nothing."""
    with server.wire(timeout_seconds=10) as wire:
        wire.send(b"*1\r\n" * 1_000)
        assert wire.read_until_closed() == b"-ERR Protocol error: expected '$', got '*'\r\n"


def test_bytes_after_quit_are_not_executed(server: Server) -> None:
    """QUIT answers and closes; a pipelined SET after it has no effect."""
    with server.wire() as wire:
        wire.send(b"*1\r\n$4\r\nQUIT\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        assert wire.read_until_closed() == b"+OK\r\n"
    with server.wire() as wire:
        assert wire.value("EXISTS", "k") == 0


def test_an_http_request_is_cut_as_a_cross_protocol_attack(server: Server) -> None:
    """POST and Host: close the connection at once, without executing the body."""
    for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n", b"Host: x\r\nSET k v\r\n"):
        with server.wire(timeout_seconds=10) as wire:
            wire.send(request)
            assert b"+OK" not in wire.read_until_closed()
    with server.wire() as wire:
        assert wire.value("EXISTS", "k") == 0


def test_replies_before_a_protocol_error_are_delivered(wire: Wire) -> None:
    """A pipeline is answered up to its first malformed request."""
    wire.send(b"*1\r\n$4\r\nPING\r\n" * 100 + b"*1\r\n#oops\r\n")
    received = wire.read_until_closed()
    assert received == b"+PONG\r\n" * 100 + b"-ERR Protocol error: expected '$', got '#'\r\n"


def test_a_name_ends_where_its_argument_ends(wire: Wire) -> None:
    """Real servers compare names up to a zero byte, and find this one if chance has put it beside its shorter one."""
    reply = wire.call("GET\x00", "k").raw
    assert reply.startswith(b"-ERR unknown command 'GET"), reply
