"""The decorators of the extension API. They leave functions as they are, so that these can be tested by themselves.

    @sherd.command("rate.limit", keys=1, flags="write fast", summary="Counts a hit and tells whether it may pass.")
    def rate_limit(call: sherd.Call, key: bytes, limit: int, window_seconds: int) -> bool: ...

    @sherd.every(seconds=60)
    def tidy_up(call: sherd.Call) -> None: ...

    @sherd.on("expired", pattern="session:*")
    def session_ended(call: sherd.Call, event: sherd.Event) -> None: ...

What is declared is kept with the function, and found there when its module has been loaded. Rejected: a registry that
the decorators fill, for what it has of a module that failed to load, or was loaded again, would have to be found out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sherd.errors import DeclarationError

Function = TypeVar("Function", bound=Callable[..., Any])
FindKeys = Callable[..., Sequence["bytes | str"]]

ATTRIBUTE = "__sherd_declared__"
PERIOD_SECONDS_MIN = 0.01


@dataclass(frozen=True, slots=True)
class DeclaredCommand:
    """A command as it was declared; `specification` reads it.

    keys: how many arguments are keys, from the first on; or the numbers of those that are, from 1 on; or a function
    that returns the keys, given the arguments; or "all".
    """

    name: str
    function: Callable[..., Any]
    keys: int | tuple[int, ...] | FindKeys | str
    flags: tuple[str, ...]
    acl: tuple[str, ...]
    summary: str
    complexity: str
    since: str


@dataclass(frozen=True, slots=True)
class DeclaredJob:
    """A function that is executed again and again. keys: those that it may use, None for all."""

    function: Callable[..., Any]
    seconds: float
    keys: tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True)
class DeclaredHook:
    """A function that is executed after a keyspace event. all_keys: it may use all, not just that of the event."""

    function: Callable[..., Any]
    event: str
    pattern: bytes
    all_keys: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A keyspace event: its name (`expired`, `del`, ...), its key, and the database of the key."""

    name: str
    key: bytes
    db: int


Declared = DeclaredCommand | DeclaredJob | DeclaredHook


def declared_by(function: object) -> tuple[Declared, ...]:
    """What was declared of a function; nothing of anything else."""
    found = getattr(function, "__dict__", {}).get(ATTRIBUTE, ())
    return found if isinstance(found, tuple) else ()


def _declare(function: Function, declared: Declared) -> Function:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_argcount and code.co_varnames[0] in ("self", "cls"):
        raise DeclarationError(
            f"{name_of(function)} is a method, and there is no object to call it on: take a function"
        )
    try:
        setattr(function, ATTRIBUTE, (*declared_by(function), declared))
    except AttributeError:
        # Nothing can be kept with what is built in, nor with what is no function at all.
        raise DeclarationError(f"{function!r} is no function written in Python: declare one that calls it") from None
    return function


def command(
    name: str,
    *,
    keys: int | Sequence[int] | FindKeys | str = 0,
    flags: str = "write",
    summary: str = "",
    complexity: str = "O(1)",
    acl: str = "",
    since: str = "1.0.0",
) -> Callable[[Function], Function]:
    """Declare a command. It is atomic over its keys, and its function may use no others.

    keys: a number (that many arguments, from the first on), argument numbers from 1 on (`(1, 3)`), a function that
    returns the keys when it is given the arguments, or "all". flags: words of COMMAND INFO; one that is not `write` may
    not write. acl: further ACL categories. Without a summary the first line of the function's docstring is taken.
    """
    if not _is_text(name):
        raise DeclarationError('a command is declared with its name, as in @sherd.command("app.name")')
    if not (_is_text(flags) and _is_text(acl)):
        raise DeclarationError(f'{name}: flags and acl are words of one text, as in flags="write fast"')
    if not (_is_text(summary) and _is_text(complexity) and _is_text(since)):
        raise DeclarationError(f"{name}: summary, complexity and since are text")

    def declare(function: Function) -> Function:
        own_keys = keys if isinstance(keys, str) or callable(keys) or not isinstance(keys, Iterable) else tuple(keys)
        text = summary or next(iter((function.__doc__ or "").strip().splitlines()), "")
        declared = DeclaredCommand(
            name=name,
            function=function,
            keys=own_keys,
            flags=tuple(flags.split()),
            acl=tuple(acl.split()),
            summary=text,
            complexity=complexity,
            since=since,
        )
        return _declare(function, declared)

    return declare


def every(*, seconds: float, keys: Sequence[bytes | str] | str = "all") -> Callable[[Function], Function]:
    """Declare a job: its function is executed every so many seconds, atomically over the keys that are listed, or all.

    A job that takes longer than its period is not begun a second time meanwhile.
    """
    if not (_is_number(seconds) and PERIOD_SECONDS_MIN <= seconds < float("inf")):
        raise DeclarationError(f"a job's period is a number of seconds, at least {PERIOD_SECONDS_MIN}")
    if isinstance(keys, str) and keys != "all":
        raise DeclarationError('keys of a job are a list of them, or "all"')
    own_keys = None if isinstance(keys, str) else tuple(to_bytes(key) for key in keys)

    def declare(function: Function) -> Function:
        return _declare(function, DeclaredJob(function, seconds, own_keys))

    return declare


def on(event: str, *, pattern: bytes | str = b"*", keys: str = "event") -> Callable[[Function], Function]:
    """Declare a hook: its function is executed after each event of that name with a key that the glob pattern matches.

    It may use that key, or all with keys="all". Whatever `notify-keyspace-events` says, the event is raised for it.
    """
    if keys not in ("event", "all"):
        raise DeclarationError('keys of a hook are "event" or "all"')
    if not (_is_text(event) and event):
        raise DeclarationError(f'{event!r} is no event: a hook is declared with its name, as in @sherd.on("expired")')

    own_pattern = to_bytes(pattern)

    def declare(function: Function) -> Function:
        return _declare(function, DeclaredHook(function, event, own_pattern, keys == "all"))

    return declare


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called, or what can be called like one and has no name of its own."""
    named = function.func if isinstance(function, functools.partial) else function
    return str(getattr(named, "__qualname__", type(named).__qualname__))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def to_bytes(text: object) -> bytes:
    """A key or a pattern as clients write it; raises DeclarationError for what is neither text nor bytes.

    Not what `bytes` makes of a number: so many zeros.
    """
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes | bytearray):
        return bytes(text)
    raise DeclarationError(f"a {type(text).__name__} is no key and no pattern: these are bytes or str")
