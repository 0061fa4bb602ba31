//! The baton: the right to execute in a shard, in one word.
//!
//! Bit 0 says that it is held, bit 1 that its holder pleads for others; the rest counts threads that wait for it with [`Baton::acquire`]
//! (transactions over shards and the shard's own thread). [`Baton::try_acquire`] fails while anybody waits, so the waiters are
//! not starved by batches that come in a steady stream; whoever fails publishes its batch on the ring instead.
//!
//! **No batch is left behind.** Who publishes tries the baton again after pushing; who lets go looks at the ring after
//! releasing. Both are sequentially consistent (push, then try; release, then look), so at least one of the two sees
//! the other. A waiter counts as a holder to come: it looks after its own release, and when it gives up.
//!
//! **No deadlock.** Who needs several batons takes them in ascending order of shard and never waits for anything else
//! while holding one. Who cannot keep to that order pleads with those that it holds ([`Baton::plead`]): who waits for one of them
//! gives back what it has itself.

#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

const HELD: u32 = 1;
const PLEADED: u32 = 2;
const WAITER: u32 = 4;
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
        self.wait_for(|_| true);
    }

    /// Waits for the baton, unless its holder pleads for others; returns whether this thread has it. If not, what was brought
    /// meanwhile is this thread's to look at.
    #[must_use]
    pub fn acquire_unless_pleaded(&self) -> bool {
        self.wait_for(|word| word & PLEADED == 0)
    }

    /// Waits for the baton as long as `goes_on`, which is asked again and again and takes its time; returns whether this thread has
    /// it. If not, what was brought meanwhile is this thread's to look at.
    #[must_use]
    pub fn acquire_while(&self, mut goes_on: impl FnMut() -> bool) -> bool {
        self.take_as_waiter(|_| goes_on())
    }

    /// The same unless its holder pleads for others, as in [`Baton::acquire_unless_pleaded`].
    #[must_use]
    pub fn acquire_unless_pleaded_while(&self, mut goes_on: impl FnMut() -> bool) -> bool {
        self.take_as_waiter(|word| word & PLEADED == 0 && goes_on())
    }

    /// Sleeps while the baton is held; `stays` is asked about each word that says so.
    fn wait_for(&self, stays: impl Fn(u32) -> bool) -> bool {
        let mut spins = 0;
        self.take_as_waiter(|word| {
            if !stays(word) {
                return false;
            }
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                self.1.wait(&self.0, word);
            }
            true
        })
    }

    /// Takes the baton as one of those that wait for it; `waits` is called while it is held, and says whether to go on.
    fn take_as_waiter(&self, mut waits: impl FnMut(u32) -> bool) -> bool {
        if self.try_acquire() {
            return true;
        }
        let mut word = self.0.fetch_add(WAITER, Ordering::SeqCst) + WAITER;
        loop {
            if word & HELD == 0 {
                let taken = (word - WAITER) | HELD;
                match self.0.compare_exchange(word, taken, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return true,
                    Err(now) => word = now,
                }
                continue;
            }
            if !waits(word) {
                self.0.fetch_sub(WAITER, Ordering::SeqCst);
                return false;
            }
            word = self.0.load(Ordering::SeqCst);
        }
    }

    /// Asks those that wait for this baton to give back others that they hold. Only the holder may call this.
    pub fn plead(&self) {
        self.0.fetch_or(PLEADED, Ordering::SeqCst);
        self.1.wake_all(&self.0);
    }

    /// Asks no longer. Only the holder may call this, before it lets go.
    pub fn end_plea(&self) {
        self.0.fetch_and(!PLEADED, Ordering::SeqCst);
    }

    /// Lets go. Only the holder may call this.
    #[inline]
    pub fn release(&self) {
        // Release (within SeqCst): this holder's writes are visible to the next.
        let before = self.0.fetch_sub(HELD, Ordering::SeqCst);
        debug_assert!(before & (HELD | PLEADED) == HELD, "released by one who does not hold it, or still pleads");
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

    fn wake_all(&self, word: &AtomicU32) {
        atomic_wait::wake_all(word);
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

    fn wake_all(&self, _: &AtomicU32) {
        fence(Ordering::SeqCst);
        let sleepers = std::mem::take(&mut *self.queue());
        sleepers.into_iter().for_each(|sleeper| sleeper.unpark());
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
