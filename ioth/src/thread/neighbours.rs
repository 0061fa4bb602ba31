//! The IO threads of a server as they see one another: for one that has messages for subscribers of another.
//!
//! A thread's state is behind a lock, which the thread itself holds as long as it is awake. While it sleeps in its poll, another
//! thread may take the lock and deliver in its place: waking a thread costs more than some ten sends. So there is still one
//! writer to a socket at a time. Nobody waits for the lock but its own thread when it has woken, for as long as a few messages
//! take; others try it, and have the thread told where they do not get it.
//!
//! Rejected: connections that move to the thread of whoever publishes, which are as many threads as there are publishers; and a
//! lock for each connection's output, which every reply would take.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::IoThread;

/// Clients that may get a message from another thread than their own: they get it one after the other, where the threads could
/// have sent at the same time.
const RECEIVERS_MAX: u64 = 8;
/// The same for all messages of a round together.
const ROUND_RECEIVERS_MAX: u64 = 64;

/// See the [module](self). Empty until the server starts.
#[derive(Default)]
pub struct Neighbours(OnceLock<Vec<Weak<Mutex<IoThread>>>>);

impl Neighbours {
    /// Sets all threads, once. They own one another by nothing.
    pub fn set(&self, threads: &[Arc<Mutex<IoThread>>]) {
        let _ = self.0.set(threads.iter().map(Arc::downgrade).collect());
    }

    /// A thread, as long as it runs.
    pub fn get(&self, index: usize) -> Option<Arc<Mutex<IoThread>>> {
        self.0.get()?.get(index)?.upgrade()
    }
}

/// The state of a thread, for the thread itself.
pub fn lock(thread: &Mutex<IoThread>) -> MutexGuard<'_, IoThread> {
    thread.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Other threads whose boxes this one has put messages into and that it has not told, nor delivered for.
#[derive(Default)]
pub struct Untold {
    /// As a bit set.
    threads: u64,
    receivers: u64,
    /// Of one message.
    receivers_max: u64,
}

impl Untold {
    /// Notes a message: the threads and all clients that get it.
    pub fn note(&mut self, threads: u64, receivers: u64) {
        self.threads |= threads;
        if threads != 0 {
            self.receivers += receivers;
            self.receivers_max = self.receivers_max.max(receivers);
        }
    }

    /// Whether so many clients get something that their threads had better begin.
    #[inline]
    pub fn is_for_many(&self) -> bool {
        self.receivers_max > RECEIVERS_MAX || self.receivers > ROUND_RECEIVERS_MAX
    }

    /// Takes the threads, as a bit set, and whether it is for many.
    #[inline]
    pub fn take(&mut self) -> (u64, bool) {
        let taken = std::mem::take(self);
        (taken.threads, taken.is_for_many())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_get_is_told_from_what_many_get() {
        let mut untold = Untold::default();
        untold.note(0, 1000);
        assert_eq!(untold.take(), (0, false), "nothing was put into a box");
        for _ in 0..ROUND_RECEIVERS_MAX / RECEIVERS_MAX {
            untold.note(0b10, RECEIVERS_MAX);
        }
        assert!(!untold.is_for_many());
        untold.note(0b100, 1);
        assert_eq!(untold.take(), (0b110, true), "too many together");
        untold.note(0b10, RECEIVERS_MAX + 1);
        assert_eq!(untold.take(), (0b10, true), "too many of one message");
        assert_eq!(untold.take(), (0, false));
    }
}
