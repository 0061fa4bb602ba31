"""A request means the same however the network cuts it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command

if TYPE_CHECKING:
    from tests.support.servers import Server
    from tests.support.wire import Wire

PIPELINE = (
    encode_command("SET", "k", "v\r\nw")
    + b"PING inline\r\n"
    + encode_command("GET", "k")
    + b"\r\n*0\r\n"
    + encode_command("MSET", "a", "", "b", b"\x00\xff")
    + encode_command("MGET", "a", "b", "nothing")
    + encode_command("NOSUCH", "x")
    + encode_command("INCR", "n")
)
reply_count = 7


def _replies(wire: Wire, count: int) -> bytes:
    return b"".join(wire.read().raw for _ in range(count))


def test_a_pipeline_cut_at_any_byte_gives_the_same_replies(server: Server, protocol: int) -> None:
    """Two packets, with the cut at every boundary."""
    expected: bytes | None = None
    for cut in range(len(PIPELINE) + 1):
        with server.wire(protocol=protocol) as wire:
            wire.call("DEL", "n")
            wire.send(PIPELINE[:cut])
            # The server shall see the first part alone: something else has to be answered in between.
            if cut % 8 == 0:
                with server.wire() as other:
                    other.call("PING")
            wire.send(PIPELINE[cut:])
            received = _replies(wire, reply_count)
        expected = expected or received
        assert received == expected, f"differs when cut at byte {cut}"


def test_a_pipeline_sent_byte_by_byte_gives_the_same_replies(server: Server, protocol: int) -> None:
    """One packet a byte."""
    with server.wire(protocol=protocol) as wire:
        wire.send(PIPELINE)
        expected = _replies(wire, reply_count)
        wire.call("DEL", "n")
        for index in range(len(PIPELINE)):
            wire.send(PIPELINE[index : index + 1])
        assert _replies(wire, reply_count) == expected


@pytest.mark.parametrize("cut", [1, 5, 14, 20, 24])
def test_half_a_request_then_silence_then_the_rest_is_answered(cut: int, wire: Wire) -> None:
    """A slow client is waited for, and does not hold up others."""
    request = encode_command("ECHO", "hello")
    wire.send(request[:cut])
    time.sleep(0.15)
    wire.send(request[cut:])
    assert wire.read().value == b"hello"


def test_half_a_request_then_a_close_leaves_nothing_behind(server: Server) -> None:
    """The half command is not executed."""
    with server.wire() as wire:
        wire.send(encode_command("SET", "half", "value")[:-3])
    with server.wire() as wire:
        assert wire.value("EXISTS", "half") == 0


def test_a_half_closed_connection_still_gets_its_replies(wire: Wire) -> None:
    """As with `printf ... | nc`: the client has finished sending and goes on reading."""
    wire.send(encode_command("ECHO", "one") + encode_command("ECHO", "two"))
    first = wire.read().value
    wire.half_close()
    assert first == b"one"
    assert wire.read_until_closed() == b"$3\r\ntwo\r\n"


@pytest.mark.parametrize("depth", [1, 2, 100, 10_000])
def test_a_pipeline_of_any_depth_is_answered_in_order(depth: int, wire: Wire) -> None:
    """Keys of all shards in turn, replies in the order of the requests."""
    wire.send(b"".join(encode_command("SET", f"key:{index}", f"value:{index}") for index in range(depth)))
    for _ in range(depth):
        assert wire.read().raw == b"+OK\r\n"
    wire.send(b"".join(encode_command("GET", f"key:{index}") for index in range(depth)))
    for index in range(depth):
        assert wire.read().value == b"value:%d" % index


@pytest.mark.parametrize("size_bytes", [1, 16 << 10, (16 << 10) + 1, (64 << 10) - 1, 1 << 20, 24 << 20])
def test_a_value_of_any_size_comes_back_whole(size_bytes: int, wire: Wire) -> None:
    """Below, at and above every buffer size."""
    value = bytes(range(256)) * (size_bytes // 256 + 1)
    value = value[:size_bytes]
    assert wire.call("SET", "big", value).raw == b"+OK\r\n"
    assert wire.value("STRLEN", "big") == size_bytes
    assert wire.call("GET", "big").raw == b"$%d\r\n%b\r\n" % (size_bytes, value)


def test_a_command_with_many_arguments_is_executed(wire: Wire) -> None:
    """Fifty thousand pairs in one MSET, over all shards."""
    pairs: list[str] = []
    for index in range(50_000):
        pairs += [f"key:{index}", str(index)]
    assert wire.call("MSET", *pairs).raw == b"+OK\r\n"
    assert wire.value("DBSIZE") == 50_000
    assert wire.value("MGET", "key:0", "key:49999", "key:50000") == [b"0", b"49999", None]


def test_requests_larger_than_the_socket_buffers_flow_both_ways(wire: Wire) -> None:
    """Sending goes on while replies wait: the server neither blocks nor drops."""
    value = b"x" * 100_000
    requests = encode_command("ECHO", value) * 20
    wire.send(requests)
    for _ in range(20):
        assert wire.read().raw == b"$100000\r\n" + value + b"\r\n"
