//! Model checks of the hand-off between threads: every interleaving, and every value that a weak memory order lets a
//! thread see, within loom's bound on preemptions.
//!
//! Run by `make loom`; without `--cfg loom` this file is empty. What is modelled is the code itself (`ring`, `baton`, `mailbox`,
//! `engine`, `journal`, `news`), not a copy of it. loom replaces atomics, the ring's cells, the futex and parking; a batch is one command that
//! touches a cell which loom watches, so two threads in one shard at a time are found even where no value would tell.
//!
//! Limits: loom takes SeqCst operations for acquire and release, so under loom they have a fence beside them; that an
//! operation is SeqCst at all is argued where it stands. A sleeping shard thread has no timer here, so what in the server would
//! be a delay of one tick is a deadlock in the model.
//!
//! Models of protocols with a hole show that the others could fail. A deadlock ends the process, so those run in one of
//! their own.
#![cfg(loom)]

#[path = "loom/holes.rs"]
mod holes;
#[path = "loom/journal.rs"]
mod journal;
#[path = "loom/news.rs"]
mod news;
#[path = "loom/plea.rs"]
mod plea;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::OnceLock;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use sherd_shards::command::registry;
use sherd_shards::command::spec::{CommandSpec, Plane};
use sherd_shards::effects::waiter::{Interrupt, WaitState};
use sherd_shards::executor::batch::{Batch, ClientPointer, Segment};
use sherd_shards::executor::baton::Baton;
use sherd_shards::executor::engine::{holds_others, Engine};
use sherd_shards::executor::errand::Errand;
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Context;
use sherd_shards::handler::error::Outcome;
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::queues::mailbox::Mailbox;
use sherd_shards::queues::queue::Queue;
use sherd_shards::queues::ring::Ring;
use sherd_shards::server::settings::Settings;
use sherd_shards::server::world::World;
use sherd_shards::slot::SlotMap;

/// What only the holder of a baton may touch; loom finds out if two do.
struct Guarded(UnsafeCell<usize>);

// SAFETY: loom checks that accesses exclude one another; that they do is what is tested.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Guarded {
        Guarded(UnsafeCell::new(0))
    }

    fn touch(&self) {
        // SAFETY: loom panics before two accesses meet.
        self.0.with_mut(|count| unsafe { *count += 1 });
    }

    fn count(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|count| unsafe { *count })
    }
}

// ----- the ring -----

#[test]
fn what_two_threads_push_is_popped_once_each_and_in_order() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(2));
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|first| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || (first..first + 2).filter(|&item| ring.push(Box::new(item)).is_ok()).count())
            })
            .collect();
        let mut popped: Vec<i32> = (0..2).filter_map(|_| ring.pop()).map(|item| *item).collect();
        let pushed: usize = producers.into_iter().map(|producer| producer.join().expect("a producer ends well")).sum();
        popped.extend(std::iter::from_fn(|| ring.pop()).map(|item| *item));
        assert_eq!(popped.len(), pushed, "{popped:?}");
        for first in [10, 20] {
            let own: Vec<i32> = popped.iter().copied().filter(|item| (first..first + 2).contains(item)).collect();
            assert!(own.is_sorted_by(|left, right| left < right), "out of order or doubled: {popped:?}");
        }
        assert!(ring.is_empty());
    });
}

#[test]
fn two_threads_that_pop_share_the_items() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(2));
        ring.push(Box::new(1)).expect("room");
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || ring.pop().map_or(0, |item| *item))
            })
            .collect();
        ring.push(Box::new(2)).expect("room");
        let sum: i32 = consumers.into_iter().map(|consumer| consumer.join().expect("a consumer ends well")).sum();
        let rest: i32 = std::iter::from_fn(|| ring.pop()).map(|item| *item).sum();
        assert_eq!(sum + rest, 3);
    });
}

// ----- the queue -----

#[test]
fn what_overflows_is_popped_once_each_and_in_the_order_of_its_sender() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(2));
        queue.push(Box::new(0));
        let senders: Vec<_> = [10, 20]
            .into_iter()
            .map(|first| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || (first..first + 2).for_each(|item| queue.push(Box::new(item))))
            })
            .collect();
        let mut popped: Vec<i32> = (0..2).filter_map(|_| queue.pop()).map(|item| *item).collect();
        senders.into_iter().for_each(|sender| sender.join().expect("a sender ends well"));
        popped.extend(std::iter::from_fn(|| queue.pop()).map(|item| *item));
        assert_eq!(popped.len(), 5, "{popped:?}");
        for first in [10, 20] {
            let own: Vec<i32> = popped.iter().copied().filter(|item| (first..first + 2).contains(item)).collect();
            assert_eq!(own, [first, first + 1], "{popped:?}");
        }
        assert!(queue.is_empty());
    });
}

