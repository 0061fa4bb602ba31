//! Commands of the control plane: sent up with a token, answered in their own time.

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;

use crate::connection::{Connection, ControlCall, ReplyMode, Waiting};
use crate::dispatch::{advance_reply_mode, Dispatch};
use crate::io_thread::IoThread;
use crate::shared::{ControlRequest, Token};

impl IoThread {
    /// Sends a request to the control plane; the connection waits for the answer.
    pub fn send_to_control(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        args: Vec<Vec<u8>>,
        in_multi: bool,
    ) -> Dispatch {
        let request = ControlRequest {
            token: connection.token,
            args,
            command: command.spec.name,
            client_id: connection.record.id,
            db: connection.db,
            resp3: connection.resp3,
            address: connection.record.address.clone(),
            local_address: connection.record.local_address.clone(),
            in_multi,
        };
        if self.shared.inbox.send(request).is_err() {
            if self.shared.stopping.load(std::sync::atomic::Ordering::Relaxed) {
                let error = CommandError::new("ERR the server is shutting down");
                return self.refuse(connection, Some(command), &error);
            }
            self.held_back.push(connection.token);
            return Dispatch::Later;
        }
        let call = ControlCall { command: command.id, tick: clock::ticks() };
        connection.waiting = if in_multi { Waiting::ControlInExec(call) } else { Waiting::Control(call) };
        Dispatch::Wait
    }

    /// Counts a command that the control plane executed; its time is that from here and back.
    fn count_control(&self, call: ControlCall, data: &[u8]) {
        let failed = data.first() == Some(&b'-');
        let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(call.tick));
        let stats = self.stats();
        stats.cells.cell(call.command).record(nanoseconds, failed);
        stats.commands.increment();
        if failed {
            stats.error_replies.increment();
            self.shared.world.logs.count_error(data);
        }
    }

    /// Takes the control plane's answer.
    pub fn control_reply(&mut self, token: Token, data: &[u8], close: bool) {
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
            Waiting::Control(call) => {
                self.count_control(call, data);
                if connection.reply_mode == ReplyMode::On {
                    connection.out.extend_from_slice(data);
                }
                advance_reply_mode(&mut connection);
            }
            Waiting::ControlInExec(call) => {
                self.count_control(call, data);
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
