//! A connection begins to wait for a key, and ends.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::command_of;
use sherd_shards::effects::blocking::{Interrupt, Waiter};

use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::request::output::{cut_if_dropped, flush};
use crate::shared::message::Message;
use crate::thread::IoThread;

/// The connection waits from now on.
pub fn begin_wait(io: &mut IoThread, connection: &mut Connection, waiter: Arc<Waiter>) {
    for at_ms in [waiter.block.deadline_ms, waiter.again_at_ms()].into_iter().flatten() {
        io.deadlines.add(&mut io.connections, connection.token, at_ms);
    }
    connection.wait.reason = WaitsFor::Key;
    // Before anybody can know that it waits.
    waiter.announce(&connection.record);
    connection.record.blocked.store(true, Relaxed);
    io.stats().blocked.increment();
    io.stats().blocked_with_timeout.add(u64::from(waiter.block.deadline_ms.is_some()));
    if connection.session.is_checked && !may_wait(connection, &waiter) {
        // Its rights have changed while the command was on its way; it is refused as others are that wait.
        io.shared.mailboxes[io.index].deliver(Message::UsersChanged);
    }
    connection.wait.waiter = Some(waiter);
    // Its end may have been noticed while the command was on its way: nothing will tell of it again.
    connection.closing |= connection.transport.is_closed_by_peer();
    settle_wait(io, connection);
}

fn may_wait(connection: &Connection, waiter: &Waiter) -> bool {
    let session = &connection.session;
    session.user.check(command_of(waiter), &waiter.sent_args(), session.db).is_ok()
}

/// Answers the client if its reply has come and everything before it was sent.
#[inline]
pub fn settle_wait(io: &mut IoThread, connection: &mut Connection) {
    if connection.wait.reason != WaitsFor::Key || connection.outbound.awaits_shards() {
        return;
    }
    if let Some(reply) = connection.wait.reply.take() {
        end_wait(io, connection, reply);
    }
}

fn end_wait(io: &mut IoThread, connection: &mut Connection, reply: Vec<u8>) {
    take_waiter(io, connection);
    connection.record.last_interaction_at.store(io.clock.now_ms, Relaxed);
    if !connection.wait.is_suppressed {
        connection.outbound.append(reply, 0);
    }
    cut_if_dropped(io, connection);
    connection.outbound.end_reply();
    flush(io, connection);
    if connection.close_after_reply && connection.unsent() == 0 {
        connection.closing = true;
    }
    io.connections.make_ready_again(connection);
}

/// The client is to go while it waits; false if a message about its waiter has yet to come.
pub fn abandon_wait(io: &mut IoThread, connection: &mut Connection) -> bool {
    let Some(waiter) = &connection.wait.waiter else { return true };
    if waiter.state.interrupt() == Interrupt::Late {
        return false;
    }
    if let Some(waiter) = take_waiter(io, connection) {
        io.shared.engine.forget(&waiter);
    }
    true
}

/// The connection waits for no key any more.
fn take_waiter(io: &IoThread, connection: &mut Connection) -> Option<Arc<Waiter>> {
    let waiter = connection.wait.waiter.take()?;
    connection.wait.reason = WaitsFor::Nothing;
    connection.wait.interrupt_reply = None;
    Waiter::withdraw(&connection.record);
    connection.record.blocked.store(false, Relaxed);
    io.stats().blocked.subtract(1);
    io.stats().blocked_with_timeout.subtract(u64::from(waiter.block.deadline_ms.is_some()));
    Some(waiter)
}
