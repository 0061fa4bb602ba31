"""Clients with caches while others write: no stale value is left when a writer has its reply and a PING has come back.

A caching client keeps what it has read until it is told that the key has changed. Keys are counters that only rise. A writer
notes what its reply says; a reader looks at the notes, sends a PING and reads up to the answer: what is in its cache then is
no older than what it has seen noted.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.stress.race import race_seconds
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, sherd_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.wire import Reply

shapes = [Shape(shards=shards, io_threads=threads) for shards in (1, 4) for threads in (1, 2)]
keys = [f"k:{number}" for number in range(12)]


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads")
def race(request: pytest.FixtureRequest) -> Iterator[TrackingRace]:
    """A race on a server of its own."""
    with Server(sherd_program(), shape=request.param) as server:
        yield TrackingRace(server)


class Cache:
    """A client with a cache: one connection in RESP3, or two in RESP2, of which one hears what the other is told."""

    def __init__(self, server: Server, protocol: int, *options: str) -> None:
        self.wire = server.wire(protocol=protocol)
        self.ears = self.wire
        self.values: dict[str, int] = {}
        self.told = self.hits = 0
        redirect: tuple[str, ...] = ()
        if protocol == 2:
            self.ears = server.wire()
            redirect = ("REDIRECT", str(self.ears.value("CLIENT", "ID")))
            self.ears.call("SUBSCRIBE", "__redis__:invalidate")
        assert self.wire.value("CLIENT", "TRACKING", "ON", *redirect, *options) in (b"OK", "OK")

    def close(self) -> None:
        """Ends its connections."""
        self.wire.close()
        self.ears.close()

    def _hear(self, reply: Reply) -> bool:
        value = reply.value
        if reply.raw[:1] == b">" and value[0] == b"invalidate":
            names = value[1]
        elif value and isinstance(value, list) and value[0] == b"message":
            names = value[2]
        else:
            return False
        self.told += 1
        if names is None:
            self.values.clear()
        for name in names or []:
            self.values.pop(name.decode(), None)
        return True

    def catch_up(self) -> None:
        """Takes all that a PING brings back."""
        self.ears.write("PING", "here")
        while True:
            reply = self.ears.read()
            if not self._hear(reply):
                assert b"here" in reply.raw, reply.raw
                return

    def read(self, wanted: list[str]) -> None:
        """Reads keys that are not in the cache, in one pipeline."""
        missing = [key for key in wanted if key not in self.values]
        self.hits += len(wanted) - len(missing)
        if not missing:
            return
        form = random.choice(("GET", "MGET", "EXEC"))
        if form == "EXEC":
            commands = [["MULTI"], *(["GET", key] for key in missing), ["EXEC"]]
        elif form == "MGET":
            commands = [["MGET", *missing]]
        else:
            commands = [["GET", key] for key in missing]
        self.wire.send(b"".join(encode_command(*command) for command in commands))
        replies: list[Reply] = []
        while len(replies) < len(commands):
            reply = self.wire.read()
            if self._hear(reply):
                continue
            replies.append(reply)
            # What is told behind a reply is told of what is in it: it is kept before that is read.
            if form == "GET":
                self._keep([missing[len(replies) - 1]], [reply.value])
            elif len(replies) == len(commands):
                self._keep(missing, reply.value)

    def _keep(self, names: list[str], values: list[bytes | None]) -> None:
        for name, value in zip(names, values, strict=True):
            self.values[name] = int(value or 0)


class TrackingRace:
    """One race, and what came of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.until = 0.0
        self.lock = threading.Lock()
        self.noted = dict.fromkeys(keys, 0)
        self.written = 0
        self.caches: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []

    def running(self) -> bool:
        """Whether the race goes on."""
        return time.monotonic() < self.until and not self.errors

    def write(self) -> None:
        """Raises counters in every way."""
        raise_it = "return redis.call('INCR', KEYS[1])"
        with self.server.wire() as wire:
            while self.running():
                key = random.choice(keys)
                form = random.randrange(4)
                if form == 0:
                    value = wire.value("INCR", key)
                elif form == 1:
                    value = wire.value("EVAL", raise_it, "1", key)
                elif form == 2:
                    replies = wire.pipeline([["MULTI"], ["INCR", key], ["INCRBY", key, "2"], ["EXEC"]])
                    value = replies[-1].value[-1]
                else:
                    value = wire.pipeline([["SET", "other", "1"], ["INCR", key]])[-1].value
                with self.lock:
                    self.noted[key] = max(self.noted[key], value)
                    self.written += 1
                if random.random() < 0.3:
                    time.sleep(0.0005)

    def cache(self, protocol: int, *options: str) -> None:
        """A client with a cache that is never stale."""
        cache = Cache(self.server, protocol, *options)
        try:
            while self.running():
                cache.read(random.sample(keys, random.choice((1, 3, 8))))
                with self.lock:
                    noted = dict(self.noted)
                cache.catch_up()
                for key, value in cache.values.items():
                    assert value >= noted[key], (protocol, options, key, value, noted[key])
        finally:
            cache.close()
        with self.lock:
            self.caches.append((cache.hits, cache.told))

    def disturb(self) -> None:
        """Changes how much may be remembered, and clients that come, read, and go."""
        with self.server.wire() as wire:
            while self.running():
                wire.value("CONFIG", "SET", "tracking-table-max-keys", random.choice(("1", "5", "1000")))
                with self.server.wire(protocol=3) as other:
                    other.call("CLIENT", "TRACKING", "ON")
                    other.call("MGET", *keys)
                time.sleep(0.005)

    def run(self, *parts: Callable[[], None]) -> None:
        """Runs the parts side by side until the time is over."""

        def guarded(part: Callable[[], None]) -> None:
            try:
                part()
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                self.errors.append(error)

        self.until = time.monotonic() + race_seconds
        threads = [threading.Thread(target=guarded, args=(part,), daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 + race_seconds)
            assert not thread.is_alive(), "a client waits for ever"
        if self.errors:
            raise self.errors[0]
        assert self.written > 0
        assert all(hits > 0 and told > 0 for hits, told in self.caches), self.caches


def test_no_cache_is_stale_behind_a_ping(race: TrackingRace) -> None:
    """Readers of both protocols and of both ways to be told, and writers on every thread."""
    race.run(
        race.write,
        race.write,
        lambda: race.cache(3),
        lambda: race.cache(3, "BCAST", "PREFIX", "k:"),
        lambda: race.cache(2),
        lambda: race.cache(2, "BCAST"),
    )


def test_no_cache_is_stale_where_little_is_remembered(race: TrackingRace) -> None:
    """Keys that are forgotten are told of as if they had changed."""
    race.run(race.write, race.disturb, lambda: race.cache(3), lambda: race.cache(2))
