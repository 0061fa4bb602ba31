"""`check-config` tells everything at once, each finding with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sherd.config import check_config, load_config
from sherd.errors import ConfigError


def _findings(file: Path, text: str, *command_line: str) -> tuple[list[str], list[str]]:
    """Errors and warnings for a file."""
    file.write_text(text)
    findings = check_config(str(file), command_line, {})
    return [one.text for one in findings if one.is_error], [one.text for one in findings if not one.is_error]


def test_every_error_is_told_with_file_and_line(tmp_path: Path) -> None:
    included, file = tmp_path / "more.conf", tmp_path / "redis.conf"
    included.write_text("# fine\n\nhz many\n")
    errors, _ = _findings(
        file,
        f'port abc\ntimeout 5\nmaxmemori 1gb\ninclude {included}\nrequirepass "open\noom-score-adj yes\n'
        "include /nowhere.conf\nuser alice on\n",
        "--maxclients", "0", "stray", "--save", "x",
    )  # fmt: skip
    assert errors == [
        f"{file}:1: 'port abc': argument couldn't be parsed into an integer",
        f"{file}:3: 'maxmemori 1gb': Bad directive or wrong number of arguments (did you mean 'maxmemory'?)",
        f"{included}:3: 'hz many': argument couldn't be parsed into an integer",
        f"{file}:5: 'requirepass \"open': Unbalanced quotes in configuration line",
        f"{file}:6: 'oom-score-adj yes': OOM score adjustment is not part of this version, only no is accepted",
        f"{file}:7: 'include /nowhere.conf': can't open config file '/nowhere.conf': No such file or directory",
        "command line: '--maxclients 0 stray': wrong number of arguments",
        "command line: '--save x': Invalid save parameters",
    ]


def test_what_is_told_first_is_what_a_start_fails_with(tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    errors, _ = _findings(file, "port abc\nhz many\n")
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), (), {})
    assert str(caught.value) == errors[0]
    assert len(errors) == 2


def test_errors_of_the_environment_are_among_them() -> None:
    findings = check_config(None, (), {"SHERD_HZ": "many", "SHERD_PORT": "x", "SHERD_REQUIREPASS_FILE": "/nowhere"})
    assert [finding.text.partition(":")[0] for finding in findings if finding.is_error] == ["environment"] * 3


def test_a_file_that_cannot_be_read_is_one_error() -> None:
    errors = [finding.text for finding in check_config("/nowhere.conf", (), {}) if finding.is_error]
    assert errors == ["can't open config file '/nowhere.conf': No such file or directory"]


def test_directives_without_effect_are_named_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    errors, warnings = _findings(
        file, 'save ""\nrdb-del-sync-files yes\nhz 20\nsanitize-dump-payload yes\n', "--aclfile", ""
    )
    assert errors == []
    assert warnings == [
        f"{file}:2: 'rdb-del-sync-files' has no effect in this version",
        f"{file}:4: 'sanitize-dump-payload' has no effect in this version",
    ]


def test_a_file_that_means_to_save_is_told_that_nothing_is_saved(tmp_path: Path) -> None:
    """Redis saves unless it is told not to, so a file without a word about it means to."""
    _, warnings = _findings(tmp_path / "redis.conf", "port 7000\n")
    assert [warning for warning in warnings if "nothing is saved to disk" in warning] == warnings
    assert len(warnings) == 1
    assert _findings(tmp_path / "redis.conf", 'save ""\n') == ([], [])


def test_paths_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    (tmp_path / "directory").mkdir()
    errors, warnings = _findings(
        file,
        f'save ""\nlogfile {tmp_path}/no/such/log\nunixsocket {tmp_path}/directory\npidfile {tmp_path}/none/pid\n',
    )
    assert errors == [
        f"{file}:2: 'logfile {tmp_path}/no/such/log': there is no directory {tmp_path}/no/such",
        f"{file}:3: 'unixsocket {tmp_path}/directory': it is a directory",
    ]
    assert warnings == [f"{file}:4: 'pidfile {tmp_path}/none/pid': there is no directory {tmp_path}/none"]
    assert list(tmp_path.iterdir()) == [tmp_path / "directory", file] or not (tmp_path / "no").exists()


def test_a_secret_is_in_no_finding(tmp_path: Path) -> None:
    errors, warnings = _findings(tmp_path / "redis.conf", "masterauth geheim\nrequirepass geheim zwei\n")
    assert not [text for text in (*errors, *warnings) if "geheim" in text]
    assert len(errors) == 1


def test_a_directory_that_may_not_be_searched_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start fails, as it cannot tell whether there are data. Root may search everything, so this is made up."""
    monkeypatch.setattr("os.access", lambda _path, mode: not mode & os.X_OK)
    errors, _ = _findings(tmp_path / "redis.conf", f'dir {tmp_path}\nsave ""\n')
    assert errors == [f"{tmp_path / 'redis.conf'}:1: 'dir {tmp_path}': the directory cannot be searched"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_directory_that_cannot_be_written_is_an_error_where_a_start_writes_to_it(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, mode: not mode & os.W_OK)
    if is_there:
        (tmp_path / "appendonlydir").mkdir()
    errors, warnings = _findings(tmp_path / "redis.conf", f'dir {tmp_path}\nsave ""\nappendonly yes\n')
    told = f"{tmp_path / 'redis.conf'}:1: 'dir {tmp_path}': the directory cannot be written"
    assert told in (warnings if is_there else errors)
