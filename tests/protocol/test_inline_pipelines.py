"""Inline requests come in long pipelines too, from a script that is piped into a socket.

How long that takes is no business of a test. What is: that each is answered, in order, whatever comes in between, and that
what is not yet executed is not kept without a bound.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape
from tests.support.wire import read_size_bytes

if TYPE_CHECKING:
    from tests.support.wire import Wire

request_count = 4000
reply_timeout_seconds = 60.0
query_buffer_limit_bytes = 1 << 20


def _send_while_reading(wire: Wire, data: bytes, reply_bytes: int) -> bytes:
    """Sends it all from a thread of its own, as the server need not read on while replies wait."""
    sender = threading.Thread(target=wire.send, args=(data,))
    sender.start()
    received = bytearray()
    wire.socket.settimeout(reply_timeout_seconds)
    while len(received) < reply_bytes:
        part = wire.socket.recv(read_size_bytes)
        assert part, f"closed after {len(received)} bytes"
        received += part
    sender.join(reply_timeout_seconds)
    assert not sender.is_alive()
    return bytes(received)


def test_thousands_of_inline_pings_are_answered_in_order(wire: Wire) -> None:
    """Each with a word of its own, so that a lost or a doubled one would show."""
    words = [b"%d" % number for number in range(request_count)]
    expected = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    data = b"".join(b"PING %b\r\n" % word for word in words)
    assert _send_while_reading(wire, data, len(expected)) == expected


def test_thousands_of_inline_writes_over_shards_take_effect(wire: Wire) -> None:
    """Line ends of both kinds, quoted words, and blank lines that mean nothing."""
    lines = []
    for number in range(request_count):
        end = b"\n" if number % 3 else b"\r\n"
        lines.append(b'SET "key:%d" "value %d"' % (number, number) + end + (b"\r\n" if number % 5 == 0 else b""))
    expected = b"+OK\r\n" * request_count
    assert _send_while_reading(wire, b"".join(lines), len(expected)) == expected
    assert wire.value("DBSIZE") == request_count
    assert wire.value("GET", f"key:{request_count - 1}") == b"value %d" % (request_count - 1)


def test_inline_requests_and_arrays_mix_in_one_pipeline(wire: Wire) -> None:
    """The reply to each is where its request was."""
    data, expected = [], []
    for number in range(request_count // 2):
        data += [b"INCR n\r\n", encode_command("ECHO", b"x" * (number % 40))]
        expected += [b":%d\r\n" % (number + 1), b"$%d\r\n%b\r\n" % (number % 40, b"x" * (number % 40))]
    replies = b"".join(expected)
    assert _send_while_reading(wire, b"".join(data), len(replies)) == replies


def test_quoted_words_and_errors_are_answered_between_arrays(wire: Wire) -> None:
    """Behind a large argument, so that all of it is in the buffer at once; the last request ends the connection."""
    wire.send(encode_command("SET", "large", b"x" * (1 << 20)))
    assert wire.read().raw == b"+OK\r\n"
    turns = [
        (b'ECHO "a\\x41\\n b"\r\n', b"$5\r\naA\n b\r\n"),
        (encode_command("ECHO", "array"), b"$5\r\narray\r\n"),
        (b"ECHO 'it\\'s'\n", b"$4\r\nit's\r\n"),
        (b'NOSUCH "a b"\r\n', b"-ERR unknown command 'NOSUCH', with args beginning with: 'a b' \r\n"),
        (b"\r\n", b""),
        (b"GET\r\n", b"-ERR wrong number of arguments for 'get' command\r\n"),
        (encode_command("SET", "key", "array"), b"+OK\r\n"),
        (b'GET "key"\r\n', b"$5\r\narray\r\n"),
        (b'SET "key" ""\r\n', b"+OK\r\n"),
        (encode_command("STRLEN", "key"), b":0\r\n"),
    ]
    pipeline = encode_command("SET", "large", b"y" * (1 << 20)) + b"".join(data for data, _ in turns) * 300
    expected = b"+OK\r\n" + b"".join(reply for _, reply in turns) * 300
    unbalanced = b"-ERR Protocol error: unbalanced quotes in request\r\n"
    data = pipeline + b'GET "key\r\n' + encode_command("SET", "key", "not executed")
    assert _send_while_reading(wire, data, len(expected + unbalanced)) == expected + unbalanced


def test_a_client_of_inline_requests_that_never_reads_is_held_back(shape: Shape) -> None:
    """The server stops reading, or cuts the client off, before its buffers of requests and replies have grown far."""
    directives = {
        "client-query-buffer-limit": str(query_buffer_limit_bytes),
        "client-output-buffer-limit": "normal 4mb 0 0",
    }
    with Server(shape=shape, directives=directives) as server, server.wire() as other:
        other.call("SET", "big", b"x" * 1000)
        before = int(other.value("MEMORY", "STATS")[1])
        with server.wire() as greedy:
            greedy.socket.setblocking(False)
            requests = b"GET big\r\n" * 7000
            with contextlib.suppress(OSError):
                for _ in range(400):
                    greedy.socket.send(requests)
            for _ in range(50):
                assert other.call("ECHO", "x").value == b"x"
            clients = [dict(part.split(b"=", 1) for part in line.split()) for line in _client_lines(other)]
            for client in clients:
                assert int(client[b"qbuf"]) <= 2 * query_buffer_limit_bytes
            assert int(other.value("MEMORY", "STATS")[1]) - before < 64 * query_buffer_limit_bytes


def _client_lines(wire: Wire) -> list[bytes]:
    listing: bytes = wire.value("CLIENT", "LIST")
    return listing.splitlines()
