//! Eviction: making room when memory exceeds `maxmemory`.
//!
//! Before a command that may use memory ([`has_room`]) the thread that executes it evicts from the shards that it holds,
//! for half a millisecond by default (`maxmemory-eviction-tenacity`). If that is not enough, the command goes ahead all
//! the same and the shards' own threads go on in slices ([`Round`]), each freeing its share by the number of its keys.
//! The command is refused only if nothing can be evicted in any shard.
//!
//! Memory belongs to the process, not to a shard: for a shard that has nothing to evict the others do ([`elsewhere`]), as
//! if all keys were in one. A write is refused only when no shard can free anything.
//!
//! A victim is chosen as in Redis: some keys are sampled ([`sherd_types::table::sample`]) and set against a pool of the best
//! candidates seen so far ([`crate::keyspace::candidates`]); the best one goes, unless it has been used since.

use std::time::{Duration, Instant};

use sherd_metrics::clock::{self, TickRate};

use crate::entry::policy;
use crate::handler::access::Shards;
use crate::keyspace::candidates::{Candidate, Pool};
use crate::keyspace::db::Key;
use crate::keyspace::shard::Shard;
use crate::server::settings::Settings;
use crate::server::world::World;
use sherd_types::table;

mod elsewhere;
mod pressure;

pub use pressure::{ask, excess_bytes};
use pressure::{evictable_anywhere, excess, excess_under};

/// Evictions between two looks at the clock.
const STEPS: usize = 16;
/// What one batch may spend on eviction, in time limits of one command; each further command evicts `STEPS` keys only.
const BATCH_LIMITS: u64 = 4;
/// Time that one slice of a shard's own thread may hold the shard.
const SLICE: Duration = Duration::from_micros(500);
/// Rest of a shard's own thread between two rounds, in which the other shards do their share.
const REST: Duration = Duration::from_millis(10);

/// What an attempt to evict one key of a shard came to.
enum Step {
    /// So many bytes were freed, or will be in the background.
    Evicted(usize),
    /// Keys that can be evicted are there, but this attempt found none.
    Searching,
    /// The shard has no key that can be evicted.
    Nothing,
}

/// Sees to it that memory is within its limit before a command that may use more; false if it cannot be.
#[inline]
pub fn has_room(shards: &mut Shards<'_>, world: &World) -> bool {
    let (excess, policy) = excess(world);
    if excess == 0 || world.leaves_eviction() {
        world.pressure.note(false);
        return true;
    }
    make_room(shards, world, excess, policy)
}

/// Whether commands that may use memory are refused at this moment; evicts nothing. For commands that are queued.
pub fn is_hopeless(world: &World) -> bool {
    let (excess, policy) = excess(world);
    excess != 0 && !world.leaves_eviction() && evictable_anywhere(world, policy) == 0
}

#[cold]
fn make_room(shards: &mut Shards<'_>, world: &World, excess: usize, policy_number: i64) -> bool {
    if policy_number == policy::NO_EVICTION {
        world.pressure.note(true);
        return false;
    }
    let mut held: Vec<&mut Shard> = shards.iter_mut().collect();
    let limit = u64::try_from(time_limit(&world.settings).as_nanos()).unwrap_or(u64::MAX);
    let time = Time { begun: clock::ticks(), limit, spent_before: held[0].evictor.spent };
    let mut done = evict_from(&mut held, world, policy_number, &time);
    if matches!(done, Done::Nothing) {
        done = elsewhere::evict(&mut held, world, policy_number, &time, excess);
    }
    log_latency(world, "eviction-cycle", Duration::from_nanos(nanoseconds_since(time.begun)));
    // What one command can put right is not time over the limit.
    world.pressure.note(!matches!(done, Done::Enough));
    held[0].evictor.spent = time.spent_before.saturating_add(nanoseconds_since(time.begun));
    if matches!(done, Done::TimeUp) {
        ask(world);
    }
    !matches!(done, Done::Nothing)
}

/// The time that a command may take for evicting, in nanoseconds.
struct Time {
    /// When it began, in ticks.
    begun: u64,
    limit: u64,
    /// By the commands of the same batch before this one.
    spent_before: u64,
}

impl Time {
    fn is_up(&self) -> bool {
        nanoseconds_since(self.begun) >= self.limit
    }

    /// Whether the command has waited for others for as long as any may, whatever the limit is.
    fn has_waited_enough(&self) -> bool {
        nanoseconds_since(self.begun) >= pressure::WAIT_MAX.as_nanos() as u64
    }

