//! MONITOR: every command as it is taken, shown to those who asked.
//!
//! Commands of a transaction are shown when they have been executed, and EXEC behind them: so it reads as it happened.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_metrics::memory;
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::handler::error::CommandError;
use sherd_shards::server::client::ClientRecord;

use crate::connection::Connection;
use crate::observe::monitor::line;
use crate::protocol::request::borrowed;
use crate::shared::message::Message;
use crate::shared::Shared;
use crate::thread::IoThread;

use super::output::send;
use super::settle::settle;

/// What a monitor is answered that asks for data, or wants to change some: as in Redis, which counts it among the replicas.
#[cold]
pub fn refusal(connection: &Connection, flags: u32) -> Option<CommandError> {
    const KEYSPACE: u32 = flag::WRITE | flag::READONLY | flag::MAY_REPLICATE;
    let is_refused = flags & KEYSPACE != 0 && connection.record.is_monitor.load(Relaxed);
    is_refused.then_some(CommandError::new("ERR Replica can't interact with the keyspace"))
}

/// Sends a command to all monitors, unless it is one that they must not see.
#[cold]
pub fn show(shared: &Shared, record: &ClientRecord, db: u16, command: &Command, args: &[&[u8]]) {
    if let Some(line) = line(record, db, command, args) {
        show_line(shared, &line);
    }
}

/// Shows an EXEC that is refused: what came before it was shown, and now the transaction is over.
#[cold]
pub fn show_refused(shared: &Shared, connection: &Connection, command: &Command, args: &[&[u8]]) {
    if command.spec.name == "exec" && shared.monitors.load(Relaxed) > 0 {
        show(shared, &connection.record, connection.session.db, command, args);
    }
}

/// Sends a line to all monitors.
pub fn show_line(shared: &Shared, line: &Arc<[u8]>) {
    for thread in 0..shared.mailboxes.len() {
        // A thread that is so far behind that its mailbox is full shows its monitors less.
        let _ = memory::apart(|| shared.send(thread, Message::Monitor(Arc::clone(line))));
    }
}

/// Sends a command of a transaction, or its EXEC, to all monitors, if there are any.
pub fn show_if_monitored(shared: &Shared, record: &ClientRecord, db: u16, command: &Command, args: &[Vec<u8>]) {
    if shared.monitors.load(Relaxed) > 0 {
        show(shared, record, db, command, &borrowed(args));
    }
}

/// Sends a line to the monitors among this thread's connections.
pub fn feed_monitors(io: &mut IoThread, line: &[u8]) {
    for index in io.connections.indexes_where(|connection| connection.record.is_monitor.load(Relaxed)) {
        let Some(mut connection) = io.connections.take(index) else { continue };
        send(io, &mut connection, line);
        settle(io, connection);
    }
}
