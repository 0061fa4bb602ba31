//! Connections that wait for a key: their deadlines, and what ends their waiting.

use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::blocking::{Waiter, Wake};
use sherd_shards::context::Client;
use sherd_shards::error::CommandError;
use sherd_shards::execute::{call_or_block, Call};

use crate::connection::{Connection, Waiting};
use crate::io_thread::IoThread;
use crate::shared::Token;

const UNBLOCKED: CommandError = CommandError::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

impl IoThread {
    /// The connection waits from now on.
    pub fn begin_wait(&mut self, connection: &mut Connection, waiter: Arc<Waiter>) {
        if let Some(deadline) = waiter.block.deadline_ms {
            self.deadlines.push(Reverse((deadline, connection.token.to_bits())));
        }
        connection.waiting = Waiting::Blocked;
        connection.record.blocked.store(true, Relaxed);
        connection.waiter = Some(waiter);
        self.settle_wait(connection);
    }

    /// A shard has something for a waiting client. It may come before the batch in which the client began to wait.
    pub fn wake_client(&mut self, wake: Wake) {
        let (Wake::Reply { token, .. } | Wake::Retry { token }) = &wake;
        let token = Token::from_bits(*token);
        if self.connections.by_token(token).is_none() {
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        match wake {
            Wake::Reply { reply, .. } => connection.wake_reply = Some(reply),
            Wake::Retry { .. } => self.retry(&mut connection),
        }
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
        connection.waiting = Waiting::Nothing;
        connection.waiter = None;
        connection.record.blocked.store(false, Relaxed);
        connection.record.last_interaction_at.store(self.now_ms, Relaxed);
        if reply.first() == Some(&b'-') {
            self.stats().error_replies.increment();
            self.shared.world.logs.count_error(reply);
        }
        if !connection.wake_suppressed {
            connection.out.extend_from_slice(reply);
        }
        if self.flush(connection).is_err() {
            connection.closing = true;
        }
        self.ready_again(connection);
    }

    /// Takes a waiter out of the queues of his shards.
    fn unregister(&self, waiter: &Arc<Waiter>, then_ready: bool) {
        let map = self.shared.world.slots;
        let slots: Vec<u16> = waiter.block.keys.iter().map(|key| map.slot(key)).collect();
        let wanted = slots.iter().fold(0u64, |wanted, &slot| wanted | 1 << map.shard_of(slot));
        if wanted == 0 {
            return;
        }
        self.shared.engine.with_shards(wanted, |mut shards| {
            for (slot, key) in slots.iter().zip(&waiter.block.keys) {
                let blocking = &mut shards.of_slot(*slot).blocking;
                blocking.remove(waiter);
                if then_ready {
                    blocking.mark_ready(waiter.db, key);
                }
            }
        });
    }

    /// Runs the command of a client that waits for keys on several shards.
    fn retry(&mut self, connection: &mut Connection) {
        let Some(waiter) = connection.waiter.clone().filter(|waiter| !waiter.has_ended()) else { return };
        let map = self.shared.world.slots;
        let wanted = waiter.block.keys.iter().fold(0u64, |wanted, key| wanted | 1 << map.shard_of(map.slot(key)));
        let args: Vec<&[u8]> = waiter.args.iter().map(Vec::as_slice).collect();
        // Keys that the command writes to (BLMOVE's destination) are among its keys, not among those waited for.
        let command_keys = waiter.command.spec.key_positions(&args).unwrap_or_default();
        let wanted = command_keys.iter().fold(wanted, |wanted, &at| wanted | 1 << map.shard_of(map.slot(args[at])));
        let world = Arc::clone(&self.shared.world);
        let mut out = Vec::new();
        let served = self.shared.engine.with_shards(wanted, |mut shards| {
            let call = Call {
                command: waiter.command,
                args: &args,
                first_key: (0, 0),
                client: Client {
                    db: waiter.db,
                    resp3: waiter.resp3,
                    no_touch: false,
                    record: Some(&connection.record),
                },
                now_ms: world.now_milliseconds(),
                in_transaction: false,
            };
            let (_, blocked) = call_or_block(shards.reborrow(), &world, &call, &mut out);
            blocked.is_none()
        });
        if served && waiter.claim() {
            connection.wake_reply = Some(out);
            self.unregister(&waiter, true);
        }
    }

    /// Ends waits whose time is over.
    pub fn end_overdue_waits(&mut self) {
        while let Some(&Reverse((deadline, bits))) = self.deadlines.peek() {
            if deadline > self.now_ms {
                return;
            }
            self.deadlines.pop();
            let token = Token::from_bits(bits);
            self.interrupt(token, |waiter| waiter.block.deadline_ms == Some(deadline), None);
        }
    }

    /// CLIENT UNBLOCK: ends a wait as if its time were over, or with an error.
    pub fn unblock(&mut self, token: Token, with_error: bool) {
        self.interrupt(token, |_| true, with_error.then_some(&UNBLOCKED));
    }

    fn interrupt(&mut self, token: Token, applies: impl FnOnce(&Waiter) -> bool, error: Option<&CommandError>) {
        let Some(connection) = self.connections.by_token(token) else { return };
        let Some(waiter) = connection.waiter.clone().filter(|waiter| applies(waiter)) else { return };
        if !waiter.claim() {
            // Its reply is on the way.
            return;
        }
        let Some(mut connection) = self.connections.take(token.index) else { return };
        self.unregister(&waiter, false);
        let mut reply = Vec::new();
        let mut writer = sherd_shards::reply::Reply::new(&mut reply, connection.resp3);
        match error {
            Some(error) => writer.error(error),
            None => writer.timed_out(waiter.block.on_timeout),
        }
        connection.wake_reply = Some(reply);
        self.settle_wait(&mut connection);
        self.settle(connection);
    }

    /// The client goes away while it waits.
    pub fn abandon_wait(&mut self, connection: &mut Connection) {
        if let Some(waiter) = connection.waiter.take() {
            if waiter.claim() {
                self.unregister(&waiter, true);
            }
            connection.record.blocked.store(false, Relaxed);
        }
    }
}
