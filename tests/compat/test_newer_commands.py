"""Commands that came after the references: no server here can be compared with, so each behaviour is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.script import split_arguments

if TYPE_CHECKING:
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only

wrong_type = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
digest_of_nothing = b"2d06800538d394c2"


def _run(wire: Wire, *lines: str) -> list[object]:
    """The values of several commands, the last errors as their text."""
    replies = wire.pipeline([split_arguments(line.encode()) for line in lines])
    return [reply.raw if reply.is_error else reply.value for reply in replies]


def test_digest_is_the_xxh3_of_the_value_in_hexadecimal(wire: Wire) -> None:
    """Sixteen lower-case digits; equal values have equal digests, numbers too."""
    wire.pipeline([("SET", "empty", ""), ("SET", "a", "12345"), ("APPEND", "b", "123"), ("APPEND", "b", "45")])
    empty, first, second, nothing = _run(wire, "DIGEST empty", "DIGEST a", "DIGEST b", "DIGEST nothing")
    assert empty == digest_of_nothing
    assert first == second != empty
    assert nothing is None
    assert _run(wire, "RPUSH l x", "DIGEST l")[1] == wrong_type


def test_delex_deletes_when_the_condition_holds(wire: Wire) -> None:
    """IFEQ and IFNE compare the value; without a condition it is DEL."""
    assert _run(wire, "SET k a", "DELEX k IFEQ b", "DELEX k IFEQ a", "EXISTS k")[1:] == [0, 1, 0]
    assert _run(wire, "SET k a", "DELEX k IFNE a", "DELEX k IFNE b", "EXISTS k")[1:] == [0, 1, 0]
    assert _run(wire, "SET k a", "DELEX k", "DELEX k", "DELEX k IFEQ a")[1:] == [1, 0, 0]


def test_delex_compares_digests(wire: Wire) -> None:
    """IFDEQ and IFDNE, in upper or lower case."""
    wire.call("SET", "k", "")
    other = "0" * 16
    digest = digest_of_nothing.decode()
    assert _run(wire, f"DELEX k IFDEQ {other}", f"DELEX k IFDNE {digest}", f"DELEX k IFDEQ {digest.upper()}") == [
        0,
        0,
        1,
    ]


def test_delex_refuses_what_it_does_not_know(wire: Wire) -> None:
    """An unknown condition, a digest that is none, a key of another type."""
    wire.call("SET", "k", "a")
    wire.call("RPUSH", "l", "x")
    for line in ("DELEX k IFWHAT a", "DELEX k IFDEQ abc", "DELEX l IFEQ x"):
        (answer,) = _run(wire, line)
        assert isinstance(answer, bytes)
        assert answer.startswith(b"-")
    assert wire.value("EXISTS", "k", "l") == 2


def test_increx_adds_within_bounds(wire: Wire) -> None:
    """The new value and what was added; beyond a bound nothing happens, or as much as fits with SATURATE."""
    assert _run(wire, "INCREX k", "INCREX k BYINT 5")[:2] == [[1, 1], [6, 5]]
    assert _run(wire, "INCREX k BYINT 10 UBOUND 8", "GET k") == [[6, 0], b"6"]
    assert _run(wire, "INCREX k BYINT 10 UBOUND 8 SATURATE", "GET k") == [[8, 2], b"8"]
    assert _run(wire, "INCREX k BYINT -10 LBOUND 0 SATURATE", "GET k") == [[0, -8], b"0"]


def test_increx_sets_the_expiry(wire: Wire) -> None:
    """EX always, with ENX only where there was none; PERSIST takes it away."""
    assert _run(wire, "INCREX k EX 1000 ENX", "TTL k")[1] in (999, 1000)
    assert _run(wire, "INCREX k EX 5000 ENX", "TTL k")[1] in (999, 1000)
    assert _run(wire, "INCREX k EX 5000", "TTL k")[1] in (4999, 5000)
    assert _run(wire, "INCREX k PERSIST", "TTL k")[1] == -1


def test_increx_refuses_other_types_and_bad_numbers(wire: Wire) -> None:
    """As INCR does."""
    assert _run(wire, "RPUSH l x", "INCREX l")[1] == wrong_type
    assert _run(wire, "SET k abc", "INCREX k")[1] == b"-ERR value is not an integer or out of range\r\n"
    assert _run(wire, "INCREX n LBOUND 5 UBOUND 1")[0] == b"-ERR LBOUND can't be greater than UBOUND\r\n"


def test_sunioncard_and_sdiffcard_count_over_shards(wire: Wire) -> None:
    """The cardinality of SUNION and SDIFF, up to a limit."""
    wire.pipeline([("SADD", "k1", "a", "b", "c"), ("SADD", "k2", "c", "d"), ("SADD", "k3", "a"), ("SET", "s", "x")])
    assert _run(wire, "SUNIONCARD 3 k1 k2 k3", "SUNIONCARD 2 k1 nothing", "SUNIONCARD 2 k1 k2 LIMIT 2") == [4, 3, 2]
    assert _run(wire, "SDIFFCARD 2 k1 k2", "SDIFFCARD 3 k1 k2 k3", "SDIFFCARD 2 k1 k2 LIMIT 1") == [2, 1, 1]
    assert _run(wire, "SDIFFCARD 1 nothing", "SUNIONCARD 2 k1 s", "SDIFFCARD 2 k1 s") == [0, wrong_type, wrong_type]
    for line in ("SUNIONCARD 0 k1", "SDIFFCARD abc k1", "SUNIONCARD 3 k1 k2", "SDIFFCARD 1 k1 LIMIT -1"):
        (answer,) = _run(wire, line)
        assert isinstance(answer, bytes)
        assert answer.startswith(b"-ERR ")


def test_lmovem_moves_several_elements(wire: Wire) -> None:
    """In bulk or one by one; up to so many or exactly so many; the reply is their order in the target."""
    wire.call("RPUSH", "a", "1", "2", "3", "4", "5")
    assert _run(wire, "LMOVEM a b LEFT LEFT COUNT 2 OBO", "LRANGE b 0 -1") == [[b"2", b"1"]] * 2
    assert _run(wire, "LMOVEM a b LEFT LEFT COUNT 2 BULK", "LRANGE b 0 -1") == [[b"3", b"4"], [b"3", b"4", b"2", b"1"]]
    assert _run(wire, "LMOVEM a b LEFT LEFT EXACTLY 2 BULK", "LMOVEM a b LEFT RIGHT", "EXISTS a") == [None, [b"5"], 0]
    assert _run(wire, "LMOVEM a b LEFT LEFT COUNT 2 BULK", "LMOVEM a b LEFT LEFT EXACTLY 1 OBO") == [None, None]
    assert _run(wire, "BLMOVEM b a RIGHT RIGHT 0 EXACTLY 2 BULK", "LRANGE a 0 -1") == [[b"1", b"5"]] * 2


def test_lmovem_of_an_empty_source_is_null_in_each_protocol(wire: Wire, protocol: int) -> None:
    """As where there are too few, and as LMPOP is."""
    null = b"*-1\r\n" if protocol == 2 else b"_\r\n"
    for line in ("LMOVEM no b LEFT LEFT", "LMOVEM no b LEFT LEFT COUNT 2 OBO", "LMOVEM no b LEFT LEFT EXACTLY 2 OBO"):
        assert wire.call(*line.split()).raw == null


def test_aggregate_count_adds_up_weights_instead_of_scores(wire: Wire) -> None:
    """Without weights it is the number of sets that have the member, in plain sets as well."""

    def scores(line: str, *members: str) -> list[float | None]:
        assert wire.value(*line.split()) == len(members)
        return [float(score) for score in wire.value("ZMSCORE", "d", *members)]

    wire.pipeline([("ZADD", "a", "10", "x", "20", "y"), ("ZADD", "b", "-5", "x"), ("SADD", "s", "x", "z")])
    assert scores("ZUNIONSTORE d 3 a b s AGGREGATE COUNT", "x", "y", "z") == [3, 1, 1]
    assert scores("ZINTERSTORE d 3 a b s AGGREGATE count", "x") == [3]
    assert scores("ZUNIONSTORE d 3 a b s WEIGHTS 2 0.5 -1 AGGREGATE COUNT", "x", "y", "z") == [1.5, 2, -1]
    assert scores("ZINTERSTORE d 2 a b WEIGHTS inf -inf AGGREGATE COUNT", "x") == [0]
    assert _run(wire, "ZINTER 2 a b AGGREGATE COUNT", "ZUNION 2 a b AGGREGATE COUNT") == [[b"x"], [b"y", b"x"]]
    assert _run(wire, "ZUNION 1 a AGGREGATE NUMBER", "ZDIFF 1 a AGGREGATE COUNT") == [b"-ERR syntax error\r\n"] * 2


def test_no_group_has_read_more_than_there_was(wire: Wire) -> None:
    """XGROUP and XSETID keep what a group has read within what was added, so that its lag is never negative."""

    def read_and_lag() -> list[object]:
        (group,) = wire.value("XINFO", "GROUPS", "x")
        if isinstance(group, list):
            group = dict(zip(group[::2], group[1::2], strict=True))
        return [group[b"entries-read"], group[b"lag"]]

    wire.pipeline([("XADD", "x", f"{number}-1", "f", "v") for number in range(1, 6)])
    wire.call("XGROUP", "CREATE", "x", "g", "5-1", "ENTRIESREAD", "100")
    assert read_and_lag() == [5, 0]
    wire.call("XGROUP", "SETID", "x", "g", "3-1", "ENTRIESREAD", "3")
    assert read_and_lag() == [3, 2]
    wire.call("XGROUP", "SETID", "x", "g", "5-1", "ENTRIESREAD", "6")
    assert read_and_lag() == [5, 0]
    wire.pipeline([("XTRIM", "x", "MAXLEN", "1"), ("XSETID", "x", "5-1", "ENTRIESADDED", "2")])
    assert read_and_lag() == [2, 0]


def test_lmovem_refuses_what_it_does_not_know(wire: Wire) -> None:
    """A number needs its order, and must be positive."""
    wire.pipeline([("RPUSH", "a", "1"), ("SET", "s", "v")])
    assert _run(wire, "LMOVEM a b LEFT UP", "LMOVEM a b LEFT LEFT COUNT 2") == [b"-ERR syntax error\r\n"] * 2
    assert _run(wire, "LMOVEM a b LEFT LEFT COUNT 0 OBO") == [b"-ERR count should be greater than 0\r\n"]
    assert _run(wire, "LMOVEM a s LEFT LEFT", "LMOVEM s a LEFT LEFT", "LLEN a") == [wrong_type, wrong_type, 1]
