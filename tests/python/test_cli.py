"""The `sherd` command: exit codes, one clear line for a mistake, complete help."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import sherd.cli
from sherd import __version__
from sherd.cli import main
from sherd.config import TOPICS, Config

USAGE_OF_CHECK_AOF = "sherd: usage: sherd check-aof [--fix | --truncate-to-timestamp SECONDS] FILE.manifest | FILE.aof"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a server was started with, instead of a server."""
    configs: list[Config] = []
    module = types.ModuleType("sherd.server")
    # Its other modules are there.
    module.__path__ = [str(Path(sherd.cli.__file__).parent / "server")]

    def run(config: Config) -> int:
        configs.append(config)
        return 0

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sherd.server", module)
    return configs


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sherd {__version__}\n"


def test_the_version_is_told_without_loading_anything_that_takes_time() -> None:
    """Scripts ask for it: neither the configuration, nor the data plane, nor what the standard library is slow with."""
    code = "import sys; from sherd.cli import main; main(['--version']); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    loaded = set(output.split())
    assert not loaded & {"sherd.config", "sherd._native", "structlog", "asyncio", "importlib.metadata"}


def test_the_version_is_that_of_the_package() -> None:
    cargo = tomllib.loads((Path(__file__).parents[2] / "Cargo.toml").read_text())
    assert __version__ == cargo["workspace"]["package"]["version"] == importlib.metadata.version("sherd")


def test_the_package_shows_what_it_offers() -> None:
    """What is loaded when it is asked for is there for `dir`, and for shells that complete names."""
    import sherd

    assert set(sherd.__all__) <= set(dir(sherd))
    assert all(getattr(sherd, name) is not None for name in sherd.__all__)
    with pytest.raises(sherd.ConfigError, match="unknown directive"):
        sherd.Server(no_such_directive=1)
    assert issubclass(sherd.ConfigError, sherd.SherdError)


def test_help_fits_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100


def test_help_of_serve_names_every_directive_under_its_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    text = capsys.readouterr().out
    for topic, parameters in TOPICS.items():
        section = text.partition(f"\n{topic}:\n")[2].partition("\n\n")[0]
        for parameter in (one for one in parameters if not one.hidden):
            assert re.search(rf"[ -]{parameter.name}\b", section), parameter.name


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--help", "maxmemory"),
        ("serve", "--maxmemory", "--help"),
        ("serve", "redis.conf", "--maxmemory", "1gb", "--help"),
    ],
)
def test_help_of_one_directive_tells_its_value_and_default(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "--maxmemory"
    assert "  default: 0" in lines
    assert any("kb" in line for line in lines)
    assert len(lines) < 10


@pytest.mark.parametrize("command", ["check-config", "check-rdb", "check-aof", "cert"])
def test_every_other_subcommand_has_a_help_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"sherd {command} ")
    assert 2 < len(lines) <= 24
    assert max(map(len, lines)) <= 120


def test_who_reads_only_the_head_of_the_help_gets_no_traceback() -> None:
    script = f"{shlex.quote(sys.executable)} -m sherd serve --help | head -1"
    for _ in range(3):
        finished = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert finished.stderr == ""
        assert finished.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "port"),
    [(["--port", "7990"], 7990), (["FILE"], 7001), (["FILE", "--port", "7002"], 7002), (["./my.conf"], 7001)],
)
def test_serve_may_be_left_out_before_a_file_or_a_directive(
    words: list[str], port: int, served: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with redis-server."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my.conf"
    file.write_text("port 7001\n")
    assert main([str(file) if word == "FILE" else word for word in words]) == 0
    assert served[0].get_int("port") == port


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
        (["srve"], "sherd: unknown command 'srve' (did you mean 'serve'?) (try sherd --help)"),
        (["chek-config"], "sherd: unknown command 'chek-config' (did you mean 'check-config'?) (try sherd --help)"),
        (
            ["serve", "--maxmemori", "1gb"],
            "sherd: command line: '--maxmemori 1gb': Bad directive or wrong number of arguments "
            "(did you mean 'maxmemory'?)",
        ),
        (["check-aof", "--fix"], USAGE_OF_CHECK_AOF),
        (["check-aof", "--truncate-to-timestamp", "²", "f.aof"], USAGE_OF_CHECK_AOF),
        (["check-rdb", "/"], "sherd: cannot read /: Is a directory"),
        (["serve", "--help", "prot"], "sherd: there is no directive 'prot' (did you mean 'port'?)"),
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
    assert "sherd serve" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ("tls-port 7", "TLS cannot be set up: tls-cert-file is not set"),
        ("tls-port 7\ntls-cert-file /none\ntls-key-file /none", "TLS cannot be set up: tls-cert-file: /none: "),
        ("metrics-tls yes", "metrics-tls wants a certificate: tls-cert-file is not set"),
        ("rename-command NOSUCH other", ":1: 'rename-command NOSUCH other': No such command in rename-command"),
        ("python-commands none.py", "Python commands cannot be loaded: none.py: FileNotFoundError: "),
        ("python-commands BROKEN", "SyntaxError: "),
        ("cluster-enabled yes\nreplicaof 127.0.0.1 7", "replicaof directive not allowed in cluster mode"),
        ("user anna on +rate.limit", "Unknown command or category name in ACL"),
    ],
)
def test_check_config_tells_what_keeps_a_server_from_starting(
    directives: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, broken = tmp_path / "redis.conf", tmp_path / "broken.py"
    broken.write_text("def limit(:\n")
    file.write_text(f'{directives.replace("BROKEN", str(broken))}\nsave ""\n')
    assert main(["check-config", str(file)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert reason in errors[0]


def test_check_config_knows_the_commands_in_python_that_users_may_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, commands = tmp_path / "redis.conf", tmp_path / "commands.py"
    commands.write_text("import sherd\n\n\n@sherd.command('rate.limit')\ndef limit(call):\n    return 1\n")
    file.write_text(f'python-commands {commands}\nuser anna on +rate.limit\nsave ""\n')
    assert main(["check-config", str(file)]) == 0, capsys.readouterr().err
