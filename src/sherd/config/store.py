"""The configuration in use: typed values, where each came from, and all-or-nothing changes.

`Config` is the single holder. Code reads it by parameter name, CONFIG GET reads the text form, CONFIG SET changes
several values at once: all are checked first, then stored, then the listeners are told the names that changed. A
listener that cannot make a value take effect (a port that is taken) raises ConfigApplyError, and everything goes back
to what it was.

Listeners are called in the thread of the event loop, the only one that changes a configuration; the data plane gets
what concerns it from a listener of the server, never by reading here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import Any

from sherd.config.cores import available_cores, default_threads
from sherd.config.kinds import Value
from sherd.config.parameter import ConfigParam
from sherd.config.renames import RenamedCommand
from sherd.config.table import BY_NAME, PARAMETERS
from sherd.config.user_line import UserLine
from sherd.errors import ConfigApplyError, ConfigSetError, ValueRefusedError

Listener = Callable[[frozenset[str]], None]

# What CONFIG GET's patterns choose from, and every name as clients write it.
_SHOWN_NAMES = tuple(name for name, parameter in BY_NAME.items() if not parameter.hidden)
_SHOWN_NAMES_ENCODED = [name.encode() for name in _SHOWN_NAMES]
_NAME_OF = {name.encode(): name for name in BY_NAME}


class Source(Enum):
    """Where a value came from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"
    RUNTIME = "CONFIG SET"


