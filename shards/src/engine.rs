//! The shards of a server with their batons, rings and threads.
//!
//! An IO thread [`Engine::submit`]s a batch: it executes it itself when the baton is free, else the batch waits on the
//! shard's ring for whoever holds the baton. Completed batches of other threads go back through `deliver`, after the
//! baton was let go. The shard's own thread looks after expiry and takes over when a ring stays full.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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

use crate::access::Shards;
use crate::batch::Batch;
use crate::baton::Baton;
use crate::blocking::{self, Wake};
use crate::evict;
use crate::execute::run_batch;
use crate::expire;
use crate::heat::Costs;
use crate::invariant;
use crate::ring::Ring;
use crate::shard::{Shard, ShardStats};
use crate::survey::{BigKey, Survey};
use crate::world::World;
use sherd_metrics::CommandCells;

/// Batches that may wait for one shard: each IO thread has at most two on the way.
const RING_CAPACITY: usize = 256;
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
    ring: Ring<Box<Batch>>,
    /// Batches of commands that take long, which only the shard's own thread executes.
    heavy: Ring<Box<Batch>>,
    shard: UnsafeCell<Shard>,
    stats: Arc<ShardStats>,
    cells: Arc<CommandCells>,
    hand_off: HandOff,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

// SAFETY: `shard` is touched only by the holder of `baton`, whose acquire and release order the accesses.
unsafe impl Sync for ShardCell {}

impl ShardCell {
    /// Whether nothing waits that the shard's own thread would execute.
    fn has_no_batches(&self) -> bool {
        self.ring.is_empty() && self.heavy.is_empty()
    }
}

/// Gives a completed batch back to its IO thread.
pub type Deliver = Box<dyn Fn(Box<Batch>) + Send + Sync>;

/// Tells an IO thread about a client that waited for a key.
pub type WakeClient = Box<dyn Fn(Wake) + Send + Sync>;

/// See the file's head.
pub struct Engine {
    pub world: Arc<World>,
    cells: Vec<ShardCell>,
    deliver: Deliver,
    wake_client: WakeClient,
    rate: TickRate,
    stopping: AtomicBool,
    cross_shard: AtomicU64,
}

impl Engine {
    /// Makes the shards; `commands` is the length of the command table.
    pub fn new(world: Arc<World>, commands: usize, deliver: Deliver, wake_client: WakeClient) -> Arc<Engine> {
        let cells = (0..world.slots.shards())
            .map(|index| {
                let shard = Shard::new(&world, index, commands);
                ShardCell {
                    baton: Baton::new(),
                    ring: Ring::new(RING_CAPACITY),
                    heavy: Ring::new(RING_CAPACITY),
                    stats: Arc::clone(&shard.stats),
                    cells: Arc::clone(&shard.cells),
                    shard: UnsafeCell::new(shard),
                    hand_off: HandOff::default(),
                    asleep: AtomicBool::new(false),
                    thread: OnceLock::new(),
                }
            })
            .collect();
        Arc::new(Engine {
            world,
            cells,
            deliver,
            wake_client,
            rate: TickRate::get(),
            stopping: AtomicBool::new(false),
            cross_shard: AtomicU64::new(0),
        })
    }

