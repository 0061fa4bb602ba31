//! Requests for commands that concern a connection, one by one and in rows. What executes them is in [`super::own_command`], which
//! pauses and transactions know as well.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::Plane;

use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::protocol::parser::SHORT_ARGS_MAX;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::gate::refuse;
use super::own_command::{execute, own_command};
use super::paused::begin_pauses;
use super::publish::{hear, wait_if_behind};
use super::slots::check_one_slot;
use super::submit::Row;

/// Executes a connection command, unless it has to wait for what the connection has out.
pub fn route_own(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    number: u16,
    args: &[&[u8]],
) -> Dispatch {
    let own = own_command(io, number);
    let hears = connection.record.tracking.hears.load(Relaxed);
    if connection.outbound.has_pending() && (hears || !own.comes_at_once) {
        return Dispatch::Later;
    }
    if hears {
        // It is told of its own changes behind the replies to what has made them, before other replies.
        hear(io, connection);
    }
    connection.record.last_command.store(command.id as u32, Relaxed);
    if let Some(dispatch) = wait_if_behind(io, connection, command) {
        return dispatch;
    }
    if io.shared.cluster && !command.spec.keys.is_empty() {
        if let Err(error) = check_one_slot(command, args) {
            return refuse(io, connection, Some(command), &error);
        }
    }
    let start = connection.outbound.buffer.len();
    let dispatch = execute(io, connection, command, own, args);
    if dispatch == Dispatch::Later {
        // What was said of this command holds when it is taken again.
        return dispatch;
    }
    if !own.keeps_caching {
        connection.end_caching();
    }
    begin_pauses(io, connection, start);
    let is_paused = connection.wait.reason == WaitsFor::Quiet;
    if !connection.outbound.has_pending() && !is_paused {
        connection.outbound.end_reply();
    }
    // Database, protocol or name may be others now.
    connection.outbound.close_segments();
    connection.session.advance_reply_mode();
    if is_paused {
        Dispatch::Wait
    } else {
        dispatch
    }
}

/// Executes calls of a command that follow each other, of `count` arguments each, and which answers and does nothing else.
pub fn run_row<'a>(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    args: &mut [&'a [u8]; SHORT_ARGS_MAX],
    count: usize,
    row: &mut impl Row<'a>,
) {
    let Plane::Connection(number) = command.spec.plane else { return };
    let own = own_command(io, number);
    // One that panics ends the connection.
    while !connection.close_after_reply && row.next(args) {
        execute(io, connection, command, own, &args[..count]);
    }
}
