//! Transactions with commands of both planes, executed in the control plane's thread.

use std::sync::Arc;

use sherd_metrics::clock;
use sherd_metrics::memory;
use sherd_shards::executor::engine::{Engine, Hold};
use sherd_shards::handler::access::Shards;
use sherd_shards::journal::{self, Unit};

use crate::connection::transaction::Executed;
use crate::protocol::request::borrowed;
use crate::request::caller::Caller;
use crate::request::control::count;
use crate::shared::message::{ControlRequest, Message};
use crate::shared::Shared;

use super::execution::{fail, Exec};

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
    /// Takes all shards, and executes up to the first control command if the transaction may be executed at all.
    pub fn begin(shared: &Arc<Shared>, request: &ControlRequest) -> Running {
        let engine = Arc::clone(&shared.engine);
        let all = engine.all_shards();
        let mut running = Running {
            shared: Arc::clone(shared),
            exec: request.transaction.as_ref().map(|transaction| {
                let caller = Caller::of_request(shared, request);
                Arc::new(Exec { caller, transaction: Arc::clone(transaction) })
            }),
            held: Engine::hold(engine, all),
            executed: Executed {
                db: request.db,
                protocol: request.protocol,
                tracks: request.tracks,
                ..Executed::default()
            },
            handed_out: (0, 0),
            unit: Unit::begin(),
        };
        match running.exec.clone() {
            Some(exec) if exec.may_begin(&mut running.executed, &mut running.held.shards()) => running.go_on(&exec),
            _ => running.executed.next = usize::MAX,
        }
        running
    }

    /// Whether a control command comes next, whose answer is waited for.
    pub fn wants_answer(&self) -> bool {
        let Executed { next, panicked, .. } = &self.executed;
        !panicked && self.exec.as_ref().is_some_and(|exec| *next < exec.transaction.multi.commands.len())
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
        exec.go_on(&mut self.executed, &mut self.held.shards(), None);
        self.held.publish();
        self.handed_out = (clock::ticks(), memory::thread_bytes());
    }

    /// Lets go of the shards and returns the transaction to its IO thread.
    pub fn end(mut self, request: &ControlRequest) {
        if self.wants_answer() {
            fail(&mut self.executed);
        }
        let Running { exec, mut held, mut executed, unit, .. } = self;
        drop(unit);
        let Some(exec) = exec else { return };
        // The buffer has grown while commands were executed; what it takes is not the shards'.
        let replies = held.uncounted(|| executed.replies.clone());
        executed.replies = replies;
        drop(held);
        executed.ticket = journal::last_ticket();
        exec.caller.show(executed.db, request.command, &request.args);
        exec.caller.tell(Message::Executed { connection: request.token, executed: Box::new(executed) });
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
