"""Reading the configuration: redis.conf, then the environment, then the command line; the later one wins.

Files are read as Redis reads them: quoting, `include` with patterns, repeated directives. The environment has
`SHERD_<DIRECTIVE>` (dashes as underscores), for secrets also `SHERD_<DIRECTIVE>_FILE`, and REDIS_PASSWORD[_FILE]. The
command line has `--directive value ...`, where a bare `--save` means `--save ""`, and one argument may hold directive
and value together.

All three become `Directive`s and go through one function, so a value is checked the same way wherever it stands.
Everything that is wrong is a ConfigFileError, whose text is one line. Secrets never appear in it. A start ends with the
first one; `check-config` collects them, so what is wrong is handed to a function that raises it or keeps it.
"""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from sherd.config.kinds import Value
from sherd.config.lexer import UnbalancedQuotesError, split_words
from sherd.config.parameter import ConfigParam
from sherd.config.renames import RenamedCommand
from sherd.config.store import Config, Source, parse_value
from sherd.config.table import BY_NAME
from sherd.config.user_line import UserLine
from sherd.errors import ConfigError, ConfigFileError, ValueRefusedError
from sherd.record import record

INCLUDE_DEPTH_MAX = 16
FILE_BYTES_MAX = 64 * 1024 * 1024
SECRET_BYTES_MAX = 64 * 1024
_REFUSED = {
    "loadmodule": "modules in machine code can't be loaded here",
}
ErrorSink = Callable[[ConfigError], None]
_UNKNOWN = "Bad directive or wrong number of arguments"
# What Kubernetes puts into the environment for a Service that is called "sherd".
# Of the project's own tests and benchmarks.
_OF_DEVELOPERS = ("SHERD_TEST_", "SHERD_BENCH_")
_SERVICE_LINK = re.compile(r"SHERD_(.*_)?(SERVICE_HOST|SERVICE_PORT.*|PORT_\d+_(TCP|UDP).*)")


@record
class Directive:
    """One setting as it was written: where, the text for messages, and its words."""

    origin: str
    line: int
    text: str
    words: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it stands: `file:line`, or which of the other sources."""
        return f"{self.origin}:{self.line}" if self.line else self.origin

    def error(self, reason: str) -> ConfigFileError:
        """The failure of this directive; a secret's value is left out of the message."""
        parameter = BY_NAME.get(self.words[0].lower()) if self.words else None
        is_secret = parameter is not None and parameter.sensitive
        text = f"{self.words[0]} ..." if is_secret else self.text
        if self.words and self.words[0].lower() == "user":
            # Rules may hold passwords.
            text = " ".join([*self.words[:2], "..."])
        return ConfigFileError(self.origin, self.line, text, reason)


def _raise(error: ConfigError) -> None:
    raise error


def load_config(
    config_file: str | None = None,
    command_line: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    on_error: ErrorSink = _raise,
) -> Config:
    """The configuration that the three sources make; raises ConfigError with one clear line.

    `config_file` is a path or "-" for the standard input; `command_line` holds `--directive value ...` only. With
    another `on_error` whatever is wrong is passed to that and left out.
    """
    config = Config()
    if config_file is not None:
        _apply(config, _main_file(config_file, on_error), Source.FILE, on_error)
        if config_file != "-":
            config.config_file = Path(config_file).absolute()
    variables = os.environ if environment is None else environment
    _apply(config, _from_environment(variables, config, on_error), Source.ENVIRONMENT, on_error)
    _apply(config, _from_command_line(command_line, on_error), Source.COMMAND_LINE, on_error)
    config.choose_threads()
    if not (config.get_int("port") or config.get_int("tls-port") or config.get_str("unixsocket")):
        on_error(ConfigError("nothing to listen on: port and tls-port are 0 and there is no unixsocket"))
    return config


# ---- files


def _main_file(name: str, on_error: ErrorSink) -> Iterator[Directive]:
    try:
        yield from read_file(name, on_error)
    except ConfigError as error:
        on_error(error)


