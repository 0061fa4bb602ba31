"""The text of `sherd serve --help`: all directives by topic, a line each, or one with all that the table tells."""

from __future__ import annotations

import textwrap

from sherd.config import BY_NAME, TOPICS, ConfigParam

_COLUMNS = 110
_HEAD = """\
sherd serve [redis.conf | -] [--directive value ...]

Directives by topic; `sherd serve --help <directive>` tells more of one."""


def overview() -> str:
    """Every directive that does something, with what it is for; the others by their names."""
    parts = [_HEAD]
    for topic, parameters in TOPICS.items():
        shown = [parameter for parameter in parameters if not (parameter.hidden or parameter.inert)]
        width = max(len(parameter.name) for parameter in shown) + 2
        parts += ["", f"{topic}:", *(_line(parameter, width) for parameter in shown)]
        ignored = [parameter.name for parameter in parameters if parameter.inert]
        if ignored:
            parts += _wrap(f"accepted, without effect in this version: {', '.join(ignored)}", "    ")
    return "\n".join(parts)


def _line(parameter: ConfigParam, width: int) -> str:
    missing = f" (only {_default(parameter)} in this version)" if parameter.capability else ""
    return f"  --{parameter.name.ljust(width)}{parameter.description}{missing}"


def describe(name: str) -> str:
    """One directive: kind, default, and what else is to be known."""
    parameter = BY_NAME[name]
    facts = [("value", parameter.kind.describe()), ("default", _default(parameter))]
    if parameter.aliases:
        facts.append(("also", ", ".join(parameter.aliases)))
    changed = "only at start" if parameter.immutable else "also while the server runs, with CONFIG SET"
    if parameter.protected:
        changed += ", where enable-protected-configs allows it"
    facts.append(("set", changed))
    if parameter.capability:
        facts.append(("note", f"{parameter.capability} is not part of this version: only the default is accepted"))
    if parameter.inert:
        facts.append(("note", "accepted, without effect in this version"))
    body = [line for fact, text in facts for line in _wrap(text, f"  {fact + ':':9}")]
    return "\n".join([f"--{parameter.name}", *_wrap(parameter.description, "  "), *body])


def _default(parameter: ConfigParam) -> str:
    return parameter.kind.format(parameter.default) or '""'


def _wrap(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(
        text, width=_COLUMNS, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_on_hyphens=False
    )
