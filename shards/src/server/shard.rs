//! A shard's state: what the holder of its baton may touch.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use sherd_metrics::catalogue::Catalogue;
use sherd_metrics::{counters, CommandCells, Counter};

use crate::effects::blocking::{Blocking, WaitCounts};
use crate::effects::watch::{Presence, Watches};
use crate::keyspace::db::{Db, Key};
use crate::keyspace::edit;
use crate::keyspace::outbox::Outbox;
use crate::keyspace::read_keys::ReadKeys;
use crate::keyspace::Databases;
use crate::maintenance::evict::Evictor;
use crate::maintenance::expire::ExpiryStats;
use crate::maintenance::field_calendar::FieldCalendar;
use crate::maintenance::heat::Heat;
use crate::maintenance::survey::Findings;
use crate::persistence::saving::Saving;
use crate::server::settings::DATABASES_MAX;
use crate::server::world::World;
use sherd_types::random::Random;

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
        /// it is handed over.
        memory_bytes: AtomicI64,
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
    fn new(databases: usize) -> ShardStats {
        ShardStats { databases: (0..databases).map(|_| DbStats::default()).collect(), ..ShardStats::default() }
    }

    /// Says that a buffer which has grown from one capacity to another while the shard was held is not the shard's.
    pub fn discount_buffer(&self, before: usize, after: usize) {
        let counted = |capacity| std::alloc::Layout::array::<u8>(capacity).map_or(0, sherd_metrics::memory::block_size);
        let bytes = if after == before {
            0
        } else {
            counted(after) as i64 - if before == 0 { 0 } else { counted(before) as i64 }
        };
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

/// The way from a shard to those that its holder does not hold.
pub trait Others: Send + Sync {
    /// Does something in a shard if nobody holds it at this moment; whether it was done. Never waits.
    fn try_in_shard(&self, shard: usize, work: &mut dyn FnMut(&mut Shard)) -> bool;
}

/// What the holder of a shard's baton may touch.
pub struct Shard {
    pub index: usize,
    pub world: Arc<World>,
    /// The other shards, if there may be any.
    pub others: Option<Weak<dyn Others>>,
    pub databases: Databases,
    pub watches: Watches,
    pub blocking: Blocking,
    /// What is to be told when the baton has been let go.
    pub outbox: Outbox,
    /// What clients with caches have read.
    pub(crate) read_keys: ReadKeys,
    /// When hashes and sets have something to expire.
    pub calendar: FieldCalendar,
    /// What eviction remembers of this shard.
    pub evictor: Evictor,
    pub random: Random,
    pub stats: Arc<ShardStats>,
    pub cells: Arc<CommandCells>,
    /// The access clock of this moment: seconds, or minutes for LFU.
    pub clock: u32,
    /// Database that the expiry sweep is at.
    pub(crate) sweep_db: usize,
    /// Changes of keys, each of them once, of however many elements it is and whatever its cause.
    pub(crate) changes: u64,
    /// What entries have that no snapshot has to save; see [`crate::persistence::saving`].
    pub(crate) mark: bool,
    /// The snapshot that is being taken.
    pub(crate) saving: Option<Box<Saving>>,
    /// What `changes` was at the last publication of sizes.
    published: u64,
}

impl Shard {
    /// An empty shard; `commands` is the length of the command table.
    pub fn new(world: &Arc<World>, index: usize, commands: usize) -> Shard {
        let databases = world.settings.databases.size().clamp(1, DATABASES_MAX);
        let stats = Arc::new(ShardStats::new(databases));
        Shard {
            index,
            world: Arc::clone(world),
            others: None,
            databases: Databases::new(databases),
            watches: Watches::default(),
            blocking: Blocking::new(Arc::clone(&stats.waits)),
            outbox: Outbox::default(),
            read_keys: ReadKeys::default(),
            calendar: FieldCalendar::default(),
            evictor: Evictor::default(),
            random: Random::seeded(),
            stats,
            cells: Arc::new(CommandCells::new(commands)),
            clock: 0,
            sweep_db: 0,
            changes: 0,
            mark: false,
            saving: None,
            published: 0,
        }
    }

    /// A database, if it has ever had keys.
    #[inline]
    pub fn db(&self, db: u16) -> Option<&Db> {
        self.databases.get(db)
    }

    /// What a database has of a key.
    pub fn presence(&self, db: u16, key: &Key<'_>, now_ms: i64) -> Presence {
        edit::presence(self.db(db), key, now_ms)
    }

    /// Databases that the shard can have.
    pub fn db_count(&self) -> usize {
        self.databases.count()
    }

    /// Databases that there is something to do for: those after them have never had keys.
    pub fn dbs_touched(&self) -> usize {
        self.databases.touched()
    }

    /// Does something in another shard if nobody holds it at this moment; whether it was done.
    pub fn try_in_shard(&self, shard: usize, work: &mut dyn FnMut(&mut Shard)) -> bool {
        let others = self.others.as_ref().and_then(Weak::upgrade);
        others.is_some_and(|others| others.try_in_shard(shard, work))
    }

    /// Frees everything that it holds, at once: the server has stopped.
    pub fn clear(&mut self) {
        self.clear_databases();
        self.watches = Watches::default();
        self.outbox = Outbox::default();
        self.read_keys = ReadKeys::default();
        self.calendar = FieldCalendar::default();
        self.evictor = Evictor::default();
        self.publish_sizes();
    }

    /// Any bytes as a key.
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(bytes, &self.world.slots)
    }

    /// Brings the access clock up to date; the policy may be another one than before.
    #[inline]
    pub fn look_at_clock(&mut self) {
        let policy = self.world.settings.maxmemory_policy.get();
        self.clock = crate::entry::policy::clock_now(policy, self.world.monotonic_milliseconds());
    }

    /// Lets the shard's own thread see when fields expire.
    pub fn publish_calendar(&self) {
        let due_ms = self.calendar.next_due_ms().map_or(0, |due_ms| due_ms as i64);
        self.stats.next_field_due_ms.store(due_ms, Ordering::Relaxed);
    }

    /// Publishes the sizes if anything has changed since the last time; called when the baton is let go.
    #[inline]
    pub fn publish_changes(&mut self) {
        if self.changes != self.published {
            self.published = self.changes;
            self.publish_sizes();
        }
    }

    /// Lets other threads see how many keys there are.
    pub fn publish_sizes(&self) {
        let (mut total, mut total_volatile) = (0, 0);
        for (number, stats) in (0..self.databases.touched()).zip(&self.stats.databases) {
            let db = self.databases.get(number as u16);
            let (keys, volatile) = db.map_or((0, 0), |db| (db.len(), db.volatile_len()));
            stats.timed_keys.set(db.map_or(0, |db| db.timed_len()) as u64);
            total += keys;
            total_volatile += volatile;
            stats.keys.set(keys as u64);
            stats.volatile_keys.set(volatile as u64);
        }
        self.stats.volatile_keys.set(total_volatile as u64);
        self.world.shard_keys[self.index].store(total, Ordering::Relaxed);
        self.world.pressure.publish(self.index, total_volatile);
    }
}
