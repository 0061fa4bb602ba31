//! Commands of the control plane: sent up with a token, answered in their own time.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use rustix::net::SendFlags;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;

use crate::connection::{Connection, ReplyMode, Waiting};
use crate::dispatch::{advance_reply_mode, Dispatch};
use crate::io_thread::IoThread;
use crate::shared::{ControlRequest, Message, Shared, Token};

/// Answers a request, in the control plane's thread. `close`: the connection is to end.
///
/// The client gets what his socket takes at once. The IO thread is told all the same and goes on with the connection, but
/// with all cores busy its turn may come milliseconds later.
pub fn answer(shared: &Shared, request: &ControlRequest, data: Vec<u8>, close: bool) {
    count(shared, request, &data);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = match &request.socket {
        // What fails here fails again for the IO thread, which then ends the connection.
        Some(socket) if !close => rustix::net::send(socket.as_fd(), &data, flags).unwrap_or(0),
        _ => 0,
    };
    let Some(mailbox) = shared.mailboxes.get(usize::from(request.token.io_thread)) else { return };
    let mut message = Message::Reply { connection: request.token, data, sent, close };
    while let Err(back) = mailbox.send(message) {
        if shared.stopping.load(Relaxed) {
            return;
        }
        message = back;
        std::thread::yield_now();
    }
}

/// Counts an executed command, before anybody can know that it was; its time is that since it was sent up.
fn count(shared: &Shared, request: &ControlRequest, data: &[u8]) {
    let stats = &shared.control;
    let failed = data.first() == Some(&b'-');
    let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(request.tick));
    stats.cells.cell(request.command.id).record(nanoseconds, failed);
    stats.commands.increment();
    if failed {
        stats.error_replies.increment();
        shared.world.logs.count_error(data);
    }
}

impl IoThread {
    /// Sends a request to the control plane; the connection waits for the answer.
    pub fn send_to_control(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: Vec<Vec<u8>>,
        in_multi: bool,
    ) -> Dispatch {
        let direct = !in_multi
            && connection.unsent() == 0
            && connection.reply_mode == ReplyMode::On
            && !connection.record.is_monitor.load(Relaxed);
        let request = ControlRequest {
            token: connection.token,
            args,
            command,
            tick: clock::ticks(),
            socket: direct.then(|| Arc::clone(&connection.socket)),
            client_id: connection.record.id,
            db: connection.db,
            resp3: connection.resp3,
            address: connection.record.address.clone(),
            local_address: connection.record.local_address.clone(),
            in_multi,
        };
        if self.shared.inbox.send(request).is_err() {
            if self.shared.stopping.load(Relaxed) {
                let error = CommandError::new("ERR the server is shutting down");
                return self.refuse(connection, Some(command), &error);
            }
            self.held_back.push(connection.token);
            return Dispatch::Later;
        }
        connection.waiting = if in_multi { Waiting::ControlInExec } else { Waiting::Control };
        Dispatch::Wait
    }

    /// Takes the control plane's answer, `sent` bytes of which the client has got already.
    pub fn control_reply(&mut self, token: Token, data: &[u8], sent: usize, close: bool) {
        if self.connections.by_token(token).is_none() {
            // The client has gone.
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        if connection.waiting == Waiting::Blocked {
            // No request of a waiting client is with the control plane.
            self.connections.put_back(connection);
            return;
        }
        let waiting = std::mem::replace(&mut connection.waiting, Waiting::Nothing);
        match waiting {
            Waiting::Nothing | Waiting::Blocked => {}
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
            Waiting::ControlInExec => {
                if let Some(multi) = &mut connection.multi {
                    multi.control_replies.push(data.to_vec());
                }
                self.resume_exec(&mut connection);
            }
        }
        connection.close_after_reply |= close;
        if connection.waiting == Waiting::Nothing {
            self.ready_again(&mut connection);
        }
        self.settle(connection);
    }
}
