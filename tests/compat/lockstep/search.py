"""Looks for conversations in which Sherd does as no reference does, and shrinks them.

A difference counts if it is there again when the conversation is repeated.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.compat.lockstep.comparison import Difference, Telling, find_difference, hold, without_races
from tests.compat.lockstep.generator import Generator
from tests.compat.lockstep.session import Conversation, Session, Step, directives
from tests.support.references import find_reference, reference_names, why_absent
from tests.support.servers import ServerPool, Shape, sherd_program
from tests.support.wire import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Result = TypeVar("Result")


class Search:
    """The servers that conversations are held with."""

    def __init__(self, pool: ServerPool, shapes: Sequence[Shape]) -> None:
        self.pool = pool
        self.threads = ThreadPoolExecutor(len(reference_names))
        programs = [find_reference(name) for name in reference_names if why_absent(name) is None]
        self.references = [Session(pool.get(program, directives=directives)) for program in programs]
        self.sherds = [Session(pool.get(sherd_program(), shape=shape, directives=directives)) for shape in shapes]

    def compare(self, conversation: Conversation, sherd: Session) -> Difference | None:
        """The first difference, if there is one."""
        others = self._hear(conversation)
        return find_difference(conversation, hold(sherd, conversation, others), others)

    def _hear(self, conversation: Conversation) -> list[Telling]:
        """What the references tell, but for one that ends over it."""
        told = self.threads.map(
            lambda place: self._try(place, lambda session: hold(session, conversation)), range(len(self.references))
        )
        return [telling for telling in told if telling is not None]

    def _try(self, place: int, what: Callable[[Session], Result]) -> Result | None:
        try:
            return what(self.references[place])
        except (ConnectionClosed, OSError):
            # It has crashed, or is paused for long.
            server = self.references[place].server
            server.stop()
            self.references[place] = Session(self.pool.get(server.program, directives=directives))
            return None

    def prepare(self, conversation: Conversation) -> Conversation:
        """A conversation that has one outcome; empty if the reference that is asked ends over it."""
        told = self._try(len(self.references) - 1, lambda session: without_races(session, conversation))
        return told or Conversation(conversation.protocols, ())

    def examine(self, conversation: Conversation) -> list[tuple[Session, Difference]]:
        """What differs for each shape of Sherd."""
        others = self._hear(conversation)
        tellings = self.threads.map(lambda sherd: hold(sherd, conversation, others), self.sherds)
        found = [
            (sherd, find_difference(conversation, telling, others))
            for sherd, telling in zip(self.sherds, tellings, strict=True)
        ]
        return [(sherd, difference) for sherd, difference in found if difference is not None]

    def shrink(self, conversation: Conversation, sherd: Session, tries_max: int = 300) -> Conversation:
        """Leaves out what is not needed for a difference."""
        tries = 0
        smaller = True
        size = max(len(conversation.steps) // 2, 1)
        while (smaller or size > 1) and tries < tries_max:
            if not smaller:
                size = max(size // 2, 1)
            smaller = False
            place = len(conversation.steps)
            while place > 0 and tries < tries_max:
                place -= size
                for candidate in _without(conversation, max(place, 0), size):
                    tries += 1
                    difference = self.compare(candidate, sherd)
                    if difference is not None:
                        conversation = Conversation(candidate.protocols, candidate.steps[: difference.number + 1])
                        smaller = True
                        place = min(place, len(conversation.steps))
                        break
        return conversation

    def close(self) -> None:
        """Closes all connections."""
        self.threads.shutdown()
        for session in [*self.references, *self.sherds]:
            session.close()


def _without(conversation: Conversation, place: int, size: int) -> list[Conversation]:
    steps = conversation.steps
    shorter = [steps[:place] + steps[place + size :]]
    if size == 1 and place < len(steps):
        parts = steps[place].line.split("; ")
        for index in range(len(parts) if len(parts) > 1 else 0):
            line = "; ".join(parts[:index] + parts[index + 1 :])
            if not line.startswith("~"):
                shorter.append((*steps[:place], Step(steps[place].name, line), *steps[place + 1 :]))
    return [Conversation(conversation.protocols, candidate) for candidate in shorter if candidate]


def report(search: Search, conversation: Conversation, sherd: Session, difference: Difference, seed: int) -> str:
    """The shrunk conversation and what differs, or what differed once."""
    short = Conversation(conversation.protocols, conversation.steps[: difference.number + 1])
    shape = f"{sherd.server.shape.shards} shards, seed {seed}"
    if search.compare(short, sherd) is None:
        return f"== once only, {shape}\n{short}\n{difference}\n\n"
    short = search.shrink(short, sherd)
    again = search.compare(short, sherd)
    return f"== {shape}\n{short}\n{again}\n\n"


def look(search: Search, seed: int, length: int) -> tuple[int, list[str]]:
    """Holds the conversation of a seed; how many steps it had, and what differs."""
    conversation = search.prepare(Generator(random.Random(seed), length).make())
    found = search.examine(conversation)
    if len({str(difference) for _, difference in found}) == 1:
        del found[1:]
    reports = [report(search, conversation, sherd, difference, seed) for sherd, difference in found]
    assert all(session.is_alive() for session in search.sherds), f"a server has ended: seed {seed}"
    return len(conversation.steps), reports


def main() -> int:
    """Looks for differences until there were enough steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--found", type=Path, default=Path("/dev/stdout"))
    arguments = parser.parse_args()
    pool = ServerPool()
    search = Search(pool, [Shape(count, min(count + 1, 3)) for count in arguments.shards])
    seed, done, differences = arguments.seed, 0, 0
    begun = time.monotonic()
    try:
        while done < arguments.steps:
            steps, reports = look(search, seed, arguments.length)
            with arguments.found.open("a") as out:
                out.writelines(reports)
            done, differences, seed = done + steps, differences + len(reports), seed + 1
            if seed % 20 == 0:
                print(f"{done} steps, {differences} differences, {time.monotonic() - begun:.0f} s", file=sys.stderr)
    finally:
        search.close()
        pool.stop()
    print(f"{done} steps, {differences} differences, next seed {seed}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
