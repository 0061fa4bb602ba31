"""Clients that wait for a key: the order in which they are served, and everything that ends their waiting.

Keys are named so that they lie on different shards where there are several.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from tests.protocol.test_limits import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server
    from tests.support.wire import Wire


@contextlib.contextmanager
def waiting(server: Server, wire: Wire, *commands: tuple[str, ...]) -> Iterator[list[Wire]]:
    """Connections that have begun to wait in these commands, in this order."""
    with contextlib.ExitStack() as stack:
        clients = []
        for number, command in enumerate(commands, 1):
            client = stack.enter_context(server.wire())
            client.write(*command)
            eventually(lambda wanted=number: blocked_count(wire) == wanted, f"{command} waits")
            clients.append(client)
        yield clients


def blocked_count(wire: Wire) -> int:
    """Clients that wait, from CLIENT LIST."""
    listing: bytes = wire.value("CLIENT", "LIST")
    return sum(b"flags=" in line and b"b" in line.split(b"flags=")[1].split()[0] for line in listing.splitlines())


def test_waiters_are_served_in_the_order_in_which_they_came(server: Server, wire: Wire) -> None:
    """One element each, whatever else they wait for."""
    with waiting(server, wire, ("BLPOP", "k1", "k2", "k3", "0"), ("BLPOP", "k1", "0"), ("BRPOP", "k1", "0")) as clients:
        assert wire.value("RPUSH", "k1", "a", "b", "c", "d") == 4
        assert [client.read().value for client in clients] == [[b"k1", b"a"], [b"k1", b"b"], [b"k1", b"d"]]
        assert wire.value("LRANGE", "k1", "0", "-1") == [b"c"]


def test_a_waiter_is_served_by_any_of_its_keys(server: Server, wire: Wire) -> None:
    """On whichever shard that is."""
    for key in ("k1", "k2", "k3"):
        with waiting(server, wire, ("BLPOP", "k1", "k2", "k3", "0")) as (client,):
            wire.call("LPUSH", key, "v")
            assert client.read().value == [key.encode(), b"v"]
            assert wire.value("EXISTS", key) == 0


def test_a_move_serves_who_waits_for_its_target(server: Server, wire: Wire) -> None:
    """A chain: the element goes on at once."""
    with waiting(server, wire, ("BLMOVE", "k1", "k2", "LEFT", "RIGHT", "0"), ("BLPOP", "k2", "0")) as (mover, popper):
        wire.call("RPUSH", "k1", "v")
        assert mover.read().value == b"v"
        assert popper.read().value == [b"k2", b"v"]
        assert wire.value("EXISTS", "k1", "k2") == 0


def test_a_move_of_exactly_so_many_waits_until_they_are_there(server: Server, wire: Wire, protocol: int) -> None:
    """However they come; a move of up to so many takes what there is."""
    del protocol
    for number, feed in enumerate((("RPUSH", "k1", "c"), ("LINSERT", "k1", "AFTER", "b", "c"))):
        wire.call("FLUSHALL")
        move = ("BLMOVEM", "k1", f"k{2 + number}", "LEFT", "RIGHT", "0", "EXACTLY", "3", "BULK")
        with waiting(server, wire, move) as (mover,):
            wire.pipeline([("RPUSH", "k1", "a", "b"), ("PING",)])
            assert wire.value("LLEN", "k1") == 2
            assert blocked_count(wire) == 1
            wire.call(*feed)
            assert mover.read().value == [b"a", b"b", b"c"]
            assert wire.value("EXISTS", "k1") == 0
    with waiting(server, wire, ("BLMOVEM", "k1", "k2", "LEFT", "LEFT", "0", "COUNT", "5", "OBO")) as (mover,):
        wire.call("RPUSH", "k1", "a", "b")
        assert mover.read().value == [b"b", b"a"]


def test_a_waiter_who_wants_more_does_not_hold_up_those_behind(server: Server, wire: Wire) -> None:
    """Whichever shards the keys of the first lie on."""
    for target in ("k1", "k2", "k3", "k4"):
        move = ("BLMOVEM", "k1", target, "LEFT", "RIGHT", "0", "EXACTLY", "3", "BULK")
        with waiting(server, wire, move, ("BLPOP", "k1", "0"), ("BLPOP", "k1", "k2", "k3", "0")) as clients:
            wire.call("RPUSH", "k1", "a")
            assert clients[1].read().value == [b"k1", b"a"]
            wire.call("RPUSH", "k1", "b")
            assert clients[2].read().value == [b"k1", b"b"]
            wire.call("RPUSH", "k1", "c", "d", "e")
            assert clients[0].read().value == [b"c", b"d", b"e"]
        wire.call("FLUSHALL")


def test_many_changes_in_vain_do_no_harm(server: Server, wire: Wire) -> None:
    """More of them at once than an IO thread's mailbox holds."""
    move = ("BLMOVEM", "k1", "k2", "LEFT", "RIGHT", "0", "EXACTLY", "20001", "BULK")
    with waiting(server, wire, move) as (mover,):
        wire.pipeline([("RPUSH", "k1", "v")] * 20000)
        assert wire.value("LLEN", "k1") == 20000
        wire.call("RPUSH", "k1", "v")
        assert mover.read().value == [b"v"] * 20001


