"""What one configuration parameter is: a row of the one table that CONFIG, the docs and `--help` are derived from.

The rows stand by topic in `sherd.config.table`. A row says everything: a reader of CONFIG GET, a writer of the
reference docs and the code that pushes limits to the data plane look at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sherd.config.kinds import Boolean, Enumeration, Integer, Kind, Memory, Text, Value
from sherd.record import record


@record
class ConfigParam:
    """One parameter.

    aliases: older names of the same value, each listed by CONFIG GET. immutable: only settable at start. protected:
    CONFIG SET refuses it unless `enable-protected-configs` allows it. sensitive: a secret, kept out of logs and of
    CONFIG REWRITE when it came from the environment. hidden: left out of CONFIG GET's patterns. inert: taken so that
    existing files load, changes nothing here. capability: what the parameter belongs to and this version lacks; then
    only `default` ("off") is accepted. What the data plane has a setting of goes down by its name.
    """

    name: str
    kind: Kind
    default: Value
    description: str
    aliases: tuple[str, ...] = ()
    immutable: bool = False
    protected: bool = False
    sensitive: bool = False
    hidden: bool = False
    inert: bool = False
    capability: str = ""

    @property
    def multi(self) -> bool:
        """Several words on one line belong to the value."""
        return self.kind.multi


def boolean(name: str, default: bool, description: str, **attributes: Any) -> ConfigParam:
    """A yes/no parameter."""
    return ConfigParam(name, Boolean(), default, description, **attributes)


def integer(name: str, bounds: tuple[int, int], default: int, description: str, **attributes: Any) -> ConfigParam:
    """A whole number within `bounds`, both included."""
    return ConfigParam(name, Integer(*bounds), default, description, **attributes)


def memory(name: str, bounds: tuple[int, int], default: int, description: str, **attributes: Any) -> ConfigParam:
    """A number of bytes within `bounds`, both included."""
    return ConfigParam(name, Memory(*bounds), default, description, **attributes)


def choice(name: str, names: str, default: str, description: str, **attributes: Any) -> ConfigParam:
    """One of the space-separated `names`."""
    return ConfigParam(name, Enumeration(tuple(names.split())), default, description, **attributes)


def text(
    name: str,
    default: str,
    description: str,
    check: Callable[[str], str | None] | None = None,
    **attributes: Any,
) -> ConfigParam:
    """A string, with an optional check that gives the reason of a refusal."""
    return ConfigParam(name, Text(check) if check else Text(), default, description, **attributes)
