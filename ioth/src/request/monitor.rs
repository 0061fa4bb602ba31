//! MONITOR: every command as it is taken, shown to those who asked.
//!
//! Commands of a transaction are shown when they have been executed, and EXEC behind them: so it reads as it happened. Secrets
//! are hidden as their commands declare ([`sherd_shards::spec::Secret`]).

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::client::ClientRecord;
use sherd_shards::registry::Command;
use sherd_shards::spec::{flag, Plane};

use crate::connection::Connection;
use crate::request::dispatch::{Dispatch, Request};
use crate::shared::{Message, Shared};
use crate::thread::IoThread;

impl Shared {
    /// Sends a command to all monitors, unless it is one that they must not see.
    #[cold]
    pub fn show_monitors(&self, record: &ClientRecord, db: u16, command: &Command, args: &[&[u8]]) {
        if command.spec.has(flag::ADMIN) || command.spec.has(flag::SKIP_MONITOR) {
            return;
        }
        let now = sherd_metrics::clock::unix_microseconds();
        let (prefix, address) = if record.unix_socket {
            ("unix:", record.address.trim_end_matches(":0"))
        } else {
            ("", record.address.as_str())
        };
        let mut line = format!("+{}.{:06} [{db} {prefix}{address}]", now / 1_000_000, now % 1_000_000).into_bytes();
        for arg in command.spec.shown(args).iter() {
            line.push(b' ');
            quote(arg, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        let line: Arc<[u8]> = line.into();
        for thread in 0..self.mailboxes.len() {
            // A thread that is so far behind that its mailbox is full shows its monitors less.
            let _ = self.send(thread, Message::Monitor(Arc::clone(&line)));
        }
    }

    /// Sends a command of a transaction, or its EXEC, to all monitors, if there are any.
    pub fn show_if_monitored(&self, record: &ClientRecord, db: u16, command: &Command, args: &[Vec<u8>]) {
        if self.monitors.load(Relaxed) > 0 {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            self.show_monitors(record, db, command, &args);
        }
    }
}

impl IoThread {
    /// Sends a command on and shows it to the monitors, once even if it has to wait for its turn.
    #[cold]
    pub fn route_shown(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        request: &Request<'_>,
    ) -> Dispatch {
        // What the connection's thread executes has been executed when it is shown: SELECT in its new database, EXEC behind
        // the commands of its transaction. One that waits for the control plane is shown where it ends.
        let is_own = matches!(command.spec.plane, Plane::Connection(_));
        if !is_own && !connection.shown_to_monitors {
            self.shared.show_monitors(&connection.record, connection.db, command, request.args);
        }
        let dispatch = self.route_at_once(connection, command, request);
        if is_own && dispatch == Dispatch::Done {
            self.shared.show_monitors(&connection.record, connection.db, command, request.args);
        }
        connection.shown_to_monitors = !is_own && dispatch == Dispatch::Later;
        dispatch
    }

    /// Sends a line to the monitors among this thread's connections.
    pub fn feed_monitors(&mut self, line: &[u8]) {
        for index in self.connections.monitors() {
            let Some(mut connection) = self.connections.take(index) else { continue };
            match connection.send(line) {
                Ok(sent) => self.note_written(&mut connection, sent),
                Err(_) => connection.closing = true,
            }
            self.settle(connection);
        }
    }
}

impl crate::thread::Connections {
    fn monitors(&mut self) -> Vec<u32> {
        self.indexes_where(|connection| connection.record.is_monitor.load(Relaxed))
    }
}

/// Writes bytes in double quotes, with escapes.
fn quote(bytes: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            7 => line.extend_from_slice(b"\\a"),
            8 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            other => line.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}