def test_a_move_of_several_ends_with_its_time(server: Server, wire: Wire, protocol: int) -> None:
    """With a null array, also inside a transaction."""
    del server
    null = b"*-1\r\n" if protocol == 2 else b"_\r\n"
    move = ("BLMOVEM", "k1", "k2", "LEFT", "RIGHT", "0.02", "EXACTLY", "3", "BULK")
    assert wire.call(*move).raw == null
    assert wire.pipeline([("MULTI",), move, ("EXEC",)])[-1].raw == b"*1\r\n" + null


def read_idle(consumer: str, idle_ms: int, *streams: str, timeout_ms: int = 0) -> tuple[str, ...]:
    """XREADGROUP of a group `g` that also takes over what has been pending for so long."""
    words = ("XREADGROUP", "GROUP", "g", consumer, "BLOCK", str(timeout_ms), "CLAIM", str(idle_ms), "STREAMS")
    return (*words, *streams, *[">"] * len(streams))


def pending_entry(wire: Wire, *streams: str) -> None:
    """A group `g` of these streams, whose member `a` has read the one entry of the first."""
    for stream in streams:
        wire.call("XGROUP", "CREATE", stream, "g", "$", "MKSTREAM")
    wire.call("XADD", streams[0], "1-1", "f", "v")
    wire.call("XREADGROUP", "GROUP", "g", "a", "STREAMS", streams[0], ">")


def test_a_reader_is_woken_when_a_pending_entry_is_old_enough(server: Server, wire: Wire, protocol: int) -> None:
    """By time alone: nothing changes any key meanwhile."""
    del protocol
    for streams in (("s",), ("s", "s2", "s3")):
        wire.call("FLUSHALL")
        pending_entry(wire, *streams)
        # That it was seen waiting is not asked for: the machine may have been busy until the time was over.
        with server.wire() as reader:
            reader.write(*read_idle("b", 300, *streams))
            ((stream, entries),) = reader.read().value
            assert stream == b"s"
            assert entries[0][:2] == [b"1-1", [b"f", b"v"]]
            assert entries[0][2] >= 300
            assert entries[0][3] == 1
        assert [row[1] for row in wire.value("XPENDING", "s", "g", "-", "+", "10")] == [b"b"]


def test_a_reader_is_woken_by_what_becomes_pending_while_it_waits(server: Server, wire: Wire) -> None:
    """The entry goes to a first reader; the second one gets it when that has done nothing for long enough."""
    for stream in ("s", "s2"):
        wire.call("XGROUP", "CREATE", stream, "g", "$", "MKSTREAM")
    for streams in (("s",), ("s", "s2")):
        with waiting(server, wire, read_idle("a", 60_000, "s"), read_idle("b", 200, *streams)) as (first, second):
            wire.call("XADD", "s", "*", "f", "v")
            ((_, ((entry, *_),)),) = first.read().value
            ((_, ((again, _, idle_ms, deliveries),)),) = second.read().value
            assert again == entry
            assert idle_ms >= 200
            assert deliveries == 1
        wire.call("XACK", "s", "g", entry)


