//! EXEC, as far as the client's IO thread is concerned: who executes the transaction, and what is left to do when it was executed.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::{self, Command, Route};
use sherd_shards::command::spec::Plane;
use sherd_shards::executor::engine::Engine;
use sherd_shards::executor::errand::Errand;
use sherd_shards::handler::access::Shards;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::scripting::Knowledge;
use sherd_shards::journal;
use sherd_shards::server::world::World;

use crate::connection::token::Token;
use crate::connection::transaction::{Executed, QueuedCommand, Transaction};
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::request::{borrowed, owned};
use crate::request::caller::Caller;
use crate::request::control::{control_request, defer_for_inbox};
use crate::request::durable::hold_for;
use crate::request::gate::count_error;
use crate::request::output::{cut_at_limit, cut_if_dropped};
use crate::request::over_shards::leave_errand;
use crate::request::own_command::run_connection_command;
use crate::request::paused::begin_pauses;
use crate::request::rights::check_queued;
use crate::request::settle::go_on_with;
use crate::request::slots::{same_slot, slots_of};
use crate::request::track::{expect_tracking, tell_early};
use crate::shared::extensions::work::Work;
use crate::shared::message::Message;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::execution::{fail, Exec};

const EXEC_ABORT: CommandError = CommandError::new("EXECABORT Transaction discarded because of previous errors.");

/// The errand of a transaction whose shards were busy.
struct ExecErrand {
    exec: Exec,
    /// The shards that it needs, as a bit set.
    needs: u64,
    executed: Executed,
}

impl Errand for ExecErrand {
    fn needs(&self) -> u64 {
        self.needs
    }

    fn run(&mut self, shards: &mut Shards<'_>, _: &World) {
        self.exec.run_all(&mut self.executed, shards, None);
    }

    fn panicked(&mut self) {
        fail(&mut self.executed);
    }

    fn end(mut self: Box<Self>) {
        self.executed.ticket = journal::last_ticket();
        let command = registry::table().find(b"exec").expect("EXEC is in the table");
        let caller = &self.exec.caller;
        caller.show(self.executed.db, command, &self.exec.transaction.args);
        caller.tell(Message::Executed { connection: caller.token, executed: Box::new(self.executed) });
    }
}

/// EXEC: executes, or sends the transaction to the control plane if it has commands of it.
pub fn exec(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result<Dispatch, CommandError> {
    let Some(multi) = &mut connection.session.multi else {
        return Err(CommandError::new("ERR EXEC without MULTI"));
    };
    if multi.aborted {
        connection.discard();
        return Err(EXEC_ABORT);
    }
    if io.shared.cluster {
        let queue: Vec<(&Command, Vec<&[u8]>)> =
            multi.commands.iter().map(|queued| (queued.command, borrowed(&queued.args))).collect();
        let slots = queue.iter().flat_map(|(command, args)| slots_of(command, args));
        if let Err(error) = same_slot(slots) {
            connection.discard();
            return Err(error);
        }
    }
    if connection.session.is_checked {
        if let Some(mut multi) = connection.session.multi.take() {
            check_queued(&io.shared, &connection.record, &connection.session, &mut multi);
            connection.session.multi = Some(multi);
        }
    }
    let Some(multi) = &connection.session.multi else { return Ok(Dispatch::Done) };
    let executor = executor(&multi.commands);
    let Some(multi) = connection.session.multi.take() else { return Ok(Dispatch::Done) };
    let transaction = Transaction { args: owned(args), multi, watch: connection.session.watch.take() };
    Ok(match executor {
        Executor::Shards => exec_over_shards(io, connection, transaction),
        Executor::Control => send_exec(io, connection, transaction),
        Executor::Extensions => send_exec_to_extensions(io, connection, transaction),
    })
}

/// Who executes a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Executor {
    /// Whoever has its shards.
    Shards,
    /// The control plane's thread, if any of its commands is among them: its handlers run in no other.
    Control,
    /// One of the extensions' threads.
    Extensions,
}

fn executor(commands: &[QueuedCommand]) -> Executor {
    let has = |wanted: fn(&Plane) -> bool| commands.iter().any(|queued| wanted(&queued.command.spec.plane));
    if has(|plane| matches!(plane, Plane::Control)) {
        Executor::Control
    } else if has(|plane| matches!(plane, Plane::Extension)) {
        Executor::Extensions
    } else {
        Executor::Shards
    }
}

/// Executes a transaction without control commands, now or when its shards are free.
fn exec_over_shards(io: &mut IoThread, connection: &mut Connection, transaction: Transaction) -> Dispatch {
    let map = io.shared.world.slots;
    let commands = &transaction.multi.commands;
    let of_data = commands.iter().filter(|queued| matches!(queued.command.spec.plane, Plane::Data(_)));
    let watched = transaction.watch.as_ref().map_or(0, |watch| watch.shards);
    let wanted = of_data
        .fold(watched, |wanted, queued| wanted | queued.command.shards_in_transaction(&borrowed(&queued.args), &map));
    // A transaction needs some shard to be executed in.
    let needs = wanted.max(1);
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    let exec = Exec { caller: Caller::of(&io.shared, connection), transaction: Arc::new(transaction) };
    let mut executed = exec.begin();
    let engine = Arc::clone(&io.shared.engine);
    // A script that may take long is not executed where connections wait.
    let is_quick = !exec.transaction.multi.commands.iter().any(may_take_long);
    let held = if is_quick { Engine::try_hold(engine, needs) } else { Err(needs.trailing_zeros() as usize) };
    match held {
        Ok(mut held) => {
            let mut own = |queued: &QueuedCommand, replies: &mut Vec<u8>| {
                run_in_transaction(io, connection, queued, replies);
                (connection.session.db, connection.session.protocol, connection.record.tracking.tracks())
            };
            exec.run_all(&mut executed, &mut held.shards(), Some(&mut own));
            drop(held);
            executed.ticket = journal::last_ticket();
            end_exec(io, connection, executed);
            // Who has guessed passwords in it is not listened to for a while, and who is cut not at all.
            if connection.is_deferred || connection.closing {
                Dispatch::Wait
            } else {
                Dispatch::Done
            }
        }
        Err(busy) => {
            expect_tracking(io, connection, &exec.transaction);
            leave_errand(io, connection, busy, Box::new(ExecErrand { exec, needs, executed }))
        }
    }
}

