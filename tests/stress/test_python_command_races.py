"""Clients that send more while a command in Python is executed for them: each answer comes, in its place.

The thread that has executed a command sends its answer and need not wake the IO thread at once. So a client sends in pieces:
what comes before the answer, what comes right behind it, and what is half of a command when it does. Other clients' slow
commands stand between.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stress.race import race_seconds
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sherd_only

module = """
import time

import sherd

@sherd.command("race.echo", flags="fast")
def echo(call: sherd.Call, word: bytes) -> bytes:
    return word

@sherd.command("race.slow", keys=1)
def slow(call: sherd.Call, key: bytes, word: bytes) -> bytes:
    time.sleep(0.003)
    return word
"""
names = ("RACE.ECHO", "RACE.ECHO", "RACE.ECHO", "ECHO")


def pieces(data: bytes) -> list[bytes]:
    """The same bytes in up to three sends."""
    cuts = sorted(random.choices(range(len(data) + 1), k=2))
    return [piece for piece in (data[: cuts[0]], data[cuts[0] : cuts[1]], data[cuts[1] :]) if piece]


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(2, 3)], ids=str)
def test_every_answer_comes_in_its_place(tmp_path: Path, shape: Shape) -> None:
    path = tmp_path / "race.py"
    path.write_text(module)
    errors: list[BaseException] = []
    until = time.monotonic() + race_seconds

    def guarded(work: Callable[[int], None], client: int) -> None:
        try:
            work(client)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            errors.append(error)

    with Server(directives={"python-commands": str(path)}, shape=shape) as server:

        def send_in_pieces(client: int) -> None:
            number = 0
            with server.wire() as wire:
                while time.monotonic() < until and not errors:
                    words = [f"{client}:{number + at}" for at in range(random.randint(1, 4))]
                    number += len(words)
                    for piece in pieces(b"".join(encode_command(random.choice(names), word) for word in words)):
                        wire.send(piece)
                        if random.random() < 0.5:
                            time.sleep(random.choice((0.00002, 0.0001, 0.0004)))
                    assert [wire.read().value for _ in words] == [word.encode() for word in words]

        def be_slow(client: int) -> None:
            with server.wire() as wire:
                while time.monotonic() < until and not errors:
                    assert wire.value("RACE.SLOW", f"key:{client}", "done") == b"done"
                    time.sleep(random.random() * 0.004)

        works = [send_in_pieces] * 6 + [be_slow] * 2
        threads = [threading.Thread(target=guarded, args=(work, at)) for at, work in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors, errors
