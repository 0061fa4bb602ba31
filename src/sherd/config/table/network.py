"""Sockets, clients and threads: where the server listens, whom it serves and with how many threads."""

from __future__ import annotations

from sherd.config.kinds import INT_MAX, LONG_MAX, UINT_MAX, Integer, Memory, Octal
from sherd.config.parameter import ConfigParam, boolean, integer, memory, text
from sherd.config.special_kinds import Addresses, BufferLimits

_PORT = (0, 65535)
_MEBIBYTE = 1024 * 1024
# What the data plane has room for.
IO_THREADS_MAX = 64
SHARDS_MAX = 64

PARAMETERS = (
    ConfigParam(
        "bind", Addresses(), ("*", "-::*"), "Addresses to listen on; a leading '-' makes one optional."
    ),
    text("bind-source-addr", "", "Local address that connections to a primary and MIGRATE's are made from."),
    integer("port", _PORT, 6379, "TCP port for clients; 0 turns plain TCP off."),
    text("unixsocket", "", "Path of a Unix socket to listen on as well.", immutable=True),
    ConfigParam(
        "unixsocketperm", Octal(), 0, "File mode of the Unix socket, in octal.", immutable=True
    ),
    text("unixsocketgroup", "", "Group that owns the Unix socket.", immutable=True),
    integer("tcp-backlog", (0, INT_MAX), 511, "Length of the queue of connections not yet accepted.",
            immutable=True),
    integer("tcp-keepalive", (0, INT_MAX), 300, "Seconds between keepalive probes on client sockets; 0 sends none."),
    integer("timeout", (0, INT_MAX), 0, "Seconds after which an idle client is disconnected; 0 never does."),
    integer("maxclients", (1, UINT_MAX), 10000, "Most clients that may be connected at once."),
    ConfigParam(
        "maxmemory-clients", Memory(0, LONG_MAX, percent=True), 0,
        "Most memory that all client buffers together may take, in bytes or as a share of maxmemory; 0 sets no limit.",
    ),
    ConfigParam(
        "client-output-buffer-limit", BufferLimits(),
        ((0, 0, 0), (268435456, 67108864, 60), (33554432, 8388608, 60)),
        "Output buffer limits for each class of client: hard limit, soft limit, seconds above the soft limit.",
    ),
    memory("client-query-buffer-limit", (_MEBIBYTE, LONG_MAX), 1024 * _MEBIBYTE,
           "Most bytes of not yet complete commands that one client may send."),
    memory("proto-max-bulk-len", (_MEBIBYTE, LONG_MAX), 512 * _MEBIBYTE,
           "Longest single string that a client may send."),
    boolean("protected-mode", True, "Refuse clients from other hosts while no password and no user is set up."),
    ConfigParam(
        # Redis takes 128.
        "io-threads", Integer(0, 128, clamp=(0, IO_THREADS_MAX), words_for_zero=("auto",)), 0,
        "Threads that read, parse and write for the clients; 0 or 'auto' chooses by the cores.",
        immutable=True,
    ),
    ConfigParam(
        "shards", Integer(0, SHARDS_MAX, words_for_zero=("auto",)), 0,
        "Parts that the keyspace is divided into, each with an execution thread; 0 or 'auto' chooses by the cores.",
        immutable=True,
    ),
    integer("max-new-connections-per-cycle", (1, 1000), 10, "Connections that one poll round accepts at most.",
            inert=True),
    integer("max-new-tls-connections-per-cycle", (1, 1000), 1,
            "TLS handshakes that an IO thread goes on with in one round."),
    integer("prefetch-batch-max-size", (0, 128), 16,
            "Keys that a batch of commands prefetches together in peers; the batch size is fixed here.", inert=True),
    integer("socket-mark-id", (0, UINT_MAX), 0, "Kernel routing mark put on the listening sockets; 0 puts none.",
            immutable=True, inert=True),
    boolean("mptcp", False, "Listen for Multipath TCP.", immutable=True, capability="Multipath TCP"),
    boolean("repl-mptcp", False, "Replicate over Multipath TCP.", immutable=True, capability="Multipath TCP"),
    text("rdma-bind", "", "Addresses to listen on for RDMA.", immutable=True, capability="RDMA"),
    integer("rdma-port", _PORT, 0, "Port for RDMA; 0 turns it off.", capability="RDMA"),
    integer("rdma-rx-size", (65536, 16 * _MEBIBYTE), _MEBIBYTE, "Receive buffer of an RDMA connection.",
            immutable=True, inert=True),
    integer("rdma-completion-vector", (-1, 1024), -1, "Completion vector of RDMA connections.",
            immutable=True, inert=True),
)  # fmt: skip
