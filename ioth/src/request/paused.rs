//! Connections that are deferred: by CLIENT PAUSE, or because the control plane's inbox is full.
//!
//! What is deferred stays in the read buffer and is parsed again when its connection is released. A client that goes away
//! or is killed meanwhile has asked for nothing.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;

use crate::connection::token::Token;
use crate::connection::Connection;
use crate::thread::IoThread;

use super::quiet::answer_when_quiet;

/// Flags of commands that CLIENT PAUSE WRITE defers, whoever executes them.
pub const MAY_WRITE: u32 = flag::WRITE | flag::MAY_REPLICATE;

/// Begins the pauses that the command just executed has asked for: a transaction is over by then, all of it. What it has answered, from
/// `start` on, is sent when all is done that they do not hold back.
#[inline]
pub fn begin_pauses(io: &mut IoThread, connection: &mut Connection, start: usize) {
    if !io.deferred.pauses.is_empty() {
        begin_now(io, connection, start);
    }
}

#[cold]
fn begin_now(io: &mut IoThread, connection: &mut Connection, start: usize) {
    let now_ms = io.shared.world.monotonic_milliseconds();
    for pause in io.deferred.pauses.drain(..) {
        io.shared.world.pause.start(now_ms.saturating_add(pause.timeout_ms), pause.writes_only, now_ms);
    }
    // There is none any more if the connection was cut for it.
    let buffer = &mut connection.outbound.buffer;
    let reply = buffer.split_off(start.min(buffer.len()));
    answer_when_quiet(io, connection, reply);
}

/// Whether CLIENT PAUSE holds a command back now. A command that is queued by MULTI counts as if it were executed.
pub fn pauses(io: &IoThread, may_write: bool) -> bool {
    let pause = &io.shared.world.pause;
    // The journal is behind: for those who write that is a pause as well.
    may_write && pause.is_behind()
        || pause.get(io.clock.now_ms).is_some_and(|(_, writes_only)| may_write || !writes_only)
}

/// Whether the command of a client that waits for a key must not be run again now; it is when the pause is over.
pub fn postpones(io: &mut IoThread, token: Token, command: &Command) -> bool {
    let postpones = pauses(io, command.spec.has(MAY_WRITE));
    if postpones {
        io.deferred.waiting.push(token);
    }
    postpones
}

/// Holds a connection back for a pause.
#[cold]
pub fn defer_for_pause(io: &mut IoThread, connection: &mut Connection, command: &Command) {
    let record = &connection.record;
    record.paused.store(true, Relaxed);
    record.last_command.store(command.id as u32, Relaxed);
    io.stats().paused.increment();
    connection.closing |= connection.transport.is_closed_by_peer();
    defer(io, connection);
    look_when_pause_ends(io);
}

/// Takes nothing more from a connection until [`release_deferred`].
pub fn defer(io: &mut IoThread, connection: &mut Connection) {
    connection.is_deferred = true;
    io.deferred.connections.push(connection.token);
}

/// Takes nothing more from a connection for a while.
#[cold]
pub fn defer_for(io: &mut IoThread, connection: &mut Connection, milliseconds: i64) {
    connection.session.deferred_until_ms = io.clock.now_ms.saturating_add(milliseconds);
    io.ticks.look_at(connection.session.deferred_until_ms);
    defer(io, connection);
}

/// The connection is not deferred any more, or goes away.
pub fn release(io: &IoThread, connection: &mut Connection) {
    connection.is_deferred = false;
    // It was the server that let it wait: nobody has been idle.
    connection.record.last_interaction_at.store(io.clock.now_ms, Relaxed);
    if connection.record.paused.swap(false, Relaxed) {
        io.stats().paused.subtract(1);
    }
}

fn look_when_pause_ends(io: &mut IoThread) {
    if let Some((until_ms, _)) = io.shared.world.pause.get(io.clock.now_ms) {
        io.ticks.look_at(until_ms);
    }
}

/// Lets those go on that were deferred: all of them, or those that do not wait for the end of a pause that is on.
pub fn release_deferred(io: &mut IoThread, all: bool) {
    io.shared.world.pause.forget_if_over(io.clock.now_ms);
    let stays_paused = !all && pauses(io, true);
    for token in std::mem::take(&mut io.deferred.connections) {
        let Some(mut connection) = io.connections.take_by_token(token) else { continue };
        let until_ms = connection.session.deferred_until_ms;
        let is_released = (!stays_paused || !connection.record.paused.load(Relaxed)) && until_ms <= io.clock.now_ms;
        if is_released {
            release(io, &mut connection);
        }
        io.connections.put_back(connection);
        if is_released {
            io.connections.make_ready(token.index);
        } else {
            io.ticks.look_at(until_ms.max(io.clock.now_ms));
            io.deferred.connections.push(token);
        }
    }
    if stays_paused {
        look_when_pause_ends(io);
        return;
    }
    io.shared.extensions.take_up();
    for token in std::mem::take(&mut io.deferred.waiting) {
        let waiter = io.connections.by_token(token).and_then(|connection| connection.wait.waiter.clone());
        if let Some(waiter) = waiter {
            io.shared.engine.serve(waiter);
        }
    }
}
