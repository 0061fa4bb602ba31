//! Eviction for shards that have nothing to evict, in those that have.
//!
//! A shard that nobody holds at this moment is taken and evicted from, as long as the command may take for that. The threads of
//! shards that are busy are asked, and the writer waits for them a bounded time; its own shards are held meanwhile. Batons are
//! tried and never waited for: two threads that hold one and wait for the other's would wait for ever.

use std::sync::atomic::Ordering;
use std::thread;

use sherd_metrics::memory;

use super::{evict_from, excess_bytes, excess_under, pressure, Done, Time};
use crate::keyspace::shard::Shard;
use crate::server::world::World;

/// A writer whose batch has had its time waits for busy shards all the same when the limit is exceeded by more than one part
/// in this many.
const OVERSHOOT: usize = 16;

/// Evicts from shards that are not `held`, which have nothing to evict, until the limit is kept or time is up; [`Done::Nothing`]
/// if no shard can free anything.
pub(super) fn evict(held: &mut [&mut Shard], world: &World, policy: i64, time: &Time, excess: usize) -> Done {
    let others: Vec<usize> =
        (0..world.shard_keys.len()).filter(|&index| !held.iter().any(|shard| shard.index == index)).collect();
    let first = if others.is_empty() { 0 } else { held[0].random.below(others.len()) };
    let nothing_elsewhere = || others.iter().all(|&index| pressure::evictable(world, index, policy) == 0);
    let is_patient = time.is_generous() || excess > world.settings.memory_limit().bytes / OVERSHOOT;
    loop {
        for index in others[first..].iter().chain(&others[..first]) {
            if pressure::evictable(world, *index, policy) == 0 {
                continue;
            }
            match evict_in(held[0], *index, world, policy, time) {
                Some(done @ (Done::Enough | Done::TimeUp)) => return done,
                Some(Done::Nothing) | None => {}
            }
        }
        if excess_under(world, policy) == 0 {
            return Done::Enough;
        }
        if nothing_elsewhere() {
            return await_pending(world, time);
        }
        pressure::ask_urgently(world);
        if !is_patient || time.is_up() || time.has_waited_enough() {
            return Done::TimeUp;
        }
        thread::sleep(pressure::LOOK_AGAIN);
    }
}

/// Evicts from one shard on behalf of another, if nobody holds it.
fn evict_in(holder: &Shard, index: usize, world: &World, policy: i64, time: &Time) -> Option<Done> {
    let mut done = None;
    let before = memory::data_bytes();
    holder.try_in_shard(index, &mut |shard| done = Some(evict_from(&mut [shard], world, policy, time)));
    // What was freed there is told there; it is not the holder's, whose share is what this thread allocates meanwhile.
    holder.stats.memory_bytes.fetch_add(before - memory::data_bytes(), Ordering::Relaxed);
    done
}

/// Waits for what is being freed in the background, where nothing else is left.
fn await_pending(world: &World, time: &Time) -> Done {
    let is_done = || world.reaper.pending_bytes() == 0;
    let has_room = !is_done() && pressure::await_freed(world, time.limit, is_done);
    if has_room || excess_bytes(world) == 0 {
        Done::Enough
    } else {
        Done::Nothing
    }
}
