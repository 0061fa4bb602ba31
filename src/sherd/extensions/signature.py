"""Arguments of clients as the parameters of a function: which there may be, and how each is read.

A signature is read once, when a command is loaded. What it makes of an argument is a small function or, for `bytes`,
nothing; what cannot be read is the client's mistake, told with the parameter's name: `ERR rate.limit: limit must be an
integer`.
"""

from __future__ import annotations

import enum
import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from sherd.errors import CommandError, DeclarationError
from sherd.record import record

Converter = Callable[[bytes], Any]

_NUMBER = re.compile(
    rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|[+-]?inf(?:inity)?", re.IGNORECASE
)
_NUMBER_BYTES_MAX = 64
_TRUE = frozenset({b"1", b"true", b"yes", b"on"})
_FALSE = frozenset({b"0", b"false", b"no", b"off"})
_LONG_MAX = 2**63 - 1


@record
class Parameter:
    """One parameter that a client gives, with its type in COMMAND DOCS; whether it may be left out, or repeated."""

    name: str
    type: str
    optional: bool = False
    repeated: bool = False


@record
class Signature:
    """What a function takes behind its call.

    least, most: how many arguments, the command's name not among them; `most` is None where the last is repeated.
    """

    command: str
    parameters: tuple[Parameter, ...]
    least: int
    most: int | None
    # By place; what is passed on as it came is not here.
    converters: tuple[tuple[int, Converter], ...]
    rest: Converter | None
    # Parameters up to this one that are left out are None, for they have no default.
    filled: int = 0

    @property
    def arity(self) -> int:
        """As in COMMAND INFO: the name counts, negative means "at least"."""
        return self.least + 1 if self.most == self.least else -(self.least + 1)

    def convert(self, args: list[bytes]) -> list[Any]:
        """The arguments as the function takes them; raises CommandError for those that cannot be read."""
        count = len(args)
        if count < self.least or (self.most is not None and count > self.most):
            raise CommandError(f"ERR wrong number of arguments for '{self.command}' command")
        values: list[Any] = args
        for place, convert in self.converters:
            if place >= count:
                break
            values[place] = convert(args[place])
        if self.rest is not None:
            first = len(self.parameters) - 1
            values[first:] = map(self.rest, args[first:])
        if count < self.filled:
            values += [None] * (self.filled - count)
        return values


def check_plain(name: str, function: Callable[..., Any], kind: str = "command") -> None:
    """Raises DeclarationError for a function whose call would not execute it."""
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if asynchronous or inspect.isgeneratorfunction(function):
        raise DeclarationError(f"{name}: a {kind} is a plain function, which holds its shards until it returns")


