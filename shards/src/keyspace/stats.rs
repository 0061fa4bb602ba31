//! The counters of a shard, read from other threads.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::Arc;

use sherd_metrics::catalogue::Catalogue;
use sherd_metrics::{counters, Counter};

use crate::effects::blocking::WaitCounts;
use crate::keyspace::big_keys::Findings;
use crate::keyspace::heat::Heat;
use crate::server::account::Account;

counters! {
    /// What INFO tells of a shard's active expiry, read from other threads.
    #[derive(Default, Debug)]
    pub struct ExpiryStats {
        /// Keys that had expired, of those with an expiry, in millionths, averaged over the sweeps of late.
        stale_millionths: Zero;
        /// Sweeps that ended because their time was used up.
        time_cap_reached: Zero, Sum("totals", "expire_time_cap_reached");
        nanoseconds: Zero, Sum("totals", "expire_nanoseconds");
    }
}

impl ExpiryStats {
    /// As Redis averages: the last sweep counts for a twentieth.
    pub(crate) fn note_sample(&self, expired: usize, living: usize) {
        let seen = (expired + living) as u64;
        if let Some(now) = (1_000_000 * expired as u64).checked_div(seen) {
            self.stale_millionths.set((self.stale_millionths.get() * 19 + now) / 20);
        }
    }
}

/// Counters of one database of a shard.
#[derive(Default, Debug)]
pub struct DbStats {
    pub keys: Counter,
    /// Keys with an expiry.
    pub volatile_keys: Counter,
    /// Keys of hashes and sets with elements that expire.
    pub timed_keys: Counter,
    /// Remaining lifetime of keys with an expiry, averaged over what the sweep has seen lately.
    pub average_ttl_ms: Counter,
}

counters! {
    /// Counters of one shard, read from other threads.
    #[derive(Default, Debug)]
    pub struct ShardStats {
        commands: Zero, Sum("totals", "commands"), Each("commands");
        keyspace_hits: Zero, Sum("totals", "keyspace_hits");
        keyspace_misses: Zero, Sum("totals", "keyspace_misses");
        expired_keys: Zero, Sum("totals", "expired_keys");
        evicted_keys: Zero, Sum("totals", "evicted_keys");
        /// Fields of hashes whose time was over.
        expired_fields: Zero, Sum("totals", "expired_fields");
        /// Members of sets whose time was over.
        expired_members: Zero, Sum("totals", "expired_members");
        /// Changes since the last save.
        dirty: Keep, Sum("totals", "dirty");
        busy_nanoseconds: Keep, EachInSeconds("busy_seconds");
        batches: Keep, Each("batches");
        /// The longest time that the baton was held for one slice, in nanoseconds.
        longest_slice_nanoseconds: Zero, EachInSeconds("longest_slice_seconds");
        /// Keys that a replica's own clients have given an expiry.
        own_volatile_keys: Keep, Sum("totals", "own_volatile_keys");
        /// Keys with an expiry in all databases.
        volatile_keys: Keep;
        /// Blocks that defragmentation has moved, those that it has looked at and left, and keys with and without such
        /// blocks.
        defrag_hits: Zero, Sum("defragmentation", "hits");
        defrag_misses: Zero, Sum("defragmentation", "misses");
        defrag_key_hits: Zero, Sum("defragmentation", "key_hits");
        defrag_key_misses: Zero, Sum("defragmentation", "key_misses");
        /// Keys that tracking clients have read, and how many clients have read each of them.
        tracked_keys: Keep, Sum("clients", "tracked_keys");
        tracked_items: Keep, Sum("clients", "tracked_items");
        error_replies: Zero, Sum("totals", "error_replies");
        panics: Zero, Sum("totals", "panics");
    } and {
        /// By database.
        databases: Box<[DbStats]>,
        /// Bytes allocated less bytes freed while the baton was held; what the background thread frees is taken off when
        /// it is handed over, as it is estimated, and put right when it has been freed.
        memory_bytes: Arc<Account>,
        /// A snapshot is being taken, and this shard has not come to its end.
        saving: AtomicBool,
        /// When the next fields of hashes or members of sets expire, in milliseconds since the epoch; 0 is never.
        next_field_due_ms: AtomicI64,
        expiry: ExpiryStats,
        waits: Arc<WaitCounts>,
        heat: Heat,
        /// The biggest keys, as far as the survey has come.
        findings: Findings,
    }
}

impl ShardStats {
    /// Counters of a shard with so many databases.
    pub fn new(databases: usize) -> ShardStats {
        ShardStats { databases: (0..databases).map(|_| DbStats::default()).collect(), ..ShardStats::default() }
    }

    /// Says that so many bytes which were freed while the shard was held are not the shard's.
    pub fn discount_bytes(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
    }

    /// Says that a buffer which has grown from one capacity to another while the shard was held is not the shard's.
    pub fn discount_buffer(&self, before: usize, after: usize) {
        if after == before {
            return;
        }
        let counted = |capacity| std::alloc::Layout::array::<u8>(capacity).map_or(0, sherd_metrics::memory::block_size);
        let bytes = counted(after) as i64 - if before == 0 { 0 } else { counted(before) as i64 };
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The shard's groups of counters.
    pub fn groups(&self) -> [&dyn Catalogue; 3] {
        [self, &self.expiry, &*self.waits]
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.groups().iter().for_each(|group| group.reset_counters());
    }
}
