//! Clients that wait for a key: BLPOP and its relatives, XREAD BLOCK, WAIT.
//!
//! A command that finds nothing says so with [`crate::context::Context::block`]. Its arguments are then kept as a
//! [`Waiter`] in the queue of each of its keys. Whoever changes such a key marks it as ready; when the command that did so
//! is over and before the baton is let go, the queues of the ready keys are served in the order of arrival by running
//! each waiter's command again. Nobody else can come in between, so the order is fair.
//!
//! A waiter whose keys lie on several shards cannot be run by the holder of one of them. His IO thread is told and runs
//! the command again with all its shards; the key's further waiters are served after that.
//!
//! Some find something by time alone (XREADGROUP CLAIM: an entry that has been pending for long enough): such a command says
//! when it is to be run again, and the client's IO thread does that.
//!
//! A waiter ends once: served, timed out, unblocked or gone, whoever claims him first.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::Arc;

use sherd_metrics::Counter;

use crate::access::Shards;
use crate::context::Client;
use crate::db::Key;
use crate::execute::{call_or_block, Call};
use crate::object::Type;
use crate::registry::Command;
use crate::shard::Shard;

/// What a command answers when its time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutReply {
    NullArray,
    Null,
    Int(i64),
}

/// What a command waits for.
#[derive(Debug)]
pub struct Block {
    pub keys: Vec<Vec<u8>>,
    /// Milliseconds on the monotonic clock; `None` is for ever.
    pub deadline_ms: Option<i64>,
    /// A key of another type does not wake the client.
    pub wants: Option<Type>,
    pub on_timeout: TimeoutReply,
    /// Arguments by number that are other ones when the command is run again: XREAD's `$` means the moment of the call.
    pub rewrites: Vec<(usize, Vec<u8>)>,
    /// When the command finds something although no key changes, in milliseconds on the monotonic clock.
    pub again_at_ms: Option<i64>,
}

const NEVER: i64 = i64::MAX;

/// A client that waits, with the command that it waits in.
pub struct Waiter {
    /// The connection, in the IO layer's own terms.
    pub token: u64,
    pub command: &'static Command,
    pub args: Vec<Vec<u8>>,
    pub db: u16,
    pub resp3: bool,
    pub block: Block,
    /// The keys lie on several shards.
    pub spread: bool,
    /// When the command is to be run again; [`NEVER`] if no time is set.
    again_at_ms: AtomicI64,
    /// His IO thread was told to run the command again and has not begun yet.
    told: AtomicBool,
    ended: AtomicBool,
}

