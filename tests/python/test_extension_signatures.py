"""Arguments of clients as the parameters of functions: what is taken, what is refused, and in which words."""

from __future__ import annotations

import enum
import functools
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherd.errors import CommandError, DeclarationError
from sherd.extensions.declare import command, declared_by, every, on
from sherd.extensions.signature import read_signature
from sherd.extensions.specification import check_task, read_command
from sherd.resp import encode


class Color(enum.Enum):
    """Values that a client writes."""

    RED = "red"
    BLUE = "Blue"


class Level(enum.IntEnum):
    """Numbers likewise."""

    LOW = 1
    HIGH = 2


def one(annotation: Any, **attributes: Any) -> Any:
    """A function with one parameter of a type."""

    def function(call: Any, value: Any, *rest: int) -> None: ...

    function.__annotations__["value"] = annotation
    return read_signature("a.b", function, **attributes)


def converted(annotation: Any, argument: bytes) -> Any:
    """What a parameter of a type is given."""
    return one(annotation).convert([argument])[0]


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_is_read_as_itself(value: int) -> None:
    assert converted(int, b"%d" % value) == value


@given(st.integers().filter(lambda value: not -(2**63) <= value < 2**63))
def test_integers_beyond_64_bits_are_refused(value: int) -> None:
    with pytest.raises(CommandError, match="value must be an integer"):
        converted(int, b"%d" % value)


@given(st.binary(max_size=40))
def test_whatever_a_client_sends_is_converted_or_its_error(argument: bytes) -> None:
    """Never another exception, and an integer only as Redis writes it."""
    refused: list[str] = []
    for annotation in (bytes, str, int, float, bool, Color, Level, Literal["x", "y"], int | None):
        try:
            value = converted(annotation, argument)
        except CommandError as error:
            refused.append(str(error))
            continue
        if annotation is int:
            assert b"%d" % value == argument
        elif annotation is str:
            assert value.encode() == argument
        elif annotation is float:
            assert not math.isnan(value)
    assert all(text.startswith("ERR a.b: value must be ") for text in refused)


@given(st.floats(allow_nan=False))
def test_a_float_survives_its_way_through_a_reply(value: float) -> None:
    text = encode(value).split(b"\r\n")[1]
    assert converted(float, text) == value


@given(st.text())
def test_text_is_read_as_utf_8(text: str) -> None:
    assert converted(str, text.encode()) == text


@pytest.mark.parametrize(
    "argument", [b"1_0", b" 1", b"1 ", b"0x1", b"+1", b"01", b"", b"-0", b"1.0", "\u0661".encode()]
)
def test_python_s_other_ways_to_write_an_integer_are_refused(argument: bytes) -> None:
    with pytest.raises(CommandError, match=r"ERR a\.b: value must be an integer"):
        converted(int, argument)


@pytest.mark.parametrize("argument", [b"1_0.5", b" 1", b"nan", b"1e", b"0x1p1", b"", b"1e99999", b"9" * 70, b"1,5"])
def test_what_is_no_number_is_refused(argument: bytes) -> None:
    with pytest.raises(CommandError, match=r"ERR a\.b: value must be a number"):
        converted(float, argument)


def test_choices_are_read_in_any_case() -> None:
    assert converted(Color, b"BLUE") is Color.BLUE
    assert converted(Level, b"2") is Level.HIGH
    assert converted(Literal["Up", "down"], b"up") == "Up"
    with pytest.raises(CommandError, match="value must be one of red, blue"):
        converted(Color, b"green")


def test_parameters_with_a_default_may_be_left_out_and_the_last_be_repeated() -> None:
    def function(call: Any, key: bytes, count: int = 5, *rest: float) -> None: ...

    signature = read_signature("a.b", function)
    assert (signature.least, signature.most, signature.arity) == (1, None, -2)
    assert signature.convert([b"k"]) == [b"k"]
    assert signature.convert([b"k", b"2", b"0.5", b"1"]) == [b"k", 2, 0.5, 1.0]
    with pytest.raises(CommandError, match=r"wrong number of arguments for 'a\.b' command"):
        signature.convert([])


