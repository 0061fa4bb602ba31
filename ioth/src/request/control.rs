//! Commands of the control plane: sent up with a token, answered in their own time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::client::ClientRecord;
use sherd_shards::error::CommandError;
use sherd_shards::execute;
use sherd_shards::registry::Command;

use crate::connection::token::Token;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::request::borrowed;
use crate::shared::message::{ControlRequest, Message};
use crate::shared::Shared;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::gate::refuse;
use super::output::send;
use super::paused::defer;
use super::settle::settle;

/// Answers a request, in the control plane's thread. `close`: the connection is to end.
///
/// The IO thread sends it, as it does everything else: two threads that send to one socket would have to agree on whose bytes
/// come first, and an encrypted stream cannot be shared at all. See [`crate::thread::promptness`] for how soon that is.
pub fn answer(shared: &Shared, request: &ControlRequest, data: Vec<u8>, close: bool) {
    let args = borrowed(&request.args);
    count(shared, &request.record, request.command, &args, request.tick, &data);
    shared.tell(request.token, Message::Reply { connection: request.token, data, close });
}

/// A request of a connection, to be answered through its IO thread.
pub fn control_request(connection: &Connection, command: &'static Command, args: Vec<Vec<u8>>) -> ControlRequest {
    ControlRequest {
        token: connection.token,
        args,
        command,
        tick: clock::ticks(),
        record: Arc::clone(&connection.record),
        db: connection.session.db,
        protocol: connection.session.protocol,
        in_multi: false,
        transaction: None,
    }
}

/// Counts an executed command, before anybody can know that it was; its time is that since `tick`.
pub fn count(shared: &Shared, record: &ClientRecord, command: &Command, args: &[&[u8]], tick: u64, data: &[u8]) {
    let stats = &shared.control;
    let failed = data.first() == Some(&b'-');
    let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(tick));
    let cell = stats.cells.cell(command.id);
    cell.record(nanoseconds, failed);
    if !shared.world.settings.latency_tracking.on() {
        cell.latency.take_back(nanoseconds);
    }
    stats.commands.increment();
    // Nobody else counts meanwhile: the connection waits for the answer.
    record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
    execute::note_duration(&shared.world, command, args, Some(record), nanoseconds);
    if failed {
        stats.error_replies.increment();
        shared.world.logs.count_error(data);
    }
}

/// Sends a request to the control plane; the connection waits for the answer.
pub fn send_to_control(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: Vec<Vec<u8>>,
) -> Dispatch {
    let request = control_request(connection, command, args);
    if io.shared.inbox.send(request).is_err() {
        return defer_for_inbox(io, connection, command);
    }
    io.promptness.ask(io.clock.now_ms);
    connection.wait.reason = WaitsFor::Control;
    Dispatch::Wait
}

/// The inbox is full: the request is parsed again when there may be room.
pub fn defer_for_inbox(io: &mut IoThread, connection: &mut Connection, command: &'static Command) -> Dispatch {
    if io.shared.stopping.load(Relaxed) {
        let error = CommandError::new("ERR the server is shutting down");
        return refuse(io, connection, Some(command), &error);
    }
    defer(io, connection);
    Dispatch::Later
}

/// Takes the control plane's answer and sends it.
pub fn control_reply(io: &mut IoThread, token: Token, data: &[u8], close: bool) {
    // The client may have gone.
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    match connection.wait.reason {
        WaitsFor::Control => {
            if !connection.session.reply_mode.suppresses() {
                send(io, &mut connection, data);
            }
            connection.session.advance_reply_mode();
        }
        // The server ends before the transaction was begun.
        WaitsFor::Exec => connection.discard(),
        // No request of such a client is with the control plane.
        WaitsFor::Nothing | WaitsFor::Key | WaitsFor::Errand => {
            io.connections.put_back(connection);
            return;
        }
    }
    connection.wait.reason = WaitsFor::Nothing;
    connection.close_after_reply |= close;
    io.connections.make_ready_again(&mut connection);
    settle(io, connection);
}