def check_parameters(name: str, function: Callable[..., Any], *given: str) -> None:
    """Raises DeclarationError for a job or a hook that cannot be called with what it is given."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # of something in C: it says so itself when it is called
    try:
        signature.bind(*given)
    except TypeError as error:
        raise DeclarationError(f"{name}: it is called with {' and '.join(given)}: {error}") from error


def read_signature(name: str, function: Callable[..., Any]) -> Signature:
    """The signature of a command's function; raises DeclarationError for one that no client could call."""
    check_plain(name, function)
    try:
        given = list(inspect.signature(function).parameters.values())
        hints = _hints(function, [parameter.name for parameter in given[1:]])
    except (NameError, TypeError, ValueError) as error:
        raise DeclarationError(f"{name}: its signature cannot be read: {error}") from error
    if not given or given[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise DeclarationError(f"{name}: its first parameter is the call")
    parameters: list[Parameter] = []
    converters: list[tuple[int, Converter]] = []
    rest: Converter | None = None
    filled = 0
    for parameter in given[1:]:
        if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
            raise DeclarationError(f"{name}: clients have no keyword arguments, such as {parameter.name}")
        repeated = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        kind, converter, nullable = _read(name, parameter.name, hints.get(parameter.name, bytes))
        optional = not repeated and (nullable or parameter.default is not inspect.Parameter.empty)
        if parameters and parameters[-1].optional and not (optional or repeated):
            raise DeclarationError(f"{name}: {parameter.name} stands behind a parameter that may be left out")
        if nullable and parameter.default is inspect.Parameter.empty and not repeated:
            filled = len(parameters) + 1
        if converter is not None and repeated:
            rest = converter
        elif converter is not None:
            converters.append((len(parameters), converter))
        parameters.append(Parameter(parameter.name, kind, optional, repeated))
    least = sum(not (parameter.optional or parameter.repeated) for parameter in parameters)
    most = None if parameters and parameters[-1].repeated else len(parameters)
    return Signature(name, tuple(parameters), least, most, tuple(converters), rest, filled)


def _hints(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """The annotations of these parameters. The call's own need not mean anything where it is read."""
    own = inspect.unwrap(function)
    if isinstance(own, functools.partial):
        own = inspect.unwrap(own.func)
    elif not inspect.isroutine(own):
        own = type(own).__call__
    wanted = {name: hint for name, hint in getattr(own, "__annotations__", {}).items() if name in names}
    holder = type("Hints", (), {"__annotations__": wanted})
    return typing.get_type_hints(holder, globalns=getattr(own, "__globals__", {}))


def _read(command: str, name: str, annotation: Any) -> tuple[str, Converter | None, bool]:
    """The type in COMMAND DOCS of an annotation, what converts an argument to it, and whether it may be None."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _read(command, name, typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        if len(members) == 1:
            kind, converter, _ = _read(command, name, members[0])
            return kind, converter, True
    prefix = f"ERR {command}: {name}"
    if origin is typing.Literal:
        words = typing.get_args(annotation)
        if all(isinstance(word, str) for word in words):
            return "string", _one_of(prefix, {word.lower(): word for word in words}), False
    if annotation in (bytes, Any, object):
        return "string", None, False
    if annotation is str:
        return "string", _text(prefix), False
    # bool is an int.
    if annotation is bool:
        return "string", _boolean(prefix), False
    if annotation is int:
        return "integer", _integer(prefix), False
    if annotation is float:
        return "double", _double(prefix), False
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "string", _one_of(prefix, _choices(annotation)), False
    raise DeclarationError(
        f"{command}: {name} is a {annotation!r}; bytes, str, int, float, bool, enums, literals and None are understood"
    )


def _choices(enumeration: type[enum.Enum]) -> dict[str, enum.Enum]:
    """Members by what a client writes: their values where these are text or numbers, else their names."""
    members = list(enumeration)
    if all(isinstance(member.value, str | int) for member in members) and not issubclass(enumeration, enum.Flag):
        return {str(member.value).lower(): member for member in members}
    return {member.name.lower(): member for member in members}


def _text(prefix: str) -> Converter:
    def convert(argument: bytes) -> str:
        try:
            return argument.decode()
        except UnicodeDecodeError:
            raise CommandError(f"{prefix} must be text in UTF-8") from None

    return convert


def _integer(prefix: str) -> Converter:
    def convert(argument: bytes) -> int:
        try:
            value = int(argument)
        except ValueError:
            raise CommandError(f"{prefix} must be an integer") from None
        # Python reads more than one way to write it: spaces, underscores, leading zeros.
        if b"%d" % value != argument:
            raise CommandError(f"{prefix} must be an integer")
        if not -_LONG_MAX - 1 <= value <= _LONG_MAX:
            raise CommandError(f"{prefix} must be an integer of 64 bits")
        return value

    return convert


def _double(prefix: str) -> Converter:
    def convert(argument: bytes) -> float:
        if len(argument) > _NUMBER_BYTES_MAX or not _NUMBER.fullmatch(argument):
            raise CommandError(f"{prefix} must be a number")
        value = float(argument)
        # One too large reads as infinite.
        if math.isinf(value) and b"inf" not in argument.lower():
            raise CommandError(f"{prefix} must be a number")
        return value

    return convert


def _boolean(prefix: str) -> Converter:
    def convert(argument: bytes) -> bool:
        word = argument.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise CommandError(f"{prefix} must be 1 or 0, true or false, yes or no, on or off")

    return convert


def _one_of(prefix: str, choices: dict[str, Any]) -> Converter:
    by_word = {word.encode(): choice for word, choice in choices.items()}
    names = ", ".join(choices)

    def convert(argument: bytes) -> Any:
        try:
            return by_word[argument.lower()]
        except KeyError:
            raise CommandError(f"{prefix} must be one of {names}") from None

    return convert
