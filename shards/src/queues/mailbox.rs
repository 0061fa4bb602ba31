//! A queue with a bell: how a thread that sleeps in a poll or a futex is told that something has come for it.
//!
//! What must arrive is delivered ([`Mailbox::deliver`]), without waiting and whoever the sender is, the owner included; what
//! may be refused, because its sender can hold it back or leave it, is sent ([`Mailbox::send`]) and bounded.
//!
//! The bell is rung only if the owner sleeps: ringing costs a system call and waking costs the owner tens of
//! microseconds. The owner says that it is going to sleep, looks once more, and then sleeps; a sender pushes and then
//! looks whether the owner sleeps. Both sides are sequentially consistent, so one of them sees the other.

#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{fence, AtomicBool, Ordering};

use crate::queues::queue::Queue;

/// Items that have a place without a lock. More wait only while the owner is far behind, and every place takes memory from the
/// start, which counts towards `maxmemory`.
const PLACES_MAX: usize = 128;

/// See the [module](self).
pub struct Mailbox<T> {
    queue: Queue<T>,
    /// Items that may wait before what may be refused is.
    capacity: usize,
    asleep: AtomicBool,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl<T> Mailbox<T> {
    /// A mailbox that refuses what is sent beyond some `capacity` items; `bell` wakes its owner.
    pub fn new(capacity: usize, bell: Box<dyn Fn() + Send + Sync>) -> Mailbox<T> {
        Mailbox { queue: Queue::new(capacity.min(PLACES_MAX)), capacity, asleep: AtomicBool::new(false), bell }
    }

    /// Sends an item, or returns it when the box is full. Senders that come at once may exceed the capacity by one each.
    pub fn send(&self, item: T) -> Result<(), T> {
        if self.queue.len() >= self.capacity {
            return Err(item);
        }
        self.deliver(item);
        Ok(())
    }

    /// Sends an item that is never refused. Whoever calls this keeps to a bound of its own.
    pub fn deliver(&self, item: T) {
        self.queue.push(item);
        self.ring_if_asleep();
    }

    /// Delivers without waking the owner: the sender owes it [`Mailbox::ring_if_asleep`].
    pub fn deliver_unrung(&self, item: T) {
        self.queue.push(item);
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
        self.queue.pop()
    }

    /// Says that the owner is going to sleep; false if there is something to do first.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.queue.is_empty() {
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
        self.queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_refused_beyond_the_capacity_and_what_is_delivered_never() {
        let capacity = 4 * PLACES_MAX;
        let mailbox = Mailbox::new(capacity, Box::new(|| ()));
        for item in 0..capacity {
            assert_eq!(mailbox.send(item), Ok(()));
        }
        assert_eq!(mailbox.send(0), Err(0));
        mailbox.deliver(capacity);
        let received: Vec<usize> = std::iter::from_fn(|| mailbox.receive()).collect();
        assert_eq!(received, (0..=capacity).collect::<Vec<_>>());
        assert_eq!(mailbox.send(0), Ok(()));
    }
}