    /// Starts the shards' own threads.
    pub fn start_threads(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        (0..self.cells.len())
            .map(|index| {
                let engine = Arc::clone(self);
                thread::Builder::new()
                    .name(format!("sherd-shard-{index}"))
                    .spawn(move || engine.shard_thread(index))
                    .expect("a thread can be started")
            })
            .collect()
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
            // SAFETY: this thread holds the baton until `release`.
            let shard = unsafe { &mut *cell.shard.get() };
            let done = self.drain(cell, shard, start);
            run_batch(shard, &mut batch);
            self.let_go(cell, shard, start);
            cell.hand_off.direct.fetch_add(1, Ordering::Relaxed);
            self.after(cell, done);
            return Some(batch);
        }
        cell.hand_off.queued.fetch_add(1, Ordering::Relaxed);
        if let Err(mut batch) = cell.ring.push(batch) {
            // Cannot happen while each IO thread keeps to its bound; waiting is right all the same.
            let start = Slice::begin();
            cell.baton.acquire();
            // SAFETY: this thread holds the baton.
            let shard = unsafe { &mut *cell.shard.get() };
            let done = self.drain(cell, shard, start);
            run_batch(shard, &mut batch);
            self.let_go(cell, shard, start);
            self.after(cell, done);
            return Some(batch);
        }
        self.after(cell, Vec::new());
        None
    }

    /// Whether a command usually takes so long in a shard that the thread which brings it should not execute it.
    #[inline]
    pub fn is_heavy(&self, shard: usize, command: usize) -> bool {
        let cell = self.cells[shard].cells.cell(command);
        cell.nanoseconds.get() > cell.calls.get().saturating_mul(HEAVY_NANOSECONDS)
    }

    /// Leaves a batch to the shard's own thread. It is given back executed where the ring has no room for it.
    pub fn leave_to_thread(&self, batch: Box<Batch>) -> Option<Box<Batch>> {
        let cell = &self.cells[batch.shard];
        cell.hand_off.queued.fetch_add(1, Ordering::Relaxed);
        match cell.heavy.push(batch) {
            Ok(()) => {
                fence(Ordering::SeqCst);
                self.wake(cell);
                None
            }
            Err(batch) => self.submit(batch),
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
        for index in indexes(wanted) {
            engine.cells[index].baton.acquire();
        }
        let mut hold = Hold { start: Slice::begin(), engine, wanted, of_this_thread: PhantomData };
        hold.shards().iter_mut().for_each(Shard::look_at_clock);
        hold
    }

    /// The set of all shards for [`Engine::with_shards`].
    pub fn all_shards(&self) -> u64 {
        if self.cells.len() == 64 {
            u64::MAX
        } else {
            (1 << self.cells.len()) - 1
        }
    }

    fn let_go(&self, cell: &ShardCell, shard: &mut Shard, start: Slice) {
        shard.publish_changes();
        let nanoseconds = self.rate.nanoseconds(clock::ticks().wrapping_sub(start.tick));
        cell.stats.memory_bytes.fetch_add(memory::thread_bytes() - start.bytes, Ordering::Relaxed);
        cell.stats.busy_nanoseconds.add(nanoseconds);
        cell.stats.batches.increment();
        cell.stats.longest_slice_nanoseconds.raise(nanoseconds);
        if shard.blocking.has_ready() {
            blocking::serve(shard);
        }
        let wakes = std::mem::take(&mut shard.blocking.wakes);
        invariant!(cell.baton.is_held(), "a baton was let go that nobody held");
        cell.baton.release();
        for wake in wakes {
            (self.wake_client)(wake);
        }
    }

    /// Delivers what was executed for others and sees to what was published meanwhile.
    // Batches move by their boxes: from ring to list to IO thread.
    #[allow(clippy::vec_box)]
    fn after(&self, cell: &ShardCell, mut done: Vec<Box<Batch>>) {
        for look in 0..=TAKES_AGAIN_MAX {
            for batch in done.drain(..) {
                (self.deliver)(batch);
            }
            if cell.ring.is_empty() {
                return;
            }
            // Others keep bringing work: their replies should not wait until this thread has time for its own.
            if look == TAKES_AGAIN_MAX {
                self.wake(cell);
                return;
            }
            if !cell.baton.try_acquire() {
                return;
            }
            let start = Slice::begin();
            // SAFETY: this thread holds the baton.
            let shard = unsafe { &mut *cell.shard.get() };
            done = self.drain(cell, shard, start);
            self.let_go(cell, shard, start);
        }
    }

    /// Executes what waits on the ring, up to bounds in number and time.
    #[allow(clippy::vec_box)]
    fn drain(&self, cell: &ShardCell, shard: &mut Shard, start: Slice) -> Vec<Box<Batch>> {
        let mut done = Vec::new();
        while done.len() < DRAIN_MAX {
            let Some(mut batch) = cell.ring.pop() else { break };
            run_batch(shard, &mut batch);
            done.push(batch);
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

    fn shard_thread(&self, index: usize) {
        let cell = &self.cells[index];
        let _ = cell.thread.set(thread::current());
        fence(Ordering::SeqCst);
        #[cfg(not(loom))]
        self.world.pressure.set_thread(index, thread::current());
        let mut expiry = expire::Pace::default();
        let mut eviction = evict::Round::default();
        let mut survey = Survey::default();
        // What was left to this thread is done before it ends.
        while !self.stopping.load(Ordering::SeqCst) || !cell.has_no_batches() {
            // Swaps, which cost what SeqCst stores cost: loom orders a plain store only loosely with the swap in `wake`.
            cell.asleep.swap(true, Ordering::SeqCst);
            if cell.has_no_batches() && !eviction.is_due(&self.world, index) {
                let hz = self.world.settings.hz.get().clamp(1, 500) as u64;
                park(eviction.sleep_at_most(Duration::from_millis(1000 / hz)));
            }
            cell.asleep.swap(false, Ordering::SeqCst);
            eviction.look(&self.world, index);
            loop {
                let expires = expiry.is_due(&self.world, &cell.stats);
                let evicts = eviction.is_due(&self.world, index);
                let surveys = survey.is_due(&cell.stats);
                let work = expires || evicts || surveys;
                if cell.has_no_batches() && !work {
                    break;
                }
                cell.baton.acquire();
                let start = Slice::begin();
                // SAFETY: this thread holds the baton.
                let shard = unsafe { &mut *cell.shard.get() };
                let mut done = self.drain(cell, shard, start);
                if let Some(mut batch) = cell.heavy.pop() {
                    run_batch(shard, &mut batch);
                    done.push(batch);
                }
                if expires {
                    expiry.slice(shard);
                }
                if evicts {
                    eviction.slice(shard);
                }
                if surveys {
                    survey.slice(shard);
                }
                self.let_go(cell, shard, start);
                if done.is_empty() && !work {
                    // A place on the ring is taken but not filled yet: whoever took it needs the processor.
                    thread::yield_now();
                }
                for batch in done {
                    (self.deliver)(batch);
                }
                if self.stopping.load(Ordering::SeqCst) {
                    break;
                }
            }
            expiry.tick_over();
            survey.tick_over();
        }
    }

    /// Batches waiting for a shard.
    pub fn queue_len(&self, shard: usize) -> usize {
        self.cells[shard].ring.len()
    }

    /// The shards that somebody executes in at this moment.
    pub fn busy_shards(&self) -> Vec<usize> {
        (0..self.cells.len()).filter(|&index| self.cells[index].baton.is_held()).collect()
    }

    /// A shard's counters.
    pub fn stats(&self, shard: usize) -> (&ShardStats, &CommandCells, &HandOff) {
        let cell = &self.cells[shard];
        (&cell.stats, &cell.cells, &cell.hand_off)
    }

    /// The biggest keys of all shards with the numbers of their shards.
    pub fn big_keys(&self) -> Vec<(usize, BigKey)> {
        let of_shard = |(index, cell): (usize, &ShardCell)| {
            cell.stats.findings.all().into_iter().map(move |big| (index, big)).collect::<Vec<_>>()
        };
        self.cells.iter().enumerate().flat_map(of_shard).collect()
    }

    /// Begins to count what keys cost: one command in `sample`, of these slots or, if there are none, of all.
    pub fn start_heat(&self, sample: u32, slots: &[u16]) {
        self.cells.iter().for_each(|cell| cell.stats.heat.start(sample, slots));
        self.world.settings.heat_tracking.set(1);
    }

    /// Forgets what keys have cost.
    pub fn reset_heat(&self) {
        self.world.settings.heat_tracking.set(0);
        self.cells.iter().for_each(|cell| cell.stats.heat.reset());
    }

    /// What keys have cost in all shards together.
    pub fn heat(&self) -> Costs {
        let mut sum = Costs::default();
        self.cells.iter().for_each(|cell| cell.stats.heat.add_to(&mut sum));
        sum
    }

    /// Commands and transactions so far that needed more than one shard.
    pub fn cross_shard_count(&self) -> u64 {
        self.cross_shard.load(Ordering::Relaxed)
    }

    /// The counters of commands that run over several shards, or none: those of the first shard they hold.
    pub fn cells_of(&self, shard: usize) -> (&Arc<CommandCells>, &Arc<ShardStats>) {
        (&self.cells[shard].cells, &self.cells[shard].stats)
    }
}

/// The numbers of the shards in a set.
fn indexes(wanted: u64) -> impl Iterator<Item = usize> {
    (0..u64::BITS as usize).filter(move |index| wanted >> index & 1 == 1)
}

/// Shards that are held. They are let go of when this is dropped, even if what was done with them panicked: a panic is one
/// client's misfortune.
pub struct Hold<E: Deref<Target = Engine>> {
    engine: E,
    wanted: u64,
    start: Slice,
    /// What is allocated meanwhile is counted by thread.
    of_this_thread: PhantomData<*const ()>,
}

impl<E: Deref<Target = Engine>> Hold<E> {
    /// The shards.
    pub fn shards(&mut self) -> Shards<'_> {
        let (engine, wanted) = (&*self.engine, self.wanted);
        // SAFETY: this thread holds the batons of exactly these shards, each of which is borrowed once, for as long as
        // `self` is.
        let mut shards = indexes(wanted).map(|index| unsafe { &mut *engine.cells[index].shard.get() });
        if wanted.count_ones() == 1 {
            return Shards::one(engine.world.slots, shards.next().expect("one bit is set"));
        }
        Shards::many(engine.world.slots, shards)
    }

    /// Lets other threads see what has changed so far: how many keys there are, and what they take.
    pub fn publish(&mut self) {
        self.shards().iter_mut().for_each(Shard::publish_changes);
        let allocated = memory::thread_bytes() - self.start.bytes;
        self.start.bytes += allocated;
        self.shards().first().stats.memory_bytes.fetch_add(allocated, Ordering::Relaxed);
    }

    /// Does something whose allocations are not the shards'.
    pub fn uncounted<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = memory::thread_bytes();
        let result = work();
        self.discount_since(before);
        result
    }

    /// Says that what this thread has allocated since `bytes` (of [`memory::thread_bytes`]) is not the shards'.
    pub fn discount_since(&mut self, bytes: i64) {
        self.start.bytes += memory::thread_bytes() - bytes;
    }
}

impl<E: Deref<Target = Engine>> Drop for Hold<E> {
    fn drop(&mut self) {
        let (engine, mut start) = (&*self.engine, self.start);
        for index in indexes(self.wanted) {
            let cell = &engine.cells[index];
            // SAFETY: this thread holds the baton until `let_go`.
            let shard = unsafe { &mut *cell.shard.get() };
            engine.let_go(cell, shard, start);
            // What was allocated in all of them together is counted to the first.
            start.bytes = memory::thread_bytes();
        }
        for index in indexes(self.wanted) {
            engine.after(&engine.cells[index], Vec::new());
        }
    }
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
        Slice { tick: clock::ticks(), bytes: memory::thread_bytes() }
    }
}

/// Sleeps until somebody wakes the thread, or for so long.
#[cfg(not(loom))]
fn park(at_most: Duration) {
    thread::park_timeout(at_most);
}

/// Sleeps without an end, so that a wake-up that got lost shows as a deadlock.
#[cfg(loom)]
fn park(_: Duration) {
    thread::park();
}
