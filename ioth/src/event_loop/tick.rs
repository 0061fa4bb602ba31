//! What a thread looks at from time to time: timeouts, limits over time, memory that is not used any more.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::server::settings::Settings;

use crate::connection::Connection;
use crate::request::output::{cut_at_limit, limit_of, log_tls_trouble};
use crate::request::paused::release_deferred;
use crate::thread::client_eviction::{account, evict_clients};
use crate::thread::IoThread;

/// Limits of each connection; 0 is none.
struct Limits {
    idle_max_ms: i64,
}

impl Limits {
    fn of(settings: &Settings) -> Limits {
        Limits { idle_max_ms: settings.timeout.get() * 1000 }
    }

    fn is_idle_too_long(&self, connection: &Connection, now_ms: i64) -> bool {
        let record = &connection.record;
        self.idle_max_ms > 0
            && now_ms - record.last_interaction_at.load(Relaxed) > self.idle_max_ms
            && (connection.is_idle() || connection.waits_to_be_read())
            && !record.is_monitor.load(Relaxed)
            && connection.session.subscriptions.is_none()
            && !record.blocked.load(Relaxed)
            && !record.paused.load(Relaxed)
    }
}

/// Whether the client has left too many replies unread for too long.
fn is_behind_too_long(settings: &Settings, connection: &mut Connection, now_ms: i64) -> bool {
    let limit = limit_of(settings, connection);
    let unread = connection.unread();
    let outbound = &mut connection.outbound;
    if limit.soft_bytes == 0 || unread <= limit.soft_bytes {
        outbound.over_soft_limit_since_ms = None;
        return false;
    }
    now_ms - *outbound.over_soft_limit_since_ms.get_or_insert(now_ms) > limit.soft_ms
}

/// How long a client may take for a handshake.
const HANDSHAKE_MS_MAX: i64 = 10_000;

fn handshakes_too_long(connection: &Connection, now_ms: i64) -> bool {
    connection.transport.is_handshaking() && now_ms - connection.record.connected_at > HANDSHAKE_MS_MAX
}

/// Once every tick: timeouts, limits over time, deferred connections.
pub fn tick(io: &mut IoThread) {
    sherd_metrics::pages::give_up_if_asked();
    release_deferred(io, false);
    release_unused(io);
    let limits = Limits::of(&io.shared.world.settings);
    let mut total = 0;
    for index in io.connections.indexes() {
        let Some(connection) = io.connections.get_mut(index) else { continue };
        let record = &connection.record;
        record.query_buffer_bytes.store(connection.inbound.unparsed(), Relaxed);
        record.output_buffer_bytes.store(connection.unread(), Relaxed);
        let mut cut = limits.is_idle_too_long(connection, io.clock.now_ms);
        if is_behind_too_long(&io.shared.world.settings, connection, io.clock.now_ms) {
            cut = true;
            cut_at_limit(&io.shared, &io.shared.io[io.index], connection);
        }
        if handshakes_too_long(connection, io.clock.now_ms) {
            cut = true;
            let handshake = "no handshake within 10 seconds";
            log_tls_trouble(&io.shared, &mut io.tls_failures, io.clock.now_ms, connection, handshake.to_owned());
        }
        connection.closing |= cut;
        let has_messages = connection.outbound.has_pushed() && !connection.is_answering();
        if has_messages {
            // They have come just when its waiting command was run again, which has found nothing.
            connection.outbound.end_reply();
        }
        total += account(&io.shared, connection);
        if cut || has_messages {
            io.connections.make_ready(index);
        }
    }
    evict_clients(io);
    let stats = &io.shared.io[io.index];
    stats.buffer_bytes.set(total as u64);
    let second = io.clock.now_ms / 1000;
    stats.input_buffer_max.set(io.peaks.input.at(second) as u64);
    stats.output_buffer_max.set(io.peaks.output.at(second) as u64);
    sherd_metrics::memory::sample_peak();
}

/// Frees batches and buffers that are kept for use again, after a tick without commands: what a burst needed shall
/// not count as used memory for ever.
fn release_unused(io: &mut IoThread) {
    if io.sampler.count == io.sampler.count_at_tick {
        io.buffers.clear();
        io.batches.release_unused();
    }
    io.sampler.count_at_tick = io.sampler.count;
}
