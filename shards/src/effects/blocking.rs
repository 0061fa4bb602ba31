//! Clients that wait for a key: BLPOP and its relatives, XREAD BLOCK, WAIT.
//!
//! A command that finds nothing says so with [`crate::handler::context::Context::block`]. Its arguments are then kept as a
//! [`Waiter`] in the queue of each of its keys. Whoever changes such a key marks it as ready; when the command that did so
//! is over and before the baton is let go, the queues of the ready keys are served in the order of arrival by running
//! each waiter's command again. Nobody else can come in between, so the order is fair.
//!
//! A waiter whose command needs several shards cannot be run by the holder of one of them: the run is an errand of the
//! engine ([`Serve`]), and the key's further waiters are served after that.
//!
//! Some find something by time alone (XREADGROUP CLAIM: an entry that has been pending for long enough): such a command says
//! when it is to be run again, and the client's IO thread sees to that.
//!
//! Whoever joins, leaves or is served does so in logarithmic time a key, however many wait: a queue is ordered by the
//! places of its waiters, and a command that waits for many keys looks at each of them once.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use sherd_metrics::counters;

use crate::command::origin::Origin;
pub use crate::effects::waiter::{Block, Interrupt, Waiter};
use crate::executor::errand::Errand;
use crate::executor::execute::{call_counted, Call, INTERNAL_ERROR};
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::journal::Ticket;
use crate::protocol::reply::Reply;
pub use crate::protocol::reply::TimeoutReply;
use crate::server::shard::Shard;
use crate::server::world::World;

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

    fn queue(&mut self, db: u16, key: &[u8]) -> Option<&mut KeyQueue> {
        self.queues.get_mut(&db)?.get_mut(key)
    }

    /// Adds a waiter, which has its place, to the queue of a key.
    fn join(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
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
    fn leave(&mut self, key: &[u8], waiter: &Waiter) {
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
    fn next(&mut self, db: u16, key: &[u8], from: u64) -> Option<Arc<Waiter>> {
        self.queue(db, key)?.waiters.range(from..).next().map(|(_, waiter)| Arc::clone(waiter))
    }

    /// Whether waiters of a key end when it is not there.
    fn ends_without_key(&mut self, db: u16, key: &[u8]) -> bool {
        self.queue(db, key).is_some_and(|queue| queue.ending_without_key > 0)
    }
}

/// Keys to wait for, each once, in their order.
pub fn distinct<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut seen = HashSet::new();
    keys.filter(|key| seen.insert(*key)).map(<[u8]>::to_vec).collect()
}

/// Puts a command that blocks into the queues of the keys that it waits for. The shards of all its keys are held, so no
/// change of them can be missed.
pub fn register(shards: &mut Shards<'_>, world: &World, call: &Call<'_>, token: u64, block: Block) -> Arc<Waiter> {
    let map = world.slots;
    let shard_of = |key: &[u8]| 1u64 << map.shard_of(map.slot(key));
    let queued_in = block.keys.iter().fold(0, |set, key| set | shard_of(key));
    // Keys that the command writes to (BLMOVE's destination) are among its keys, not among those waited for.
    let keys = call.command.spec.key_positions(call.args).unwrap_or_default();
    let needs = keys.iter().fold(queued_in, |set, &at| set | shard_of(call.args[at]));
    let waiter = Waiter::new(call, token, block, (queued_in, needs));
    waiter.set_place(world.next_wait_place());
    for key in &waiter.block.keys {
        shards.of_slot(map.slot(key)).blocking.join(key, &waiter);
    }
    waiter
}

/// Takes a waiter that has ended out of the queues of one shard.
pub fn forget(shard: &mut Shard, waiter: &Waiter) {
    let map = shard.world.slots;
    for key in waiter.block.keys.iter().filter(|key| map.shard_of(map.slot(key)) == shard.index) {
        shard.blocking.leave(key, waiter);
        // Those behind it may have been waiting for its run.
        if waiter.run_is_due() {
            shard.blocking.mark_ready(waiter.db, key);
        }
    }
}