def read_file(name: str, on_error: ErrorSink = _raise, depth: int = 0) -> Iterator[Directive]:
    """The directives of a file and of all files that it includes, in order; raises ConfigError if it cannot be read."""
    for number, raw in enumerate(_read_text(name).split("\n"), start=1):
        line = raw.strip(" \t\r\n")
        if not line or line.startswith("#"):
            continue
        try:
            words = tuple(split_words(line))
        except UnbalancedQuotesError:
            on_error(ConfigFileError(name, number, line, "Unbalanced quotes in configuration line"))
            continue
        directive = Directive(name, number, line, words)
        if words and words[0].lower() == "include" and len(words) == 2:
            yield from _read_included(directive, on_error, depth)
        elif words:
            yield directive


def _read_included(directive: Directive, on_error: ErrorSink, depth: int) -> Iterator[Directive]:
    if depth >= INCLUDE_DEPTH_MAX:
        on_error(directive.error("files include each other too deeply"))
        return
    pattern = directive.words[1]
    names = [pattern]
    if any(mark in pattern for mark in "*?["):
        names = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
    for name in names:
        try:
            included = list(read_file(name, on_error, depth + 1))
        except ConfigFileError:
            raise
        except ConfigError as error:
            on_error(directive.error(str(error)))
            continue
        yield from included


def _read_text(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.buffer.read(FILE_BYTES_MAX).decode("utf-8", "surrogateescape")
        with Path(name).open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"can't open config file '{name}': {reason}") from error


# ---- environment


def _from_environment(environment: Mapping[str, str], config: Config, on_error: ErrorSink) -> Iterator[Directive]:
    given = {
        name: value
        for name, value in environment.items()
        if name.startswith("SHERD_") and not name.startswith(_OF_DEVELOPERS)
    }
    for secret in ("REDIS_PASSWORD", "REDIS_PASSWORD_FILE"):
        if secret in environment and not {"SHERD_REQUIREPASS", "SHERD_REQUIREPASS_FILE"} & given.keys():
            given[secret] = environment[secret]
    for variable, value in sorted(given.items()):
        if _SERVICE_LINK.fullmatch(variable) or re.match(r"(tcp|udp)://", value):
            continue
        try:
            directive = _environment_directive(variable, value)
        except ConfigFileError as error:
            on_error(error)
            continue
        if directive is None:
            config.warnings.append(f"environment variable {variable} names no directive and is ignored")
        else:
            yield directive


def _environment_directive(variable: str, value: str) -> Directive | None:
    plain = "requirepass" if variable == "REDIS_PASSWORD" else _directive_name(variable)
    if plain in BY_NAME:
        return _make_environment_directive(variable, plain, value)
    if not variable.endswith("_FILE"):
        return None
    secret = "requirepass" if variable == "REDIS_PASSWORD_FILE" else _directive_name(variable.removesuffix("_FILE"))
    if secret not in BY_NAME or not BY_NAME[secret].sensitive:
        return None
    return _make_environment_directive(variable, secret, _read_secret(variable, value))


def _directive_name(variable: str) -> str:
    return variable.removeprefix("SHERD_").lower().replace("_", "-")


def _make_environment_directive(variable: str, name: str, value: str) -> Directive:
    words: Sequence[str] = [value]
    if BY_NAME[name].multi:
        try:
            words = split_words(value) or [""]
        except UnbalancedQuotesError as error:
            raise ConfigFileError("environment", 0, f"{variable}={value}", "unbalanced quotes") from error
    return Directive("environment", 0, f"{variable}={value}", (name, *words))


