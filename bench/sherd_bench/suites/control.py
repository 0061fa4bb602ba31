"""The control suite: how long an operator's question takes while the server works at full load.

CONFIG GET and INFO are answered by another part of Sherd than data commands; this shows that they stay quick under
load and that asking them does not slow the load. Redis and Valkey answer them between data commands.
"""

from dataclasses import dataclass, replace
from statistics import median

from sherd_bench.document import Findings
from sherd_bench.load import LoadResult
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number

QUESTIONS = {"PING": "PING", "CONFIG GET": "CONFIG GET maxmemory", "INFO": "INFO"}
QUESTIONS_PER_SECOND = 100
# More than one, so that a slow answer does not queue the next question behind it on the client's side.
QUESTION_CLIENTS = 4
LOAD_PIPELINE = 16
# The load runs before the questions start and until after the last is answered.
LOAD_COMMANDS = ("get@9", "set@1")


def run(session: Session) -> Findings:
    """p50, p99 and maximum of the questions, and what the load reached meanwhile."""
    seconds = 2.0 if session.parameters.quick else 6.0
    tables = []
    for pin in session.parameters.pins or (Pin.NONE,):
        pinned = session.pinned(pin)
        with session.running(pin=pin) as servers:
            table = Table(
                f"Round trip under full load, {pin.describe()}, milliseconds",
                ["question", *(f"{server.label} p50 / p99 / max" for server in servers)],
            )
            loads = Table(
                f"What the load reached meanwhile, {pin.describe()}, thousand commands a second",
                ["question", *(server.label for server in servers)],
            )
            for question, command in QUESTIONS.items():
                rounds: dict[str, list[Asked]] = {server.label: [] for server in servers}
                for turn in range(session.parameters.rounds):
                    for server in rotated(servers, turn):
                        rounds[server.label].append(_ask(pinned, server, command, seconds))
                table.rows.append([question, *(_times(asked) for asked in rounds.values())])
                loads.rows.append([question, *(_load(asked) for asked in rounds.values())])
                session.log(" ".join(table.rows[-1]))
            tables += [table, loads]
    method = (
        f"{QUESTIONS_PER_SECOND} questions a second on connections of their own, while "
        f"{session.parameters.clients} connections send GET and SET (9:1) at pipeline {LOAD_PIPELINE} as fast as the "
        "server answers. The round with the median p99 is shown."
    )
    return Findings("Control commands under load", method, tables)


@dataclass(frozen=True)
class Asked:
    """One round: the questions, and the load that ran meanwhile."""

    answers: LoadResult
    load: LoadResult


def _ask(session: Session, server: RunningServer, command: str, seconds: float) -> Asked:
    server.flush()
    session.fill(server, "set", session.parameters.keys)
    load = replace(
        session.base_plan(), commands=LOAD_COMMANDS, pipeline=LOAD_PIPELINE, duration_seconds=seconds * 3 + 10
    )
    question = replace(
        session.base_plan(),
        commands=(command,),
        clients=QUESTION_CLIENTS,
        rate=QUESTIONS_PER_SECOND,
        duration_seconds=seconds,
    )
    with session.generator.start(server, load) as running:
        answered = session.generator.run(server, question)
        loaded = running.stop()
    session.note_errors(server, "load", loaded)
    session.note_errors(server, command, answered)
    return Asked(answered, loaded)


def _load(rounds: list[Asked]) -> str:
    return number(median(asked.load.requests_per_second for asked in rounds) / 1e3)


def _times(rounds: list[Asked]) -> str:
    middle = sorted((asked.answers for asked in rounds), key=lambda answers: answers.p99_us)[len(rounds) // 2]
    return " / ".join(number(value / 1e3) for value in (middle.p50_us, middle.p99_us, middle.max_us))
