//! Commands that concern a connection, as far as the request path knows them: they are executed by its IO thread, at once and in
//! order. What they do is in [`crate::commands`].

use std::sync::atomic::Ordering::Relaxed;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::Plane;
use sherd_shards::executor::execute::{self, INTERNAL_ERROR};
use sherd_types::invariant::contain;

use crate::connection::Connection;
use crate::thread::handlers::{ConnectionCommand, Dispatch, InMulti};
use crate::thread::IoThread;

use super::gate::count_error;

/// How a command stands to MULTI.
pub fn in_multi(io: &IoThread, command: &Command) -> InMulti {
    match command.spec.plane {
        Plane::Connection(number) => own_command(io, number).in_multi,
        _ => InMulti::Queued,
    }
}

/// Whether a queued command changes how the commands after it are tracked.
pub fn changes_tracking(command: &Command) -> bool {
    matches!(command.spec.name, "client|tracking" | "client|caching")
}

/// Whether the answer to a queued command depends on what the client is subscribed to: PING's does in RESP2.
pub fn asks_for_subscriptions(command: &Command) -> bool {
    command.spec.name == "ping"
}

/// Whether calls of a command may be executed by [`super::own_requests::run_row`].
#[inline]
pub fn comes_in_rows(io: &IoThread, command: &Command) -> bool {
    matches!(command.spec.plane, Plane::Connection(number) if own_command(io, number).answers_only)
}

/// Executes a connection command of a transaction and answers it.
pub fn run_connection_command(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    number: u16,
    args: &[&[u8]],
) {
    connection.session.is_in_exec = true;
    execute(io, connection, command, own_command(io, number), args);
    connection.session.is_in_exec = false;
}

/// The command with this number.
#[inline]
pub fn own_command(io: &IoThread, number: u16) -> &'static ConnectionCommand {
    &io.handlers[usize::from(number)]
}

/// Executes a connection command and answers it.
// Always: it is most of what a PING costs.
#[inline(always)]
pub fn execute(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    own: &ConnectionCommand,
    args: &[&[u8]],
) -> Dispatch {
    let handler = own.handler.expect("a container is not executed");
    let (tick, start) = (clock::ticks(), connection.outbound.replied_bytes());
    let result = contain(|| handler(io, connection, args));
    let (dispatch, failed) = match result {
        Ok(Ok(dispatch)) => (dispatch, false),
        Ok(Err(error)) => {
            count_error(io, &error);
            connection.reply(|reply| reply.error(&error));
            // Who has guessed too often is not listened to for a while.
            (if connection.is_deferred { Dispatch::Wait } else { Dispatch::Done }, true)
        }
        Err(_) => {
            io.stats().panics.increment();
            connection.reply(|reply| reply.error(&INTERNAL_ERROR));
            connection.close_after_reply = true;
            (Dispatch::Done, true)
        }
    };
    if dispatch != Dispatch::Later {
        let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(tick));
        let cell = io.stats().cells.cell(command.id);
        cell.record(nanoseconds, failed);
        if !io.shared.world.settings.latency_tracking.on() {
            cell.latency.take_back(nanoseconds);
        }
        io.stats().commands.increment();
        let record = &connection.record;
        record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
        let reply_bytes = connection.outbound.replied_bytes().saturating_sub(start);
        execute::note_command(&io.shared.world, command, args, Some(record), (nanoseconds, reply_bytes));
    }
    dispatch
}
