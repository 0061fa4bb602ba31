//! Sending, and what is counted and limited with it.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::server::settings::{ClientClass, OutputLimit, Settings};

use crate::connection::encoded::Push;
use crate::connection::Connection;
use crate::observe::log::{Level, Occasional};
use crate::observe::stats::IoStats;
use crate::shared::Shared;
use crate::thread::client_eviction::look_at_growth;
use crate::thread::subscribers::Fed;
use crate::thread::IoThread;

/// What a client may leave unread that has not authenticated, which anybody may be; in bytes.
const UNAUTHENTICATED_UNREAD_MAX: usize = 16 << 10;

/// Sends what waits at a connection, which ends if that fails.
pub fn flush(io: &mut IoThread, connection: &mut Connection) {
    if connection.unsent() == 0 {
        return;
    }
    match connection.outbound.flush(&mut connection.transport) {
        Ok(sent) => note_written(io, connection, sent),
        Err(_) => connection.closing = true,
    }
}

/// Sends a range of a buffer after what waits at a connection, which ends if that fails.
#[inline(always)]
pub fn send_from(io: &mut IoThread, connection: &mut Connection, buffer: &mut Vec<u8>, range: Range<usize>) {
    match connection.outbound.send_from(&mut connection.transport, buffer, range) {
        Ok(sent) => note_written(io, connection, sent),
        Err(_) => connection.closing = true,
    }
}

/// Sends bytes after what waits at a connection, which ends if that fails, or leaves more unread than it may be.
pub fn send(io: &mut IoThread, connection: &mut Connection, bytes: &[u8]) {
    let limit = reply_bytes_max(&io.shared.world.settings, connection);
    match connection.outbound.push_within(&mut connection.transport, Push::of(bytes), limit) {
        Ok((sent, is_kept)) => {
            note_written(io, connection, sent);
            if !is_kept {
                cut_instead(&io.shared, &io.shared.io[io.index], connection, bytes.len());
            }
        }
        Err(_) => connection.closing = true,
    }
}

/// Counts what was sent and looks at the hard limit of what was not.
// Always: what it looks at is in registers where it matters.
#[inline(always)]
pub fn note_written(io: &mut IoThread, connection: &mut Connection, sent: usize) {
    let record = &connection.record;
    record.output_bytes.store(record.output_bytes.load(Relaxed) + sent as u64, Relaxed);
    if sent > 0 {
        // Who is still reading a long reply is not idle.
        record.last_interaction_at.store(io.clock.now_ms, Relaxed);
    }
    let unsent = connection.unsent();
    io.peaks.output.note(unsent);
    let stats = io.stats();
    stats.writes.increment();
    stats.output_bytes.add(sent as u64);
    if is_beyond_limit(&io.shared, connection) {
        cut_at_limit(&io.shared, &io.shared.io[io.index], connection);
    }
    look_at_growth(io, connection);
}

/// The limit of a connection's class.
pub fn limit_of(settings: &Settings, connection: &Connection) -> OutputLimit {
    let is_subscriber = connection.session.subscriptions.is_some();
    settings.output_limit(if is_subscriber { ClientClass::Subscriber } else { ClientClass::Normal })
}

/// What clients of that class may leave unread at once; 0 is no limit.
#[inline]
fn hard_bytes(settings: &Settings, connection: &Connection) -> usize {
    if connection.session.subscriptions.is_some() {
        settings.pubsub_output_limit_hard_bytes.size()
    } else {
        settings.output_limit_hard_bytes.size()
    }
}

/// What one reply to a connection may have, in bytes.
#[inline]
pub fn reply_bytes_max(settings: &Settings, connection: &Connection) -> usize {
    match hard_bytes(settings, connection) {
        0 => usize::MAX,
        bytes => bytes,
    }
}

/// Whether a client has left more unread than it may at once.
#[inline]
fn is_beyond_limit(shared: &Shared, connection: &Connection) -> bool {
    let unread = connection.unread();
    unread > 0 && is_beyond(shared, connection, unread)
}

