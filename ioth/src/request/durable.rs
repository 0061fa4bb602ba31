//! Replies that wait until what they acknowledge is on disk (`appendfsync always`).
//!
//! A connection that has written has its output held back, and goes on otherwise: its next requests are executed and their
//! replies stay behind the first. The journal's thread tells when it has got further, and what has become durable is sent.
//! Nobody waits, and connections that have only read are not held back.

use std::sync::atomic::{fence, Ordering::SeqCst};

use sherd_shards::journal::Ticket;

use crate::connection::Connection;
use crate::shared::message::Message;
use crate::thread::IoThread;

use super::paused::release_deferred;
use super::settle::go_on_with;

/// Holds back what a connection is to be sent until a segment of the journal is durable, if replies wait for that.
#[inline]
pub fn hold_for(io: &mut IoThread, connection: &mut Connection, ticket: Ticket) {
    let world = &io.shared.world;
    if ticket != 0 && world.holds_replies() && !world.journal.is_durable(ticket) {
        hold(io, connection, ticket);
    }
}

#[cold]
fn hold(io: &mut IoThread, connection: &mut Connection, ticket: Ticket) {
    if connection.outbound.hold_until(ticket) {
        io.held.push(connection.token);
    }
    ask_to_be_told(io);
    if io.shared.world.journal.is_durable(ticket) {
        // It has got there just now, and has perhaps not seen that it is to tell.
        io.shared.mailboxes[io.index].deliver(Message::Journal);
    }
}

/// Has the journal's thread tell this one when it has got further. Either it sees that, or it was seen to have got further.
fn ask_to_be_told(io: &IoThread) {
    io.shared.holds[io.index].store(true, SeqCst);
    fence(SeqCst);
}

/// The journal has got further: sends what is durable now, and lets writers go on that waited for room in it.
pub fn release_durable(io: &mut IoThread) {
    ask_to_be_told(io);
    for token in std::mem::take(&mut io.held) {
        let Some(mut connection) = io.connections.take_by_token(token) else { continue };
        let world = &io.shared.world;
        if world.holds_replies() && !world.journal.is_durable(connection.outbound.held_until()) {
            io.held.push(token);
            io.connections.put_back(connection);
            continue;
        }
        connection.outbound.release();
        go_on_with(io, connection);
    }
    if io.held.is_empty() {
        io.shared.holds[io.index].store(false, SeqCst);
    }
    if !io.deferred.connections.is_empty() && !io.shared.world.pause.is_behind() {
        release_deferred(io, true);
    }
}
