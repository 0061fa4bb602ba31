//! A shard's state: what the holder of its baton may touch.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use sherd_metrics::{CommandCells, Counter};

use crate::blocking::{Blocking, WaitCounts};
use crate::db::{Db, Key};
use crate::entry::Entry;
use crate::evict::Evictor;
use crate::expire::ExpiryStats;
use crate::field_calendar::FieldCalendar;
use crate::heat::Heat;
use crate::notify::Events;
use crate::random::Random;
use crate::survey::Findings;
use crate::watch::{Presence, Watches};
use crate::world::World;

/// The most that `databases` may be: each shard keeps a place and four counters for every one.
pub const DATABASES_MAX: usize = 1024;

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

/// Counters of one shard, read from other threads.
#[derive(Default, Debug)]
pub struct ShardStats {
    pub commands: Counter,
    pub keyspace_hits: Counter,
    pub keyspace_misses: Counter,
    pub expired_keys: Counter,
    pub evicted_keys: Counter,
    /// Fields of hashes whose time was over.
    pub expired_fields: Counter,
    /// Members of sets whose time was over.
    pub expired_members: Counter,
    /// Changes since the last save.
    pub dirty: Counter,
    pub busy_nanoseconds: Counter,
    pub batches: Counter,
    /// The longest time that the baton was held for one slice, in nanoseconds.
    pub longest_slice_nanoseconds: Counter,
    /// By database.
    pub databases: Box<[DbStats]>,
    /// Keys with an expiry in all databases.
    pub volatile_keys: Counter,
    /// Bytes allocated less bytes freed while the baton was held; what the background thread frees is taken off when it
    /// is handed over.
    pub memory_bytes: AtomicI64,
    pub error_replies: Counter,
    pub panics: Counter,
    /// When the next fields of hashes or members of sets expire, in milliseconds since the epoch; 0 is never.
    pub next_field_due_ms: AtomicI64,
    pub expiry: ExpiryStats,
    pub waits: Arc<WaitCounts>,
    pub heat: Heat,
    /// The biggest keys, as far as the survey has come.
    pub findings: Findings,
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

    /// Sets what only ever grows to zero (CONFIG RESETSTAT).
    pub fn reset(&self) {
        let counters = [
            &self.commands,
            &self.keyspace_hits,
            &self.keyspace_misses,
            &self.expired_keys,
            &self.evicted_keys,
            &self.expired_fields,
            &self.expired_members,
            &self.longest_slice_nanoseconds,
            &self.error_replies,
            &self.panics,
        ];
        counters.iter().for_each(|counter| counter.set(0));
        self.expiry.reset();
    }
}

