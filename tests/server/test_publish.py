"""Pub/Sub between threads: who gets what and in which order, what it costs the slow, and what others see of it."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool
    from tests.support.wire import Wire

shapes = [Shape(shards=1, io_threads=1), Shape(shards=1, io_threads=2), Shape(shards=4, io_threads=3)]
bound_seconds = 60.0
word = b"x" * 1000


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def server(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """An empty server; more subscribers than threads are on all of them."""
    return pool.get(shape=request.param)


def _subscribers(server: Server, count: int, protocol: int, *command: str) -> list[Wire]:
    wires = [server.wire(protocol=protocol) for _ in range(count)]
    for wire in wires:
        for _ in command[1:]:
            wire.write(command[0], _)
        for _ in command[1:]:
            wire.read()
    return wires


def _message(wire: Wire) -> list[bytes]:
    node = wire.read().value
    assert node[0] in (b"message", b"pmessage", b"smessage"), node
    return list(node[1:])


def test_every_subscriber_gets_all_messages_in_their_order(server: Server, protocol: int) -> None:
    """Subscribers and publishers on every thread; PUBLISH answers with the number of receivers."""
    subscribers = _subscribers(server, 5, protocol, "SUBSCRIBE", "c") + _subscribers(
        server, 4, protocol, "PSUBSCRIBE", "c*"
    )
    publishers = [server.wire() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for wire in (*subscribers, *publishers):
            stack.enter_context(wire)
        for round_number in range(20):
            for name, publisher in enumerate(publishers):
                commands = [("PUBLISH", "c", f"{name} {round_number * 50 + number}") for number in range(50)]
                publisher.send(b"".join(encode_command(*command) for command in commands))
            for publisher in publishers:
                assert [publisher.read().value for _ in range(50)] == [9] * 50
        for subscriber in subscribers:
            heard: dict[int, list[int]] = {0: [], 1: [], 2: []}
            for _ in range(3000):
                name, number = map(int, _message(subscriber)[-1].split())
                heard[name].append(number)
            assert heard == {name: list(range(1000)) for name in range(3)}


def test_messages_one_by_one_come_in_their_order_whichever_threads_sleep(server: Server, protocol: int) -> None:
    """A thread that sleeps is delivered for, one that is awake is told: nothing is lost or overtaken in between."""
    subscribers = _subscribers(server, 3, protocol, "SUBSCRIBE", "c")
    publishers = [server.wire() for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for wire in (*subscribers, *publishers):
            stack.enter_context(wire)
        for number in range(600):
            publisher = publishers[number % 4]
            publisher.write("PUBLISH", "c", str(number))
            if number % 5 == 0:
                # Somebody keeps the threads awake.
                publishers[number % 3].send(encode_command("PING") * 20)
                answers = [publishers[number % 3].read().value for _ in range(20 + (number % 3 == number % 4))]
                assert answers.count(b"PONG") == 20
            if number % 5 or number % 3 != number % 4:
                assert publisher.read().value == 3
        for subscriber in subscribers:
            assert [int(_message(subscriber)[-1]) for _ in range(600)] == list(range(600))


def test_a_message_never_lies_within_a_reply(server: Server) -> None:
    """A RESP3 client with long pipelines to all shards, data and control commands, gets messages between replies only."""
    with server.wire(protocol=3) as wire, server.wire() as publisher:
        for number in range(8):
            wire.call("RPUSH", f"list:{number}", *(f"element {i}" for i in range(200)))
        wire.call("SUBSCRIBE", "c")
        requests = [("LRANGE", f"list:{number % 8}", "0", "-1") for number in range(60)]
        requests[20:20] = [("CONFIG", "GET", "*"), ("MSET", "a", "1", "b", "2", "c", "3"), ("INFO",)]
        pushes = 0
        for _ in range(10):
            wire.send(b"".join(encode_command(*request) for request in requests))
            publisher.send(encode_command("PUBLISH", "c", "m" * 100) * 200)
            replies = []
            while len(replies) < len(requests):
                node = wire.read()
                if node.raw.startswith(b">"):
                    assert node.value == [b"message", b"c", b"m" * 100]
                    pushes += 1
                else:
                    replies.append(node)
            assert [len(reply.value) for reply in replies[:20]] == [200] * 20
            assert [len(reply.value) for reply in replies[23:]] == [200] * 40
            assert replies[21].raw == b"+OK\r\n"
            assert [publisher.read().value for _ in range(200)] == [1] * 200
        while pushes < 2000:
            assert wire.read().value == [b"message", b"c", b"m" * 100]
            pushes += 1


def test_what_was_written_before_a_message_is_found_by_who_gets_it(server: Server) -> None:
    """SET and PUBLISH in one pipeline: the message must not overtake the write, whichever shard that is for."""
    with server.wire() as subscriber, server.wire() as reader, server.wire() as publisher:
        subscriber.call("SUBSCRIBE", "c")
        for number in range(300):
            key = f"key:{number}"
            publisher.send(encode_command("SET", key, str(number)) + encode_command("PUBLISH", "c", key))
            assert _message(subscriber) == [b"c", key.encode()]
            assert reader.value("GET", key) == str(number).encode()


def test_who_subscribes_gets_nothing_that_was_published_before(server: Server) -> None:
    """Although the message may still be on its way to other subscribers of the same thread."""
    others = _subscribers(server, 4, 2, "SUBSCRIBE", "c") + _subscribers(server, 4, 2, "PSUBSCRIBE", "?")
    with server.wire() as publisher, contextlib.ExitStack() as stack:
        for other in others:
            stack.enter_context(other)
        for number in range(200):
            publisher.send(encode_command("PUBLISH", "c", word) * 5)
            for _ in range(5):
                publisher.read()
            with server.wire() as late:
                late.write("SUBSCRIBE" if number % 2 else "PSUBSCRIBE", "c")
                assert late.read().value[2] == 1
                assert late.call("PING", "end").value == [b"pong", b"end"]


def test_keyspace_events_come_in_order_with_messages_of_the_same_client(server: Server) -> None:
    """One key after the other, several keys at once, and within a transaction, where messages follow the events."""
    with server.wire() as subscriber, server.wire() as wire:
        wire.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
        subscriber.write("PSUBSCRIBE", "__keyspace@0__:*", "c")
        subscriber.read(), subscriber.read()
        for number in range(100):
            commands: list[tuple[str, ...]] = [
                ("SET", f"a:{number}", "1"), ("PUBLISH", "c", "1"), ("MSET", "x", "1", "y", "2", "z", "3"),
                ("PUBLISH", "c", "2"), ("MULTI",), ("SET", f"b:{number}", "1"), ("INCR", f"a:{number}"),
                ("PUBLISH", "c", "3"), ("EXEC",), ("DEL", f"a:{number}"), ("PUBLISH", "c", "4"),
            ]  # fmt: skip
            wire.send(b"".join(encode_command(*command) for command in commands))
            expected = [
                (f"a:{number}", "set"), "1", ("x", "set"), ("y", "set"), ("z", "set"), "2", (f"b:{number}", "set"),
                (f"a:{number}", "incrby"), "3", (f"a:{number}", "del"), "4",
            ]  # fmt: skip
            for event in expected:
                _, channel, message = _message(subscriber)
                if isinstance(event, str):
                    assert (channel, message) == (b"c", event.encode())
                else:
                    assert (channel, message) == (f"__keyspace@0__:{event[0]}".encode(), event[1].encode())
            for _ in commands:
                assert not wire.read().is_error
        wire.call("CONFIG", "SET", "notify-keyspace-events", "")


def test_expired_keys_are_told_though_nobody_asks_for_them(server: Server) -> None:
    """By the shards' own threads."""
    with server.wire() as subscriber, server.wire() as wire:
        wire.call("CONFIG", "SET", "notify-keyspace-events", "Ex")
        subscriber.call("SUBSCRIBE", "__keyevent@0__:expired")
        for number in range(20):
            wire.call("SET", f"key:{number}", "1", "PX", "1")
        heard = {_message(subscriber)[1] for _ in range(20)}
        assert heard == {f"key:{number}".encode() for number in range(20)}
        wire.call("CONFIG", "SET", "notify-keyspace-events", "")


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test."""
    with Server(sherd_program(), shape=request.param) as server:
        yield server


@pytest.mark.sherd_only
def test_a_subscriber_that_does_not_read_is_cut_and_costs_others_nothing(own_server: Server) -> None:
    """At the limit of its class, while ordinary clients have none; the others get every message."""
    with own_server.wire() as slow, own_server.wire() as fast, own_server.wire() as publisher:
        publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 2mb 1mb 60")
        slow.call("SUBSCRIBE", "c")
        fast.call("SUBSCRIBE", "c")
        message = b"m" * 100_000
        receivers = []
        for number in range(400):
            receivers.append(publisher.value("PUBLISH", "c", b"%d " % number + message))
            assert _message(fast)[1].startswith(b"%d " % number)
        assert receivers[0] == 2 and receivers[-1] == 1
        assert b"client_output_buffer_limit_disconnections:1\r\n" in publisher.value("INFO", "stats")
        # What was sent before the end are whole messages in order, but for the last one.
        got = slow.read_until_closed(byte_count_max=1 << 26)
        numbers = [int(number) for number in re.findall(rb"\r\n(\d+) m", got)]
        assert numbers == list(range(len(numbers))) and len(numbers) < 400


@pytest.mark.sherd_only
def test_what_many_leave_unread_is_in_memory_once(own_server: Server) -> None:
    """A copy a protocol, and not a subscriber; and all of it comes in its order, with what is small between it."""
    count, rounds, large = 40, 12, b"x" * 1_000_000
    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(own_server.wire())
        admin.value("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
        wires = []
        for number in range(count):
            wire = stack.enter_context(own_server.wire(protocol=2 + number % 2))
            wire.call("PSUBSCRIBE" if number % 4 > 1 else "SUBSCRIBE", "c*" if number % 4 > 1 else "c1")
            wires.append(wire)
        before = _memory_used(admin)
        for number in range(rounds):
            for message in (large + b"%d" % number, b"small %d" % number, b"y" * 5000 + b"%d" % number):
                assert admin.value("PUBLISH", "c1", message) == count
        # Channel and pattern, in two protocols each, when all threads have got everything.
        deadline = time.monotonic() + bound_seconds
        while _memory_used(admin) - before >= 5 * rounds * len(large):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for wire in wires:
            wire.write("PING", "end")
            for number in range(rounds):
                for message in (large + b"%d" % number, b"small %d" % number, b"y" * 5000 + b"%d" % number):
                    assert _message(wire)[-1] == message
            assert b"end" in wire.read().raw
        deadline = time.monotonic() + bound_seconds
        while _memory_used(admin) - before > len(large):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _memory_used(wire: Wire) -> int:
    found = re.search(rb"used_memory:(\d+)", wire.value("INFO", "memory"))
    assert found is not None
    return int(found[1])


@pytest.mark.sherd_only
def test_who_has_been_behind_for_too_long_is_cut_and_that_is_logged(own_server: Server) -> None:
    """As is who is too far behind: an operator finds out why a subscriber has gone."""
    with own_server.wire() as slow, own_server.wire() as publisher:
        publisher.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1")
        slow.call("SUBSCRIBE", "c")
        deadline = time.monotonic() + 60
        while publisher.value("PUBLISH", "c", b"m" * 100_000) == 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert b"client_output_buffer_limit_disconnections:1\r\n" in publisher.value("INFO", "stats")
        while "a client was cut at its output buffer limit" not in own_server.log():
            assert time.monotonic() < deadline, own_server.log()
            time.sleep(0.02)


@pytest.mark.sherd_only
def test_subscribers_are_seen_by_operators(own_server: Server) -> None:
    """CLIENT LIST, CLIENT KILL, INFO."""
    with own_server.wire() as subscriber, own_server.wire(protocol=3) as other, own_server.wire() as wire:
        identity = subscriber.value("CLIENT", "ID")
        subscriber.write("SUBSCRIBE", "a", "b")
        subscriber.read(), subscriber.read()
        subscriber.call("PSUBSCRIBE", "p*")
        other.call("SSUBSCRIBE", "a")
        line = wire.value("CLIENT", "LIST", "ID", str(identity)).decode()
        assert " flags=P " in line and " sub=2 psub=1 ssub=0 " in line
        assert len(wire.value("CLIENT", "LIST", "TYPE", "pubsub").splitlines()) == 2
        assert len(wire.value("CLIENT", "LIST", "TYPE", "normal").splitlines()) == 1
        info = wire.value("INFO")
        for field in (b"pubsub_channels:2", b"pubsub_patterns:1", b"pubsubshard_channels:1", b"pubsub_clients:2"):
            assert field + b"\r\n" in info
        assert wire.value("CLIENT", "KILL", "TYPE", "pubsub") == 2
        assert subscriber.read_until_closed() == b""
        _await(lambda: wire.value("PUBSUB", "CHANNELS") == [] and b"pubsub_clients:0\r\n" in wire.value("INFO"))
        assert wire.value("PUBSUB", "NUMPAT") == 0
        assert wire.value("PUBSUB", "SHARDCHANNELS") == []


def _await(condition: object) -> None:
    deadline = time.monotonic() + bound_seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


@pytest.mark.sherd_only
def test_the_timeout_of_silent_clients_spares_subscribers(own_server: Server) -> None:
    """A client that listens is silent by its nature."""
    with own_server.wire() as subscriber, own_server.wire() as silent, own_server.wire() as admin:
        subscriber.call("SUBSCRIBE", "c")
        silent.call("PING")
        admin.call("CONFIG", "SET", "timeout", "1")
        assert silent.read_until_closed() == b""
        with own_server.wire() as publisher:
            assert publisher.value("PUBLISH", "c", "m") == 1
        assert _message(subscriber) == [b"c", b"m"]


def test_names_and_messages_of_a_megabyte_arrive_whole(server: Server, protocol: int) -> None:
    """By name and by pattern."""
    name, message = "n" * (1 << 20), bytes(range(256)) * 8192
    with server.wire(protocol=protocol) as subscriber, server.wire() as publisher:
        assert subscriber.call("SUBSCRIBE", name).value[2] == 1
        assert subscriber.call("PSUBSCRIBE", "n" * 1000 + "*n").value[2] == 2
        assert publisher.value("PUBLISH", name, message) == 2
        assert _message(subscriber) == [name.encode(), message]
        assert _message(subscriber)[1:] == [name.encode(), message]


def test_a_connection_may_have_very_many_subscriptions(server: Server) -> None:
    """They come and go in linear time, one by one and all with the connection."""
    names = [f"channel:{number}" for number in range(30_000)]
    with server.wire(timeout_seconds=bound_seconds) as wire, server.wire(timeout_seconds=bound_seconds) as other:
        for connection in (wire, other):
            connection.write("SUBSCRIBE", *names)
            assert [connection.read().value[2] for _ in names] == list(range(1, len(names) + 1))
        with server.wire() as publisher:
            assert publisher.value("PUBLISH", names[-1], "m") == 2
            wire.read()
            wire.write("UNSUBSCRIBE")
            assert [wire.read().value[2] for _ in names] == list(range(len(names) - 1, -1, -1))
            assert len(publisher.value("PUBSUB", "CHANNELS")) == len(names)
            other.close()
            _await(lambda: publisher.value("PUBSUB", "CHANNELS") == [])


def test_patterns_that_would_backtrack_take_no_time(server: Server) -> None:
    """Hostile patterns and channels."""
    with server.wire() as subscriber, server.wire() as publisher:
        subscriber.call("PSUBSCRIBE", "a*" * 500 + "b")
        assert publisher.value("PUBLISH", "a" * 10_000, "m") == 0
        assert publisher.value("PUBLISH", "a" * 10_000 + "b", "m") == 1


def test_commands_of_pubsub_are_shown_to_monitors(server: Server) -> None:
    """As they were sent; messages are not commands."""
    with server.wire() as monitor, server.wire() as subscriber, server.wire() as publisher:
        monitor.call("MONITOR")
        subscriber.call("SUBSCRIBE", "c")
        publisher.call("PUBLISH", "c", "m")
        subscriber.read()
        subscriber.call("UNSUBSCRIBE")
        shown = [monitor.read().raw.split(b"] ")[1] for _ in range(3)]
        assert shown == [b'"SUBSCRIBE" "c"\r\n', b'"PUBLISH" "c" "m"\r\n', b'"UNSUBSCRIBE"\r\n']
