//! Threads that build what another one reads, each in shards of its own, and the bounded queues to them.
//!
//! What is sent for a shard is done in order, by one thread. Whoever reads waits for room in a queue and holds nothing meanwhile;
//! whoever builds waits for a shard only while it works, and for the queue only while it holds nothing. So nobody waits for a
//! queue that it drains.
//!
//! The shards' own threads are not used: what a small file has is loaded before there are any. A builder's memory outlives it,
//! as that of any thread which has ended: whoever frees it takes it over. Where the system refuses threads there are fewer, and
//! with none whoever reads builds as well.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::thread::{self, ScopedJoinHandle};

use sherd_metrics::memory;
use sherd_types::invariant::contain;

use crate::threads;

/// Batches that may wait for one builder.
const WAITING_MAX: usize = 4;
/// More threads would wait for each other's memory.
const THREADS_MAX: usize = 16;

enum Message<B> {
    Work(usize, B),
    /// Dropped when everything before it is done.
    Rest(#[allow(dead_code)] SyncSender<()>),
}

/// The ways to the threads.
pub struct Builders<'b, B> {
    queues: Vec<SyncSender<Message<B>>>,
    /// What is to be done by whoever sends, where there are no threads.
    build: &'b dyn Fn(usize, B) -> bool,
    /// It does no more.
    has_ended: Cell<bool>,
}

/// Whether there is a core for more than one thread.
pub fn are_worth_it() -> bool {
    cores() > 1
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl<B> Builders<'_, B> {
    /// Hands over what is to be done in a shard, waiting for room; false if that builder does no more.
    pub fn send(&self, shard: usize, work: B) -> bool {
        if self.queues.is_empty() {
            let goes_on = !self.has_ended.get() && (self.build)(shard, work);
            self.has_ended.set(!goes_on);
            return goes_on;
        }
        let is_sent = self.queues[shard % self.queues.len()].send(Message::Work(shard, work)).is_ok();
        // Both sides give way between their pieces of work: a primary may answer its clients on the same processors.
        threads::give_way();
        is_sent
    }

    /// Waits until everything is done that was sent.
    pub fn drain(&self) {
        let rests: Vec<Receiver<()>> = self
            .queues
            .iter()
            .map(|queue| {
                let (done, rest) = sync_channel(0);
                // One that does no more has nothing left to do.
                let _ = queue.send(Message::Rest(done));
                rest
            })
            .collect();
        // Nothing is ever sent: the other end is dropped, by whom or with whatever it waits in.
        for rest in rests {
            let _ = rest.recv();
        }
    }
}

/// Runs `read` in this thread, and `build` in others for what it sends, until both are done. A builder whose `build` returns
/// false does no more; one that panics has this thread panic as well.
pub fn run<B: Send, R>(
    shards: usize,
    build: impl Fn(usize, B) -> bool + Sync,
    read: impl FnOnce(&Builders<'_, B>) -> R,
) -> R {
    run_with(shards.min(cores()).min(THREADS_MAX), &build, read)
}

/// See [`run`]; with so many threads at most.
fn run_with<B: Send, R>(
    threads_max: usize,
    build: &(impl Fn(usize, B) -> bool + Sync),
    read: impl FnOnce(&Builders<'_, B>) -> R,
) -> R {
    thread::scope(|scope| {
        let start = |index| -> Option<(_, ScopedJoinHandle<'_, thread::Result<()>>)> {
            let (queue, work) = sync_channel(WAITING_MAX);
            let begun =
                threads::start_scoped(scope, &format!("sherd-load-{index}"), move || contain(|| follow(&work, build)));
            begun.ok().map(|thread| (queue, thread))
        };
        let (queues, threads): (Vec<_>, Vec<_>) = (0..threads_max).map_while(start).unzip();
        let result = read(&Builders { queues, build, has_ended: Cell::new(false) });
        for thread in threads {
            if let Err(panic) = thread.join().and_then(|followed| followed) {
                resume_unwind(panic);
            }
        }
        result
    })
}

fn follow<B>(work: &Receiver<Message<B>>, build: &(impl Fn(usize, B) -> bool + Sync)) {
    while let Ok(message) = work.recv() {
        let Message::Work(shard, work) = message else { continue };
        if !build(shard, work) {
            break;
        }
        threads::give_way();
    }
    memory::leave_place();
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Mutex;

    use super::*;

    const SHARDS: usize = 5;

    #[test]
    fn what_is_sent_for_a_shard_is_done_in_order_and_before_a_drain_ends() {
        for threads_max in [0, 2, SHARDS] {
            let done: Vec<Mutex<Vec<usize>>> = (0..SHARDS).map(|_| Mutex::default()).collect();
            let build = |shard: usize, number: usize| {
                done[shard].lock().expect("no panic").push(number);
                true
            };
            let sent = run_with(threads_max, &build, |builders| {
                for number in 0..10_000 {
                    assert!(builders.send(number % SHARDS, number));
                    if number % 777 == 0 {
                        builders.drain();
                        let count: usize = done.iter().map(|done| done.lock().expect("no panic").len()).sum();
                        assert_eq!(count, number + 1);
                    }
                }
                10_000
            });
            let numbers: Vec<Vec<usize>> = done.into_iter().map(|done| done.into_inner().expect("no panic")).collect();
            assert_eq!(numbers.iter().map(Vec::len).sum::<usize>(), sent);
            for (shard, numbers) in numbers.iter().enumerate() {
                assert!(numbers.iter().copied().eq((0..sent).filter(|number| number % SHARDS == shard)));
            }
        }
    }

    #[test]
    fn a_builder_that_does_no_more_keeps_nobody_waiting() {
        for threads_max in [0, 1] {
            let done = AtomicUsize::new(0);
            let build = |_: usize, number: usize| done.fetch_add(1, Ordering::Relaxed) < 3 && number < 3;
            run_with(threads_max, &build, |builders| {
                for number in 0..1000 {
                    builders.send(0, number);
                }
                builders.drain();
                assert!(!builders.send(0, 0));
            });
            assert_eq!(done.load(Ordering::Relaxed), 4);
        }
    }

    #[test]
    fn a_panic_of_a_builder_is_one_of_who_reads() {
        let result = catch_unwind(AssertUnwindSafe(|| {
            run(
                2,
                |shard, ()| {
                    assert!(shard == 0, "it is broken");
                    true
                },
                |builders| {
                    for _ in 0..100 {
                        builders.send(0, ());
                        builders.send(1, ());
                    }
                    builders.drain();
                },
            )
        }));
        assert!(result.is_err());
    }
}
