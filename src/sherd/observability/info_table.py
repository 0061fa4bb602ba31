"""Every field of INFO: section, name, and where its value comes from.

Rows stand in the order in which they are printed, which is that of Redis 8.0 with Valkey's additions at their places. A
source gives the value from a `Snapshot`. A plain number or text stands for what does not exist here, and is what a
server without that capability reports. What this data plane does not measure has no row.

Sections whose lines depend on the data (commandstats, keyspace, ...) are in `info`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sherd.native import redis_version
from sherd.observability import process
from sherd.observability.loading import loading_flags
from sherd.observability.snapshot import Snapshot
from sherd.record import record

Value: TypeAlias = int | float | str
Source: TypeAlias = Callable[[Snapshot], Value]


@record
class InfoField:
    """One line of INFO."""

    section: str
    name: str
    source: Source | Value


def human_bytes(value: int) -> str:
    """Bytes as INFO's *_human fields write them: 512B, 1.00K, 23.54G."""
    if value < 1024:
        return f"{value}B"
    size = float(value)
    for unit in "KMGTP":
        size /= 1024
        if size < 1024 or unit == "P":
            break
    return f"{size:.2f}{unit}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.2f}%"


def _mode(snapshot: Snapshot) -> str:
    return "cluster" if snapshot.node.cluster_enabled else "standalone"


def _hz(snapshot: Snapshot) -> int:
    return snapshot.node.config.get_int("hz")


def _text(name: str) -> Source:
    return lambda snapshot: snapshot.node.config.get_str(name)


def _config_file(snapshot: Snapshot) -> str:
    return str(snapshot.node.config.config_file or "")


def _resident(snapshot: Snapshot) -> int:
    return snapshot.process.resident_bytes


def _overhead(snapshot: Snapshot) -> int:
    return snapshot.memory_used - snapshot.memory_dataset


def _resident_ratio(snapshot: Snapshot) -> str:
    return _two(snapshot.ratio(_resident(snapshot), snapshot.memory_used))


def _resident_surplus(snapshot: Snapshot) -> int:
    return _resident(snapshot) - snapshot.memory_used


def _threaded(count: int, snapshot: Snapshot) -> int:
    return count if snapshot.io_thread_count > 1 else 0


def _append_pending(snapshot: Snapshot) -> int:
    """Bytes that the append-only file has not taken yet."""
    status = snapshot.node.engine.append_status()
    return status["pending"] if status is not None else 0


def _command_microseconds(snapshot: Snapshot) -> int:
    return snapshot.totals.command_nanoseconds // 1000


def _busy_microseconds(snapshot: Snapshot) -> int:
    return int(sum(thread.busy_seconds for thread in snapshot.io_threads) * 1e6)


def _poll_microseconds(snapshot: Snapshot) -> int:
    return int(snapshot.ratio(snapshot.rate("busy_seconds") * 1e6, snapshot.rate("polls")))


def _section(section: str, rows: list[tuple[str, Source | Value]]) -> tuple[InfoField, ...]:
    return tuple(InfoField(section, name, source) for name, source in rows)


