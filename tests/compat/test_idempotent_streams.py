"""XADD IDMP and IDMPAUTO, XCFGSET: they came after the references, so each behaviour is written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.servers import Server

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


def _add(wire: Wire, *words: str | bytes) -> bytes:
    reply = wire.call("XADD", "x", *words)
    return reply.raw if reply.is_error else reply.value


def _info(wire: Wire, *words: str) -> dict[bytes, Any]:
    found = wire.value("XINFO", "STREAM", "x", *words)
    return dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else found


def test_an_entry_that_is_sent_twice_is_added_once(wire: Wire) -> None:
    """The first one's fields stay, and its id is the answer; other producers have ids of their own."""
    first = _add(wire, "IDMP", "p1", "req-1", "*", "f", "a")
    assert _add(wire, "IDMP", "p1", "req-1", "*", "f", "b") == first
    second = _add(wire, "IDMP", "p1", "req-2", "*", "f", "a")
    other = _add(wire, "IDMP", "p2", "req-1", "*", "f", "a")
    assert len({first, second, other}) == 3
    assert wire.value("XRANGE", "x", "-", "+")[0] == [first, [b"f", b"a"]]
    assert wire.value("XLEN", "x") == 3
    binary = _add(wire, "IDMP", b"\x00p", b"\x00\xff" * 50_000, "*", "f", "a")
    assert _add(wire, "idmp", b"\x00p", b"\x00\xff" * 50_000, "*", "f", "c") == binary


def test_a_repetition_changes_nothing(wire: Wire) -> None:
    """Not the entries by trimming, not what is watched, not the counter of changes."""
    _add(wire, "IDMP", "p", "1", "*", "f", "a")
    _add(wire, "IDMP", "p", "2", "*", "f", "a")
    wire.call("WATCH", "x")
    _add(wire, "IDMP", "p", "1", "MAXLEN", "1", "*", "f", "a")
    assert wire.value("XLEN", "x") == 2
    wire.pipeline([("MULTI",), ("PING",)])
    assert wire.value("EXEC") is not None


def test_idmpauto_names_an_entry_by_what_is_in_it(wire: Wire) -> None:
    """Whatever the order of the fields, which are not mistaken for others that read the same in a row."""
    first = _add(wire, "IDMPAUTO", "p", "*", "a", "1", "b", "2")
    assert _add(wire, "IDMPAUTO", "p", "*", "b", "2", "a", "1") == first
    others = [
        _add(wire, "IDMPAUTO", "p", "*", *pairs)
        for pairs in (["a", "2", "b", "1"], ["a1", "", "b", "2"], ["a", "1"], ["a", "1", "b", "2", "b", "2"])
    ]
    assert len({first, *others}) == 5
    assert _add(wire, "IDMPAUTO", "q", "*", "a", "1", "b", "2") != first


def test_the_options_stand_in_any_order_with_others(wire: Wire) -> None:
    """NOMKSTREAM makes no stream, and words that look like options can be ids."""
    assert _add(wire, "NOMKSTREAM", "IDMP", "p", "1", "*", "f", "v") is None
    first = _add(wire, "IDMP", "p", "*", "MAXLEN", "~", "100", "KEEPREF", "*", "f", "v")
    assert _add(wire, "MAXLEN", "~", "100", "IDMP", "p", "*", "*", "f", "v") == first
    assert _add(wire, "NOMKSTREAM", "IDMP", "p", "IDMP", "*", "f", "v") != first


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("IDMP p 1 1-1 f v", "IDMP/IDMPAUTO can be used only with auto-generated IDs"),
        ("IDMPAUTO p 5-* f v", "IDMP/IDMPAUTO can be used only with auto-generated IDs"),
        ("IDMP p 1 IDMP q 2 * f v", "IDMP/IDMPAUTO specified multiple times"),
        ("IDMPAUTO p IDMP q 2 * f v", "IDMP/IDMPAUTO specified multiple times"),
        ("IDMP  1 * f v", "IDMP requires a non-empty producer ID"),
        ("IDMP p  * f v", "IDMP requires a non-empty idempotent ID"),
        ("IDMPAUTO  * f v", "IDMPAUTO requires a non-empty producer ID"),
        ("IDMP p * f v", "Invalid stream ID specified as stream command argument"),
    ],
)
def test_what_makes_no_sense_is_refused(wire: Wire, words: str, error: str) -> None:
    assert _add(wire, *words.split(" ")) == f"-ERR {error}\r\n".encode()
    assert wire.value("EXISTS", "x") == 0
    assert wire.call("XTRIM", "x", "IDMP", "p", "1", "MAXLEN", "1").is_error


