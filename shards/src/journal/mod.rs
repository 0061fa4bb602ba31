//! The journal: what every write has done, as RESP, in one order over all shards, for whoever listens.
//!
//! # From a write to a sink
//! 1. The thread that executes a command records its **effect** ([`recorder`]) while it holds the baton: the request itself
//!    where repeating it has the same result, else what it has come to ([`crate::handler::context::Context::effect`]). Keys that go for
//!    another reason are recorded by the one door ([`crate::keyspace::edit`]). What is executed as one, a transaction, a script or
//!    a command with several effects, is a [`Unit`] and gets MULTI and EXEC around it.
//! 2. Before it lets go of its batons the thread hands what it has recorded over as one **segment** with one **ticket**
//!    ([`Journal::hand_over`]). Tickets come from one counter, so their order agrees with the order of the slices in every
//!    shard; a transaction over shards has one ticket, taken while it holds all of them.
//! 3. The journal's own thread ([`feeder`]) puts segments into the order of their tickets ([`order`]), adds SELECT where the
//!    database changes, counts the bytes, and gives them to each [`Sink`]: the append-only file, the backlog of replicas.
//!
//! With no sink nothing is recorded: a command then costs one relaxed load more, a slice one look at a thread's own buffer.
//!
//! # For those who listen
//! - [`Journal::attach`] adds a sink. Called with all batons held, it is a **cut**: what the shards hold at that moment and the
//!   offset that the given function finds in [`Feed`] belong together; the sink gets every byte from there on, the first of
//!   which selects its database. [`Journal::detach`] removes it.
//! - The journal's thread begins with the first sink, which is refused where the system refuses the thread. Without the thread
//!   nothing is marked or asked for.
//! - [`Journal::mark`] runs a function on the journal's thread at this place in the order: with all batons held a cut as well.
//!   It can look at the offset, reach a sink ([`Feed::sink`]), or have the next segment select its database
//!   ([`Feed::forget_database`]).
//! - [`Journal::append`] adds what no shard has executed (FUNCTION LOAD; PING and GETACK, which are for links only), with a
//!   ticket of its own. Who holds batons calls [`effect`] instead, and it keeps its place among what is executed.
//! - [`recorder::hand_on`] and [`Journal::hand_on`] add what a primary has sent, in place of what its commands have done here: a
//!   replica's own replicas get the same bytes at the same offsets.
//! - [`Journal::offset`] is the end of what sinks were given: `master_repl_offset`.
//!
//! # Bounds
//! Nobody waits for room in the queue: who pushes holds batons. When more than [`WAITING_BYTES_MAX`] bytes wait for the
//! queue or for a sink, [`crate::server::pause::Pause::set_behind`] holds back clients that want to write until less than half of that
//! is left, and a replica takes nothing from its primary; readers go on. A sink is called on the journal's thread and must not wait
//! for anyone who may wait for a baton.
//!
//! # Replies
//! Under `appendfsync always` (`World::holds_replies`) a reply to a write waits until [`Journal::is_durable`] says so of its
//! ticket; nobody's thread waits. [`Journal::set_listener`] is told whenever that moves.

pub mod append_files;
pub mod append_status;
mod feeder;
mod order;
pub mod recorder;
pub mod resp;
mod sink;
#[cfg(test)]
mod tests;
mod threads;

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

// Tickets and the thread's sleep are what models look into; the rest is counted, or read where no model goes.
#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicBool, AtomicU64 as Tickets};
#[cfg(not(loom))]
use std::sync::atomic::{fence, AtomicBool, AtomicU64 as Tickets};

pub use feeder::Feed;
pub use order::Order;
pub use recorder::{effect, Unit};
pub use sink::{Block, Flushed, Sink, SinkId};

use crate::queues::queue::Queue;
use crate::threads::start_modelled;
use threads::{JoinHandle, Thread};

/// Bytes that may wait for the journal's thread and its sinks before writers wait.
pub const WAITING_BYTES_MAX: usize = if cfg!(loom) { 512 } else { 64 << 20 };
/// Segments for which there is a place in the queue before it overflows into its list. Every place takes memory, journal or not.
const QUEUE_CAPACITY: usize = if cfg!(loom) { 2 } else { 256 };

/// How often a thread that waits for the journal's looks whether that has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which segment something is in; 0 is none.
pub type Ticket = u64;

