"""The text of CLUSTER HELP."""

from __future__ import annotations

HELP: tuple[tuple[str, str], ...] = (
    ("COUNTKEYSINSLOT <slot>", "Return the number of keys in <slot>."),
    ("GETKEYSINSLOT <slot> <count>", "Return up to <count> keys of a slot."),
    ("INFO", "Return the state of the cluster."),
    ("KEYSLOT <key>", "Return the slot of <key>."),
    ("MYID", "Return the id of this node."),
    ("MYSHARDID", "Return the id of this node's group."),
    (
        "NODES",
        "Return the nodes as this one sees them, a line each:\n"
        "<id> <ip:port@bus-port[,hostname]> <flags> <primary> <pings> <pongs> <epoch> <link> <slot> ...",
    ),
    ("REPLICAS <node-id>", "Return the replicas of <node-id>."),
    (
        "SLOTS",
        "Return ranges of slots with their nodes:\nfirst slot, last slot, then address, port and id of each node.",
    ),
    ("SLOT-STATS", "Return numbers about slots of this node."),
    ("SHARDS", "Return groups of nodes with their slots."),
    ("COUNT-FAILURE-REPORTS <node-id>", "Return how many nodes report <node-id> as failing."),
    ("LINKS", "Return the connections to other nodes."),
)
