//! Freeing big values off the executing thread.
//!
//! A value that takes many frees goes to one background thread through a bounded queue; if the queue is full, whoever
//! deletes frees it himself: the backlog is bounded, and memory is given back before more is taken.
//!
//! The thread also gives what was freed, by whomever, back to the system; see [`give_back_only_when_told`].

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sherd_metrics::allocator::{give_back, give_back_only_when_told};
use sherd_metrics::memory;

use crate::entry::Entry;
use crate::server::account::{Account, Claim};
use crate::threads;

/// Values whose freeing takes more steps than this go to the background: at some 20 ns a step, 5 us.
const EFFORT_INLINE_MAX: usize = 256;
/// Elements of a collection from which its size is estimated.
const SAMPLES: usize = 32;
/// Values that may wait to be freed.
const QUEUE_MAX: usize = 4096;
/// How often memory is given back to the system: what is used again within that time stays.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(500);

enum Garbage {
    /// With the bytes that were taken off its shard's account for it.
    Entry(Entry, usize, Claim),
    /// What is too much for the thread that takes it away, as a whole database; with the account that it is still part of.
    Whole(Box<dyn Send>, Option<Claim>),
    /// Something else that takes milliseconds and that nobody waits for.
    Work(Work),
}

/// Frees something; returns the bytes that came free. Whatever this thread holds, they are not what it does in its shard.
fn free_apart<T>(garbage: T) -> i64 {
    let before = memory::thread_bytes();
    memory::apart(|| drop(garbage));
    before - memory::thread_bytes()
}

/// What [`Reaper::run`] takes.
pub type Work = Box<dyn FnOnce() + Send>;

impl Garbage {
    fn free(self, counts: &Counts) {
        match self {
            Garbage::Entry(entry, bytes, claim) => {
                // They were estimated: without this, what a shard seems to take would go astray little by little.
                claim.add(bytes as i64 - free_apart(entry));
                counts.pending_bytes.fetch_sub(bytes, Relaxed);
            }
            Garbage::Whole(data, claim) => {
                let freed = free_apart(data);
                if let Some(claim) = claim {
                    claim.add(-freed);
                }
            }
            Garbage::Work(work) => return work(),
        }
        counts.freed.fetch_add(1, Relaxed);
    }
}

