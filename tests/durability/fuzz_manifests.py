"""A fuzzer for manifests of append-only directories, which Python reads: `make fuzz` runs it beside the targets in Rust.

    python -m tests.durability.fuzz_manifests --seconds 30 [--seed 7]

It changes real manifests (`fuzz/seeds/manifest`: Redis 7.0, Redis 8.0, Valkey 9.1, Sherd) and has them read as a start and
`check-aof` read them. What must hold, whatever the bytes:

- names stay within the directory: no path, none that means a folder, none that no file can have;
- what is no manifest is refused with the line that is wrong, and never by another exception than the one for it;
- what is one is the same when it was written and read again, with a further increment and with a new base, which have
  names of their own;
- reading changes nothing: neither the manifest nor what is beside it.

A finding is printed and kept in `fuzz/artifacts/manifest`; mended, it becomes a seed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sherd.observability.replication import Place
from sherd.persistence import manifest
from sherd.persistence.append import AppendDirectory
from sherd.persistence.check_append import check_aof
from sherd.persistence.load import DataLoadError, LoadAtStart
from sherd.persistence.manifest import End, Manifest, ManifestError
from tests.python.fake_engine import Bench

root = Path(__file__).parents[2]
seeds = root / "fuzz" / "seeds" / "manifest"
artifacts = root / "fuzz" / "artifacts" / "manifest"

# The longest name that a file can have.
name_bytes_max = 255
# The last number that leaves room for what comes next.
number_max = 10**18 - 10
# What is said of a manifest as a whole, which has no line.
_OF_ALL = ("it is empty", "it has more than")
_TOLD = re.compile(r"line \d+: .+", re.DOTALL)

WORDS = [
    b"file", b"FILE", b"seq", b"type", b"startoffset", b"endoffset", b"b", b"i", b"h", b"..", b".", b"/", b"/etc/passwd", b"../",
    b"\0", b'"', b"'", b"\\", b"\\x00", b"\\x2f", b"\n", b"\r", b"\t", b"\v", b" ", b"#", b"0", b"1", b"2", b"-1", b"+1", b"1_0", b"0x1",
    b"9" * 17, b"9" * 18, b"9" * 19, b"18446744073709551616", "\u0663".encode(), "\u2028".encode(), "\u00b2".encode(), b"\xff",
    b"repl-id", b"repl-offset", b"repl-stream-db", b"size", b"a" * 40, b"65535", b"65536", b"\xed\xa0\x80", b"\xff" * 240, b"x" * 200, b"x" * 1100, b"appendonly.aof.1.incr.aof",
]  # fmt: skip


def read_seeds() -> dict[str, bytes]:
    """The manifests to begin with, by name."""
    return {path.name: path.read_bytes() for path in sorted(seeds.iterdir())}


def mutate(random_: random.Random, texts: list[bytes]) -> bytes:
    """A manifest with some of its bytes or lines exchanged, removed, doubled or added."""
    text = random_.choice(texts)
    for _ in range(random_.choice((1, 1, 2, 3, 6))):
        begin = random_.randint(0, len(text))
        end = min(len(text), begin + random_.choice((0, 0, 1, 2, 4, 12, 40)))
        match random_.randrange(7):
            case 0:
                put = random_.randbytes(random_.randrange(1, 5))
            case 1 | 2 | 3:
                put = random_.choice(WORDS)
            case 4:
                # Lines of another manifest.
                put = b"\n" + random_.choice(random_.choice(texts).splitlines(keepends=True) or [b""])
            case 5:
                put = text[begin:end] * 2
            case _:
                put = b""
        text = text[:begin] + put + text[end:]
    return text


class Directory:
    """The directory of a server, with files that a manifest might name."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "appendonlydir"
        self.path = self.folder / "appendonly.aof.manifest"
        self.folder.mkdir()
        for name in ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "a b", "..."):
            (self.folder / name).write_bytes(b"")
        (home / "dump.rdb").write_bytes(b"not to be touched")
        self._node = Bench(dir=str(home), appendonly=True).node
        self._append = AppendDirectory(self._node)

    def check(self, text: bytes) -> str:
        """Have a manifest read in every way, and hold what comes of it against the promises; in a word, what it was."""
        self.path.write_bytes(text)
        before = self._state()
        found = self._read(text)
        self._start(is_manifest=found is not None)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = check_aof(str(self.path), fix=False, until=None, ask=lambda _: False)
        assert found is not None or code == 1, "check-aof finds no fault with what is no manifest"
        assert self._state() == before, "something was changed by reading"
        return "refused" if found is None else "a manifest"

    def _read(self, text: bytes) -> Manifest | None:
        try:
            found = manifest.read(self.path)
        except ManifestError as error:
            told = str(error)
            assert _TOLD.fullmatch(told) or told.startswith(_OF_ALL), f"no line is told: {told!r}"
            assert told.startswith(_OF_ALL) or int(told[5 : told.index(":")]) <= text.count(b"\n") + 1, told
            return None
        assert found is not None
        check_names(found)
        check_written(found)
        return found

    def _start(self, *, is_manifest: bool) -> None:
        try:
            LoadAtStart(self._node, self._append)
        except DataLoadError as error:
            told = str(error)
        else:
            assert is_manifest, "a server would start with what is no manifest"
            return
        assert told.startswith((f"cannot use {self.path}: ", f"cannot read {self.folder}/")), told

    def _state(self) -> list[tuple[str, bytes]]:
        files = sorted(path for path in self.home.glob("**/*") if path.is_file())
        return [(str(path), path.read_bytes()) for path in files]


