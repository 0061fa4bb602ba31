//! Active expiry: the shard's own thread sweeps its tables in bounded slices.
//!
//! Buckets carry a mark that tells whether anything in them can expire at all, so a sweep of a database with few
//! expiring keys touches one cache line in eight keys and no entry. Each tick sweeps a share of the tables; when it
//! finds much that has expired, it goes on, up to a quarter of the tick's time. `active-expire-effort` lets it sweep more each
//! tick, go on for less, and take up to 43 % of the time.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::keyspace::shard::Shard;
use crate::keyspace::stats::ShardStats;
use crate::maintenance::element_expiry;
use crate::maintenance::evict::log_latency;
use crate::maintenance::own_expiry;
use crate::server::world::World;

/// Time that one slice may hold the shard.
const SLICE: Duration = Duration::from_micros(300);
/// Buckets between two looks at the clock.
const STEP: usize = 128;
/// A full sweep takes at most this many ticks, at the least effort.
const TICKS_A_ROUND: usize = 16;
/// Buckets swept each tick even if the tables are small.
const TICK_BUCKETS_MIN: usize = 1024;
/// The part of a tick, in percent, that expiry may take when there is much to expire, and what each step of
/// `active-expire-effort` adds to it.
const TIME_PERCENT: u32 = 25;
const TIME_PERCENT_A_STEP: u32 = 2;
/// Removed keys, of the visited buckets, that make it worth while to go on: one in this many, at the least effort.
const WORTHWHILE: usize = 16;
/// Steps of the sweep that the average lifetime is taken over.
const AVERAGED_STEPS: u64 = 16;

/// Whether a shard has anything that expires, as its holder said last.
pub fn may_be_due(stats: &ShardStats) -> bool {
    stats.volatile_keys.get() > 0 || stats.next_field_due_ms.load(Ordering::Relaxed) != 0
}

/// How far the expiry of this tick is.
#[derive(Default)]
pub struct Pace {
    started: Option<Instant>,
    buckets: usize,
    expired: usize,
    /// Keys with an expiry that were seen and stay.
    living: usize,
    /// Ends of databases since something has expired.
    ends_without: usize,
    done: bool,
    /// The fields that were due in this tick have gone, or have had their time.
    fields_done: bool,
}

impl Pace {
    /// Whether there is expiry to do in this tick.
    pub fn is_due(&self, world: &World, stats: &ShardStats) -> bool {
        let keys = !self.done && stats.volatile_keys.get() > 0;
        let own = !self.done && stats.own_volatile_keys.get() > 0;
        world.settings.active_expire_enabled.on()
            && ((keys || self.are_fields_due(world, stats)) && !world.keeps_expired() || own && world.expires_own())
    }

    fn are_fields_due(&self, world: &World, stats: &ShardStats) -> bool {
        let due_ms = stats.next_field_due_ms.load(Ordering::Relaxed);
        !self.fields_done && due_ms != 0 && due_ms <= world.now_milliseconds()
    }

    /// Buckets that were swept in this tick.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// A new tick begins.
    pub fn tick_over(&mut self) {
        *self = Pace::default();
    }

    /// Sweeps for one slice.
    pub fn slice(&mut self, shard: &mut Shard) {
        if shard.world.follows() {
            self.done = true;
            return own_expiry::slice(shard);
        }
        own_expiry::end(shard);
        let begun = Instant::now();
        let tick_begun = *self.started.get_or_insert(begun);
        let hz = shard.world.settings.hz.get().clamp(1, 500) as u32;
        let effort = shard.world.settings.active_expire_effort.get().clamp(1, 10) as u32;
        let budget = budget(hz, effort);
        if self.are_fields_due(&shard.world, &shard.stats) {
            element_expiry::slice(shard);
            self.fields_done = tick_begun.elapsed() > budget || !self.are_fields_due(&shard.world, &shard.stats);
        }
        let count = shard.dbs_touched().max(1);
        let mut idle = 0;
        while begun.elapsed() < SLICE && !self.done {
            let db = shard.sweep_db as u16;
            let (swept, size) = sweep_some(shard, db);
            self.buckets += swept.buckets;
            self.expired += swept.expired;
            self.living += swept.living;
            if swept.expired > 0 {
                self.ends_without = 0;
            }
            if swept.wrapped || swept.buckets == 0 {
                shard.sweep_db = (shard.sweep_db + 1) % count;
                idle += 1;
                self.ends_without += 1;
            }
            let enough = self.buckets >= (size * effort as usize / TICKS_A_ROUND).max(TICK_BUCKETS_MIN);
            let worthwhile = self.expired * WORTHWHILE * effort as usize >= self.buckets.max(1);
            // Every database was seen from its beginning to its end, after the last that has expired: a table that shrinks meanwhile
            // brings entries to where the sweep has been. Or the share is done, and more would find little.
            self.done = self.ends_without > count || enough && !worthwhile;
            if !self.done && tick_begun.elapsed() > budget {
                self.done = true;
                shard.stats.expiry.time_cap_reached.increment();
            }
            if idle > count {
                break;
            }
        }
        if self.done {
            shard.stats.expiry.note_sample(self.expired, self.living);
        }
        let taken = begun.elapsed();
        shard.stats.expiry.nanoseconds.add(taken.as_nanos() as u64);
        log_latency(&shard.world, "expire-cycle", taken);
    }
}

/// Time that expiry may take in one tick.
fn budget(hz: u32, effort: u32) -> Duration {
    Duration::from_secs(1) / hz * (TIME_PERCENT + TIME_PERCENT_A_STEP * (effort - 1)) / 100
}

fn sweep_some(shard: &mut Shard, db: u16) -> (crate::keyspace::db::Sweep, usize) {
    let now = shard.world.now_milliseconds();
    let Some(database) = shard.db(db).filter(|database| database.volatile_len() > 0) else {
        return (crate::keyspace::db::Sweep::default(), 0);
    };
    let size = database.len() / 5;
    let swept = shard.sweep_expired(db, now, STEP);
    if swept.living > 0 {
        let seen_ms = (swept.remaining_ms / swept.living as u128).min(u128::from(u64::MAX >> 8)) as u64;
        let average = &shard.stats.databases[usize::from(db)].average_ttl_ms;
        average.set(match average.get() {
            0 => seen_ms,
            before => (before * (AVERAGED_STEPS - 1) + seen_ms) / AVERAGED_STEPS,
        });
    }
    (swept, size)
}

#[cfg(test)]
#[path = "expire_tests.rs"]
mod tests;
