//! The shards of a server with their batons, rings and threads.
//!
//! An IO thread [`Engine::submit`]s a batch: it executes it itself when the baton is free, else the batch waits on the
//! shard's ring for whoever holds the baton. Completed batches of other threads go back through `deliver`, after the
//! baton was let go. The shard's own thread looks after expiry and takes over when a ring stays full.
//!
//! What needs several shards is an [`Errand`]. An IO thread tries their batons and, if one is not free, leaves the errand to
//! the thread of the shard that was busy and goes on. Threads that may wait (the shards' own, the control plane's) take
//! several batons in ascending order.
//!
//! No thread waits for room in a queue, and nobody who holds a baton waits for anything but batons further up: what is to be
//! told to others is collected and told when all batons have been let go.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

// What the model tests follow; counters decide nothing and stay as they are.
#[cfg(loom)]
use loom::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{self, JoinHandle, Thread},
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{self, JoinHandle, Thread},
};

use sherd_metrics::allocator::give_back;
use sherd_metrics::clock::{self, TickRate};
use sherd_metrics::memory;

use crate::effects::blocking::{Waiter, Wake};
use crate::executor::batch::Batch;
use crate::executor::baton::Baton;
use crate::executor::errand::{self, Errand};
use crate::executor::rest::Rest;
use crate::executor::run::run_batch;
use crate::executor::waiting::{self, Serve};
use crate::handler::access::Shards;
use crate::journal;
use crate::keyspace::outbox::Letters;
use crate::keyspace::shard::Shard;
use crate::keyspace::stats::ShardStats;
use crate::protocol::error::CommandError;
use crate::queues::queue::Queue;
use crate::server::world::World;
use crate::threads;
pub use aside::{holds_others, while_others_are_held, with_aside};
pub use hold::Hold;
use news::News;
pub use plea::Plea;
use sherd_metrics::CommandCells;
use sherd_types::invariant;

mod aside;
mod begun;
mod elsewhere;
mod figures;
mod hold;
pub mod news;
mod plea;
mod saving;
mod upkeep;

use saving::Saves;

/// Batches that may wait for one shard before its queues overflow: each IO thread has four on the way at most.
const QUEUE_CAPACITY: usize = 64;
/// Errands and leaving waiters that may wait likewise; they are few but for bursts.
const ERRANDS_CAPACITY: usize = 16;
/// Looks at a baton that is held before an IO thread leaves an errand to another thread: some 2 us, less than that costs.
const TRIES: u32 = if cfg!(loom) { 1 } else { 100 };
/// Waiting clients over several shards that one thread serves in a row; the rest is left to the shards' own threads.
const RUNS_MAX: usize = 64;
/// A command that takes longer than this on average is left to the shard's own thread where there are several shards.
const HEAVY_NANOSECONDS: u64 = 500_000;
/// Batches that a holder executes for others before it lets go.
const DRAIN_MAX: usize = 32;
/// Time after which a holder takes on no more for others: who waits for the baton should not wait for a millisecond.
const DRAIN_NANOSECONDS_MAX: u64 = 300_000;

/// Times that a thread takes the baton again for what others brought meanwhile, before it leaves that to the shard's thread.
/// Once in the model tests, which then come to the leaving sooner.
const TAKES_AGAIN_MAX: usize = if cfg!(loom) { 1 } else { 2 };

/// Counters of one shard's hand-off.
#[derive(Default, Debug)]
pub struct HandOff {
    /// Batches executed by the thread that brought them.
    pub direct: AtomicU64,
    /// Batches that had to be published on the ring.
    pub queued: AtomicU64,
    /// Times that the shard's own thread was woken.
    pub wakes: AtomicU64,
}