def check_names(found: Manifest) -> None:
    """No name leads out of the directory, and each is one that a file can have."""
    for file in (*found.files, *found.history):
        name = file.name.encode("utf-8", "surrogateescape")
        assert name not in (b"", b".", b".."), file
        assert b"/" not in name, file
        assert b"\0" not in name, file
        assert len(name) <= name_bytes_max, file
        assert file.number > 0, file


def check_written(found: Manifest) -> None:
    """It can be read again when the server has written it, as it is and with what the server adds."""
    files = (*found.files, *found.history)
    increment = found.next_increment("appendonly.aof")
    base = found.next_base("appendonly.aof", is_snapshot=True)
    assert not {increment.name, base.name} & {file.name for file in files}, (
        "a new file takes the place of one that is named"
    )
    # But for a directory that was rewritten 10^18 times.
    if max((file.number for file in files), default=0) >= number_max:
        return
    longer = found.with_increment(increment)
    ended = found.with_end(End(Place("f" * 40, 10**18 - 1, 65535), 10**18 - 1))
    for changed in (found, longer, longer.with_base(base, increment), ended, ended.with_increment(increment)):
        if changed.text():
            assert manifest.parse(changed.text()) == changed, "it is another one when it was written"


def run(directory: Directory, seed: int, *, examples: int = 0, seconds: float = 0.0) -> Counter[str]:
    """So many examples, or for so long; what they were. Raises AssertionError with the text of a finding."""
    random_, texts, kinds = random.Random(seed), list(read_seeds().values()), Counter[str]()
    until = time.monotonic() + seconds
    while kinds.total() < examples or time.monotonic() < until:
        text = mutate(random_, texts)
        try:
            kinds[directory.check(text)] += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}, with {text!r}") from error
        # What is still a manifest is something to go on from.
        if len(texts) < 1000 and len(text) < 4000 and random_.random() < 0.01:
            texts.append(text)
    return kinds


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sherd-fuzz-") as home:
        directory = Directory(Path(home))
        try:
            kinds = run(directory, options.seed, seconds=options.seconds)
        except AssertionError as finding:
            text = directory.path.read_bytes()
            artifacts.mkdir(parents=True, exist_ok=True)
            kept = artifacts / f"crash-{hashlib.sha1(text, usedforsecurity=False).hexdigest()}"
            kept.write_bytes(text)
            print(f"manifest: {finding}\nmanifest: kept in {kept}")
            return 1
    print(f"manifest: {kinds.total()} runs in {options.seconds:.0f} s, {kinds['refused']} refused, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