// ----- a waiter -----

/// A server that finds an element or not, and two threads that would end the wait, one of them for the client's own.
fn serve_and_interrupt(finds: bool) {
    loom::model(move || {
        // The state, the element, and the answers: the server's, and those of the threads that interrupt.
        let shared = Arc::new((WaitState::default(), Guarded::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let interrupters: Vec<_> =
            [WaitState::end_unless_served, |state: &WaitState| state.interrupt() == Interrupt::Ended]
                .map(|interrupt| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        if interrupt(&shared.0) {
                            shared.3.fetch_add(1, Relaxed);
                        }
                    })
                })
                .into();
        if shared.0.begin_serving() {
            if finds {
                shared.1.touch();
                shared.0.end();
                shared.2.fetch_add(1, Relaxed);
            } else if !shared.0.goes_on_waiting() {
                shared.2.fetch_add(1, Relaxed);
            }
        }
        interrupters.into_iter().for_each(|thread| thread.join().expect("a thread ends well"));
        let (by_server, by_others) = (shared.2.load(Relaxed), shared.3.load(Relaxed));
        assert_eq!(by_server + by_others, 1, "a client is answered once");
        assert!(shared.0.has_ended());
        if finds {
            assert_eq!(
                shared.1.count(),
                by_server,
                "what was taken is answered, and nothing is taken for who was answered"
            );
        }
    });
}

#[test]
fn a_waiter_that_is_served_while_it_is_interrupted_is_answered_once() {
    serve_and_interrupt(true);
}

#[test]
fn a_waiter_that_finds_nothing_while_it_is_interrupted_is_answered_once() {
    serve_and_interrupt(false);
}

// ----- the baton -----

#[test]
fn one_thread_at_a_time_holds_a_baton_and_every_waiter_gets_it() {
    loom::model(|| {
        let shared = Arc::new((Baton::new(), Guarded::new()));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.0.acquire();
                    shared.1.touch();
                    shared.0.release();
                })
            })
            .collect();
        let mut touched = 2;
        if shared.0.try_acquire() {
            shared.1.touch();
            shared.0.release();
            touched += 1;
        }
        for waiter in waiters {
            waiter.join().expect("a waiter ends well");
        }
        assert!(shared.0.try_acquire(), "the count of waiters did not come back to none");
        assert_eq!(shared.1.count(), touched);
    });
}

/// Two threads take two batons each, the second one in this order.
fn take_two(order: [usize; 2]) {
    loom::model(move || {
        let shared = Arc::new([(Baton::new(), Guarded::new()), (Baton::new(), Guarded::new())]);
        let run = |order: [usize; 2], shared: &[(Baton, Guarded); 2]| {
            order.iter().for_each(|&index| shared[index].0.acquire());
            shared.iter().for_each(|(_, guarded)| guarded.touch());
            shared.iter().for_each(|(baton, _)| baton.release());
        };
        let other = Arc::clone(&shared);
        let second = thread::spawn(move || run(order, &other));
        run([0, 1], &shared);
        second.join().expect("the second ends well");
        assert!(shared.iter().all(|(baton, guarded)| baton.try_acquire() && guarded.count() == 2));
    });
}

#[test]
fn batons_taken_in_ascending_order_never_deadlock() {
    take_two([0, 1]);
}

#[test]
#[ignore = "deadlocks on purpose; run by the test below"]
fn two_batons_in_different_orders() {
    take_two([1, 0]);
}

#[test]
fn batons_taken_in_different_orders_deadlock() {
    assert_deadlocks("two_batons_in_different_orders");
}

/// Runs a model in a process of its own and wants loom to find a deadlock in it.
fn assert_deadlocks(model: &str) {
    let program = std::env::current_exe().expect("this program has a name");
    let run = std::process::Command::new(program).args(["--exact", "--ignored", "--nocapture", model]).output();
    let run = run.expect("this program can be started again");
    assert!(!run.status.success(), "nothing was found");
    let report = String::from_utf8_lossy(&run.stderr);
    assert!(report.contains("deadlock; threads"), "something else was found:\n{report}");
}

// ----- the mailbox -----

/// Receives two items, asleep while there is none.
fn receive_two(mailbox: &Mailbox<u32>) {
    let mut received = 0;
    while received < 2 {
        match mailbox.receive() {
            Some(item) => received += item,
            None if mailbox.fall_asleep() => {
                thread::park();
                mailbox.wake_up();
            }
            // A place is taken but not filled yet.
            None => thread::yield_now(),
        }
    }
}

#[test]
fn an_owner_that_falls_asleep_is_woken_for_what_was_sent() {
    loom::model(|| {
        let owner = thread::current();
        let mailbox = Arc::new(Mailbox::new(2, Box::new(move || owner.unpark())));
        for _ in 0..2 {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.send(1).expect("room"));
        }
        receive_two(&mailbox);
    });
}

