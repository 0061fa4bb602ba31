//! What threads tell each other about memory over its limit: which shards have something to evict, since when the limit is
//! exceeded, and which shards' own threads are asked to help; and the way to a shard that is free.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

use sherd_metrics::clock;
use sherd_metrics::memory;

use crate::entry::policy;
use crate::server::shard::Shard;
use crate::server::world::World;

/// The shards that a thread does not hold which needs memory that only they can free.
pub trait Others: Send + Sync {
    /// Does something in a shard if nobody holds it at this moment; whether it was done. Never waits.
    fn try_in_shard(&self, shard: usize, work: &mut dyn FnMut(&mut Shard)) -> bool;
}

/// How often memory is looked at again while a command waits for other threads to free some.
pub(super) const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// The longest wait for other threads, whatever `maxmemory-eviction-tenacity` says: a baton is held all the while.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Default)]
struct ShardPart {
    /// Keys with an expiry, as of when the baton was last let go.
    volatile_keys: AtomicUsize,
    /// The thread is asked to evict; it takes that back when it has begun.
    asked: AtomicBool,
    /// A writer waits for that: there is no time to rest.
    is_urgent: AtomicBool,
    thread: OnceLock<Thread>,
}

/// See the file's head.
pub struct Pressure {
    shards: Vec<ShardPart>,
    others: OnceLock<Weak<dyn Others>>,
    /// Since when the limit is exceeded, in microseconds of the monotonic clock; 0 when it is not.
    over_since: AtomicU64,
    /// Microseconds that the limit was exceeded for, times that are over.
    exceeded: AtomicU64,
}

impl Pressure {
    /// For so many shards.
    pub fn new(shards: usize) -> Pressure {
        Pressure {
            shards: (0..shards).map(|_| ShardPart::default()).collect(),
            others: OnceLock::new(),
            over_since: AtomicU64::new(0),
            exceeded: AtomicU64::new(0),
        }
    }

    /// Says which thread is a shard's own.
    pub fn set_thread(&self, shard: usize, thread: Thread) {
        let _ = self.shards[shard].thread.set(thread);
    }

    /// Says who knows the way to all shards.
    pub fn set_others(&self, others: Weak<dyn Others>) {
        let _ = self.others.set(others);
    }

    /// Does something in a shard if nobody holds it at this moment; whether it was done.
    pub fn try_in_shard(&self, shard: usize, work: &mut dyn FnMut(&mut Shard)) -> bool {
        let others = self.others.get().and_then(Weak::upgrade);
        others.is_some_and(|others| others.try_in_shard(shard, work))
    }

    /// Lets other threads see how many keys of a shard have an expiry.
    pub fn publish(&self, shard: usize, volatile_keys: usize) {
        self.shards[shard].volatile_keys.store(volatile_keys, Ordering::Relaxed);
    }

    /// Keys that a shard could evict under a policy, as it said last.
    pub fn evictable(&self, world: &World, shard: usize, policy: i64) -> usize {
        match policy {
            policy::NO_EVICTION => 0,
            policy if policy::is_volatile(policy) => self.shards[shard].volatile_keys.load(Ordering::Relaxed),
            _ => world.shard_keys[shard].load(Ordering::Relaxed),
        }
    }

    /// The same over all shards.
    pub fn evictable_anywhere(&self, world: &World, policy: i64) -> usize {
        (0..self.shards.len()).map(|shard| self.evictable(world, shard, policy)).sum()
    }

    /// The same, for a writer that waits for it: the threads do not rest between their rounds.
    pub fn ask_urgently(&self, world: &World) {
        self.shards.iter().for_each(|shard| shard.is_urgent.store(true, Ordering::SeqCst));
        self.ask(world);
    }

    /// Has the threads of shards with something to evict do so at once.
    #[cold]
    pub fn ask(&self, world: &World) {
        let policy = world.settings.maxmemory_policy.get();
        for (index, shard) in self.shards.iter().enumerate() {
            // Asking a thread that was asked already would cost a system call for nothing.
            if self.evictable(world, index, policy) > 0 && !shard.asked.swap(true, Ordering::SeqCst) {
                if let Some(thread) = shard.thread.get() {
                    thread.unpark();
                }
            }
        }
    }

    /// A shard's thread has seen that it was asked; whether it is urgent.
    pub fn take_asked(&self, shard: usize) -> bool {
        self.shards[shard].asked.store(false, Ordering::SeqCst);
        self.shards[shard].is_urgent.swap(false, Ordering::SeqCst)
    }

    /// Notes whether the limit is exceeded at this moment.
    #[inline]
    pub fn note(&self, over: bool) {
        if over != (self.over_since.load(Ordering::Relaxed) != 0) {
            self.turn(over);
        }
    }

    #[cold]
    fn turn(&self, over: bool) {
        let now = clock::monotonic_nanoseconds() / 1000 + 1;
        if over {
            let _ = self.over_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        } else {
            let since = self.over_since.swap(0, Ordering::Relaxed);
            if since != 0 {
                self.exceeded.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
            }
        }
    }

    /// Milliseconds that the limit was exceeded for, in all and this time.
    pub fn exceeded_ms(&self) -> (u64, u64) {
        let since = self.over_since.load(Ordering::Relaxed);
        let now = clock::monotonic_nanoseconds() / 1000 + 1;
        let current = if since == 0 { 0 } else { now.saturating_sub(since) };
        ((self.exceeded.load(Ordering::Relaxed) + current) / 1000, current / 1000)
    }

    /// Forgets the times (CONFIG RESETSTAT).
    pub fn reset(&self) {
        self.exceeded.store(0, Ordering::Relaxed);
        self.over_since.store(0, Ordering::Relaxed);
    }
}

/// Bytes over the memory limit; 0 where there is none. What is about to be freed in the background does not count.
#[inline]
pub fn excess_bytes(world: &World) -> usize {
    let limit = world.settings.maxmemory.size();
    if limit == 0 {
        return 0;
    }
    let used = memory::used_bytes();
    if used <= limit {
        return 0;
    }
    used.saturating_sub(world.reaper.pending_bytes()).saturating_sub(limit)
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
        let limit = world.settings.maxmemory.size();
        if limit == 0 || memory::used_bytes() <= limit {
            return true;
        }
        if last || rate.nanoseconds(clock::ticks().wrapping_sub(begun)) >= at_most {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
