"""The replies of the HELP subcommands: one form for all containers."""

from __future__ import annotations

from collections.abc import Sequence

from sherd.resp import Reply, Simple


def help_reply(container: str, entries: Sequence[tuple[str, str]]) -> Reply:
    """Lines of text; `entries` are the arguments of each subcommand and what it does, which may have several lines."""
    lines = [f"{container.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for usage, description in (*entries, ("HELP", "Print this help.")):
        lines.append(usage)
        lines.extend(f"    {line}" for line in description.splitlines())
    return [Simple(line) for line in lines]