/// Whether a queued command is a script of which it is not known that it is soon over.
fn may_take_long(queued: &QueuedCommand) -> bool {
    queued.command.route == Route::Script && !Knowledge::of(&borrowed(&queued.args)).is_quick()
}

/// Executes a command of the connection in its place among the others of a transaction.
fn run_in_transaction(io: &mut IoThread, connection: &mut Connection, queued: &QueuedCommand, replies: &mut Vec<u8>) {
    let Plane::Connection(number) = queued.command.spec.plane else { return };
    let args = borrowed(&queued.args);
    // The connection's own buffer takes the reply; it is moved behind the others.
    let before = std::mem::take(&mut connection.outbound.buffer);
    run_connection_command(io, connection, queued.command, number, &args);
    replies.extend_from_slice(&std::mem::replace(&mut connection.outbound.buffer, before));
}

/// Sends a transaction to the control plane; the connection waits until it was executed.
fn send_exec(io: &mut IoThread, connection: &mut Connection, transaction: Transaction) -> Dispatch {
    let command = registry::table().find(b"exec").expect("EXEC is in the table");
    let mut request = control_request(connection, command, transaction.args.clone());
    expect_tracking(io, connection, &transaction);
    request.transaction = Some(Arc::new(transaction));
    if let Err(request) = io.shared.inbox.send(request) {
        if let Some(early) = connection.wait.early.take() {
            tell_early(io, connection, *early);
        }
        if let Some(Transaction { multi, watch, .. }) = request.transaction.and_then(Arc::into_inner) {
            connection.session.multi = Some(multi);
            connection.session.watch = watch;
        }
        return defer_for_inbox(io, connection, command);
    }
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.wait.reason = WaitsFor::Exec;
    Dispatch::Wait
}

/// Sends a transaction to the extensions' threads; the connection waits until it was executed.
fn send_exec_to_extensions(io: &mut IoThread, connection: &mut Connection, transaction: Transaction) -> Dispatch {
    let command = registry::table().find(b"exec").expect("EXEC is in the table");
    let mut request = control_request(connection, command, transaction.args.clone());
    expect_tracking(io, connection, &transaction);
    request.transaction = Some(Arc::new(transaction));
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.wait.reason = WaitsFor::Exec;
    io.shared.extensions.work.push(Work::Exec(Box::new(request)));
    Dispatch::Wait
}

/// Takes a transaction back and goes on with the connection.
pub fn take_executed(io: &mut IoThread, token: Token, executed: Executed) {
    // The client may have gone.
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    if !matches!(connection.wait.reason, WaitsFor::Exec | WaitsFor::Errand) {
        io.connections.put_back(connection);
        return;
    }
    connection.wait.reason = WaitsFor::Nothing;
    end_exec(io, &mut connection, executed);
    // A CLIENT REPLY SKIP in it is for the command behind EXEC, which was over for this when it left.
    connection.session.advance_reply_mode();
    go_on_with(io, connection);
}

/// Executes what was left of a transaction, and answers.
pub fn end_exec(io: &mut IoThread, connection: &mut Connection, mut executed: Executed) {
    hold_for(io, connection, executed.ticket);
    connection.discard();
    connection.session.db = executed.db;
    connection.record.db.store(u32::from(executed.db), Relaxed);
    executed.refused.iter().for_each(|error| count_error(io, error));
    let has_too_much = executed.too_much_from.is_some();
    let start = put_replies(io, connection, &mut executed);
    if connection.wait.is_suppressed || connection.session.reply_mode.suppresses() {
        connection.outbound.buffer.truncate(start);
    } else if !cut_if_dropped(io, connection) && has_too_much {
        cut_at_limit(&io.shared, &io.shared.io[io.index], connection);
    }
    begin_pauses(io, connection, start);
    if !connection.is_answering() {
        connection.outbound.end_reply();
    }
    connection.end_caching();
    connection.close_after_reply |= executed.panicked;
}

/// Puts the replies behind what the connection has, with those to what was left; returns where they begin.
fn put_replies(io: &mut IoThread, connection: &mut Connection, executed: &mut Executed) -> usize {
    let early = connection.wait.early.take();
    if executed.left.is_empty() && early.is_none() {
        return connection.outbound.append(std::mem::take(&mut executed.replies), 0);
    }
    let start = connection.outbound.buffer.len();
    let mut copied = 0;
    for (place, command, args) in &executed.left {
        connection.outbound.buffer.extend_from_slice(&executed.replies[copied..*place]);
        copied = *place;
        let args = borrowed(args);
        if let Plane::Connection(number) = command.spec.plane {
            run_connection_command(io, connection, command, number, &args);
        }
    }
    if let Some(early) = early {
        tell_early(io, connection, *early);
    }
    connection.outbound.buffer.extend_from_slice(&executed.replies[copied..]);
    start
}
