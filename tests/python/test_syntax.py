"""Compact syntax strings become the argument trees that COMMAND DOCS gives."""

from __future__ import annotations

import pytest

from sherd.errors import SyntaxStringError
from sherd.syntax import Argument, parse_syntax


def outline(arguments: tuple[Argument, ...]) -> str:
    """The tree on one line: name:type{token}(flags)[children]."""
    parts = []
    for argument in arguments:
        token = f"{{{argument.token}}}" if argument.token is not None else ""
        flags = f"({','.join(argument.flags)})" if argument.flags else ""
        children = f"[{outline(argument.arguments)}]" if argument.arguments else ""
        parts.append(f"{argument.name}:{argument.type}{token}{flags}{children}")
    return " ".join(parts)


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("", ""),
        ("key value", "key:key value:string"),
        (
            "key value [NX | XX] [GET] [EX seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "key:key value:string condition:oneof(optional)[nx:pure-token{NX} xx:pure-token{XX}] "
            "get:pure-token{GET}(optional) expiration:oneof(optional)[seconds:integer{EX} "
            "unix-time-milliseconds:unix-time{PXAT} keepttl:pure-token{KEEPTTL}]",
        ),
        ("key [key ...]", "key:key(multiple)"),
        ("key member...", "key:key member:string(multiple)"),
        ("numkeys key [key ...]", "numkeys:integer key:key(multiple)"),
        (
            "key [GET encoding offset [GET encoding offset ...]]",
            "key:key get:block{GET}(optional,multiple,multiple_token)[encoding:string offset:integer]",
        ),
        ("[key [key ...]]", "key:key(optional,multiple)"),
        ("[arg ...]", "arg:string(optional,multiple)"),
        (
            "key score member [score member ...]",
            "key:key data:block(multiple)[score:double member:string]",
        ),
        ("(key value) [(key value) ...]", "data:block(multiple)[key:key value:string]"),
        ("[GET pattern [GET pattern ...]]", "pattern:pattern{GET}(optional,multiple,multiple_token)"),
        ("[LIMIT offset count]", "limit:block{LIMIT}(optional)[offset:integer count:integer]"),
        (
            "key FIELDS numfields field [field ...]",
            "key:key fields:block{FIELDS}[numfields:integer field:string(multiple)]",
        ),
        (
            "GROUP group consumer [COUNT count] STREAMS key [key ...] id [id ...]",
            "group:block{GROUP}[group:string consumer:string] count:integer{COUNT}(optional) "
            "streams:block{STREAMS}[key:key(multiple) id:string(multiple)]",
        ),
        (
            "[<MAXLEN | MINID> [= | ~] threshold [LIMIT count]]",
            "data:block(optional)[strategy:oneof[maxlen:pure-token{MAXLEN} minid:pure-token{MINID}] "
            "operator:oneof(optional)[equal:pure-token{=} approximately:pure-token{~}] threshold:string "
            "count:integer{LIMIT}(optional)]",
        ),
        ("ON | OFF", "status:oneof[on:pure-token{ON} off:pure-token{OFF}]"),
        ("LIB-NAME libname | LIB-VER libver", "libname:oneof[libname:string{LIB-NAME} libver:string{LIB-VER}]"),
        ("<ON | OFF>", "status:oneof[on:pure-token{ON} off:pure-token{OFF}]"),
        (
            "[TO host port [FORCE]]",
            "to:block{TO}(optional)[host:string port:integer force:pure-token{FORCE}(optional)]",
        ),
        ("[OVERFLOW <WRAP | SAT>]", "overflow:oneof{OVERFLOW}(optional)[wrap:pure-token{WRAP} sat:pure-token{SAT}]"),
        (
            "[change=CH] rule=[A | B]",
            "change:pure-token{CH}(optional) rule:oneof(optional)[a:pure-token{A} b:pure-token{B}]",
        ),
        ("increment:double destination:string", "increment:double destination:string"),
        ('<key | "">', "key:oneof[key:key empty-string:pure-token{}]"),
    ],
)
def test_a_syntax_string_gives_the_argument_tree(syntax: str, expected: str) -> None:
    assert outline(parse_syntax(syntax)) == expected


def test_keys_are_numbered_in_the_order_in_which_they_stand() -> None:
    source, destination = parse_syntax("source destination")
    assert (source.key_spec_index, destination.key_spec_index) == (0, 1)


def test_two_keys_of_one_key_spec_share_its_number() -> None:
    first, second = parse_syntax("key1 key2", key_spec_count=1)
    assert (first.key_spec_index, second.key_spec_index) == (0, 0)


def test_a_key_spec_index_can_be_given() -> None:
    _, store = parse_syntax("key [STORE destination:key@4]")
    assert store.key_spec_index == 4


def test_a_name_can_differ_from_what_a_manual_prints() -> None:
    (argument,) = parse_syntax("addr=ip:port")
    assert (argument.name, argument.display, argument.type) == ("addr", "ip:port", "string")


@pytest.mark.parametrize("syntax", ["[key", "key]", "<a | >", "...", "a | ", "a > | b"])
def test_a_syntax_string_that_makes_no_sense_is_refused(syntax: str) -> None:
    with pytest.raises(SyntaxStringError):
        parse_syntax(syntax)
