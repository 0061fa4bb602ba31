//! A shard's state: what the holder of its baton may touch.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use sherd_metrics::CommandCells;

use super::candidates::Evictor;
use super::db::{self, Db, Key};
use super::outbox::Outbox;
use super::own_volatile::OwnVolatile;
use super::read_keys::ReadKeys;
use super::saving::Saving;
use super::stats::ShardStats;
use super::ttl_index::TtlIndex;
use super::Databases;
use crate::effects::blocking::Blocking;
use crate::effects::watch::{Presence, Watches};
use crate::entry::policy;
use crate::server::settings::DATABASES_MAX;
use crate::server::world::World;
use sherd_types::random::Random;

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
    pub ttl_index: TtlIndex,
    /// Keys that a replica's own clients have given an expiry.
    pub(crate) own_volatile: OwnVolatile,
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
    /// What entries have that no snapshot has to save; see [`super::saving`].
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
            ttl_index: TtlIndex::default(),
            own_volatile: OwnVolatile::default(),
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
        db::presence(self.db(db), key, now_ms)
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
        self.ttl_index = TtlIndex::default();
        self.own_volatile = OwnVolatile::default();
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
        self.clock = policy::clock_now(policy, self.world.monotonic_milliseconds());
    }

    /// Lets the shard's own thread see when fields expire.
    pub fn publish_ttl_index(&self) {
        let due_ms = self.ttl_index.next_due_ms().map_or(0, |due_ms| due_ms as i64);
        self.stats.next_field_due_ms.store(due_ms, Ordering::Relaxed);
    }

    /// A client has changed a key of a replica: remembers it if it expires.
    #[cold]
    pub(crate) fn note_own(&mut self, db: u16, key: &Key<'_>) {
        let entry = self.db(db).and_then(|database| database.find(key));
        if entry.is_some_and(|entry| entry.expiry().is_some()) {
            self.own_volatile.add(db, key.bytes);
            self.publish_own();
        }
    }

    /// Publishes how many keys the shard looks after itself.
    pub(crate) fn publish_own(&self) {
        self.stats.own_volatile_keys.set(self.own_volatile.len() as u64);
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
