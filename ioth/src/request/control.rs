//! Commands of the control plane: sent up with a token, answered in their own time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::executor::execute;
use sherd_shards::handler::error::CommandError;
use sherd_shards::server::client::ClientRecord;

use crate::connection::token::Token;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::request::borrowed;
use crate::shared::message::{ControlRequest, Message};
use crate::shared::Shared;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::blocked::elsewhere;
use super::gate::refuse;
use super::output::{flush, note_written, send_from};
use super::paused::defer;
use super::settle::settle;

/// Answers a request, in the control plane's thread. `close`: the connection is to end.
///
/// The client gets what its socket takes at once, for this thread is awake, while with all cores busy the IO thread may have to
/// wait milliseconds for one. The right to send was lent with the request, so there is one writer at a time; the message returns
/// it, and the IO thread sends the rest and goes on with the connection.
pub fn answer(shared: &Shared, request: &ControlRequest, data: Vec<u8>, close: bool) {
    if let Some(script) = &request.script {
        return script.tell(data);
    }
    let args = borrowed(&request.args);
    count(shared, &request.record, request.command, &args, request.tick, &data);
    if request.command.spec.has(flag::BLOCKING) {
        // Who has its answer does not wait any more, whatever its thread has seen of it.
        shared.interruptions.end(&request.record);
    }
    let may_leave = !close && !shared.in_force.is_pending();
    let sent = request.lent.as_ref().filter(|_| may_leave).map_or(0, |lent| lent.send(&data));
    shared.tell_in_force(request.token, Message::Reply { connection: request.token, data, sent, close });
}

/// A request of a connection, to be answered through its IO thread.
pub fn control_request(connection: &Connection, command: &'static Command, args: Vec<Vec<u8>>) -> ControlRequest {
    ControlRequest {
        token: connection.token,
        args,
        command,
        tick: clock::ticks(),
        lent: None,
        wait: connection.wait.number + 1,
        record: Arc::clone(&connection.record),
        db: connection.session.db,
        protocol: connection.session.protocol,
        tracks: connection.record.tracking.tracks(),
        in_multi: false,
        transaction: None,
        script: None,
    }
}

/// Counts an executed command, before anybody can know that it was; its time is that since `tick`.
pub fn count(shared: &Shared, record: &ClientRecord, command: &Command, args: &[&[u8]], tick: u64, data: &[u8]) {
    if matches!(command.spec.plane, Plane::Extension) {
        return shared.extensions.count(&shared.world, Some(record), (command, args), tick, data);
    }
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
    execute::note_command(&shared.world, command, args, Some(record), (nanoseconds, data.len()));
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
    let mut request = control_request(connection, command, args);
    if connection.may_be_answered_at_once() {
        request.lent = connection.transport.lend();
    }
    elsewhere::begin_wait(io, connection, command);
    if io.shared.inbox.send(request).is_err() {
        elsewhere::end_wait(io, connection);
        connection.transport.take_back();
        return defer_for_inbox(io, connection, command);
    }
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

/// Takes the control plane's answer, and sends what the client has not got yet.
pub fn control_reply(io: &mut IoThread, token: Token, mut data: Vec<u8>, sent: usize, close: bool) {
    // The client may have gone.
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    match connection.wait.reason {
        WaitsFor::Control => {
            elsewhere::end_wait(io, &mut connection);
            connection.transport.take_back();
            if sent > 0 {
                note_written(io, &mut connection, sent);
            }
            if sent < data.len() && !connection.session.reply_mode.suppresses() {
                let end = data.len();
                send_from(io, &mut connection, &mut data, sent..end);
            }
            if connection.outbound.has_pushed() {
                connection.outbound.end_reply();
                flush(io, &mut connection);
            }
            connection.session.advance_reply_mode();
        }
        // The server ends before the transaction was begun.
        WaitsFor::Exec => connection.discard(),
        // No request of such a client is with the control plane.
        WaitsFor::Nothing | WaitsFor::Key | WaitsFor::Errand | WaitsFor::Quiet => {
            io.connections.put_back(connection);
            return;
        }
    }
    connection.wait.reason = WaitsFor::Nothing;
    connection.close_after_reply |= close;
    io.connections.make_ready_again(&mut connection);
    settle(io, connection);
}