/// Serves the waiters of all ready keys. Serving may make further keys ready; those are served as well.
pub fn serve(shard: &mut Shard) {
    while let Some((db, key)) = shard.blocking.ready.pop_front() {
        if let Some(queue) = shard.blocking.queue(db, &key) {
            queue.is_ready = false;
            serve_key(shard, db, &key, 0);
        }
    }
}

/// Serves the queue of a key from a place on.
fn serve_key(shard: &mut Shard, db: u16, bytes: &[u8], mut from: u64) {
    let key = shard.key_of(bytes);
    while let Some(waiter) = shard.blocking.next(db, bytes, from) {
        from = waiter.place() + 1;
        if waiter.state.has_ended() {
            shard.blocking.leave(bytes, &waiter);
            continue;
        }
        let found = shard.db(db).and_then(|db| db.find(&key)).map(crate::entry::Entry::value_type);
        if found.is_none() && !shard.blocking.ends_without_key(db, bytes) {
            return;
        }
        if waiter.block.wants.is_some() && waiter.block.wants != found {
            continue;
        }
        if waiter.needs_several() {
            // Those behind it come after its run.
            if waiter.make_run_due() {
                shard.outbox.wake(Wake::Run(waiter));
            }
            return;
        }
        let world = Arc::clone(&shard.world);
        run(&mut Shards::one(world.slots, shard), &world, &waiter);
    }
}

/// Runs a waiter's command again; all shards that it needs are held. It leaves the queues unless it goes on waiting.
fn run(shards: &mut Shards<'_>, world: &World, waiter: &Arc<Waiter>) {
    if !waiter.state.begin_serving() {
        leave_all(shards, world, waiter);
        return;
    }
    let args: Vec<&[u8]> = waiter.args.iter().map(Vec::as_slice).collect();
    let call = Call {
        command: waiter.command,
        args: &args,
        first_key: (0, 0),
        client: Client {
            db: waiter.db,
            protocol: waiter.protocol,
            no_touch: false,
            tracks: waiter.tracks,
            record: waiter.record.as_deref(),
        },
        now_ms: world.now_milliseconds(),
        origin: Origin::Waiter,
    };
    let (token, mut reply) = (waiter.token, Vec::new());
    let result =
        catch_unwind(AssertUnwindSafe(|| call_counted(shards, world, &call, &waiter.sent_args(), &mut reply).1));
    let wake = match result {
        Ok(Some(block)) if waiter.state.goes_on_waiting() => {
            let earlier = block.again_at_ms.filter(|&at_ms| waiter.run_again_at(at_ms));
            let Some(at_ms) = earlier else { return };
            shards.first().outbox.wake(Wake::Later { token, at_ms });
            return;
        }
        Ok(Some(_)) => Wake::Interrupted { token },
        Ok(None) => Wake::Reply { token, reply, close: false, ticket: 0 },
        Err(_) => {
            shards.first().stats.panics.increment();
            reply.clear();
            Reply::new(&mut reply, waiter.protocol).error(&INTERNAL_ERROR);
            Wake::Reply { token, reply, close: true, ticket: 0 }
        }
    };
    waiter.state.end();
    leave_all(shards, world, waiter);
    shards.first().outbox.wake(wake);
}

fn leave_all(shards: &mut Shards<'_>, world: &World, waiter: &Waiter) {
    for key in &waiter.block.keys {
        shards.of_slot(world.slots.slot(key)).blocking.leave(key, waiter);
    }
}

/// The errand of running a waiter's command with all shards that it needs, and of serving those behind it.
pub struct Serve(pub Arc<Waiter>);

impl Errand for Serve {
    fn needs(&self) -> u64 {
        self.0.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, world: &World) {
        let waiter = &self.0;
        waiter.begin_run();
        run(shards, world, waiter);
        let place = waiter.place() + 1;
        for key in &waiter.block.keys {
            serve_key(shards.of_slot(world.slots.slot(key)), waiter.db, key, place);
        }
    }

    // The client's command is guarded by itself.
    fn panicked(&mut self) {}

    fn end(self: Box<Self>) {}
}
