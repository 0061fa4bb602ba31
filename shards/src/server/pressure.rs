//! What threads tell each other about memory over its limit: which shards have something to evict, since when the limit is
//! exceeded, and which shards' own threads are asked to help.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;

use sherd_metrics::clock;

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

/// See the [module](self).
pub struct Pressure {
    shards: Vec<ShardPart>,
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
            over_since: AtomicU64::new(0),
            exceeded: AtomicU64::new(0),
        }
    }

    /// Says which thread is a shard's own.
    pub fn set_thread(&self, shard: usize, thread: Thread) {
        let _ = self.shards[shard].thread.set(thread);
    }

    /// Lets other threads see how many keys of a shard have an expiry.
    pub fn publish(&self, shard: usize, volatile_keys: usize) {
        self.shards[shard].volatile_keys.store(volatile_keys, Ordering::Relaxed);
    }

    /// Keys of a shard with an expiry, as it said last.
    pub fn volatile_keys(&self, shard: usize) -> usize {
        self.shards[shard].volatile_keys.load(Ordering::Relaxed)
    }

    /// A writer waits for all that are asked from now on: their threads do not rest between their rounds.
    pub fn make_urgent(&self) {
        self.shards.iter().for_each(|shard| shard.is_urgent.store(true, Ordering::SeqCst));
    }

    /// Has the thread of a shard evict at once.
    pub fn ask(&self, shard: usize) {
        let shard = &self.shards[shard];
        // Asking a thread that was asked already would cost a system call for nothing.
        if !shard.asked.swap(true, Ordering::SeqCst) {
            if let Some(thread) = shard.thread.get() {
                thread.unpark();
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
