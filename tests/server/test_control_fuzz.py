"""Whatever bytes a control command is given, it answers; "internal error" would be a mistake of the server.

The data commands have fuzz targets of their own (`fuzz/`); these are the ones that Python answers. `SHERD_FUZZ_EXAMPLES`
sets how many command lines are tried with each server, 300 if it is not set.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sherd
from sherd import native
from sherd.config import BY_NAME
from sherd.server.commands import declare_commands
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sherd_only

examples = int(os.environ.get("SHERD_FUZZ_EXAMPLES", "300"))
declare_commands()
names = [
    row["name"]
    for row in native.command_table()
    if row["plane"] == "control" and row["name"] not in ("shutdown", "migrate")
]
parameters = sorted(BY_NAME)
# What would take the connection, the log or the machine's other addresses from the test if a value happened to be good.
kept = frozenset(
    "port bind requirepass maxclients timeout metrics-port metrics-bind client-output-buffer-limit logfile maxmemory "
    "client-query-buffer-limit proto-max-bulk-len loglevel log-format".split()
)

hostile = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([
        b"", b"\x00", b"\xff\xfe", b"a\x00b", b"\r\n", b"\xed\xa0\x80", b"*", b"[", b"[^", b"[a-", b"\\", b"*?[" * 30,
        "\u0130\u212a".encode(), b"%s%n{}", b"-", b"--", b"x" * 5000,
    ]),
)  # fmt: skip
numbers = st.one_of(
    st.integers(-3, 20000).map(lambda number: b"%d" % number),
    st.sampled_from([b"-0", b"+1", b"007", b" 1", b"1e5", b"nan", b"9223372036854775807", b"9223372036854775808",
                     b"-9223372036854775808", b"1" * 400, "\u0663".encode()]),
)  # fmt: skip
words = st.sampled_from([
    name.encode() for name in (
        "GET SET COUNT METRICS CPU NET DURATION SAMPLE SLOTS SLOTSRANGE ORDERBY key-count LIMIT ASC DESC FILTERBY MODULE "
        "ACLCAT PATTERN read BY MEMORY ELEMENTS SLOT SHARD VERSION all everything default commandstats latencystats "
        "keyspace command mget config config|get get xread eval STREAMS"
    ).split()
])  # fmt: skip
argument = st.one_of(hostile, numbers, words, st.sampled_from(parameters).map(str.encode))


@st.composite
def command_lines(draw: st.DrawFn) -> list[bytes]:
    """A control command with arguments of all kinds; CONFIG SET mostly with names that exist."""
    name = draw(st.sampled_from(names))
    line = [word.encode() for word in name.split("|")]
    if name == "config|set" and draw(st.integers(0, 3)):
        for _ in range(draw(st.integers(1, 3))):
            parameter = draw(st.sampled_from(parameters))
            line += [parameter.encode(), draw(hostile if parameter in kept else argument)]
        return line
    if name == "migrate":
        return line
    return line + draw(st.lists(argument, max_size=5))


@pytest.fixture(scope="module", params=["standalone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[sherd.Server]:
    with sherd.Server(shards=2, io_threads=1, cluster_enabled=request.param == "cluster") as running:
        yield running


def _answers(server: sherd.Server, protocol: int, lines: list[list[bytes]]) -> list[bytes]:
    with Wire(("127.0.0.1", server.port), protocol=protocol) as wire:
        replies = [reply.raw for reply in wire.pipeline(lines)]
        assert wire.call("PING").raw == b"+PONG\r\n"
    return replies


@settings(
    max_examples=examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(command_lines(), min_size=1, max_size=4), protocol=st.sampled_from([2, 3]), in_multi=st.booleans()
)
def test_no_bytes_make_a_control_command_fail_in_the_server(
    server: sherd.Server, lines: list[list[bytes]], protocol: int, in_multi: bool
) -> None:
    if in_multi:
        lines = [[b"MULTI"], *lines, [b"EXEC"]]
    for line, reply in zip(lines, _answers(server, protocol, lines), strict=True):
        assert b"internal error" not in reply, line


@settings(max_examples=max(10, examples // 10), deadline=None)
@given(host=hostile, port=argument, key=hostile, db=argument, more=st.lists(argument, max_size=4))
def test_no_bytes_make_migrate_fail_in_the_server(
    server: sherd.Server, host: bytes, port: bytes, key: bytes, db: bytes, more: list[bytes]
) -> None:
    line = [b"MIGRATE", host, port, key, db, b"50", *more]
    lines = [[b"SET", key, b"v"], line] if len(key) < 100 else [line]
    for reply in _answers(server, 2, lines):
        assert b"internal error" not in reply, line


@pytest.mark.parametrize(
    "line",
    [
        [b"LATENCY", b"RESET", b"\xff"],
        [b"LATENCY", b"HISTORY", b"\xff\x00"],
        [b"LATENCY", b"GRAPH", b"\xed\xa0\x80"],
        [b"LATENCY", b"HISTOGRAM", b"\xff"],
        [b"CONFIG", b"SET", b"bind", b"\xff"],
        [b"CONFIG", b"SET", b"bind", b"a\x00b"],
        [b"CONFIG", b"SET", b"bind", b"." * 400],
        [b"CONFIG", b"SET", b"metrics-bind", b"\xff"],
        [b"CONFIG", b"SET", b"requirepass", b"\xff", b"dir", b"\x00"],
        [b"MIGRATE", b"a\x00b", b"1", b"k", b"0", b"50"],
    ],
    ids=lambda line: b" ".join(line)[:40].decode("ascii", "backslashreplace"),
)
def test_bytes_that_are_no_text_are_refused_or_taken(line: list[bytes]) -> None:
    with sherd.Server() as server, Wire(("127.0.0.1", server.port)) as wire, socket.create_server(("127.0.0.1", 0)):
        wire.call("SET", "k", "v")
        reply = wire.call(*line)
        assert b"internal error" not in reply.raw, reply.raw
        assert not reply.raw.startswith(b"-") or b"ERR" in reply.raw
