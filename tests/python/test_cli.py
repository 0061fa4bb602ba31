"""The `sherd` command: exit codes, one clear line for a mistake, complete help."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from sherd import __version__
from sherd.cli import main
from sherd.config import PARAMETERS, Config


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a server was started with, instead of a server."""
    configs: list[Config] = []
    module = types.ModuleType("sherd.server")

    def run(config: Config) -> int:
        configs.append(config)
        return 0

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sherd.server", module)
    return configs


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sherd {__version__}\n"


def test_help_lists_every_directive(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for parameter in PARAMETERS:
        assert f"  --{parameter.name}" in lines


def test_serve_starts_the_server_with_the_configuration(served: list[Config], tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    file.write_text("timeout 7\n")
    assert main(["serve", str(file), "--port", "7000", "--log-format", "json"]) == 0
    assert (served[0].get_int("port"), served[0].get_int("timeout")) == (7000, 7)
    assert served[0].get_str("log-format") == "json"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve", "--maxmemory", "10xb"], "sherd: command line: '--maxmemory 10xb': argument must be a memory value"),
        (["serve", "/nowhere.conf"], "sherd: can't open config file '/nowhere.conf': No such file or directory"),
        (["check-config", "--foo"], "sherd: command line: '--foo': Bad directive or wrong number of arguments"),
        (["frobnicate"], "sherd: unknown command 'frobnicate' (try sherd --help)"),
    ],
)
def test_a_mistake_is_one_line_on_the_standard_error(
    arguments: list[str], line: str, served: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""
    assert served == []


def test_a_good_configuration_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--maxmemory", "1gb"]) == 0
    assert capsys.readouterr().out == "sherd: the configuration is good\n"


def test_nothing_at_all_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "Usage:" in capsys.readouterr().out