/// Who gets a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    All,
    /// Only replicas' links.
    Links,
    /// Only files: links do not count its bytes.
    Files,
}

/// What a thread has done in one slice.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// The database that its first command is for, and its last; none if it is for none.
    pub databases: Option<(u16, u16)>,
    pub bytes: Vec<u8>,
    pub audience: Audience,
    /// It is what a primary has sent, to the byte.
    pub from_primary: bool,
}

impl Segment {
    /// What it takes, which can be twice what is in it: a limit of memory is kept by what is taken.
    fn memory(&self) -> usize {
        let layout = std::alloc::Layout::array::<u8>(self.bytes.capacity());
        layout.map_or(0, sherd_metrics::memory::block_size)
    }
}

/// Runs on the journal's thread at its place in the order.
pub type Work = Box<dyn FnOnce(&mut Feed) + Send>;

/// What waits for the journal's thread.
pub enum Item {
    Segment(Segment),
    Mark(Work),
}

/// An item in its place.
pub struct Numbered {
    pub ticket: Ticket,
    pub item: Item,
}

/// Is told on the journal's thread that writes have become durable, or, with `true`, that writers need not wait any more.
pub type Listener = Box<dyn Fn(bool) + Send + Sync>;

#[cfg(not(loom))]
thread_local! {
    /// The ticket of what this thread has handed over last; see [`last_ticket`].
    static LAST: Cell<Ticket> = const { Cell::new(0) };
}

#[cfg(loom)]
loom::thread_local! {
    static LAST: Cell<Ticket> = Cell::new(0);
}

/// The ticket of the slice that this thread has just ended, 0 if nothing was recorded in it.
pub fn last_ticket() -> Ticket {
    LAST.with(Cell::get)
}

/// Says which slice this thread has just ended, where others came in between.
pub(crate) fn set_last_ticket(ticket: Ticket) {
    LAST.with(|last| last.set(ticket));
}

/// What the journal's thread shares with all others.
pub(crate) struct Common {
    queue: Queue<Numbered>,
    /// The ticket that was taken last.
    tickets: Tickets,
    /// Bytes in the queue, and those that sinks have not got rid of.
    queued_bytes: AtomicUsize,
    sink_bytes: AtomicUsize,
    /// Memory that sinks need for what they have not got rid of.
    buffer_bytes: AtomicUsize,
    /// The journal's thread sleeps until it is woken.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
    /// Writers are held back.
    behind: AtomicBool,
    /// There is a file, which makes writes durable.
    has_file: std::sync::atomic::AtomicBool,
    /// Everything up to this ticket is as safe as sinks that hold replies make it.
    durable: AtomicU64,
    offset: AtomicU64,
    stopping: AtomicBool,
    listener: OnceLock<Listener>,
    /// Holds writers back, or lets them go on.
    set_behind: OnceLock<Box<dyn Fn(bool) + Send + Sync>>,
}

