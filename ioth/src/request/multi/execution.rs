//! Transactions: executed at once, in order, with all shards held that they need.
//!
//! Whoever has the shards executes: the client's IO thread if they are free, else the thread of the one that was busy (an
//! errand), or the control plane's thread where commands of that plane are among them. A data command must see what a control
//! command before it has done, and the reverse: INFO after SET counts the key. So the control plane's thread takes the
//! batons of all shards, executes data commands itself until the next control command, has that one's handler run, and goes on.
//! Nothing that holds a shard waits for another thread, others see all of the transaction or nothing, and what a handler
//! asks of the shards it asks of those that its own thread holds.
//!
//! Commands that concern the connection belong to its IO thread. Where another thread executes the transaction, they follow when
//! the rest comes back; only what other commands depend on takes effect in between: the database of SELECT, the protocol of
//! HELLO.
//!
//! Rejected: having the IO thread hold the shards and wait for the control plane, which may just then wait for a shard;
//! and executing in pieces without the batons in between, which others would see.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::command::origin::Origin;
use sherd_shards::command::registry::{Command, Route};
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::executor::execute::{self, Call, Counts, Done, INTERNAL_ERROR};
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::context::Client;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::{Protocol, Reply};
use sherd_shards::journal::Unit;
use sherd_shards::maintenance::evict;
use sherd_shards::server::tracking::Tracks;
use sherd_types::invariant::contain;

use crate::connection::transaction::{Executed, QueuedCommand, Transaction};
use crate::protocol::request::borrowed;
use crate::request::caller::Caller;
use crate::request::gate::discarded_because_of;
use crate::request::own_command::{asks_for_subscriptions, changes_tracking};
use crate::request::selected::selects;

use super::watch::has_changed;

const EXEC_OUT_OF_MEMORY: CommandError = CommandError::new(
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
);

/// A transaction and its client.
pub struct Exec {
    pub caller: Caller,
    pub transaction: Arc<Transaction>,
}

/// Executes a command that concerns the connection, where that is at hand: appends its reply, and returns what holds for
/// the commands after it: the database, the protocol, and what is to be done for its tracking.
pub type OwnCommand<'a> = &'a mut dyn FnMut(&QueuedCommand, &mut Vec<u8>) -> (u16, Protocol, Tracks);

impl Exec {
    /// Nothing was executed yet.
    pub fn begin(&self) -> Executed {
        let Caller { db, protocol, tracks, .. } = self.caller;
        Executed { db, protocol, tracks, ..Executed::default() }
    }

    /// Executes all of it; there is no control command in it.
    pub fn run_all(&self, executed: &mut Executed, shards: &mut Shards<'_>, own: Option<OwnCommand<'_>>) {
        let capacity = executed.replies.capacity();
        if self.may_begin(executed, shards) {
            let _unit = Unit::begin();
            self.go_on(executed, shards, own);
        }
        shards.first().stats.discount_buffer(capacity, executed.replies.capacity());
    }

    /// Whether the transaction may be executed at all; if not, it is answered.
    pub fn may_begin(&self, executed: &mut Executed, shards: &mut Shards<'_>) -> bool {
        let world = &self.caller.shared.world;
        // Waiting for the shards may have taken long.
        executed.now_ms = world.now_milliseconds();
        // Room is made before the watches are looked at, for an evicted key has changed.
        let (flags, has_script) = self.flags();
        executed.lacks_room = (flags & flag::DENYOOM != 0 || has_script) && !evict::has_room(shards, world);
        if executed.lacks_room && flags & flag::DENYOOM != 0 {
            refuse(executed, EXEC_OUT_OF_MEMORY);
            return false;
        }
        if let Some(error) = world.pause.late_refusal().filter(|_| flags & flag::WRITE != 0) {
            refuse(executed, discarded_because_of(error));
            return false;
        }
        if self.transaction.watch.as_ref().is_some_and(|watch| has_changed(watch, shards, world, executed.now_ms)) {
            Reply::new(&mut executed.replies, executed.protocol).null_array();
            return false;
        }
        Reply::new(&mut executed.replies, executed.protocol).array(self.transaction.multi.commands.len());
        true
    }

    /// The flags that its commands have, and whether there is a script among them that may turn out to write.
    fn flags(&self) -> (u32, bool) {
        let scripts = &self.caller.shared.scripts;
        self.transaction.multi.commands.iter().fold((0, false), |(all, has_script), queued| {
            let flags = scripts.flags_of_queued(queued);
            let is_script = queued.command.route == Route::Script && flags & flag::MAY_REPLICATE != 0;
            (all | flags, has_script || is_script)
        })
    }