/// What the background thread does, until nobody can send it anything any more.
fn work(garbage: &Receiver<Garbage>, counts: &Counts) {
    let mut next = Instant::now() + GIVE_BACK_EVERY;
    loop {
        match garbage.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(item) => {
                counts.queued.fetch_sub(1, Relaxed);
                item.free(counts);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= next {
            give_back();
            next = Instant::now() + GIVE_BACK_EVERY;
        }
    }
}

/// The way to the background thread.
pub struct Reaper {
    /// None once the server has stopped: then whoever deletes frees.
    queue: RwLock<Option<Sender<Garbage>>>,
    counts: Arc<Counts>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Counts {
    /// What is in the queue.
    queued: AtomicUsize,
    sent: AtomicU64,
    freed: AtomicU64,
    /// What `freed` was when the statistics were last reset.
    freed_at_reset: AtomicU64,
    /// Bytes of the entries that wait to be freed (estimated for large collections).
    pending_bytes: AtomicUsize,
}

impl Reaper {
    /// Starts the background thread; fails where the system refuses one.
    pub fn start() -> io::Result<Reaper> {
        give_back_only_when_told();
        // Bounded by `offer`: a channel with a bound of its own is an array, which takes its memory whether anything is deleted or not.
        let (queue, garbage) = channel::<Garbage>();
        let counts = Arc::new(Counts::default());
        let count = Arc::clone(&counts);
        let thread = threads::start("sherd-free", move || work(&garbage, &count))?;
        Ok(Reaper { queue: RwLock::new(Some(queue)), counts, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the background thread when it has freed what waits; whoever deletes afterwards frees.
    pub fn stop(&self) {
        // Its end of the queue is all that keeps the thread.
        *self.queue.write().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Whether freeing an entry takes long enough for the background.
    #[inline]
    pub fn is_effort(entry: &Entry) -> bool {
        entry.free_effort() > EFFORT_INLINE_MAX
    }

    /// Frees an entry: here if that is quick, else in the background; then the bytes that go with it are given
    /// (estimated for large collections), which the caller takes off the account.
    #[inline]
    pub fn free(&self, entry: Entry, account: &Arc<Account>) -> Option<usize> {
        if !Self::is_effort(&entry) {
            return None;
        }
        let bytes = entry.memory_bytes(SAMPLES);
        self.counts.pending_bytes.fetch_add(bytes, Relaxed);
        self.send(Garbage::Entry(entry, bytes, Claim::of(account)));
        Some(bytes)
    }

    /// Frees a whole database, or something as large, in the background; it comes off the account when it is freed.
    pub fn free_whole(&self, data: Box<dyn Send>, account: Option<&Arc<Account>>) {
        self.send(Garbage::Whole(data, account.map(Claim::of)));
    }

    /// Does something in the background; false if it cannot be done now.
    pub fn run(&self, work: Work) -> bool {
        self.offer(Garbage::Work(work)).is_ok()
    }

    #[cold]
    fn send(&self, garbage: Garbage) {
        self.counts.sent.fetch_add(1, Relaxed);
        if let Err(item) = self.offer(garbage) {
            item.free(&self.counts);
        }
    }

    /// Queues something, or returns it where too much waits or there is no thread any more.
    fn offer(&self, garbage: Garbage) -> Result<(), Garbage> {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else { return Err(garbage) };
        if self.counts.queued.fetch_add(1, Relaxed) < QUEUE_MAX {
            return queue.send(garbage).map_err(|refused| refused.0);
        }
        self.counts.queued.fetch_sub(1, Relaxed);
        Err(garbage)
    }

    /// Bytes of deleted values that are still to be freed; what evicts need not evict for them again.
    #[inline]
    pub fn pending_bytes(&self) -> usize {
        self.counts.pending_bytes.load(Relaxed)
    }

    /// Waits until nothing waits to be freed, for tests of memory.
    pub fn wait_until_idle(&self) {
        while self.counts().0 > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Values waiting to be freed, and values freed since the statistics were reset.
    pub fn counts(&self) -> (u64, u64) {
        let freed = self.counts.freed.load(Relaxed);
        let before = self.counts.freed_at_reset.load(Relaxed);
        (self.counts.sent.load(Relaxed).saturating_sub(freed), freed.saturating_sub(before))
    }

    /// Counts from zero what is freed from now on (CONFIG RESETSTAT).
    pub fn reset_counts(&self) {
        self.counts.freed_at_reset.store(self.counts.freed.load(Relaxed), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use crate::testing::Tester;

    use super::{Reaper, QUEUE_MAX};

    #[test]
    fn no_more_waits_than_the_bound_says() {
        let reaper = Reaper::start().expect("a thread");
        let (go_on, held_up) = channel::<()>();
        let (begun, has_begun) = channel::<()>();
        let hold = move || {
            begun.send(()).expect("the test waits");
            let _ = held_up.recv();
        };
        assert!(reaper.run(Box::new(hold)));
        has_begun.recv().expect("the thread works");
        for _ in 0..QUEUE_MAX {
            assert!(reaper.run(Box::new(|| ())));
        }
        assert!(!reaper.run(Box::new(|| ())), "the queue is full");
        reaper.free_whole(Box::new([0u8; 16]), None);
        assert_eq!(reaper.counts(), (0, 1), "freed by whoever brought it");
        drop(go_on);
        reaper.stop();
        assert!(!reaper.run(Box::new(|| ())), "there is no thread any more");
    }

    #[test]
    fn what_is_deleted_after_the_stop_is_freed_by_whoever_deletes() {
        let mut tester = Tester::new(1);
        let members: Vec<String> = (0..1000).map(|number| format!("member{number}")).collect();
        let fill = format!("SADD k {}", members.join(" "));
        tester.run(&fill);
        tester.run("DEL k");
        tester.world.reaper.stop();
        assert_eq!(tester.world.reaper.counts(), (0, 1), "the thread has freed what waited");
        tester.run(&fill);
        tester.run("DEL k");
        assert_eq!(tester.world.reaper.counts(), (0, 2));
        tester.world.reaper.stop();
    }
}
