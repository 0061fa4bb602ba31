//! Settings that the data plane reads on its way: pushed down by the control plane, read without a lock.
//!
//! The one declaration of each: its name in redis.conf, its default, and what values it takes. The control plane reads the
//! list ([`Settings::DECLARED`]) to know what to push and which number stands for a word; `tests/house` holds that its own
//! table, which knows how each directive is written and described, has the same names, defaults and bounds.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{fence, AtomicI64};
use std::sync::{Mutex, PoisonError};

use crate::entry::policy::{self, Lfu};
use crate::server::event_class as class;

/// The most that `databases` may be: each shard keeps a place and four counters for every one.
pub const DATABASES_MAX: usize = 1024;

/// The values that a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// 0 or 1: no or yes.
    Switch,
    /// Whole numbers from the first to the second.
    Number(i64, i64),
    /// One of these words, by its place.
    Words(&'static [&'static str]),
    /// Any of these letters, as the sum of their bits.
    Letters(&'static [(char, u32)]),
}

impl Values {
    /// The least and the greatest number.
    pub fn bounds(self) -> (i64, i64) {
        match self {
            Values::Switch => (0, 1),
            Values::Number(least, greatest) => (least, greatest),
            Values::Words(words) => (0, words.len() as i64 - 1),
            Values::Letters(letters) => (0, letters.iter().fold(0, |bits, (_, bit)| bits | i64::from(*bit))),
        }
    }
}

/// What is known of a setting without a server.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// As in redis.conf.
    pub name: &'static str,
    pub default: i64,
    pub values: Values,
}

const INT_MAX: i64 = i32::MAX as i64;
const MEBIBYTE: i64 = 1 << 20;
/// A number or a size without a limit.
const COUNT: Values = Values::Number(0, i64::MAX);
/// A number of 31 bits, as Redis takes most of them.
const INT: Values = Values::Number(0, INT_MAX);

const fn within(least: i64, greatest: i64) -> Values {
    Values::Number(least, greatest)
}

