"""Every series of the metrics page: name, type, help, labels, source.

Names that start with `redis_` are those of redis_exporter, with its units, so that published dashboards and alert rules
work unchanged; what only Sherd has starts with `sherd_`, in base units. A source gives one number, or (label values,
number) pairs, from the same `Snapshot` that INFO reads. Histograms and the summary give their counts as a whole.

A series whose capability does not exist (replicas, an append-only file) is there when a Redis without it has it, with
the same value, and absent when that has none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from sherd.native import huge_pages_gathered_bytes, redis_version
from sherd.observability import process
from sherd.observability.histogram import SHOWN_OCTAVES_NS, octave_microseconds
from sherd.observability.loading import load_state
from sherd.observability.replication import ReplicaRow
from sherd.observability.snapshot import CommandNumbers, Snapshot
from sherd.record import record

Labelled: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
Source: TypeAlias = Callable[[Snapshot], "float | Labelled"]

HOT_KEYS_MAX = 20
BIG_KEYS_MAX = 20
_KEY_LABEL_MAX = 64


@record
class Metric:
    """One family of series. kind: gauge or counter; `source` is a number or labelled numbers."""

    name: str
    kind: str
    help: str
    source: Source
    labels: tuple[str, ...] = ()


@record
class Distribution:
    """A histogram or a summary over commands; `unit_seconds` is what one unit of its values is."""

    name: str
    kind: str
    help: str
    unit_seconds: float
    labels: tuple[str, ...] = ("cmd",)

    def edges(self) -> list[tuple[int, float]]:
        """The histogram's bounds: in nanoseconds, and as the label `le` has them."""
        if self.unit_seconds == 1e-6:
            return [(edge, float(octave_microseconds(edge))) for edge in SHOWN_OCTAVES_NS]
        return [(edge, edge / 1e9) for edge in SHOWN_OCTAVES_NS]


def _gauge(name: str, text: str, source: Source, *labels: str) -> Metric:
    return Metric(name, "gauge", text, source, labels)


def _counter(name: str, text: str, source: Source, *labels: str) -> Metric:
    return Metric(name, "counter", text, source, labels)


def _per_command(value: Callable[[CommandNumbers], float]) -> Source:
    return lambda snapshot: [((command.name,), value(command)) for command in snapshot.commands]


def _numbered(rows: Callable[[Snapshot], Sequence[object]], attribute: str) -> Source:
    def source(snapshot: Snapshot) -> Iterator[tuple[tuple[str, ...], float]]:
        for number, row in enumerate(rows(snapshot)):
            # The bytes of a shard may be less than none; see `Snapshot.memory_dataset`.
            yield (str(number),), max(0.0, float(getattr(row, attribute)))

    return source


def _per_shard(attribute: str) -> Source:
    return _numbered(lambda snapshot: snapshot.shards, attribute)


def _per_thread(attribute: str) -> Source:
    return _numbered(lambda snapshot: snapshot.io_threads, attribute)


def _resident(snapshot: Snapshot) -> float:
    return snapshot.process.resident_bytes


def _fragmentation(snapshot: Snapshot) -> float:
    return snapshot.ratio(snapshot.process.resident_bytes, snapshot.memory_used)


def _databases(attribute: str, divisor: float = 1) -> Source:
    return lambda snapshot: [
        ((f"db{database.number}",), getattr(database, attribute) / divisor) for database in snapshot.databases
    ]


def _batches(snapshot: Snapshot) -> Labelled:
    for number, shard in enumerate(snapshot.shards):
        yield (str(number), "direct"), shard.direct_batches
        yield (str(number), "queued"), shard.queued_batches


def _of_link(value: Callable[[Snapshot], float]) -> Source:
    """What there is to tell of the link to a primary, where one is followed."""

    def source(snapshot: Snapshot) -> Labelled:
        primary = snapshot.node.replication.primary
        if primary is not None:
            yield (primary[0], str(primary[1])), value(snapshot)

    return source


def _link_silence(snapshot: Snapshot) -> int:
    replication = snapshot.node.replication
    status = replication.status()
    return status["idle_seconds"] if status is not None and replication.is_up else -1


def _following(snapshot: Snapshot) -> Labelled:
    primary = snapshot.node.replication.primary
    if primary is not None:
        yield (primary[0], str(primary[1]), str(int(snapshot.node.config.get_bool("replica-read-only")))), 1


