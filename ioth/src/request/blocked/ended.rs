//! CLIENT UNBLOCK and CLIENT KILL, which end what clients of other threads wait for: answered when that has happened.
//!
//! Only a client's own thread knows what has become of its wait: whether this has ended it, or whether it was served before. And what
//! a command behind the answer changes must not be taken for a client of which its sender has been told that it waits no more. So the
//! command's client waits until each thread has seen to its own, without anybody's thread waiting for that. A transaction waits for
//! nobody, and what comes behind the command in it must not be taken either: it ends waits itself, by their state
//! ([`Shared::end_wait`]), and their threads answer. Only one that is just being served elsewhere ends soon.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use sherd_shards::handler::error::CommandError;
use sherd_shards::server::client::ClientRecord;

use crate::connection::token::Token;
use crate::connection::wait::{Share, WaitsFor};
use crate::connection::Connection;
use crate::request::lost_rights::refusal;
use crate::request::output::flush;
use crate::request::settle::settle;
use crate::shared::interruptions::Reason;
use crate::shared::message::{Ended, Message};
use crate::shared::Shared;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::elsewhere;
use super::wake::{interrupt, settle_ended, tell_asker, Attempt};

const UNBLOCKED: CommandError = CommandError::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// The client of the connection asks for the end of another one's wait. Returns whether this has ended it; `None` if the answer
/// comes later.
pub fn ask_to_unblock(
    io: &mut IoThread,
    connection: &mut Connection,
    (record, other): (&ClientRecord, Token),
    with_error: bool,
) -> Option<bool> {
    if connection.session.is_in_exec {
        return Some(unblock_in_exec(io, record, other, with_error));
    }
    let asked_by = Some(connection.token);
    let answer = if usize::from(other.io_thread) == io.index {
        unblock(io, other, with_error, asked_by)
    } else {
        io.shared.tell(other, Message::Unblock { connection: other, with_error, asked_by });
        None
    };
    if answer.is_none() {
        wait_for_others(connection);
    }
    answer
}

/// The same, for whoever has asked: it is told, unless it does not wait for that.
pub fn unblock_for(io: &mut IoThread, token: Token, with_error: bool, asked_by: Option<Token>) {
    if let Some(connection) = io.connections.by_token(token) {
        connection.record.unblock_asked.store(false, Relaxed);
    }
    if let (Some(answer), Some(asker)) = (unblock(io, token, with_error, asked_by), asked_by) {
        tell_asker(&io.shared, asker, answer);
    }
}

/// A transaction does not wait for what becomes of it.
fn unblock_in_exec(io: &mut IoThread, record: &ClientRecord, other: Token, with_error: bool) -> bool {
    if usize::from(other.io_thread) == io.index {
        return unblock(io, other, with_error, None) != Some(false);
    }
    let how = if with_error { Ended::Unblocked } else { Ended::Timeout };
    if io.shared.end_wait(record, other, how) {
        return true;
    }
    // One message a client, however often a transaction says so.
    if !record.unblock_asked.swap(true, Relaxed) {
        io.shared.tell(other, Message::Unblock { connection: other, with_error, asked_by: None });
    }
    true
}

/// Ends a client's wait as if its time were over, or with an error. Returns whether it has; `None` if that is found out later, and
/// told to who has asked.
fn unblock(io: &mut IoThread, token: Token, with_error: bool, asked_by: Option<Token>) -> Option<bool> {
    match interrupt(io, token, with_error.then_some(&UNBLOCKED)) {
        Attempt::Ended => return Some(true),
        Attempt::BeingServed => {
            let connection = io.connections.by_token(token)?;
            connection.wait.unblocked_by = asked_by;
            return None;
        }
        Attempt::NoWait => {}
    }
    let Some(mut connection) = io.connections.take_by_token(token) else { return Some(false) };
    let reason = if with_error { Reason::Unblocked } else { Reason::Timeout };
    let has_ended = elsewhere::interrupt(io, &mut connection, reason);
    io.connections.put_back(connection);
    Some(has_ended)
}

fn wait_for_others(connection: &mut Connection) {
    connection.wait.is_suppressed = connection.session.reply_mode.suppresses();
    connection.wait.reason = WaitsFor::Errand;
}

/// The answer to a client, given when this is dropped.
struct Answer {
    // Weak: it may be left in the mailbox of a thread that has ended.
    shared: Weak<Shared>,
    asker: Token,
    reply: Vec<u8>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.answer(self.asker, std::mem::take(&mut self.reply));
        }
    }
}

/// Ends clients that were killed. The one of the connection is answered when nothing can be taken for them any more.
pub fn end_killed(
    io: &mut IoThread,
    connection: &mut Connection,
    killed: &[(Arc<ClientRecord>, Token)],
    reply: Vec<u8>,
) -> Dispatch {
    let (own, others): (Vec<_>, Vec<_>) =
        killed.iter().partition(|(_, token)| usize::from(token.io_thread) == io.index);
    own.into_iter().for_each(|(_, token)| end(io, *token));
    if !killed.is_empty() {
        // Links of replication, which belong to no IO thread, look by themselves.
        io.shared.replicas.wake();
    }
    if others.is_empty() || connection.session.is_in_exec {
        for (record, token) in others {
            io.shared.end_wait(record, *token, Ended::Killed);
            io.shared.tell(*token, Message::Kill(*token, None));
        }
        connection.reply(|writer| writer.raw(&reply));
        return Dispatch::Done;
    }
    wait_for_others(connection);
    let answer: Share = Arc::new(Answer { shared: Arc::downgrade(&io.shared), asker: connection.token, reply });
    for (_, token) in others {
        io.shared.tell(*token, Message::Kill(*token, Some(Arc::clone(&answer))));
    }
    Dispatch::Wait
}

/// Answers a client whose wait another thread has ended.
pub fn answer_ended(io: &mut IoThread, token: Token, how: Ended) {
    let Some(connection) = io.connections.take_by_token(token) else { return };
    let error = match how {
        Ended::Timeout => Some(None),
        Ended::Unblocked => Some(Some(UNBLOCKED)),
        Ended::Refused(denied) => refusal(io, &connection, denied).map(Some),
        Ended::Killed => None,
    };
    settle_ended(io, connection, error.as_ref().map(Option::as_ref));
}

/// Ends a client that was killed, as soon as nobody works for it.
pub fn end(io: &mut IoThread, token: Token) {
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    flush(io, &mut connection);
    connection.closing = true;
    settle(io, connection);
}
