//! After a connection was worked on: it goes back to its place, or is closed.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::connection::outbound::OUTPUT_PAUSE_BYTES;
use crate::connection::Connection;
use crate::thread::IoThread;

use super::blocked::elsewhere;
use super::blocked::wait::abandon_wait;
use super::output::flush;
use super::paused::release;
use super::subscribe::unsubscribe_all;
use super::track::track_no_longer;

/// After a connection's requests were taken: [`settle`] follows when shards have executed them, and now only where they have none.
#[inline]
pub fn keep_or_settle(io: &mut IoThread, connection: Box<Connection>) {
    if connection.outbound.is_executing() && !connection.closing {
        io.connections.put_back(connection);
    } else {
        settle(io, connection);
    }
}

/// After a connection was worked on: keeps it, or closes it.
#[inline]
pub fn settle(io: &mut IoThread, connection: Box<Connection>) {
    if connection.is_idle() {
        rest(io, connection);
    } else {
        settle_busy(io, connection);
    }
}

/// Nothing is out for a connection: it waits for what its client sends next, which may be there already.
#[inline]
fn rest(io: &mut IoThread, mut connection: Box<Connection>) {
    connection.wait.shares.clear();
    let more =
        !connection.is_deferred && connection.transport.is_readable() && connection.unsent() < OUTPUT_PAUSE_BYTES;
    connection.inbound.release(&mut io.buffers);
    let index = connection.token.index;
    io.connections.put_back(connection);
    if more {
        io.connections.make_ready(index);
    }
}

/// Something is out for a connection, or it is to end.
fn settle_busy(io: &mut IoThread, mut connection: Box<Connection>) {
    if connection.closing && !connection.outbound.is_executing() {
        connection.outbound.forget_parked();
    }
    let has_writes_out = connection.may_have_writes_out();
    let ends = connection.closing && !has_writes_out && abandon_wait(io, &mut connection);
    if ends && !awaits_disk(io, &connection) {
        close(io, connection);
        return;
    }
    if !has_writes_out {
        connection.wait.shares.clear();
    } else if connection.closing {
        elsewhere::hang_up_if_killed(&mut connection);
    }
    io.connections.put_back(connection);
}

/// Whether replies are held back until the disk has what they acknowledge. A client that will send no more reads them all the
/// same, and what its commands took out of the keyspace is nowhere else. A disk that fails keeps nobody.
fn awaits_disk(io: &IoThread, connection: &Connection) -> bool {
    connection.outbound.held_until() != 0 && connection.unsent() > 0 && io.shared.world.journal.failure() == 0
}

/// Ends a connection that has nothing out any more.
pub fn close(io: &mut IoThread, mut connection: Box<Connection>) {
    let index = connection.token.index;
    release(io, &mut connection);
    unsubscribe_all(io, &mut connection);
    if connection.wait.early.take().is_some() {
        io.shared.world.tracking.end(false);
    }
    elsewhere::abandon(io, &mut connection);
    track_no_longer(io, &mut connection);
    connection.record.tracking.end(&io.shared.world.tracking.readers);
    if connection.record.is_monitor.load(Relaxed) {
        io.shared.monitors.fetch_sub(1, SeqCst);
    }
    io.shared.clients.remove(connection.record.id);
    io.shared.client_bytes.fetch_sub(connection.record.memory_bytes.load(Relaxed) as i64, Relaxed);
    io.stats().connections.subtract(1);
    io.shared.admitted.fetch_sub(1, Relaxed);
    io.poller.remove_connection(&connection.transport);
    drop(connection);
    io.connections.release(index);
}

/// Sends the answer of what another thread has executed, and goes on with the connection. A client that was killed meanwhile
/// gets it all the same: what a command took out of the keyspace is not lost on the way.
pub fn go_on_with(io: &mut IoThread, mut connection: Box<Connection>) {
    if !connection.is_answering() {
        connection.outbound.end_reply();
    }
    flush(io, &mut connection);
    io.connections.make_ready_again(&mut connection);
    settle(io, connection);
}
