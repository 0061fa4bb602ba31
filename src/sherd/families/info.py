"""INFO: the numbers of the server as text."""

from __future__ import annotations

from sherd.observability.node import Node
from sherd.resp import Reply, Verbatim
from sherd.spec import Request, command


@command(
    "info",
    arity=-1,
    flags="loading stale",
    acl="dangerous",
    group="server",
    since="1.0.0",
    summary="Returns what the server is, does and counts.",
    complexity="O(1)",
    syntax="[section [section ...]]",
    history=(("7.0.0", "Several sections in one call."),),
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
)
def info(request: Request) -> Reply:
    """The sections asked for, `default` without arguments."""
    # The table of all that is told is read when somebody wants to be told.
    from sherd.observability.info import needs_commands, render_info, wanted_sections
    from sherd.observability.snapshot import take_snapshot

    sections = wanted_sections([word.decode("latin-1") for word in request.args[1:]])
    if not sections:
        return Verbatim("txt", "")
    snapshot = take_snapshot(request.services.get(Node), commands=needs_commands(sections))
    return Verbatim("txt", render_info(snapshot, sections))
