"""Random values, texts and formats come out of scripts as out of the references': as replies, and by way of their libraries.

Each example is a list of expressions of Lua, JSON texts, bytes for `cmsgpack` and formats of `struct`; one script converts and
encodes, decodes and packs all of them, and returns what came out, texts of errors included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, note
from hypothesis import strategies as st

from tests.compat.script import Step

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from tests.compat.conftest import Differential
    from tests.support.servers import Shape

# What is a table is shown with its keys in an order, whatever order it has them in.
_show = rb"""
local function show(value)
  if type(value) == 'number' then return string.format('%.17g', value) end
  if type(value) ~= 'table' then return type(value) .. ' ' .. (type(value) == 'userdata' and '' or tostring(value)) end
  local members = {}
  for key, member in pairs(value) do members[#members + 1] = '[' .. show(key) .. ']=' .. show(member) end
  table.sort(members)
  return '{' .. table.concat(members, ',') .. '}'
end
local out = {}
local function try(...)
  local texts = {}
  for i = 1, select('#', ...) do texts[i] = show((select(i, ...))) end
  out[#out + 1] = table.concat(texts, ' | ')
end
"""

_numbers = ["0", "1", "-1", "1.5", "-0.5", "127", "128", "255", "256", "-32", "-33", "65535", "65536", "-32769", "2^31"]
_numbers += ["2^32", "-2^31-1", "2^53", "1e15", "123456789012"]
_texts = ["''", "'a'", "'1'", "'a\\0b'", "'\\n\\r'", "'\\195\\169'", "'\"\\\\/'", "'\\31\\127'", "string.rep('s', 31)"]
_texts += ["string.rep('s', 32)", "string.rep('s', 300)"]
_atoms = st.sampled_from([*_numbers, *_texts, "nil", "true", "false", "cjson.null", "1/0", "{}"])
_keys = st.sampled_from(["1", "2", "3", "20", "1.5", "-1", "'a'", "'1'", "true"])


def _tables(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    listed = st.lists(inner, max_size=4).map(lambda members: "{" + ", ".join(members) + "}")
    keyed = st.tuples(_keys, inner).map(lambda member: f"{{[{member[0]}] = {member[1]}}}")
    named = st.tuples(st.sampled_from(["ok", "err", "map", "set", "double", "big_number", "verbatim_string"]), inner)
    verbatim = st.tuples(inner, inner).map(
        lambda parts: f"{{verbatim_string = {{format = {parts[0]}, string = {parts[1]}}}}}"
    )
    return st.one_of(listed, listed, keyed, named.map(lambda member: f"{{{member[0]} = {member[1]}}}"), verbatim)


_values = st.recursive(_atoms, _tables, max_leaves=8)
_encode = (
    _show
    + rb"""
for i = 1, #ARGV do
  local value = loadstring('return ' .. ARGV[i])()
  try(pcall(cjson.encode, value))
  try(pcall(cmsgpack.pack, value))
  try(pcall(bit.bxor, value, 1), pcall(bit.tohex, value), pcall(bit.arshift, value, 3))
  try(pcall(struct.pack, 'bHi4I8ds', value, value, value, value, value, value))
  out[#out + 1] = {value}
end
return out
"""
)


def test_random_values_become_what_they_become_in_the_reference(
    differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """As replies, alone and within others, as JSON, as msgpack, and as arguments of bit and struct."""

    @given(st.lists(_values, min_size=1, max_size=15), st.sampled_from([b"", b"redis.setresp(3) "]))
    def run(values: list[str], before: bytes) -> None:
        arguments = [value.encode("latin-1") for value in values]
        # The order of two names in a table is nobody's promise: the text that they become is not compared.
        ordered = [value for value in arguments if b"format" not in value]
        steps = (
            Step(1, (b"EVAL", _encode, b"0", *ordered)),
            *(Step(1, (b"EVAL", before + b"return " + value, b"0")) for value in arguments),
        )
        mismatches = differential.mismatches(reference_name, steps, *pairing)
        note("\n".join(values))
        assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])

    run()


_json_atoms = st.sampled_from(
    '1 0 -1 1.5 1e5 1E+2 -0 01 +1 .5 1. 0x10 nan -Infinity true false null tru "a" "\\u0041" "\\ud83d\\ude00" "\\ud83d" "\\u12" '
    '"\\x" "\\n\\t\\/\\\\" " \' [] {} - 1e -01 123456789012345678901'.split(" ")
)


def _json_tables(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    ends = st.sampled_from(["]", "]", "]", "", ",]", " ]x"])
    listed = st.tuples(st.lists(inner, max_size=4), ends).map(lambda parts: "[" + ", ".join(parts[0]) + parts[1])
    members = st.tuples(st.sampled_from(['"a"', '"b"', '"1"', "a", '""']), st.sampled_from([":", " : ", ""]), inner)
    keyed = st.tuples(st.lists(members.map("".join), max_size=3), st.sampled_from(["}", "}", "}", "", ",}"]))
    return st.one_of(listed, keyed.map(lambda parts: "{" + ",".join(parts[0]) + parts[1]))


_json = st.recursive(_json_atoms, _json_tables, max_leaves=8).map(str.encode)
_packed_heads = [
    b"\xc0",
    b"\xc1",
    b"\xc2",
    b"\xc3",
    b"\x07",
    b"\xe3",
    b"\xcc\xff",
    b"\xcd\1\0",
    b"\xce\xff\0\0\1",
    b"\xcf" + b"\1" * 8,
]
_packed_heads += [
    b"\xd0\x80",
    b"\xd1\x80\0",
    b"\xd2\x80\0\0\0",
    b"\xd3\xff" + b"\0" * 7,
    b"\xca\x3f\x80\0\0",
    b"\xcb\x3f\xf8" + b"\0" * 6,
]
_packed_heads += [
    b"\xa3abc",
    b"\xd9\2ab",
    b"\xda\0\1a",
    b"\xdb\0\0\0\1a",
    b"\xc4\1a",
    b"\xc5\0\1a",
    b"\xc6\0\0\0\1a",
    b"\xd9\xff",
    b"\xd4\1a",
]
_packed_heads += [
    b"\x90",
    b"\x92",
    b"\xdc\0\2",
    b"\xdd\0\0\0\1",
    b"\x81\xa1a",
    b"\x82\1",
    b"\xde\0\1\xa1b",
    b"\xdf\0\0\0\1\5",
]
_packed = st.lists(st.sampled_from(_packed_heads), min_size=1, max_size=7).map(b"".join)
_options = st.sampled_from(
    [
        b"b",
        b"B",
        b"h",
        b"H",
        b"i",
        b"I",
        b"l",
        b"L",
        b"i3",
        b"I8",
        b"s",
        b"x",
        b"c3",
        b"bc0",
        b"!4",
        b"!",
        b"<",
        b">",
        b"=",
    ]
)
_more_options = st.sampled_from([b"c0", b"i33", b"z", b" ", b"c99", b"!3", b"T", b"i16"])
_formats = st.lists(st.one_of(_options, _options, _options, _more_options), min_size=1, max_size=6).map(b"".join)
_bytes = st.lists(st.sampled_from([0, 1, 2, 127, 128, 255]), max_size=24).map(bytes)
_decode = (
    _show
    + rb"""
for i = 1, #ARGV, 4 do
  local json, packed, format, bytes = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  try(pcall(cjson.decode, json))
  try(pcall(cmsgpack.unpack, packed))
  try(pcall(cmsgpack.unpack_one, packed, 1))
  try(pcall(cmsgpack.unpack_limit, packed, 2, 0))
  try(pcall(struct.size, format))
  try(pcall(struct.unpack, format, bytes))
  try(pcall(struct.unpack, format, bytes, 2))
  try(pcall(struct.pack, format, 1, 2, 'abc', 3, 'd'))
end
return out
"""
)


def test_random_bytes_are_decoded_as_in_the_reference(
    differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """By cjson, cmsgpack and struct, what is malformed included."""

    @given(st.lists(st.tuples(_json, _packed, _formats, _bytes), min_size=1, max_size=20))
    def run(rounds: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        arguments = [argument for parts in rounds for argument in parts]
        steps = (Step(1, (b"EVAL", _decode, b"0", *arguments)),)
        mismatches = differential.mismatches(reference_name, steps, *pairing)
        note("\n".join(map(repr, rounds)))
        assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])

    run()
