"""The panels of the dashboard, row by row: what is shown, in which unit, by which queries.

`%s` in a query stands for the label filter of the dashboard's variables. Every series of the metrics page is in some
panel; a test holds that, and that each query gives data on a loaded server.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """One panel. kind: timeseries, stat, table or bargauge; queries: (expression, legend) pairs."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    description: str = ""
    stacked: bool = False
    thresholds: tuple[tuple[float | None, str], ...] = ()


def _rate(name: str, by: str = "instance", extra: str = "") -> str:
    return f"sum by ({by}) (rate({name}{{%s{extra}}}[$__rate_interval]))"


def _big_keys(name: str) -> str:
    return f"topk(20, max by (key, db, type) ({name}{{%s}}))"


def _quantile(quantile: float, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    rate = f"sum by ({labels}) (rate(sherd_command_duration_seconds_bucket{{%s}}[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {rate})"


def _stat(title: str, unit: str, query: str, legend: str = "", **more: object) -> Panel:
    return Panel(title, unit, ((query, legend),), kind="stat", width=3, height=4, **more)  # type: ignore[arg-type]


_GOOD_BAD = ((None, "red"), (1.0, "green"))
_FULL = ((None, "green"), (0.8, "orange"), (0.9, "red"))

OVERVIEW = (
    _stat("Up", "short", "min(redis_up{%s})", thresholds=_GOOD_BAD),
    _stat("Ready", "short", "min(sherd_ready{%s})", thresholds=_GOOD_BAD),
    _stat("Uptime", "s", "min(redis_uptime_in_seconds{%s})"),
    _stat("Clients", "short", "sum(redis_connected_clients{%s})"),
    _stat("Commands a second", "ops", "sum(rate(redis_commands_processed_total{%s}[$__rate_interval]))"),
    _stat(
        "Memory in use", "percentunit",
        "max(redis_memory_used_bytes{%s} / ((redis_memory_max_bytes{%s} > 0) or redis_total_system_memory_bytes{%s}))",
        description="Of maxmemory, or of the machine's memory where there is no limit.", thresholds=_FULL,
    ),
    _stat(
        "Hit rate", "percentunit",
        "sum(rate(redis_keyspace_hits_total{%s}[$__rate_interval])) / (sum(rate(redis_keyspace_hits_total{%s}"
        "[$__rate_interval])) + sum(rate(redis_keyspace_misses_total{%s}[$__rate_interval])))",
    ),
    _stat("Keys", "short", "sum(redis_db_keys{%s})"),
    Panel("Commands", "ops", ((_rate("redis_commands_processed_total"), "{{instance}}"),), width=12),
    Panel(
        "Time of a command", "s",
        ((_quantile(0.5), "p50"), (_quantile(0.99), "p99"), (_quantile(0.999), "p99.9")), width=12,
    ),
    Panel(
        "Instances", "short",
        (
            ("redis_instance_info{%s}", ""),
            ("sherd_build_info{%s}", ""),
            ("redis_process_id{%s}", ""),
            ("redis_start_time_seconds{%s}", ""),
        ),
        kind="table", width=24, height=6,
    ),
)  # fmt: skip

CLIENTS = (
    Panel(
        "Clients", "short",
        (
            ("redis_connected_clients{%s}", "{{instance}} connected"),
            ("redis_max_clients{%s}", "{{instance}} most"),
            ("redis_config_maxclients{%s}", "{{instance}} configured"),
        ),
    ),
    Panel(
        "What clients do", "short",
        (
            ("redis_blocked_clients{%s}", "{{instance}} blocked"),
            ("redis_pubsub_clients{%s}", "{{instance}} subscribed"),
            ("redis_tracking_clients{%s}", "{{instance}} tracking"),
            ("redis_watching_clients{%s}", "{{instance}} watching"),
            ("sherd_watched_keys{%s}", "{{instance}} watched keys"),
            ("sherd_monitor_clients{%s}", "{{instance}} monitors"),
            ("sherd_clients_paused{%s}", "{{instance}} paused"),
        ),
    ),
    Panel(
        "Connections", "cps",
        (
            (_rate("redis_connections_received_total"), "{{instance}} accepted"),
            (_rate("redis_rejected_connections_total"), "{{instance}} refused"),
            (_rate("sherd_query_buffer_disconnections_total"), "{{instance}} cut at the query limit"),
            (_rate("sherd_output_buffer_disconnections_total"), "{{instance}} cut at the output limit"),
        ),
    ),
    Panel(
        "Client buffers", "bytes",
        (
            ("redis_mem_clients_normal{%s}", "{{instance}} all"),
            ("redis_client_recent_max_input_buffer_bytes{%s}", "{{instance}} largest input"),
            ("redis_client_recent_max_output_buffer_bytes{%s}", "{{instance}} largest output"),
        ),
        width=24, height=6,
    ),
)  # fmt: skip

COMMANDS = (
    Panel("Rate", "ops", ((f"topk(15, {_rate('redis_commands_total', 'cmd')})", "{{cmd}}"),), width=12, stacked=True),
    Panel(
        "Share of time", "percentunit",
        ((f"topk(15, {_rate('redis_commands_duration_seconds_total', 'cmd')})", "{{cmd}}"),), width=12, stacked=True,
        description="Seconds of execution a second; 1 is one core.",
    ),
    Panel("Median", "s", ((f"topk(15, {_quantile(0.5, 'cmd')})", "{{cmd}}"),)),
    Panel("99th percentile", "s", ((f"topk(15, {_quantile(0.99, 'cmd')})", "{{cmd}}"),)),
    Panel("99.9th percentile", "s", ((f"topk(15, {_quantile(0.999, 'cmd')})", "{{cmd}}"),)),
    Panel(
        "Mean time", "µs",
        (
            (
                "topk(15, sum by (cmd) (rate(redis_commands_latencies_usec_sum{%s}[$__rate_interval])) / "
                "(sum by (cmd) (rate(redis_commands_latencies_usec_count{%s}[$__rate_interval])) > 0))",
                "{{cmd}}",
            ),
        ),
    ),
    Panel(
        "Percentiles since the start", "µs",
        (("topk(20, max by (cmd, quantile) (redis_latency_percentiles_usec{%s}))", "{{cmd}} p{{quantile}}"),),
        kind="bargauge",
    ),
    Panel(
        "Refused and failed", "ops",
        (
            (f"topk(10, {_rate('redis_commands_rejected_calls_total', 'cmd')})", "{{cmd}} refused"),
            (f"topk(10, {_rate('redis_commands_failed_calls_total', 'cmd')})", "{{cmd}} failed"),
        ),
    ),
)  # fmt: skip

MEMORY = (
    Panel(
        "Memory", "bytes",
        (
            ("redis_memory_used_bytes{%s}", "{{instance}} in use"),
            ("redis_memory_used_rss_bytes{%s}", "{{instance}} process"),
            ("redis_memory_used_peak_bytes{%s}", "{{instance}} peak"),
            ("redis_memory_max_bytes{%s}", "{{instance}} limit"),
            ("redis_config_maxmemory{%s}", "{{instance}} configured limit"),
            ("redis_total_system_memory_bytes{%s}", "{{instance}} machine"),
        ),
        width=12,
    ),
    Panel(
        "What it is used for", "bytes",
        (
            ("redis_memory_used_dataset_bytes{%s}", "{{instance}} data"),
            ("redis_memory_used_overhead_bytes{%s}", "{{instance}} other"),
            ("redis_memory_used_startup_bytes{%s}", "{{instance}} from the start"),
            ("redis_memory_used_lua_bytes{%s}", "{{instance}} scripts"),
        ),
        width=12,
    ),
    Panel(
        "Fragmentation", "short",
        (
            ("redis_mem_fragmentation_ratio{%s}", "{{instance}}"),
            ("redis_memory_fragmentation_ratio{%s}", "{{instance}} (other name)"),
        ),
    ),
    Panel(
        "Allocator", "bytes",
        (
            ("redis_allocator_allocated_bytes{%s}", "{{instance}} allocated"),
            ("redis_allocator_active_bytes{%s}", "{{instance}} active"),
            ("redis_allocator_resident_bytes{%s}", "{{instance}} resident"),
            ("sherd_huge_pages_gathered_bytes_total{%s}", "{{instance}} gathered in huge pages so far"),
        ),
    ),
    Panel(
        "Freed in the background", "short",
        (
            ("redis_lazyfree_pending_objects{%s}", "{{instance}} waiting"),
            (_rate("sherd_lazyfreed_objects_total"), "{{instance}} freed a second"),
        ),
    ),
)  # fmt: skip

KEYSPACE = (
    Panel("Keys", "short", (("redis_db_keys{%s}", "{{instance}} {{db}}"),)),
    Panel("Keys with a time to live", "short", (("redis_db_keys_expiring{%s}", "{{instance}} {{db}}"),)),
    Panel("Average time to live", "s", (("redis_db_avg_ttl_seconds{%s}", "{{instance}} {{db}}"),)),
    Panel(
        "Reads", "ops",
        (
            (_rate("redis_keyspace_hits_total"), "{{instance}} hits"),
            (_rate("redis_keyspace_misses_total"), "{{instance}} misses"),
        ),
    ),
    Panel(
        "Keys that went", "ops",
        (
            (_rate("redis_expired_keys_total"), "{{instance}} expired"),
            (_rate("redis_evicted_keys_total"), "{{instance}} evicted"),
            (_rate("sherd_expired_fields_total"), "{{instance}} fields expired"),
            (_rate("sherd_expired_members_total"), "{{instance}} members expired"),
        ),
    ),
    Panel(
        "Hot keys", "short", (("topk(20, max by (key) (sherd_hot_key_commands{%s}))", "{{key}}"),), kind="bargauge",
        description="Estimated commands on the most used keys. The label is a hash of the key unless "
        "metrics-hot-key-names is set.",
    ),
    Panel(
        "Biggest keys", "bytes", ((_big_keys("sherd_big_key_bytes"), "{{key}} ({{db}}, {{type}})"),), kind="bargauge",
        description="Memory of the keys that take the most, as last seen. Labels as of hot keys.",
    ),
    Panel(
        "Longest collections", "short", ((_big_keys("sherd_big_key_elements"), "{{key}} ({{db}}, {{type}})"),),
        kind="bargauge", description="Elements of the collections that have the most, as last seen.",
    ),
)  # fmt: skip

SHARDS = (
    Panel("Busy", "percentunit", ((_rate("sherd_shard_busy_seconds_total", "instance, shard"),
                                   "{{instance}} {{shard}}"),)),
    Panel("Queue", "short", (("sherd_shard_queue_depth{%s}", "{{instance}} {{shard}}"),)),
    Panel(
        "Contention", "percentunit",
        (
            (
                _rate("sherd_shard_batches_total", "instance, shard", ', path="queued"')
                + " / (" + _rate("sherd_shard_batches_total", "instance, shard") + " > 0)",
                "{{instance}} {{shard}}",
            ),
        ),
        description="Share of batches that met a shard held by another thread.",
    ),
    Panel("Commands", "ops", ((_rate("sherd_shard_commands_total", "instance, shard"), "{{instance}} {{shard}}"),)),
    Panel("Keys", "short", (("sherd_shard_keys{%s}", "{{instance}} {{shard}}"),)),
    Panel("Memory", "bytes", (("sherd_shard_memory_bytes{%s}", "{{instance}} {{shard}}"),)),
    Panel("Longest slice", "s", (("sherd_shard_longest_slice_seconds{%s}", "{{instance}} {{shard}}"),)),
    Panel("Wake-ups", "ops", ((_rate("sherd_shard_wakes_total", "instance, shard"), "{{instance}} {{shard}}"),)),
    Panel(
        "Over several shards", "ops",
        (
            (_rate("sherd_cross_shard_transactions_total"), "{{instance}}"),
        ),
    ),
)  # fmt: skip

NETWORK = (
    Panel(
        "Bytes", "Bps",
        (
            (_rate("redis_net_input_bytes_total"), "{{instance}} in"),
            (_rate("redis_net_output_bytes_total"), "{{instance}} out"),
        ),
    ),
    Panel(
        "Bytes of an IO thread", "Bps",
        (
            (_rate("sherd_io_thread_input_bytes_total", "instance, thread"), "{{instance}} {{thread}} in"),
            (_rate("sherd_io_thread_output_bytes_total", "instance, thread"), "{{instance}} {{thread}} out"),
        ),
    ),
    Panel(
        "System calls of an IO thread", "ops",
        (
            (_rate("sherd_io_thread_reads_total", "instance, thread"), "{{instance}} {{thread}} reads"),
            (_rate("sherd_io_thread_writes_total", "instance, thread"), "{{instance}} {{thread}} writes"),
            (_rate("sherd_io_thread_polls_total", "instance, thread"), "{{instance}} {{thread}} polls"),
        ),
    ),
    Panel(
        "Busy IO threads", "percentunit",
        (
            (_rate("sherd_io_thread_busy_seconds_total", "instance, thread"), "{{instance}} {{thread}}"),
            ("sherd_io_threads{%s}", "{{instance}} threads"),
        ),
    ),
    Panel("Connections of an IO thread", "short", (("sherd_io_thread_connections{%s}", "{{instance}} {{thread}}"),)),
    Panel(
        "Connection commands", "ops",
        ((_rate("sherd_io_thread_commands_total", "instance, thread"), "{{instance}} {{thread}}"),),
        description="PING, CLIENT, MULTI and the like, which IO threads execute themselves.",
    ),
    Panel(
        "CPU", "percentunit",
        (
            (_rate("redis_cpu_user_seconds_total"), "{{instance}} user"),
            (_rate("redis_cpu_sys_seconds_total"), "{{instance}} system"),
            (_rate("redis_cpu_user_main_thread_seconds_total"), "{{instance}} control plane, user"),
            (_rate("redis_cpu_sys_main_thread_seconds_total"), "{{instance}} control plane, system"),
        ),
    ),
    Panel(
        "Process", "short",
        (
            ("sherd_open_descriptors{%s}", "{{instance}} open files"),
            ("sherd_process_threads{%s}", "{{instance}} threads"),
            ("sherd_shards{%s}", "{{instance}} shards"),
        ),
    ),
    Panel("Lag of the control plane", "s", (("sherd_control_loop_lag_seconds{%s}", "{{instance}}"),)),
)  # fmt: skip

ERRORS = (
    Panel(
        "Error replies", "ops",
        (
            (_rate("redis_errors_total", "err"), "{{err}}"),
            (_rate("sherd_error_replies_total"), "{{instance}} all"),
            (_rate("sherd_unexpected_errors_total"), "{{instance}} no valid protocol"),
            (_rate("sherd_recovered_panics_total"), "{{instance}} mistakes of the program"),
        ),
    ),
    Panel(
        "Access denied", "ops",
        (
            (_rate("redis_acl_access_denied_auth_total"), "{{instance}} passwords"),
            (_rate("redis_acl_access_denied_cmd_total"), "{{instance}} commands"),
            (_rate("redis_acl_access_denied_key_total"), "{{instance}} keys"),
            (_rate("redis_acl_access_denied_channel_total"), "{{instance}} channels"),
            (_rate("redis_acl_access_denied_tls_cert_total"), "{{instance}} certificates"),
        ),
    ),
    Panel(
        "Slow log", "short",
        (
            ("redis_slowlog_length{%s}", "{{instance}} entries"),
            ("redis_slowlog_last_id{%s}", "{{instance}} newest number"),
        ),
    ),
    Panel("Newest slow command", "s", (("redis_last_slow_execution_duration_seconds{%s}", "{{instance}}"),)),
    Panel("Latency spikes", "s", (("redis_latency_spike_duration_seconds{%s}", "{{instance}} {{event_name}}"),)),
    Panel(
        "Time since the newest spike", "s",
        (("time() - redis_latency_spike_last{%s}", "{{instance}} {{event_name}}"),),
    ),
)  # fmt: skip

PERSISTENCE = (
    Panel("Changes since the last snapshot", "short", (("redis_rdb_changes_since_last_save{%s}", "{{instance}}"),)),
    Panel(
        "Time since the last snapshot",
        "s",
        (("time() - redis_rdb_last_save_timestamp_seconds{%s}", "{{instance}}"),),
    ),
    Panel(
        "State",
        "short",
        (
            ("redis_loading_dump_file{%s}", "{{instance}} loading"),
            ("redis_rdb_bgsave_in_progress{%s}", "{{instance}} snapshot runs"),
            ("redis_rdb_last_bgsave_status{%s}", "{{instance}} last snapshot good"),
            ("redis_aof_enabled{%s}", "{{instance}} append-only file"),
        ),
    ),
    Panel(
        "Loading",
        "bytes",
        (("sherd_load_bytes{%s}", "{{instance}} {{which}}"),),
        description="What is being loaded, and how much of it was read; 0 while nothing is.",
    ),
    Panel("Append-only file", "bytes", (("redis_aof_current_size_bytes{%s}", "{{instance}}"),)),
)

REPLICATION = (
    Panel(
        "Replicas", "short",
        (
            ("redis_connected_slaves{%s}", "{{instance}}"),
            ("redis_repl_backlog_is_active{%s}", "{{instance}} backlog on"),
        ),
    ),
    Panel(
        "Bytes that a replica lacks", "bytes",
        (
            (
                "redis_master_repl_offset{%s} - on (instance) group_right () redis_connected_slave_offset_bytes{%s}",
                "{{instance}} {{slave_ip}}:{{slave_port}} {{slave_state}}",
            ),
        ),
    ),
    Panel(
        "Silence", "s",
        (
            ("redis_connected_slave_lag_seconds{%s}", "{{instance}} of replica {{slave_ip}}:{{slave_port}}"),
            ("redis_master_last_io_seconds_ago{%s}", "{{instance}} of primary {{master_host}}:{{master_port}}"),
        ),
    ),
    Panel(
        "Links to primaries", "short",
        (
            ("redis_master_link_up{%s}", "{{instance}} up"),
            ("redis_master_sync_in_progress{%s}", "{{instance}} a snapshot comes"),
        ),
    ),
    Panel(
        "Who follows whom", "short",
        (("redis_slave_info{%s}", ""), ("redis_slave_priority{%s}", "")), kind="table",
    ),
    Panel(
        "Offsets", "bytes",
        (
            ("redis_master_repl_offset{%s}", "{{instance}} journal"),
            ("redis_slave_repl_offset{%s}", "{{instance}} applied"),
            ("redis_second_repl_offset{%s}", "{{instance}} history before"),
            ("redis_repl_backlog_first_byte_offset{%s}", "{{instance}} begin of the backlog"),
        ),
    ),
    Panel(
        "Traffic of links", "Bps",
        (
            (_rate("redis_net_repl_input_bytes_total"), "{{instance}} in"),
            (_rate("redis_net_repl_output_bytes_total"), "{{instance}} out"),
        ),
    ),
    Panel(
        "Backlog", "bytes",
        (
            ("redis_repl_backlog_history_bytes{%s}", "{{instance}} kept"),
            ("redis_replication_backlog_bytes{%s}", "{{instance}} at most"),
        ),
    ),
    Panel(
        "Synchronisations", "short",
        (
            ("redis_replica_resyncs_full{%s}", "{{instance}} with a snapshot"),
            ("redis_replica_partial_resync_accepted{%s}", "{{instance}} gone on"),
            ("redis_replica_partial_resync_denied{%s}", "{{instance}} too far behind"),
        ),
    ),
)  # fmt: skip

CLUSTER = (
    Panel(
        "Cluster", "short",
        (
            ("redis_cluster_enabled{%s}", "{{instance}} cluster mode"),
            ("redis_cluster_state{%s}", "{{instance}} serves"),
            ("redis_cluster_known_nodes{%s}", "{{instance}} nodes"),
            ("redis_cluster_size{%s}", "{{instance}} nodes with slots"),
        ),
        width=12,
    ),
    Panel(
        "Slots", "short",
        (
            ("redis_cluster_slots_assigned{%s}", "{{instance}} assigned"),
            ("redis_cluster_slots_ok{%s}", "{{instance}} served"),
            ("redis_cluster_slots_pfail{%s}", "{{instance}} perhaps failing"),
            ("redis_cluster_slots_fail{%s}", "{{instance}} failed"),
        ),
        width=12,
    ),
)  # fmt: skip

PAGE = (
    Panel("Scrapes", "ops", ((_rate("redis_exporter_scrapes_total"), "{{instance}}"),)),
    Panel("Duration of a scrape", "s", (("redis_exporter_last_scrape_duration_seconds{%s}", "{{instance}}"),)),
    Panel("Failed scrapes", "short", (("redis_exporter_last_scrape_error{%s}", "{{instance}}"),)),
)

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Overview", OVERVIEW),
    ("Clients", CLIENTS),
    ("Commands", COMMANDS),
    ("Memory", MEMORY),
    ("Keyspace", KEYSPACE),
    ("Shards", SHARDS),
    ("Network and threads", NETWORK),
    ("Errors and slow commands", ERRORS),
    ("Persistence", PERSISTENCE),
    ("Replication", REPLICATION),
    ("Cluster", CLUSTER),
    ("This page", PAGE),
)
