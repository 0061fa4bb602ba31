//! One shard's part in a plan of [`crate::server::defragmentation`]: going once through its keys, slice by slice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entry::object::ObjectMut;
use crate::entry::Entry;
use crate::keyspace::db::Key;
use crate::keyspace::shard::Shard;
use crate::server::defragmentation::Plan;
use crate::server::world::World;
use sherd_types::mover::Mover;
use sherd_types::table::Entry as _;

/// A slice where `active-defrag-cycle-us` is 0.
const SLICE_DEFAULT_MICROSECONDS: u64 = 500;
/// Elements of a collection that are looked at without a look at the clock; one with more is gone through in several steps.
const ELEMENTS_A_STEP: usize = 64;

/// A collection with many elements, where its turn has come.
struct Large {
    db: u16,
    key: Vec<u8>,
    at: usize,
    /// Elements that were looked at in this slice.
    looked_at: usize,
}

/// How far a shard is.
#[derive(Default)]
pub struct Pace {
    plan: Arc<Plan>,
    /// The number of the last plan under which the shard has come through.
    finished: u64,
    rest_until: Option<Instant>,
    db: usize,
    /// Table and bucket.
    at: (usize, usize),
    /// Collections that the last step has met.
    large: Vec<Large>,
    last_tick: Option<Instant>,
}

impl Pace {
    /// Whether there is something to do now.
    #[inline]
    pub fn is_due(&self, world: &World) -> bool {
        let number = world.defragmentation.number();
        number != 0 && number != self.finished && self.rest_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Whether the shard has come through its keys under the present plan.
    pub fn has_finished(&self, world: &World) -> bool {
        self.finished == world.defragmentation.number()
    }

    /// How long the thread may sleep until there is.
    pub fn sleep_at_most(&self, world: &World, tick: Duration) -> Duration {
        let number = world.defragmentation.number();
        if number == 0 || number == self.finished {
            return tick;
        }
        self.rest_until.map_or(Duration::ZERO, |until| tick.min(until.saturating_duration_since(Instant::now())))
    }

    /// Whether a tick is over, at a moment at which the thread goes to sleep. While it wakes up for slices in between, that is
    /// when a tick's time has passed: otherwise what has its share of each tick would have it with each slice.
    pub fn is_tick_over(&mut self, world: &World, tick: Duration) -> bool {
        if self.has_finished(world) || world.defragmentation.number() == 0 {
            return true;
        }
        let now = Instant::now();
        let is_over = self.last_tick.is_none_or(|last| now.duration_since(last) >= tick);
        if is_over {
            self.last_tick = Some(now);
        }
        is_over
    }

    /// Moves what is to be moved for one slice.
    pub fn slice(&mut self, shard: &mut Shard) {
        let begun = Instant::now();
        let world = Arc::clone(&shard.world);
        if self.plan.number != world.defragmentation.number() {
            let (plan, finished, last_tick) = (world.defragmentation.plan(), self.finished, self.last_tick);
            *self = Pace { plan, finished, last_tick, ..Pace::default() };
        }
        let plan = Arc::clone(&self.plan);
        let settings = &world.settings;
        let limit = match settings.active_defrag_cycle_us.size() as u64 {
            0 => Duration::from_micros(SLICE_DEFAULT_MICROSECONDS),
            microseconds => Duration::from_micros(microseconds),
        };
        self.large.iter_mut().for_each(|large| large.looked_at = 0);
        let elements_max = settings.active_defrag_max_scan_fields.size().max(1);
        let mut mover = Mover::new(&plan.pages);
        let mut is_through = false;
        while !is_through && begun.elapsed() < limit {
            is_through = match self.large.pop() {
                Some(large) => {
                    let goes_on = self.step_in_large(shard, large, &mut mover, elements_max);
                    if !goes_on {
                        break;
                    }
                    false
                }
                None => self.step(shard, &mut mover),
            };
        }
        shard.stats.defrag_hits.add(mover.hits);
        shard.stats.defrag_misses.add(mover.misses);
        let took = begun.elapsed();
        if is_through {
            *self = Pace { finished: plan.number, ..Pace::default() };
            world.defragmentation.finish(plan.number);
        } else {
            self.rest_until = Some(Instant::now() + rest_after(took, plan.effort_percent, world.slots.shards()));
        }
    }

    /// Looks at the next bucket of the keyspace; true at its end.
    fn step(&mut self, shard: &mut Shard, mover: &mut Mover<'_>) -> bool {
        if self.db >= shard.dbs_touched() {
            return true;
        }
        let number = self.db as u16;
        let (mut hits, mut misses) = (0, 0);
        let large = &mut self.large;
        let visit = |entry: &mut Entry, mover: &mut Mover<'_>| {
            let before = mover.hits;
            entry.relocate(mover);
            if let Some(object) = entry.object_mut() {
                match first_step(object, mover) {
                    0 => {}
                    at => large.push(Large { db: number, key: entry.key().to_vec(), at, looked_at: 0 }),
                }
            }
            let moved = mover.hits > before;
            hits += u64::from(moved);
            misses += u64::from(!moved);
        };
        let next = shard.defragment(number, self.at, mover, visit);
        shard.stats.defrag_key_hits.add(hits);
        shard.stats.defrag_key_misses.add(misses);
        match next {
            Some(next) => self.at = next,
            None => (self.db, self.at) = (self.db + 1, (0, 0)),
        }
        false
    }

    /// Looks at the next elements of a large collection; false when the slice has looked at enough of them.
    fn step_in_large(
        &mut self,
        shard: &mut Shard,
        mut large: Large,
        mover: &mut Mover<'_>,
        elements_max: usize,
    ) -> bool {
        let key = Key::new(&large.key, &shard.world.slots);
        let limit = ELEMENTS_A_STEP.min(elements_max);
        large.at = shard.defragment_elements(large.db, &key, mover, large.at, limit);
        large.looked_at += limit;
        let goes_on = large.looked_at < elements_max;
        if large.at != 0 {
            self.large.push(large);
            return goes_on;
        }
        true
    }
}

/// How long a shard's thread rests after a slice, so that all of them together take their part of one processor.
fn rest_after(slice: Duration, effort_percent: u64, shards: usize) -> Duration {
    let percent = (effort_percent as u32).clamp(1, 100);
    slice * (100 * shards as u32 - percent) / percent
}

/// The first elements of a collection, which for most are all of them; where to go on, 0 at the end.
fn first_step(object: ObjectMut<'_>, mover: &mut Mover<'_>) -> usize {
    object.defragment(mover, 0, ELEMENTS_A_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_rests_of_all_shards_make_up_the_effort() {
        let slice = Duration::from_micros(500);
        for (percent, shards) in [(1, 1), (25, 1), (75, 1), (99, 1), (25, 4), (75, 4), (99, 64)] {
            let rest = rest_after(slice, percent, shards);
            let taken = 100.0 * shards as f64 * slice.as_secs_f64() / (slice + rest).as_secs_f64();
            assert!((taken - percent as f64).abs() < 0.1, "{taken} percent instead of {percent}");
        }
        assert_eq!(rest_after(slice, 0, 1), 99 * slice, "a plan without effort does not stop the thread for ever");
    }
}
