//! Commands of the control plane: sent up with a token, answered in their own time.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use rustix::net::SendFlags;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::client::ClientRecord;
use sherd_shards::error::CommandError;
use sherd_shards::execute;
use sherd_shards::registry::Command;

use crate::connection::{Connection, ReplyMode, Waiting};
use crate::request::dispatch::{advance_reply_mode, Dispatch};
use crate::shared::{ControlRequest, Message, Shared, Token};
use crate::thread::IoThread;

/// Answers a request, in the control plane's thread. `close`: the connection is to end.
///
/// The client gets what his socket takes at once. The IO thread is told all the same and goes on with the connection, but
/// with all cores busy its turn may come milliseconds later.
pub fn answer(shared: &Shared, request: &ControlRequest, data: Vec<u8>, close: bool) {
    let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
    count(shared, &request.record, request.command, &args, request.tick, &data);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = match &request.socket {
        // What fails here fails again for the IO thread, which then ends the connection.
        Some(socket) if !close => rustix::net::send(socket.as_fd(), &data, flags).unwrap_or(0),
        _ => 0,
    };
    tell(shared, request.token, Message::Reply { connection: request.token, data, sent, close });
}

/// A request of a connection, to be answered through its IO thread.
pub fn control_request(connection: &Connection, command: &'static Command, args: Vec<Vec<u8>>) -> ControlRequest {
    ControlRequest {
        token: connection.token,
        args,
        command,
        tick: clock::ticks(),
        socket: None,
        record: Arc::clone(&connection.record),
        db: connection.db,
        resp3: connection.resp3,
        in_multi: false,
        exec: None,
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

/// Puts an answer into the mailbox of a connection's IO thread; a connection waits for one at most.
pub fn tell(shared: &Shared, connection: Token, message: Message) {
    if let Some(mailbox) = shared.mailboxes.get(usize::from(connection.io_thread)) {
        mailbox.deliver(message);
    }
}

impl IoThread {
    /// Sends a request to the control plane; the connection waits for the answer.
    pub fn send_to_control(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: Vec<Vec<u8>>,
    ) -> Dispatch {
        let direct = connection.unsent() == 0
            && connection.reply_mode == ReplyMode::On
            && !connection.record.is_monitor.load(Relaxed);
        let mut request = control_request(connection, command, args);
        request.socket = direct.then(|| Arc::clone(&connection.socket));
        if self.shared.inbox.send(request).is_err() {
            return self.hold_back(connection, command);
        }
        connection.waiting = Waiting::Control;
        Dispatch::Wait
    }

    /// The inbox is full: the request is parsed again when there may be room.
    pub fn hold_back(&mut self, connection: &mut Connection, command: &'static Command) -> Dispatch {
        if self.shared.stopping.load(Relaxed) {
            let error = CommandError::new("ERR the server is shutting down");
            return self.refuse(connection, Some(command), &error);
        }
        self.hold(connection);
        Dispatch::Later
    }

    /// Takes the control plane's answer, `sent` bytes of which the client has got already.
    pub fn control_reply(&mut self, token: Token, data: &[u8], sent: usize, close: bool) {
        if self.connections.by_token(token).is_none() {
            // The client has gone.
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        if matches!(connection.waiting, Waiting::Blocked | Waiting::Errand) {
            // No request of such a client is with the control plane.
            self.connections.put_back(connection);
            return;
        }
        let waiting = std::mem::replace(&mut connection.waiting, Waiting::Nothing);
        match waiting {
            Waiting::Nothing | Waiting::Blocked | Waiting::Errand => {}
            Waiting::Control => {
                if sent > 0 {
                    connection.note_sent(sent);
                    self.note_written(&mut connection, sent);
                }
                if connection.reply_mode == ReplyMode::On {
                    connection.out.extend_from_slice(&data[sent..]);
                }
                advance_reply_mode(&mut connection);
            }
            // The server ends before the transaction was begun.
            Waiting::Exec => connection.discard(),
        }
        connection.close_after_reply |= close;
        if connection.waiting == Waiting::Nothing {
            self.ready_again(&mut connection);
        }
        self.settle(connection);
    }
}