#[test]
fn an_owner_is_woken_for_what_it_is_told_of_later() {
    loom::model(|| {
        let owner = thread::current();
        let mailbox = Arc::new(Mailbox::new(2, Box::new(move || owner.unpark())));
        let sender = Arc::clone(&mailbox);
        thread::spawn(move || {
            sender.deliver_unrung(1);
            sender.deliver_unrung(1);
            sender.ring_if_asleep();
        });
        receive_two(&mailbox);
    });
}

#[test]
fn an_owner_that_does_not_look_again_sleeps_for_ever() {
    assert_deadlocks("an_owner_without_a_second_look");
}

#[test]
#[ignore = "deadlocks on purpose; run by the test above"]
fn an_owner_without_a_second_look() {
    loom::model(|| {
        let owner = thread::current();
        let mailbox = Arc::new(Mailbox::new(2, Box::new(move || owner.unpark())));
        let sender = Arc::clone(&mailbox);
        thread::spawn(move || sender.send(1).expect("room"));
        if mailbox.is_empty() {
            let _ = mailbox.fall_asleep();
            thread::park();
        }
    });
}

// ----- the engine -----

loom::lazy_static! {
    /// What the command of the models touches, by shard.
    static ref TOUCHED: [Guarded; 2] = [Guarded::new(), Guarded::new()];
}

/// The command of the models.
fn touch(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    assert!(!holds_others(), "it was executed by a thread that holds what it may need");
    TOUCHED[usize::from(context.args[1][0] - b'0')].touch();
    reply.ok();
    Ok(())
}

/// An engine with its threads, and how many batches have come back.
struct Model {
    engine: std::sync::Arc<Engine>,
    threads: Vec<thread::JoinHandle<()>>,
    back: Back,
}

/// Counts the batches that come back and wakes the thread that waits for them, if any. (loom lets nobody unpark a thread
/// that is joining another.)
#[derive(Clone)]
struct Back {
    count: std::sync::Arc<AtomicUsize>,
    waiting: Option<thread::Thread>,
}

impl Back {
    fn take(&self, batch: &Batch) {
        assert_eq!(batch.out, b"+OK\r\n");
        self.note();
    }

    fn note(&self) {
        self.count.fetch_add(1, Relaxed);
        if let Some(waiting) = &self.waiting {
            waiting.unpark();
        }
    }
}

impl Model {
    /// A model whose first thread waits for what comes back.
    fn new(shards: usize) -> Model {
        Self::with(shards, Some(thread::current()))
    }