struct ShardCell {
    baton: Baton,
    ring: Queue<Box<Batch>>,
    /// Batches of commands that take long, which only the shard's own thread executes.
    heavy: Queue<Box<Batch>>,
    /// Errands that have found the shard busy, for its own thread. A connection and a waiter have at most one.
    errands: Queue<errand::Waiting>,
    /// Waiters that have ended and are still in the shard's queues, for whoever holds the baton next.
    leaving: Queue<Arc<Waiter>>,
    shard: UnsafeCell<Shard>,
    stats: Arc<ShardStats>,
    cells: Arc<CommandCells>,
    hand_off: HandOff,
    asleep: AtomicBool,
    rest: Rest,
    thread: OnceLock<Thread>,
}

// SAFETY: `shard` is touched only by the holder of `baton`, whose acquire and release order the accesses.
unsafe impl Sync for ShardCell {}

impl ShardCell {
    fn new(shard: Shard) -> ShardCell {
        ShardCell {
            baton: Baton::new(),
            ring: Queue::new(QUEUE_CAPACITY),
            heavy: Queue::new(QUEUE_CAPACITY),
            errands: Queue::new(ERRANDS_CAPACITY),
            leaving: Queue::new(ERRANDS_CAPACITY),
            stats: Arc::clone(&shard.stats),
            cells: Arc::clone(&shard.cells),
            shard: UnsafeCell::new(shard),
            hand_off: HandOff::default(),
            asleep: AtomicBool::new(false),
            rest: Rest::default(),
            thread: OnceLock::new(),
        }
    }

    /// Whether nothing waits that the shard's own thread would execute.
    fn has_no_work(&self) -> bool {
        self.has_nothing_for_holders() && self.heavy.is_empty() && self.errands.is_empty()
    }

    /// Whether nothing waits that any holder of the baton sees to.
    #[inline]
    fn has_nothing_for_holders(&self) -> bool {
        self.ring.is_empty() && self.leaving.is_empty()
    }
}

/// Gives a completed batch back to its IO thread.
pub type Deliver = Box<dyn Fn(Box<Batch>) + Send + Sync>;

/// Tells an IO thread about a client that waited for a key.
pub type WakeClient = Box<dyn Fn(Wake) + Send + Sync>;

/// See the [module](self).
pub struct Engine {
    pub world: Arc<World>,
    cells: Vec<ShardCell>,
    deliver: Deliver,
    wake_client: WakeClient,
    news: News,
    rate: TickRate,
    stopping: AtomicBool,
    cross_shard: AtomicU64,
    saves: Saves,
    /// Whether a thread pleads for shards ([`plea`]).
    is_pleaded: AtomicBool,
}

impl Engine {
    /// Makes the shards; `commands` is the length of the command table.
    pub fn new(world: Arc<World>, commands: usize, deliver: Deliver, wake_client: WakeClient) -> Arc<Engine> {
        Arc::new_cyclic(|engine: &Weak<Engine>| Engine {
            cells: (0..world.slots.shards())
                .map(|index| {
                    let mut shard = Shard::new(&world, index, commands);
                    shard.others = Some(Weak::<Engine>::clone(engine));
                    ShardCell::new(shard)
                })
                .collect(),
            world,
            deliver,
            wake_client,
            news: News::default(),
            rate: TickRate::get(),
            stopping: AtomicBool::new(false),
            cross_shard: AtomicU64::new(0),
            saves: Saves::default(),
            is_pleaded: AtomicBool::new(false),
        })
    }

    /// Starts the shards' own threads, each of which begins with `prepare`. Those that run are in `started`, also where the system
    /// refuses one.
    pub fn start_threads(self: &Arc<Self>, started: &mut Vec<JoinHandle<()>>, prepare: fn()) -> io::Result<()> {
        for index in 0..self.cells.len() {
            let engine = Arc::clone(self);
            let run = move || {
                prepare();
                engine.shard_thread(index);
            };
            started.push(threads::start_modelled(&format!("sherd-shard-{index}"), run)?);
        }
        Ok(())
    }

