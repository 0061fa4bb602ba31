"""MODULE: there are no loadable modules; the extension API is Python. What is here tells clients so in their words."""

from __future__ import annotations

from sherd.families.help_lines import help_reply
from sherd.resp import Reply
from sherd.spec import Request, command, container

container(
    "module",
    group="server",
    since="4.0.0",
    summary="Groups the commands about loadable modules.",
    complexity="Depends on subcommand.",
)


@command(
    "module|list",
    reads="nothing",
    arity=2,
    flags="admin noscript",
    group="server",
    since="4.0.0",
    summary="Returns the loaded modules, of which there are none.",
    complexity="O(N) where N is the number of loaded modules.",
    tips=("nondeterministic_output_order",),
)
def module_list(request: Request) -> Reply:
    """An empty array."""
    return []


@command(
    "module|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="5.0.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def module_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("module", (("LIST", "Return the loaded modules."),))
