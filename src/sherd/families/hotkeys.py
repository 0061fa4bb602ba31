"""HOTKEYS: which keys cost the most execution time and network traffic, while an operator looks.

The data plane counts from START to STOP (`shards/src/keyspace/heat.rs`); this holds what was asked for and shows
the sums. Without a session nothing is counted. The most *frequent* keys, which are sampled all the time, are on the
metrics page.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import time
from collections import deque
from collections.abc import Sequence

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.help_lines import help_reply
from sherd.observability.node import Node
from sherd.record import field, record
from sherd.resp import OK, Reply
from sherd.spec import Request, command, container

COUNT_DEFAULT = 10
COUNT_MAX = 64
DURATION_SECONDS_MAX = 10**9
SAMPLE_MAX = 2**31 - 1
SLOTS = 16384

IN_PROGRESS = "ERR hotkey tracking session already in progress"
STOP_FIRST = "ERR hotkey tracking session in progress, stop tracking first"

container(
    "hotkeys",
    group="server",
    since="8.6.0",
    summary="Groups the commands that find the keys which cost the most.",
    complexity="Depends on subcommand.",
)


@record(frozen=False)
class Totals:
    """What the whole server has used so far."""

    command_us: int
    net_bytes: int
    user_ms: int
    system_ms: int

    def since(self, before: Totals) -> Totals:
        """What was used in between; CONFIG RESETSTAT may have set a counter back."""
        return Totals(
            max(0, self.command_us - before.command_us),
            max(0, self.net_bytes - before.net_bytes),
            max(0, self.user_ms - before.user_ms),
            max(0, self.system_ms - before.system_ms),
        )


@record(frozen=False)
class Wishes:
    """The arguments of START."""

    metrics: frozenset[str] = frozenset()
    count: int = COUNT_DEFAULT
    duration_seconds: int = 0
    sample: int = 1
    slots: list[int] = field(default_factory=list)


@record(frozen=False)
class Session:
    """From START to RESET. totals: before the session; once it has ended, those of the session.

    `began_unix_ms` is only told; what has passed since is taken from the monotonic clock.
    """

    wishes: Wishes
    totals: Totals
    began_unix_ms: int
    began_ms: int
    duration_ms: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether keys are still counted."""
        return self.duration_ms is None

    def passed_ms(self) -> int:
        """How long keys are or were counted."""
        return _monotonic_ms() - self.began_ms if self.duration_ms is None else self.duration_ms


class HotKeySessions:
    """The session of one server, if there is one."""

    def __init__(self) -> None:
        self.current: Session | None = None


def _session(request: Request) -> HotKeySessions:
    return request.services.get(HotKeySessions)


def _totals(node: Node) -> Totals:
    numbers = node.engine.snapshot(commands=False)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    net = numbers["net"]
    return Totals(
        numbers["totals"]["command_nanoseconds"] // 1000,
        net["input_bytes"] + net["output_bytes"],
        int(usage.ru_utime * 1000),
        int(usage.ru_stime * 1000),
    )


def _stop(node: Node, session: Session, duration_ms: int) -> None:
    if session.is_active:
        node.engine.stop_hot_keys()
        session.duration_ms = max(duration_ms, 1)
        session.totals = _totals(node).since(session.totals)