def test_as_many_ids_are_kept_as_xcfgset_says(wire: Wire) -> None:
    """Of each producer, the newest; XINFO counts what is kept, what was added and what was sent again."""
    _add(wire, "IDMP", "p", "before", "*", "f", "v")
    assert wire.call("XCFGSET", "x", "IDMP-MAXSIZE", "3", "IDMP-DURATION", "60").raw == b"+OK\r\n"
    ids = [_add(wire, "IDMP", "p", str(number), "*", "f", "v") for number in range(4)]
    assert _add(wire, "IDMP", "p", "3", "*", "f", "v") == ids[3]
    assert _add(wire, "IDMP", "p", "0", "*", "f", "v") not in ids
    assert _add(wire, "IDMP", "q", "0", "*", "f", "v") not in ids
    for found in (_info(wire), _info(wire, "FULL")):
        assert [found[name] for name in (b"idmp-duration", b"idmp-maxsize")] == [60, 3]
        assert [found[name] for name in (b"pids-tracked", b"iids-tracked")] == [2, 4]
        assert [found[name] for name in (b"iids-added", b"iids-duplicates")] == [7, 1]


def test_other_limits_forget_what_was_kept_and_the_same_ones_do_not(wire: Wire) -> None:
    first = _add(wire, "IDMP", "p", "1", "*", "f", "v")
    assert [_info(wire)[name] for name in (b"idmp-duration", b"idmp-maxsize")] == [100, 100]
    wire.call("XCFGSET", "x", "IDMP-DURATION", "100")
    assert _add(wire, "IDMP", "p", "1", "*", "f", "v") == first
    wire.call("XCFGSET", "x", "IDMP-DURATION", "99")
    assert _info(wire)[b"iids-tracked"] == 0
    assert _add(wire, "IDMP", "p", "1", "*", "f", "v") != first
    assert _info(wire)[b"iids-added"] == 2


def test_xcfgset_checks_its_arguments(wire: Wire) -> None:
    assert wire.call("XCFGSET", "x", "IDMP-DURATION", "5").raw == b"-ERR no such key\r\n"
    wire.call("XADD", "x", "1-1", "f", "v")
    for words, error in (
        ("", "At least one parameter must be specified"),
        ("IDMP-DURATION", "syntax error"),
        ("WHAT 1", "syntax error"),
        ("IDMP-DURATION 0", "IDMP-DURATION must be between 1 and 86400"),
        ("IDMP-DURATION 86401", "IDMP-DURATION must be between 1 and 86400"),
        ("IDMP-MAXSIZE -50", "IDMP-MAXSIZE must be between 1 and 10000"),
        ("IDMP-MAXSIZE 10001", "IDMP-MAXSIZE must be between 1 and 10000"),
        ("IDMP-MAXSIZE 3.14", "value is not an integer or out of range"),
        ("IDMP-DURATION IDMP-DURATION", "value is not an integer or out of range"),
    ):
        assert wire.call("XCFGSET", "x", *words.split()).raw.startswith(f"-ERR {error}".encode()), words
    assert b"idmp-duration" not in _info(wire)
    wire.call("SET", "s", "v")
    assert wire.call("XCFGSET", "s", "IDMP-DURATION", "5").raw.startswith(b"-WRONGTYPE")


def test_an_id_can_be_used_again_when_its_time_is_over(wire: Wire) -> None:
    wire.call("XADD", "x", "1-1", "f", "v")
    wire.call("XCFGSET", "x", "IDMP-DURATION", "1")
    first = _add(wire, "IDMP", "p", "1", "*", "f", "v")
    deadline = time.monotonic() + 30
    while _info(wire)[b"iids-tracked"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert _info(wire)[b"pids-tracked"] == 0
    assert _add(wire, "IDMP", "p", "1", "*", "f", "v") != first


def test_copies_and_reloaded_streams_know_the_ids_as_well() -> None:
    directives = {"enable-debug-command": "yes", "stream-idmp-maxsize": "7"}
    with Server(directives=directives) as server, server.wire() as wire:
        first = _add(wire, "IDMP", "p", "1", "*", "f", "v")
        wire.call("COPY", "x", "y")
        assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
        assert _add(wire, "IDMP", "p", "1", "*", "f", "v") == first
        assert wire.value("XADD", "y", "IDMP", "p", "1", "*", "f", "v") == first
        assert _info(wire)[b"idmp-maxsize"] == 7
        assert wire.call("CONFIG", "SET", "stream-idmp-duration", "86401").is_error
        used = wire.value("MEMORY", "USAGE", "x")
        for number in range(7):
            _add(wire, "IDMP", "p", "i" * 1000 + str(number), "*", "f", "v")
        assert wire.value("MEMORY", "USAGE", "x") > used + 7 * 1000