def _per_replica(value: Callable[[ReplicaRow], float]) -> Source:
    # Tools that say nothing of themselves look alike: the last one of them counts.
    return lambda snapshot: {
        (row.host, str(row.port), row.state): value(row) for row in snapshot.node.replication.rows()
    }.items()


def _append_size(snapshot: Snapshot) -> Labelled:
    status = snapshot.node.engine.append_status()
    if status is not None:
        yield (), status["size"]


def _load_bytes(snapshot: Snapshot) -> Labelled:
    state = load_state(snapshot.node)
    yield ("total",), state.total_bytes if state is not None else 0
    yield ("read",), state.loaded_bytes if state is not None else 0


def _in_cluster(value: float) -> Source:
    return lambda snapshot: [((), value)] if snapshot.node.cluster_enabled else []


def _instance(snapshot: Snapshot) -> Labelled:
    node = snapshot.node
    mode = "cluster" if node.cluster_enabled else "standalone"
    policy = node.config.get_str("maxmemory-policy")
    yield (
        node.replication.role, redis_version, node.build_id, mode, process.operating_system(), policy, str(node.port),
        snapshot.run_id, str(snapshot.process_id), node.replication.id,
    ), 1  # fmt: skip


def _build(snapshot: Snapshot) -> Labelled:
    yield (snapshot.node.version, snapshot.node.build_id, sys.version.partition(" ")[0]), 1


def _hot_keys(snapshot: Snapshot) -> Labelled:
    plain = snapshot.node.config.get_bool("metrics-hot-key-names")
    labels = [key_label(hot.key, plain=plain) for hot in snapshot.hot_keys]
    return {(label,): float(hot.commands) for label, hot in zip(labels, snapshot.hot_keys, strict=True)}.items()


def _big_keys(measure: str) -> Source:
    """The biggest keys of the server by `bytes` or `elements`."""

    def samples(snapshot: Snapshot) -> Labelled:
        plain = snapshot.node.config.get_bool("metrics-hot-key-names")
        sized = [big for big in snapshot.big_keys if getattr(big, measure)]
        for big in sorted(sized, key=lambda big: (-getattr(big, measure), big.key))[:BIG_KEYS_MAX]:
            label = key_label(big.key, plain=plain)
            yield (label, f"db{big.database}", big.type, str(big.slot), str(big.shard)), getattr(big, measure)

    return samples


def key_label(key: bytes, *, plain: bool) -> str:
    """A key as a label: its hash, since keys may name people; or its text where the operator asked for it."""
    if not plain:
        import hashlib  # loads a large library

        return hashlib.sha256(key).hexdigest()[:12]
    text = key.decode("utf-8", "backslashreplace")
    return text if len(text) <= _KEY_LABEL_MAX else text[:_KEY_LABEL_MAX] + "..."


