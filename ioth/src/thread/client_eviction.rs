//! maxmemory-clients: when the buffers of all clients take more than that, the largest clients are closed.
//!
//! Each thread accounts for its connections at every tick, and in between for one that has grown by a megabyte. Whoever finds
//! that all of them together are too large chooses from all clients, whichever thread they belong to: the largest first, until
//! the rest is small enough. That looks at every client once, which is why it is not done for each command. Clients that have
//! asked for it (CLIENT NO-EVICT) count, but stay.
//!
//! Rejected: buckets of clients by size, as Redis keeps them up to date with every command. They spare looking at all
//! clients, which is worth it only for somebody who is over the limit all the time.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::server::client::ClientRecord;

use crate::connection::token::Token;
use crate::connection::Connection;
use crate::observe::log::Level;
use crate::shared::message::Message;
use crate::shared::Shared;

use super::IoThread;

/// A limit below this would shut out everybody, the one who wants to raise it included; as in Redis.
const LIMIT_MIN_BYTES: usize = 128 * 1024;
/// A connection that has grown by so much is accounted for at once.
const GROWTH_BYTES: usize = 1024 * 1024;

/// The limit for all clients together, in bytes; `None` if there is none. A share of no memory limit is none.
fn client_memory_limit(shared: &Shared) -> Option<usize> {
    let settings = &shared.world.settings;
    let limit = match settings.maxmemory_clients.get() {
        0 => return None,
        bytes @ 1.. => bytes as usize,
        percent => {
            let share = settings.maxmemory.size() as u128 * u128::from(percent.unsigned_abs()) / 100;
            Some(share as usize).filter(|&share| share > 0)?
        }
    };
    Some(limit.max(LIMIT_MIN_BYTES))
}

/// The clients to close, largest first, so that the rest takes no more than `limit`.
fn clients_to_evict(shared: &Shared, limit: usize) -> Vec<(std::sync::Arc<ClientRecord>, Token)> {
    let (mut total, mut candidates) = (0, Vec::new());
    for (record, token) in shared.clients.all() {
        // Those that are told already are as good as gone.
        if !record.killed.load(Relaxed) {
            let bytes = record.memory_bytes.load(Relaxed);
            total += bytes;
            if !record.no_evict.load(Relaxed) && record.link_to.load(Relaxed) == 0 {
                candidates.push((bytes, record, token));
            }
        }
    }
    candidates.sort_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
    let mut evicted = Vec::new();
    for (bytes, record, token) in candidates {
        if total <= limit {
            break;
        }
        total -= bytes;
        evicted.push((record, token));
    }
    evicted
}

/// Accounts for what a connection takes now; returns it.
pub fn account(shared: &Shared, connection: &Connection) -> usize {
    let bytes = size_of::<Connection>() + size_of::<ClientRecord>() + connection.buffer_bytes();
    let before = connection.record.memory_bytes.swap(bytes, Relaxed);
    shared.client_bytes.fetch_add(bytes as i64 - before as i64, Relaxed);
    bytes
}

/// After reading or writing: a connection that has grown a lot is not left to the next tick.
#[inline]
pub fn look_at_growth(io: &mut IoThread, connection: &mut Connection) {
    if io.shared.world.settings.maxmemory_clients.get() != 0 {
        look_at_growth_slowly(io, connection);
    }
}

#[cold]
fn look_at_growth_slowly(io: &mut IoThread, connection: &mut Connection) {
    if connection.buffer_bytes() > connection.record.memory_bytes.load(Relaxed) + GROWTH_BYTES {
        account(&io.shared, connection);
        evict_clients(io);
        connection.closing |= connection.record.killed.load(Relaxed);
    }
}

/// Closes clients if all of them together take too much.
pub fn evict_clients(io: &mut IoThread) {
    let Some(limit) = client_memory_limit(&io.shared) else { return };
    if io.shared.client_bytes.load(Relaxed) <= limit as i64 {
        return;
    }
    for (record, token) in clients_to_evict(&io.shared, limit) {
        if record.killed.swap(true, Relaxed) {
            continue;
        }
        io.shared.evicted_clients.fetch_add(1, Relaxed);
        let bytes = record.memory_bytes.load(Relaxed);
        let fields = vec![("client", record.address.clone()), ("bytes", bytes.to_string())];
        io.shared.log.add(Level::Notice, "a client was evicted", fields);
        end_killed(io, token);
    }
}

/// Has a client looked at that was killed, by the thread that it belongs to.
pub fn end_killed(io: &mut IoThread, token: Token) {
    if usize::from(token.io_thread) == io.index {
        io.connections.make_ready(token.index);
    } else {
        // A link of replication, which belongs to no IO thread, looks by itself.
        io.shared.tell(token, Message::Kill(token, None));
        io.shared.replicas.wake();
    }
}
