//! A bounded queue with a bell: how a thread that sleeps in a poll or a futex is told that something has come for it.
//!
//! The bell is rung only if the owner sleeps: ringing costs a system call and waking costs the owner tens of
//! microseconds. The owner says that it is going to sleep, looks once more, and then sleeps; a sender pushes and then
//! looks whether the owner sleeps. Both sides are sequentially consistent, so one of them sees the other.

#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{fence, AtomicBool, Ordering};

use crate::ring::Ring;

/// See the file's head.
pub struct Mailbox<T> {
    ring: Ring<T>,
    asleep: AtomicBool,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl<T> Mailbox<T> {
    /// A mailbox for at least `capacity` items; `bell` wakes its owner.
    pub fn new(capacity: usize, bell: Box<dyn Fn() + Send + Sync>) -> Mailbox<T> {
        Mailbox { ring: Ring::new(capacity), asleep: AtomicBool::new(false), bell }
    }

    /// Sends an item, or gives it back when the box is full.
    pub fn send(&self, item: T) -> Result<(), T> {
        self.ring.push(item)?;
        self.ring_if_asleep();
        Ok(())
    }

    /// Wakes the owner if it sleeps.
    pub fn ring_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            (self.bell)();
        }
    }

    /// Takes the oldest item; for the owner.
    pub fn receive(&self) -> Option<T> {
        self.ring.pop()
    }

    /// Says that the owner is going to sleep; false if there is something to do first.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.ring.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Says that the owner is awake.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Items waiting.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}
