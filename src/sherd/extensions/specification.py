"""A declared command as the data plane has it: arity and syntax from its signature, keys from what it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sherd.config import did_you_mean
from sherd.errors import DeclarationError
from sherd.extensions.declare import DeclaredCommand, DeclaredHook, DeclaredJob, Event, name_of, to_bytes
from sherd.extensions.signature import Parameter, Signature, check_parameters, check_plain, read_signature
from sherd.record import record, replace

if TYPE_CHECKING:
    from sherd import native

# With a dot or another sign a name never meets one that a later version of Redis or Valkey brings.
_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")
_FLAGS = frozenset(
    "write readonly denyoom admin noscript loading stale fast skip_monitor skip_slowlog may_replicate no_multi "
    "allow_busy no_async_loading".split()
)
KEYS_MAX = 1024


@record
class Command:
    """A command that can be executed, and what the data plane is told of it."""

    declared: DeclaredCommand
    signature: Signature
    spec: native.SpecDict
    find_keys: Callable[[list[bytes]], list[bytes]] | None

    @property
    def name(self) -> str:
        """What clients call it, in lower case."""
        return self.declared.name

    @property
    def keys(self) -> str:
        """What it names, in a word."""
        keys = self.declared.keys
        if isinstance(keys, int | str):
            return str(keys)
        return "function" if callable(keys) else " ".join(map(str, keys))

    def invoke(self) -> Callable[[Any, list[bytes]], Any]:
        """What executes it: given its call and the arguments as they came."""
        function, convert = self.declared.function, self.signature.convert

        def run(call: Any, args: list[bytes]) -> Any:
            return function(call, *convert(args))

        return run

    def native_form(self) -> native.ExtensionCommand:
        """For `native.Server.set_extensions`."""
        return {
            "spec": self.spec,
            "all_keys": self.declared.keys == "all",
            "find_keys": self.find_keys,
            "invoke": self.invoke(),
        }


def read_command(declared: DeclaredCommand) -> Command:
    """A command of what was declared; raises DeclarationError for what cannot be one."""
    name = declared.name
    if not _NAME.fullmatch(name):
        raise DeclarationError(f"{name!r} is no name of a command: lower-case letters, digits and . _ : - are")
    unknown = next((flag for flag in declared.flags if flag not in _FLAGS), None)
    if unknown is not None:
        raise DeclarationError(
            f"{name}: there is no flag '{unknown}' for a Python command{did_you_mean(unknown, _FLAGS)}"
        )
    if {"write", "readonly"} <= set(declared.flags):
        raise DeclarationError(f"{name}: a command is write or readonly")
    signature = read_signature(name, declared.function)
    places = _key_places(declared, signature)
    parameters = [
        replace(parameter, type="key") if place in places else parameter
        for place, parameter in enumerate(signature.parameters, start=1)
    ]
    spec: native.SpecDict = {
        "name": name,
        "summary": declared.summary or f"Calls {name_of(declared.function)}.",
        "since": declared.since,
        "history": [],
        "deprecated": None,
        "system": False,
        "complexity": declared.complexity,
        "group": "module",
        "arity": signature.arity,
        "flags": _flags(declared),
        "categories": list(declared.acl),
        "keys": _key_specs(declared, places),
        "syntax": _syntax(parameters),
        "tips": [],
        "secrets": [],
        "container": False,
    }
    return Command(declared, signature, spec, _find_keys(declared, signature))


def check_task(declared: DeclaredJob | DeclaredHook) -> None:
    """Raises DeclarationError for a job or a hook whose function could not be executed."""
    is_hook = isinstance(declared, DeclaredHook)
    name, function = name_of(declared.function), declared.function
    check_plain(name, function, "hook" if is_hook else "job")
    check_parameters(name, function, *(("the call", "the event") if is_hook else ("the call",)))
    if isinstance(declared, DeclaredHook):
        _check_event(name, declared.event)


def _check_event(hook: str, event: str) -> None:
    from sherd.native import event_names

    names = event_names()
    if event not in names:
        raise DeclarationError(f"{hook}: there is no event '{event}'{did_you_mean(event, names)}")


def job_form(number: int, declared: DeclaredJob) -> native.ExtensionTask:
    """A job for `native.Server.set_extensions`."""
    function = declared.function

    def run(call: Any, _nothing: list[Any]) -> None:
        function(call)

    return {
        "id": number,
        "name": name_of(function),
        "keys": None if declared.keys is None else list(declared.keys),
        "all_keys": declared.keys is None,
        "event": None,
        "pattern": b"",
        "invoke": run,
    }


def hook_form(number: int, declared: DeclaredHook) -> native.ExtensionTask:
    """A hook likewise."""
    function = declared.function

    def run(call: Any, event: list[Any]) -> None:
        function(call, Event(*event))

    return {
        "id": number,
        "name": name_of(function),
        "keys": None,
        "all_keys": declared.all_keys,
        "event": declared.event,
        "pattern": declared.pattern,
        "invoke": run,
    }


def _flags(declared: DeclaredCommand) -> list[str]:
    flags = [*declared.flags, "module"]
    return [*flags, "movablekeys"] if callable(declared.keys) else flags


def _key_places(declared: DeclaredCommand, signature: Signature) -> tuple[int, ...]:
    """The numbers of the arguments that are keys, from 1 on."""
    keys = declared.keys
    if callable(keys) or keys == "all":
        return ()
    numbers: tuple[object, ...] = keys if isinstance(keys, tuple) else (keys,)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise DeclarationError(f'{declared.name}: keys are a number, argument numbers, a function, or "all"')
    places = tuple(sorted(set(keys))) if isinstance(keys, tuple) else tuple(range(1, int(keys) + 1))
    wrong = next((place for place in places if not 1 <= place <= signature.least), None)
    if wrong is not None:
        raise DeclarationError(f"{declared.name}: argument {wrong} is to be a key, and there may be none")
    return places


def _key_specs(
    declared: DeclaredCommand, places: tuple[int, ...]
) -> list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]:
    access = "RW access update" if "write" in declared.flags else "RO access"
    if callable(declared.keys):
        return [(f"{access} incomplete", ("unknown",), ("unknown",))]
    if places and places == tuple(range(places[0], places[-1] + 1)):
        return [(access, ("index", places[0]), ("range", places[-1] - places[0], 1, 0))]
    return [(access, ("index", place), ("range", 0, 1, 0)) for place in places]


def _find_keys(declared: DeclaredCommand, signature: Signature) -> Callable[[list[bytes]], list[bytes]] | None:
    find = declared.keys
    if not callable(find):
        return None
    own = find

    def keys(args: list[bytes]) -> list[bytes]:
        # A list of its own, for what converts the arguments does so in place.
        names = own(*signature.convert(list(args)))
        if isinstance(names, str | bytes | bytearray):
            raise DeclarationError(f"{declared.name}: its function for keys returns a list of them, not one")
        found = [to_bytes(key) for key in names]
        if len(found) > KEYS_MAX:
            raise DeclarationError(f"{declared.name} names {len(found)} keys, more than {KEYS_MAX}")
        return found

    return keys


def _syntax(parameters: list[Parameter]) -> str:
    words = []
    for parameter in parameters:
        word = re.sub(r"[^a-z0-9-]", "", parameter.name.lower().replace("_", "-")).strip("-") or "argument"
        word = f"{word}:{parameter.type}"
        if parameter.repeated:
            words.append(f"[{word} ...]")
        else:
            words.append(f"[{word}]" if parameter.optional else word)
    return " ".join(words)
