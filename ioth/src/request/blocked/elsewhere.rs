//! A wait that is the control plane's (WAIT, WAITAOF): the connection is blocked as by a key, and what ends a wait for a key ends this
//! one as well.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;

use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::shared::interruptions::Reason;
use crate::thread::IoThread;

/// A command is about to be sent to the control plane, which may wait with its answer for as long as the client likes if it is
/// one that blocks.
pub fn begin_wait(io: &IoThread, connection: &mut Connection, command: &Command) {
    if command.spec.has(flag::BLOCKING) {
        connection.wait.is_elsewhere = true;
        connection.wait.number += 1;
        io.shared.interruptions.begin(&connection.record);
        // As for a key.
        connection.closing |= connection.transport.is_closed_by_peer();
    }
}

/// The answer has come, or nobody waits for it any more, or it could not be asked for.
pub fn end_wait(io: &IoThread, connection: &mut Connection) {
    if std::mem::take(&mut connection.wait.is_elsewhere) {
        connection.wait.is_interrupted = false;
        io.shared.interruptions.end(&connection.record);
    }
}

/// Has the control plane answer, for this reason; the first one counts. Returns whether there was a wait that is over with that.
pub fn interrupt(io: &IoThread, connection: &mut Connection, reason: Reason) -> bool {
    // Whoever has its answer does not wait any more, which it may have as soon as this is said.
    let waits = connection.record.blocked.load(Relaxed);
    let is_first = connection.wait.is_elsewhere && !std::mem::replace(&mut connection.wait.is_interrupted, true);
    if is_first {
        io.shared.interruptions.add(connection.record.id, connection.wait.number, reason);
    }
    is_first && waits
}

/// The connection ends: nobody is to be answered. Whoever has been lent the right to send has the socket still, and the peer is
/// not to wait for that.
pub fn abandon(io: &IoThread, connection: &mut Connection) {
    if connection.wait.is_elsewhere {
        // First: what the control plane answers from now on is for nobody.
        connection.transport.hang_up();
        io.shared.interruptions.add(connection.record.id, connection.wait.number, Reason::Gone);
        end_wait(io, connection);
    } else {
        hang_up_if_killed(connection);
    }
}

/// Whoever kills a client does not wait for what Python executes for it.
pub fn hang_up_if_killed(connection: &mut Connection) {
    let is_elsewhere = matches!(connection.wait.reason, WaitsFor::Control | WaitsFor::Exec);
    if is_elsewhere && connection.record.killed.load(Relaxed) {
        connection.transport.hang_up();
    }
}
