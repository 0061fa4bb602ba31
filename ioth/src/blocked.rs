//! Connections that wait for a key: their deadlines, and what ends their waiting.

use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::access::Shards;
use sherd_shards::blocking::{self, Waiter, Wake};
use sherd_shards::context::Client;
use sherd_shards::error::CommandError;
use sherd_shards::execute::{call_or_block, Call};
use sherd_shards::world::World;

use crate::connection::{Connection, Waiting};
use crate::io_thread::IoThread;
use crate::shared::Token;

const UNBLOCKED: CommandError = CommandError::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// Times of waiting connections that are kept before those that no longer mean anything are looked for.
pub const DEADLINES_MIN: usize = 1024;

/// Takes a waiter out of the queues of its keys, all of whose shards are held, and has those behind it served.
fn remove_from_queues(shards: &mut Shards<'_>, world: &World, waiter: &Arc<Waiter>, then_ready: bool) {
    for key in &waiter.block.keys {
        let blocking = &mut shards.of_slot(world.slots.slot(key)).blocking;
        blocking.remove(waiter);
        if then_ready {
            blocking.mark_ready(waiter.db, key);
        }
    }
}

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

    /// A shard has something for a waiting client. It may come before the batch in which the client began to wait.
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
        match wake {
            Wake::Reply { reply, .. } => connection.wake_reply = Some(reply),
            Wake::Retry { .. } | Wake::Later { .. } => self.retry(&mut connection),
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
        self.take_waiter(connection);
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
        let wanted = waiter.block.keys.iter().fold(0u64, |wanted, key| wanted | 1 << map.shard_of(map.slot(key)));
        if wanted == 0 {
            return;
        }
        self.shared.engine.with_shards(wanted, |mut shards| {
            remove_from_queues(&mut shards, &self.shared.world, waiter, then_ready);
        });
    }

    /// Runs the command of a waiting client again: a key is ready and they lie on several shards, or its time has come.
    fn retry(&mut self, connection: &mut Connection) {
        let Some(waiter) = connection.waiter.clone().filter(|waiter| !waiter.has_ended()) else { return };
        let map = self.shared.world.slots;
        let shard_of = |key: &[u8]| 1u64 << map.shard_of(map.slot(key));
        let wanted = waiter.block.keys.iter().fold(0, |wanted, key| wanted | shard_of(key));
        let args: Vec<&[u8]> = waiter.args.iter().map(Vec::as_slice).collect();
        // Keys that the command writes to (BLMOVE's destination) are among its keys, not among those waited for.
        let command_keys = waiter.command.spec.key_positions(&args).unwrap_or_default();
        let wanted = command_keys.iter().fold(wanted, |wanted, &at| wanted | shard_of(args[at]));
        let world = Arc::clone(&self.shared.world);
        let mut out = Vec::new();
        waiter.begin_retry();
        let again_at_ms = self.shared.engine.with_shards(wanted, |mut shards| {
            // Where all keys are on one shard, its holder may have served him before the baton was taken.
            if waiter.has_ended() {
                return None;
            }
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
            if blocked.is_none() && waiter.claim() {
                connection.wake_reply = Some(std::mem::take(&mut out));
                remove_from_queues(&mut shards, &world, &waiter, true);
            } else if waiter.spread {
                for key in &waiter.block.keys {
                    blocking::serve_behind(shards.of_slot(map.slot(key)), &waiter, key);
                }
            }
            blocked.and_then(|block| block.again_at_ms)
        });
        if let Some(at_ms) = again_at_ms.filter(|&at_ms| waiter.run_again_at(at_ms)) {
            self.look_at(connection.token, at_ms);
        }
    }

    /// Ends waits whose time is over, and runs commands again that asked for it.
    pub fn end_overdue_waits(&mut self) {
        while let Some(&Reverse((at_ms, bits))) = self.deadlines.peek() {
            if at_ms > self.now_ms {
                return;
            }
            self.deadlines.pop();
            let token = Token::from_bits(bits);
            let now_ms = self.now_ms;
            let waiter = self.connections.by_token(token).and_then(|connection| connection.waiter.as_ref());
            if waiter.is_some_and(|waiter| waiter.take_again(now_ms)) {
                self.retry_at(token);
            }
            self.interrupt(token, |waiter| waiter.block.deadline_ms == Some(at_ms), None);
        }
    }

    /// Runs the command of a client again because its time has come.
    fn retry_at(&mut self, token: Token) {
        let Some(mut connection) = self.connections.take(token.index) else { return };
        self.retry(&mut connection);
        self.settle_wait(&mut connection);
        self.settle(connection);
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
        if let Some(waiter) = self.take_waiter(connection) {
            if waiter.claim() {
                self.unregister(&waiter, true);
            }
        }
    }

    /// The connection waits for no key any more.
    fn take_waiter(&self, connection: &mut Connection) -> Option<Arc<Waiter>> {
        let waiter = connection.waiter.take()?;
        connection.record.blocked.store(false, Relaxed);
        self.stats().blocked.subtract(1);
        self.stats().blocked_with_timeout.subtract(u64::from(waiter.block.deadline_ms.is_some()));
        Some(waiter)
    }
}