/// A row is `field = default, "name", values`; without values it is a switch. Without a name it is a number that the data
/// plane keeps for itself.
macro_rules! settings {
    (@values) => { Values::Switch };
    (@values $values:expr) => { $values };
    ($($(#[$doc:meta])* $field:ident = $default:expr $(, $name:literal $(, $values:expr)?)?;)*) => {
        /// One number a setting; booleans are 0 and 1.
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
            /// Makes everything what it was at the start.
            pub fn reset(&self) {
                $(self.$field.set($default);)*
            }

            /// What can be configured.
            pub const DECLARED: &'static [Declaration] = &[$($(
                Declaration { name: $name, default: $default, values: settings!(@values $($values)?) },
            )?)*];

            fn find(&self, name: &str) -> Option<&Setting> {
                match name {
                    $($($name => Some(&self.$field),)?)*
                    _ => None,
                }
            }
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
    /// What no command and no eviction does on purpose, so that what follows from it can be tested: panics behind what was changed.
    #[inline]
    pub fn fail_if_wanted(&self) {
        if self.fails_next_write.on() {
            self.fails_next_write.set(0);
            panic!("DEBUG FAIL-NEXT-WRITE was asked for");
        }
    }

    /// Sets a setting by its configuration name; false when there is none, or it does not take the value.
    pub fn set(&self, name: &str, value: i64) -> bool {
        self.set_all(&[(name, value)])
    }

    /// Sets settings together: what follows from several of them ([`Settings::apply`]) follows from all or from none. False, and
    /// nothing is set, when there is one that does not exist, or does not take its value.
    pub fn set_all(&self, values: &[(&str, i64)]) -> bool {
        let found: Option<Vec<(&Setting, i64)>> =
            values.iter().map(|&(name, value)| Some((self.that_takes(name, value)?, value))).collect();
        let Some(found) = found else { return false };
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever reads any of the new values reads this as well, and begins again (`together`).
        self.changes.set(self.changes.get() + 1);
        fence(Release);
        found.into_iter().for_each(|(setting, value)| setting.set(value));
        self.derive();
        self.changes.0.store(self.changes.get() + 1, Release);
        true
    }

    /// What is read of several settings, all of which are as they were set together.
    fn together<T>(&self, read: impl Fn() -> T) -> T {
        loop {
            let before = self.changes.0.load(Acquire);
            let values = read();
            fence(Acquire);
            if before % 2 == 0 && self.changes.get() == before {
                return values;
            }
            std::hint::spin_loop();
        }
    }

    /// `client-output-buffer-limit` of a class.
    pub fn output_limit(&self, class: ClientClass) -> OutputLimit {
        let (hard, soft, seconds) = match class {
            ClientClass::Normal => {
                (&self.output_limit_hard_bytes, &self.output_limit_soft_bytes, &self.output_limit_soft_seconds)
            }
            ClientClass::Subscriber => (
                &self.pubsub_output_limit_hard_bytes,
                &self.pubsub_output_limit_soft_bytes,
                &self.pubsub_output_limit_soft_seconds,
            ),
            ClientClass::Replica => (
                &self.replica_output_limit_hard_bytes,
                &self.replica_output_limit_soft_bytes,
                &self.replica_output_limit_soft_seconds,
            ),
        };
        self.together(|| OutputLimit {
            hard_bytes: hard.size(),
            soft_bytes: soft.size(),
            soft_ms: seconds.get().saturating_mul(1000),
        })
    }

    fn that_takes(&self, name: &str, value: i64) -> Option<&Setting> {
        let declaration = Settings::DECLARED.iter().find(|declaration| declaration.name == name)?;
        let (least, greatest) = declaration.values.bounds();
        self.find(name).filter(|_| (least..=greatest).contains(&value))
    }

    /// `maxmemory` and `maxmemory-policy`, as they were set together.
    #[inline]
    pub fn memory_limit(&self) -> MemoryLimit {
        let both = self.memory_limit.get();
        MemoryLimit { bytes: (both >> POLICY_BITS) as usize, policy: both & POLICY_MASK }
    }

    /// A setting by its configuration name.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.find(name).map(Setting::get)
    }

    /// When files are synced.
    #[inline]
    pub fn sync_policy(&self) -> SyncPolicy {
        match self.appendfsync.get() {
            0 => SyncPolicy::No,
            2 => SyncPolicy::Always,
            _ => SyncPolicy::EverySecond,
        }
    }

    /// Classes of keyspace events that anybody wants, as bits.
    #[inline]
    pub fn wanted_events(&self) -> u32 {
        (self.notify_keyspace_events.get() | self.hooked_events.get()) as u32
    }

    /// Whether anybody wants to know which elements an event of a class is about.
    #[inline]
    pub fn wants_elements(&self, event_class: u32) -> bool {
        let wanted = self.notify_keyspace_events.get() as u32;
        wanted & event_class & class::WITH_ELEMENTS != 0 && wanted & class::OF_ELEMENTS != 0
    }

    /// How LFU counters grow and decay.
    #[inline]
    pub fn lfu(&self) -> Lfu {
        Lfu { log_factor: self.lfu_log_factor.get(), decay_minutes: self.lfu_decay_time.get() }
    }

    /// Counts what keys cost, or does so no longer.
    pub fn track_heat(&self, on: bool) {
        self.heat_tracking.set(i64::from(on));
        self.apply();
    }

    /// Brings those up to date that follow from others.
    pub fn apply(&self) {
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        self.derive();
    }

    fn derive(&self) {
        self.unusual_accounting.set(i64::from(self.heat_tracking.on() || !self.latency_tracking.on()));
        let is_small = |limit: &Setting| (0..QUICK_BYTES_MAX).contains(&limit.get());
        let logs_quick = self.slowlog_log_slower_than.get() == 0
            || is_small(&self.commandlog_request_larger_than)
            || is_small(&self.commandlog_reply_larger_than);
        self.logs_quick_commands.set(i64::from(logs_quick));
        let is_exact = logs_quick
            || self.unusual_accounting.on()
            || (0..EXACT_MICROSECONDS_MAX).contains(&self.slowlog_log_slower_than.get());
        self.times_each_command.set(i64::from(is_exact));
        // One number, for no limit may ever be kept by the policy of another one.
        let bytes = self.maxmemory.get().clamp(0, i64::MAX >> POLICY_BITS);
        self.memory_limit.set(bytes << POLICY_BITS | self.maxmemory_policy.get() & POLICY_MASK);
    }
}

/// `appendfsync`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncPolicy {
    No,
    EverySecond,
    Always,
}

/// How much memory data may take (bytes; 0 is no limit), and what is evicted beyond that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryLimit {
    pub bytes: usize,
    pub policy: i64,
}

/// Clients of which each kind may leave something else unread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientClass {
    Normal,
    Subscriber,
    Replica,
}

