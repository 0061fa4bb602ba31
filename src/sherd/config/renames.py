"""`rename-command`: commands that clients call by another name, or not at all.

Directives take effect one after the other, as Redis executes them, so that names can be exchanged; what comes of all of
them is what the data plane gets. Which commands exist is known only when the command table is made, after the
configuration was read, so each directive brings the error that it would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sherd.errors import ConfigError
from sherd.record import record


@record
class RenamedCommand:
    """One directive: both names in lower case, the new one empty for a command that shall not be there."""

    old: bytes
    new: bytes
    error: Callable[[str], ConfigError]


def resolve_renames(directives: Iterable[RenamedCommand], commands: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """The names that do not mean the command of that name, with the one that they mean; None where they mean nothing.

    Raises the error of the first directive that names no command, or a name that is taken.
    """
    own = set(commands)
    meant = {name: name for name in own}
    for directive in directives:
        command = meant.pop(directive.old, None)
        if command is None:
            raise directive.error("No such command in rename-command")
        if directive.new in meant:
            raise directive.error("Target command name already exists")
        if directive.new:
            meant[directive.new] = command
    changed = {name: command for name, command in meant.items() if name != command}
    return changed | dict.fromkeys(own - meant.keys())
