"""Configuration values in the form that the data plane takes: whole numbers by name.

The data plane says which settings it has and which number stands for a word (`native.setting_table`); every parameter
of one of these names goes down. What is no single value is taken apart here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sherd import native
from sherd.config import Config

_ROWS: Mapping[str, native.SettingRow] = {row["name"]: row for row in native.setting_table()}
_BUFFER_LIMITS = "client-output-buffer-limit"
_CLASSES = {"normal": 0, "replica": 1, "pubsub": 2}
"""The classes of clients that the data plane has, by their places in the directive."""
_PARTS = {name: [f"output-limit-{name}-{part}" for part in ("hard", "soft", "seconds")] for name in _CLASSES}
_ALL_PARTS = {part for parts in _PARTS.values() for part in parts}


def native_settings(config: Config, names: Iterable[str] | None = None) -> dict[str, int]:
    """The settings that follow from the configuration, or from some of its parameters."""
    settings: dict[str, int] = {}
    for name in (*_ROWS, _BUFFER_LIMITS) if names is None else names:
        if name == _BUFFER_LIMITS:
            settings.update(_buffer_limits(config))
        elif name in _ROWS and name not in _ALL_PARTS:
            settings[name] = _number(_ROWS[name], config.get(name))
    return settings


def _number(row: native.SettingRow, value: Any) -> int:
    numbers = row["numbers"]
    if row["adds_up"]:
        bits = 0
        for letter in value:
            bits |= numbers[letter]
        return bits
    # Redis has limits of 64 bits without a sign, which no memory has.
    return numbers[value] if numbers else min(int(value), row["greatest"])


def _buffer_limits(config: Config) -> dict[str, int]:
    limits = config.get_tuple(_BUFFER_LIMITS)
    return {
        part: number
        for name, place in _CLASSES.items()
        for part, number in zip(_PARTS[name], limits[place], strict=True)
    }
