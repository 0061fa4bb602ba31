//! MONITOR: every command as it is taken, shown to those who asked.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::registry::Command;
use sherd_shards::spec::flag;

use crate::connection::Connection;
use crate::io_thread::IoThread;
use crate::shared::Message;

impl IoThread {
    /// Sends a command to all monitors, unless it is one that they must not see.
    #[cold]
    pub fn show_monitors(&self, connection: &Connection, command: &Command, args: &[&[u8]]) {
        if command.spec.has(flag::ADMIN) || command.spec.has(flag::SKIP_MONITOR) {
            return;
        }
        // Secrets are not shown.
        if matches!(command.spec.name, "auth" | "hello") {
            return;
        }
        let now = sherd_metrics::clock::unix_microseconds();
        let address = if connection.record.unix_socket {
            format!("unix:{}", connection.record.address.trim_end_matches(":0"))
        } else {
            connection.record.address.clone()
        };
        let mut line =
            format!("+{}.{:06} [{} {address}]", now / 1_000_000, now % 1_000_000, connection.db).into_bytes();
        for arg in args {
            line.push(b' ');
            quote(arg, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        let line: Arc<[u8]> = line.into();
        for thread in 0..self.shared.mailboxes.len() {
            // A thread that is so far behind that its mailbox is full shows its monitors less.
            let _ = self.shared.send(thread, Message::Monitor(Arc::clone(&line)));
        }
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

impl crate::io_thread::Connections {
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