def test_a_parameter_that_may_be_none_is_none_where_it_is_left_out() -> None:
    def function(call: Any, key: bytes, least: int | None, most: int | None, step: int = 1) -> None: ...

    signature = read_signature("a.b", function)
    assert (signature.least, signature.most) == (1, 4)
    assert signature.convert([b"k"]) == [b"k", None, None]
    assert signature.convert([b"k", b"1"]) == [b"k", 1, None]
    assert signature.convert([b"k", b"1", b"2", b"3"]) == [b"k", 1, 2, 3]


def test_too_many_arguments_are_the_usual_error() -> None:
    def function(call: Any, key: bytes, count: int = 5) -> None: ...

    with pytest.raises(CommandError, match=r"wrong number of arguments for 'a\.b' command"):
        read_signature("a.b", function).convert([b"k", b"1", b"2"])


async def _asynchronous(call: Any) -> None: ...


async def _asynchronous_generator(call: Any) -> Any:
    yield call


def _keyword_only(call: Any, *, key: bytes) -> None: ...


def _any_keywords(call: Any, **options: bytes) -> None: ...


def _nothing() -> None: ...


def _unions(call: Any, value: int | str) -> None: ...


def _required_behind_optional(call: Any, first: int | None, second: int) -> None: ...


def _unknown_name(call: Any, value: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_asynchronous, "a command is a plain function"),
        (_asynchronous_generator, "a command is a plain function"),
        (_keyword_only, "clients have no keyword arguments, such as key"),
        (_any_keywords, "clients have no keyword arguments, such as options"),
        (_nothing, "its first parameter is the call"),
        (_unions, "value is a int | str"),
        (_required_behind_optional, "second stands behind a parameter that may be left out"),
        (_unknown_name, "its signature cannot be read: name 'NoSuchType' is not defined"),
    ],
)
def test_a_function_that_no_client_could_call_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(DeclarationError, match=r"a\.b: ") as raised:
        read_signature("a.b", function)
    assert reason in str(raised.value)


def spec_of(**attributes: Any) -> dict[str, Any]:
    """The specification of a command that is declared so."""

    @command("a.b", **attributes)
    def function(call: Any, first: bytes, second_one: int, third: float = 1.0, *rest: str) -> None:
        """Does what it does.

        And more.
        """

    (declared,) = declared_by(function)
    return read_command(declared).spec  # type: ignore[arg-type]


def test_a_specification_follows_from_signature_and_declaration() -> None:
    spec = spec_of(keys=1, flags="write fast", acl="dangerous")
    assert (spec["arity"], spec["summary"], spec["group"]) == (-3, "Does what it does.", "module")
    assert spec["syntax"] == "first:key second-one:integer [third:double] [rest:string ...]"
    assert spec["flags"] == ["write", "fast", "module"]
    assert spec["categories"] == ["dangerous"]
    assert spec["keys"] == [("RW access update", ("index", 1), ("range", 0, 1, 0))]


def test_keys_are_a_number_places_a_function_or_all() -> None:
    assert spec_of(keys=2)["keys"] == [("RW access update", ("index", 1), ("range", 1, 1, 0))]
    assert spec_of(keys=(2,), flags="readonly")["keys"] == [("RO access", ("index", 2), ("range", 0, 1, 0))]
    assert spec_of(keys="all")["keys"] == []
    spec = spec_of(keys=lambda first, *others: [first])
    assert spec["keys"] == [("RW access update incomplete", ("unknown",), ("unknown",))]
    assert "movablekeys" in spec["flags"]
    for wrong in (3, (0,), (9,), -1, True, "some", None, 1.5, ("first",), (True,), b"\x01\x02\x03\x04"):
        with pytest.raises(DeclarationError):
            spec_of(keys=wrong)


def test_a_function_for_keys_gets_the_converted_arguments() -> None:
    @command("a.b", keys=lambda first, count: [f"{first}:{number}" for number in range(count)])
    def function(call: Any, first: str, count: int) -> None: ...

    (declared,) = declared_by(function)
    read = read_command(declared)  # type: ignore[arg-type]
    assert read.find_keys is not None
    args = [b"k", b"2"]
    assert read.find_keys(args) == [b"k:0", b"k:1"]
    assert args == [b"k", b"2"], "the function itself converts them again"
    with pytest.raises(CommandError, match="count must be an integer"):
        read.find_keys([b"k", b"x"])


