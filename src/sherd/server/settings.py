"""Configuration values in the form that the data plane takes: whole numbers by name.

Most parameters go down under their own name; a parameter that is not a number is translated here. The data plane says
which names it knows; those that belong to capabilities it does not have are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sherd.config import Config

_INT64_MAX = 2**63 - 1

# The data plane's numbers for these words.
_POLICIES = (
    "noeviction",
    "allkeys-lru",
    "volatile-lru",
    "allkeys-lfu",
    "volatile-lfu",
    "allkeys-random",
    "volatile-random",
    "volatile-ttl",
)
_LOCALITIES = ("no", "yes", "local")
# Bits of event classes by their letters in notify-keyspace-events.
_EVENT_BITS: Mapping[str, int] = {letter: 1 << bit for bit, letter in enumerate("g$lshzxetmndKE")}
_ALL_EVENTS = "g$lshzxetd"
_BUFFER_LIMIT_PARTS = ("hard", "soft", "seconds")


def _event_bits(flags: str) -> dict[str, int]:
    letters = set(flags.replace("A", _ALL_EVENTS))
    return {"notify-keyspace-events": sum(_EVENT_BITS[letter] for letter in letters)}


def _buffer_limits(limits: tuple[tuple[int, int, int], ...]) -> dict[str, int]:
    """Limits of ordinary clients, the only class that the data plane has."""
    normal = limits[0]
    return {f"output-limit-normal-{part}": value for part, value in zip(_BUFFER_LIMIT_PARTS, normal, strict=True)}


_TRANSLATIONS: Mapping[str, Callable[[Any], dict[str, int]]] = {
    "maxmemory-policy": lambda word: {"maxmemory-policy": _POLICIES.index(word)},
    "enable-debug-command": lambda word: {"enable-debug-command": _LOCALITIES.index(word)},
    "notify-keyspace-events": _event_bits,
    "client-output-buffer-limit": _buffer_limits,
}


def native_settings(config: Config, names: Iterable[str] | None = None) -> dict[str, int]:
    """The settings that follow from the configuration, or from some of its parameters."""
    values = config.native_values()
    settings: dict[str, int] = {}
    for name in values if names is None else names:
        if name not in values:
            continue
        value = values[name]
        translate = _TRANSLATIONS.get(name)
        if translate is not None:
            settings.update(translate(value))
        elif isinstance(value, int):
            settings[name] = min(int(value), _INT64_MAX)
    return settings