def test_what_is_acknowledged_in_time_wakes_nobody(server: Server, wire: Wire, protocol: int) -> None:
    """The reader waits on until its own time is over."""
    del protocol
    # Where the machine is busy for so long, the entry is not acknowledged in time: once more, then, with more of it.
    for idle_ms in (300, 1200, 4800, 19200):
        if _acknowledge_while_waiting(server, wire, idle_ms):
            return
    raise AssertionError("the entry was never acknowledged in time")


def _acknowledge_while_waiting(server: Server, wire: Wire, idle_ms: int) -> bool:
    """Whether it was done before the entry was old enough; if so, the reader must not have got it."""
    wire.call("FLUSHALL")
    deadline = time.monotonic() + idle_ms / 1000
    pending_entry(wire, "s")
    with server.wire(timeout_seconds=60) as reader:
        reader.write(*read_idle("b", idle_ms, "s", timeout_ms=2 * idle_ms))
        eventually(lambda: blocked_count(wire) == 1 or time.monotonic() > deadline, "the reader waits")
        acknowledged = wire.value("XACK", "s", "g", "1-1")
        if time.monotonic() >= deadline:
            return False
        assert acknowledged == 1
        assert reader.read().raw == b"*-1\r\n"
    return True


def test_every_way_in_which_a_key_appears_wakes(server: Server, wire: Wire) -> None:
    """RENAME, COPY, SORT STORE, LMOVE, RESTORE by others, SWAPDB."""
    for commands in (
        [("RPUSH", "other", "v"), ("RENAME", "other", "k1")],
        [("RPUSH", "other", "v"), ("COPY", "other", "k1"), ("DEL", "other")],
        [("RPUSH", "other", "v"), ("LMOVE", "other", "k1", "LEFT", "LEFT")],
        [("SELECT", "1"), ("RPUSH", "k1", "v"), ("SELECT", "0"), ("SWAPDB", "0", "1")],
        [("MULTI",), ("RPUSH", "k1", "gone"), ("LPOP", "k1"), ("RPUSH", "k1", "v"), ("EXEC",)],
    ):
        with waiting(server, wire, ("BLPOP", "k1", "0")) as (client,):
            wire.pipeline(commands)
            assert client.read().value == [b"k1", b"v"], commands
        wire.call("FLUSHALL")


def test_a_key_of_another_type_wakes_nobody(server: Server, wire: Wire) -> None:
    """The client goes on waiting and is served later."""
    with waiting(server, wire, ("BLPOP", "k1", "0"), ("BZPOPMIN", "k1", "0")) as (popper, lowest):
        wire.pipeline([("SET", "k1", "v"), ("DEL", "k1"), ("ZADD", "k1", "1", "m")])
        assert lowest.read().value[:2] == [b"k1", b"m"]
        wire.call("RPUSH", "k1", "v")
        assert popper.read().value == [b"k1", b"v"]


def test_a_wait_ends_with_its_time(server: Server, wire: Wire, protocol: int) -> None:
    """And the connection goes on with what was sent behind it."""
    del server
    null = b"*-1\r\n" if protocol == 2 else b"_\r\n"
    replies = wire.pipeline(
        [("SET", "k", "v"), ("BLPOP", "k1", "k2", "0.05"), ("BZMPOP", "0.01", "1", "z", "MIN"), ("GET", "k")]
    )
    assert [reply.raw for reply in replies] == [b"+OK\r\n", null, null, b"$1\r\nv\r\n"]
    assert wire.call("WAIT", "1", "20").raw == b":0\r\n"


def test_what_is_sent_behind_a_blocking_command_waits(server: Server, wire: Wire) -> None:
    """Its order is kept."""
    with waiting(server, wire, ("BLPOP", "k1", "0")) as (client,):
        client.write("SET", "late", "1")
        assert wire.value("EXISTS", "late") == 0
        wire.call("RPUSH", "k1", "v")
        assert [client.read().value, client.read().value] == [[b"k1", b"v"], b"OK"]