def _read_secret(variable: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(SECRET_BYTES_MAX).decode("utf-8", "surrogateescape").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigFileError("environment", 0, f"{variable}={path}", f"can't read the file: {reason}") from error


# ---- command line


def _from_command_line(arguments: Sequence[str], on_error: ErrorSink) -> Iterator[Directive]:
    words: list[str] = []
    value_expected = False
    for index, argument in enumerate(arguments):
        if argument.startswith("--") and len(argument) > 2 and not value_expected:
            if words:
                yield _command_line_directive(words)
            try:
                words = _option_words(argument)
            except ConfigFileError as error:
                on_error(error)
                words = []
                continue
            following = arguments[index + 1] if index + 1 < len(arguments) else "--"
            if words[0].lower() == "save" and len(words) == 1 and following.startswith("--"):
                words.append("")
            value_expected = len(words) == 1
        elif words:
            words.append(argument)
            value_expected = False
        else:
            on_error(ConfigError(f"unexpected argument '{argument}': directives are written --directive value"))
    if words:
        yield _command_line_directive(words)


def _option_words(argument: str) -> list[str]:
    """`--port` alone, `--port 6380` in one argument, or `--port=6380`."""
    try:
        words = split_words(argument[2:])
    except UnbalancedQuotesError as error:
        raise ConfigFileError("command line", 0, argument, "Unbalanced quotes in configuration line") from error
    if not words:
        raise ConfigFileError("command line", 0, argument, _UNKNOWN)
    name, equals, value = argument[2:].partition("=")
    return [name, value] if equals and name.lower() in BY_NAME else words


def _command_line_directive(words: Sequence[str]) -> Directive:
    text = "--" + " ".join(word or '""' for word in words)
    return Directive("command line", 0, text, tuple(words))


# ---- applying


def _apply(config: Config, directives: Iterator[Directive], source: Source, on_error: ErrorSink) -> None:
    """Put every directive into `config`; lines that add up do so within one source and replace an earlier one's."""
    seen: set[str] = set()
    for directive in directives:
        try:
            _apply_one(config, directive, source, seen)
        except ConfigFileError as error:
            on_error(error)


def _apply_one(config: Config, directive: Directive, source: Source, seen: set[str]) -> None:
    name = directive.words[0].lower()
    if name == "rename-command":
        config.renamed_commands.append(_parse_rename(directive))
        return
    if name == "user":
        if len(directive.words) < 2:
            raise directive.error("wrong number of arguments")
        config.user_lines.append(UserLine(directive.words[1:], directive.error))
        return
    parameter = BY_NAME.get(name)
    if parameter is None:
        _refuse(directive)
    current = config.get(parameter.name)
    value = _parse_directive(directive, parameter, current)
    if parameter.kind.accumulates and parameter.name in seen and value:
        assert isinstance(current, tuple)
        assert isinstance(value, tuple)
        value = current + value
    seen.add(parameter.name)
    config.put(parameter, value, source)
    config.places[parameter.name] = directive.place


def _parse_rename(directive: Directive) -> RenamedCommand:
    """`rename-command old new`, with an empty new name for a command that shall not be there."""
    if len(directive.words) != 3:
        raise directive.error("wrong number of arguments")
    old, new = (word.lower().encode("utf-8", "surrogateescape") for word in directive.words[1:])
    return RenamedCommand(old, new, directive.error)


def _parse_directive(directive: Directive, parameter: ConfigParam, current: Value) -> Value:
    words: Sequence[str] = directive.words[1:]
    if parameter.multi and len(words) == 1 and words[0]:
        try:
            words = split_words(words[0])
        except UnbalancedQuotesError as error:
            raise directive.error("Unbalanced quotes in configuration line") from error
    if (len(words) > 1 and not parameter.multi) or not (words or parameter.kind.may_be_empty):
        raise directive.error("wrong number of arguments")
    try:
        return parse_value(parameter, words, current)
    except ValueRefusedError as error:
        raise directive.error(str(error)) from error


def _refuse(directive: Directive) -> NoReturn:
    """Directives that are no parameters."""
    name, arguments = directive.words[0].lower(), directive.words[1:]
    if arguments and name in _REFUSED:
        # Ignoring one of these would leave a server open that its operator believes to be closed.
        raise directive.error(_REFUSED[name])
    raise directive.error(_UNKNOWN + did_you_mean(name, BY_NAME))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'port'?)`, or nothing where no known word is near."""
    import difflib  # for a mistake only

    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.7)
    return f" (did you mean '{close[0]}'?)" if close else ""