class Config:
    """All parameters with their current values.

    config_file: the file that was read, which CONFIG REWRITE writes. warnings: lines for the log, noticed while the
    configuration was read. automatic: names whose value was left to the server (`io-threads auto`).
    renamed_commands: in the order of their directives, which is that of their effect. user_lines: users that the
    configuration names; changed_user_lines: tells the lines that make the present ones, once any was changed.
    """

    def __init__(self) -> None:
        self._values: dict[str, Value] = {parameter.name: parameter.default for parameter in PARAMETERS}
        self._values["dir"] = str(Path.cwd())
        self._sources: dict[str, Source] = dict.fromkeys(self._values, Source.DEFAULT)
        # Texts of values that CONFIG GET was asked for; forgotten when the value changes.
        self._texts: dict[str, str] = {}
        self._listeners: list[Listener] = []
        # Where each value that did not come from the table stands: `file:line`, `environment` or `command line`.
        self.places: dict[str, str] = {}
        self.config_file: Path | None = None
        self.warnings: list[str] = []
        self.automatic: set[str] = set()
        self.renamed_commands: list[RenamedCommand] = []
        self.user_lines: list[UserLine] = []
        self.changed_user_lines: Callable[[], list[str]] | None = None

    # ---- reading

    def get(self, name: str) -> Value:
        """The value of a parameter, by its name or an alias."""
        return self._values[BY_NAME[name].name]

    def get_bool(self, name: str) -> bool:
        """The value of a yes/no parameter."""
        value = self.get(name)
        assert isinstance(value, bool), name
        return value

    def get_int(self, name: str) -> int:
        """The value of a number or memory parameter; a percentage is negative."""
        value = self.get(name)
        assert isinstance(value, int), name
        return value

    def get_str(self, name: str) -> str:
        """The value of a string or enumeration parameter."""
        value = self.get(name)
        assert isinstance(value, str), name
        return value

    def get_tuple(self, name: str) -> tuple[Any, ...]:
        """The value of a parameter that holds several items."""
        value = self.get(name)
        assert isinstance(value, tuple), name
        return value

    def source(self, name: str) -> Source:
        """Where the current value came from."""
        return self._sources[BY_NAME[name].name]

    def text(self, name: str) -> str:
        """The value as CONFIG GET gives it."""
        parameter = BY_NAME[name]
        text = self._texts.get(parameter.name)
        if text is None:
            text = self._texts[parameter.name] = parameter.kind.format(self._values[parameter.name])
        return text

    def matching(self, patterns: Iterable[bytes]) -> dict[bytes, str]:
        """CONFIG GET: names and values that match any pattern, aliases included, each name once.

        A name without wildcards comes back as the client wrote it, as Redis does. Only what matches is formatted, and a
        pattern is one call of the data plane's matcher: a transaction may ask for thousands of them.
        """
        found: dict[str, bytes] = {}
        for pattern in patterns:
            if not has_wildcard(pattern):
                name = _NAME_OF.get(pattern.lower())
                if name is not None:
                    found.setdefault(name, pattern)
                continue
            for place in _matching_names(pattern):
                found.setdefault(_SHOWN_NAMES[place], _SHOWN_NAMES_ENCODED[place])
        return {shown: self.text(name) for name, shown in found.items()}

    def without_effect(self) -> list[str]:
        """Names of parameters that have another value than their default, though nothing reads it in this version."""
        inert = (parameter for parameter in PARAMETERS if parameter.inert)
        return [
            parameter.name
            for parameter in inert
            if self._sources[parameter.name] is not Source.DEFAULT and self._values[parameter.name] != parameter.default
        ]

    # ---- changing

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` with the names that changed, after every change."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Call it no more; nothing happens where it was not called."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def put(self, parameter: ConfigParam, value: Value, source: Source) -> None:
        """Store a value while the configuration is read; listeners are not called."""
        self._values[parameter.name] = value
        self._texts.pop(parameter.name, None)
        self._sources[parameter.name] = source
        self.automatic.discard(parameter.name)

    def choose_threads(self, cores: int | None = None) -> None:
        """Fill in `io-threads` and `shards` where they were left to the server."""
        chosen = default_threads(cores or available_cores())
        for name, count in zip(("io-threads", "shards"), chosen, strict=True):
            if self._values[name] == 0:
                self._values[name] = count
                self._texts.pop(name, None)
                self.automatic.add(name)

    def set_many(self, pairs: Sequence[tuple[bytes, bytes]], *, local_client: bool = False) -> None:
        """CONFIG SET: all pairs or none.

        Raises ConfigSetError, whose text is Redis 8.0's reply after `ERR `. `local_client` says that the client is on
        this host, which `enable-protected-configs local` asks for.
        """
        names = [_decode(name) for name, _ in pairs]
        earlier: set[str] = set()
        for name in names:
            self._check_settable(name, earlier, local_client)
            earlier.add(name.lower())
        self._commit(self._parse_pairs(names, [_decode(value) for _, value in pairs]))

    def _check_settable(self, name: str, earlier: AbstractSet[str], local_client: bool) -> None:
        parameter = BY_NAME.get(name.lower())
        if parameter is None:
            raise ConfigSetError(f"Unknown option or number of arguments for CONFIG SET - '{name}'")
        if parameter.immutable:
            raise _refusal(name, "can't set immutable config")
        if parameter.protected and not self._protected_allowed(local_client):
            raise _refusal(name, "can't set protected config")
        if name.lower() in earlier:
            raise _refusal(name, "duplicate parameter")

    def _protected_allowed(self, local_client: bool) -> bool:
        permission = self.get_str("enable-protected-configs")
        return permission == "yes" or (permission == "local" and local_client)

    def _parse_pairs(self, names: Sequence[str], texts: Sequence[str]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, text in zip(names, texts, strict=True):
            parameter = BY_NAME[name.lower()]
            words = (text.split(" ") if text else []) if parameter.multi else [text]
            current = values.get(parameter.name, self._values[parameter.name])
            try:
                values[parameter.name] = parse_value(parameter, words, current)
            except ValueRefusedError as error:
                raise _refusal(name.lower(), str(error)) from error
        return values

    def _commit(self, values: dict[str, Value]) -> None:
        values_before, sources_before, automatic_before = dict(self._values), dict(self._sources), set(self.automatic)
        changed = frozenset(name for name, value in values.items() if value != values_before[name])
        for name, value in values.items():
            self.put(BY_NAME[name], value, Source.RUNTIME)
        told = 0
        try:
            for listener in self._listeners if changed else ():
                told += 1
                listener(changed)
        except Exception as error:
            # Whatever it was, a listener that could not follow must leave nothing half changed.
            self._values, self._sources, self.automatic = values_before, sources_before, automatic_before
            self._texts.clear()
            for listener in self._listeners[:told]:
                with contextlib.suppress(ConfigApplyError):
                    listener(changed)
            if isinstance(error, ConfigApplyError):
                raise _refusal(error.parameter, error.reason) from error
            raise


def has_wildcard(pattern: bytes) -> bool:
    """Whether a pattern could match more than one name; the test that CONFIG GET makes."""
    return any(mark in pattern for mark in (b"*", b"[", b"?"))


def _matching_names(pattern: bytes) -> Sequence[int]:
    if pattern == b"*":
        return range(len(_SHOWN_NAMES))
    # Reading a configuration needs no data plane; only CONFIG GET, which a server answers, does.
    from sherd.native import glob_filter

    return glob_filter(pattern, _SHOWN_NAMES_ENCODED, ignore_case=True)


def parse_value(parameter: ConfigParam, words: Sequence[str], current: Value) -> Value:
    """The value that `words` give a parameter; ValueRefusedError also where this version lacks the capability."""
    value = parameter.kind.parse(words, current)
    if parameter.capability and value != parameter.default:
        off = parameter.kind.format(parameter.default) or '""'
        raise ValueRefusedError(f"{parameter.capability} is not part of this version, only {off} is accepted")
    return value


def _refusal(name: str, reason: str) -> ConfigSetError:
    return ConfigSetError(f"CONFIG SET failed (possibly related to argument '{name}') - {reason}")


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
