//! The sleep of a shard's own thread: until its next tick, or longer where that has nothing to do.
//!
//! A server that nobody uses is not to wake ten times a second and a shard. The thread says that it goes to rest and then looks
//! whether anything expires; who lets go of the baton has told how much does, and then looks whether the thread rests. Both are
//! sequentially consistent, so one of them sees the other. What else it looks after (memory limits, new big keys,
//! defragmentation) can wait for as long as the longest rest.

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(loom)]
use loom::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{self, Thread},
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{self, Thread},
};

use crate::keyspace::stats::ShardStats;
use crate::maintenance::defragment;
use crate::maintenance::evict;
use crate::maintenance::expire;
use crate::maintenance::survey::Survey;
use crate::server::defragmentation::GIVEN_UP_AFTER;
use crate::server::world::World;

/// The longest rest.
pub const REST_MAX: Duration = Duration::from_secs(1);
// By then all threads have given up their pages.
const _: () = assert!(REST_MAX.as_millis() < GIVEN_UP_AFTER.as_millis());

/// How long a tick takes.
pub fn tick(world: &World) -> Duration {
    Duration::from_millis(1000 / world.settings.hz.get().clamp(1, 500) as u64)
}

/// Whether a shard's own thread sleeps longer than a tick.
pub struct Rest(AtomicBool);

impl Default for Rest {
    fn default() -> Rest {
        Rest(AtomicBool::new(false))
    }
}

impl Rest {
    /// Sleeps until the next tick, until somebody wakes the thread, or until there is something to do.
    pub fn sleep(
        &self,
        world: &World,
        stats: &ShardStats,
        eviction: &evict::Round,
        survey: &Survey,
        defragmentation: &defragment::Pace,
    ) {
        let tick = tick(world);
        self.0.swap(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let defragments = world.defragmentation.is_under_way();
        let has_ticks =
            expire::may_be_due(stats) || world.settings.maxmemory.on() || survey.is_due(stats) || defragments;
        if has_ticks {
            self.0.swap(false, Ordering::SeqCst);
        }
        let longest = if defragments { defragmentation.sleep_at_most(world, tick) } else { tick };
        park(if has_ticks { eviction.sleep_at_most(longest) } else { REST_MAX.max(tick) });
        self.0.swap(false, Ordering::SeqCst);
    }

    /// For whoever has just let go of the baton.
    #[inline]
    pub fn end_if_something_expires(&self, stats: &ShardStats, thread: &OnceLock<Thread>) {
        // After the release, which is SeqCst as well: see the module.
        if self.0.load(Ordering::SeqCst) && expire::may_be_due(stats) {
            self.end(thread);
        }
    }

    #[cold]
    fn end(&self, thread: &OnceLock<Thread>) {
        if self.0.swap(false, Ordering::SeqCst) {
            if let Some(thread) = thread.get() {
                thread.unpark();
            }
        }
    }
}

/// Sleeps until somebody wakes the thread, or for so long.
#[cfg(not(loom))]
pub(super) fn park(at_most: Duration) {
    thread::park_timeout(at_most);
}

/// Sleeps without an end, so that a wake-up that got lost shows as a deadlock.
#[cfg(loom)]
pub(super) fn park(_: Duration) {
    thread::park();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::server::settings::Settings;
    use crate::slot::SlotMap;
    use std::sync::Arc;

    #[test]
    fn a_thread_that_rests_is_woken_by_whoever_lets_go_of_something_that_expires() {
        let world = World::new(SlotMap::new(1, false), Settings::default()).expect("a thread");
        let (rest, stats) = (Arc::new(Rest::default()), Arc::new(ShardStats::default()));
        let thread = OnceLock::new();
        let sleeper = thread::spawn({
            let (rest, stats, world) = (Arc::clone(&rest), Arc::clone(&stats), Arc::clone(&world));
            move || {
                // Without a wake-up this takes an hour; with something that expires, a sleep takes a tick.
                for _ in 0..3600 {
                    if expire::may_be_due(&stats) {
                        return;
                    }
                    let defragmentation = defragment::Pace::default();
                    rest.sleep(&world, &stats, &evict::Round::default(), &Survey::default(), &defragmentation);
                }
            }
        });
        let _ = thread.set(sleeper.thread().clone());
        while !rest.0.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        rest.end_if_something_expires(&stats, &thread);
        stats.volatile_keys.set(1);
        rest.end_if_something_expires(&stats, &thread);
        // It may just have been about to sleep once more, for a tick.
        assert!((0..1_000_000).any(|_| !rest.0.load(Ordering::SeqCst)), "it is woken");
        sleeper.join().expect("the thread ends");
    }
}