@pytest.mark.parametrize("wrong", [7, None, [7], [None], "one", b"one"])
def test_a_function_for_keys_that_returns_no_list_of_names_is_told_so(wrong: Any) -> None:
    """A number is not that many zeros, and text is not its characters."""

    @command("a.b", keys=lambda first: wrong)
    def function(call: Any, first: str) -> None: ...

    (declared,) = declared_by(function)
    read = read_command(declared)  # type: ignore[arg-type]
    assert read.find_keys is not None
    with pytest.raises((DeclarationError, TypeError), match=r"a list of them|no key|not iterable"):
        read.find_keys([b"k"])


class Holder:
    """What somebody may want commands to be methods of."""

    def method(self, call: Any) -> None: ...


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (lambda: command(_nothing), "a command is declared with its name"),
        (lambda: command(5), "a command is declared with its name"),
        (lambda: command("a.b", flags=["write"]), "a.b: flags and acl are words of one text"),
        (lambda: command("a.b", acl=None), "a.b: flags and acl are words of one text"),
        (lambda: command("a.b", summary=5), "a.b: summary, complexity and since are text"),
        (lambda: command("a.b", complexity=None), "a.b: summary, complexity and since are text"),
        (lambda: command("a.b", since=1.0), "a.b: summary, complexity and since are text"),
        (lambda: command("a.b")(print), "<built-in function print> is no function written in Python"),
        (lambda: command("a.b")(5), "5 is no function written in Python"),
        (lambda: command("a.b")(Holder.method), "Holder.method is a method"),
        (lambda: every(seconds="60"), "a number of seconds"),
        (lambda: every(seconds=0), "a number of seconds"),
        (lambda: every(seconds=60, keys=[5]), "a int is no key and no pattern"),
        (lambda: on(_nothing), "is no event: a hook is declared with its name"),
        (lambda: on("expired", pattern=5), "a int is no key and no pattern"),
    ],
)
def test_what_a_decorator_cannot_take_is_told_where_it_stands(declare: Any, reason: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        declare()
    assert reason in str(raised.value)


def _one(call: Any) -> None: ...


def _two(call: Any, event: Any) -> None: ...


@pytest.mark.parametrize(
    ("declare", "function", "reason"),
    [
        (every(seconds=1), _asynchronous, "a job is a plain function"),
        (every(seconds=1), _asynchronous_generator, "a job is a plain function"),
        (every(seconds=1), _nothing, "it is called with the call: too many positional arguments"),
        (every(seconds=1), _two, "it is called with the call: missing a required argument: 'event'"),
        (on("set"), _asynchronous, "a hook is a plain function"),
        (on("set"), _one, "it is called with the call and the event: too many positional arguments"),
        (on("set"), _keyword_only, "it is called with the call and the event"),
    ],
)
def test_a_job_or_a_hook_that_could_not_be_executed_is_refused(declare: Any, function: Any, reason: str) -> None:
    (declared,) = declared_by(declare(functools.partial(function)))
    with pytest.raises(DeclarationError) as raised:
        check_task(declared)  # type: ignore[arg-type]
    assert reason in str(raised.value)


def test_a_job_or_a_hook_may_be_whatever_can_be_called_so() -> None:
    for declare, function in (
        (every(seconds=1), _one),
        (every(seconds=1), lambda *given: None),
        (every(seconds=1), print),
        (on("set"), _two),
        (on("set"), lambda call, event=None: None),
    ):
        for declared in declared_by(declare(functools.partial(function))):
            check_task(declared)  # type: ignore[arg-type]


def test_declarations_stay_with_their_functions() -> None:
    @on("expired")
    @every(seconds=1)
    @command("a.b")
    def function(call: Any) -> int:
        return 7

    assert function(None) == 7
    assert len(declared_by(function)) == 3
    with pytest.raises(DeclarationError):
        every(seconds=0)
    with pytest.raises(DeclarationError):
        on("")
    with pytest.raises(DeclarationError):
        on("del", keys="some")
