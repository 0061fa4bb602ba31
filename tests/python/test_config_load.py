"""Configuration is read from file, environment and command line, in this order, with one clear line for an error."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from sherd.config import Config, Source, load_config
from sherd.errors import ConfigError


def load(tmp_path: Path, text: str, *arguments: str, **environment: str) -> Config:
    file = tmp_path / "redis.conf"
    file.write_bytes(text.encode())
    return load_config(str(file), arguments, environment)


def message(tmp_path: Path, text: str, *arguments: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *arguments, **environment)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_real_looking_file_is_read_as_redis_reads_it(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "# a comment\r\n\r\n"
        "  BIND 127.0.0.1 -::1\r\n"
        "Port 7000\n"
        'requirepass "p\\x41ss \\"word\\""\n'
        "maxmemory 1gb # not a comment for Redis either".replace(" # not a comment for Redis either", "")
        + "\n"
        "slave-priority 5\n"
        "client-output-buffer-limit normal 1mb 0 0\n"
        "client-output-buffer-limit pubsub 2mb 1mb 30\n"
        'save ""\n'
        "appendonly no\n"
        "hash-max-ziplist-entries 7\n"
        "unixsocketperm 700\n",
    )
    assert config.get_tuple("bind") == ("127.0.0.1", "-::1")
    assert config.get_int("port") == 7000
    assert config.get_str("requirepass") == 'pAss "word"'
    assert config.get_int("maxmemory") == 1 << 30
    assert config.text("replica-priority") == config.text("slave-priority") == "5"
    assert config.text("client-output-buffer-limit") == (
        "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 2097152 1048576 30"
    )
    assert config.get_int("hash-max-listpack-entries") == 7
    assert config.text("unixsocketperm") == "700"
    assert config.source("port") is Source.FILE


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("maxmemory 10xb", "argument must be a memory value"),
        ("maxmemory", "wrong number of arguments"),
        ("maxmemory 1 2", "wrong number of arguments"),
        ("port 70000", "argument must be between 0 and 65535 inclusive"),
        ('bind "a', "Unbalanced quotes in configuration line"),
        ("foo bar", "Bad directive or wrong number of arguments"),
        ("maxmemry 1", "Bad directive or wrong number of arguments (did you mean 'maxmemory'?)"),
        ("loadmodule x.so", "modules in machine code can't be loaded here"),
        ("rename-command FLUSHALL", "wrong number of arguments"),
        ("oom-score-adj yes", "OOM score adjustment is not part of this version, only no is accepted"),
        ("replicaof 127.0.0.1", "wrong number of arguments"),
        ("replicaof 127.0.0.1 70000", "Invalid master port"),
        ("dir /nowhere/at/all", "No such file or directory"),
    ],
)
def test_an_error_names_file_line_text_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    assert message(tmp_path, f"# first\nport 6379\n{line}\n") == f"redis.conf:3: '{line}': {reason}"


@pytest.mark.parametrize(
    ("name", "before", "shown"),
    [
        ("save", "save 900 1\n", ""),
        ("bind", "unixsocket /tmp/s\nbind 127.0.0.1\n", ""),
        ("latency-tracking-info-percentiles", "", ""),
        ("client-output-buffer-limit", "client-output-buffer-limit normal 1 0 0\n",
         "normal 1 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
    ],
)  # fmt: skip
def test_a_list_without_words_is_an_empty_one(tmp_path: Path, name: str, before: str, shown: str) -> None:
    """As Redis and Valkey read it; of limits, which have a value for each class, it changes none."""
    assert load(tmp_path, f"{before}{name}\n").text(name) == shown


def test_a_size_that_may_have_no_limit_takes_minus_one(tmp_path: Path) -> None:
    name = "slot-migration-max-failover-repl-bytes"
    assert load(tmp_path, f"{name} -1\n").text(name) == "-1"
    assert load(tmp_path, f"{name} 1mb\n").text(name) == "1048576"
    assert message(tmp_path, f"{name} -2\n").endswith("argument must be a memory value")
    assert message(tmp_path, "maxmemory -1\n").endswith("argument must be a memory value")


def test_a_secret_never_appears_in_an_error(tmp_path: Path) -> None:
    assert message(tmp_path, "requirepass one two\n") == "redis.conf:1: 'requirepass ...': wrong number of arguments"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^can't open config file '/nowhere\.conf': No such file or directory$"):
        load_config("/nowhere.conf", (), {})


def test_included_files_take_their_place_in_the_order(tmp_path: Path) -> None:
    (tmp_path / "a1.conf").write_text("timeout 1\nhz 20\n")
    (tmp_path / "a2.conf").write_text("timeout 2\n")
    config = load(tmp_path, f"timeout 9\ninclude {tmp_path}/a*.conf\nhz 30\ninclude {tmp_path}/none*.conf\n")
    assert (config.get_int("timeout"), config.get_int("hz")) == (2, 30)


def test_an_included_file_without_a_pattern_must_be_there(tmp_path: Path) -> None:
    assert "can't open config file '/nowhere.conf'" in message(tmp_path, "include /nowhere.conf\n")


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, f"include {tmp_path}/redis.conf\n").endswith("files include each other too deeply")


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "part.conf").write_text("\nhz x\n")
    assert message(tmp_path, f"include {tmp_path}/part.conf\n").startswith("part.conf:2: 'hz x':")


def test_a_dash_reads_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"port 7001\n")))
    config = load_config("-", (), {})
    assert config.get_int("port") == 7001
    assert config.config_file is None


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, "port 1\nhz 11\ntimeout 21\n", "--port", "3", SHERD_PORT="2", SHERD_HZ="12", PATH="/bin")
    assert [config.get_int(name) for name in ("port", "hz", "timeout")] == [3, 12, 21]
    assert [config.source(name) for name in ("port", "hz", "timeout", "maxmemory")] == [
        Source.COMMAND_LINE,
        Source.ENVIRONMENT,
        Source.FILE,
        Source.DEFAULT,
    ]


def test_environment_names_have_underscores_for_dashes() -> None:
    config = load_config(
        None, (), {"SHERD_MAXMEMORY_POLICY": "allkeys-lfu", "SHERD_BIND": "127.0.0.1 ::1", "SHERD_SAVE": ""}
    )
    assert config.get_str("maxmemory-policy") == "allkeys-lfu"
    assert config.get_tuple("bind") == ("127.0.0.1", "::1")
    assert config.get_tuple("save") == ()


def test_a_secret_may_stand_in_a_file_that_the_environment_names(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("a b'c\n")
    for name in ("SHERD_REQUIREPASS_FILE", "REDIS_PASSWORD_FILE"):
        assert load_config(None, (), {name: str(secret)}).get_str("requirepass") == "a b'c"


def test_redis_password_is_accepted_but_sherds_own_name_wins() -> None:
    assert load_config(None, (), {"REDIS_PASSWORD": "x"}).get_str("requirepass") == "x"
    both = {"REDIS_PASSWORD": "x", "SHERD_REQUIREPASS": "y"}
    assert load_config(None, (), both).get_str("requirepass") == "y"


def test_a_file_name_is_only_followed_for_secrets() -> None:
    config = load_config(None, (), {"SHERD_TLS_CERT_FILE": "/etc/cert.pem", "SHERD_PORT_FILE": "/etc/port"})
    assert config.get_str("tls-cert-file") == "/etc/cert.pem"
    assert config.warnings == ["environment variable SHERD_PORT_FILE names no directive and is ignored"]


def test_service_links_of_kubernetes_are_not_taken_for_directives() -> None:
    config = load_config(
        None,
        (),
        {
            "SHERD_PORT": "tcp://10.0.0.1:6379",
            "SHERD_SERVICE_HOST": "10.0.0.1",
            "SHERD_SERVICE_PORT": "6379",
            "SHERD_SERVICE_PORT_METRICS": "9121",
            "SHERD_PORT_6379_TCP_ADDR": "10.0.0.1",
            "SHERD_HEADLESS_SERVICE_HOST": "10.0.0.2",
        },
    )
    assert config.get_int("port") == 6379
    assert config.warnings == []


def test_an_error_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, (), {"SHERD_HZ": "x"})
    assert str(caught.value) == "environment: 'SHERD_HZ=x': argument couldn't be parsed into an integer"
    with pytest.raises(ConfigError, match=r"'SHERD_REQUIREPASS_FILE=/nowhere': can't read the file: No such file"):
        load_config(None, (), {"SHERD_REQUIREPASS_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("arguments", "name", "shown"),
    [
        (["--save", ""], "save", ""),
        (["--save"], "save", ""),
        (["--save", "--port", "7"], "port", "7"),
        (["--port 7"], "port", "7"),
        (["--port=7"], "port", "7"),
        (["--bind", "127.0.0.1", "::1"], "bind", "127.0.0.1 ::1"),
        (["--bind", "127.0.0.1 ::1"], "bind", "127.0.0.1 ::1"),
        (["--requirepass", "--secret"], "requirepass", "--secret"),
        (["--requirepass", 'a "b'], "requirepass", 'a "b'),
        (["--MAXMEMORY", "1mb"], "maxmemory", "1048576"),
        (["--log-format", "json"], "log-format", "json"),
        (["--client-output-buffer-limit", "normal", "1", "2", "3"], "client-output-buffer-limit",
         "normal 1 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
    ],
)  # fmt: skip
def test_directives_on_the_command_line_mean_what_they_mean_to_redis(
    arguments: list[str], name: str, shown: str
) -> None:
    assert load_config(None, arguments, {}).text(name) == shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--maxmemory", "10xb"], "command line: '--maxmemory 10xb': argument must be a memory value"),
        (["--foo", "1"], "command line: '--foo 1': Bad directive or wrong number of arguments"),
        (["--port"], "command line: '--port': wrong number of arguments"),
        (["7000"], "unexpected argument '7000': directives are written --directive value"),
        (["--port", "0"], "nothing to listen on: port and tls-port are 0 and there is no unixsocket"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_line(arguments: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, arguments, {})
    assert str(caught.value) == text


def test_port_0_is_fine_with_a_unix_socket() -> None:
    assert load_config(None, ["--port", "0", "--unixsocket", "/tmp/s"], {}).get_int("port") == 0


def test_dir_is_the_working_directory_until_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert load_config(None, (), {}).get_str("dir") == os.path.realpath(tmp_path)
    assert load_config(None, ["--dir", "./data"], {}).get_str("dir") == os.path.realpath(tmp_path / "data")


def test_thread_counts_left_to_the_server_are_filled_in() -> None:
    config = load_config(None, ["--shards", "3"], {})
    assert config.get_int("io-threads") >= 1
    assert config.get_int("shards") == 3
    assert config.automatic == {"io-threads"}
    assert load_config(None, ["--io-threads", "auto", "--shards", "0"], {}).automatic == {"io-threads", "shards"}


def test_variables_of_the_projects_own_tests_are_no_mistakes() -> None:
    config = load_config(None, (), {"SHERD_TEST_REFERENCES": "redis7", "SHERD_BENCH_LOAD": "/somewhere"})
    assert config.warnings == []
