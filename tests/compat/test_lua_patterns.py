"""Lua's patterns, which Sherd matches itself, find in random texts what the references' own Lua finds.

Each example is a list of subjects with patterns; one script puts all of them to `find`, `match`, `gmatch` and `gsub` with
a text, a table and a function, and returns what came out, texts of errors included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, note
from hypothesis import strategies as st

from tests.compat.script import Step

if TYPE_CHECKING:
    from tests.compat.conftest import Differential
    from tests.support.servers import Shape

_source = rb"""
local out = {}
local function show(...)
  local texts = {}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    texts[i] = type(value) .. ' ' .. (type(value) == 'table' and 'table' or tostring(value))
  end
  out[#out + 1] = table.concat(texts, ', ')
end
local values = {a = 'A', b = 7, ab = false, [' '] = {}, [1] = 'one', ['1'] = true}
local function replace(one, two)
  if one == 'b' then return nil end
  if one == ' ' then return {} end
  return two and tostring(one) .. tostring(two) or one
end
for i = 1, #ARGV, 4 do
  local subject, pattern, template, number = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  show(pcall(string.find, subject, pattern, number))
  show(pcall(string.find, subject, pattern, number, true))
  show(pcall(string.match, subject, pattern, number))
  show(pcall(string.gsub, subject, pattern, template))
  show(pcall(string.gsub, subject, pattern, template, number))
  show(pcall(string.gsub, subject, pattern, values))
  show(pcall(string.gsub, subject, pattern, replace))
  show(pcall(function()
    local found = {}
    for one, two, three in subject:gmatch(pattern) do
      found[#found + 1] = tostring(one) .. '/' .. tostring(two) .. '/' .. tostring(three)
    end
    return table.concat(found, ';')
  end))
end
return out
"""

_texts = st.sampled_from(
    [b"a", b"b", b"ab", b"aab", b"(", b")", b"[a]", b"1", b" ", b"B", b"%", b"-", b"]", b"\0", b"\xe9"]
)
_subjects = st.lists(_texts, max_size=6).map(b"".join)

_members = st.sampled_from([b"a", b"b", b"a-c", b"%a", b"%d", b"%]", b"]", b"-", b"^", b"%-", b"\xe9", b"z-a", b"%z"])
_sets = st.tuples(
    st.sampled_from([b"[", b"[^", b"%f[", b"%f[^"]), st.lists(_members, min_size=1, max_size=3).map(b"".join)
).map(lambda parts: parts[0] + parts[1] + b"]")
_singles = st.one_of(
    st.sampled_from([b"a", b"b", b".", b"%a", b"%s", b"%W", b"%D", b"%z", b"%.", b"%%", b"1", b"\xe9", b"%\xe9"]), _sets
)
_items = st.one_of(
    st.tuples(_singles, st.sampled_from([b"", b"", b"*", b"+", b"-", b"?"])).map(b"".join),
    st.sampled_from([b"%b()", b"%b[]", b"%baa", b"%1", b"%2", b"()", b"$", b"^"]),
    # What is malformed, or becomes so where it stands.
    st.sampled_from([b"(", b")", b"[", b"%", b"%b", b"%f", b"\0", b"[a", b"[^", b"%9", b"%0", b"[%", b"*"]),
)
_groups = st.one_of(
    _items,
    _items,
    st.lists(_items, max_size=3).map(lambda items: b"(" + b"".join(items) + b")"),
)
_patterns = st.tuples(st.sampled_from([b"", b"", b"^"]), st.lists(_groups, max_size=5).map(b"".join)).map(b"".join)
_templates = st.sampled_from([b"", b"x", b"<%0>", b"%1", b"%2%1", b"%%", b"%", b"%a", b"%9", b"7"])
_numbers = st.sampled_from([b"1", b"0", b"2", b"3", b"-1", b"-2", b"-100", b"100", b"1.9"])
_rounds = st.lists(st.tuples(_subjects, _patterns, _templates, _numbers), min_size=1, max_size=40)


def test_random_patterns_match_as_in_the_reference(
    differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """All functions that know patterns, with captures, numbers of replacements and texts of errors."""

    @given(_rounds)
    def run(rounds: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        arguments = [argument for parts in rounds for argument in parts]
        steps = (Step(1, (b"EVAL", _source, b"0", *arguments)),)
        mismatches = differential.mismatches(reference_name, steps, *pairing)
        note("\n".join(map(repr, rounds)))
        assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])

    run()


_sort_source = rb"""
local out, calls = {}, {}
local function try(order, ...)
  local values = {...}
  local ok, reason = pcall(table.sort, values, order)
  for i = 1, #values do values[i] = type(values[i]) == 'table' and 'table' or tostring(values[i]) end
  out[#out + 1] = tostring(ok) .. ' ' .. tostring(reason) .. ' ' .. table.concat(values, ',')
end
local function told(order)
  return function(one, other) calls[#calls + 1] = tostring(one) .. '<' .. tostring(other) return order(one, other) end
end
local numbers = {}
for i = 1, #ARGV do numbers[i] = tonumber(ARGV[i]) end
try(nil, unpack(numbers))
try(nil, unpack(ARGV))
try(told(function(one, other) return one > other end), unpack(numbers))
try(told(function() return true end), unpack(numbers))
try(told(function() return false end), unpack(numbers))
try(told(function(one, other) return #calls % 3 == 0 end), unpack(numbers))
try(nil, 1, 'a', {})
out[#out + 1] = table.concat(calls, ' ')
return out
"""


def test_random_tables_are_sorted_as_in_the_reference(
    differential: Differential, reference_name: str, pairing: tuple[Shape, int]
) -> None:
    """The same comparisons in the same order, whether the order is one or not."""

    @given(st.lists(st.integers(0, 30), max_size=40))
    def run(numbers: list[int]) -> None:
        steps = (Step(1, (b"EVAL", _sort_source, b"0", *(b"%d" % number for number in numbers))),)
        mismatches = differential.mismatches(reference_name, steps, *pairing)
        assert not mismatches, "\n".join([f"differs from {reference_name}:", *mismatches])

    run()
