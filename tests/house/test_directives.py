"""No directive promises what nothing does: what is accepted has a reader, means "off", or is listed as without effect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sherd.config import BY_NAME, PARAMETERS, Config, ConfigParam
from sherd.server.settings import native_settings
from sherd.server.tls import TLS_PARAMETERS

root = Path(__file__).parents[2]

# How the control plane reads a parameter.
_READER = re.compile(r"\b(?:get_bool|get_int|get_str|get_tuple|_text)\(\s*\"([a-z0-9-]+)\"")
# How what is handed down as a whole is read on the other side.
_HANDED_DOWN = re.compile(r"\b(?:text|on)\(\"(tls-[a-z-]+)\"\)")
_SETTING = re.compile(r'^    (\w+) = [^,;]+, "([a-z-]+)"', re.MULTILINE)


def _read_by_python() -> set[str]:
    """The table declares and `check-config` tells, which is no effect."""
    package = root / "src" / "sherd"
    files = (file for file in package.glob("**/*.py") if file.parent.name != "table" and file.name != "check.py")
    return {name for file in files for name in _READER.findall(file.read_text())}


def _read_by_rust() -> set[str]:
    """Names of settings whose field is read somewhere else than where it is declared, tests left out."""
    declared = (root / "shards" / "src" / "server" / "settings.rs").read_text()
    sources = [
        file.read_text().partition("#[cfg(test)]\nmod ")[0]
        for crate in ("shards", "ioth", "native")
        for file in (root / crate / "src").glob("**/*.rs")
        if file.name != "settings.rs" and "tests" not in file.parts and not file.stem.endswith("_tests")
    ]
    text = "\n".join([*sources, declared.partition("settings! {\n    /// Bytes")[0]])
    read = set(re.findall(r"\.(\w+)\.(?:get|on|size)\(\)", text))
    handed_down = set(_HANDED_DOWN.findall((root / "native" / "src" / "tls.rs").read_text()))
    return {name for field, name in _SETTING.findall(declared) if field in read} | handed_down


READ_BY_PYTHON, READ_BY_RUST = _read_by_python(), _read_by_rust()


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_directive_has_a_reader_or_says_that_it_has_none(parameter: ConfigParam) -> None:
    config = Config()
    pushed = {*native_settings(config, [parameter.name]), *({parameter.name} & set(TLS_PARAMETERS))} & READ_BY_RUST
    read = bool(pushed) or parameter.name in READ_BY_PYTHON
    if parameter.inert:
        assert not read, "it has a reader, so it is not without effect"
    elif not parameter.capability:
        assert read, "nothing reads it: give it a reader, or mark it as inert"


def test_what_is_read_is_declared() -> None:
    assert BY_NAME.keys() >= READ_BY_PYTHON
    assert {"maxmemory", "min-replicas-to-write", "active-expire-effort", "latency-tracking"} <= READ_BY_RUST
