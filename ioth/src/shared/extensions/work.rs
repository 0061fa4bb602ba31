//! Work that waits for the extensions' threads, and how these wait for it.
//!
//! A connection has one request out at most, a job one run and hooks a bounded number of events, so what waits is bounded though
//! nobody is refused. Of the threads one at a time looks into the queue and sleeps at it, holding the turn; it takes a share for
//! itself and passes the turn on. So a sleeping thread is woken at most once for all that comes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sherd_shards::keyspace::events::Event;
use sherd_shards::queues::mailbox::Mailbox;

use crate::connection::calls::Calls;
use crate::shared::message::ControlRequest;

/// Work that has a place without a lock; no more than a mailbox has anyway.
const QUEUE_CAPACITY: usize = 128;

/// A job that is due, or a hook for which something has happened.
pub struct Task {
    /// As the extension's threads know it.
    pub id: u64,
    pub event: Option<Event>,
}

/// What waits for an extension's thread.
pub enum Work {
    Calls(Box<Calls>),
    /// A transaction with commands of extensions.
    Exec(Box<ControlRequest>),
    Task(Box<Task>),
}

#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.heard.notify_one();
    }

    fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !std::mem::take(&mut *rung) {
            rung = self.heard.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// See the [module](self).
pub struct WorkQueue {
    mailbox: Mailbox<Work>,
    bell: Arc<Bell>,
    /// Who holds it is the queue's one owner.
    turn: Mutex<()>,
    stopping: AtomicBool,
}

impl Default for WorkQueue {
    fn default() -> WorkQueue {
        let bell = Arc::new(Bell::default());
        let ringer = Arc::clone(&bell);
        WorkQueue {
            mailbox: Mailbox::new(QUEUE_CAPACITY, Box::new(move || ringer.ring())),
            bell,
            turn: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }
}

impl WorkQueue {
    /// Adds work; whoever brings it keeps to a bound of its own.
    pub fn push(&self, work: Work) {
        self.mailbox.deliver(work);
    }

    /// Waits for work and takes up to `limit` pieces of it; none where no more is to be done.
    pub fn take(&self, limit: usize) -> Vec<Work> {
        let _turn = lock(&self.turn);
        loop {
            if self.stopping.load(SeqCst) {
                return Vec::new();
            }
            let work: Vec<Work> = std::iter::from_fn(|| self.mailbox.receive()).take(limit).collect();
            if !work.is_empty() {
                return work;
            }
            if self.mailbox.fall_asleep() {
                self.bell.wait();
                self.mailbox.wake_up();
            } else {
                // A place on the ring is taken but not filled yet: whoever took it needs the processor.
                std::thread::yield_now();
            }
        }
    }

    /// Takes what is left, when the threads have ended.
    pub fn drain(&self) -> Vec<Work> {
        let _turn = lock(&self.turn);
        std::iter::from_fn(|| self.mailbox.receive()).collect()
    }

    /// Has the threads end, each with the work that it has taken.
    pub fn stop(&self) {
        self.stopping.store(true, SeqCst);
        self.bell.ring();
    }

    /// Whether the threads are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64) -> Work {
        Work::Task(Box::new(Task { id, event: None }))
    }

    fn ids(work: &[Work]) -> Vec<u64> {
        let id = |work: &Work| match work {
            Work::Task(task) => task.id,
            _ => unreachable!("only tasks were pushed"),
        };
        work.iter().map(id).collect()
    }

    #[test]
    fn work_is_taken_once_in_order_and_by_whoever_has_the_turn() {
        const THREADS: u64 = 3;
        const EACH: u64 = 10_000;
        let queue = Arc::new(WorkQueue::default());
        let takers: Vec<_> = (0..THREADS)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    let mut taken = Vec::new();
                    loop {
                        let work = queue.take(7);
                        if work.is_empty() {
                            return taken;
                        }
                        assert!(work.len() <= 7);
                        taken.extend(ids(&work));
                    }
                })
            })
            .collect();
        (0..EACH).for_each(|id| queue.push(task(id)));
        while !queue.mailbox.is_empty() {
            std::thread::yield_now();
        }
        queue.stop();
        let mut taken: Vec<u64> = Vec::new();
        for taker in takers {
            let own = taker.join().expect("a taker ends well");
            assert!(own.is_sorted());
            taken.extend(own);
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..EACH).collect::<Vec<_>>());
        queue.push(task(EACH));
        assert!(queue.take(7).is_empty(), "nothing is begun when the server ends");
        assert_eq!(ids(&queue.drain()), [EACH]);
    }
}