#[cold]
fn is_beyond(shared: &Shared, connection: &Connection, unread: usize) -> bool {
    let limit = hard_bytes(&shared.world.settings, connection);
    if unread > UNAUTHENTICATED_UNREAD_MAX && !connection.session.authenticated && shared.access.asks_for_password() {
        return true;
    }
    limit > 0 && unread > limit
}

/// Who fails at TLS shall be seen, and shall not fill the log.
#[cold]
pub fn log_tls_trouble(
    shared: &Shared,
    failures: &mut Occasional,
    now_ms: i64,
    connection: &Connection,
    reason: String,
) {
    let Some(untold) = failures.note(now_ms) else { return };
    let mut fields = vec![("client", connection.record.address.clone()), ("reason", reason)];
    if untold > 0 {
        fields.push(("failures_not_shown", untold.to_string()));
    }
    shared.log.add(Level::Warning, "a TLS connection was ended", fields);
}

/// Ends a connection that has left more unread than it may.
#[cold]
pub fn cut_at_limit(shared: &Shared, stats: &IoStats, connection: &mut Connection) {
    stats.output_limit_disconnections.increment();
    let bytes = connection.unread() + connection.record.dropped_reply_bytes.load(Relaxed);
    let fields = vec![("client", connection.record.address.clone()), ("bytes", bytes.to_string())];
    shared.log.add(Level::Warning, "a client was cut at its output buffer limit", fields);
    // Also what waits for the disk: it is the client's own fault that it gets nothing of that. What comes for it yet would not
    // follow what it has got.
    connection.outbound.drop_unsent();
    connection.transport.hang_up();
    connection.closing = true;
}

/// The same for what was not kept for it.
#[cold]
fn cut_instead(shared: &Shared, stats: &IoStats, connection: &mut Connection, bytes: usize) {
    connection.record.dropped_reply_bytes.store(bytes, Relaxed);
    cut_at_limit(shared, stats, connection);
}

/// Ends a connection if a reply to it was dropped, for it was more than its client may leave unread. Returns whether it was.
pub fn cut_if_dropped(io: &IoThread, connection: &mut Connection) -> bool {
    let is_dropped = connection.record.dropped_reply_bytes.load(Relaxed) > 0;
    if is_dropped && !connection.closing {
        cut_at_limit(&io.shared, &io.shared.io[io.index], connection);
    }
    is_dropped
}

/// Puts a message behind the replies that a connection has in its output; it is sent when it is the connection's turn (`publish.rs`).
pub fn hand(shared: &Shared, stats: &IoStats, fed: &mut Fed, connection: &mut Connection, message: Push<'_>) {
    if connection.closing {
        return;
    }
    let bytes = message.bytes;
    if !connection.is_fed {
        connection.is_fed = true;
        fed.add(connection.token.index);
    }
    fed.note(bytes.len());
    let limit = reply_bytes_max(&shared.world.settings, connection);
    let pushed = if connection.unread() + bytes.len() > limit {
        // What only waits for its turn is not what the client has left unread.
        connection.outbound.push_within(&mut connection.transport, message, limit)
    } else {
        connection.outbound.push(&mut connection.transport, message).map(|sent| (sent, true))
    };
    match pushed {
        Ok((sent, is_kept)) => {
            let record = &connection.record;
            record.output_bytes.store(record.output_bytes.load(Relaxed) + sent as u64, Relaxed);
            stats.output_bytes.add(sent as u64);
            if !is_kept {
                cut_instead(shared, stats, connection, bytes.len());
            }
        }
        Err(_) => connection.closing = true,
    }
}

/// Keeps a message for a connection until what it waits for is answered.
pub fn hand_later(shared: &Shared, stats: &IoStats, connection: &mut Connection, bytes: &[u8]) {
    if connection.closing {
        return;
    }
    if connection.unread() + bytes.len() > reply_bytes_max(&shared.world.settings, connection) {
        return cut_instead(shared, stats, connection, bytes.len());
    }
    connection.outbound.push_later(bytes);
}
