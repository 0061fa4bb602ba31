"""Metrics, slow log, latency, keyspace events and client tracking."""

from __future__ import annotations

from sherd.config.kinds import LONG_MAX
from sherd.config.parameter import ConfigParam, boolean, integer, text
from sherd.config.special_kinds import EventFlags, Percentiles

_LENGTH = (0, LONG_MAX)

PARAMETERS = (
    integer("metrics-port", (0, 65535), 9121, "Port of the metrics page and the health checks; 0 turns them off."),
    text("metrics-bind", "127.0.0.1", "Address that the metrics page listens on; '*' means every address."),
    boolean("metrics-tls", False, "Serve the metrics page over TLS, with tls-cert-file and tls-key-file."),
    text("metrics-user", "metrics", "Name that the metrics page asks for, where it asks for a password.",
         lambda name: "it cannot have a colon" if ":" in name else None),
    text("metrics-password", "", "Password that the metrics page asks for; empty means that none is asked for.",
         sensitive=True),
    boolean("metrics-hot-key-names", False, "Show names of hot and big keys on the metrics page, not their hashes."),
    integer("slowlog-log-slower-than", (-1, LONG_MAX), 10000,
            "Microseconds from which a command enters the slow log; 0 logs all, -1 none.",
            aliases=("commandlog-execution-slower-than",)),
    integer("slowlog-max-len", _LENGTH, 128, "Entries that the slow log keeps.",
            aliases=("commandlog-slow-execution-max-len",)),
    integer("commandlog-request-larger-than", (-1, LONG_MAX), 1048576,
            "Bytes from which a request enters the log of large requests; -1 logs none."),
    integer("commandlog-large-request-max-len", _LENGTH, 128, "Entries that the log of large requests keeps."),
    integer("commandlog-reply-larger-than", (-1, LONG_MAX), 1048576,
            "Bytes from which a reply enters the log of large replies; -1 logs none."),
    integer("commandlog-large-reply-max-len", _LENGTH, 128, "Entries that the log of large replies keeps."),
    boolean("latency-tracking", True, "Keep a latency histogram of each command."),
    ConfigParam("latency-tracking-info-percentiles", Percentiles(), (50.0, 99.0, 99.9),
                "Percentiles that INFO latencystats gives."),
    integer("latency-monitor-threshold", _LENGTH, 0,
            "Milliseconds from which an event is a latency spike; 0 turns the monitor off."),
    ConfigParam("notify-keyspace-events", EventFlags(), "", "Classes of keyspace events that are published."),
    integer("tracking-table-max-keys", _LENGTH, 1000000,
            "Keys that client-side caching remembers at most; 0 sets no limit."),
)  # fmt: skip
