"""LATENCY: spikes of the monitor (`latency-monitor-threshold`), and the distribution of every command's time.

The data plane keeps both; this shows them. LATENCY HISTOGRAM folds the data plane's quarter octaves into the whole
octaves that clients and redis_exporter know.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sherd.config import Config
from sherd.errors import CommandError
from sherd.families.command_table import CommandTable
from sherd.families.help_lines import help_reply
from sherd.observability.node import Node
from sherd.observability.sparkline import elapsed_label, sparkline
from sherd.record import record
from sherd.resp import Reply, Verbatim
from sherd.spec import Request, command, container

if TYPE_CHECKING:
    from sherd.observability.snapshot import CommandNumbers

_FLAGS = "admin noscript loading stale"
_TIPS = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")
_GRAPH_COLUMNS = 80

container(
    "latency",
    group="server",
    since="2.8.13",
    summary="Groups the commands about latency.",
    complexity="Depends on subcommand.",
)


@record
class Event:
    """A kind of spike: name, the worst ever in milliseconds, samples of (Unix seconds, milliseconds), oldest first."""

    name: str
    worst_ms: int
    samples: list[tuple[int, int]]


def _events(request: Request) -> list[Event]:
    return [Event(*event) for event in request.services.get(Node).engine.latency()]


def _name(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


@command(
    "latency|latest",
    arity=2,
    flags=_FLAGS,
    group="server",
    since="2.8.13",
    summary="Returns the newest spike of each kind of event.",
    complexity="O(1)",
    tips=_TIPS,
)
def latency_latest(request: Request) -> Reply:
    """[event, Unix seconds, milliseconds, worst milliseconds] an event."""
    return [[event.name, *event.samples[-1], event.worst_ms] for event in _events(request) if event.samples]


@command(
    "latency|history",
    arity=3,
    flags=_FLAGS,
    group="server",
    since="2.8.13",
    summary="Returns the spikes of one kind of event.",
    complexity="O(1)",
    syntax="event",
    tips=_TIPS,
)
def latency_history(request: Request) -> Reply:
    """[Unix seconds, milliseconds] a spike, oldest first."""
    wanted = _name(request.args[2])
    return [list(sample) for event in _events(request) if event.name == wanted for sample in event.samples]


@command(
    "latency|reset",
    arity=-2,
    flags=_FLAGS,
    group="server",
    since="2.8.13",
    summary="Forgets the spikes of some kinds of event, or of all.",
    complexity="O(1)",
    syntax="[event [event ...]]",
    tips=("request_policy:all_nodes", "response_policy:agg_sum"),
)
def latency_reset(request: Request) -> Reply:
    """The number of kinds that were forgotten."""
    return request.services.get(Node).engine.latency_reset(request.args[2:])


@command(
    "latency|graph",
    arity=3,
    flags=_FLAGS,
    group="server",
    since="2.8.13",
    summary="Draws the spikes of one kind of event.",
    complexity="O(1)",
    syntax="event",
    tips=_TIPS,
)
def latency_graph(request: Request) -> Reply:
    """Text for people."""
    wanted = _name(request.args[2])
    for event in _events(request):
        if event.name == wanted and event.samples:
            return Verbatim("txt", draw(event, int(time.time())))
    raise CommandError(f"ERR No samples available for event '{wanted}'")


def draw(event: Event, now: int) -> str:
    """The graph of one event: a heading, a rule, then a column a spike with its age below."""
    values = [milliseconds for _, milliseconds in event.samples]
    heading = f"{event.name} - high {max(values)} ms, low {min(values)} ms (all time high {event.worst_ms} ms)\n"
    labels = [elapsed_label(max(0, now - when)) for when, _ in event.samples]
    return heading + "-" * _GRAPH_COLUMNS + "\n" + sparkline(values, labels, columns=_GRAPH_COLUMNS)


@command(
    "latency|doctor",
    arity=2,
    flags=_FLAGS,
    group="server",
    since="2.8.13",
    summary="Reports latency problems in words.",
    complexity="O(1)",
    tips=_TIPS,
)
def latency_doctor(request: Request) -> Reply:
    """Text for people."""
    config = request.services.get(Config)
    events = [event for event in _events(request) if event.samples]
    if not events and not config.get_int("latency-monitor-threshold"):
        text = (
            "The latency monitor is off. Turn it on with CONFIG SET latency-monitor-threshold <milliseconds>, wait for "
            "a slow moment, and ask again."
        )
    elif not events:
        text = "No latency spike was seen since the start or the last reset."
    else:
        text = "\n".join(
            ["Latency spikes were seen:", "", *map(describe, events), "", "What to look at:", "", *_ADVICE]
        )
    return Verbatim("txt", text + "\n")


_ADVICE = (
    "- SLOWLOG GET names the commands that took long; slowlog-log-slower-than should not be above the monitor's "
    "threshold.",
    "- `command` spikes come from commands that visit many elements: split big collections, prefer the SCAN family.",
    "- `expire-cycle` and `eviction-cycle` spikes come with many keys that end at once: spread their times to live.",
    "- INFO sherd gives the longest slice of each shard; a machine without a free core delays everything.",
)


def describe(event: Event) -> str:
    """One line about the spikes of an event."""
    values = [milliseconds for _, milliseconds in event.samples]
    average = sum(values) / len(values)
    deviation = sum(abs(value - average) for value in values) / len(values)
    seconds = event.samples[-1][0] - event.samples[0][0]
    return (
        f"- {event.name}: {len(values)} spikes over {seconds} seconds, average {average:.0f} ms, mean deviation "
        f"{deviation:.0f} ms, worst ever {event.worst_ms} ms"
    )


@command(
    "latency|histogram",
    arity=-2,
    flags=_FLAGS,
    group="server",
    since="7.0.0",
    summary="Returns the distribution of the times of some commands, or of all.",
    complexity="O(N) where N is the number of commands with latency information being retrieved.",
    syntax="[command [command ...]]",
    tips=_TIPS,
)
def latency_histogram(request: Request) -> Reply:
    """A map from commands to calls and a map from microseconds to calls up to there; a container gives its
    subcommands, an unknown name nothing."""
    from sherd.observability.snapshot import take_snapshot

    commands = [command for command in take_snapshot(request.services.get(Node)).commands if command.histogram.count()]
    if len(request.args) == 2:
        return dict(map(_distribution, commands))
    families: dict[str, list[CommandNumbers]] = {}
    for one in commands:
        for name in {one.name, one.name.partition("|")[0]}:
            families.setdefault(name, []).append(one)
    # Each name once, in the order in which they were given: the arguments may be many.
    table = request.services.get(CommandTable)
    wanted = dict.fromkeys(map(table.own_name, request.args[2:]))
    return dict(_distribution(one) for name in wanted if name for one in families.get(name, ()))


def _distribution(one: CommandNumbers) -> tuple[str, Reply]:
    octaves = one.histogram.octaves()
    return one.name, {"calls": octaves[-1][1], "histogram_usec": dict(octaves)}


@command(
    "latency|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="2.8.13",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def latency_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("latency", _HELP)


_HELP = (
    ("DOCTOR", "Return what is known of latency spikes, in words."),
    ("GRAPH <event>", "Draw the spikes of an <event> as text."),
    ("HISTORY <event>", "Return time and length of the spikes of an <event>."),
    ("LATEST", "Return the newest spike of every event."),
    ("RESET [<event> ...]", "Forget the spikes of some events.\n(default: of all events)"),
    (
        "HISTOGRAM [COMMAND ...]",
        "Return how the times of the given commands are distributed.\n(default: of all commands that were called)",
    ),
)
