"""What COMMAND says in the servers that Sherd follows, read from `data/commands.tsv`, and which of it is in scope.

The file has one row a command, made from the COMMAND replies of Redis 7.0, Redis 8.0 and Valkey 9.1. Where Valkey
disagrees, its value follows in brackets; Sherd takes Redis 8.0's, and Valkey's for what only Valkey has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

table_path = Path(__file__).parent / "data" / "commands.tsv"

_whole_groups = frozenset({"string", "hash", "list", "set", "sorted-set", "transactions"})
_generic = frozenset(
    "del unlink exists type touch expire pexpire expireat pexpireat expiretime pexpiretime ttl pttl persist rename "
    "renamenx copy move migrate keys scan randomkey object object|encoding object|freq object|help object|idletime "
    "object|refcount wait".split()
)
_connection = frozenset(
    "auth hello ping echo select quit reset client client|id client|info client|list client|kill client|setname "
    "client|getname client|setinfo client|no-evict client|no-touch client|reply client|pause client|unpause "
    "client|help".split()
)
_server = frozenset(
    "info config config|get config|set config|resetstat config|rewrite config|help command command|count command|docs "
    "command|getkeys command|getkeysandflags command|help command|info command|list dbsize flushdb flushall swapdb "
    "time slowlog slowlog|get slowlog|help slowlog|len slowlog|reset latency latency|doctor latency|graph latency|help "
    "latency|histogram latency|history latency|latest latency|reset memory memory|usage memory|stats memory|doctor "
    "memory|help debug lolwut shutdown monitor role".split()
)
_cluster = frozenset(
    "cluster cluster|slots cluster|shards cluster|nodes cluster|info cluster|myid cluster|keyslot "
    "cluster|countkeysinslot cluster|getkeysinslot cluster|links cluster|help readonly readwrite asking clusterscan".split()
)
_field_expiry = frozenset(
    "hexpire hexpireat hexpiretime hpexpire hpexpireat hpexpiretime hpersist hpttl httl hgetex hsetex hgetdel".split()
)


_scripting = frozenset(
    """
    eval evalsha eval_ro evalsha_ro script script|load script|exists script|flush script|kill script|show script|debug
    script|help
    """.split()
)


@dataclass(frozen=True)
class CommandRow:
    """One command as a reference describes it."""

    name: str
    arity: int
    flags: frozenset[str]
    group: str
    first_key: int
    last_key: int
    step: int
    acl_categories: frozenset[str]
    servers: frozenset[str]

    @property
    def is_blocking(self) -> bool:
        """Whether the command waits for other clients."""
        return "blocking" in self.flags

    @property
    def container(self) -> str | None:
        """The command that a subcommand belongs to."""
        return self.name.partition("|")[0] if "|" in self.name else None


def read_table() -> dict[str, CommandRow]:
    """Every row of the file, by name."""
    lines = table_path.read_text().splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=False)) for line in lines[1:] if line]
    return {row["name"]: _read_row(row) for row in rows}


def _read_row(row: dict[str, str]) -> CommandRow:
    servers = frozenset(row["servers"].split("+"))
    first, last, step = (int(number) for number in _preferred(row["first,last,step"], servers).split(","))
    return CommandRow(
        name=row["name"],
        arity=int(_preferred(row["arity"], servers).split("/")[0]),
        flags=_words(_preferred(row["flags"], servers)),
        group=row["group"],
        first_key=first,
        last_key=last,
        step=step,
        acl_categories=_words(_preferred(row["acl"], servers)),
        servers=servers,
    )


def _preferred(cell: str, servers: frozenset[str]) -> str:
    """Redis 8.0's value of a cell, or Valkey's where Redis 8.0 lacks the command."""
    match = re.fullmatch(r"(.*?)\s*\[vk91:(.*)\]", cell)
    if match is None:
        return cell
    return match.group(1) if "r80" in servers else match.group(2)


def _words(cell: str) -> frozenset[str]:
    return frozenset(word for word in cell.split(",") if word)


def is_in_scope(row: CommandRow) -> bool:
    """Whether Sherd serves the command."""
    if row.name in _generic | _connection | _server | _cluster | _scripting:
        return True
    return row.group in _whole_groups and row.name not in _field_expiry and not row.is_blocking


def commands_in_scope() -> list[CommandRow]:
    """The rows that Sherd serves."""
    return [row for row in read_table().values() if is_in_scope(row)]
