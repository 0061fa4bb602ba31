//! Commands of extensions: handed to the extensions' threads, whose replies come back as the control plane's do.
//!
//! Those that stand one behind the other in a pipeline go up together: the hand-off, and the system calls of the answer, are
//! paid once for all of them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::Plane;
use sherd_shards::journal::Ticket;

use crate::connection::calls::{Calls, CommandLine, CALLS_MAX};
use crate::connection::token::Token;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::request::Request;
use crate::shared::extensions::work::Work;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::durable::hold_for;
use super::gate::{gate, refuse};
use super::output::{cut_if_dropped, note_written, send_from};
use super::settle::settle;
use super::slots::check_one_slot;

/// Begins with one command; those that [`join`] follow, and [`send_calls`] sends them.
pub fn begin_calls(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Dispatch {
    if connection.outbound.has_pending() {
        return Dispatch::Later;
    }
    if io.shared.cluster {
        if let Err(error) = check_one_slot(command, request.args) {
            return refuse(io, connection, Some(command), &error);
        }
    }
    connection.record.last_command.store(command.id as u32, Relaxed);
    connection.wait.calls = Some(Box::new(Calls {
        token: connection.token,
        record: Arc::clone(&connection.record),
        db: connection.session.db,
        protocol: connection.session.protocol,
        tracks: connection.record.tracking.tracks(),
        lent: None,
        lines: vec![CommandLine { command, args: request.owned_args() }],
    }));
    connection.end_caching();
    Dispatch::Wait
}

/// Adds a command to those that were begun, if it is one of an extension that may be executed; the connection's state is such
/// that plain commands need not be looked at one by one.
pub fn join(io: &IoThread, connection: &mut Connection, request: &Request<'_>) -> bool {
    let Some(command) = request.get(0).and_then(|name| io.shared.extensions.find(name)) else { return false };
    if gate(io, connection, command, request).is_err()
        || !matches!(command.spec.plane, Plane::Extension)
        || (io.shared.cluster && check_one_slot(command, request.args).is_err())
    {
        return false;
    }
    // CLIENT CACHING was for the first one alone.
    let tracks = connection.record.tracking.tracks();
    let is_joined = |calls: &&mut Box<Calls>| calls.lines.len() < CALLS_MAX && calls.tracks == tracks;
    let Some(calls) = connection.wait.calls.as_mut().filter(is_joined) else { return false };
    calls.lines.push(CommandLine { command, args: request.owned_args() });
    true
}

/// Sends what was begun to the extensions' threads; the connection waits for the answer.
pub fn send_calls(io: &IoThread, connection: &mut Connection, mut calls: Box<Calls>) {
    if connection.may_be_answered_at_once() {
        calls.lent = connection.transport.lend();
    }
    connection.wait.reason = WaitsFor::Control;
    io.shared.extensions.work.push(Work::Calls(calls));
}

/// Takes replies that a connection waits for, `sent` bytes of which the client has got already; others follow unless they are
/// all. Requests that were not executed stand before all others of the connection again.
pub fn take_replies(
    io: &mut IoThread,
    token: Token,
    (mut data, sent): (Vec<u8>, usize),
    ticket: Ticket,
    (is_all, untaken): (bool, &[u8]),
) {
    // The client may have gone.
    let Some(mut connection) = io.connections.take_by_token(token) else { return };
    if connection.wait.reason != WaitsFor::Control {
        io.connections.put_back(connection);
        return;
    }
    connection.transport.take_back();
    if sent > 0 {
        note_written(io, &mut connection, sent);
    }
    hold_for(io, &mut connection, ticket);
    let rest = sent..data.len();
    if !cut_if_dropped(io, &mut connection) && !rest.is_empty() && !connection.session.reply_mode.suppresses() {
        send_from(io, &mut connection, &mut data, rest);
    }
    if is_all {
        connection.inbound.put_back(untaken);
        connection.session.advance_reply_mode();
        connection.wait.reason = WaitsFor::Nothing;
        io.connections.make_ready_again(&mut connection);
    }
    settle(io, connection);
}