/// What a client may leave unread; 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputLimit {
    pub hard_bytes: usize,
    pub soft_bytes: usize,
    /// How long it may be beyond `soft_bytes`.
    pub soft_ms: i64,
}

/// Several threads change settings, of any server of the process; that is soon done.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Room for the number of a policy.
const POLICY_BITS: u32 = 4;
const POLICY_MASK: i64 = (1 << POLICY_BITS) - 1;
const _: () = assert!(policy::NAMES.len() <= 1 << POLICY_BITS);

/// Commands that are timed together never take as long, unless the machine is to blame.
const EXACT_MICROSECONDS_MAX: i64 = 1000;
/// Requests and replies of so many bytes take more than a microsecond in any case.
const QUICK_BYTES_MAX: i64 = 128 << 10;

settings! {
    /// Bytes; 0 is no limit.
    maxmemory = 0, "maxmemory", COUNT;
    maxmemory_policy = 0, "maxmemory-policy", Values::Words(&policy::NAMES);
    /// Both of these: see [`Settings::memory_limit`].
    memory_limit = 0;
    /// How often settings were set, twice; odd while they are.
    changes = 0;
    maxmemory_samples = 5, "maxmemory-samples", within(1, 64);
    /// How long evicting may hold up a command, from 0 to 100; see [`crate::maintenance::evict`].
    maxmemory_eviction_tenacity = 10, "maxmemory-eviction-tenacity", within(0, 100);
    lazyfree_lazy_eviction = 1, "lazyfree-lazy-eviction";
    lazyfree_lazy_expire = 1, "lazyfree-lazy-expire";
    lazyfree_lazy_server_del = 1, "lazyfree-lazy-server-del";
    lfu_log_factor = 10, "lfu-log-factor", INT;
    lfu_decay_time = 1, "lfu-decay-time", INT;
    proto_max_bulk_len = 536_870_912, "proto-max-bulk-len", within(MEBIBYTE, i64::MAX);
    hash_max_listpack_entries = 512, "hash-max-listpack-entries", COUNT;
    hash_max_listpack_value = 64, "hash-max-listpack-value", COUNT;
    list_max_listpack_size = -2, "list-max-listpack-size", within(-INT_MAX - 1, INT_MAX);
    set_max_intset_entries = 512, "set-max-intset-entries", COUNT;
    set_max_listpack_entries = 128, "set-max-listpack-entries", COUNT;
    set_max_listpack_value = 64, "set-max-listpack-value", COUNT;
    zset_max_listpack_entries = 128, "zset-max-listpack-entries", COUNT;
    zset_max_listpack_value = 64, "zset-max-listpack-value", COUNT;
    hll_sparse_max_bytes = 3000, "hll-sparse-max-bytes", COUNT;
    stream_node_max_bytes = 4096, "stream-node-max-bytes", COUNT;
    stream_node_max_entries = 100, "stream-node-max-entries", COUNT;
    /// For how many seconds idempotent ids are kept, and how many of each producer, unless XCFGSET says otherwise.
    stream_idmp_duration = 100, "stream-idmp-duration", within(1, 86_400);
    stream_idmp_maxsize = 100, "stream-idmp-maxsize", within(1, 10_000);
    /// Microseconds for each key that is written to or read from a snapshot; for tests.
    rdb_key_save_delay = 0, "rdb-key-save-delay", within(-INT_MAX - 1, INT_MAX);
    key_load_delay = 0, "key-load-delay", within(-INT_MAX - 1, INT_MAX);
    /// Microseconds; negative is off.
    slowlog_log_slower_than = 10_000, "slowlog-log-slower-than", within(-1, i64::MAX);
    slowlog_max_len = 128, "slowlog-max-len", COUNT;
    acllog_max_len = 128, "acllog-max-len", COUNT;
    /// Bytes; negative is off.
    commandlog_request_larger_than = 1 << 20, "commandlog-request-larger-than", within(-1, i64::MAX);
    commandlog_large_request_max_len = 128, "commandlog-large-request-max-len", COUNT;
    commandlog_reply_larger_than = 1 << 20, "commandlog-reply-larger-than", within(-1, i64::MAX);
    commandlog_large_reply_max_len = 128, "commandlog-large-reply-max-len", COUNT;
    /// Not 0 while a command may have to be logged though it took less than a microsecond. Follows from others.
    logs_quick_commands = 0;
    /// Not 0 while each command is timed by itself, however quick it is. Follows from others.
    times_each_command = 0;
    /// Milliseconds; 0 is off.
    latency_monitor_threshold = 0, "latency-monitor-threshold", COUNT;
    latency_tracking = 1, "latency-tracking";
    /// When the append-only file is synced; see [`crate::persistence::append_file`].
    appendfsync = 1, "appendfsync", Values::Words(&["no", "everysec", "always"]);
    no_appendfsync_on_rewrite = 0, "no-appendfsync-on-rewrite";
    /// Whose form hashes have of which fields expire; see [`crate::rdb::Dialect`].
    rdb_compat = 0, "rdb-compat", Values::Words(&["redis", "valkey"]);
    rdb_version_check = 0, "rdb-version-check", Values::Words(&["strict", "relaxed"]);
    aof_timestamp_enabled = 0, "aof-timestamp-enabled";
    /// Classes of keyspace events to raise.
    notify_keyspace_events = 0, "notify-keyspace-events", Values::Letters(class::LETTERS);
    /// Keys that are remembered for client-side caching; 0 is no limit.
    tracking_table_max_keys = 1_000_000, "tracking-table-max-keys", COUNT;
    /// Classes that extensions have asked for, whatever is to be raised for clients.
    hooked_events = 0;
    /// Milliseconds; 0 is no deadline.
    python_command_timeout_ms = 5000, "python-command-timeout-ms", COUNT;
    /// Expired keys stay until whoever imports them removes them.
    import_mode = 0, "import-mode";
    /// Not 0 while HOTKEYS counts what keys cost; see [`crate::keyspace::heat`].
    heat_tracking = 0;
    /// Not 0 while an executed command is accounted for in any unusual way, that is while keys are counted or latency is
    /// not tracked: one thing to look at with every command. Follows from others, see [`Settings::apply`].
    unusual_accounting = 0;
    /// Replicas that writes need.
    min_replicas_to_write = 0, "min-replicas-to-write", INT;
    /// Seconds; 0 switches `min-replicas-to-write` off.
    min_replicas_max_lag = 10, "min-replicas-max-lag", INT;
    /// Whether a replica leaves eviction to its primary.
    replica_ignore_maxmemory = 1, "replica-ignore-maxmemory";
    /// Whether the old data are freed in the background when a primary's snapshot takes their place.
    replica_lazy_flush = 1, "replica-lazy-flush";
    replica_read_only = 1, "replica-read-only";
    repl_disable_tcp_nodelay = 0, "repl-disable-tcp-nodelay";
    /// What becomes of the process when a command of the stream fails.
    propagation_error_behavior = 0, "propagation-error-behavior", Values::Words(&["ignore", "panic", "panic-on-replicas"]);
    active_expire_effort = 1, "active-expire-effort", within(1, 10);
    /// See [`crate::maintenance::defragment`] for this and the following.
    activedefrag = 0, "activedefrag";
    active_defrag_ignore_bytes = 104_857_600, "active-defrag-ignore-bytes", within(1, i64::MAX);
    active_defrag_threshold_lower = 10, "active-defrag-threshold-lower", within(0, 1000);
    active_defrag_threshold_upper = 100, "active-defrag-threshold-upper", within(0, 1000);
    active_defrag_cycle_min = 1, "active-defrag-cycle-min", within(1, 99);
    active_defrag_cycle_max = 25, "active-defrag-cycle-max", within(1, 99);
    active_defrag_cycle_us = 500, "active-defrag-cycle-us", within(0, 100_000);
    active_defrag_max_scan_fields = 1000, "active-defrag-max-scan-fields", within(1, i64::MAX);
    /// Set by DEBUG SET-ACTIVE-EXPIRE.
    active_expire_enabled = 1;
    /// Set by DEBUG FAIL-NEXT-WRITE.
    fails_next_write = 0;
    hz = 10, "hz", within(1, 500);
    databases = 16, "databases", within(1, DATABASES_MAX as i64);
    lazyfree_lazy_user_del = 1, "lazyfree-lazy-user-del";
    lazyfree_lazy_user_flush = 1, "lazyfree-lazy-user-flush";
    /// Milliseconds after which a script makes others answer BUSY.
    busy_reply_threshold = 5000, "busy-reply-threshold", within(0, i64::MAX);
    maxclients = 10_000, "maxclients", within(1, u32::MAX as i64);
    /// Bytes of all clients' buffers together, or a negative percentage of `maxmemory`; 0 is no limit.
    maxmemory_clients = 0, "maxmemory-clients", within(-100, i64::MAX);
    /// Seconds of silence after which a client is cut; 0 is never.
    timeout = 0, "timeout", INT;
    /// Handshakes that an IO thread goes on with in one round.
    max_new_tls_connections_per_cycle = 1, "max-new-tls-connections-per-cycle", within(1, 1000);
    tcp_keepalive = 300, "tcp-keepalive", INT;
    client_query_buffer_limit = 1_073_741_824, "client-query-buffer-limit", within(MEBIBYTE, i64::MAX);
    output_limit_hard_bytes = 0, "output-limit-normal-hard", COUNT;
    output_limit_soft_bytes = 0, "output-limit-normal-soft", COUNT;
    output_limit_soft_seconds = 0, "output-limit-normal-seconds", COUNT;
    pubsub_output_limit_hard_bytes = 32 * MEBIBYTE, "output-limit-pubsub-hard", COUNT;
    pubsub_output_limit_soft_bytes = 8 * MEBIBYTE, "output-limit-pubsub-soft", COUNT;
    pubsub_output_limit_soft_seconds = 60, "output-limit-pubsub-seconds", COUNT;
    replica_output_limit_hard_bytes = 256 * MEBIBYTE, "output-limit-replica-hard", COUNT;
    replica_output_limit_soft_bytes = 64 * MEBIBYTE, "output-limit-replica-soft", COUNT;
    replica_output_limit_soft_seconds = 60, "output-limit-replica-seconds", COUNT;
    /// Seconds of silence after which a link of replication is given up.
    repl_timeout = 60, "repl-timeout", within(1, INT_MAX);
    protected_mode = 1, "protected-mode";
    cluster_enabled = 0, "cluster-enabled";
    /// `local` is local connections only.
    enable_debug_command = 0, "enable-debug-command", Values::Words(&["no", "yes", "local"]);
    /// The field of a client's certificate that names its user.
    tls_auth_clients_user = 0, "tls-auth-clients-user", Values::Words(&["off", "CN", "URI"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_the_setting_takes_and_has() {
        let settings = Settings::default();
        for declaration in Settings::DECLARED {
            assert_eq!(settings.get(declaration.name), Some(declaration.default), "{}", declaration.name);
            assert!(settings.set(declaration.name, declaration.default), "{}", declaration.name);
        }
    }

    #[test]
    fn what_a_setting_does_not_take_changes_nothing() {
        let settings = Settings::default();
        for (name, value) in
            [("maxmemory-policy", 8), ("maxmemory-samples", 0), ("protected-mode", 2), ("hz", 501), ("maxmemory", -1)]
        {
            assert!(!settings.set(name, value), "{name}");
            assert_eq!(settings.get(name), Settings::default().get(name));
        }
        assert!(!settings.set("no-such-setting", 0));
    }

    #[test]
    fn a_limit_of_memory_comes_with_its_policy_and_only_where_all_is_taken() {
        let settings = Settings::default();
        assert_eq!(settings.memory_limit(), MemoryLimit { bytes: 0, policy: policy::NO_EVICTION });
        assert!(settings.set_all(&[("maxmemory", 5), ("maxmemory-policy", 7)]));
        assert_eq!(settings.memory_limit(), MemoryLimit { bytes: 5, policy: 7 });
        assert!(!settings.set_all(&[("maxmemory", 6), ("maxmemory-policy", 8)]));
        assert_eq!((settings.memory_limit().bytes, settings.maxmemory.get()), (5, 5));
        assert!(settings.set("maxmemory", i64::MAX));
        assert_eq!(settings.memory_limit(), MemoryLimit { bytes: (i64::MAX >> POLICY_BITS) as usize, policy: 7 });
    }

    #[test]
    fn limits_are_read_as_they_were_set_together() {
        let settings = Settings::default();
        let set = |value| {
            let names = ["output-limit-pubsub-hard", "output-limit-pubsub-soft", "output-limit-pubsub-seconds"];
            assert!(settings.set_all(&names.map(|name| (name, value))));
        };
        set(1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..20_000).for_each(|value| set(1 + value % 2)));
            while !writer.is_finished() {
                let limit = settings.output_limit(ClientClass::Subscriber);
                let OutputLimit { hard_bytes, soft_bytes, soft_ms } = limit;
                assert!(hard_bytes == soft_bytes && soft_bytes as i64 * 1000 == soft_ms, "{limit:?}");
            }
        });
    }

    #[test]
    fn letters_are_the_bits_of_their_classes() {
        assert_eq!(Values::Letters(class::LETTERS).bounds(), (0, (1 << 18) - 1));
    }
}
