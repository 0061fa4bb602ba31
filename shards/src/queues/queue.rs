//! A queue whose senders never wait and are never refused: a bounded lock-free ring that overflows into a locked list.
//!
//! For what must arrive and is bounded by something else than room in a queue: at most so many batches an IO thread, one
//! answer a request, one end a waiting client. A thread that waited for room could be the one that has to make it, or hold a
//! shard meanwhile; so nobody waits. The list is touched only while more is on its way than the ring has places.
//!
//! What one sender pushes comes out in its order: while anything is in the list, everything new goes there too, and the list
//! is looked at only when the ring is empty, with the list locked.
//!
//! Rejected: an unbounded lock-free list, which allocates for every item; and spinning on a full ring, which hung the server
//! when a thread filled the mailbox that only it empties.

use std::collections::VecDeque;

#[cfg(loom)]
use loom::sync::{
    atomic::{fence, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};
#[cfg(not(loom))]
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Mutex, MutexGuard, PoisonError,
};

use crate::queues::ring::Ring;

/// See the [module](self).
pub struct Queue<T> {
    ring: Ring<T>,
    list: Mutex<VecDeque<T>>,
    /// Items in the list; changed only with the list locked.
    listed: AtomicUsize,
}

impl<T> Queue<T> {
    /// A queue whose ring has room for at least `capacity` items.
    pub fn new(capacity: usize) -> Queue<T> {
        Queue { ring: Ring::new(capacity), list: Mutex::new(VecDeque::new()), listed: AtomicUsize::new(0) }
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<T>> {
        #[cfg(loom)]
        return self.list.lock().expect("nobody panics under the lock");
        #[cfg(not(loom))]
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item.
    #[inline]
    pub fn push(&self, item: T) {
        if let Err(item) = self.push_to_ring(item) {
            self.overflow(item);
        }
    }

    #[inline]
    fn push_to_ring(&self, item: T) -> Result<(), T> {
        // Relaxed: of its own items in the list a thread sees at least its own count, until they have been taken.
        if self.listed.load(Ordering::Relaxed) != 0 {
            return Err(item);
        }
        self.ring.push(item)
    }

    #[cold]
    fn overflow(&self, item: T) {
        let mut list = self.list();
        list.push_back(item);
        // SeqCst: as the ring's own tail, this comes before the sender's next look at a baton or a sleep flag.
        self.listed.store(list.len(), Ordering::SeqCst);
    }

    /// Takes the oldest item; for one thread at a time.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        match self.ring.pop() {
            None if self.listed.load(Ordering::SeqCst) != 0 => self.pop_listed(),
            item => item,
        }
    }

    #[cold]
    fn pop_listed(&self) -> Option<T> {
        let mut list = self.list();
        // With the list locked, whatever was pushed to the ring before something in the list is seen here. A place in the
        // ring that is taken and not filled yet is waited for as well: the caller comes again.
        if !self.ring.is_empty() {
            return self.ring.pop();
        }
        let item = list.pop_front();
        if list.is_empty() && list.capacity() > 1024 {
            *list = VecDeque::new();
        }
        self.listed.store(list.len(), Ordering::SeqCst);
        item
    }

    /// Items waiting, exact only when nobody is pushing or popping.
    pub fn len(&self) -> usize {
        self.ring.len() + self.listed.load(Ordering::Relaxed)
    }

    /// Whether nothing waits; see [`Ring::is_empty`].
    #[inline]
    pub fn is_empty(&self) -> bool {
        // loom takes SeqCst operations for acquire and release; only its fences are in one order.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        self.ring.is_empty() && self.listed.load(Ordering::SeqCst) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn more_than_the_ring_holds_comes_out_in_order() {
        let queue = Queue::new(4);
        for round in 0..3 {
            (0..100).for_each(|item| queue.push(item));
            assert_eq!(queue.len(), 100, "round {round}");
            let popped: Vec<i32> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(popped, (0..100).collect::<Vec<_>>());
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn while_anything_has_overflowed_nothing_goes_to_the_ring() {
        let queue = Queue::new(2);
        (0..3).for_each(|item| queue.push(item));
        assert_eq!(queue.pop(), Some(0));
        assert_eq!(queue.push_to_ring(9), Err(9), "it would overtake what is in the list");
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), None]);
        assert_eq!(queue.push_to_ring(9), Ok(()));
    }

    #[test]
    fn a_thread_that_fills_its_own_queue_does_not_wait() {
        let queue = Queue::new(2);
        (0..10_000).for_each(|item| queue.push(item));
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 10_000);
    }

    #[test]
    fn nothing_is_lost_or_reordered_among_many_senders() {
        let per_thread = if cfg!(miri) { 50 } else { 20_000u64 };
        let queue = Arc::new(Queue::new(16));
        let senders: Vec<_> = (0..3u64)
            .map(|sender| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || (0..per_thread).for_each(|item| queue.push((sender, item))))
            })
            .collect();
        let mut next = [0; 3];
        let mut received = 0;
        while received < 3 * per_thread {
            let Some((sender, item)) = queue.pop() else {
                std::thread::yield_now();
                continue;
            };
            assert_eq!(item, next[sender as usize], "an item of sender {sender} was lost, doubled or overtaken");
            next[sender as usize] += 1;
            received += 1;
        }
        senders.into_iter().for_each(|sender| sender.join().expect("a sender ends well"));
        assert!(queue.is_empty());
    }
}
