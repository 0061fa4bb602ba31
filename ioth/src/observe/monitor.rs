//! MONITOR's lines: a command as those who asked are shown it. Secrets are hidden as their commands declare
//! ([`sherd_shards::command::spec::Secret`]).

use std::sync::Arc;

use sherd_metrics::memory;
use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::{flag, CommandSpec};
use sherd_shards::server::client::ClientRecord;

/// The line of a command, unless it is one that monitors must not see.
#[cold]
pub fn line(record: &ClientRecord, db: u16, command: &Command, args: &[&[u8]]) -> Option<Arc<[u8]>> {
    is_shown(command).then(|| script_command_line(record, db, &command.spec, args))
}

/// The line of a command that runs a script: it is shown before the commands of the script.
#[cold]
pub fn script_command_line(record: &ClientRecord, db: u16, spec: &CommandSpec, args: &[&[u8]]) -> Arc<[u8]> {
    let (prefix, address) = if record.unix_socket {
        ("unix:", record.address.trim_end_matches(":0"))
    } else {
        ("", record.address.as_str())
    };
    line_from(&format!("{db} {prefix}{address}"), spec, args)
}

/// The line of a command that a script or an extension calls.
#[cold]
pub fn nested_line(db: u16, caller: &str, command: &Command, args: &[&[u8]]) -> Option<Arc<[u8]>> {
    is_shown(command).then(|| line_from(&format!("{db} {caller}"), &command.spec, args))
}

fn is_shown(command: &Command) -> bool {
    !command.spec.has(flag::ADMIN) && !command.spec.has(flag::SKIP_MONITOR)
}

/// The line, which is those threads' whose monitors are shown it, whatever shards this one holds.
fn line_from(source: &str, spec: &CommandSpec, args: &[&[u8]]) -> Arc<[u8]> {
    memory::apart(|| write_line(source, spec, args))
}

fn write_line(source: &str, spec: &CommandSpec, args: &[&[u8]]) -> Arc<[u8]> {
    let now = sherd_metrics::clock::unix_microseconds();
    let mut line = format!("+{}.{:06} [{source}]", now / 1_000_000, now % 1_000_000).into_bytes();
    for arg in spec.shown(args).iter() {
        line.push(b' ');
        quote(arg, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    line.into()
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
