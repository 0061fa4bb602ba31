"""Files that are replaced, cut and deleted."""

import os
from pathlib import Path

import pytest

from sherd.durable import close_memory, cut_file, delete_file, replace_file

# More than is forgotten at once.
_CONTENT = bytes(range(256)) * 40_000


def test_a_deleted_file_is_still_whole_for_who_reads_it_or_has_another_name_for_it(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(_CONTENT)
    other.hardlink_to(path)
    with path.open("rb") as file:
        begun = file.read(1000)
        delete_file(path)
        assert begun + file.read() == _CONTENT
    assert not path.exists()
    assert other.read_bytes() == _CONTENT


def test_a_file_that_is_not_there_cannot_be_deleted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        delete_file(tmp_path / "a")


def test_a_replaced_file_keeps_its_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_cut_behind_what_it_keeps(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(_CONTENT)
    cut_file(path, 777)
    assert path.read_bytes() == _CONTENT[:777]


@pytest.mark.parametrize("size", [0, 1, len(_CONTENT)])
def test_a_file_in_memory_is_gone_when_it_is_closed(size: int) -> None:
    descriptor = os.memfd_create("test")
    kept = os.dup(descriptor)
    try:
        assert os.write(descriptor, _CONTENT[:size]) == size
        close_memory(descriptor)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)
        assert os.fstat(kept).st_size == 0
    finally:
        os.close(kept)
