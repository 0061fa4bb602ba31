"""Commands and categories by the names that rules use, from the table of all commands of both planes.

Rules name commands by their own names, whatever `rename-command` makes of them. Most servers have no rule that names a
command or a category, so the table, which is large, is read with the first one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sherd.record import record

# In the order in which the references list them.
CATEGORIES = (
    "keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking "
    "dangerous connection transaction scripting"
).split()


@record
class NamedCommand:
    """A command or subcommand. `family` are the numbers of itself and of its subcommands."""

    name: bytes
    id: int
    family: frozenset[int]
    is_container: bool
    is_subcommand: bool


class Catalogue:
    """See the module. The numbers of the server's own commands are those below `count`; `read_rows` returns the data
    plane's command table. `ids` are the numbers of all commands."""

    def __init__(self, count: int, read_rows: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self.ids = frozenset(range(count))
        self._read_rows = read_rows
        # Of extensions.
        self._more: dict[str, Mapping[str, Any]] = {}
        self._index: _Index | None = None

    def learn(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Know these as well, commands of extensions that were loaded."""
        self._more |= {str(row["name"]): row for row in rows}
        self.ids |= {int(row["id"]) for row in rows}
        self._index = None

    @property
    def _known(self) -> _Index:
        if self._index is None:
            self._index = _Index([*self._read_rows(), *self._more.values()])
        return self._index

    def find(self, name: bytes) -> NamedCommand | None:
        """A command, or `container|sub`, in either case."""
        return self._known.commands.get(name.lower())

    def category(self, name: bytes) -> Iterable[int] | None:
        """The numbers of a category's commands; None if there is no such category."""
        return self._known.ids.get(name.lower())

    def names_in(self, category: bytes) -> Sequence[bytes] | None:
        """The names of a category's commands."""
        return self._known.names.get(category.lower())


class _Index:
    """commands: by name. names, ids: of the commands of each category."""

    __slots__ = ("commands", "ids", "names")

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        members: dict[str, set[int]] = {}
        for row in rows:
            for name in {str(row["name"]), str(row["name"]).partition("|")[0]}:
                members.setdefault(name, set()).add(int(row["id"]))
        self.commands = {
            str(row["name"]).encode(): NamedCommand(
                name=str(row["name"]).encode(),
                id=int(row["id"]),
                family=frozenset(members[str(row["name"])]),
                is_container=bool(row["container"]),
                is_subcommand="|" in row["name"],
            )
            for row in rows
        }
        self.names: dict[bytes, list[bytes]] = {category.encode(): [] for category in CATEGORIES}
        self.ids: dict[bytes, set[int]] = {category.encode(): set() for category in CATEGORIES}
        for row in rows:
            command = self.commands[str(row["name"]).encode()]
            for category in row["categories"]:
                self.names[str(category).encode()].append(command.name)
                # What is said of a container is said of all its subcommands.
                self.ids[str(category).encode()] |= command.family