    fn with(shards: usize, waiting: Option<thread::Thread>) -> Model {
        static WORLDS: [OnceLock<std::sync::Arc<World>>; 3] = [const { OnceLock::new() }; 3];
        let spec =
            CommandSpec { name: "touch-for-the-model", arity: 2, plane: Plane::Data(touch), ..CommandSpec::DEFAULT };
        let commands = sherd_shards::families::install(std::iter::once(spec)).commands().len();
        let world = WORLDS[shards]
            .get_or_init(|| World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread"));
        let back = Back { count: std::sync::Arc::default(), waiting };
        let delivered = back.clone();
        let deliver = Box::new(move |batch: Box<Batch>| delivered.take(&batch));
        let engine = Engine::new(std::sync::Arc::clone(world), commands, deliver, Box::new(|_| ()));
        let mut threads = Vec::new();
        engine.start_threads(&mut threads, || ()).expect("threads can be started");
        Model { engine, threads, back }
    }

    /// Brings one batch to a shard from a thread of its own.
    fn submitter(&self, shard: usize) -> thread::JoinHandle<()> {
        self.submitter_of(1, shard)
    }

    /// Brings batches to a shard from a thread of its own.
    fn submitter_of(&self, batches: usize, shard: usize) -> thread::JoinHandle<()> {
        let (engine, back) = (std::sync::Arc::clone(&self.engine), self.back.clone());
        thread::spawn(move || (0..batches).for_each(|_| submit(&engine, &back, shard)))
    }

    /// Brings one batch to a shard.
    fn submit(&self, shard: usize) {
        submit(&self.engine, &self.back, shard);
    }

    /// Waits until so many batches have come back (for ever, if one is left behind), then ends everything.
    fn finish(self, batches: usize, others: impl IntoIterator<Item = thread::JoinHandle<()>>) {
        while self.back.count.load(Relaxed) < batches {
            thread::park();
        }
        others.into_iter().for_each(|other| other.join().expect("a thread ends well"));
        self.engine.stop();
        self.threads.into_iter().for_each(|thread| thread.join().expect("a shard's thread ends well"));
        assert_eq!(self.back.count.load(Relaxed), batches);
    }
}

fn submit(engine: &Engine, back: &Back, shard: usize) {
    if let Some(batch) = engine.submit(batch_for(shard)) {
        back.take(&batch);
    }
}

fn batch_for(shard: usize) -> Box<Batch> {
    let mut batch = Batch::new(0, shard);
    let command = registry::table().find(b"touch-for-the-model").expect("it was installed");
    let client = ClientPointer::none();
    batch.segments.push(Segment {
        first: 0,
        connection: 0,
        db: 0,
        protocol: Protocol::Resp2,
        no_touch: false,
        reply_bytes_max: usize::MAX,
        close: false.into(),
        has_written: Default::default(),
        tracks: Default::default(),
        client,
    });
    batch.push(command, &[b"touch-for-the-model".as_slice(), [b"0".as_slice(), b"1"][shard]], 0, 0, 0);
    Box::new(batch)
}

#[test]
fn no_batch_is_left_behind_when_threads_bring_work_to_one_shard() {
    loom::model(|| {
        let model = Model::new(1);
        let others = [model.submitter(0), model.submitter(0)];
        model.submit(0);
        model.finish(3, others);
        assert_eq!(TOUCHED[0].count(), 3);
    });
}

#[test]
fn no_batch_is_left_behind_when_a_shard_is_held_from_outside() {
    loom::model(|| {
        let model = Model::new(1);
        let others = [model.submitter(0), model.submitter(0)];
        model.engine.with_shards(1, |_| TOUCHED[0].touch());
        model.finish(2, others);
        assert_eq!(TOUCHED[0].count(), 3);
    });
}

#[test]
fn transactions_over_shards_exclude_each_other_and_leave_nothing_behind() {
    loom::model(|| {
        let model = Model::new(2);
        let both = {
            let engine = std::sync::Arc::clone(&model.engine);
            thread::spawn(move || engine.with_shards(0b11, |_| TOUCHED.iter().for_each(Guarded::touch)))
        };
        model.engine.with_shards(0b11, |_| TOUCHED.iter().for_each(Guarded::touch));
        model.submit(1);
        model.finish(1, [both]);
        assert_eq!((TOUCHED[0].count(), TOUCHED[1].count()), (2, 3));
    });
}

#[test]
fn a_shard_thread_is_woken_for_what_the_others_leave_to_it() {
    loom::model(|| {
        let model = Model::new(1);
        let other = model.submitter_of(2, 0);
        model.submit(0);
        model.finish(3, [other]);
    });
}

#[test]
fn a_batch_that_is_left_to_the_shard_thread_is_executed_by_it() {
    loom::model(|| {
        let model = Model::new(1);
        let other = model.submitter(0);
        model.engine.leave_to_thread(batch_for(0));
        model.finish(2, [other]);
        assert_eq!(TOUCHED[0].count(), 2);
    });
}

#[test]
fn threads_that_stop_while_work_is_coming_do_it_first() {
    loom::model(|| {
        let model = Model::with(1, None);
        let other = model.submitter_of(2, 0);
        model.submit(0);
        other.join().expect("a thread ends well");
        model.engine.stop();
        model.threads.into_iter().for_each(|thread| thread.join().expect("a shard's thread ends well"));
        assert_eq!(model.engine.queue_len(0), 0);
        assert_eq!(model.back.count.load(Relaxed), 3);
    });
}

/// An errand that touches both shards.
struct TouchBoth(Back);

impl Errand for TouchBoth {
    fn needs(&self) -> u64 {
        0b11
    }

    fn run(&mut self, _: &mut Shards<'_>, _: &World) {
        TOUCHED.iter().for_each(Guarded::touch);
    }

    fn panicked(&mut self) {
        unreachable!("touching does not panic")
    }

    fn end(self: Box<Self>) {
        self.0.note();
    }
}

#[test]
fn errands_over_busy_shards_are_run_once_each_and_nobody_waits_for_ever() {
    loom::model(|| {
        let model = Model::new(2);
        let other = {
            let (engine, back) = (std::sync::Arc::clone(&model.engine), model.back.clone());
            thread::spawn(move || engine.run_errand(Box::new(TouchBoth(back))))
        };
        model.engine.run_errand(Box::new(TouchBoth(model.back.clone())));
        model.finish(2, [other]);
        assert_eq!((TOUCHED[0].count(), TOUCHED[1].count()), (2, 2));
    });
}

#[test]
fn an_errand_and_a_batch_leave_nothing_behind() {
    loom::model(|| {
        let model = Model::new(2);
        let other = model.submitter(1);
        model.engine.run_errand(Box::new(TouchBoth(model.back.clone())));
        model.finish(2, [other]);
        assert_eq!((TOUCHED[0].count(), TOUCHED[1].count()), (1, 2));
    });
}