SERVER = _section("server", [
    ("redis_version", redis_version),
    ("server_name", "sherd"),
    ("sherd_version", lambda s: s.node.version),
    ("redis_git_sha1", "00000000"),
    ("redis_git_dirty", 0),
    ("redis_build_id", lambda s: s.node.build_id),
    ("redis_mode", _mode),
    ("server_mode", _mode),
    ("os", lambda s: process.operating_system()),
    ("arch_bits", lambda s: process.arch_bits()),
    ("monotonic_clock", lambda s: process.monotonic_clock()),
    ("multiplexing_api", "epoll"),
    ("gcc_version", "0.0.0"),
    ("process_id", lambda s: s.process_id),
    ("process_supervised", _text("supervised")),
    ("run_id", lambda s: s.run_id),
    ("tcp_port", lambda s: s.node.port),
    ("server_time_usec", lambda s: int(s.taken_at * 1e6)),
    ("uptime_in_seconds", lambda s: int(s.uptime_seconds)),
    ("uptime_in_days", lambda s: int(s.uptime_seconds) // 86400),
    ("hz", _hz),
    ("configured_hz", _hz),
    ("lru_clock", lambda s: s.lru_clock),
    ("executable", lambda s: process.executable()),
    ("config_file", _config_file),
    ("io_threads_active", lambda s: int(s.io_thread_count > 1)),
    ("shutdown_in_milliseconds", lambda s: s.node.replication.ending_milliseconds),
    ("availability_zone", _text("availability-zone")),
])  # fmt: skip


def _pause_reason(snapshot: Snapshot) -> str:
    """Why clients wait: the server's own reason, if there is one, lasts longer than CLIENT PAUSE."""
    replication = snapshot.node.replication
    if replication.is_ending:
        return "shutdown_in_progress"
    if replication.failover_state != "no-failover":
        return "failover_in_progress"
    return "client_pause" if snapshot.clients.paused_ms else "none"


CLIENTS = _section("clients", [
    ("connected_clients", lambda s: s.clients.connected),
    ("cluster_connections", 0),
    ("maxclients", lambda s: s.clients.maxclients),
    ("client_recent_max_input_buffer", lambda s: s.clients.input_buffer_max),
    ("client_recent_max_output_buffer", lambda s: s.clients.output_buffer_max),
    ("blocked_clients", lambda s: s.clients.blocked),
    ("tracking_clients", lambda s: s.clients.tracking),
    ("pubsub_clients", lambda s: s.clients.subscribers),
    ("watching_clients", lambda s: s.clients.watching),
    ("clients_in_timeout_table", lambda s: s.clients.in_timeout_table),
    ("total_watched_keys", lambda s: s.clients.watched_keys),
    ("total_blocking_keys", lambda s: s.clients.blocking_keys),
    ("total_blocking_keys_on_nokey", lambda s: s.clients.blocking_keys_on_nokey),
    ("paused_reason", _pause_reason),
    ("paused_actions", lambda s: s.paused_reason or ("none" if _pause_reason(s) == "none" else "write")),
    ("paused_timeout_milliseconds", lambda s: s.clients.paused_ms),
])  # fmt: skip

# The allocator has no statistics of its own: as the other servers do with such a one, what is allocated is what was
# asked for, and what is active and resident is the process.
MEMORY = _section("memory", [
    ("used_memory", lambda s: s.memory_used),
    ("used_memory_human", lambda s: human_bytes(s.memory_used)),
    ("used_memory_rss", _resident),
    ("used_memory_rss_human", lambda s: human_bytes(_resident(s))),
    ("used_memory_peak", lambda s: s.memory_peak),
    ("used_memory_peak_human", lambda s: human_bytes(s.memory_peak)),
    ("used_memory_peak_perc", lambda s: _percent(s.memory_used, s.memory_peak)),
    ("used_memory_overhead", _overhead),
    ("used_memory_startup", lambda s: s.memory_startup),
    ("used_memory_dataset", lambda s: s.memory_dataset),
    ("used_memory_dataset_perc", lambda s: _percent(s.memory_dataset, max(0, s.memory_used - s.memory_startup))),
    ("allocator_allocated", lambda s: s.memory_used),
    ("allocator_active", lambda s: s.memory_active),
    ("allocator_resident", lambda s: s.memory_active),
    ("allocator_muzzy", 0),
    ("total_system_memory", lambda s: s.process.system_memory_bytes),
    ("total_system_memory_human", lambda s: human_bytes(s.process.system_memory_bytes)),
    ("used_memory_lua", lambda s: s.scripts.vm_bytes),
    ("used_memory_vm_eval", lambda s: s.scripts.vm_bytes),
    ("used_memory_lua_human", lambda s: human_bytes(s.scripts.vm_bytes)),
    ("used_memory_scripts_eval", lambda s: s.scripts.text_bytes),
    ("number_of_cached_scripts", lambda s: s.scripts.cached),
    ("number_of_functions", lambda s: s.scripts.functions),
    ("number_of_libraries", lambda s: s.scripts.libraries),
    ("used_memory_vm_functions", lambda s: s.scripts.function_vm_bytes),
    ("used_memory_vm_total", lambda s: s.scripts.all_vm_bytes),
    ("used_memory_vm_total_human", lambda s: human_bytes(s.scripts.all_vm_bytes)),
    ("used_memory_functions", lambda s: s.scripts.library_bytes),
    ("used_memory_scripts", lambda s: s.scripts.all_text_bytes),
    ("used_memory_scripts_human", lambda s: human_bytes(s.scripts.all_text_bytes)),
    ("maxmemory", lambda s: s.maxmemory),
    ("maxmemory_human", lambda s: human_bytes(s.maxmemory)),
    ("maxmemory_policy", _text("maxmemory-policy")),
    ("allocator_frag_ratio", lambda s: _two(s.ratio(s.memory_active, s.memory_used))),
    ("allocator_frag_bytes", lambda s: s.memory_active - s.memory_used),
    ("allocator_rss_ratio", "1.00"),
    ("allocator_rss_bytes", 0),
    ("rss_overhead_ratio", lambda s: _two(s.ratio(_resident(s), s.memory_active))),
    ("rss_overhead_bytes", lambda s: _resident(s) - s.memory_active),
    ("mem_fragmentation_ratio", _resident_ratio),
    ("mem_fragmentation_bytes", _resident_surplus),
    ("mem_not_counted_for_evict", lambda s: s.memory_not_counted),
    ("mem_replication_backlog", lambda s: s.node.replication.backlog()[3]),
    ("mem_total_replication_buffers", lambda s: s.node.replication.backlog()[3]),
    ("mem_replica_full_sync_buffer", 0),
    ("mem_replicas_repl_buffer", 0),
    ("mem_clients_slaves", 0),
    ("mem_clients_normal", lambda s: s.clients.buffers_bytes),
    ("mem_cluster_links", 0),
    ("mem_cluster_slot_import", 0),
    ("mem_cluster_slot_export", 0),
    ("mem_aof_buffer", _append_pending),
    ("mem_allocator", "mimalloc"),
    ("mem_overhead_db_hashtable_rehashing", 0),
    ("active_defrag_running", lambda s: s.defragmentation.effort_percent),
    ("lazyfree_pending_objects", lambda s: s.totals.lazyfree_pending),
    ("lazyfreed_objects", lambda s: s.totals.lazyfreed),
])  # fmt: skip


def _append_error(snapshot: Snapshot) -> int:
    status = snapshot.node.engine.append_status()
    return status["error"] if status is not None else 0


def _save_progress(snapshot: Snapshot) -> tuple[int, int]:
    """Keys that are saved so far, and keys in all."""
    progress = snapshot.node.engine.save_progress()
    return progress[:2] if progress is not None else (0, 0)


PERSISTENCE = _section("persistence", [
    ("loading", lambda s: int(loading_flags(s.node)[0])),
    ("async_loading", lambda s: int(loading_flags(s.node)[1])),
    ("current_cow_peak", 0),
    ("current_cow_size", 0),
    ("current_cow_size_age", 0),
    ("current_fork_perc", "0.00"),
    ("current_save_keys_processed", lambda s: _save_progress(s)[0]),
    ("current_save_keys_total", lambda s: _save_progress(s)[1]),
    ("rdb_changes_since_last_save", lambda s: s.totals.dirty - s.node.saves.saved_changes),
    ("rdb_bgsave_in_progress", lambda s: int(s.node.saves.current_since > 0)),
    ("rdb_last_save_time", lambda s: int(s.node.saves.last_time)),
    ("rdb_last_bgsave_status", lambda s: "ok" if s.node.saves.last_ok else "err"),
    ("rdb_last_bgsave_time_sec", lambda s: s.node.saves.last_seconds),
    ("rdb_current_bgsave_time_sec", lambda s: s.node.saves.current_seconds),
    ("rdb_saves", lambda s: s.node.saves.count),
    ("rdb_last_cow_size", 0),
    ("rdb_last_load_keys_expired", lambda s: s.node.saves.loaded_expired),
    ("rdb_last_load_keys_loaded", lambda s: s.node.saves.loaded_keys),
    ("aof_enabled", lambda s: int(s.node.appends.enabled)),
    ("aof_rewrite_in_progress", lambda s: int(s.node.appends.current_since > 0)),
    ("aof_rewrite_scheduled", lambda s: int(s.node.appends.scheduled)),
    ("aof_last_rewrite_time_sec", lambda s: s.node.appends.last_seconds),
    ("aof_current_rewrite_time_sec", lambda s: s.node.appends.current_seconds),
    ("aof_last_bgrewrite_status", lambda s: "ok" if s.node.appends.last_ok else "err"),
    ("aof_rewrites", lambda s: s.node.appends.count),
    ("aof_rewrites_consecutive_failures", lambda s: s.node.appends.failures),
    ("aof_last_write_status", lambda s: "err" if _append_error(s) else "ok"),
    ("aof_last_cow_size", 0),
    ("module_fork_in_progress", 0),
    ("module_fork_last_cow_size", 0),
    ("slot_migration_fork_in_progress", 0),
])  # fmt: skip

STATS = _section("stats", [
    ("total_connections_received", lambda s: s.clients.received),
    ("total_commands_processed", lambda s: s.totals.commands),
    ("instantaneous_ops_per_sec", lambda s: round(s.rate("commands"))),
    ("total_net_input_bytes", lambda s: s.network.input_bytes),
    ("total_net_output_bytes", lambda s: s.network.output_bytes),
    ("total_net_repl_input_bytes", lambda s: s.node.replication.traffic()[0]),
    ("total_net_repl_output_bytes", lambda s: s.node.replication.traffic()[1]),
    ("total_net_cluster_slot_import_bytes", 0),
    ("total_net_cluster_slot_export_bytes", 0),
    ("instantaneous_input_kbps", lambda s: _two(s.rate("input_bytes") / 1024)),
    ("instantaneous_output_kbps", lambda s: _two(s.rate("output_bytes") / 1024)),
    ("instantaneous_input_repl_kbps", lambda s: _two(s.rate("repl_input_bytes") / 1024)),
    ("instantaneous_output_repl_kbps", lambda s: _two(s.rate("repl_output_bytes") / 1024)),
    ("rejected_connections", lambda s: s.clients.rejected),
    ("sync_full", lambda s: s.node.replication.full_syncs),
    ("sync_partial_ok", lambda s: s.node.replication.partial_syncs),
    ("sync_partial_err", lambda s: s.node.replication.refused_partial_syncs),
    ("expired_subkeys", lambda s: s.totals.expired_fields + s.totals.expired_members),
    ("expired_keys", lambda s: s.totals.expired_keys),
    ("expired_fields", lambda s: s.totals.expired_fields),
    ("expired_stale_perc", lambda s: _two(s.totals.expired_stale_millionths / 1e4)),
    ("expired_time_cap_reached_count", lambda s: s.totals.expire_time_cap_reached),
    ("expire_cycle_cpu_milliseconds", lambda s: s.totals.expire_nanoseconds // 1_000_000),
    ("evicted_keys", lambda s: s.totals.evicted_keys),
    ("evicted_clients", lambda s: s.clients.evicted),
    ("evicted_scripts", lambda s: s.scripts.evicted),
    ("total_eviction_exceeded_time", lambda s: s.totals.eviction_exceeded_ms),
    ("current_eviction_exceeded_time", lambda s: s.totals.current_eviction_exceeded_ms),
    ("keyspace_hits", lambda s: s.totals.keyspace_hits),
    ("keyspace_misses", lambda s: s.totals.keyspace_misses),
    ("pubsub_channels", lambda s: s.clients.channels),
    ("pubsub_patterns", lambda s: s.clients.patterns),
    ("pubsubshard_channels", lambda s: s.clients.shard_channels),
    ("latest_fork_usec", 0),
    ("total_forks", 0),
    ("migrate_cached_sockets", 0),
    ("slave_expires_tracked_keys", lambda s: s.totals.own_volatile_keys),
    ("active_defrag_hits", lambda s: s.defragmentation.hits),
    ("active_defrag_misses", lambda s: s.defragmentation.misses),
    ("active_defrag_key_hits", lambda s: s.defragmentation.key_hits),
    ("active_defrag_key_misses", lambda s: s.defragmentation.key_misses),
    ("total_active_defrag_time", lambda s: s.defragmentation.total_ms),
    ("current_active_defrag_time", lambda s: s.defragmentation.current_ms),
    ("tracking_total_keys", lambda s: s.clients.tracked_keys),
    ("tracking_total_items", lambda s: s.clients.tracked_items),
    ("tracking_total_prefixes", lambda s: s.clients.tracked_prefixes),
    # Errors of a primary in answer to its replica, or of a log that is loaded.
    ("unexpected_error_replies", lambda s: s.node.replication.traffic()[2]),
    ("total_error_replies", lambda s: s.totals.error_replies),
    ("total_reads_processed", lambda s: s.network.reads),
    ("total_writes_processed", lambda s: s.network.writes),
    ("io_threaded_reads_processed", lambda s: _threaded(s.network.reads, s)),
    ("io_threaded_writes_processed", lambda s: _threaded(s.network.writes, s)),
    ("client_query_buffer_limit_disconnections", lambda s: s.clients.query_limit_disconnections),
    ("client_output_buffer_limit_disconnections", lambda s: s.clients.output_limit_disconnections),
    ("eventloop_cycles", lambda s: sum(thread.polls for thread in s.io_threads)),
    ("eventloop_duration_sum", _busy_microseconds),
    ("eventloop_duration_cmd_sum", _command_microseconds),
    ("instantaneous_eventloop_cycles_per_sec", lambda s: round(s.rate("polls"))),
    ("instantaneous_eventloop_duration_usec", _poll_microseconds),
    ("acl_access_denied_auth", lambda s: s.totals.denied_auth),
    ("acl_access_denied_cmd", lambda s: s.totals.denied_command),
    ("acl_access_denied_key", lambda s: s.totals.denied_key),
    ("acl_access_denied_channel", lambda s: s.totals.denied_channel),
    ("acl_access_denied_tls_cert", lambda s: s.totals.denied_tls_cert),
    ("acl_access_denied_db", lambda s: s.totals.denied_database),
])  # fmt: skip

REPLICATION = _section("replication", [
    ("role", lambda s: s.node.replication.role),
    ("connected_slaves", lambda s: len(s.node.replication.rows())),
    ("replicas_waiting_psync", 0),
    ("master_failover_state", lambda s: s.node.replication.failover_state),
    ("master_replid", lambda s: s.node.replication.id),
    ("master_replid2", lambda s: s.node.replication.second_id),
    ("master_repl_offset", lambda s: s.node.replication.current_offset),
    ("second_repl_offset", lambda s: s.node.replication.second_offset),
    ("repl_backlog_active", lambda s: int(s.node.replication.backlog()[0])),
    ("repl_backlog_size", lambda s: s.node.config.get_int("repl-backlog-size")),
    ("repl_backlog_first_byte_offset", lambda s: s.node.replication.first_kept_offset),
    ("repl_backlog_histlen", lambda s: s.node.replication.kept_bytes),
])  # fmt: skip

CPU = _section("cpu", [
    ("used_cpu_sys", lambda s: f"{s.process.cpu_system:.6f}"),
    ("used_cpu_user", lambda s: f"{s.process.cpu_user:.6f}"),
    ("used_cpu_sys_children", lambda s: f"{s.process.children_cpu_system:.6f}"),
    ("used_cpu_user_children", lambda s: f"{s.process.children_cpu_user:.6f}"),
    ("used_cpu_sys_main_thread", lambda s: f"{s.process.main_thread_cpu_system:.6f}"),
    ("used_cpu_user_main_thread", lambda s: f"{s.process.main_thread_cpu_user:.6f}"),
])  # fmt: skip

CLUSTER = _section("cluster", [("cluster_enabled", lambda s: int(s.node.cluster_enabled))])

SHERD = _section("sherd", [
    ("shards", lambda s: s.shard_count),
    ("io_threads", lambda s: s.io_thread_count),
    ("cross_shard_transactions", lambda s: s.totals.cross_shard),
    ("longest_slice_usec", lambda s: int(s.longest_slice_seconds * 1e6)),
    ("recovered_panics", lambda s: s.totals.panics),
    ("open_descriptors", lambda s: process.open_descriptors()),
    ("process_threads", lambda s: s.process.threads),
    ("control_loop_lag_milliseconds", lambda s: int(s.node.sampler.seconds_since_sample() * 1000)),
])  # fmt: skip

FIELDS: tuple[InfoField, ...] = (
    *SERVER, *CLIENTS, *MEMORY, *PERSISTENCE, *STATS, *REPLICATION, *CPU, *CLUSTER, *SHERD,
)  # fmt: skip
