//! Memory over its limit: how much it is, which shards have something to evict, and the way to their threads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sherd_metrics::{clock, memory};

use crate::entry::policy;
use crate::server::world::World;

/// How often memory is looked at again while a command waits for other threads to free some.
pub(super) const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// The longest wait for other threads, whatever `maxmemory-eviction-tenacity` says: a baton is held all the while.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(1);

/// Keys that a shard could evict under a policy, as it said last.
pub(super) fn evictable(world: &World, shard: usize, policy: i64) -> usize {
    match policy {
        policy::NO_EVICTION => 0,
        policy if policy::is_volatile(policy) => world.pressure.volatile_keys(shard),
        _ => world.shard_keys[shard].load(Ordering::Relaxed),
    }
}

/// The same over all shards.
pub(super) fn evictable_anywhere(world: &World, policy: i64) -> usize {
    (0..world.shard_keys.len()).map(|shard| evictable(world, shard, policy)).sum()
}

/// Has the threads of shards with something to evict do so at once.
#[cold]
pub fn ask(world: &World) {
    let policy = world.settings.memory_limit().policy;
    (0..world.shard_keys.len())
        .filter(|&shard| evictable(world, shard, policy) > 0)
        .for_each(|shard| world.pressure.ask(shard));
}

/// The same, for a writer that waits for it: the threads do not rest between their rounds.
pub(super) fn ask_urgently(world: &World) {
    world.pressure.make_urgent();
    ask(world);
}

/// Bytes over the memory limit, 0 where there is none, and the policy that came with it. What is about to be freed in the background
/// does not count, nor what is on its way to files and replicas: evicting would add to that.
#[inline]
pub fn excess(world: &World) -> (usize, i64) {
    let limit = world.settings.memory_limit();
    if limit.bytes == 0 {
        return (0, limit.policy);
    }
    let used = memory::used_bytes();
    if used <= limit.bytes {
        return (0, limit.policy);
    }
    let counted = used.saturating_sub(world.reaper.pending_bytes() + world.journal.buffer_bytes());
    (counted.saturating_sub(limit.bytes), limit.policy)
}

/// Bytes over the memory limit, whatever the policy.
#[inline]
pub fn excess_bytes(world: &World) -> usize {
    excess(world).0
}

/// The same for whoever evicts by a policy: nothing, once another one has come, by which it has to begin anew.
pub(super) fn excess_under(world: &World, policy: i64) -> usize {
    match excess(world) {
        (bytes, now) if now == policy => bytes,
        _ => 0,
    }
}

/// Waits for memory that is freed in the background, for so many nanoseconds at most; whether the limit is kept then. A baton
/// may be held meanwhile: the wait ends whatever others do, at the latest when they are `done`.
#[cold]
pub(super) fn await_freed(world: &World, at_most: u64, done: impl Fn() -> bool) -> bool {
    let begun = clock::ticks();
    let rate = clock::TickRate::get();
    let at_most = at_most.min(WAIT_MAX.as_nanos() as u64);
    loop {
        // Asked before the look at memory: what was freed in between counts.
        let last = done();
        let limit = world.settings.memory_limit().bytes;
        if limit == 0 || memory::used_bytes().saturating_sub(world.journal.buffer_bytes()) <= limit {
            return true;
        }
        if last || rate.nanoseconds(clock::ticks().wrapping_sub(begun)) >= at_most {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
