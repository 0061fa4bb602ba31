"""Typed errors of the control plane, one small tree.

Three kinds of failure stay apart: a client's mistake is an error *reply* (`CommandError`, whose text is the reply), an
operating failure is one of the other types here, and a broken invariant is an assertion. Each layer raises its own
type, so a caller that catches `ConfigError` never swallows a replication failure by accident.
"""

from __future__ import annotations


class SherdError(Exception):
    """Base of every error that Sherd raises on purpose."""


class ConfigError(SherdError):
    """A configuration that cannot be used: its text is one line for the operator."""


class ConfigFileError(ConfigError):
    """One line of a configuration source that cannot be used.

    `source` is the file, the environment variable or the command line; `line` counts from 1, or is 0 where the source
    has no lines; `text` is the offending line as it was written.
    """

    def __init__(self, source: str, line: int, text: str, reason: str) -> None:
        self.source = source
        self.line = line
        self.text = text
        self.reason = reason
        where = f"{source}:{line}" if line else source
        super().__init__(f"{where}: '{text}': {reason}" if text else f"{where}: {reason}")


class ValueRefusedError(ConfigError):
    """A parameter's value that its kind does not allow; the text is Redis' own reason."""


class ConfigSetError(ConfigError):
    """CONFIG SET refused as a whole: the text is the error reply after `ERR `, nothing was changed."""


class ConfigApplyError(ConfigError):
    """A change listener could not make a new value take effect; the whole change is taken back."""

    def __init__(self, parameter: str, reason: str) -> None:
        self.parameter = parameter
        self.reason = reason
        super().__init__(reason)


class ConfigRewriteError(ConfigError):
    """CONFIG REWRITE failed; the file on disk is the one that was there before."""


class ThreadError(SherdError):
    """A thread that the system refuses; one line for the operator."""


class DeclarationError(SherdError):
    """An extension that declares what cannot be; one line for who wrote it."""


class LoadError(SherdError):
    """An extension that cannot be loaded: its text is one line for the operator."""


class CommandError(SherdError):
    """A client's mistake: `str(error)` is the whole error reply, code included (`ERR syntax error`)."""


SYNTAX_ERROR = "ERR syntax error"


class SyntaxStringError(SherdError):
    """A command's compact syntax string that cannot be read; raised when a spec is declared, never for a client."""


class EndCalledOffError(SherdError):
    """The server was to end, and shall not any more."""
