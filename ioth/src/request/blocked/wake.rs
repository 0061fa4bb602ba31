//! What ends the wait of a connection for a key, or has its command run again: messages, deadlines, a new role.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::command_of;
use sherd_shards::effects::blocking::{Interrupt, Wake};
use sherd_shards::executor::execute;
use sherd_shards::handler::error::CommandError;
use sherd_shards::handler::reply::Reply;

use crate::connection::token::Token;
use crate::connection::Connection;
use crate::request::durable::hold_for;
use crate::request::paused::postpones;
use crate::request::settle::settle;
use crate::shared::interruptions::Reason;
use crate::shared::Shared;
use crate::thread::IoThread;

use super::elsewhere;
use super::wait::settle_wait;

const ROLE_CHANGED: CommandError =
    CommandError::new("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");

/// A message about a waiting client. It may come before the batch in which the client began to wait.
pub fn wake_client(io: &mut IoThread, wake: Wake) {
    let token = Token::from_bits(wake.token());
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    if let Wake::Later { at_ms, .. } = wake {
        io.connections.put_back(connection);
        io.deadlines.add(&mut io.connections, token, at_ms);
        return;
    }
    if let Some(asker) = connection.wait.unblocked_by.take() {
        tell_asker(&io.shared, asker, matches!(wake, Wake::Interrupted { .. }));
    }
    connection.wait.reply = match wake {
        Wake::Reply { reply, close, ticket, .. } => {
            hold_for(io, &mut connection, ticket);
            connection.close_after_reply |= close;
            Some(reply)
        }
        // Only what was interrupted here ends so; a connection that is closing needs no answer.
        _ => {
            let reply = connection.wait.interrupt_reply.take().unwrap_or_default();
            count_interrupted(io, &connection, &reply);
            Some(reply)
        }
    };
    settle_wait(io, &mut connection);
    settle(io, connection);
}

/// Tells who has asked for the end of a wait whether that has ended it.
pub fn tell_asker(shared: &Shared, asker: Token, has_ended: bool) {
    let reply = if has_ended { b":1\r\n" } else { b":0\r\n" };
    shared.answer(asker, reply.to_vec());
}

/// Ends waits whose time is over, and has commands run again that asked for it.
pub fn end_overdue_waits(io: &mut IoThread) {
    let now_ms = io.clock.now_ms;
    while let Some((at_ms, token)) = io.deadlines.take_due(now_ms) {
        let waiter = io.connections.by_token(token).and_then(|connection| connection.wait.waiter.clone());
        let Some(waiter) = waiter else { continue };
        if waiter.block.deadline_ms == Some(at_ms) {
            interrupt(io, token, None);
        } else if waiter.take_again(now_ms) && !postpones(io, token, command_of(&waiter)) {
            io.shared.engine.serve(waiter);
        }
    }
}

/// Ends the waits of all clients of the thread, and then their connections: the server is a replica from now on, and they are to
/// look for the primary.
pub fn end_all_waits(io: &mut IoThread) {
    for index in io.connections.indexes_where(|connection| connection.record.blocked.load(Relaxed)) {
        let Some(mut connection) = io.connections.take(index) else { continue };
        let token = connection.token;
        connection.close_after_reply = true;
        elsewhere::interrupt(io, &mut connection, Reason::RoleChanged);
        io.connections.put_back(connection);
        interrupt(io, token, Some(&ROLE_CHANGED));
    }
}

/// Ends a wait with an error: what the client waits for is not allowed any more.
pub fn refuse_wait(io: &mut IoThread, token: Token, error: &CommandError) {
    interrupt(io, token, Some(error));
}

/// What has become of an attempt to end a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    Ended,
    /// A message says whether it has.
    BeingServed,
    /// There is no wait for a key, or something else has ended it.
    NoWait,
}

/// Ends a wait with an error or as if its time were over, unless it is served first.
pub fn interrupt(io: &mut IoThread, token: Token, error: Option<&CommandError>) -> Attempt {
    let Some(connection) = io.connections.by_token(token) else { return Attempt::NoWait };
    let Some(waiter) = connection.wait.waiter.clone() else { return Attempt::NoWait };
    let mut reply = Vec::new();
    let mut writer = Reply::new(&mut reply, connection.session.protocol);
    match error {
        Some(error) => writer.error(error),
        None => writer.timed_out(waiter.block.on_timeout),
    }
    if waiter.state.interrupt() == Interrupt::Late {
        let wait = &mut connection.wait;
        let is_first = wait.interrupt_reply.is_none() && wait.reply.is_none();
        // The one that came first is what the client is answered, if the server finds nothing.
        wait.interrupt_reply.get_or_insert(reply);
        return if is_first { Attempt::BeingServed } else { Attempt::NoWait };
    }
    let Some(mut connection) = io.connections.take(token.index) else { return Attempt::NoWait };
    io.shared.engine.forget(&waiter);
    count_interrupted(io, &connection, &reply);
    connection.wait.reply = Some(reply);
    settle_wait(io, &mut connection);
    settle(io, connection);
    Attempt::Ended
}

/// Answers the client of a wait that somebody else has ended: with an error, as if its time were over (`Some(None)`), or not at all.
pub fn settle_ended(io: &mut IoThread, mut connection: Box<Connection>, error: Option<Option<&CommandError>>) {
    // Its own thread gets one more message when it was too late to end it: this one.
    let Some(waiter) = connection.wait.waiter.clone() else { return io.connections.put_back(connection) };
    if let Some(asker) = connection.wait.unblocked_by.take() {
        tell_asker(&io.shared, asker, false);
    }
    let mut reply = Vec::new();
    let mut writer = Reply::new(&mut reply, connection.session.protocol);
    match error {
        Some(Some(error)) => writer.error(error),
        Some(None) => writer.timed_out(waiter.block.on_timeout),
        None => {}
    }
    io.shared.engine.forget(&waiter);
    count_interrupted(io, &connection, &reply);
    connection.wait.reply = Some(reply);
    settle_wait(io, &mut connection);
    settle(io, connection);
}

/// Counts a call that has ended without being served, as a failed one if its answer is an error; what its client may not do any more
/// was not called.
fn count_interrupted(io: &IoThread, connection: &Connection, reply: &[u8]) {
    let Some(waiter) = &connection.wait.waiter else { return };
    let failed = reply.first() == Some(&b'-');
    let (cell, world) = (io.stats().cells.cell(waiter.command), &io.shared.world);
    if reply.starts_with(b"-NOPERM ") {
        cell.rejected.increment();
    } else {
        cell.record(0, failed);
        let client = Some(&*connection.record);
        execute::note_command(world, command_of(waiter), &waiter.sent_args(), client, (0, reply.len()));
    }
    if failed {
        io.stats().error_replies.increment();
        world.logs.count_error(reply);
    }
}