    /// Whether the batch has not spent yet what all of its commands may together.
    fn is_generous(&self) -> bool {
        self.spent_before < self.limit.saturating_mul(BATCH_LIMITS)
    }
}

/// How evicting on behalf of a command ended.
enum Done {
    Enough,
    TimeUp,
    Nothing,
}

/// Evicts from shards in turn until the limit is kept, time is up or they have nothing more.
fn evict_from(held: &mut [&mut Shard], world: &World, policy: i64, time: &Time) -> Done {
    let count = held.len();
    let mut at = held[0].random.below(count);
    let mut without = 0;
    loop {
        let shard = &mut *held[at];
        let mut searching = false;
        for _ in 0..STEPS {
            match evict_one(shard, world, policy) {
                Step::Evicted(_) if excess_under(world, policy) == 0 => return Done::Enough,
                Step::Evicted(_) => without = 0,
                Step::Searching => {
                    without = 0;
                    searching = true;
                    break;
                }
                Step::Nothing => {
                    without += 1;
                    break;
                }
            }
        }
        if without == count {
            return if excess_under(world, policy) == 0 { Done::Enough } else { Done::Nothing };
        }
        if time.is_up() || !time.is_generous() && !searching {
            return Done::TimeUp;
        }
        at = (at + 1) % count;
    }
}

/// How long evicting may hold up a command: 50 us a point up to 10, then 15 % more a point, without end at 100.
fn time_limit(settings: &Settings) -> Duration {
    match settings.maxmemory_eviction_tenacity.get() {
        points @ ..=10 => Duration::from_micros(50 * points.max(0) as u64),
        points @ 11..=99 => Duration::from_secs_f64(500e-6 * 1.15f64.powi(points as i32 - 10)),
        _ => Duration::MAX,
    }
}

/// Evicts the best candidate of a shard, after a look at some more keys.
fn evict_one(shard: &mut Shard, world: &World, policy: i64) -> Step {
    let mut pool = std::mem::take(&mut shard.evictor.pool);
    pool.set_policy(policy);
    let sampled = populate(shard, world, &mut pool, policy);
    let mut step = Step::Searching;
    while let Some(candidate) = pool.pop() {
        let key = Key { bytes: &candidate.key, hash: table::hash(&candidate.key), slot: candidate.slot };
        let freed = evict_candidate(shard, &candidate, &key, policy);
        pool.recycle(candidate);
        if let Some(bytes) = freed {
            step = Step::Evicted(bytes);
            break;
        }
    }
    if sampled == 0 && matches!(step, Step::Searching) && evictable(shard, policy) == 0 {
        step = Step::Nothing;
    }
    shard.evictor.pool = pool;
    step
}

/// Keys of a shard that a policy allows to be evicted.
fn evictable(shard: &Shard, policy: i64) -> usize {
    let dbs = (0..shard.db_count()).filter_map(|db| shard.db(db as u16));
    dbs.map(|db| if policy::is_volatile(policy) { db.volatile_len() } else { db.len() }).sum()
}

/// Sets some keys of each database against the pool; gives how many.
fn populate(shard: &mut Shard, world: &World, pool: &mut Pool, policy: i64) -> usize {
    let want = world.settings.maxmemory_samples.size().max(1);
    let (clock, now_ms) = (shard.clock, world.now_milliseconds());
    let mut random = shard.random.clone();
    let mut seen = 0;
    for number in 0..shard.db_count() as u16 {
        seen += shard.sample(number, policy::is_volatile(policy), want, |entry, slot| {
            let score = policy::score(policy, entry, clock, now_ms, world.settings.lfu(), &mut random);
            pool.offer(score, number, slot, table::Entry::key(entry));
            entry.set_clock(policy::visited(policy, entry.clock()));
        });
    }
    shard.random = random;
    seen
}

/// Evicts a candidate if it is still there and still as good as it was; returns the bytes that come free.
fn evict_candidate(shard: &mut Shard, candidate: &Candidate, key: &Key<'_>, policy: i64) -> Option<usize> {
    let now_ms = shard.world.now_milliseconds();
    let db = shard.db(candidate.db)?;
    let entry = db.find(key)?;
    if policy::is_volatile(policy) && entry.expiry().is_none() {
        return None;
    }
    let expired = entry.is_expired(now_ms);
    if !policy::is_random(policy) {
        let mut random = shard.random.clone();
        let score = policy::score(policy, entry, shard.clock, now_ms, shard.world.settings.lfu(), &mut random);
        if score < candidate.score {
            return None;
        }
    }
    Some(remove(shard, candidate.db, key, expired))
}

