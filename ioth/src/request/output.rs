//! Sending, and what is counted and limited with it.

use std::sync::atomic::Ordering::Relaxed;

use crate::connection::Connection;
use crate::observe::log::Level;
use crate::thread::client_eviction::look_at_growth;
use crate::thread::IoThread;

/// Sends what waits at a connection, which ends if that fails.
pub fn flush(io: &mut IoThread, connection: &mut Connection) {
    if connection.outbound.unsent() == 0 {
        return;
    }
    match connection.outbound.flush(&mut connection.transport) {
        Ok(sent) => note_written(io, connection, sent),
        Err(_) => connection.closing = true,
    }
}

/// Sends bytes after what waits at a connection, which ends if that fails.
pub fn send(io: &mut IoThread, connection: &mut Connection, bytes: &[u8]) {
    match connection.outbound.send(&mut connection.transport, bytes) {
        Ok(sent) => note_written(io, connection, sent),
        Err(_) => connection.closing = true,
    }
}

/// Counts what was sent and looks at the hard limit of what was not.
pub fn note_written(io: &mut IoThread, connection: &mut Connection, sent: usize) {
    let record = &connection.record;
    record.output_bytes.store(record.output_bytes.load(Relaxed) + sent as u64, Relaxed);
    let unsent = connection.outbound.unsent();
    io.peaks.output.note(unsent);
    let stats = io.stats();
    stats.writes.increment();
    stats.output_bytes.add(sent as u64);
    let limit = io.shared.world.settings.output_limit_hard_bytes.size();
    if limit > 0 && unsent > limit {
        stats.output_limit_disconnections.increment();
        let fields = vec![("client", connection.record.address.clone()), ("bytes", unsent.to_string())];
        io.shared.log.add(Level::Warning, "a client was cut at its output buffer limit", fields);
        connection.closing = true;
    }
    look_at_growth(io, connection);
}
