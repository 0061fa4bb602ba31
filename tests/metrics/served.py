"""A Sherd with its metrics page, and what makes every series of it move."""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from typing import TYPE_CHECKING

from tests.support.servers import Program, Server, free_port, sherd_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pipeline_length = 40


class ServedMetrics:
    """A server and the port of its page."""

    def __init__(self, **directives: str) -> None:
        self.metrics_port = free_port()
        wanted = {
            "metrics-port": str(self.metrics_port),
            "shards": "2",
            "io-threads": "2",
            **{name.replace("_", "-"): value for name, value in directives.items()},
        }
        # Not `is_sherd`: the harness would turn the page off.
        self.server = Server(Program("sherd", (*sherd_command(), "serve")), directives=wanted)

    def get(self, path: str) -> str:
        """A page's text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    def stop(self) -> None:
        """Stops the server."""
        self.server.stop()


def use_everything(served: ServedMetrics) -> None:
    """Commands, errors, expiring keys, a slow command and a latency spike."""
    with served.server.wire() as wire:
        wire.call("CONFIG", "SET", "latency-monitor-threshold", "1", "slowlog-log-slower-than", "1000")
        wire.call("DEBUG", "SLEEP", "0.01")
        wire.call("SET", "text", "v", "PX", "100000")
        wire.call("LPUSH", "text", "wrong type")
        wire.call("NOSUCHCOMMAND")
        wire.call("GET")
        wire.call("SELECT", "1")
        wire.call("SET", "other", "v")
        wire.call("PING")
        wire.call("RPUSH", "list", *map(str, range(100)))


def work(served: ServedMetrics, stop: threading.Event) -> None:
    """Reads and writes until told to stop, over all shards."""
    with contextlib.suppress(Exception), served.server.wire() as wire:
        turn = 0
        while not stop.is_set():
            turn += 1
            wire.pipeline(
                [("SET", f"key:{turn * number % 997}", "v" * number) for number in range(pipeline_length)]
                + [("GET", f"key:{number * 7}") for number in range(pipeline_length)]
                + [("MSET", "a", "1", "b", "2", "c", "3"), ("INCR", "hot"), ("INCR", "text"), ("PING",)]
            )
            stop.wait(0.02)


@contextlib.contextmanager
def under_load(*servers: ServedMetrics) -> Iterator[None]:
    """All servers used in the background."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(served, stop)) for served in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
