//! Settings that the data plane reads on its way: pushed down by the control plane, read without a lock.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident = $default:expr, $name:expr;)*) => {
        /// One number a setting; booleans are 0 and 1. Names are those of redis.conf.
        #[derive(Debug)]
        pub struct Settings {
            $($(#[$doc])* pub $field: Setting,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($field: Setting(AtomicI64::new($default)),)* }
            }
        }

        impl Settings {
            /// Sets a setting by its configuration name; false when the data plane does not know it.
            pub fn set(&self, name: &str, value: i64) -> bool {
                match name {
                    $($name => self.$field.0.store(value, Relaxed),)*
                    _ => return false,
                }
                true
            }

            /// A setting by its configuration name.
            pub fn get(&self, name: &str) -> Option<i64> {
                match name {
                    $($name => Some(self.$field.get()),)*
                    _ => None,
                }
            }

            /// The names that [`Settings::set`] knows.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

/// A number that may change at any time; relaxed, for no other data depends on it.
#[derive(Debug)]
pub struct Setting(AtomicI64);

impl Setting {
    /// The value now.
    #[inline]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// The value as a size; negative is 0.
    #[inline]
    pub fn size(&self) -> usize {
        self.get().max(0) as usize
    }

    /// Whether the value is not 0.
    #[inline]
    pub fn on(&self) -> bool {
        self.get() != 0
    }

    /// Changes the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }
}

impl Settings {
    /// Counts what keys cost, or does so no longer.
    pub fn track_heat(&self, on: bool) {
        self.heat_tracking.set(i64::from(on));
        self.apply();
    }

    /// Brings those up to date that follow from others.
    pub fn apply(&self) {
        self.unusual_accounting.set(i64::from(self.heat_tracking.on() || !self.latency_tracking.on()));
    }
}

settings! {
    /// Bytes; 0 is no limit.
    maxmemory = 0, "maxmemory";
    /// A number of [`crate::policy`].
    maxmemory_policy = 0, "maxmemory-policy";
    maxmemory_samples = 5, "maxmemory-samples";
    /// How long evicting may hold up a command, from 0 to 100; see [`crate::evict`].
    maxmemory_eviction_tenacity = 10, "maxmemory-eviction-tenacity";
    lazyfree_lazy_eviction = 1, "lazyfree-lazy-eviction";
    lfu_log_factor = 10, "lfu-log-factor";
    lfu_decay_time = 1, "lfu-decay-time";
    proto_max_bulk_len = 536_870_912, "proto-max-bulk-len";
    hash_max_listpack_entries = 512, "hash-max-listpack-entries";
    hash_max_listpack_value = 64, "hash-max-listpack-value";
    list_max_listpack_size = -2, "list-max-listpack-size";
    list_compress_depth = 0, "list-compress-depth";
    set_max_intset_entries = 512, "set-max-intset-entries";
    set_max_listpack_entries = 128, "set-max-listpack-entries";
    set_max_listpack_value = 64, "set-max-listpack-value";
    zset_max_listpack_entries = 128, "zset-max-listpack-entries";
    zset_max_listpack_value = 64, "zset-max-listpack-value";
    hll_sparse_max_bytes = 3000, "hll-sparse-max-bytes";
    stream_node_max_bytes = 4096, "stream-node-max-bytes";
    stream_node_max_entries = 100, "stream-node-max-entries";
    /// For how many seconds idempotent ids are kept, and how many of each producer, unless XCFGSET says otherwise.
    stream_idmp_duration = 100, "stream-idmp-duration";
    stream_idmp_maxsize = 100, "stream-idmp-maxsize";
    /// Microseconds for each key that is written to or read from a snapshot; for tests.
    rdb_key_save_delay = 0, "rdb-key-save-delay";
    key_load_delay = 0, "key-load-delay";
    /// Microseconds; negative is off.
    slowlog_log_slower_than = 10_000, "slowlog-log-slower-than";
    slowlog_max_len = 128, "slowlog-max-len";
    /// Milliseconds; 0 is off.
    latency_monitor_threshold = 0, "latency-monitor-threshold";
    latency_tracking = 1, "latency-tracking";
    /// Classes of keyspace events to raise, as a bit set of [`crate::notify`].
    notify_keyspace_events = 0, "notify-keyspace-events";
    /// Not 0 while HOTKEYS counts what keys cost; see [`crate::heat`].
    heat_tracking = 0, "heat-tracking";
    /// Not 0 while an executed command is accounted for in any unusual way, that is while keys are counted or latency is
    /// not tracked: one thing to look at with every command. Follows from others, see [`Settings::apply`].
    unusual_accounting = 0, "unusual-accounting";
    /// Replicas that writes need; there are none yet, so any number but 0 refuses writes.
    min_replicas_to_write = 0, "min-replicas-to-write";
    /// Seconds; 0 switches `min-replicas-to-write` off.
    min_replicas_max_lag = 10, "min-replicas-max-lag";
    active_expire_effort = 1, "active-expire-effort";
    /// See [`crate::defragment`] for this and the following.
    activedefrag = 0, "activedefrag";
    active_defrag_ignore_bytes = 104_857_600, "active-defrag-ignore-bytes";
    active_defrag_threshold_lower = 10, "active-defrag-threshold-lower";
    active_defrag_threshold_upper = 100, "active-defrag-threshold-upper";
    active_defrag_cycle_min = 1, "active-defrag-cycle-min";
    active_defrag_cycle_max = 25, "active-defrag-cycle-max";
    active_defrag_cycle_us = 500, "active-defrag-cycle-us";
    active_defrag_max_scan_fields = 1000, "active-defrag-max-scan-fields";
    /// Set by DEBUG SET-ACTIVE-EXPIRE.
    active_expire_enabled = 1, "active-expire-enabled";
    hz = 10, "hz";
    databases = 16, "databases";
    lazyfree_lazy_user_del = 1, "lazyfree-lazy-user-del";
    lazyfree_lazy_user_flush = 1, "lazyfree-lazy-user-flush";
    maxclients = 10_000, "maxclients";
    /// Bytes of all clients' buffers together, or a negative percentage of `maxmemory`; 0 is no limit.
    maxmemory_clients = 0, "maxmemory-clients";
    /// Seconds of silence after which a client is cut; 0 is never.
    timeout = 0, "timeout";
    tcp_keepalive = 300, "tcp-keepalive";
    client_query_buffer_limit = 1_073_741_824, "client-query-buffer-limit";
    output_limit_hard_bytes = 0, "output-limit-normal-hard";
    output_limit_soft_bytes = 0, "output-limit-normal-soft";
    output_limit_soft_seconds = 0, "output-limit-normal-seconds";
    protected_mode = 1, "protected-mode";
    cluster_enabled = 0, "cluster-enabled";
    /// 0 no, 1 yes, 2 local connections only.
    enable_debug_command = 0, "enable-debug-command";
}
