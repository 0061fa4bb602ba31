"""The manifest of an append-only directory: which files hold the data, in the form that Redis 7 and later give it.

One file a line: `file <name> seq <number> type <b|h|i>`. A *base* is everything up to a moment, *increments* are what
was written since, one after the other, and *history* is what a rewrite has made void and may be deleted.
"""

from __future__ import annotations

import os
from pathlib import Path

from sherd.config.lexer import UnbalancedQuotesError, quote, split_words
from sherd.errors import SherdError
from sherd.record import record, replace

# The longest line, as in Redis; what is longer is no manifest.
_LINE_BYTES_MAX = 1024
# Room for more files than a directory that is rewritten now and then ever has.
_BYTES_MAX = 1 << 20
_BASE, _HISTORY, _INCREMENT = "b", "h", "i"


class ManifestError(SherdError):
    """The manifest is not what it must be; nothing of the directory is loaded then."""


@record
class AppendedFile:
    """One file of the directory."""

    name: str
    number: int
    kind: str

    def line(self) -> str:
        """As it stands in the manifest."""
        plain = all(letter.isascii() and letter.isprintable() and letter not in " \"'\\" for letter in self.name)
        return f"file {self.name if plain else quote(self.name)} seq {self.number} type {self.kind}\n"


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

    def next_increment(self, name: str) -> AppendedFile:
        """What a further increment is called."""
        number = self.increments[-1].number + 1 if self.increments else 1
        return AppendedFile(f"{name}.{number}.incr.aof", number, _INCREMENT)

    def next_base(self, name: str, *, is_snapshot: bool) -> AppendedFile:
        """What a new base is called."""
        number = self.base.number + 1 if self.base is not None else 1
        return AppendedFile(f"{name}.{number}.base.{'rdb' if is_snapshot else 'aof'}", number, _BASE)

    def with_increment(self, increment: AppendedFile) -> Manifest:
        """The same and an increment at its end."""
        return replace(self, increments=(*self.increments, increment))

    def with_base(self, base: AppendedFile, increment: AppendedFile) -> Manifest:
        """What a rewrite leaves: its base and what was written since; everything before is history."""
        void = [*self.files, *self.history]
        history = tuple(replace(file, kind=_HISTORY) for file in void if file.name not in (base.name, increment.name))
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
    if not sequence.isascii() or not sequence.isdigit() or len(sequence) > 18 or int(sequence) == 0:
        raise ManifestError(f"line {number}: '{sequence}' is no sequence number")
    return AppendedFile(name, int(sequence), kind)


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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
