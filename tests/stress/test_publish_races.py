"""Publishers and subscribers that come, go and are killed: nothing is doubled or out of order, and the counts are right.

Each message carries its publisher's name and a number. Whoever is subscribed hears a publisher's numbers rise; between
the confirmation of a subscription and that of its end none is missing. PUBLISH answers with the number of clients that are
subscribed, so all that was heard is never more than what was answered, and just as much where nobody comes or goes.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.stress.race import race_seconds
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.wire import Wire

shapes = [Shape(shards=shards, io_threads=threads) for shards, threads in ((1, 1), (1, 2), (4, 3))]
channel, pattern = "c:1", "c:*"
publishers = 3
pipeline = 20


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def race(request: pytest.FixtureRequest) -> Iterator[PublishRace]:
    """A race on a server of its own."""
    with Server(sherd_program(), shape=request.param) as server:
        yield PublishRace(server)


class PublishRace:
    """One race, and what came of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.until = 0.0
        self.lock = threading.Lock()
        self.answered: Counter[int] = Counter()
        self.published: Counter[int] = Counter()
        self.heard: Counter[int] = Counter()
        self.clients: list[int] = []
        self.errors: list[BaseException] = []

    def running(self) -> bool:
        """Whether the race goes on."""
        return time.monotonic() < self.until and not self.errors

    def publish(self, name: int) -> None:
        """A publisher, whose messages are numbered."""
        number = 0
        with self.server.wire() as wire:
            while self.running():
                commands = [("PUBLISH", channel, f"{name} {number + offset}") for offset in range(pipeline)]
                number += pipeline
                wire.send(b"".join(encode_command(*command) for command in commands))
                answers = [wire.read().value for _ in commands]
                with self.lock:
                    self.answered[name] += sum(answers)
                    self.published[name] = number

    def listen(self, wire: Wire, verb: str, until: Callable[[], bool]) -> None:
        """Subscribes, hears messages until the word comes, and unsubscribes; all that is between is whole."""
        last: dict[int, int] = {}
        heard: Counter[int] = Counter()
        own = channel if verb == "SUBSCRIBE" else pattern
        try:
            wire.write(verb, own)
            assert wire.read().value[0].decode() == verb.lower()
            ends = False
            while True:
                if not ends and until():
                    wire.write(verb.replace("SUB", "UNSUB"), own)
                    ends = True
                if not ends and not wire.buffer:
                    # What wakes a listener to whom nobody speaks.
                    wire.write("PING")
                message = wire.read().value
                if message[0] in (b"pong", "PONG"):
                    continue
                if message[0].endswith(b"unsubscribe"):
                    break
                name, number = map(int, message[-1].split())
                assert name not in last or number == last[name] + 1, (name, last[name], number)
                last[name] = number
                heard[name] += 1
        finally:
            with self.lock:
                self.heard.update(heard)

    def come_and_go(self) -> None:
        """A client that subscribes, hears a little, unsubscribes or hangs up or is killed, and comes again."""
        while self.running():
            with contextlib.suppress(ConnectionClosed, ConnectionError), self.server.wire() as wire:
                self.clients.append(wire.value("CLIENT", "ID"))
                while self.running():
                    end = time.monotonic() + random.random() * 0.02
                    self.listen(
                        wire, random.choice(("SUBSCRIBE", "PSUBSCRIBE")), lambda end=end: time.monotonic() > end
                    )
                    if random.random() < 0.2:
                        break

    def stay(self, verb: str) -> None:
        """A client that hears all that is published."""
        with self.server.wire() as wire:
            wire.write(
                "PSUBSCRIBE" if verb == "PSUBSCRIBE" else "SUBSCRIBE", pattern if verb == "PSUBSCRIBE" else channel
            )
            wire.read()
            self.ready.wait()
            expected = dict.fromkeys(range(publishers), 0)
            while not (self.over.is_set() and all(expected[name] == self.published[name] for name in expected)):
                wire.write("PING")
                while (message := wire.read().value)[0] != b"pong":
                    name, number = map(int, message[-1].split())
                    assert number == expected[name], (name, number, expected[name])
                    expected[name] += 1
                time.sleep(0.001)
            with self.lock:
                self.heard.update(expected)

    def kill(self) -> None:
        """Kills clients that come and go."""
        with self.server.wire() as wire:
            while self.running():
                wire.call("CLIENT", "KILL", "ID", str(random.choice(self.clients[-6:] or [0])))
                time.sleep(0.003)

    def run(self, stayers: int, *others: Callable[[], None]) -> None:
        """Runs publishers, those who stay, and others, until the time is over."""
        self.ready, self.over = threading.Barrier(stayers + 1), threading.Event()
        stays = [
            self._thread(lambda verb=verb: self.stay(verb)) for verb in ("SUBSCRIBE", "PSUBSCRIBE") * (stayers // 2)
        ]
        self.ready.wait(timeout=60)
        self.until = time.monotonic() + race_seconds
        parts = [self._thread(lambda name=name: self.publish(name)) for name in range(publishers)]
        parts += [self._thread(other) for other in others]
        for thread in parts:
            thread.join(timeout=120)
        self.over.set()
        for thread in stays:
            thread.join(timeout=120)
        assert not self.errors, self.errors
        assert not any(thread.is_alive() for thread in (*parts, *stays))

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is shown by `run`
                self.errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def assert_nobody_is_left(self) -> None:
        """The registry is empty when all have gone."""
        deadline = time.monotonic() + 60
        with self.server.wire() as wire:
            while wire.value("PUBSUB", "CHANNELS") or wire.value("PUBSUB", "NUMPAT"):
                assert time.monotonic() < deadline, "subscriptions of clients that have gone are left"
                time.sleep(0.02)


def test_subscribers_that_stay_hear_all_and_are_all_counted(race: PublishRace) -> None:
    """By name and by pattern, on every thread."""
    race.run(6)
    assert all(race.published.values())
    assert race.heard == race.answered == Counter({name: 6 * number for name, number in race.published.items()})
    race.assert_nobody_is_left()


def test_subscribers_that_come_and_go_hear_nothing_twice_or_out_of_order(race: PublishRace) -> None:
    """With connections that end in every way; those who stay miss nothing."""
    race.run(2, *[race.come_and_go] * 4, race.kill)
    for name, number in race.published.items():
        assert 2 * number <= race.heard[name] <= race.answered[name], (name, number)
    race.assert_nobody_is_left()
