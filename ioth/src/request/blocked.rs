//! Connections that wait for a key: their deadlines, and what ends their waiting.
//!
//! A wait ends by a message from whoever served it, or here, by [`Waiter`]'s state: see `sherd_shards::waiter`. This thread
//! never waits for a shard: a waiter that has ended here leaves the shards' queues when their batons are next held, and a
//! connection whose waiter is just being served stays until its message has come, even if it is to be closed: what was taken
//! for it out of the keyspace is sent.

use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::blocking::{Interrupt, Waiter, Wake};
use sherd_shards::error::CommandError;
use sherd_shards::execute;
use sherd_shards::reply::Reply;

use crate::connection::{Connection, Waiting};
use crate::shared::Token;
use crate::thread::IoThread;

const UNBLOCKED: CommandError = CommandError::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// Times of waiting connections that are kept before those that no longer mean anything are looked for.
pub const DEADLINES_MIN: usize = 1024;

impl IoThread {
    /// The connection waits from now on.
    pub fn begin_wait(&mut self, connection: &mut Connection, waiter: Arc<Waiter>) {
        for at_ms in [waiter.block.deadline_ms, waiter.again_at_ms()].into_iter().flatten() {
            self.look_at(connection.token, at_ms);
        }
        connection.waiting = Waiting::Blocked;
        connection.record.blocked.store(true, Relaxed);
        self.stats().blocked.increment();
        self.stats().blocked_with_timeout.add(u64::from(waiter.block.deadline_ms.is_some()));
        connection.waiter = Some(waiter);
        // Its end may have been noticed while the command was on its way: nothing will tell of it again.
        connection.closing |= connection.peer_closed;
        self.settle_wait(connection);
    }

    /// Has [`IoThread::end_overdue_waits`] look at a waiting connection at a time.
    fn look_at(&mut self, token: Token, at_ms: i64) {
        self.deadlines.push(Reverse((at_ms, token.to_bits())));
        // Most waits end long before their time; what they leave here is cleared away when it has become the larger part.
        if self.deadlines.len() >= self.deadlines_max {
            let connections = &mut self.connections;
            self.deadlines.retain(|Reverse((at_ms, bits))| {
                let waiter = connections.by_token(Token::from_bits(*bits)).and_then(|other| other.waiter.as_ref());
                *bits == token.to_bits()
                    || waiter.is_some_and(|waiter| {
                        waiter.block.deadline_ms == Some(*at_ms) || waiter.again_at_ms() == Some(*at_ms)
                    })
            });
            self.deadlines_max = DEADLINES_MIN.max(2 * self.deadlines.len());
        }
    }