    /// Executes commands until one comes that Python executes.
    pub fn go_on(&self, executed: &mut Executed, shards: &mut Shards<'_>, mut own: Option<OwnCommand<'_>>) {
        while let Some(queued) = self.transaction.multi.commands.get(executed.next) {
            if let Some(error) = &queued.denied {
                refuse(executed, error.clone());
                executed.next += 1;
                continue;
            }
            match queued.command.spec.plane {
                Plane::Control | Plane::Extension => return,
                Plane::Data(_) => self.run(queued, executed, shards),
                Plane::Connection(_) => match &mut own {
                    Some(own) if !follows(queued.command, executed) => {
                        (executed.db, executed.protocol, executed.tracks) = own(queued, &mut executed.replies)
                    }
                    _ => self.run_for_connection(queued, executed, shards),
                },
                Plane::Container => {}
            }
            self.caller.show(executed.db, queued.command, &queued.args);
            if executed.panicked {
                return;
            }
            executed.next += 1;
            self.drop_too_much(executed);
        }
    }

    /// Keeps no more replies than the client may leave unread: it is cut when the transaction is over, which is executed as a whole.
    fn drop_too_much(&self, executed: &mut Executed) {
        let limit = self.caller.reply_bytes_max();
        if executed.too_much_from.is_none() && executed.replies.len() > limit {
            executed.too_much_from = Some(executed.replies.len());
        }
        if let Some(length) = executed.too_much_from {
            executed.replies.truncate(length);
        }
    }

    /// A command of the connection: left to its IO thread, but for what the commands after it depend on.
    fn run_for_connection(&self, queued: &QueuedCommand, executed: &mut Executed, shards: &mut Shards<'_>) {
        let Some(selected) = selects(&self.caller.shared, queued.command, &queued.args) else {
            executed.left.push((executed.replies.len(), queued.command, queued.args.clone()));
            executed.protocol = queued.protocol_after().unwrap_or(executed.protocol);
            if changes_tracking(queued.command) {
                // How, is found out when it is executed. To be told of too much is no harm.
                executed.tracks = Tracks::new(true, false);
            }
            return;
        };
        let (start, tick) = (executed.replies.len(), clock::ticks());
        let mut reply = Reply::new(&mut executed.replies, executed.protocol);
        match selected {
            Ok(db) => {
                executed.db = db;
                reply.ok();
            }
            Err(error) => reply.error(&error),
        }
        let failed = reply.failed();
        self.account(queued, executed, shards, (start, tick, failed));
    }

    /// Executes a data command.
    fn run(&self, queued: &QueuedCommand, executed: &mut Executed, shards: &mut Shards<'_>) {
        let world = &self.caller.shared.world;
        let args = borrowed(&queued.args);
        let Executed { db, protocol, tracks, .. } = *executed;
        let client = Client { db, protocol, tracks, ..self.caller.client() };
        let call = Call {
            command: queued.command,
            args: &args,
            first_key: (0, 0),
            client,
            now_ms: executed.now_ms,
            origin: if executed.lacks_room { Origin::ExecWithoutRoom } else { Origin::Exec },
        };
        let start = executed.replies.len();
        let tick = clock::ticks();
        let out = &mut executed.replies;
        let result = contain(|| execute::call(shards.reborrow(), world, &call, out));
        let Ok(failed) = result else {
            shards.first().stats.panics.increment();
            fail(executed);
            return;
        };
        self.account(queued, executed, shards, (start, tick, failed));
    }

    /// Counts a command that began at a tick and whose reply begins at `start`.
    fn account(
        &self,
        queued: &QueuedCommand,
        executed: &Executed,
        shards: &mut Shards<'_>,
        (start, tick, failed): (usize, u64, bool),
    ) {
        let record = &self.caller.record;
        let args = borrowed(&queued.args);
        let first = shards.first();
        first.stats.commands.increment();
        // Counted with the first shard's cells, which are those of whoever holds it.
        let counts = Counts { cells: &first.cells, stats: &first.stats, rate: TickRate::get() };
        let (ticks, reply) = (clock::ticks().wrapping_sub(tick), &executed.replies[start..]);
        let done = Done { command: queued.command, args: &args, client: Some(record), ticks, failed, reply };
        execute::account(&counts, &self.caller.shared.world, &done);
        record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
    }
}

/// Whether a command of the connection is executed behind all others: messages follow what the transaction has done, events
/// included, and what is answered by subscriptions follows them.
fn follows(command: &Command, executed: &Executed) -> bool {
    command.spec.has(flag::PUBSUB) || !executed.left.is_empty() && asks_for_subscriptions(command)
}

/// Answers an error in place of a command, or of all of them.
fn refuse(executed: &mut Executed, error: CommandError) {
    Reply::new(&mut executed.replies, executed.protocol).error(&error);
    executed.refused.push(error);
}

/// The client is told in place of all replies, and its connection ends.
pub fn fail(executed: &mut Executed) {
    executed.replies.clear();
    executed.left.clear();
    executed.panicked = true;
    Reply::new(&mut executed.replies, executed.protocol).error(&INTERNAL_ERROR);
}
