"""The costs suite: what each control command takes, and for how long it holds the shards inside of a transaction.

Control commands are Python's in Sherd, native in Redis and Valkey. The first figure is a round trip with nothing else
to do, from which that of PING may be subtracted. The second one is the longest time that anybody held a shard while a
transaction of a write and the command was executed, as INFO's `longest_slice_usec` tells it: others waited for no
longer. Each command meets a server that has something to tell: clients, keys, a full slow log, counts of every command.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from sherd_bench.document import Findings
from sherd_bench.resp import Client, ServerError
from sherd_bench.servers import RunningServer, ServerPlan
from sherd_bench.session import Session
from sherd_bench.tables import Table, number

CLIENTS = 100
KEYS = 100_000
PATTERNS = 2000
TURNS = 15
HOLDS = 5
WORST = 8
# What ends the connection, waits, changes what it speaks, takes long by itself or empties the counts.
_LEFT_OUT = frozenset(
    "shutdown quit reset monitor subscribe psubscribe ssubscribe sync psync hello auth failover client debug exec "
    "discard multi blpop brpop bzpopmin bzpopmax wait waitaof cluster acl replicaof slaveof script flushall flushdb "
    "config asking readonly readwrite keys".split()
)
# Commands that tell something of every command that was called.
_COUNTED = ("INFO", "LATENCY HISTOGRAM")
_EVERY = [f"CONFIG GET *{number}q*" for number in range(PATTERNS)]


@dataclass(frozen=True)
class Question:
    """One row: what is sent, as one transaction where it is more than one command."""

    label: str
    commands: Sequence[str]


def _each(*commands: str) -> list[Question]:
    return [Question(command, (command,)) for command in commands]


STANDALONE = [
    *_each(
        "PING", "TIME", "ROLE", "LASTSAVE", "INFO", "INFO everything", "INFO commandstats latencystats",
        "CONFIG GET maxmemory", "CONFIG GET *max*", "CONFIG GET *", "CONFIG SET hz 10", "CONFIG SET hz 11 timeout 0",
        "CONFIG RESETSTAT", "CONFIG HELP", "COMMAND", "COMMAND COUNT", "COMMAND DOCS", "COMMAND DOCS get",
        "COMMAND LIST", "COMMAND LIST FILTERBY PATTERN *get*", "COMMAND LIST FILTERBY ACLCAT read", "COMMAND INFO get",
        "COMMAND GETKEYS mget a b c", "COMMAND GETKEYSANDFLAGS mget a b c", "MEMORY STATS", "MEMORY DOCTOR",
        "MEMORY PURGE", "MEMORY MALLOC-STATS", "LATENCY LATEST", "LATENCY HISTORY command", "LATENCY RESET",
        "LATENCY DOCTOR", "LATENCY HISTOGRAM", "LATENCY HISTOGRAM get", "SLOWLOG GET -1", "SLOWLOG LEN",
        "SLOWLOG RESET", "MODULE LIST", "LOLWUT", "LOLWUT VERSION 1 1000 1000 1000", "CLIENT LIST",
        "HOTKEYS GET", "SHERD BIGKEYS", "SHERD BIGKEYS COUNT 1000",
    ),
    Question(f"{PATTERNS} x CONFIG GET maxmemory", ("CONFIG GET maxmemory",) * PATTERNS),
    Question(f"{PATTERNS} x CONFIG GET with a pattern", _EVERY),
    Question(f"{PATTERNS} x INFO", ("INFO",) * PATTERNS),
    Question(f"CONFIG GET with {PATTERNS} patterns", ("CONFIG GET " + " ".join(word[11:] for word in _EVERY),)),
]  # fmt: skip
CLUSTERED = _each(
    "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID", "CLUSTER LINKS",
    "CLUSTER KEYSLOT key", "CLUSTER COUNTKEYSINSLOT 1", "CLUSTER GETKEYSINSLOT 1 100",
    "CLUSTER SLOT-STATS SLOTSRANGE 0 16383", "CLUSTER SLOT-STATS ORDERBY key-count",
)  # fmt: skip


def run(session: Session) -> Findings:
    """A table without cluster mode and one with it."""
    tables = [
        _table(session, "Without cluster mode", STANDALONE, ()),
        _table(session, "In cluster mode", CLUSTERED, ("--cluster-enabled", "yes")),
    ]
    tables.insert(0, _worst(tables))
    method = (
        f"Round trips in milliseconds, the quickest of {TURNS}, with {CLIENTS} other clients connected, {KEYS:,} keys, "
        "a full slow log and counts of every command. `held` is the longest time that a shard was held while the "
        f"command, with a write before it, was executed as a transaction, the shortest of {HOLDS} such times: what "
        "the command takes, not what the machine's other work adds. A dash: the server has no such command."
    )
    return Findings("What control commands cost", method, tables)


def _worst(tables: Sequence[Table]) -> Table:
    """The single commands of Sherd that hold the shards longest; a transaction of several holds them for their sum."""
    held = [
        (row[0], row[table.columns.index(column)])
        for table in tables
        for column in table.columns
        if column.endswith(" held")
        for row in table.rows
        if " x " not in row[0] and row[table.columns.index(column)] != "-"
    ]
    worst = Table("Held longest by one command, milliseconds", ["command", "held"])
    worst.rows = [[*row] for row in sorted(held, key=lambda row: -float(row[1].replace(",", "")))[:WORST]]
    return worst


def _table(session: Session, title: str, questions: Sequence[Question], arguments: tuple[str, ...]) -> Table:
    plans = [replace(plan, extra_arguments=plan.extra_arguments + arguments) for plan in session.plans]
    columns = [column for plan in plans for column in _columns(plan)]
    table = Table(title, ["command", *columns])
    with session.running(plans) as servers, ExitStack() as stack:
        for server in servers:
            stack.enter_context(_prepared(session, server))
        for question in questions:
            table.rows.append([question.label, *(cell for server in servers for cell in _cells(server, question))])
            session.log(" ".join(table.rows[-1]))
    return table


def _columns(plan: ServerPlan) -> list[str]:
    return [plan.label, f"{plan.label} held"] if plan.kind.name == "sherd" else [plan.label]


@contextmanager
def _prepared(session: Session, server: RunningServer) -> Iterator[None]:
    """Gives the server something to tell while others are connected."""
    client = server.client()
    client.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "latency-monitor-threshold", "1")
    if server.plan.kind.name != "sherd" and _try(client, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"):
        _await_cluster(client)
    session.fill(server, "SET key:__int:10__ __data__", KEYS)
    _count_commands(client)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(Client(server.port)).call("PING")
        yield


def _await_cluster(client: Client) -> None:
    for _ in range(100):
        if "cluster_state:ok" in str(client.call("CLUSTER", "INFO")):
            return
        time.sleep(0.1)


def _count_commands(client: Client) -> None:
    """Calls every command that does nothing to the measurement."""
    names = client.call("COMMAND", "LIST")
    assert isinstance(names, list)
    for name in names:
        words = str(name).split("|")
        if words[0] not in _LEFT_OUT:
            _try(client, *words, "key")


def _try(client: Client, *words: str) -> bool:
    try:
        client.call(*words)
    except ServerError:
        return False
    return True


def _cells(server: RunningServer, question: Question) -> list[str]:
    client = server.client()
    cells = [_round_trip(client, question)]
    if server.plan.kind.name == "sherd":
        cells.append(_held(client, question) if cells != ["-"] else "-")
    return cells


def _round_trip(client: Client, question: Question) -> str:
    if len(question.commands) == 1 and not _try(client, *question.commands[0].split()):
        return "-"
    seconds = []
    turns = TURNS if len(question.commands) == 1 else 3
    for _ in range(turns):
        if len(question.commands) > 1:
            _queue(client, question.commands)
        words = question.commands[0].split() if len(question.commands) == 1 else ["EXEC"]
        begun = time.perf_counter()
        client.call(*words)
        seconds.append(time.perf_counter() - begun)
    return number(min(seconds) * 1e3)


def _queue(client: Client, commands: Sequence[str]) -> None:
    client.call("MULTI")
    for command in commands:
        client.call(*command.split())


def _held(client: Client, question: Question) -> str:
    held = []
    for _ in range(HOLDS):
        client.call("CONFIG", "RESETSTAT")
        if question.label.startswith(_COUNTED):
            _count_commands(client)
        _queue(client, ("SET probe 1", *question.commands))
        client.call("EXEC")
        held.append(int(client.info("sherd")["longest_slice_usec"]))
    return number(min(held) / 1e3)