@command(
    "hotkeys|start",
    arity=-2,
    flags="admin noscript",
    group="server",
    since="8.6.0",
    summary="Begins to count what keys cost.",
    complexity="O(1)",
    syntax="<METRICS count [CPU] [NET]> [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]",
    tips=("request_policy:special", "response_policy:special"),
)
def hotkeys_start(request: Request) -> Reply:
    """OK. A session that runs must be stopped first; one that has ended is forgotten."""
    node, sessions = request.services.get(Node), _session(request)
    wishes = parse_wishes(request.args[2:], in_cluster=node.cluster_enabled)
    if sessions.current is not None and sessions.current.is_active:
        raise CommandError(IN_PROGRESS)
    session = sessions.current = Session(wishes, _totals(node), time.time_ns() // 1_000_000, _monotonic_ms())
    node.engine.start_hot_keys(wishes.sample, wishes.slots)
    if wishes.duration_seconds:
        # Without a loop, in a test of the handler, nothing can be called later.
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            loop.call_later(wishes.duration_seconds, _stop, node, session, wishes.duration_seconds * 1000)
    return OK


@command(
    "hotkeys|stop",
    arity=2,
    flags="admin noscript",
    group="server",
    since="8.6.0",
    summary="Stops counting what keys cost and keeps the result.",
    complexity="O(1)",
    tips=("request_policy:special", "response_policy:special"),
)
def hotkeys_stop(request: Request) -> Reply:
    """OK, or null where nothing is being counted."""
    session = _session(request).current
    if session is None or not session.is_active:
        return None
    _stop(request.services.get(Node), session, session.passed_ms())
    return OK


@command(
    "hotkeys|reset",
    arity=2,
    flags="admin noscript",
    group="server",
    since="8.6.0",
    summary="Forgets what keys have cost.",
    complexity="O(1)",
    tips=("request_policy:special", "response_policy:special"),
)
def hotkeys_reset(request: Request) -> Reply:
    """OK. A session that runs must be stopped first."""
    sessions = _session(request)
    if sessions.current is not None and sessions.current.is_active:
        raise CommandError(STOP_FIRST)
    sessions.current = None
    request.services.get(Node).engine.reset_hot_keys()
    return OK


@command(
    "hotkeys|get",
    arity=2,
    flags="admin noscript",
    group="server",
    since="8.6.0",
    summary="Returns the keys that have cost the most.",
    complexity="O(K) where K is the number of hot keys returned",
    tips=("request_policy:special", "response_policy:special", "nondeterministic_output"),
)
def hotkeys_get(request: Request) -> Reply:
    """A list of one map of numbers and key-and-sum lists, null where nothing was counted. Times are in microseconds."""
    node, session = request.services.get(Node), _session(request).current
    if session is None:
        return None
    totals = _totals(node).since(session.totals) if session.is_active else session.totals
    wishes, costs = session.wishes, node.engine.hot_key_costs()
    reply: dict[str, Reply] = {
        "tracking-active": int(session.is_active),
        "sample-ratio": wishes.sample,
        "selected-slots": _ranges(wishes.slots),
    }
    if wishes.slots and wishes.sample > 1:
        reply["sampled-commands-selected-slots-us"] = costs["sampled_nanoseconds"] // 1000
    if wishes.slots:
        reply["all-commands-selected-slots-us"] = costs["nanoseconds"] // 1000
    reply["all-commands-all-slots-us"] = totals.command_us
    if wishes.slots and wishes.sample > 1:
        reply["net-bytes-sampled-commands-selected-slots"] = costs["sampled_net_bytes"]
    if wishes.slots:
        reply["net-bytes-all-commands-selected-slots"] = costs["net_bytes"]
    reply["net-bytes-all-commands-all-slots"] = totals.net_bytes
    reply["collection-start-time-unix-ms"] = session.began_unix_ms
    reply["collection-duration-ms"] = session.passed_ms()
    if "CPU" in wishes.metrics:
        reply["total-cpu-time-user-ms"] = totals.user_ms
        reply["total-cpu-time-sys-ms"] = totals.system_ms
    if "NET" in wishes.metrics:
        reply["total-net-bytes"] = totals.net_bytes
    if "CPU" in wishes.metrics:
        reply["by-cpu-time-us"] = _largest(costs["by_nanoseconds"], wishes.count, 1000)
    if "NET" in wishes.metrics:
        reply["by-net-bytes"] = _largest(costs["by_net_bytes"], wishes.count, 1)
    return [reply]


def _ranges(slots: Sequence[int]) -> list[Reply]:
    """Sorted slots as Redis shows them: one alone in a list of its own, neighbours as their first and last."""
    ranges: list[list[int]] = []
    for slot in slots:
        if ranges and slot == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], slot]
        else:
            ranges.append([slot])
    return [list[Reply](bounds) for bounds in ranges]