    /// A message about a waiting client. It may come before the batch in which the client began to wait.
    pub fn wake_client(&mut self, wake: Wake) {
        let token = Token::from_bits(wake.token());
        if self.connections.by_token(token).is_none() {
            return;
        }
        if let Wake::Later { at_ms, .. } = wake {
            self.look_at(token, at_ms);
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        connection.wake_reply = match wake {
            Wake::Reply { reply, close, .. } => {
                connection.close_after_reply |= close;
                Some(reply)
            }
            // Only what was interrupted here ends so; a connection that is closing needs no answer.
            _ => {
                let reply = connection.interrupt_reply.take().unwrap_or_default();
                self.count_interrupted(&connection, &reply);
                Some(reply)
            }
        };
        self.settle_wait(&mut connection);
        self.settle(connection);
    }

    /// Answers the client if its reply has come and everything before it was sent.
    pub fn settle_wait(&mut self, connection: &mut Connection) {
        if connection.waiting != Waiting::Blocked || connection.shards_out != 0 {
            return;
        }
        if let Some(reply) = connection.wake_reply.take() {
            self.end_wait(connection, &reply);
        }
    }

    fn end_wait(&mut self, connection: &mut Connection, reply: &[u8]) {
        self.take_waiter(connection);
        connection.record.last_interaction_at.store(self.now_ms, Relaxed);
        if !connection.wake_suppressed {
            connection.out.extend_from_slice(reply);
        }
        if self.flush(connection).is_err() {
            connection.closing = true;
        }
        if connection.close_after_reply && connection.unsent() == 0 {
            connection.closing = true;
        }
        self.ready_again(connection);
    }

    /// Ends waits whose time is over, and has commands run again that asked for it.
    pub fn end_overdue_waits(&mut self) {
        while let Some(&Reverse((at_ms, bits))) = self.deadlines.peek() {
            if at_ms > self.now_ms {
                return;
            }
            self.deadlines.pop();
            let token = Token::from_bits(bits);
            let now_ms = self.now_ms;
            let waiter = self.connections.by_token(token).and_then(|connection| connection.waiter.clone());
            let Some(waiter) = waiter else { continue };
            if waiter.block.deadline_ms == Some(at_ms) {
                self.interrupt(token, None);
            } else if waiter.take_again(now_ms) && !self.postpones(token, waiter.command) {
                self.shared.engine.serve(waiter);
            }
        }
    }

    /// CLIENT UNBLOCK: ends a wait as if its time were over, or with an error.
    pub fn unblock(&mut self, token: Token, with_error: bool) {
        if let Some(connection) = self.connections.by_token(token) {
            connection.record.unblock_asked.store(false, Relaxed);
        }
        self.interrupt(token, with_error.then_some(&UNBLOCKED));
    }

    /// Ends a wait with an error or as if its time were over, unless it is served first.
    fn interrupt(&mut self, token: Token, error: Option<&CommandError>) {
        let Some(connection) = self.connections.by_token(token) else { return };
        let Some(waiter) = connection.waiter.clone() else { return };
        let mut reply = Vec::new();
        let mut writer = Reply::new(&mut reply, connection.resp3);
        match error {
            Some(error) => writer.error(error),
            None => writer.timed_out(waiter.block.on_timeout),
        }
        if waiter.state.interrupt() == Interrupt::Late {
            // The one that came first is what the client is answered, if the server finds nothing.
            connection.interrupt_reply.get_or_insert(reply);
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        self.shared.engine.forget(&waiter);
        self.count_interrupted(&connection, &reply);
        connection.wake_reply = Some(reply);
        self.settle_wait(&mut connection);
        self.settle(connection);
    }

    /// Counts a call that has ended without being served, as a failed one if its answer is an error.
    fn count_interrupted(&self, connection: &Connection, reply: &[u8]) {
        let Some(waiter) = &connection.waiter else { return };
        let failed = reply.first() == Some(&b'-');
        self.stats().cells.cell(waiter.command.id).record(0, failed);
        let (world, client) = (&self.shared.world, Some(&*connection.record));
        execute::note_duration(world, waiter.command, &waiter.sent_args(), client, 0);
        if failed {
            self.stats().error_replies.increment();
            self.shared.world.logs.count_error(reply);
        }
    }

    /// The client is to go while it waits; false if a message about its waiter has yet to come.
    pub fn abandon_wait(&mut self, connection: &mut Connection) -> bool {
        let Some(waiter) = &connection.waiter else { return true };
        if waiter.state.interrupt() == Interrupt::Late {
            return false;
        }
        if let Some(waiter) = self.take_waiter(connection) {
            self.shared.engine.forget(&waiter);
        }
        true
    }

    /// The connection waits for no key any more.
    fn take_waiter(&self, connection: &mut Connection) -> Option<Arc<Waiter>> {
        let waiter = connection.waiter.take()?;
        connection.waiting = Waiting::Nothing;
        connection.interrupt_reply = None;
        connection.record.blocked.store(false, Relaxed);
        self.stats().blocked.subtract(1);
        self.stats().blocked_with_timeout.subtract(u64::from(waiter.block.deadline_ms.is_some()));
        Some(waiter)
    }
}
