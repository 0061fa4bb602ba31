//! Transactions with commands that Python executes, in the control plane's thread or in one of the extensions'.

use std::sync::Arc;
use std::time::Duration;

use sherd_metrics::clock;
use sherd_metrics::memory;
use sherd_shards::command::spec::{Begin, Plane};
use sherd_shards::executor::engine::{Engine, Hold};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::reply::Protocol;
use sherd_shards::journal::{self, Unit};
use sherd_shards::server::tracking::Tracks;

use crate::connection::transaction::{Executed, QueuedCommand, Transaction};
use crate::protocol::request::borrowed;
use crate::request::caller::Caller;
use crate::request::control::count;
use crate::shared::message::{ControlRequest, Message};
use crate::shared::Shared;

use super::execution::{fail, Exec};

/// The shards that a transaction needs: those of its keys where these can be told, and no control command asks for more.
fn needs(shared: &Shared, transaction: &Transaction) -> u64 {
    let map = &shared.world.slots;
    let watched = transaction.watch.as_ref().map_or(0, |watch| watch.shards);
    let wanted = transaction.multi.commands.iter().fold(watched, |wanted, QueuedCommand { command, args, .. }| {
        let is_told = command.spec.keys.iter().all(|key| key.begin != Begin::Unknown);
        match command.spec.plane {
            Plane::Data(_) => wanted | command.shards_in_transaction(&borrowed(args), map),
            Plane::Extension if is_told => wanted | command.shards_of(&borrowed(args), map),
            Plane::Extension | Plane::Control => map.all_shards(),
            Plane::Connection(_) | Plane::Container => wanted,
        }
    });
    wanted.max(1)
}

/// A transaction with control commands that is being executed, by the thread that began it.
pub struct Running {
    shared: Arc<Shared>,
    /// `None` where the request is no transaction, which never happens.
    exec: Option<Arc<Exec>>,
    held: Hold<Arc<Engine>>,
    executed: Executed,
    /// When the control command was handed out that is being executed, and what this thread had allocated by then.
    handed_out: (u64, i64),
    /// What it does is recorded as one.
    unit: Unit,
}

impl Running {
    /// Takes the shards, and executes up to the first command that Python executes if the transaction may be executed at all. `None`
    /// where the shards are busy for so long, if whoever asks has others to look after meanwhile.
    pub fn begin(shared: &Arc<Shared>, request: &ControlRequest, at_most: Option<Duration>) -> Option<Running> {
        let engine = Arc::clone(&shared.engine);
        let needs = request.transaction.as_ref().map_or(1, |transaction| needs(shared, transaction));
        // Made before the shards are held: it is not theirs.
        let exec = request.transaction.as_ref().map(|transaction| {
            let caller = Caller::of_request(shared, request);
            Arc::new(Exec { caller, transaction: Arc::clone(transaction) })
        });
        let held = match at_most {
            Some(at_most) => Engine::hold_within(engine, needs, at_most)?,
            None => Engine::hold(engine, needs),
        };
        let mut running = Running {
            shared: Arc::clone(shared),
            exec,
            held,
            executed: Executed {
                db: request.db,
                protocol: request.protocol,
                tracks: request.tracks,
                ..Executed::default()
            },
            handed_out: (0, 0),
            unit: Unit::begin(),
        };
        let Running { exec, executed, held, .. } = &mut running;
        let exec = exec.clone().filter(|exec| exec.may_begin(executed, &mut held.shards()));
        running.held.shards().first().stats.discount_buffer(0, running.executed.replies.capacity());
        match exec {
            Some(exec) => running.go_on(&exec),
            None => running.executed.next = usize::MAX,
        }
        Some(running)
    }

    /// The command that Python executes next.
    pub fn next(&self) -> Option<&QueuedCommand> {
        let Executed { next, panicked, .. } = &self.executed;
        self.exec.as_ref().filter(|_| !panicked)?.transaction.multi.commands.get(*next)
    }

    /// The database and the protocol that the next command sees, and what it has to do for its client's tracking.
    pub fn state(&self) -> (u16, Protocol, Tracks) {
        (self.executed.db, self.executed.protocol, self.executed.tracks)
    }

    /// Says that what Python has allocated so far is not the shards', but for so many bytes.
    pub fn count_allocated(&mut self, bytes: i64) {
        self.handed_out.1 += bytes;
    }

    /// Whether a command of Python's comes next, whose answer is waited for.
    pub fn wants_answer(&self) -> bool {
        self.next().is_some()
    }

    /// Takes the answer of the control command that came next, and executes up to the one after it.
    pub fn answer(&mut self, request: &ControlRequest, data: &[u8]) {
        let Some(exec) = self.exec.clone() else { return };
        assert_eq!(request.token, exec.caller.token, "an answer for another transaction");
        let Some(queued) = exec.transaction.multi.commands.get(self.executed.next) else { return };
        let (tick, bytes) = self.handed_out;
        self.held.discount_since(bytes);
        count(&self.shared, &exec.caller.record, queued.command, &borrowed(&queued.args), tick, data);
        exec.caller.show(self.executed.db, queued.command, &queued.args);
        let replies = &mut self.executed.replies;
        self.held.uncounted(|| replies.extend_from_slice(data));
        self.executed.next += 1;
        self.go_on(&exec);
    }

    fn go_on(&mut self, exec: &Exec) {
        let capacity = self.executed.replies.capacity();
        exec.go_on(&mut self.executed, &mut self.held.shards(), None);
        // The replies go with the transaction.
        let now = self.executed.replies.capacity();
        self.held.shards().first().stats.discount_buffer(capacity, now);
        self.held.publish();
        self.handed_out = (clock::ticks(), memory::data_bytes());
    }

    /// Lets go of the shards and returns the transaction to its IO thread.
    pub fn end(mut self, request: &ControlRequest) {
        if self.wants_answer() {
            fail(&mut self.executed);
        }
        let Running { exec, held, mut executed, unit, .. } = self;
        drop(unit);
        let Some(exec) = exec else { return };
        drop(held);
        executed.ticket = journal::last_ticket();
        exec.caller.show(executed.db, request.command, &request.args);
        let executed = Message::Executed { connection: request.token, executed: Box::new(executed) };
        exec.caller.shared.tell_in_force(request.token, executed);
    }

    /// The time that all commands of the transaction see.
    pub fn now_ms(&self) -> i64 {
        self.executed.now_ms
    }

    /// The shards, for what a handler asks of them.
    pub fn shards(&mut self) -> Shards<'_> {
        self.held.shards()
    }

    /// Whether these are the shards of that engine.
    pub fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}