_BIG_KEY_LABELS = ("key", "db", "type", "slot", "shard")
_REPLICA_LABELS = ("slave_ip", "slave_port", "slave_state")
_LINK_LABELS = ("master_host", "master_port")
_INSTANCE_LABELS = (
    "role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id",
    "process_id", "master_replid",
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    # ---- state
    _gauge("redis_up", "1 while the server answers.", lambda s: 1),
    _gauge("redis_uptime_in_seconds", "Seconds since the start.", lambda s: int(s.uptime_seconds)),
    _gauge("redis_start_time_seconds", "Unix time of the start.", lambda s: s.start_time),
    _gauge("redis_process_id", "Process id.", lambda s: s.process_id),
    _gauge("redis_instance_info", "What the instance is.", _instance, *_INSTANCE_LABELS),
    # ---- clients
    _gauge("redis_connected_clients", "Connected clients.", lambda s: s.clients.connected),
    _gauge("redis_blocked_clients", "Clients that wait in a blocking command.", lambda s: s.clients.blocked),
    _gauge("redis_tracking_clients", "Clients with client-side caching.", lambda s: s.clients.tracking),
    _gauge("redis_pubsub_clients", "Clients that are subscribed to channels.", lambda s: s.clients.subscribers),
    _gauge("redis_watching_clients", "Clients that watch keys.", lambda s: s.clients.watching),
    _gauge("redis_max_clients", "Most clients that may be connected.", lambda s: s.clients.maxclients),
    _gauge("redis_config_maxclients", "The parameter maxclients.", lambda s: s.node.config.get_int("maxclients")),
    _gauge("redis_client_recent_max_input_buffer_bytes", "Largest input buffer of late.",
           lambda s: s.clients.input_buffer_max),
    _gauge("redis_client_recent_max_output_buffer_bytes", "Largest output buffer of late.",
           lambda s: s.clients.output_buffer_max),
    _counter("redis_connections_received_total", "Connections accepted.", lambda s: s.clients.received),
    _counter("redis_rejected_connections_total", "Connections refused for maxclients.", lambda s: s.clients.rejected),
    # ---- memory
    _gauge("redis_memory_used_bytes", "Memory that the data plane uses.", lambda s: s.memory_used),
    _gauge("redis_memory_used_rss_bytes", "Memory of the process.", _resident),
    _gauge("redis_memory_used_peak_bytes", "Most memory that was used.", lambda s: s.memory_peak),
    _gauge("redis_memory_used_dataset_bytes", "Memory of keys and values.", lambda s: s.memory_dataset),
    _gauge("redis_memory_used_overhead_bytes", "Memory of everything but keys and values.",
           lambda s: s.memory_used - s.memory_dataset),
    _gauge("redis_memory_used_startup_bytes", "Memory in use after the start.", lambda s: s.memory_startup),
    _gauge("redis_memory_used_lua_bytes", "Memory of script engines.", lambda s: s.scripts.all_vm_bytes),
    _gauge("redis_memory_max_bytes", "The memory limit; 0 is none.", lambda s: s.maxmemory),
    _gauge("redis_config_maxmemory", "The parameter maxmemory.", lambda s: s.maxmemory),
    _gauge("redis_mem_fragmentation_ratio", "Memory of the process to memory in use.", _fragmentation),
    _gauge("redis_memory_fragmentation_ratio", "The same under its other name.", _fragmentation),
    _gauge("redis_mem_clients_normal", "Bytes of client buffers.", lambda s: s.clients.buffers_bytes),
    _gauge("redis_allocator_active_bytes", "Memory that the allocator has in use.", lambda s: s.memory_active),
    _gauge("redis_allocator_allocated_bytes", "Memory that was allocated.", lambda s: s.memory_used),
    _gauge("redis_allocator_resident_bytes", "Memory that the allocator keeps.", lambda s: s.memory_active),
    _counter("sherd_huge_pages_gathered_bytes_total", "Memory that was gathered in huge pages.",
             lambda _: huge_pages_gathered_bytes()),
    _gauge("redis_total_system_memory_bytes", "Memory of the machine.", lambda s: s.process.system_memory_bytes),
    _gauge("redis_lazyfree_pending_objects", "Values that wait to be freed.", lambda s: s.totals.lazyfree_pending),
    # ---- stats
    _counter("redis_commands_processed_total", "Commands executed.", lambda s: s.totals.commands),
    _counter("redis_keyspace_hits_total", "Reads of keys that exist.", lambda s: s.totals.keyspace_hits),
    _counter("redis_keyspace_misses_total", "Reads of keys that do not.", lambda s: s.totals.keyspace_misses),
    _counter("redis_expired_keys_total", "Keys whose time was over.", lambda s: s.totals.expired_keys),
    _counter("sherd_expired_fields_total", "Fields of hashes whose time was over.",
             lambda s: s.totals.expired_fields),
    _counter("sherd_expired_members_total", "Members of sets whose time was over.",
             lambda s: s.totals.expired_members),
    _counter("redis_evicted_keys_total", "Keys that gave way to the memory limit.", lambda s: s.totals.evicted_keys),
    _counter("redis_net_input_bytes_total", "Bytes read from clients.", lambda s: s.network.input_bytes),
    _counter("redis_net_output_bytes_total", "Bytes written to clients.", lambda s: s.network.output_bytes),
    _counter("redis_cpu_sys_seconds_total", "System CPU time.", lambda s: s.process.cpu_system),
    _counter("redis_cpu_user_seconds_total", "User CPU time.", lambda s: s.process.cpu_user),
    _counter("redis_cpu_sys_main_thread_seconds_total", "System CPU time of the control plane's thread.",
             lambda s: s.process.main_thread_cpu_system),
    _counter("redis_cpu_user_main_thread_seconds_total", "User CPU time of the control plane's thread.",
             lambda s: s.process.main_thread_cpu_user),
    _counter("redis_acl_access_denied_auth_total", "Wrong passwords.", lambda s: s.totals.denied_auth),
    _counter("redis_acl_access_denied_cmd_total", "Commands refused by access rules.",
             lambda s: s.totals.denied_command),
    _counter("redis_acl_access_denied_key_total", "Keys refused by access rules.", lambda s: s.totals.denied_key),
    _counter("redis_acl_access_denied_channel_total", "Channels refused by access rules.",
             lambda s: s.totals.denied_channel),
    _counter("redis_acl_access_denied_tls_cert_total", "Certificates of clients that name no user.",
             lambda s: s.totals.denied_tls_cert),
    _counter("redis_errors_total", "Error replies by code.",
             lambda s: [((code,), count) for code, count in s.errors.items()], "err"),
    # ---- commands
    _counter("redis_commands_total", "Calls.", _per_command(lambda c: c.calls), "cmd"),
    _counter("redis_commands_duration_seconds_total", "Time in a command.",
             _per_command(lambda c: c.nanoseconds / 1e9), "cmd"),
    _counter("redis_commands_rejected_calls_total", "Calls refused before execution.",
             _per_command(lambda c: c.rejected), "cmd"),
    _counter("redis_commands_failed_calls_total", "Calls that answered an error.",
             _per_command(lambda c: c.failed), "cmd"),
    # ---- keyspace
    _gauge("redis_db_keys", "Keys.", _databases("keys"), "db"),
    _gauge("redis_db_keys_expiring", "Keys with a time to live.", _databases("keys_with_expiry"), "db"),
    _gauge("redis_db_avg_ttl_seconds", "Average time to live.", _databases("average_ttl_ms", 1000), "db"),
    # ---- replication and persistence
    _gauge("redis_connected_slaves", "Connected replicas.", lambda s: len(s.node.replication.rows())),
    _gauge("redis_connected_slave_offset_bytes", "Offset that a replica has acknowledged.",
           _per_replica(lambda row: row.acknowledged), *_REPLICA_LABELS),
    _gauge("redis_connected_slave_lag_seconds", "Seconds since a replica was last heard of.",
           _per_replica(lambda row: row.lag_seconds), *_REPLICA_LABELS),
    _gauge("redis_master_repl_offset", "Offset of the journal.", lambda s: s.node.replication.current_offset),
    _gauge("redis_second_repl_offset", "Offset up to which replicas of the history before may go on here; -1 is none.",
           lambda s: s.node.replication.second_offset),
    _gauge("redis_repl_backlog_is_active", "1 while recent writes are kept for replicas.",
           lambda s: int(s.node.replication.backlog()[0])),
    _gauge("redis_replication_backlog_bytes", "The parameter repl-backlog-size.",
           lambda s: s.node.config.get_int("repl-backlog-size")),
    _gauge("redis_repl_backlog_first_byte_offset", "Offset of the first byte that is kept.",
           lambda s: s.node.replication.first_kept_offset),
    _gauge("redis_repl_backlog_history_bytes", "Bytes of recent writes that are kept.",
           lambda s: s.node.replication.kept_bytes),
    _gauge("redis_master_link_up", "1 while the stream of the primary is applied.",
           _of_link(lambda s: int(s.node.replication.is_up)), *_LINK_LABELS),
    _gauge("redis_master_last_io_seconds_ago", "Seconds since the primary was last heard of; -1 without a link.",
           _of_link(_link_silence), *_LINK_LABELS),
    _gauge("redis_master_sync_in_progress", "1 while a snapshot of the primary comes.",
           _of_link(lambda s: int(s.node.replication.is_syncing)), *_LINK_LABELS),
    _gauge("redis_slave_repl_offset", "Offset up to which the primary's stream was applied.",
           _of_link(lambda s: s.node.replication.current_offset), *_LINK_LABELS),
    _gauge("redis_slave_info", "Which primary is followed.", _following, *_LINK_LABELS, "read_only"),
    _gauge("redis_slave_priority", "The parameter replica-priority.",
           _of_link(lambda s: s.node.config.get_int("replica-priority")), *_LINK_LABELS),
    _counter("redis_net_repl_input_bytes_total", "Bytes received over links of replication.",
             lambda s: s.node.replication.traffic()[0]),
    _counter("redis_net_repl_output_bytes_total", "Bytes sent over links of replication.",
             lambda s: s.node.replication.traffic()[1]),
    _gauge("redis_replica_resyncs_full", "Replicas that were sent a snapshot.",
           lambda s: s.node.replication.full_syncs),
    _gauge("redis_replica_partial_resync_accepted", "Replicas that went on where they were.",
           lambda s: s.node.replication.partial_syncs),
    _gauge("redis_replica_partial_resync_denied", "Replicas that could not go on where they were.",
           lambda s: s.node.replication.refused_partial_syncs),
    _gauge("redis_loading_dump_file", "1 while data are loaded from a file.",
           lambda s: int(load_state(s.node) is not None)),
    _gauge("sherd_load_bytes", "Bytes of the files that are being loaded, and those of them that were read.",
           _load_bytes, "which"),
    _gauge("redis_rdb_last_save_timestamp_seconds", "Unix time of the last snapshot, or of the start.",
           lambda s: int(s.node.saves.last_time)),
    _gauge("redis_rdb_last_bgsave_status", "1 if the last snapshot succeeded.",
           lambda s: int(s.node.saves.last_ok)),
    _gauge("redis_rdb_bgsave_in_progress", "1 while a snapshot is taken.",
           lambda s: int(s.node.saves.current_since > 0)),
    _gauge("redis_rdb_changes_since_last_save", "Changes since the last snapshot.",
           lambda s: s.totals.dirty - s.node.saves.saved_changes),
    _gauge("redis_aof_enabled", "1 if there is an append-only file.",
           lambda s: int(s.node.appends.enabled)),
    _gauge("redis_aof_current_size_bytes", "Bytes of the append-only file.", _append_size),
    # ---- slow log and latency
    _gauge("redis_slowlog_length", "Entries of the slow log.", lambda s: s.slow_log.length),
    _gauge("redis_slowlog_last_id", "Number of the newest entry of the slow log.", lambda s: s.slow_log.last_id),
    _gauge("redis_last_slow_execution_duration_seconds", "Duration of the newest entry of the slow log.",
           lambda s: s.slow_log.last_duration_us / 1e6),
    _gauge("redis_latency_spike_last", "Unix time of the newest latency spike.",
           lambda s: [((event.name,), event.unix_seconds) for event in s.latency_events], "event_name"),
    _gauge("redis_latency_spike_duration_seconds", "Duration of the newest latency spike.",
           lambda s: [((event.name,), event.duration_ms / 1e3) for event in s.latency_events], "event_name"),
    # ---- cluster
    _gauge("redis_cluster_enabled", "1 in cluster mode.", lambda s: int(s.node.cluster_enabled)),
    _gauge("redis_cluster_state", "1 if the cluster serves.", _in_cluster(1)),
    _gauge("redis_cluster_slots_assigned", "Slots that some node has.", _in_cluster(16384)),
    _gauge("redis_cluster_slots_ok", "Slots that are served.", _in_cluster(16384)),
    _gauge("redis_cluster_slots_pfail", "Slots of nodes that may be failing.", _in_cluster(0)),
    _gauge("redis_cluster_slots_fail", "Slots of nodes that have failed.", _in_cluster(0)),
    _gauge("redis_cluster_known_nodes", "Nodes known.", _in_cluster(1)),
    _gauge("redis_cluster_size", "Nodes with slots.", _in_cluster(1)),
    # ---- Sherd: the process
    _gauge("sherd_build_info", "Which build runs.", _build, "version", "build_id", "python_version"),
    _gauge("sherd_ready", "1 while the server is ready for clients.", lambda s: int(s.node.ready)),
    _gauge("sherd_shards", "Shards.", lambda s: s.shard_count),
    _gauge("sherd_io_threads", "IO threads.", lambda s: s.io_thread_count),
    _gauge("sherd_open_descriptors", "Open file descriptors.", lambda s: process.open_descriptors()),
    _gauge("sherd_process_threads", "Threads of the process.", lambda s: s.process.threads),
    _gauge("sherd_control_loop_lag_seconds", "Seconds since the control plane's loop came round.",
           lambda s: s.node.sampler.seconds_since_sample()),
    _gauge("sherd_monitor_clients", "Clients in MONITOR.", lambda s: s.clients.monitors),
    _gauge("sherd_watched_keys", "Keys that clients watch.", lambda s: s.clients.watched_keys),
    _gauge("sherd_clients_paused", "1 while CLIENT PAUSE is in force.", lambda s: int(s.clients.paused_ms > 0)),
    _counter("sherd_query_buffer_disconnections_total", "Clients cut at the query buffer limit.",
             lambda s: s.clients.query_limit_disconnections),
    _counter("sherd_output_buffer_disconnections_total", "Clients cut at the output buffer limit.",
             lambda s: s.clients.output_limit_disconnections),
    _counter("sherd_error_replies_total", "Error replies.", lambda s: s.totals.error_replies),
    _counter("sherd_unexpected_errors_total", "Requests that were no valid protocol.",
             lambda s: s.totals.unexpected_errors),
    _counter("sherd_recovered_panics_total", "Commands that failed by a mistake in the program.",
             lambda s: s.totals.panics),
    _counter("sherd_cross_shard_transactions_total", "Commands and transactions over several shards.",
             lambda s: s.totals.cross_shard),
    _counter("sherd_lazyfreed_objects_total", "Values freed off the execution threads.", lambda s: s.totals.lazyfreed),
    # ---- Sherd: shards
    _gauge("sherd_shard_keys", "Keys.", _per_shard("keys"), "shard"),
    _gauge("sherd_shard_memory_bytes", "Memory of keys and values.", _per_shard("memory_bytes"), "shard"),
    _gauge("sherd_shard_queue_depth", "Batches that wait.", _per_shard("queue_depth"), "shard"),
    _gauge("sherd_shard_longest_slice_seconds", "Longest time that one executor held the shard.",
           _per_shard("longest_slice_seconds"), "shard"),
    _counter("sherd_shard_commands_total", "Commands executed.", _per_shard("commands"), "shard"),
    _counter("sherd_shard_busy_seconds_total", "Time in which the shard was held.", _per_shard("busy_seconds"),
             "shard"),
    _counter("sherd_shard_batches_total", "Batches: direct where the baton was free, queued where another held it.",
             _batches, "shard", "path"),
    _counter("sherd_shard_wakes_total", "Times the shard's own thread was woken.", _per_shard("wakes"), "shard"),
    # ---- Sherd: IO threads
    _gauge("sherd_io_thread_connections", "Connections.", _per_thread("connections"), "thread"),
    _counter("sherd_io_thread_commands_total", "Connection commands executed.", _per_thread("commands"), "thread"),
    _counter("sherd_io_thread_input_bytes_total", "Bytes read.", _per_thread("input_bytes"), "thread"),
    _counter("sherd_io_thread_output_bytes_total", "Bytes written.", _per_thread("output_bytes"), "thread"),
    _counter("sherd_io_thread_reads_total", "Read system calls.", _per_thread("reads"), "thread"),
    _counter("sherd_io_thread_writes_total", "Write system calls.", _per_thread("writes"), "thread"),
    _counter("sherd_io_thread_polls_total", "Poll rounds.", _per_thread("polls"), "thread"),
    _counter("sherd_io_thread_busy_seconds_total", "Time outside of polling.", _per_thread("busy_seconds"), "thread"),
    # ---- Sherd: keys
    _gauge("sherd_hot_key_commands", "Estimated commands on the most used keys; key is a hash unless asked otherwise.",
           _hot_keys, "key"),
    _gauge("sherd_big_key_bytes", "Memory of the biggest keys as last seen; key is a hash unless asked otherwise.",
           _big_keys("bytes"), *_BIG_KEY_LABELS),
    _gauge("sherd_big_key_elements", "Elements of the longest collections as last seen.", _big_keys("elements"),
           *_BIG_KEY_LABELS),
)  # fmt: skip

DISTRIBUTIONS: tuple[Distribution, ...] = (
    Distribution("redis_commands_latencies_usec", "histogram", "Time of a command in microseconds.", 1e-6),
    Distribution("redis_latency_percentiles_usec", "summary", "Percentiles of the time of a command.", 1e-6),
    Distribution("sherd_command_duration_seconds", "histogram", "Time of a command.", 1.0),
)

# About the page itself; the collector counts these.
PAGE_METRICS: tuple[tuple[str, str, str], ...] = (
    ("redis_exporter_scrapes_total", "counter", "Scrapes of this page."),
    ("redis_exporter_last_scrape_duration_seconds", "gauge", "Duration of the scrape before this one."),
    ("redis_exporter_last_scrape_error", "gauge", "1 if the last scrape failed."),
)


def metric_names() -> list[str]:
    """Every name that the page can have."""
    return [
        *(metric.name for metric in METRICS),
        *(distribution.name for distribution in DISTRIBUTIONS),
        *(name for name, _, _ in PAGE_METRICS),
    ]
