//! Clients that wait for a key: BLPOP and its relatives, XREAD BLOCK, WAIT.
//!
//! A command that finds nothing says so with [`crate::handler::context::Context::block`]. Its arguments are then kept as a
//! [`Waiter`] in the queue of each of its keys. Whoever changes such a key marks it as ready; when the command that did so
//! is over and before the baton is let go, the queues of the ready keys are served in the order of arrival by running
//! each waiter's command again. Nobody else can come in between, so the order is fair.
//!
//! Here are the queues; who joins and serves them is [`crate::executor::waiting`].
//!
//! A waiter whose command needs several shards cannot be run by the holder of one of them: the run is an errand of the
//! engine ([`crate::executor::waiting::Serve`]), and the key's further waiters are served after that.
//!
//! Some find something by time alone (XREADGROUP CLAIM: an entry that has been pending for long enough): such a command says
//! when it is to be run again, and the client's IO thread sees to that.
//!
//! Whoever joins, leaves or is served does so in logarithmic time a key, however many wait: a queue is ordered by the
//! places of its waiters, and a command that waits for many keys looks at each of them once.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sherd_metrics::counters;

pub use crate::effects::waiter::{Block, Interrupt, Waiter};
use crate::journal::Ticket;
pub use crate::protocol::reply::TimeoutReply;

/// What a shard has to tell about waiters, when its baton was let go.
pub enum Wake {
    /// The command was run: its reply, after which the connection ends if the command panicked.
    Reply { token: u64, reply: Vec<u8>, close: bool, ticket: Ticket },
    /// The wait was interrupted while it was being served, and nothing was found: the IO thread answers.
    Interrupted { token: u64 },
    /// The command is to be run again at this time, earlier than was known.
    Later { token: u64, at_ms: i64 },
    /// The command is to be run with all shards that it needs; for the engine.
    Run(Arc<Waiter>),
}

impl Wake {
    /// The connection that is concerned.
    pub fn token(&self) -> u64 {
        match self {
            Wake::Reply { token, .. } | Wake::Interrupted { token } | Wake::Later { token, .. } => *token,
            Wake::Run(waiter) => waiter.token,
        }
    }
}

counters! {
    /// How many keys of one shard are waited for, read from other threads.
    #[derive(Default, Debug)]
    pub struct WaitCounts {
        keys: Keep, Sum("clients", "blocking_keys");
        /// Those whose disappearance ends a wait: a consumer of a group cannot go on without its stream.
        keys_on_nokey: Keep, Sum("clients", "blocking_keys_on_nokey");
    }
}

/// Those who wait for one key, by their places.
#[derive(Default)]
struct KeyQueue {
    waiters: BTreeMap<u64, Arc<Waiter>>,
    /// Waiters that end when the key is no longer there.
    ending_without_key: usize,
    is_ready: bool,
}

type KeyQueues = HashMap<Box<[u8]>, KeyQueue>;

/// The waiters of one shard.
pub struct Blocking {
    /// By database.
    queues: HashMap<u16, KeyQueues>,
    /// Keys that are waited for.
    keys: usize,
    counts: Arc<WaitCounts>,
    ready: VecDeque<(u16, Box<[u8]>)>,
}

impl Blocking {
    /// Nobody waits.
    pub fn new(counts: Arc<WaitCounts>) -> Blocking {
        Blocking { queues: HashMap::new(), keys: 0, counts, ready: VecDeque::new() }
    }

    /// Whether nobody waits here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Whether a waited-for key has changed.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next key that has changed and is waited for.
    pub(crate) fn next_ready(&mut self) -> Option<(u16, Box<[u8]>)> {
        loop {
            let (db, key) = self.ready.pop_front()?;
            if let Some(queue) = self.queue(db, &key) {
                queue.is_ready = false;
                return Some((db, key));
            }
        }
    }

    fn queue(&mut self, db: u16, key: &[u8]) -> Option<&mut KeyQueue> {
        self.queues.get_mut(&db)?.get_mut(key)
    }

    /// Adds a waiter, which has its place, to the queue of a key.
    pub(crate) fn join(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
        let queue = self.queues.entry(waiter.db).or_default().entry(key.into()).or_default();
        self.keys += usize::from(queue.waiters.is_empty());
        if queue.waiters.insert(waiter.place(), Arc::clone(waiter)).is_none() && waiter.ends_without_key() {
            queue.ending_without_key += 1;
            if queue.ending_without_key == 1 {
                self.counts.keys_on_nokey.increment();
            }
        }
        self.counts.keys.set(self.keys as u64);
    }

    /// Takes a waiter out of the queue of a key.
    pub(crate) fn leave(&mut self, key: &[u8], waiter: &Waiter) {
        let Some(of_db) = self.queues.get_mut(&waiter.db) else { return };
        let Some(queue) = of_db.get_mut(key) else { return };
        if queue.waiters.remove(&waiter.place()).is_none() {
            return;
        }
        if waiter.ends_without_key() {
            queue.ending_without_key -= 1;
            if queue.ending_without_key == 0 {
                self.counts.keys_on_nokey.subtract(1);
            }
        }
        if queue.waiters.is_empty() {
            of_db.remove(key);
            self.keys -= 1;
            if of_db.is_empty() {
                self.queues.remove(&waiter.db);
            }
        }
        self.counts.keys.set(self.keys as u64);
    }

    /// Says that a key has changed, if anybody waits for it.
    pub fn mark_ready(&mut self, db: u16, key: &[u8]) {
        if let Some(queue) = self.queue(db, key).filter(|queue| !queue.is_ready) {
            queue.is_ready = true;
            self.ready.push_back((db, key.into()));
        }
    }

    /// Says that every waited-for key of a database may have changed (SWAPDB, FLUSHDB).
    pub fn mark_all_ready(&mut self, db: u16) {
        let Some(of_db) = self.queues.get_mut(&db) else { return };
        for (key, queue) in of_db.iter_mut().filter(|(_, queue)| !queue.is_ready) {
            queue.is_ready = true;
            self.ready.push_back((db, key.clone()));
        }
    }

    /// The first waiter of a key from a place on.
    pub(crate) fn next(&mut self, db: u16, key: &[u8], from: u64) -> Option<Arc<Waiter>> {
        self.queue(db, key)?.waiters.range(from..).next().map(|(_, waiter)| Arc::clone(waiter))
    }

    /// Whether waiters of a key end when it is not there.
    pub(crate) fn ends_without_key(&mut self, db: u16, key: &[u8]) -> bool {
        self.queue(db, key).is_some_and(|queue| queue.ending_without_key > 0)
    }
}

/// Keys to wait for, each once, in their order.
pub fn distinct<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut seen = HashSet::new();
    keys.filter(|key| seen.insert(*key)).map(<[u8]>::to_vec).collect()
}