def _largest(sums: Sequence[tuple[bytes, int]], count: int, unit: int) -> list[Reply]:
    """Keys and their sums in turn, the largest first."""
    ranked = sorted(sums, key=lambda item: (-item[1], item[0]))[:count]
    return [word for key, weight in ranked for word in (key, weight // unit)]


def parse_wishes(args: Sequence[bytes], *, in_cluster: bool) -> Wishes:
    """The arguments of START."""
    wishes, words = Wishes(), deque(args)
    if not words or words.popleft().upper() != b"METRICS":
        raise CommandError("ERR METRICS parameter is required")
    wishes.metrics = _take_metrics(words)
    while words:
        name = words.popleft().upper()
        if not words:
            raise CommandError(SYNTAX_ERROR)
        match name:
            case b"COUNT":
                wishes.count = _take(words, 1, COUNT_MAX, f"ERR COUNT must be between 1 and {COUNT_MAX}")
            case b"DURATION":
                wishes.duration_seconds = _take(
                    words, 0, DURATION_SECONDS_MAX, f"ERR DURATION must be between 0 and {DURATION_SECONDS_MAX}"
                )
            case b"SAMPLE":
                wishes.sample = _take(words, 1, SAMPLE_MAX, "ERR SAMPLE ratio must be positive")
            case b"SLOTS":
                if not in_cluster:
                    raise CommandError("ERR SLOTS parameter cannot be used in non-cluster mode")
                if wishes.slots:
                    raise CommandError("ERR SLOTS parameter already specified")
                wishes.slots = _take_slots(words)
            case _:
                raise CommandError(SYNTAX_ERROR)
    return wishes


def _take_metrics(words: deque[bytes]) -> frozenset[str]:
    """CPU and NET; a metric that is not known counts, so that later ones can be asked for, but shows nothing."""
    if not words:
        raise CommandError(SYNTAX_ERROR)
    count = _take(words, 1, len(words) + 1, "ERR METRICS count must be positive and at most the number of metrics")
    if count > len(words):
        raise CommandError("ERR METRICS count does not match number of metric types provided")
    named = [words.popleft().decode("latin-1").upper() for _ in range(count)]
    for metric in ("CPU", "NET"):
        if named.count(metric) > 1:
            raise CommandError(f"ERR METRICS {metric} defined more than once")
    known = frozenset(named) & {"CPU", "NET"}
    if not known:
        raise CommandError("ERR METRICS no valid metrics passed. Supported: CPU, NET")
    return known


def _take_slots(words: deque[bytes]) -> list[int]:
    count = _take(words, 1, SLOTS, f"ERR SLOTS count must be between 1 and {SLOTS}")
    if count > len(words):
        raise CommandError("ERR not enough slot numbers provided")
    slots = [_take(words, 0, SLOTS - 1, "ERR Invalid or out of range slot") for _ in range(count)]
    if len(set(slots)) < len(slots):
        raise CommandError("ERR duplicate slot number")
    return sorted(slots)


def _take(words: deque[bytes], low: int, high: int, error: str) -> int:
    """The next word as a number between two bounds."""
    word = words.popleft()
    if not re.fullmatch(rb"-?\d{1,19}", word) or not low <= int(word) <= high:
        raise CommandError(error)
    return int(word)


@command(
    "hotkeys|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="8.6.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def hotkeys_help(request: Request) -> Reply:
    """Lines of text."""
    return help_reply("hotkeys", _HELP)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


_HELP = (
    (
        "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>]",
        "[SAMPLE <ratio>] [SLOTS <count> <slot> [<slot> ...]]\n"
        "Begin to count execution time, network bytes or both by key.",
    ),
    ("STOP", "Stop counting and keep the result."),
    ("GET", "Return the keys that have cost the most, and the totals."),
    ("RESET", "Forget the result."),
)
