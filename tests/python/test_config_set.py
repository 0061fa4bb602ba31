"""CONFIG GET and CONFIG SET behave, and word their refusals, as Redis 8.0 does."""

from __future__ import annotations

import pytest

from sherd.config import Config, Source
from sherd.config.kinds import Memory
from sherd.errors import ConfigApplyError, ConfigSetError

POLICIES = (
    "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"
)


def set_text(config: Config, *words: str) -> None:
    pairs = [word.encode() for word in words]
    config.set_many(list(zip(pairs[::2], pairs[1::2], strict=True)))


def refusal(*words: str) -> str:
    config = Config()
    with pytest.raises(ConfigSetError) as caught:
        set_text(config, *words)
    return str(caught.value)


def failed(name: str, reason: str) -> str:
    return f"CONFIG SET failed (possibly related to argument '{name}') - {reason}"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("maxmemory", "1kb", "1024"),
        ("maxmemory", "1K", "1000"),
        ("maxmemory", "2GB", "2147483648"),
        ("maxmemory", "", "0"),
        ("maxmemory", "mb", "0"),
        ("maxmemory", "01", "1"),
        ("maxmemory", "99999999999999999999", "18446744073709551615"),
        ("rdbcompression", "YES", "yes"),
        ("maxmemory-policy", "allkeys-LRU", "allkeys-lru"),
        (
            "client-output-buffer-limit",
            "normal 1 2 3",
            "normal 1 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        (
            "client-output-buffer-limit",
            "replica 1mb 2kb 3",
            "normal 0 0 0 slave 1048576 2048 3 pubsub 33554432 8388608 60",
        ),
        ("client-output-buffer-limit", "", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "Kx", "xK"),
        ("notify-keyspace-events", "Eg$lszhxetdmn", "AEm"),
        ("notify-keyspace-events", "KEAnm", "AKEm"),
        ("notify-keyspace-events", "Kn", "nK"),
        ("notify-keyspace-events", "STIVh", "hSTIV"),
        ("notify-keyspace-events", "VAES", "AESV"),
        ("notify-keyspace-events", "", ""),
        ("oom-score-adj-values", "3 2 1", "3 2 1"),
        ("latency-tracking-info-percentiles", "", ""),
        ("latency-tracking-info-percentiles", "100.0 0.1234567890123", "100 0.123457"),
        ("latency-tracking-info-percentiles", "99.99999 0.00001 1e1 0", "99.99999 0.00001 10 0"),
        ("shutdown-on-sigterm", "force now", "now force"),
        ("shutdown-on-sigterm", "default save", "save"),
        ("hz", "0", "1"),
        ("hz", "1000", "500"),
        ("bind", "", ""),
        ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
        ("slave-priority", "7", "7"),
        ("save", "", ""),
        ("appendonly", "no", "no"),
    ],
)
def test_a_value_that_redis_takes_is_shown_as_redis_shows_it(name: str, text: str, shown: str) -> None:
    config = Config()
    set_text(config, name, text)
    assert config.text(name) == shown


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("maxmemory", "10xb", "argument must be a memory value"),
        ("maxmemory", "-1", "argument must be a memory value"),
        ("maxmemory", " 10", "argument must be a memory value"),
        ("timeout", "01", "argument couldn't be parsed into an integer"),
        ("timeout", "+1", "argument couldn't be parsed into an integer"),
        ("timeout", "", "argument couldn't be parsed into an integer"),
        ("timeout", "99999999999", "argument must be between 0 and 2147483647 inclusive"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("proto-max-bulk-len", "1", "argument must be between 1048576 and 9223372036854775807 inclusive"),
        ("maxmemory-clients", "-5", "argument must be a memory or percent value"),
        ("maxmemory-clients", "200%", "percentage argument must be less or equal to 100"),
        ("rdbcompression", "maybe", "argument must be 'yes' or 'no'"),
        ("maxmemory-policy", "foo", f"argument(s) must be one of the following: {POLICIES}"),
        ("save", "60", "Invalid save parameters"),
        ("save", "0 1", "Invalid save parameters"),
        ("save", "60  1", "Invalid save parameters"),
        ("client-output-buffer-limit", "normal 1 2", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit", "foo 1 2 3", "Invalid client class specified in buffer limit configuration."),
        (
            "client-output-buffer-limit",
            "normal a 2 3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("notify-keyspace-events", "Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdnSTIV'."),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "oom-score-adj-values",
            "1 2 30000",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        ("latency-tracking-info-percentiles", "abc", "Invalid latency-tracking-info-percentiles parameters"),
        (
            "latency-tracking-info-percentiles",
            "50 101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("shutdown-on-sigterm", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("shutdown-on-sigterm", "", "argument(s) must be one of the following: default, save, nosave, now, force"),
        ("cluster-announce-hostname", "a b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
        ("cluster-announce-hostname", "x" * 256, "Hostnames must be less than 256 characters"),
        ("proc-title-template", "{x}", "template format is invalid or contains unknown variables"),
        ("locale-collate", "xx", "Invalid locale name"),
        ("bind", " ".join("a" * 17), "Too many bind addresses specified."),
        ("databases", "3", "can't set immutable config"),
        ("dir", "/tmp", "can't set protected config"),
        ("replicaof", "a 1", "can't set immutable config"),
        ("oom-score-adj", "yes", "OOM score adjustment is not part of this version, only no is accepted"),
    ],
)
def test_a_value_that_redis_refuses_is_refused_in_the_same_words(name: str, text: str, reason: str) -> None:
    assert refusal(name, text) == failed(name, reason)


def test_a_percentage_is_kept_apart_from_bytes() -> None:
    kind = Memory(percent=True)
    assert [kind.format(kind.parse([text], 0)) for text in ("5%", "101", "0%")] == ["5%", "101", "0"]
    assert kind.lines("x", -5) == ["x 5%"]


def test_the_first_of_several_wrong_arguments_is_named() -> None:
    assert refusal("foo", "1", "databases", "3") == "Unknown option or number of arguments for CONFIG SET - 'foo'"
    assert refusal("databases", "3", "foo", "1") == failed("databases", "can't set immutable config")
    assert refusal("FoO", "1") == "Unknown option or number of arguments for CONFIG SET - 'FoO'"


def test_a_name_given_twice_is_refused_but_a_name_and_its_alias_are_not() -> None:
    assert refusal("timeout", "1", "TIMEOUT", "2") == failed("TIMEOUT", "duplicate parameter")
    config = Config()
    set_text(config, "slave-priority", "1", "replica-priority", "2")
    assert config.get_int("replica-priority") == 2


def test_one_wrong_value_leaves_all_others_as_they_were() -> None:
    config = Config()
    told: list[frozenset[str]] = []
    config.add_listener(told.append)
    with pytest.raises(ConfigSetError):
        set_text(config, "timeout", "5", "hz", "x")
    assert config.get_int("timeout") == 0
    assert told == []


def test_listeners_are_told_only_what_really_changed() -> None:
    config = Config()
    told: list[frozenset[str]] = []
    config.add_listener(told.append)
    set_text(config, "timeout", "5", "hz", "10", "slave-priority", "3")
    assert told == [frozenset({"timeout", "replica-priority"})]
    set_text(config, "timeout", "5")
    assert len(told) == 1


def test_a_listener_that_fails_takes_the_whole_change_back() -> None:
    config = Config()
    seen: list[int] = []

    def remember(changed: frozenset[str]) -> None:
        seen.append(config.get_int("port"))

    def refuse(changed: frozenset[str]) -> None:
        if config.get_int("port") == 1:
            raise ConfigApplyError("port", "Unable to listen on this port. Check server logs.")

    config.add_listener(remember)
    config.add_listener(refuse)
    with pytest.raises(ConfigSetError) as caught:
        set_text(config, "timeout", "5", "port", "1")
    assert str(caught.value) == failed("port", "Unable to listen on this port. Check server logs.")
    assert (config.get_int("port"), config.get_int("timeout"), config.source("port")) == (6379, 0, Source.DEFAULT)
    assert seen == [1, 6379]


def test_protected_parameters_follow_enable_protected_configs(tmp_path: object) -> None:
    from sherd.config import load_config

    config = load_config(None, ["--enable-protected-configs", "local"], {})
    with pytest.raises(ConfigSetError, match="can't set protected config"):
        config.set_many([(b"dbfilename", b"x.rdb")])
    config.set_many([(b"dbfilename", b"x.rdb")], local_client=True)
    assert config.get_str("dbfilename") == "x.rdb"


def test_config_get_gives_each_name_once_and_a_plain_name_as_it_was_written() -> None:
    config = Config()
    assert config.matching([b"MAXMEMORY", b"maxmemory"]) == {b"MAXMEMORY": "0"}
    assert config.matching([b"foo"]) == {}
    assert config.matching([b"slave-p*", b"[d]atabases", b"slave-priority"]) == {
        b"slave-priority": "100",
        b"databases": "16",
    }


def test_config_get_formats_only_what_matches_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of patterns in one transaction hold up everybody else for what they match, not for the whole table."""
    formatted: list[object] = []

    def format_memory(kind: Memory, value: object) -> str:
        formatted.append(value)
        return str(value)

    monkeypatch.setattr(Memory, "format", format_memory)
    config = Config()
    for _ in range(1000):
        assert config.matching([b"maxmemor[y]", b"nothing*", b"*like-that"]) == {b"maxmemory": "0"}
    assert formatted == [0]
    set_text(config, "maxmemory", "5")
    assert config.matching([b"maxmemory"]) == {b"maxmemory": "5"}


def test_config_get_shows_what_is_in_force_after_a_change_that_was_taken_back() -> None:
    config = Config()

    def refuse(changed: frozenset[str]) -> None:
        if config.text("timeout") == "7":
            raise ConfigApplyError("timeout", "no")

    config.add_listener(refuse)
    with pytest.raises(ConfigSetError):
        set_text(config, "timeout", "7")
    assert config.matching([b"timeout"]) == {b"timeout": "0"}


def test_config_get_of_everything_lists_aliases_too() -> None:
    names = Config().matching([b"*"])
    assert {b"slaveof", b"replicaof", b"hash-max-ziplist-value", b"lua-time-limit"} <= names.keys()
