"""The manifest of an append-only directory: which files hold the data, in the form that Redis 7 and later give it.

One file a line: `file <name> seq <number> type <b|h|i>`. A *base* is everything up to a moment, *increments* are what
was written since, one after the other, and *history* is what a rewrite has made void and may be deleted.

A server that has ended adds to the last increment where in the history of replication its data are (`repl-id`,
`repl-offset`, `repl-stream-db`, as in a snapshot), and how many bytes the file has then (`size`): who starts from it
can go on there. It holds for a file of just that size, and is taken out before anything is appended. Other servers
pass over words that they do not know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sherd.config.lexer import UnbalancedQuotesError, quote, split_words
from sherd.durable import sync_folder
from sherd.errors import SherdError
from sherd.observability.replication import Place, place_of_snapshot
from sherd.record import record, replace

# The longest line, as in Redis; what is longer is no manifest.
_LINE_BYTES_MAX = 1024
# The longest name that a file can have.
_NAME_BYTES_MAX = 255
# Room for more files than a directory that is rewritten now and then ever has.
_BYTES_MAX = 1 << 20
# Numbers fit 63 bits.
_NUMBER_DIGITS_MAX = 18
_BASE, _HISTORY, _INCREMENT = "b", "h", "i"


class ManifestError(SherdError):
    """The manifest is not what it must be; nothing of the directory is loaded then."""


@record
class End:
    """Where in the history of replication the last file ends, and the bytes that it has there."""

    place: Place
    size: int

    def words(self) -> str:
        """As it stands in the manifest."""
        place = self.place
        return f" repl-id {place.id} repl-offset {place.offset} repl-stream-db {place.database} size {self.size}"


@record
class AppendedFile:
    """One file of the directory."""

    name: str
    number: int
    kind: str
    end: End | None = None

    def line(self) -> str:
        """As it stands in the manifest."""
        plain = all(letter.isascii() and letter.isprintable() and letter not in " \"'\\" for letter in self.name)
        name, end = self.name if plain else quote(self.name), self.end.words() if self.end is not None else ""
        return f"file {name} seq {self.number} type {self.kind}{end}\n"


@record
class Manifest:
    """The files in the order in which they are loaded."""

    base: AppendedFile | None = None
    increments: tuple[AppendedFile, ...] = ()
    history: tuple[AppendedFile, ...] = ()

    @property
    def files(self) -> tuple[AppendedFile, ...]:
        """What holds the data: the base, then the increments."""
        return ((self.base,) if self.base is not None else ()) + self.increments

    def is_end(self, file: AppendedFile, folder: Path) -> bool:
        """Whether nothing comes behind a file: it is the last one, or an increment of which the later ones are empty.

        A server that cannot write the end of a file, and begins the next one in a rewrite, writes nothing there before.
        """
        later = self.files[self.files.index(file) + 1 :]
        return not later or (file != self.base and all((folder / other.name).stat().st_size == 0 for other in later))

    def next_increment(self, name: str) -> AppendedFile:
        """What a further increment is called."""
        number = self.increments[-1].number + 1 if self.increments else 1
        return self._next(number, _INCREMENT, lambda number: f"{name}.{number}.incr.aof")

    def next_base(self, name: str, *, is_snapshot: bool) -> AppendedFile:
        """What a new base is called."""
        number, form = self.base.number + 1 if self.base is not None else 1, "rdb" if is_snapshot else "aof"
        return self._next(number, _BASE, lambda number: f"{name}.{number}.base.{form}")

    def _next(self, number: int, kind: str, name: Callable[[int], str]) -> AppendedFile:
        """From this number on the first one whose file is not named yet: a manifest may have names of other numbers."""
        named = {file.name for file in (*self.files, *self.history)}
        while name(number) in named:
            number += 1
        return AppendedFile(name(number), number, kind)

    @property
    def end(self) -> End | None:
        """What is told of the end of the last increment."""
        return self.increments[-1].end if self.increments else None

    def with_end(self, end: End | None) -> Manifest:
        """The same, and where the last increment ends if there is room for that; None for one that goes on."""
        if not self.increments:
            return self
        last = replace(self.increments[-1], end=end)
        if len(last.line()) > _LINE_BYTES_MAX:
            last = replace(last, end=None)
        return replace(self, increments=(*self.increments[:-1], last))

    def with_increment(self, increment: AppendedFile) -> Manifest:
        """The same and an increment at its end."""
        return replace(self, increments=(*self.with_end(None).increments, increment))

    def with_base(self, base: AppendedFile, increment: AppendedFile) -> Manifest:
        """What a rewrite leaves: its base and what was written since; everything before is history."""
        void = [file for file in (*self.files, *self.history) if file.name not in (base.name, increment.name)]
        history = tuple(replace(file, kind=_HISTORY, end=None) for file in void)
        later = tuple(file for file in self.increments if file.number > increment.number)
        return Manifest(base, (increment, *later), history)

    def text(self) -> str:
        """The whole manifest."""
        return "".join(file.line() for file in (*self.files, *self.history))


def parse(text: str) -> Manifest:
    """Read a manifest; raises ManifestError with the line that is wrong."""
    if not text:
        raise ManifestError("it is empty")
    base: AppendedFile | None = None
    increments: list[AppendedFile] = []
    history: list[AppendedFile] = []
    # Not `splitlines`, which ends lines within names as well.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if line.startswith("#"):
            continue
        file = _parse_line(line, number)
        if file.kind == _BASE:
            if base is not None:
                raise ManifestError(f"line {number}: there are two bases")
            base = file
        elif file.kind == _HISTORY:
            history.append(file)
        else:
            if increments and file.number <= increments[-1].number:
                raise ManifestError(f"line {number}: the increments are not in order")
            if increments:
                # Another one follows it, so that is no end.
                increments[-1] = replace(increments[-1], end=None)
            increments.append(file)
    return Manifest(base, tuple(increments), tuple(history))


def _parse_line(line: str, number: int) -> AppendedFile:
    if len(line) > _LINE_BYTES_MAX:
        raise ManifestError(f"line {number}: it is too long")
    try:
        words = split_words(line.strip(" \t\r"))
    except UnbalancedQuotesError as error:
        raise ManifestError(f"line {number}: a quote does not end") from error
    if len(words) < 6 or len(words) % 2:
        raise ManifestError(f"line {number}: it is not made of names and values")
    values = {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}
    name, kind = values.get("file", ""), values.get("type", "")
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ManifestError(f"line {number}: a file's name must be no path")
    if kind not in (_BASE, _HISTORY, _INCREMENT):
        raise ManifestError(f"line {number}: '{kind}' is no type of a file")
    sequence = values.get("seq", "")
    if not sequence.isascii() or not sequence.isdigit() or len(sequence) > _NUMBER_DIGITS_MAX or int(sequence) == 0:
        raise ManifestError(f"line {number}: '{sequence}' is no sequence number")
    file = AppendedFile(name, int(sequence), kind, _parse_end(values) if kind == _INCREMENT else None)
    # What is written quotes bytes that may stand here as they are.
    if len(name.encode("utf-8", "surrogateescape")) > _NAME_BYTES_MAX or len(file.line()) > _LINE_BYTES_MAX:
        raise ManifestError(f"line {number}: a file's name is too long")
    return file


def _parse_end(values: dict[str, str]) -> End | None:
    """Nothing depends on it but how much has to be sent again, so what is wrong with it is no error."""
    place, size = place_of_snapshot(values.items()), values.get("size", "")
    if place is None or not (size.isascii() and size.isdigit() and len(size) <= _NUMBER_DIGITS_MAX):
        return None
    return End(place, int(size))


def read(path: Path) -> Manifest | None:
    """The manifest in a file; None if there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    if len(content) > _BYTES_MAX:
        raise ManifestError(f"it has more than {_BYTES_MAX} bytes")
    return parse(content.decode("utf-8", "surrogateescape"))


def write(path: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one that is there, which stays whatever fails."""
    temporary = path.with_name(f"temp-{path.name}")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(manifest.text())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