impl Waiter {
    /// A waiter who has not ended.
    pub fn new(token: u64, call: &Call<'_>, block: Block, spread: bool) -> Arc<Waiter> {
        let mut args: Vec<Vec<u8>> = call.args.iter().map(|arg| arg.to_vec()).collect();
        for (index, arg) in &block.rewrites {
            args[*index].clone_from(arg);
        }
        Arc::new(Waiter {
            token,
            command: call.command,
            args,
            db: call.client.db,
            resp3: call.client.resp3,
            again_at_ms: AtomicI64::new(block.again_at_ms.unwrap_or(NEVER)),
            block,
            spread,
            told: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Ends the waiting; true for the one who did. AcqRel: what the claimer does next happens after what the last holder did.
    pub fn claim(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// When the command is to be run again even if no key changes.
    pub fn again_at_ms(&self) -> Option<i64> {
        // Relaxed: whoever sets an earlier time also sends a message about it.
        Some(self.again_at_ms.load(Ordering::Relaxed)).filter(|&at_ms| at_ms != NEVER)
    }

    /// Has the command run again at a time; true if it would have been later or never.
    pub fn run_again_at(&self, at_ms: i64) -> bool {
        at_ms < self.again_at_ms.fetch_min(at_ms, Ordering::Relaxed)
    }

    /// Whether his IO thread has yet to be told that a key is ready: once is enough however often it changes, and keeps
    /// the thread's mailbox from filling up.
    fn must_be_told(&self) -> bool {
        !self.told.swap(true, Ordering::AcqRel)
    }

    /// The IO thread is about to take the batons and run the command: what changes from now on it must be told again.
    pub fn begin_retry(&self) {
        self.told.store(false, Ordering::Release);
    }

    /// Whether the time to run the command again has come, which is then forgotten.
    pub fn take_again(&self, now_ms: i64) -> bool {
        let due = self.again_at_ms.load(Ordering::Relaxed) <= now_ms;
        if due {
            self.again_at_ms.store(NEVER, Ordering::Relaxed);
        }
        due
    }

    /// Whether the waiting ends when a key is no longer there.
    fn ends_without_key(&self) -> bool {
        self.block.wants.is_none()
    }

    /// Whether the waiting is over.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// What a shard has to tell IO threads about waiters, when its baton was let go.
pub enum Wake {
    /// The command was run: its reply.
    Reply { token: u64, reply: Vec<u8> },
    /// A key is ready; the command is to be run again with all its shards.
    Retry { token: u64 },
    /// The command is to be run again at this time, earlier than was known.
    Later { token: u64, at_ms: i64 },
}

impl Wake {
    /// The connection that is concerned.
    pub fn token(&self) -> u64 {
        let (Wake::Reply { token, .. } | Wake::Retry { token } | Wake::Later { token, .. }) = self;
        *token
    }
}

type Queues = HashMap<(u16, Box<[u8]>), VecDeque<Arc<Waiter>>>;

/// How many keys of one shard are waited for, read from other threads.
#[derive(Default, Debug)]
pub struct WaitCounts {
    pub keys: Counter,
    /// Those whose disappearance ends a wait: a consumer of a group cannot go on without his stream.
    pub keys_on_nokey: Counter,
}

/// The waiters of one shard.
pub struct Blocking {
    queues: Queues,
    counts: Arc<WaitCounts>,
    ready: VecDeque<(u16, Box<[u8]>)>,
    pub wakes: Vec<Wake>,
}

impl Blocking {
    /// Nobody waits.
    pub fn new(counts: Arc<WaitCounts>) -> Blocking {
        Blocking { queues: Queues::default(), counts, ready: VecDeque::new(), wakes: Vec::new() }
    }

    /// Whether nobody waits here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether a waited-for key has changed.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a waiter to the queue of a key.
    pub fn add(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
        let queue = self.queues.entry((waiter.db, key.into())).or_default();
        if !queue.iter().any(|other| Arc::ptr_eq(other, waiter)) {
            if waiter.ends_without_key() && !queue.iter().any(|other| other.ends_without_key()) {
                self.counts.keys_on_nokey.increment();
            }
            queue.push_back(Arc::clone(waiter));
        }
        self.counts.keys.set(self.queues.len() as u64);
    }

    /// Takes a waiter out of all queues that he is in here.
    pub fn remove(&mut self, waiter: &Arc<Waiter>) {
        for key in &waiter.block.keys {
            let place = (waiter.db, Box::from(key.as_slice()));
            if let Some(queue) = self.queues.get_mut(&place) {
                let before = queue.len();
                queue.retain(|other| !Arc::ptr_eq(other, waiter));
                let was_here = queue.len() < before;
                if was_here && waiter.ends_without_key() && !queue.iter().any(|other| other.ends_without_key()) {
                    self.counts.keys_on_nokey.subtract(1);
                }
                if queue.is_empty() {
                    self.queues.remove(&place);
                }
            }
        }
        self.counts.keys.set(self.queues.len() as u64);
    }

    /// Says that a key has changed, if anybody waits for it.
    pub fn mark_ready(&mut self, db: u16, key: &[u8]) {
        let place = (db, Box::from(key));
        if self.queues.contains_key(&place) && !self.ready.contains(&place) {
            self.ready.push_back(place);
        }
    }

    /// Says that every waited-for key of a database may have changed (SWAPDB, FLUSHDB).
    pub fn mark_all_ready(&mut self, db: u16) {
        let keys: Vec<Box<[u8]>> = self.queues.keys().filter(|(of, _)| *of == db).map(|(_, key)| key.clone()).collect();
        for key in keys {
            self.mark_ready(db, &key);
        }
    }

    fn nth(&self, place: &(u16, Box<[u8]>), index: usize) -> Option<Arc<Waiter>> {
        self.queues.get(place)?.get(index).cloned()
    }
}

/// Serves the waiters of all ready keys. Serving may make further keys ready; those are served as well.
pub fn serve(shard: &mut Shard) {
    while let Some(place) = shard.blocking.ready.pop_front() {
        serve_key(shard, &place, 0);
    }
}

/// Serves those who stand behind a waiter in the queue of a key: he was run by his IO thread and found nothing.
pub fn serve_behind(shard: &mut Shard, waiter: &Arc<Waiter>, key: &[u8]) {
    let place = (waiter.db, Box::from(key));
    let position =
        shard.blocking.queues.get(&place).and_then(|queue| queue.iter().position(|w| Arc::ptr_eq(w, waiter)));
    if let Some(position) = position {
        serve_key(shard, &place, position + 1);
    }
}

/// Serves the queue of a key from the waiter number `index` on.
fn serve_key(shard: &mut Shard, place: &(u16, Box<[u8]>), mut index: usize) {
    while let Some(waiter) = shard.blocking.nth(place, index) {
        if waiter.has_ended() {
            shard.blocking.remove(&waiter);
            continue;
        }
        if !is_for(shard, place, &waiter) {
            index += 1;
            continue;
        }
        if waiter.spread {
            // His IO thread runs the command; those behind him come after that.
            if waiter.must_be_told() {
                shard.blocking.wakes.push(Wake::Retry { token: waiter.token });
            }
            return;
        }
        match run(shard, &waiter) {
            Some(reply) => {
                shard.blocking.remove(&waiter);
                if waiter.claim() {
                    shard.blocking.wakes.push(Wake::Reply { token: waiter.token, reply });
                }
            }
            None => index += 1,
        }
    }
}

/// Whether the key holds what the waiter waits for.
fn is_for(shard: &Shard, (db, bytes): &(u16, Box<[u8]>), waiter: &Waiter) -> bool {
    let key = Key { bytes, hash: crate::table::hash(bytes), slot: shard.world.slots.slot(bytes) };
    let found = shard.db(*db).and_then(|db| db.find(&key)).map(crate::entry::Entry::value_type);
    match (waiter.block.wants, found) {
        (Some(wanted), Some(found)) => wanted == found,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Runs a waiter's command again. `None`: there is still nothing for him. He is claimed afterwards, as the command has had
/// its effect only if it did not block; a waiter who ends meanwhile cannot: ending takes the shard's baton or the claim.
fn run(shard: &mut Shard, waiter: &Arc<Waiter>) -> Option<Vec<u8>> {
    if waiter.has_ended() {
        return None;
    }
    let world = Arc::clone(&shard.world);
    let args: Vec<&[u8]> = waiter.args.iter().map(Vec::as_slice).collect();
    let call = Call {
        command: waiter.command,
        args: &args,
        first_key: (0, 0),
        client: Client { db: waiter.db, resp3: waiter.resp3, no_touch: false, record: None },
        now_ms: world.now_milliseconds(),
        in_transaction: false,
    };
    let mut out = Vec::new();
    let (_, blocked) = call_or_block(Shards::one(world.slots, shard), &world, &call, &mut out);
    let Some(block) = blocked else { return Some(out) };
    if let Some(at_ms) = block.again_at_ms.filter(|&at_ms| waiter.run_again_at(at_ms)) {
        shard.blocking.wakes.push(Wake::Later { token: waiter.token, at_ms });
    }
    None
}