impl Common {
    fn push(&self, item: Item) -> Ticket {
        if let Item::Segment(segment) = &item {
            self.count(segment.memory());
        }
        // Relaxed: the batons order the slices of a shard, and each shard's order is all that tickets have to agree with.
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed) + 1;
        self.queue.push(Numbered { ticket, item });
        // Either the thread sees the item before it sleeps, or it is seen asleep here.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
        ticket
    }

    /// Counts what is about to be pushed: before it is, or the journal's thread could take it off a count that it is not in.
    fn count(&self, bytes: usize) {
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before <= WAITING_BYTES_MAX && before + bytes > WAITING_BYTES_MAX {
            self.hold_writers();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn hold_writers(&self) {
        if !self.behind.swap(true, Ordering::SeqCst) {
            self.say_behind(true);
        }
    }

    /// Lets writers go on when enough of what waited is gone; for the journal's thread.
    fn release_writers(&self) {
        if self.behind.load(Ordering::SeqCst) && self.waiting_bytes() <= WAITING_BYTES_MAX / 2 {
            self.behind.store(false, Ordering::SeqCst);
            self.say_behind(false);
            self.tell_listener(true);
        }
    }

    fn say_behind(&self, behind: bool) {
        if let Some(set_behind) = self.set_behind.get() {
            set_behind(behind);
        }
    }

    fn tell_listener(&self, writers_go_on: bool) {
        if let Some(listener) = self.listener.get() {
            listener(writers_go_on);
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed) + self.sink_bytes.load(Ordering::Relaxed)
    }
}

/// See the [module](self); one a server.
pub struct Journal {
    /// Somebody listens. Relaxed: changed while all batons are held, which order it for whoever takes one.
    on: std::sync::atomic::AtomicBool,
    /// Why a sink cannot write.
    failure: AtomicI64,
    sinks: Mutex<Vec<SinkId>>,
    next_sink: AtomicU64,
    common: Arc<Common>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Journal {
    fn default() -> Journal {
        let common = Common {
            queue: Queue::new(QUEUE_CAPACITY),
            tickets: Tickets::new(0),
            queued_bytes: AtomicUsize::new(0),
            sink_bytes: AtomicUsize::new(0),
            buffer_bytes: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
            behind: AtomicBool::new(false),
            has_file: Default::default(),
            durable: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            listener: OnceLock::new(),
            set_behind: OnceLock::new(),
        };
        Journal {
            on: Default::default(),
            failure: AtomicI64::new(0),
            sinks: Mutex::default(),
            next_sink: AtomicU64::new(1),
            common: Arc::new(common),
            handle: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For those who write.
impl Journal {
    /// Whether effects are to be recorded.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands over what this thread has recorded, with its batons still held. Returns the ticket, 0 if there is nothing, and the
    /// bytes that its buffer takes, which are not the shards'.
    #[inline]
    pub fn hand_over(&self) -> (Ticket, usize) {
        if recorder::is_empty() {
            return (0, 0);
        }
        self.hand_over_segment()
    }

    #[cold]
    fn hand_over_segment(&self) -> (Ticket, usize) {
        let (mut last, mut taken) = (0, 0);
        for segment in [recorder::take(), recorder::take_for_links()].into_iter().flatten() {
            taken += segment.memory();
            last = self.common.push(Item::Segment(segment));
        }
        if last == 0 {
            return (recorder::take_inner(), 0);
        }
        recorder::note_handed_over(last);
        (last, taken)
    }

    /// Adds a command that no shard has executed; what is for links only is for no database. No baton is held.
    pub fn append(&self, db: u16, parts: &[&[u8]], links_only: bool) -> Ticket {
        if !self.is_on() {
            return 0;
        }
        let mut bytes = Vec::new();
        resp::append(&mut bytes, parts);
        let (databases, audience) = if links_only { (None, Audience::Links) } else { (Some((db, db)), Audience::All) };
        self.common.push(Item::Segment(Segment { databases, bytes, audience, from_primary: false }))
    }

    /// Adds what a primary has sent and no shard had to execute, after which a database is selected.
    pub fn hand_on(&self, bytes: &[u8], db: u16) {
        if self.is_on() {
            let (databases, bytes) = (Some((db, db)), bytes.to_vec());
            let segment = Segment { databases, bytes, audience: Audience::All, from_primary: true };
            self.common.push(Item::Segment(segment));
        }
    }

    /// Runs something whose effects are not recorded, for which all batons are held: what is loaded again is there already.
    pub fn without_recording<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Resume<'j>(&'j Journal);
        impl Drop for Resume<'_> {
            fn drop(&mut self) {
                let sinks = lock(&self.0.sinks);
                self.0.on.store(!sinks.is_empty(), Ordering::Relaxed);
            }
        }
        let _resume = Resume(self);
        self.on.store(false, Ordering::Relaxed);
        work()
    }

    /// Whether there is a file, so that replies to writes may have to wait until these are durable.
    #[inline]
    pub fn has_file(&self) -> bool {
        self.common.has_file.load(Ordering::Relaxed)
    }

    /// Says whether there is a file; said by whoever has a sink that makes writes durable.
    pub fn set_has_file(&self, has_file: bool) {
        self.common.has_file.store(has_file, Ordering::Relaxed);
    }

    /// Says why a sink cannot write, by the system's number; 0 if it can.
    pub fn set_failure(&self, error: i64) {
        self.failure.store(error, Ordering::Relaxed);
    }

    /// What was said by [`Journal::set_failure`].
    pub fn failure(&self) -> i64 {
        self.failure.load(Ordering::Relaxed)
    }

    /// Whether everything up to a ticket is durable.
    #[inline]
    pub fn is_durable(&self, ticket: Ticket) -> bool {
        // Acquire: a reply that is sent comes after what made it so.
        ticket <= self.common.durable.load(Ordering::Acquire)
    }
}

/// For those who listen.
impl Journal {
    /// Adds a sink, and has `then` run when it has come to its place. With all batons held this is a cut; without them what
    /// is being executed now may be recorded in part. Fails where the journal's thread cannot begin.
    pub fn attach(&self, sink: Box<dyn Sink>, then: impl FnOnce(&mut Feed) + Send + 'static) -> io::Result<SinkId> {
        self.start()?;
        let id = SinkId(self.next_sink.fetch_add(1, Ordering::Relaxed));
        let mut sinks = lock(&self.sinks);
        sinks.push(id);
        self.on.store(true, Ordering::Relaxed);
        drop(sinks);
        self.mark(move |feed| {
            feed.add(id, sink);
            then(feed);
        });
        Ok(id)
    }

    /// Removes a sink, which is given to `then`.
    pub fn detach(&self, id: SinkId, then: impl FnOnce(&mut Feed, Option<Box<dyn Sink>>) + Send + 'static) {
        let mut sinks = lock(&self.sinks);
        sinks.retain(|&other| other != id);
        self.on.store(!sinks.is_empty(), Ordering::Relaxed);
        drop(sinks);
        self.mark(move |feed| {
            let sink = feed.remove(id);
            then(feed, sink);
        });
    }

    /// Runs a function on the journal's thread, at this place in the order; not where that has ended or cannot begin.
    pub fn mark(&self, work: impl FnOnce(&mut Feed) + Send + 'static) -> Ticket {
        if self.start().is_err() || self.is_stopping() {
            return 0;
        }
        let ticket = self.common.push(Item::Mark(Box::new(work)));
        // Also where it only waits for more to come.
        self.common.wake();
        ticket
    }

    fn is_stopping(&self) -> bool {
        self.common.stopping.load(Ordering::SeqCst)
    }

    /// Runs a function as [`Journal::mark`] does and waits for what it returns; `None` if the journal has
    /// ended or cannot begin. Who holds batons keeps
    /// them until then.
    pub fn ask<R: Send + 'static>(&self, work: impl FnOnce(&mut Feed) -> R + Send + 'static) -> Option<R> {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        self.mark(move |feed| {
            let _ = sender.send(work(feed));
        });
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Timeout) if !self.is_stopping() => {}
                Err(_) => return None,
            }
        }
    }

    /// The end of what sinks were given.
    pub fn offset(&self) -> u64 {
        self.common.offset.load(Ordering::Acquire)
    }

    /// Bytes that wait for the journal's thread or a sink.
    pub fn waiting_bytes(&self) -> usize {
        self.common.waiting_bytes()
    }

    /// Memory for what is on its way to files and replicas, which is no data: nothing is evicted for it.
    pub fn buffer_bytes(&self) -> usize {
        self.common.queued_bytes.load(Ordering::Relaxed) + self.common.buffer_bytes.load(Ordering::Relaxed)
    }

    /// Who is told when [`Journal::is_durable`] moves or writers may go on; one.
    pub fn set_listener(&self, listener: Listener) {
        let _ = self.common.listener.set(listener);
    }

    /// Who holds writers back; one.
    pub fn set_writers_gate(&self, set_behind: Box<dyn Fn(bool) + Send + Sync>) {
        let _ = self.common.set_behind.set(set_behind);
    }

    /// Begins the thread, if there is none yet. One that ends has no further sinks, and refuses none.
    pub fn start(&self) -> io::Result<()> {
        let mut handle = lock(&self.handle);
        if handle.is_some() || self.is_stopping() {
            return Ok(());
        }
        let common = Arc::clone(&self.common);
        let thread = start_modelled("sherd-journal", move || feeder::run(&common))?;
        let _ = self.common.thread.set(thread.thread().clone());
        *handle = Some(thread);
        Ok(())
    }

    /// Ends the journal: everything handed over so far is given to the sinks, which are dropped. Waits for that.
    pub fn stop(&self) {
        self.on.store(false, Ordering::Relaxed);
        self.common.stopping.store(true, Ordering::SeqCst);
        let handle = lock(&self.handle).take();
        let Some(handle) = handle else { return };
        self.common.wake();
        // A function that was the last to know of the server may end it, on the journal's thread.
        if handle.thread().id() != threads::current().id() {
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
impl Journal {
    /// Has effects recorded, which stay in this thread's buffer: see [`recorder::take`].
    pub fn record_only(&self) {
        self.on.store(true, Ordering::Relaxed);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}
