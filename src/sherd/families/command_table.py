"""The table of all commands of both planes, as COMMAND looks it up and lists it.

Rows come from the data plane, which joins its own specs with those that the control plane declared, and say all that is
told of a command; that of the server itself is fixed for the life of the process, so it is read once, when somebody
first asks. Those of extensions are replaced all at a time.

For the same reason a row is encoded once a protocol and form (COMMAND INFO, COMMAND DOCS), when it is first asked for:
the replies of COMMAND are the largest of all control commands, and drivers ask for them at every start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sherd.resp import Encoded, Reply, ReplySet, Simple, encode

Row = Mapping[str, Any]
# Key flags that are written in capitals: what a command does to the value; all others are in lower case.
_ACCESS_FLAGS = frozenset({"RW", "RO", "OW", "RM"})


# What makes a reply of a row.
Form: TypeAlias = Callable[["CommandTable", Row], Reply]


class CommandTable:
    """Rows by name, and each container's subcommands.

    `read_rows` returns those of the server's own commands, and is called when they are first looked at: most servers
    are never asked. `renames` has the names that clients call commands by, where they are not the commands' own: these
    are looked up, while replies tell the commands' own, as Redis does. A command without a name any more is not there.
    """

    def __init__(
        self, read_rows: Callable[[], Sequence[Row]], renames: Mapping[bytes, bytes | None] | None = None
    ) -> None:
        self._read_rows = read_rows
        self._renames = renames or {}
        self._listing: _Listing | None = None
        # Bounded by the rows, the forms and the two protocols.
        self._encoded: dict[tuple[str, int, Form], Encoded] = {}

    def set_extensions(self, rows: Sequence[Row]) -> None:
        """Show the commands of these extensions, and of no others."""
        # At once, for it is another thread that loads them again.
        self._listing = _Listing(self._own_rows(), rows)
        self._encoded = {}

    def _own_rows(self) -> Sequence[Row]:
        gone = set(self._renames) - {own for own in self._renames.values() if own is not None}
        return [row for row in self._read_rows() if str(row["name"]).partition("|")[0].encode() not in gone]

    @property
    def _known(self) -> _Listing:
        if self._listing is None:
            self._listing = _Listing(self._own_rows(), ())
        return self._listing

    @property
    def names(self) -> Sequence[bytes]:
        """The names of all commands and subcommands, sorted."""
        return self._known.names

    @property
    def top_level_count(self) -> int:
        """How many commands there are, without subcommands."""
        return self._known.top_level_count

    def is_own(self, name: bytes) -> bool:
        """Whether clients call a command of the server itself so, or did before it was renamed."""
        return name in self._renames or name.decode("latin-1") in self._known.own

    def encoded(self, row: Row, resp: int, form: Form) -> Encoded:
        """A row in one of its forms, as it goes on the wire."""
        key = (str(row["name"]), resp, form)
        reply = self._encoded.get(key)
        if reply is None:
            reply = self._encoded[key] = Encoded(encode(form(self, row), resp))
        return reply

    def top_level(self) -> Iterator[Row]:
        """Commands that are no subcommands, sorted by name."""
        return (row for name, row in self._known.rows.items() if "|" not in name)

    def all(self) -> Iterator[Row]:
        """Commands and subcommands, sorted by name."""
        return iter(self._known.rows.values())

    def subcommands(self, row: Row) -> Sequence[Row]:
        """The subcommands of a container."""
        return self._known.children.get(str(row["name"]), ())

    def find(self, name: bytes) -> Row | None:
        """A command or `container|sub` by the name that clients use, in any case."""
        own = self.own_name(name)
        return None if own is None else self._known.rows.get(own)

    def own_name(self, name: bytes) -> str | None:
        """The own name of what clients call so, if there is such a command; None if the name was taken away."""
        called, bar, subcommand = name.lower().partition(b"|")
        own = self._renames.get(called, called)
        return None if own is None else (own + bar + subcommand).decode("latin-1")

    def resolve(self, words: Sequence[bytes]) -> Row | None:
        """The command that a whole command line names, subcommand included."""
        row = None if b"|" in words[0] else self.find(words[0])
        if row is None or len(words) == 1 or not self.subcommands(row):
            return row
        return self.find(words[0] + b"|" + words[1])


class _Listing:
    """The rows of one moment. own: names of the server's own commands. children: the subcommands of each container."""

    __slots__ = ("children", "names", "own", "rows", "top_level_count")

    def __init__(self, own: Sequence[Row], extensions: Sequence[Row]) -> None:
        self.own = frozenset(str(row["name"]) for row in own)
        by_name = {str(row["name"]): row for row in (*own, *extensions)}
        self.rows = dict(sorted(by_name.items()))
        self.names = [name.encode() for name in self.rows]
        self.top_level_count = sum("|" not in name for name in self.rows)
        self.children: dict[str, list[Row]] = {}
        for row in own:
            container, bar, _ = str(row["name"]).partition("|")
            if bar:
                self.children.setdefault(container, []).append(row)


def info_reply(table: CommandTable, row: Row) -> Reply:
    """A row as COMMAND and COMMAND INFO give it: ten fields, the last one its subcommands in the same form."""
    return [
        str(row["name"]),
        int(row["arity"]),
        ReplySet(map(Simple, row["flags"])),
        int(row["first_key"]),
        int(row["last_key"]),
        int(row["key_step"]),
        ReplySet(Simple(f"@{category}") for category in row["categories"]),
        ReplySet(row["tips"]),
        ReplySet(map(_key_spec_reply, row["keys"])),
        ReplySet(info_reply(table, child) for child in table.subcommands(row)),
    ]


def key_flags_reply(flags: str) -> Reply:
    """Key flags as a set of status replies: `RW`, `access`, `update`."""
    words = flags.split()
    return ReplySet(Simple(word.upper() if word.upper() in _ACCESS_FLAGS else word.lower()) for word in words)


def _key_spec_reply(key_spec: tuple[str, tuple[Any, ...], tuple[Any, ...]]) -> Reply:
    flags, begin, find = key_spec
    return {
        "flags": key_flags_reply(flags),
        "begin_search": _search_reply(begin, {"index": ("index",), "keyword": ("keyword", "startfrom")}),
        "find_keys": _search_reply(
            find, {"range": ("lastkey", "keystep", "limit"), "keynum": ("keynumidx", "firstkey", "keystep")}
        ),
    }


def _search_reply(search: tuple[Any, ...], field_names: Mapping[str, tuple[str, ...]]) -> Reply:
    kind, *values = search
    fields = field_names.get(str(kind), ())
    return {"type": str(kind), "spec": dict(zip(fields, values, strict=True)) if fields else {}}