def test_a_client_is_unblocked_by_another(server: Server, wire: Wire, protocol: int) -> None:
    """As if its time were over, or with an error; a client that does not wait is left alone."""
    del protocol
    for mode, expected in (
        ((), b"*-1\r\n"),
        (("TIMEOUT",), b"*-1\r\n"),
        (("ERROR",), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
    ):
        with server.wire() as client:
            number = str(client.value("CLIENT", "ID"))
            assert wire.value("CLIENT", "UNBLOCK", number, *mode) == 0
            client.write("BLPOP", "k1", "k2", "0")
            eventually(lambda: blocked_count(wire) == 1, "the client waits")
            assert wire.value("CLIENT", "UNBLOCK", number, *mode) == 1
            assert client.read().raw == expected
            assert client.value("PING") == b"PONG"


def test_a_client_that_goes_away_takes_nothing(server: Server, wire: Wire) -> None:
    """The element stays for the next one."""
    with server.wire() as client:
        client.write("BLPOP", "k1", "k2", "0")
        eventually(lambda: blocked_count(wire) == 1, "the client waits")
    eventually(lambda: blocked_count(wire) == 0, "the client is gone")
    wire.call("RPUSH", "k1", "v")
    assert wire.value("LLEN", "k1") == 1


def test_nothing_waits_inside_a_transaction(server: Server, wire: Wire, protocol: int) -> None:
    """The replies are those for a time that is over."""
    del server
    replies = wire.pipeline([("MULTI",), ("BLPOP", "k1", "0"), ("BLMOVE", "k1", "k2", "LEFT", "LEFT", "0"), ("EXEC",)])
    expected = b"*2\r\n*-1\r\n$-1\r\n" if protocol == 2 else b"*2\r\n_\r\n_\r\n"
    assert replies[-1].raw == expected


def test_no_element_is_lost_or_doubled_under_load(server: Server, wire: Wire) -> None:
    """Many poppers on keys of several shards, many pushers; what goes in comes out once."""
    keys = [f"queue:{number}" for number in range(6)]
    all_pushed = threading.Event()
    per_pusher, pushers, poppers = 200, 4, 6
    taken: list[bytes] = []
    lock = threading.Lock()

    def push(number: int) -> None:
        with server.wire() as client:
            for count in range(per_pusher):
                client.call("RPUSH", keys[(number + count) % len(keys)], f"{number}:{count}")

    def pop(number: int) -> None:
        order = keys[number:] + keys[:number]
        mine: list[bytes] = []
        with server.wire() as client:
            while True:
                # Once nothing more comes, an empty reply says that nothing is left.
                last_look = all_pushed.is_set()
                reply = client.value("BLPOP", *order, "0.1")
                if reply is not None:
                    mine.append(reply[1])
                elif last_look:
                    break
        with lock:
            taken.extend(mine)

    pop_threads = [threading.Thread(target=pop, args=(number,), daemon=True) for number in range(poppers)]
    push_threads = [threading.Thread(target=push, args=(number,), daemon=True) for number in range(pushers)]
    for thread in pop_threads + push_threads:
        thread.start()
    for thread in push_threads:
        thread.join(timeout=60)
    all_pushed.set()
    for thread in pop_threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in pop_threads + push_threads)
    assert sorted(taken) == sorted(
        f"{number}:{count}".encode() for number in range(pushers) for count in range(per_pusher)
    )
    assert wire.value("DBSIZE") == 0


def test_killing_a_waiting_client_frees_its_place(server: Server, wire: Wire) -> None:
    """The next in line is served instead."""
    with server.wire() as first:
        number = str(first.value("CLIENT", "ID"))
        with waiting(server, wire, ("BLPOP", "k1", "0")) as (second,):
            first.write("BLPOP", "k1", "0")
            eventually(lambda: blocked_count(wire) == 2, "both wait")
            assert wire.value("CLIENT", "KILL", "ID", number) == 1
            eventually(lambda: blocked_count(wire) == 1, "one is gone")
            time.sleep(0.01)
            wire.call("RPUSH", "k1", "v")
            assert second.read().value == [b"k1", b"v"]
