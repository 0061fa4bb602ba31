"""CONFIG and COMMAND answer in the forms of Redis 8.0, in RESP2 and RESP3, without an engine behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from sherd.config import Config, load_config
from sherd.families.command_table import CommandTable
from sherd.families.data_plane import DataPlane
from sherd.families.dispatch import dispatch
from sherd.native import command_table, glob_filter
from sherd.observability.node import Node
from sherd.resp import Reply, encode
from sherd.server.commands import declare_commands
from sherd.spec import Request, Services, command, registered_commands
from tests.python.fake_engine import BOUNDS, FakeEngine

declare_commands()

SystemCall = Callable[..., bytes]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(processors=[structlog.dev.ConsoleRenderer()], logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


def row(name: str, arity: int, flags: str, keys: list[Any], **fields: Any) -> dict[str, Any]:
    """A row of the data plane's table with fields that most rows share."""
    return {
        "name": name,
        "summary": "Does something.",
        "since": "1.0.0",
        "history": [],
        "deprecated": None,
        "system": False,
        "doc_flags": [],
        "complexity": "O(1)",
        "group": "string",
        "arity": arity,
        "flags": flags.split(),
        "categories": ["read", "string", "fast"],
        "keys": keys,
        "syntax": "key",
        "tips": [],
        "secrets": [],
        "container": False,
        "first_key": 1,
        "last_key": 1,
        "key_step": 1,
        "plane": "data",
        **fields,
    }


ONE_KEY = ("RO ACCESS", ("index", 1), ("range", 0, 1, 0))
STREAMS = ("RO ACCESS", ("keyword", "STREAMS", 1), ("range", -1, 1, 2))
NUMBERED = ("RO ACCESS", ("index", 2), ("keynum", 0, 1, 1))
DATA_ROWS = [
    row("eval", -3, "noscript no_mandatory_keys movablekeys", [NUMBERED], first_key=0, last_key=0, key_step=0),
    row("get", 2, "readonly fast", [ONE_KEY]),
    row(
        "getset",
        3,
        "write",
        [("RW access update", ("index", 1), ("range", 0, 1, 0))],
        syntax="key value",
        deprecated=("6.2.0", "`SET` with the `!GET` argument"),
        doc_flags=["deprecated"],
    ),
    row("ping", -1, "fast", []),
    row("xread", -4, "readonly blocking movablekeys", [STREAMS], first_key=0, last_key=0, key_step=0),
]


def control_rows() -> list[Any]:
    return [row for row in command_table() if row["name"] in registered_commands()]


def key_positions(words: list[bytes]) -> list[tuple[int, str]] | None:
    """Stands in for the engine: positions of the commands above."""
    if words[0] == b"eval":
        return [(index, "RO ACCESS") for index in range(3, 3 + int(words[2]))] if words[2].isdigit() else None
    return [(1, "RW access update")]


