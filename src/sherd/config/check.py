"""`sherd check-config`: everything that is wrong with a configuration or worth a word, at once, each with its place.

Errors keep the server from starting. Warnings do not: directives that nothing reads in this version, paths that cannot
be written, data that is not saved where a file of Redis means that it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sherd.config.load import load_config
from sherd.config.store import Config, Source
from sherd.config.table import BY_NAME
from sherd.errors import ConfigError
from sherd.record import record

NOTHING_SAVED = (
    'nothing is saved to disk: no save points are configured (save "" says that this is meant, save "3600 1" saves)'
)
WITHOUT_EFFECT = "has no effect in this version"


@record
class Finding:
    """One line about a configuration; an error keeps the server from starting."""

    is_error: bool
    text: str


def check_config(
    config_file: str | None = None,
    command_line: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    more: Callable[[Config], Iterable[str]] = lambda _config: (),
) -> list[Finding]:
    """All findings, errors first; `more` finds errors in what only upper layers understand."""
    errors: list[ConfigError] = []
    config = load_config(config_file, command_line, environment, errors.append)
    try:
        refuse_contradictions(config)
    except ConfigError as error:
        errors.append(error)
    errors += map(ConfigError, more(config))
    findings = [Finding(True, str(error)) for error in errors]
    findings += sorted(_path_findings(config), key=lambda finding: not finding.is_error)
    findings += [Finding(False, warning) for warning in config.warnings]
    # A line that could not be read may be the one that says so.
    if config_file is not None and not errors and config.source("save") is Source.DEFAULT:
        findings.append(Finding(False, f"{config_file}: {NOTHING_SAVED}"))
    for name, place in config.places.items():
        if BY_NAME[name].inert:
            findings.append(Finding(False, f"{place}: '{name}' {WITHOUT_EFFECT}"))
    return findings


def refuse_contradictions(config: Config) -> None:
    """Raise ConfigError for directives that are good by themselves and not together."""
    if config.get_bool("cluster-enabled") and config.get_tuple("replicaof"):
        raise ConfigError("replicaof directive not allowed in cluster mode")


def _path_findings(config: Config) -> Iterator[Finding]:
    """Paths that the server would write to and cannot. It starts without its pid file, and without the others not."""
    for name, fatal in (("logfile", True), ("unixsocket", True), ("pidfile", False)):
        path = config.get_str(name)
        reason = path and _why_not_writable(Path(path))
        if reason:
            yield Finding(fatal, f"{_place(config, name)}'{name} {path}': {reason}")
    directory = Path(config.get_str("dir"))
    if not os.access(directory, os.X_OK):
        yield Finding(True, f"{_place(config, 'dir')}'dir {directory}': the directory cannot be searched")
    elif ("dir" in config.places or _wants_folder(config)) and not os.access(directory, os.W_OK):
        yield Finding(
            _wants_folder(config), f"{_place(config, 'dir')}'dir {directory}': the directory cannot be written"
        )
    if config.config_file is not None and config.config_file.exists() and not os.access(config.config_file, os.W_OK):
        yield Finding(False, f"{config.config_file}: CONFIG REWRITE cannot write this file")


def _wants_folder(config: Config) -> bool:
    """Whether a start makes the directory of the append-only file."""
    return (
        config.get_bool("appendonly") and not (Path(config.get_str("dir")) / config.get_str("appenddirname")).is_dir()
    )


def _place(config: Config, name: str) -> str:
    place = config.places.get(name)
    return f"{place}: " if place else ""


def _why_not_writable(path: Path) -> str:
    """Why a file cannot be written, or ""; nothing is created to find out."""
    if path.is_dir():
        return "it is a directory"
    if path.exists():
        return "" if os.access(path, os.W_OK) else "the file cannot be written"
    if not path.absolute().parent.is_dir():
        return f"there is no directory {path.absolute().parent}"
    return "" if os.access(path.absolute().parent, os.W_OK | os.X_OK) else "its directory cannot be written"
