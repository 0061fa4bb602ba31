"""Commands and categories by the names that rules use: made once from the table of all commands of both planes.

Rules name commands by their own names, whatever `rename-command` makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# In the order in which the references list them.
CATEGORIES = (
    "keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking "
    "dangerous connection transaction scripting"
).split()


@dataclass(frozen=True, slots=True)
class NamedCommand:
    """A command or subcommand. `family` are the numbers of itself and of its subcommands."""

    name: bytes
    id: int
    family: frozenset[int]
    is_container: bool
    is_subcommand: bool


class Catalogue:
    """See the module; `rows` are those of the data plane's command table."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = {str(row["name"]): row for row in rows}
        self._index(rows)

    def learn(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Know these as well, commands of extensions that were loaded meanwhile."""
        self._rows |= {str(row["name"]): row for row in rows}
        self._index(list(self._rows.values()))

    def _index(self, rows: Sequence[Mapping[str, Any]]) -> None:
        members: dict[str, set[int]] = {}
        for row in rows:
            for name in {str(row["name"]), str(row["name"]).partition("|")[0]}:
                members.setdefault(name, set()).add(int(row["id"]))
        self._commands = {
            str(row["name"]).encode(): NamedCommand(
                name=str(row["name"]).encode(),
                id=int(row["id"]),
                family=frozenset(members[str(row["name"])]),
                is_container=bool(row["container"]),
                is_subcommand="|" in row["name"],
            )
            for row in rows
        }
        self.ids = frozenset(command.id for command in self._commands.values())
        self._names: dict[bytes, list[bytes]] = {category.encode(): [] for category in CATEGORIES}
        self._ids: dict[bytes, set[int]] = {category.encode(): set() for category in CATEGORIES}
        for row in rows:
            command = self._commands[str(row["name"]).encode()]
            for category in row["categories"]:
                self._names[str(category).encode()].append(command.name)
                # What is said of a container is said of all its subcommands.
                self._ids[str(category).encode()] |= command.family

    def find(self, name: bytes) -> NamedCommand | None:
        """A command, or `container|sub`, in either case."""
        return self._commands.get(name.lower())

    def category(self, name: bytes) -> Iterable[int] | None:
        """The numbers of a category's commands; None if there is no such category."""
        return self._ids.get(name.lower())

    def names_in(self, category: bytes) -> Sequence[bytes] | None:
        """The names of a category's commands."""
        return self._names.get(category.lower())
