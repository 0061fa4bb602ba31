"""Blocking commands against whatever ends a wait: no element is lost or doubled, and nobody waits for ever.

A blocking command used to be executed for a waiter that was being timed out, unblocked or killed at that very moment: what
it had popped went nowhere. A client that hung up right after BLPOP stayed in the queue and swallowed what came later.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING

import pytest

from tests.stress.race import Race, batch, commands, lists
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program
from tests.support.wire import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool

shapes = [Shape(shards=shards, io_threads=threads) for shards in (1, 2, 4) for threads in (1, 2, 3)]


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def race(request: pytest.FixtureRequest) -> Iterator[Race]:
    """A race on a server of its own."""
    with Server(sherd_program(), shape=request.param) as server:
        yield Race(server)


def poppers(race: Race, *, hang_up: bool = False) -> list[functools.partial[None]]:
    """Six clients, each with commands of its own and some that all have."""
    names = list(commands)
    own = [names[start::3] for start in range(3)]
    return [functools.partial(race.pop, [*names, *own[i % 3] * 3], hang_up) for i in range(6)]


def test_timeouts_lose_nothing(race: Race) -> None:
    """Waits of one to three milliseconds, data that comes all the time."""
    race.run(race.push, *poppers(race))
    race.assert_conserved()
    race.assert_nobody_waits()
    assert race.counts["BLMPOP"] > 0, race.counts


def test_clients_that_hang_up_get_what_waits_for_the_disk() -> None:
    """Under `appendfsync always` a reply is held back for a moment: a client that sends no more meanwhile gets it all the same."""
    directives = {"appendonly": "yes", "appendfsync": "always"}
    with Server(sherd_program(), shape=Shape(2, 2), directives=directives) as server:
        race = Race(server)
        race.run(race.push, *poppers(race, hang_up=True))
        race.assert_conserved()
        race.assert_nobody_waits()


def test_nobody_waits_for_the_disk_when_that_need_not_be_any_more() -> None:
    """`appendfsync` is changed while replies are held back, and the file is closed."""
    directives = {"appendonly": "yes", "appendfsync": "always"}
    with Server(sherd_program(), shape=Shape(2, 2), directives=directives) as server:
        race = Race(server)
        toggles = [
            functools.partial(race.repeat, "CONFIG", "SET", name, value)
            for name, value in (
                ("appendfsync", "always"),
                ("appendfsync", "everysec"),
                ("appendonly", "no"),
                ("appendonly", "yes"),
            )
        ]
        race.run(race.push, *toggles, *poppers(race))
        race.assert_conserved()
        race.assert_nobody_waits()


def test_unblocked_killed_and_closed_clients_lose_nothing(race: Race) -> None:
    """CLIENT UNBLOCK, CLIENT KILL, and connections half closed in the middle of a wait."""
    disturb = functools.partial(
        race.disturb,
        ("CLIENT", "UNBLOCK", "ID"),
        ("CLIENT", "UNBLOCK", "ID", "ERROR"),
        ("CLIENT", "KILL", "id", "ID"),
    )
    race.run(race.push, disturb, *poppers(race, hang_up=True))
    race.assert_conserved()
    race.assert_nobody_waits()


def test_swapped_databases_lose_nothing(race: Race) -> None:
    """What is swapped away is found in the other database."""
    race.run(race.push, functools.partial(race.repeat, "SWAPDB", "0", "1"), *poppers(race))
    race.assert_conserved()
    race.assert_nobody_waits()


def test_flushed_databases_double_nothing_and_leave_nobody_waiting(race: Race) -> None:
    """What is flushed is gone; nothing comes twice."""
    race.run(race.push, functools.partial(race.repeat, "FLUSHALL"), *poppers(race))
    everywhere = race.received + race.left()
    assert not [element for element, count in everywhere.items() if count > 1]
    assert set(everywhere) <= race.pushed
    race.assert_nobody_waits()


def test_clients_that_close_at_once_leave_nothing_behind(pool: ServerPool) -> None:
    """BLPOP and good-bye, a few thousand times; later elements stay where they are."""
    server = pool.get(shape=Shape(shards=4, io_threads=3))
    request = encode_command("BLPOP", *lists, "0")
    for number in range(3000):
        client = connect(server.address, 20)
        client.sendall(request)
        if number % 2:
            client.shutdown(socket.SHUT_WR)
        client.close()
    race = Race(server)
    race.assert_nobody_waits()
    with server.wire() as wire:
        for _ in range(20):
            wire.call("RPUSH", lists[0], *(str(i) for i in range(batch)))
        assert wire.value("LLEN", lists[0]) == 20 * batch
