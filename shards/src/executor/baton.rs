//! The baton: the right to execute in a shard, in one word.
//!
//! Bit 0 says that it is held; the rest counts threads that wait for it with [`Baton::acquire`] (transactions over
//! shards and the shard's own thread). [`Baton::try_acquire`] fails while anybody waits, so the waiters are not starved
//! by batches that come in a steady stream; whoever fails publishes its batch on the ring instead.
//!
//! **No batch is left behind.** Who publishes tries the baton again after pushing; who lets go looks at the ring after
//! releasing. Both are sequentially consistent (push, then try; release, then look), so at least one of the two sees
//! the other. A waiter counts as a holder to come: it looks after its own release.
//!
//! **No deadlock.** Who needs several batons takes them in ascending order of shard and never waits for anything else
//! while holding one.

#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

const HELD: u32 = 1;
const WAITER: u32 = 2;
/// Looks at the word before sleeping: some 2 us, less than a sleep and a wake cost.
const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };

/// See the [module](self).
pub struct Baton(AtomicU32, Futex);

impl Default for Baton {
    fn default() -> Self {
        Self::new()
    }
}

impl Baton {
    /// A free baton.
    pub fn new() -> Baton {
        Baton(AtomicU32::new(0), Futex::new())
    }

    /// Takes the baton if it is free and nobody waits for it.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        // loom takes SeqCst operations for acquire and release; only its fences are in one order.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        // Acquire (within SeqCst): the last holder's writes are visible. SeqCst: see the module.
        self.0.compare_exchange(0, HELD, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the baton as [`Baton::try_acquire`] does, looking at it so many times if it is held.
    #[inline]
    pub fn try_for(&self, looks: u32) -> bool {
        let mut left = looks;
        while !self.try_acquire() {
            // Looking leaves the word in the holder's cache; only trying takes it away.
            while left > 0 && self.0.load(Ordering::Relaxed) != 0 {
                left -= 1;
                std::hint::spin_loop();
            }
            if left == 0 {
                return false;
            }
            left -= 1;
        }
        true
    }

    /// Waits for the baton.
    pub fn acquire(&self) {
        if self.try_acquire() {
            return;
        }
        let mut word = self.0.fetch_add(WAITER, Ordering::SeqCst) + WAITER;
        let mut spins = 0;
        loop {
            if word & HELD == 0 {
                let taken = (word - WAITER) | HELD;
                match self.0.compare_exchange(word, taken, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return,
                    Err(now) => word = now,
                }
                continue;
            }
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                self.1.wait(&self.0, word);
            }
            word = self.0.load(Ordering::SeqCst);
        }
    }

    /// Lets go. Only the holder may call this.
    #[inline]
    pub fn release(&self) {
        // Release (within SeqCst): this holder's writes are visible to the next.
        let before = self.0.fetch_sub(HELD, Ordering::SeqCst);
        debug_assert!(before & HELD != 0, "released by one who does not hold it");
        if before >= WAITER {
            self.1.wake_one(&self.0);
        }
    }

    /// Whether somebody holds it.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.0.load(Ordering::Relaxed) & HELD != 0
    }
}

/// Sleeping until a word changes: the kernel's futex.
#[cfg(not(loom))]
struct Futex;

#[cfg(not(loom))]
impl Futex {
    const fn new() -> Futex {
        Futex
    }

    fn wait(&self, word: &AtomicU32, seen: u32) {
        atomic_wait::wait(word, seen);
    }

    fn wake_one(&self, word: &AtomicU32) {
        atomic_wait::wake_one(word);
    }
}

/// A futex as loom can follow it. The queue is an ordinary one: nothing that loom could interrupt happens under its lock,
/// and loom's own condition variables lose signals of threads that are unparked for other reasons.
#[cfg(loom)]
struct Futex(std::sync::Mutex<std::collections::VecDeque<loom::thread::Thread>>);

#[cfg(loom)]
impl Futex {
    fn new() -> Futex {
        Futex(std::sync::Mutex::default())
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, std::collections::VecDeque<loom::thread::Thread>> {
        self.0.lock().expect("nobody panics under the lock")
    }

    fn wait(&self, word: &AtomicU32, seen: u32) {
        let me = loom::thread::current();
        self.queue().push_back(me.clone());
        fence(Ordering::SeqCst);
        let unchanged = word.load(Ordering::SeqCst) == seen;
        if unchanged {
            loom::thread::park();
        }
        let mut queue = self.queue();
        match queue.iter().position(|thread| thread.id() == me.id()) {
            Some(place) => drop(queue.remove(place)),
            // Woken without having slept, which the kernel does not do: the next one has it.
            None if !unchanged => drop(queue.pop_front().map(|next| next.unpark())),
            None => {}
        }
    }

    fn wake_one(&self, _: &AtomicU32) {
        fence(Ordering::SeqCst);
        if let Some(sleeper) = self.queue().pop_front() {
            sleeper.unpark();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::sync::Arc;

    struct Guarded(Baton, UnsafeCell<u64>);
    // SAFETY: the tests touch the number only while they hold the baton.
    unsafe impl Sync for Guarded {}

    #[test]
    fn a_held_baton_is_refused_until_it_is_let_go() {
        let baton = Baton::new();
        assert!(baton.try_acquire());
        assert!(!baton.try_acquire());
        baton.release();
        assert!(baton.try_acquire());
    }

    #[test]
    fn holders_exclude_one_another_and_waiters_are_served() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let guarded = Arc::new(Guarded(Baton::new(), UnsafeCell::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let guarded = Arc::clone(&guarded);
                std::thread::spawn(move || {
                    for _ in 0..rounds {
                        if i % 2 == 0 {
                            guarded.0.acquire();
                        } else {
                            while !guarded.0.try_acquire() {
                                std::thread::yield_now();
                            }
                        }
                        // SAFETY: this thread holds the baton.
                        unsafe { *guarded.1.get() += 1 };
                        guarded.0.release();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a thread ends well");
        }
        // SAFETY: all threads have ended.
        assert_eq!(unsafe { *guarded.1.get() }, 4 * rounds);
    }
}
