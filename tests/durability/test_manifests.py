"""Manifests may hold anything: what is none is refused with its line, what is one names files of its directory only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sherd.persistence.manifest import ManifestError, parse, read, write
from tests.durability.fuzz_manifests import Directory, read_seeds, run
from tests.durability.test_append_only import serve
from tests.protocol.test_limits import eventually, info_field
from tests.support.references import need_reference, reference_names
from tests.support.servers import Server, ServerDidNotStart

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

# As Redis 7.0, Redis 8.0 and Valkey 9.1 write them, and others that they take.
SEEDS = [
    b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
    b"file a.2.base.aof seq 2 type b\nfile a.1.base.rdb seq 1 type h\nfile a.1.incr.aof seq 1 type h\n"
    b"file a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i startoffset 17\n",
    b'# a remark\r\nfile "a \\x00b\\n" seq 1 type i\r\n',
    b"FILE '\xff\xfe' SEQ 1 TYPE i",
    "file \u2028 seq 1 type i\n".encode(),
]  # fmt: skip
WORDS = [b"file", b"seq", b"type", b"b", b"i", b"h", b"..", b"/etc/passwd", b"\0", b'"', b"'", b"\\", b"\n", b"\r", b" ", b"#",
         b"0", b"-1", b"9" * 18, b"9" * 19, "\u0663".encode(), "\u2028".encode(), b"\xff", b"x" * 1100]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A manifest with some of its bytes exchanged, removed or added."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(len(text), begin + 12)))
        text = text[:begin] + draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=4))) + text[end:]
    return text


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_whatever_is_in_a_manifest_it_stays_in_its_directory(text: bytes) -> None:
    try:
        manifest = parse(text.decode("utf-8", "surrogateescape"))
    except ManifestError:
        return
    for file in (*manifest.files, *manifest.history):
        assert "/" not in file.name
        assert "\0" not in file.name
        assert file.name not in ("", ".", "..")
        assert file.number > 0
    # And it is the same when it was written and read again.
    assert manifest.text() == "" or parse(manifest.text()) == manifest


def test_every_seed_of_the_fuzzer_keeps_its_promises(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    kinds = {name: directory.check(text) for name, text in read_seeds().items()}
    assert {name.partition("-")[0] for name in kinds} >= {*reference_names, "sherd"}
    assert all(kind == "a manifest" for name, kind in kinds.items() if not name.startswith("odd-")), kinds


def test_what_the_fuzzer_makes_of_them_keeps_the_promises(tmp_path: Path) -> None:
    kinds = run(Directory(tmp_path), seed=12, examples=600)
    assert min(kinds["refused"], kinds["a manifest"]) > 50, "it makes no use of one of the ways"


@pytest.mark.parametrize("text", SEEDS)
def test_what_is_written_is_read_back(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "manifest"
    try:
        manifest = parse(text.decode("utf-8", "surrogateescape"))
    except ManifestError:
        assert b"x00" in text
        return
    write(path, manifest)
    assert read(path) == manifest


def test_a_manifest_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "manifest"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ManifestError, match="it has more than"):
        read(path)


@pytest.mark.parametrize("name", [*reference_names, "sherd"])
@pytest.mark.parametrize(
    "line", ["file ../dump.rdb seq 1 type b", "file .. seq 1 type i", 'file "a\\x00b" seq 1 type i', "nonsense", ""]
)
def test_a_server_with_such_a_manifest_does_not_start(tmp_path: Path, name: str, line: str) -> None:
    """Nor does a real one; nothing is changed."""
    (tmp_path / "appendonlydir").mkdir()
    path = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    path.write_text(line + "\n")
    with pytest.raises(ServerDidNotStart) as failure:
        if name == "sherd":
            serve(tmp_path)
        else:
            Server(need_reference(name), directives={"dir": str(tmp_path), "appendonly": "yes", "maxclients": "400"})
    assert "ended with code 1" in str(failure.value)
    assert path.read_text() == line + "\n"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_called_void_and_holds_data_is_kept(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        server.stop()
    path = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    (void,) = [line.replace("type i", "type h") for line in path.read_text().splitlines() if line.endswith("type i")]
    path.write_text(f"{path.read_text()}{void}\nfile nothing seq 1 type h\n")
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("GET", "k") == b"v"
        assert "type h" not in path.read_text()


def test_a_new_file_never_takes_the_name_of_one_that_holds_data(tmp_path: Path) -> None:
    """Names and numbers of a manifest need not agree."""
    with serve(tmp_path) as server, server.wire() as wire:
        wire.call("SET", "k", "v")
        server.stop()
    path = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    old, new = (path.parent / f"appendonly.aof.{number}.incr.aof" for number in (1, 3))
    old.rename(new)
    path.write_text(path.read_text().replace(f"{old.name} seq 1", f"{new.name} seq 2"))
    with serve(tmp_path) as server, server.wire() as wire:
        wire.call("SET", "l", "w")
        wire.call("BGREWRITEAOF")
        eventually(lambda: info_field(wire, "persistence", "aof_rewrite_in_progress") == "0", "the rewrite ends")
        assert wire.value("MGET", "k", "l") == [b"v", b"w"]
        assert "appendonly.aof.4.incr.aof seq 4" in path.read_text()
        server.stop()
    with serve(tmp_path) as server, server.wire() as wire:
        assert wire.value("MGET", "k", "l") == [b"v", b"w"]
