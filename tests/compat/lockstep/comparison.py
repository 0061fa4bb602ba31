"""Holds one conversation with several servers and finds what differs.

What all references agree on is binding; where they differ, Sherd may do as any of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.compat.lockstep.likeness import Likeness
from tests.compat.lockstep.session import Conversation, Heard, Session, Step, closed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Shown = dict[str, list[str]]
"""What each connection was sent in one step, as texts."""

steps_in_mind = 3
CLOSED = closed.show()


@dataclass
class Telling:
    """A conversation with one server: what was heard, as nodes and as texts."""

    heard: list[Heard] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    shards: int = 1


def hold(session: Session, conversation: Conversation, others: Sequence[Telling] = ()) -> Telling:
    """Holds a conversation. What others have told says what there is to wait for."""
    session.begin(conversation.protocols)
    telling = Telling(shards=session.server.shape.shards)
    sent: dict[str, list[Step]] = {name: [] for name in conversation.protocols}
    for number, step in enumerate(conversation.steps):
        heard = session.take(step, _arrival([other.heard[number] for other in others]) if others else None)
        sent[step.name].append(step)
        telling.heard.append(heard)
        ports = {line.port: name for name, line in session.lines.items()}
        likeness = Likeness(session.ids, ports, by_prefix=any("BCAST" in step.line for step in conversation.steps))
        telling.shown.append({
            name: likeness.show(nodes, _lately(sent[name]), piped="; " in step.line) for name, nodes in heard.items()
        })  # fmt: skip
    return telling


def _lately(steps: list[Step]) -> list[tuple[bytes, ...]]:
    return [command for step in steps[-steps_in_mind:] for command in step.commands]


def _arrival(expected: Sequence[Heard]) -> Callable[[Heard], bool | None]:
    counts = [{name: len(nodes) for name, nodes in heard.items()} for heard in expected]

    def arrived(heard: Heard) -> bool | None:
        mine = {name: len(nodes) for name, nodes in heard.items()}
        if all(mine[name] >= max(count[name] for count in counts) for name in mine):
            return True
        return None if all(mine[name] in [count[name] for count in counts] for name in mine) else False

    return arrived


def without_races(session: Session, conversation: Conversation) -> Conversation:
    """Leaves out what is sent to blocked connections, but for one of them at a time.

    What several clients have sent while they were blocked is executed in an order of their threads.
    """
    session.begin(conversation.protocols)
    taken: list[Step] = []
    waiting: set[str] = set()
    for step in conversation.steps:
        waiting = {name for name in waiting if session.is_blocked(name)}
        if session.is_blocked(step.name):
            # What ends by time ends with this step or a later one.
            if step.wait_seconds or waiting - {step.name}:
                continue
            waiting.add(step.name)
        elif waiting and "; " in step.line and not step.line.startswith("MULTI"):
            # Nor is it told in which order the shards of a pipeline come.
            continue
        taken.append(step)
        session.take(step)
    return Conversation(conversation.protocols, tuple(taken))


@dataclass(frozen=True)
class Difference:
    """The first step in which Sherd does as no reference does."""

    number: int
    name: str
    ours: list[str]
    theirs: list[list[str]]

    def __str__(self) -> str:
        texts = [f"step {self.number}, connection {self.name}", f"  sherd    {self.ours}"]
        return "\n".join(texts + [f"  expected {their}" for their in self.theirs])


@dataclass(frozen=True)
class Accident:
    """What a connection is sent that the references do not send it, or the other way round, and nobody can want.

    A conversation is compared up to there.
    """

    sent: str
    """A pattern of all that the connection has sent."""
    ours: str
    reason: str
    step: str = ""
    """A pattern of the step in which it differs, of whichever connection."""
    talk: str = ""
    """A pattern of all that was said up to there."""
    with_shards: bool = False
    """Only with several shards."""


ACCIDENTS = (
    Accident(
        r"MONITOR(?s:.*)EXEC",
        "",
        "a monitor's own commands are shown within the reply to its EXEC",
        step="EXEC",
    ),
    Accident(
        r"CLIENT REPLY (OFF|SKIP)(?s:.*)(CLIENT KILL|QUIT)",
        "closed",
        "a client that is to be closed when it has its reply, and gets none, stays open",
    ),
    Accident(
        "",
        r"invalidate.*null|'all\\?'",
        "clients that cache keys are told of SWAPDB, which the references forget",
        talk=r"SWAPDB",
    ),
    Accident(
        "",
        "cmdstat_",
        "a write that is refused for want of memory counts as a call that has failed, not as one that was refused",
        talk="maxmemory 1",
        step="INFO|EXEC",
    ),
    Accident(
        "",
        "",
        "what several clients had sent while they were paused is executed in the order of their threads",
        talk="CLIENT PAUSE",
        step="CLIENT UNPAUSE",
    ),
    Accident(
        "MONITOR(?s:.*)CLIENT REPLY",
        "",
        "a monitor's own commands are shown to it before they are executed, or behind, and to who wants no reply all the same",
    ),
    Accident(
        "BL|BR|BZ|XREAD|WAIT",
        "NOPERM",
        "who waits for a key is told when its user may do so no more, not when the key comes",
        talk="ACL SETUSER",
    ),
    Accident(
        "",
        "NOREPLICAS",
        "of two reasons to refuse a write, memory is known to the shard and replicas to the gate, which comes first",
        talk="maxmemory 1",
    ),
    Accident(
        "MULTI",
        "cmdstat_",
        "commands of the connection are executed when the rest of a transaction has been",
        step="EXEC",
    ),
    Accident(
        "EXEC",
        "",
        "whether there is room for a transaction is looked at before it begins, also where it changes the limit",
        talk="MULTI(?s:.*)CONFIG SET maxmemory",
        step="EXEC",
    ),
    Accident(
        "MONITOR",
        "Replica can",
        "that a monitor may not touch keys is known before the shards say that there is no memory",
        talk="maxmemory 1",
    ),
    Accident(
        "SUBSCRIBE",
        "Can.{1,2}t execute",
        "that a client of RESP2 listens to channels is known before what it has sent is looked at",
        talk="min-replicas-to-write 1|maxmemory 1",
    ),
    Accident(
        r"BL|BR|BZ|XREAD",
        "",
        "what a command over several shards was waiting for is done when the shards of who has pushed are free again",
        talk=r"BLMOVE|BRPOPLPUSH|BLMPOP|BLPOP|BRPOP|BZ",
        step=r"EVAL|FCALL|EXEC|; |LMOVE|RPOPLPUSH",
        with_shards=True,
    ),
)


def is_accident(conversation: Conversation, difference: Difference, shards: int) -> bool:
    """Whether a difference is excused."""
    steps = conversation.steps[: difference.number + 1]
    talk = "\n".join(step.line for step in steps)
    sent = "\n".join(step.line for step in steps if step.name == difference.name)
    return any(
        re.search(accident.sent, sent)
        and re.search(accident.step, steps[-1].line)
        and re.search(accident.talk, talk)
        and (shards > 1 or not accident.with_shards)
        and re.search(accident.ours, str(difference.ours))
        for accident in ACCIDENTS
    )


def find_difference(conversation: Conversation, mine: Telling, others: Sequence[Telling]) -> Difference | None:
    """The first difference of a conversation."""
    for number, shown in enumerate(mine.shown):
        for name, ours in shown.items():
            theirs = [other.shown[number][name] for other in others]
            if not any(_is_same(ours, their) for their in theirs):
                difference = Difference(number, name, ours, theirs)
                return None if is_accident(conversation, difference, mine.shards) else difference
    return None


def _is_same(ours: list[str], theirs: list[str]) -> bool:
    if ours == theirs:
        return True
    # What was answered to a client just before it was closed may have gone to it or not, and what it monitors as well.
    ours, theirs = ([text for text in texts if not text.startswith("+[")] for texts in (ours, theirs))
    return ours[-1:] == theirs[-1:] == [CLOSED] and ours[: len(theirs) - 1] == theirs[:-1]
