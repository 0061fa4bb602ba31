"""What of a conversation counts as the same: a text for each reply, without times, ids, and the order of what has none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.compat.lockstep.session import Command
    from tests.support.resp import Node

# Of collections whose order is the server's own.
_without_order = frozenset({
    b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HGETALL", b"HKEYS", b"HVALS", b"KEYS", b"SPOP", b"LATENCY",
    b"CHANNELS", b"SHARDCHANNELS", b"SCAN", b"SSCAN", b"HSCAN", b"FUNCTION",
})  # fmt: skip
_about_ids = frozenset({b"ID", b"GETREDIR", b"TRACKINGINFO"})
_about_times = frozenset({b"TTL", b"PTTL", b"HTTL", b"HPTTL", b"OBJECT"})

_fields_of_clients = (b"id", b"name", b"db", b"sub", b"psub", b"multi", b"user", b"redir", b"resp", b"flags", b"cmd")
# Closing, and what the watched keys of a transaction have become, which is found out by EXEC here.
_flags_left_out = "cdA"
# Without hits and misses, of which `test_hits` tells where they differ.
_lines_of_info = (
    b"blocked_clients", b"tracking_clients", b"clients_in_timeout_table",
    b"expired_keys", b"pubsub_channels", b"pubsub_patterns", b"tracking_total_keys", b"tracking_total_items",
    b"tracking_total_prefixes", b"total_error_replies",
)  # fmt: skip
# EXEC is counted here when it begins.
_left_out_commands = (b"cmdstat_ping", b"cmdstat_info", b"cmdstat_exec")

_fields_about_moments = (
    b"idle", b"inactive", b"seen-time", b"active-time",
    b"age-seconds", b"entry-id", b"timestamp-created", b"timestamp-last-updated", b"client-info",
)  # fmt: skip

_monitored = re.compile(rb"^\d+\.\d+ \[(\d+) ([^\]]*)\] (.*)$", re.DOTALL)


class Likeness:
    """Makes texts of what connections hear in one conversation with one server."""

    def __init__(self, ids: Mapping[int, str], ports: Mapping[int, str], *, by_prefix: bool) -> None:
        self.ids = ids
        self.ports = ports
        self.by_prefix = by_prefix
        """Whether anybody is told of keys by their prefix."""
        self.words: frozenset[bytes] = frozenset()

    def show(self, nodes: Sequence[Node], commands: Sequence[Command], *, piped: bool) -> list[str]:
        """What a connection that has sent these commands lately was sent."""
        self.words = frozenset(word.upper() for command in commands for word in command)
        # What a pipeline has done is told behind it or in it, and shard by shard.
        told = [node for node in nodes if (self.by_prefix or piped) and _invalidated(node)]
        events = [node for node in nodes if piped and _is_event(node)]
        watched = [node for node in nodes if node.kind == "+" and _monitored.match(node.text)]
        texts = _in_one_order([self._text(node) for node in nodes if node not in [*told, *watched, *events]])
        if told:
            # In as many messages as there are.
            texts.append(str(sorted({key for node in told for key in _invalidated(node)})))
        return texts + sorted(self._text(node) for node in events) + [self._text(node) for node in watched]

    def _text(self, node: Node) -> str:
        if node.items is not None:
            if node.items[:1] and node.items[0].text == b"tracking-redir-broken":
                return ">broken"
            return self._list(node, node.items)
        if node.kind == ":":
            return ":" + self._number(int(node.text))
        if (hit := _monitored.match(node.text)) and node.kind == "+":
            port = hit[2].rpartition(b":")[2]
            name = self.ports.get(int(port), "?") if port.isdigit() else port.decode()
            words = hit[3]
            if words.upper().startswith(b'"CLIENT"'):
                words = re.sub(rb'"(\d+)"', lambda word: b'"%s"' % self._number_in_text(word[1]), words)
            return f"+[{hit[1].decode()} {name}] {words!r}"
        text = node.text.removeprefix(b"txt:")
        if text.startswith(b"id="):
            return node.kind + " | ".join(self._client(line) for line in text.splitlines())
        if text.startswith(b"# "):
            return node.kind + _info(text)
        if b"SLOWLOG" in self.words and node.text.isdigit():
            return node.kind + str(self._number_in_text(node.text))
        if node.text.startswith(b"Value at:"):
            return node.kind + str(re.findall(rb"encoding:\w+", node.text))
        return node.show()

    def _list(self, node: Node, items: tuple[Node, ...]) -> str:
        if items and items[0].text == b"server" and len(items) > 10:
            pairs = [(name.text, value) for name, value in node.pairs()]
            return f"{node.kind}hello" + str([
                value.show() for name, value in pairs if name not in (b"server", b"version", b"id", b"modules")
            ])  # fmt: skip
        texts = [self._text(item) for item in items]
        if _invalidated(node) and items[-1].items is None:
            # The null is that of the client whose keys they are, in the references also where another one is told.
            texts[-1] = "null"
        if len(items) == 2 and all(item.kind == "$" and item.text.isdigit() for item in items) and len(texts[0]) > 9:
            texts = ["time"]
        if len(items) == 6 and items[3].kind == "*" and items[0].kind == ":" and items[5].kind == "$":
            texts = [texts[3], texts[5]]  # an entry of SLOWLOG
        if len(items) == 4 and items[2].kind == ":" and re.fullmatch(rb"\d+-\d+", items[0].text):
            texts[2] = ":idle"  # a row of XPENDING
        if b"histogram_usec" in (item.text for item in items):
            texts = texts[:2]
        if b"XINFO" in self.words or b"LOG" in self.words:
            for place, item in enumerate(items[:-1]):
                if item.text in _fields_about_moments:
                    texts[place + 1] = "moment"
        if self.words & _without_order and node.kind != ">":
            texts.sort()
        if b"SLOWLOG" in self.words and all(item.items is not None and len(item.items) == 6 for item in items):
            # A pipeline is executed shard by shard.
            texts = sorted(text for text in texts if "*[$b'PING']" not in text)
        return f"{node.kind}[{', '.join(texts)}]"

    def _number_in_text(self, digits: bytes) -> bytes:
        return b"@" + self.ids[int(digits)].encode() if int(digits) in self.ids else digits

    def _number(self, number: int) -> str:
        if self.words & _about_ids and number in self.ids:
            return "@" + self.ids[number]
        if number > 10**12:
            return "moment"
        if self.words & _about_times:
            for about in (1000, 100_000, 1_000_000):
                if about * 0.95 <= number <= about:
                    return f"about {about}"
        return str(number)

    def _client(self, line: bytes) -> str:
        fields = dict(re.findall(rb"([\w-]+)=(\S*)", line))
        shown = []
        for name in _fields_of_clients:
            value = fields.get(name, b"").decode()
            if name in (b"id", b"redir") and value.isdigit():
                value = "@" + self.ids.get(int(value), "?")
            if name == b"flags":
                value = value.translate(str.maketrans("", "", _flags_left_out + "N"))
            shown.append(f"{name.decode()}={value}")
        return " ".join(shown)


def _invalidated(node: Node) -> list[str]:
    items = node.items or ()
    if len(items) < 2 or not (items[0].text == b"invalidate" or items[1].text == b"__redis__:invalidate"):
        return []
    if items[-1].kind == ":":
        return []
    return (
        ["all"]
        if items[-1].items is None and not items[-1].text
        else [key.show() for key in items[-1].items or items[-1:]]
    )


def _is_event(node: Node) -> bool:
    return any(item.text.startswith((b"__keyspace@", b"__keyevent@")) for item in node.items or () if item.kind == "$")


def _info(text: bytes) -> str:
    lines = []
    for line in text.split(b"\r\n"):
        if line.startswith(b"cmdstat_") and not line.startswith(_left_out_commands):
            lines.append(re.sub(rb"usec=\d+,usec_per_call=[\d.]+,", b"", line))
        elif line.startswith(b"errorstat_") or line.partition(b":")[0] in _lines_of_info:
            lines.append(line)
        elif re.match(rb"db\d+:", line):
            lines.append(b",".join(line.split(b",")[:2]))
    return str(sorted(lines))


def _in_one_order(texts: list[str]) -> list[str]:
    """A message that several patterns of one client match comes once for each, in no order that anybody promises."""
    result: list[str] = []
    group: list[str] = []
    for text in [*texts, ""]:
        if "pmessage" in text[:20] and (not group or _message(group[0]) == _message(text)):
            group.append(text)
            continue
        result += sorted(group)
        group = [text] if "pmessage" in text[:20] else []
        if not group:
            result.append(text)
    return result[:-1]


def _message(text: str) -> list[str]:
    return text.split(", ")[2:]