/// See the file's head.
pub struct Shard {
    pub index: usize,
    pub world: Arc<World>,
    dbs: Vec<Option<Box<Db>>>,
    /// Databases from this one on have never had keys.
    dbs_touched: usize,
    pub watches: Watches,
    pub blocking: Blocking,
    pub events: Events,
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
    /// Announced changes of keys, each of them once, of however many elements it is.
    pub(crate) touches: u64,
    /// Changes and expiries at the last publication of sizes.
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
            dbs: (0..databases).map(|_| None).collect(),
            dbs_touched: 0,
            watches: Watches::default(),
            blocking: Blocking::new(Arc::clone(&stats.waits)),
            events: Events::default(),
            calendar: FieldCalendar::default(),
            evictor: Evictor::default(),
            random: Random::seeded(),
            stats,
            cells: Arc::new(CommandCells::new(commands)),
            clock: 0,
            sweep_db: 0,
            touches: 0,
            published: 0,
        }
    }

    /// A database, if it has ever had keys.
    #[inline]
    pub fn db(&self, db: u16) -> Option<&Db> {
        self.dbs[usize::from(db)].as_deref()
    }

    /// A database, if it has ever had keys, for changing it.
    #[inline]
    pub fn db_mut(&mut self, db: u16) -> Option<&mut Db> {
        self.dbs[usize::from(db)].as_deref_mut()
    }

    /// A database, made when it is not there yet.
    #[inline]
    pub fn db_or_new(&mut self, db: u16) -> &mut Db {
        let place = &mut self.dbs[usize::from(db)];
        if place.is_none() {
            *place = Some(Box::new(Db::new(&self.world.slots, self.index)));
            self.dbs_touched = self.dbs_touched.max(usize::from(db) + 1);
        }
        place.as_mut().expect("the database was just made")
    }

    /// Tells those who watch a key that it has changed.
    #[inline]
    pub fn touch_watches(&mut self, db: u16, key: &Key<'_>) {
        if !self.watches.is_empty() {
            let database = self.dbs[usize::from(db)].as_deref();
            self.watches.touch(db, key.bytes, || database.is_some_and(|database| database.find(key).is_some()));
        }
    }

    /// What a database has of a key.
    pub fn presence(&self, db: u16, key: &Key<'_>, now_ms: i64) -> Presence {
        presence(self.db(db), key, now_ms)
    }

    /// Databases that the shard can have.
    pub fn db_count(&self) -> usize {
        self.dbs.len()
    }

    /// Databases that there is something to do for: those after them have never had keys.
    pub fn dbs_touched(&self) -> usize {
        self.dbs_touched
    }

    /// Empties a database; its contents are freed in the background, or at once with `sync`.
    pub fn flush(&mut self, db: u16, sync: bool) {
        let (map, now) = (self.world.slots, self.world.now_milliseconds());
        let Some(old) = self.dbs[usize::from(db)].take() else { return };
        self.watches.replace_database(db, |key| {
            let key = Key { bytes: key, hash: crate::table::hash(key), slot: map.slot(key) };
            (presence(Some(&old), &key, now), Presence::Absent)
        });
        if sync {
            drop(old);
        } else {
            self.world.reaper.free_db(old);
            if self.dbs.iter().all(Option::is_none) {
                self.stats.memory_bytes.store(0, Ordering::Relaxed);
            }
        }
        if !self.blocking.is_empty() {
            self.blocking.mark_all_ready(db);
        }
        self.publish_sizes();
    }

    /// Frees everything that it holds, at once: the server has stopped.
    pub fn clear(&mut self) {
        self.dbs.iter_mut().for_each(|db| *db = None);
        self.watches = Watches::default();
        self.events = Events::default();
        self.calendar = FieldCalendar::default();
        self.evictor = Evictor::default();
        self.publish_sizes();
    }

    /// Brings the access clock up to date; the policy may be another one than before.
    #[inline]
    pub fn look_at_clock(&mut self) {
        let policy = self.world.settings.maxmemory_policy.get();
        self.clock = crate::policy::clock_now(policy, self.world.monotonic_milliseconds());
    }

    /// Tells those who wait for a key that it has gone without a command's doing: it expired or was evicted.
    #[inline]
    pub fn key_has_gone(&mut self, db: u16, key: &[u8]) {
        if !self.blocking.is_empty() {
            self.blocking.mark_ready(db, key);
        }
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u16, b: u16) {
        if a == b {
            return;
        }
        let (map, now) = (self.world.slots, self.world.now_milliseconds());
        for (old, new) in [(a, b), (b, a)] {
            let (old_db, new_db) = (self.dbs[usize::from(old)].as_deref(), self.dbs[usize::from(new)].as_deref());
            self.watches.replace_database(old, |key| {
                let key = Key { bytes: key, hash: crate::table::hash(key), slot: map.slot(key) };
                (presence(old_db, &key, now), presence(new_db, &key, now))
            });
        }
        self.dbs.swap(usize::from(a), usize::from(b));
        self.dbs_touched = self.dbs_touched.max(usize::from(a.max(b)) + 1);
        if !self.blocking.is_empty() {
            self.blocking.mark_all_ready(a);
            self.blocking.mark_all_ready(b);
        }
        self.calendar.swap(a, b);
        self.publish_sizes();
    }

    /// Frees an entry that was taken out of the keyspace.
    #[inline]
    pub fn free(&self, entry: Entry) {
        if let Some(bytes) = self.world.reaper.free(entry) {
            self.stats.memory_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        }
    }

    /// Lets the shard's own thread see when fields expire.
    pub fn publish_calendar(&self) {
        let due_ms = self.calendar.next_due_ms().map_or(0, |due_ms| due_ms as i64);
        self.stats.next_field_due_ms.store(due_ms, Ordering::Relaxed);
    }

    /// Publishes the sizes if anything has changed since the last time; called when the baton is let go.
    #[inline]
    pub fn publish_changes(&mut self) {
        let stats = &self.stats;
        let expired = stats.expired_keys.get() + stats.expired_fields.get() + stats.expired_members.get();
        let changes = self.touches + expired + stats.evicted_keys.get();
        if changes != self.published {
            self.published = changes;
            self.publish_sizes();
        }
    }

    /// Lets other threads see how many keys there are.
    pub fn publish_sizes(&self) {
        let (mut total, mut total_volatile) = (0, 0);
        for (db, stats) in self.dbs[..self.dbs_touched].iter().zip(&self.stats.databases) {
            let (keys, volatile) = db.as_ref().map_or((0, 0), |db| (db.len(), db.volatile_len()));
            stats.timed_keys.set(db.as_ref().map_or(0, |db| db.timed_len()) as u64);
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

fn presence(database: Option<&Db>, key: &Key<'_>, now_ms: i64) -> Presence {
    match database.and_then(|database| database.find(key)) {
        None => Presence::Absent,
        Some(entry) if entry.is_expired(now_ms) => Presence::Expired,
        Some(_) => Presence::Alive,
    }
}