    /// Makes the shards' threads end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Either a thread that is just starting sees the flag, or it is seen here and woken.
        fence(Ordering::SeqCst);
        for cell in &self.cells {
            if let Some(thread) = cell.thread.get() {
                thread.unpark();
            }
        }
    }

    /// Frees all data, and ends the background thread; for a server whose threads have ended.
    pub fn clear(&self) {
        Engine::hold(self, self.all_shards()).shards().iter_mut().for_each(Shard::clear);
        self.world.reaper.stop();
        give_back();
    }

    /// Executes a batch now, or leaves it to whoever executes in its shard; then it comes back through `deliver`.
    pub fn submit(&self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let cell = &self.cells[batch.shard];
        if cell.baton.try_acquire() {
            let start = Slice::begin();
            // SAFETY: this thread holds the baton until `let_go`.
            let shard = unsafe { &mut *cell.shard.get() };
            let done = self.drain(cell, shard, start);
            let is_done = run_batch(shard, &mut batch);
            let letters = self.let_go(cell, shard, start);
            batch.ticket = batch.ticket.max(letters.ticket);
            cell.hand_off.direct.fetch_add(1, Ordering::Relaxed);
            self.after(cell, done, letters);
            if is_done {
                return Some(batch);
            }
            self.leave_to_thread(batch);
            return None;
        }
        cell.hand_off.queued.fetch_add(1, Ordering::Relaxed);
        cell.ring.push(batch);
        self.after(cell, Vec::new(), Letters::default());
        None
    }

    /// Whether a command usually takes so long in a shard that the thread which brings it should not execute it.
    #[inline]
    pub fn is_heavy(&self, shard: usize, command: usize) -> bool {
        let cell = self.cells[shard].cells.cell(command);
        cell.nanoseconds.get() > cell.calls.get().saturating_mul(HEAVY_NANOSECONDS)
    }

    /// Leaves a batch to the shard's own thread.
    pub fn leave_to_thread(&self, batch: Box<Batch>) {
        let cell = &self.cells[batch.shard];
        cell.hand_off.queued.fetch_add(1, Ordering::Relaxed);
        cell.heavy.push(batch);
        fence(Ordering::SeqCst);
        self.wake(cell);
    }

    /// Answers what waits for shards that this thread holds, and will hold for long, with an error.
    pub fn refuse_waiting(&self, held: u64, error: &CommandError) {
        for cell in indexes(held).map(|index| &self.cells[index]) {
            while let Some(mut batch) = cell.ring.pop().or_else(|| cell.heavy.pop()) {
                cell.stats.error_replies.add((batch.commands.len() - batch.executed) as u64);
                batch.refuse(error);
                (self.deliver)(batch);
            }
        }
    }

    /// Runs `work` with the named shards held (bit `i` of `wanted` is shard `i`), waiting for them in ascending order.
    pub fn with_shards<R>(&self, wanted: u64, work: impl FnOnce(Shards<'_>) -> R) -> R {
        work(Engine::hold(self, wanted).shards())
    }

    /// Waits for the named shards in ascending order, as [`Engine::with_shards`] does, and holds them until the value is
    /// dropped.
    pub fn hold<E: Deref<Target = Engine>>(engine: E, wanted: u64) -> Hold<E> {
        if wanted.count_ones() > 1 {
            engine.cross_shard.fetch_add(1, Ordering::Relaxed);
        }
        engine.acquire_ascending(wanted);
        Engine::held(engine, wanted)
    }

    /// Takes the named shards if all of them are free; else holds none, and returns the one that is busy.
    pub fn try_hold<E: Deref<Target = Engine>>(engine: E, wanted: u64) -> Result<Hold<E>, usize> {
        match indexes(wanted).find(|&index| !engine.cells[index].baton.try_for(TRIES)) {
            None => {
                if wanted.count_ones() > 1 {
                    engine.cross_shard.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Engine::held(engine, wanted))
            }
            Some(busy) => {
                engine.give_back(wanted & ((1 << busy) - 1));
                Err(busy)
            }
        }
    }

    /// Lets go of shards in which nothing was done.
    fn give_back(&self, held: u64) {
        indexes(held).for_each(|index| self.cells[index].baton.release());
        indexes(held).for_each(|index| self.after(&self.cells[index], Vec::new(), Letters::default()));
    }

    /// The named shards, whose batons this thread has.
    fn held<E: Deref<Target = Engine>>(engine: E, wanted: u64) -> Hold<E> {
        let mut hold = Hold { start: Slice::begin(), engine, wanted, of_this_thread: PhantomData };
        hold.shards().iter_mut().for_each(Shard::look_at_clock);
        hold
    }

    /// Runs an errand if its shards are free, else leaves it to the thread of the one that is busy.
    pub fn run_errand(&self, errand: Box<dyn Errand>) {
        match Engine::try_hold(self, errand.needs()) {
            Ok(held) => self.tell(held.run(errand)),
            Err(busy) => self.leave_errand(busy, errand),
        }
    }

    /// Leaves an errand to the thread of a shard that was busy.
    pub fn leave_errand(&self, busy: usize, errand: Box<dyn Errand>) {
        self.send_on(busy, errand::Waiting { errand, moves: 0 });
    }

    fn send_on(&self, busy: usize, waiting: errand::Waiting) {
        let cell = &self.cells[busy];
        cell.errands.push(waiting);
        fence(Ordering::SeqCst);
        self.wake(cell);
    }

    /// Has the command of a waiting client run again, if it goes on waiting.
    pub fn serve(&self, waiter: Arc<Waiter>) {
        if waiter.make_run_due() {
            self.world.runs_due.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(Letters { wakes: vec![Wake::Run(waiter)], ..Letters::default() });
    }

    /// Takes a waiter that has ended out of the queues of its shards, and has those behind it served.
    pub fn forget(&self, waiter: &Arc<Waiter>) {
        for index in indexes(waiter.queued_in) {
            let cell = &self.cells[index];
            cell.leaving.push(Arc::clone(waiter));
            self.after(cell, Vec::new(), Letters::default());
        }
    }

    /// The set of all shards for [`Engine::with_shards`].
    pub fn all_shards(&self) -> u64 {
        if self.cells.len() == 64 {
            u64::MAX
        } else {
            (1 << self.cells.len()) - 1
        }
    }

    /// Lets go of a shard; what it has to tell about waiters is told when all batons have been let go.
    #[must_use]
    fn let_go(&self, cell: &ShardCell, shard: &mut Shard, start: Slice) -> Letters {
        let mut letters = self.conclude(cell, shard, start);
        self.hand_over(cell, &mut letters);
        self.news.add(&mut letters);
        self.release(cell);
        letters
    }

    /// Hands over to the journal what was written, while all batons are held. What that takes is not the shard's.
    #[inline]
    fn hand_over(&self, cell: &ShardCell, letters: &mut Letters) {
        let (ticket, bytes) = self.world.journal.hand_over();
        journal::set_last_ticket(ticket);
        if ticket != 0 {
            letters.ticket = ticket;
            for wake in &mut letters.wakes {
                if let Wake::Reply { ticket: written, .. } = wake {
                    *written = ticket;
                }
            }
            cell.stats.memory_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        }
    }

    fn release(&self, cell: &ShardCell) {
        invariant!(cell.baton.is_held(), "a baton was let go that nobody held");
        cell.baton.release();
        cell.rest.end_if_something_expires(&cell.stats, &cell.thread);
    }

    /// What is to be done in a shard before its baton is let go.
    fn conclude(&self, cell: &ShardCell, shard: &mut Shard, start: Slice) -> Letters {
        while !cell.leaving.is_empty() {
            let Some(waiter) = cell.leaving.pop() else { break };
            waiting::forget(shard, &waiter);
            memory::apart(|| drop(waiter));
        }
        if shard.blocking.has_ready() {
            waiting::serve(shard);
        }
        if !shard.watches.is_empty() {
            shard.watches.sweep_after(self.world.watches_ended.load(Ordering::Acquire));
        }
        shard.publish_changes();
        let nanoseconds = self.rate.nanoseconds(clock::ticks().wrapping_sub(start.tick));
        let bytes = memory::data_bytes() - start.bytes - shard.outbox.take_bytes();
        cell.stats.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        cell.stats.busy_nanoseconds.add(nanoseconds);
        cell.stats.batches.increment();
        cell.stats.longest_slice_nanoseconds.raise(nanoseconds);
        shard.outbox.drain()
    }

    /// Delivers what was executed for others and sees to what was published meanwhile. No baton is held.
    // Batches move by their boxes: from ring to list to IO thread.
    #[allow(clippy::vec_box)]
    fn after(&self, cell: &ShardCell, mut done: Vec<Box<Batch>>, mut letters: Letters) {
        for look in 0..=TAKES_AGAIN_MAX {
            self.news.tell(&mut letters);
            for mut batch in done.drain(..) {
                batch.ticket = batch.ticket.max(letters.ticket);
                (self.deliver)(batch);
            }
            if !letters.is_empty() {
                self.tell(std::mem::take(&mut letters));
            }
            if cell.has_nothing_for_holders() {
                return;
            }
            // Others keep bringing work: their replies should not wait until this thread has time for its own.
            if look == TAKES_AGAIN_MAX || holds_others() {
                self.wake(cell);
                return;
            }
            if !cell.baton.try_acquire() {
                return;
            }
            aside::for_others(&mut || {
                let start = Slice::begin();
                // SAFETY: this thread holds the baton.
                let shard = unsafe { &mut *cell.shard.get() };
                done = self.drain(cell, shard, start);
                letters = self.let_go(cell, shard, start);
            });
        }
    }

    /// Tells IO threads what has become of waiting clients, and runs the commands of those that need several shards. No baton
    /// is held.
    #[cold]
    fn tell(&self, letters: Letters) {
        let mut wakes = VecDeque::from(letters.wakes);
        let mut runs = 0;
        while let Some(wake) = wakes.pop_front() {
            let Wake::Run(waiter) = wake else {
                (self.wake_client)(wake);
                continue;
            };
            let errand = Box::new(Serve(waiter));
            runs += 1;
            if runs > RUNS_MAX || holds_others() {
                self.leave_errand(errand.needs().trailing_zeros() as usize, errand);
                continue;
            }
            match Engine::try_hold(self, errand.needs()) {
                Ok(held) => wakes.extend(held.run(errand).wakes),
                Err(busy) => self.leave_errand(busy, errand),
            }
        }
    }

    /// Executes what waits on the ring, up to bounds in number and time.
    #[allow(clippy::vec_box)]
    fn drain(&self, cell: &ShardCell, shard: &mut Shard, start: Slice) -> Vec<Box<Batch>> {
        let mut done = Vec::new();
        while done.len() < DRAIN_MAX {
            let Some(mut batch) = cell.ring.pop() else { break };
            if run_batch(shard, &mut batch) {
                done.push(batch);
            } else {
                self.leave_to_thread(batch);
            }
            // A model that depends on the time cannot be run twice alike.
            let nanoseconds = self.rate.nanoseconds(clock::ticks().wrapping_sub(start.tick));
            if nanoseconds > DRAIN_NANOSECONDS_MAX && !cfg!(loom) {
                break;
            }
        }
        done
    }

    fn wake(&self, cell: &ShardCell) {
        // loom takes SeqCst operations for acquire and release; only its fences are in one order.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        if cell.asleep.swap(false, Ordering::SeqCst) {
            cell.hand_off.wakes.fetch_add(1, Ordering::Relaxed);
            if let Some(thread) = cell.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// The numbers of the shards in a set.
fn indexes(wanted: u64) -> impl Iterator<Item = usize> {
    (0..u64::BITS as usize).filter(move |index| wanted >> index & 1 == 1)
}

/// When a thread took a baton, and what it had allocated by then.
#[derive(Clone, Copy)]
struct Slice {
    tick: u64,
    bytes: i64,
}

impl Slice {
    #[inline]
    fn begin() -> Slice {
        Slice { tick: clock::ticks(), bytes: memory::data_bytes() }
    }
}