class Harness:
    """A configuration, a command table and a way to send a command line."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.resets = 0
        rows = sorted([*control_rows(), *DATA_ROWS], key=lambda each: str(each["name"]))
        data_plane = DataPlane(lambda: rows, key_positions, self._reset, glob_filter)
        node = Node(FakeEngine(), self.config, BOUNDS, "1.2.3")  # type: ignore[arg-type]
        self.services = Services(self.config, CommandTable(lambda: rows), data_plane, node)

    def _reset(self) -> None:
        self.resets += 1

    def send(self, *words: str | bytes, resp: int = 2, addr: str = "10.0.0.9:5") -> bytes:
        args = [word.encode() if isinstance(word, str) else word for word in words]
        name = "|".join(word.decode().lower() for word in args[:2])
        name = name if name in registered_commands() else args[0].decode().lower()
        request = Request(token=1, client_id=1, args=args, resp=resp, addr=addr, services=self.services)
        return asyncio.run(dispatch(name, request))


def test_config_get_is_a_map() -> None:
    harness = Harness()
    assert harness.send("CONFIG", "GET", "maxmemory") == b"*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"
    assert harness.send("CONFIG", "GET", "maxmemory", resp=3) == b"%1\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"
    assert harness.send("CONFIG", "GET", "nope", resp=3) == b"%0\r\n"


def test_config_set_changes_several_parameters_or_none() -> None:
    harness = Harness()
    assert harness.send("CONFIG", "SET", "timeout", "5", "hz", "20") == b"+OK\r\n"
    assert (harness.config.get_int("timeout"), harness.config.get_int("hz")) == (5, 20)
    assert harness.send("CONFIG", "SET", "timeout", "6", "maxmemory", "10xb") == (
        b"-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value\r\n"
    )
    assert harness.config.get_int("timeout") == 5
    assert harness.send("CONFIG", "SET", "timeout", "6", "hz") == b"-ERR syntax error\r\n"
    assert harness.send("CONFIG", "SET", "foo", "6") == (
        b"-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"
    )


@pytest.mark.parametrize(
    ("addr", "allowed"), [("127.0.0.1:9", True), ("[::1]:9", True), ("/tmp/s:0", True), ("10.0.0.1:9", False)]
)
def test_protected_parameters_can_be_left_to_local_clients(addr: str, allowed: bool) -> None:
    harness = Harness(load_config(None, ["--enable-protected-configs", "local"], {}))
    reply = harness.send("CONFIG", "SET", "dbfilename", "x.rdb", addr=addr)
    assert (reply == b"+OK\r\n") is allowed


def test_config_rewrite_needs_a_file() -> None:
    assert Harness().send("CONFIG", "REWRITE") == b"-ERR The server is running without a config file\r\n"


def test_config_rewrite_writes_the_file(tmp_path: Any) -> None:
    file = tmp_path / "redis.conf"
    file.write_text("hz 10\n")
    harness = Harness(load_config(str(file), ["--hz", "20"], {}))
    assert harness.send("CONFIG", "REWRITE") == b"+OK\r\n"
    assert file.read_text() == "hz 20\n"


def test_config_resetstat_zeroes_the_counters() -> None:
    harness = Harness()
    assert harness.send("CONFIG", "RESETSTAT") == b"+OK\r\n"
    assert harness.resets == 1


@pytest.mark.parametrize("name", ["CONFIG", "COMMAND"])
def test_help_is_lines_that_begin_with_the_usage(name: str) -> None:
    reply = Harness().send(name, "HELP")
    assert reply.split(b"\r\n")[1] == b"+%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" % name.encode()
    assert reply.endswith(b"+HELP\r\n+    Print this help.\r\n")


GET_INFO_2 = (
    b"*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast"
    b"\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\n"
    b"index\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\n"
    b"spec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
)
GET_INFO_3 = (
    b"*1\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n~3\r\n+@read\r\n+@string\r\n+@fast"
    b"\r\n~0\r\n~1\r\n%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\n"
    b"index\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\n"
    b"spec\r\n%3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n"
)


def test_command_info_of_get_is_what_redis_sends_byte_for_byte() -> None:
    assert Harness().send("COMMAND", "INFO", "GET") == GET_INFO_2
    assert Harness().send("COMMAND", "INFO", "get", resp=3) == GET_INFO_3


def test_command_info_tells_keywords_and_numbers_of_keys() -> None:
    reply = Harness().send("COMMAND", "INFO", "xread", "eval")
    assert b"$7\r\nkeyword\r\n$7\r\nSTREAMS\r\n$9\r\nstartfrom\r\n:1\r\n" in reply
    assert b"$9\r\nkeynumidx\r\n:0\r\n$8\r\nfirstkey\r\n:1\r\n$7\r\nkeystep\r\n:1\r\n" in reply


def test_command_info_gives_null_for_a_name_that_is_not_there() -> None:
    assert Harness().send("COMMAND", "INFO", "nope") == b"*1\r\n$-1\r\n"
    assert Harness().send("COMMAND", "INFO", "nope", resp=3) == b"*1\r\n_\r\n"


def test_a_subcommand_is_found_by_its_full_name_and_inside_of_its_container() -> None:
    harness = Harness()
    entry = harness.send("COMMAND", "INFO", "CONFIG|get").removeprefix(b"*1\r\n")
    assert entry == (
        b"*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n"
        b"*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n*0\r\n"
    )
    assert entry in harness.send("COMMAND", "INFO", "config")


def test_command_counts_and_lists_what_is_there() -> None:
    harness = Harness()
    names = {row["name"] for row in [*control_rows(), *DATA_ROWS] if "|" not in row["name"]}
    assert harness.send("COMMAND", "COUNT") == b":%d\r\n" % len(names)
    assert harness.send("COMMAND").startswith(b"*%d\r\n*10\r\n" % len(names))
    assert harness.send("COMMAND", "INFO") == harness.send("COMMAND")
    everything = harness.send("COMMAND", "LIST")
    assert b"$10\r\nconfig|get\r\n" in everything
    assert b"$5\r\nxread\r\n" in everything


def test_command_refuses_a_subcommand_that_is_not_there() -> None:
    assert Harness().send("COMMAND", "foo") == b"-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("FILTERBY", "PATTERN", "XR*"), [b"xread"]),
        (("filterby", "pattern", "config|re*"), [b"config|resetstat", b"config|rewrite"]),
        (("FILTERBY", "ACLCAT", "STRING"), [b"eval", b"get", b"getset", b"ping", b"xread"]),
        (("FILTERBY", "ACLCAT", "@string"), []),
        (("FILTERBY", "ACLCAT", "nope"), []),
        (("FILTERBY", "MODULE", "nope"), []),
    ],
)
def test_command_list_filters(words: tuple[str, ...], expected: list[Reply]) -> None:
    assert Harness().send("COMMAND", "LIST", *words) == encode(expected)


@pytest.mark.parametrize("words", [("x",), ("FILTERBY",), ("FILTERBY", "foo", "x"), ("FILTERBY", "MODULE", "a", "b")])
def test_command_list_refuses_what_is_no_filter(words: tuple[str, ...]) -> None:
    assert Harness().send("COMMAND", "LIST", *words) == b"-ERR syntax error\r\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("getset", "k", "v"), b"*1\r\n$1\r\nk\r\n"),
        (("eval", "x", "2", "a", "b", "c"), b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        (("eval", "x", "0"), b"*0\r\n"),
        (("get",), b"-ERR Invalid number of arguments specified for command\r\n"),
        (("get", "a", "b"), b"-ERR Invalid number of arguments specified for command\r\n"),
        (("ping",), b"-ERR The command has no key arguments\r\n"),
        (("config", "get", "x"), b"-ERR The command has no key arguments\r\n"),
        (("config",), b"-ERR The command has no key arguments\r\n"),
        (("config", "foo", "x"), b"-ERR Invalid command specified\r\n"),
        (("config|get", "x"), b"-ERR Invalid command specified\r\n"),
        (("nope",), b"-ERR Invalid command specified\r\n"),
    ],
)
def test_command_getkeys_answers_as_redis_does(words: tuple[str, ...], expected: bytes) -> None:
    assert Harness().send("COMMAND", "GETKEYS", *words) == expected


def test_command_getkeysandflags_gives_flags_as_a_set() -> None:
    harness = Harness()
    expected = b"*1\r\n*2\r\n$1\r\nk\r\n%c3\r\n+RW\r\n+access\r\n+update\r\n"
    assert harness.send("COMMAND", "GETKEYSANDFLAGS", "getset", "k", "v") == expected % b"*"
    assert harness.send("COMMAND", "GETKEYSANDFLAGS", "getset", "k", "v", resp=3) == expected % b"~"


def test_command_docs_gives_the_fields_in_redis_order_and_leaves_empty_ones_out() -> None:
    docs: Any = {
        b"getset": {
            "summary": "Does something.",
            "since": "1.0.0",
            "group": "string",
            "complexity": "O(1)",
            "doc_flags": [b"deprecated"],
            "deprecated_since": "6.2.0",
            "replaced_by": "`SET` with the `!GET` argument",
            "arguments": [
                {"name": "key", "type": "key", "display_text": "key", "key_spec_index": 0},
                {"name": "value", "type": "string", "display_text": "value"},
            ],
        }
    }
    expected = encode(docs, 3).replace(b"*1\r\n$10\r\ndeprecated", b"~1\r\n+deprecated")
    assert Harness().send("COMMAND", "DOCS", "getset", "nope", resp=3) == expected


def test_command_docs_of_a_container_holds_its_subcommands() -> None:
    reply = Harness().send("COMMAND", "DOCS", "config", resp=3)
    assert b"$11\r\nsubcommands\r\n%5\r\n$10\r\nconfig|get\r\n%6\r\n" in reply
    assert b"$7\r\nhistory\r\n~1\r\n*2\r\n$5\r\n7.0.0\r\n" in reply
    assert Harness().send("COMMAND", "DOCS", "nope", resp=3) == b"%0\r\n"


def test_command_docs_without_names_documents_every_command() -> None:
    harness = Harness()
    count = int(harness.send("COMMAND", "COUNT")[1:-2])
    assert harness.send("COMMAND", "DOCS", resp=3).startswith(b"%%%d\r\n" % count)


def test_a_handler_that_breaks_costs_one_reply_and_not_the_server() -> None:
    assert asyncio.run(dispatch("config|get", Request(token=1, client_id=1, args=[]))) == (
        b"-ERR internal error, see the server's log\r\n"
    )


class Panic(BaseException):
    """As pyo3 raises a panic of the data plane: no mistake that anybody means to handle."""


@pytest.mark.parametrize("waits", [False, True])
def test_a_panic_of_the_data_plane_is_answered(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    """The client waits for nothing, and those behind it in the batch are answered as well."""
    monkeypatch.setattr("sherd.spec._registry", {})

    async def later(request: Request) -> Reply:
        raise Panic

    def now(request: Request) -> Reply:
        raise Panic

    declare = command("broken", arity=1, group="server", since="1.0.0", summary="Panics.")
    declare(later if waits else now)
    reply = asyncio.run(dispatch("broken", Request(token=1, client_id=1, args=[b"broken"])))
    assert reply == b"-ERR internal error, see the server's log\r\n"


def test_a_handler_that_is_cancelled_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sherd.spec._registry", {})

    @command("cancelled", arity=1, group="server", since="1.0.0", summary="Is cancelled.")
    async def cancelled(request: Request) -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(dispatch("cancelled", Request(token=1, client_id=1, args=[b"cancelled"])))


def test_a_coroutine_handler_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sherd.spec._registry", {})

    @command("later", arity=1, group="server", since="1.0.0", summary="Answers later.")
    async def later(request: Request) -> Reply:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(dispatch("later", Request(token=1, client_id=1, args=[b"later"]))) == b":7\r\n"


@pytest.mark.parametrize("name", sorted(registered_commands()))
def test_every_control_command_is_documented(name: str) -> None:
    spec = registered_commands()[name].spec
    assert spec.summary.endswith(".")
    assert spec.since