/// Removes a key; returns the bytes that come free.
fn remove(shard: &mut Shard, db: u16, key: &Key<'_>, expired: bool) -> usize {
    let begun = (shard.world.settings.latency_monitor_threshold.get() > 0).then(Instant::now);
    let freed = shard.evict(db, key, expired);
    if let Some(begun) = begun {
        log_latency(&shard.world, "eviction-del", begun.elapsed());
    }
    freed
}

fn nanoseconds_since(begun: u64) -> u64 {
    TickRate::get().nanoseconds(clock::ticks().wrapping_sub(begun))
}

/// Adds a sample to a latency event if it took as long as the latency monitor asks for.
pub(crate) fn log_latency(world: &World, event: &'static str, took: Duration) {
    let threshold = world.settings.latency_monitor_threshold.get();
    if threshold > 0 && took.as_millis() as i64 >= threshold {
        world.logs.log_latency(event, took.as_millis() as u64);
    }
}

/// One shard's part in bringing memory back under its limit, on the shard's own thread.
///
/// A round frees the shard's share of what is too much; then the thread rests, so that a shard with few keys, whose share
/// is done in no time, does not give the others' shares as well.
#[derive(Default)]
pub struct Round {
    /// Bytes that this shard shall free, and has freed.
    share: Option<(usize, usize)>,
    rest_since: Option<Instant>,
}

impl Round {
    /// Whether the shard has something to do.
    pub fn is_due(&self, world: &World, shard: usize) -> bool {
        let (excess, policy) = excess(world);
        excess > 0
            && self.rest_since.is_none_or(|since| since.elapsed() >= REST)
            && !world.keeps_all()
            && pressure::evictable(world, shard, policy) > 0
    }

    /// How long the thread may sleep until it looks again.
    pub fn sleep_at_most(&self, tick: Duration) -> Duration {
        self.rest_since.map_or(tick, |since| tick.min(REST.saturating_sub(since.elapsed()) + Duration::from_millis(1)))
    }

    /// Takes notice of having been asked, and of memory that is within its limit again.
    pub fn look(&mut self, world: &World, shard: usize) {
        if world.pressure.take_asked(shard) {
            self.rest_since = None;
        }
        let over = excess_bytes(world) > 0;
        world.pressure.note(over);
        if !over {
            *self = Round::default();
        }
    }

    /// Evicts for one slice of time; whether this round's share needs another slice.
    pub fn slice(&mut self, shard: &mut Shard) -> bool {
        let world = &*std::sync::Arc::clone(&shard.world);
        let (excess, policy) = excess(world);
        shard.look_at_clock();
        let begun = Instant::now();
        let (target, mut freed) = match self.share {
            Some(share) => share,
            None => (share_of(world, shard, policy), 0),
        };
        // Since the thread has found that it is due, the limit may have become another one.
        let mut over = excess > 0;
        let mut more = policy != policy::NO_EVICTION;
        let mut steps = 0;
        while over && more && freed < target && (steps % STEPS != 0 || begun.elapsed() < SLICE) {
            steps += 1;
            match evict_one(shard, world, policy) {
                Step::Evicted(bytes) => freed += bytes,
                // A search passes many buckets: it counts as a whole turn.
                Step::Searching => steps = steps.next_multiple_of(STEPS),
                Step::Nothing => more = false,
            }
            over = excess_under(world, policy) > 0;
        }
        world.pressure.note(over);
        self.share = Some((target, freed));
        let ended = !over || !more || freed >= target;
        if ended {
            *self = Round { share: None, rest_since: Some(Instant::now()) };
        }
        shard.publish_sizes();
        log_latency(world, "eviction-cycle", begun.elapsed());
        !ended
    }
}

/// What a shard shall free of the bytes that are too much: as its part of the keys that can be evicted.
fn share_of(world: &World, shard: &Shard, policy: i64) -> usize {
    let own = evictable(shard, policy) as u128;
    let all = (evictable_anywhere(world, policy) as u128).max(own).max(1);
    (excess_bytes(world) as u128 * own / all) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_says_how_long_a_command_is_held_up() {
        let settings = Settings::default();
        let microseconds = |points| {
            settings.maxmemory_eviction_tenacity.set(points);
            time_limit(&settings).as_micros()
        };
        assert_eq!((microseconds(0), microseconds(1), microseconds(10)), (0, 50, 500));
        assert_eq!(microseconds(12), 661);
        assert!((60_000_000..200_000_000).contains(&microseconds(99)));
        assert_eq!(microseconds(100), Duration::MAX.as_micros());
    }
}
