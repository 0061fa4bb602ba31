"""Cluster mode: announced addresses, timeouts, coverage and migration."""

from __future__ import annotations

import re

from sherd.config.kinds import INT_MAX, LONG_MAX, ULONG_MAX
from sherd.config.parameter import boolean, choice, integer, memory, text

_PORT = (0, 65535)


def _hostname_reason(name: str) -> str | None:
    if len(name) >= 256:
        return "Hostnames must be less than 256 characters"
    if not re.fullmatch(r"[A-Za-z0-9.-]*", name):
        return "Hostnames may only contain alphanumeric characters, hyphens or dots"
    return None


def _nodename_reason(name: str) -> str | None:
    if len(name) >= 256:
        return "Announced human node name should be less than 256 characters"
    if any(character in "!#$%&()*+:;<>?@[]^{|}~\"'\\,=" or not character.isprintable() for character in name):
        return "Announced human node name contained invalid character"
    return None


PARAMETERS = (
    boolean("cluster-enabled", False, "Speak to clients as a cluster of one node that has all slots.",
            immutable=True),
    text("cluster-config-file", "nodes.conf", "File that peers keep their view of the cluster in.", immutable=True,
         inert=True),
    choice("cluster-config-save-behavior", "sync best-effort", "sync", "Whether the node waits for that file.",
           inert=True),
    integer("cluster-databases", (1, INT_MAX), 1, "Databases in cluster mode.", immutable=True, inert=True),
    integer("cluster-node-timeout", (0, LONG_MAX), 15000, "Milliseconds of silence after which a node is failing.",
            inert=True),
    integer("cluster-port", _PORT, 0, "Port of the bus between nodes; 0 means the client port plus 10000.",
            immutable=True),
    text("cluster-announce-ip", "", "Address that clients and nodes are told."),
    text("cluster-announce-client-ipv4", "", "IPv4 address that clients are told.", inert=True),
    text("cluster-announce-client-ipv6", "", "IPv6 address that clients are told.", inert=True),
    integer("cluster-announce-port", _PORT, 0, "Port that clients and nodes are told; 0 tells the real one."),
    integer("cluster-announce-tls-port", _PORT, 0, "TLS port that clients and nodes are told.", inert=True),
    integer("cluster-announce-bus-port", _PORT, 0, "Bus port that nodes are told."),
    integer("cluster-announce-client-port", _PORT, 0, "Port that only clients are told.", inert=True),
    integer("cluster-announce-client-tls-port", _PORT, 0, "TLS port that only clients are told.", inert=True),
    text("cluster-announce-hostname", "", "Host name that clients are told.", _hostname_reason),
    text("cluster-announce-human-nodename", "", "Name of this node in logs.", _nodename_reason, inert=True),
    choice("cluster-preferred-endpoint-type", "ip hostname unknown-endpoint", "ip",
           "Which of its addresses a node gives clients first."),
    boolean("cluster-require-full-coverage", True, "Refuse commands while any slot is not served.", inert=True),
    boolean("cluster-allow-reads-when-down", False, "Answer reads while the cluster is down.", inert=True),
    boolean("cluster-allow-pubsubshard-when-down", True, "Pass shard messages on while the cluster is down.",
            inert=True),
    boolean("cluster-allow-replica-migration", True, "Let replicas move to primaries that have none.", inert=True),
    integer("cluster-migration-barrier", (0, INT_MAX), 1, "Replicas that a primary keeps before one may move.",
            inert=True),
    integer("cluster-replica-validity-factor", (0, INT_MAX), 10, "How old a replica's data may be at a failover.",
            aliases=("cluster-slave-validity-factor",), inert=True),
    boolean("cluster-replica-no-failover", False, "Never let this node become primary by itself.",
            aliases=("cluster-slave-no-failover",), inert=True),
    integer("cluster-manual-failover-timeout", (1, INT_MAX), 5000, "Milliseconds that a manual failover may take.",
            inert=True),
    memory("cluster-link-sendbuf-limit", (0, ULONG_MAX), 0, "Most bytes that wait for one node; 0 sets no limit.",
           inert=True),
    integer("cluster-blacklist-ttl", (0, LONG_MAX), 60, "Seconds that a forgotten node stays forgotten.", inert=True),
    integer("cluster-compatibility-sample-ratio", (0, 100), 0,
            "Percent of commands that are checked for use in cluster mode.", inert=True),
    boolean("cluster-slot-stats-enabled", False, "Count CPU time and traffic of each slot.", inert=True),
    integer("cluster-slot-migration-log-max-len", (0, LONG_MAX), 1000, "Slot migrations that are remembered.",
            inert=True),
    memory("slot-migration-max-failover-repl-bytes", (-1, LONG_MAX), 0,
           "Bytes that may still be on their way when a slot changes hands.", inert=True),
)  # fmt: skip
