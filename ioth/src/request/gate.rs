//! The gate: which command a request names, and what must hold before it is executed or queued.
//!
//! A subcommand is found by its container and its own name only: spelled in one word (`CONFIG|GET`) it is no command, so
//! that a rule about either cannot be passed by.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::{self, Command};
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::handler::error::CommandError;

use crate::connection::Connection;
use crate::protocol::request::Request;
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

use super::rights;

/// The command that a request names; a container where the subcommand is unknown or missing. It becomes the connection's
/// last one, unless it goes by another name than its own here.
#[inline(never)]
pub fn find_command(io: &IoThread, connection: &mut Connection, request: &Request<'_>) -> Option<&'static Command> {
    let name = request.get(0).unwrap_or_default();
    let renames = io.shared.renames.get();
    let found = match renames {
        Some(renames) => renames.find(name),
        None => registry::table().find(name),
    };
    let found = match found {
        Some(found) => found,
        None => io.shared.extensions.find(name)?,
    };
    let command = match request.get(1) {
        Some(name) if !found.subcommands.is_empty() => registry::table().find_subcommand(found, name).unwrap_or(found),
        _ => found,
    };
    let is_renamed = renames.is_some_and(|renames| renames.concern(name));
    connection.session.last_command = (!is_renamed).then_some(command);
    Some(command)
}

/// What must hold before a command is executed or queued.
// Always: what it returns would go through memory.
#[inline(always)]
pub fn gate(
    io: &IoThread,
    connection: &Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Result<(), CommandError> {
    let spec = &command.spec;
    let argc = request.args.len();
    if !spec.accepts(argc) || matches!(spec.plane, Plane::Container) {
        return Err(wrong_arguments(command, request));
    }
    if connection.session.is_checked {
        rights::check(&io.shared, connection, command, request.args)?;
    }
    if connection.session.multi.is_some() && spec.has(flag::NO_MULTI) {
        return Err(CommandError::new("ERR Command not allowed inside a transaction"));
    }
    if connection.session.is_restricted() {
        return allowed_to_subscribers(command);
    }
    Ok(())
}

/// The answer to a request with a wrong number of arguments, or for a subcommand that does not exist.
#[cold]
fn wrong_arguments(command: &Command, request: &Request<'_>) -> CommandError {
    match *request.args {
        [container, name, ..] if matches!(command.spec.plane, Plane::Container) => unknown_subcommand(container, name),
        _ => CommandError::arity(command.spec.name),
    }
}

/// Whether a subscriber that speaks RESP2 may execute a command.
#[cold]
fn allowed_to_subscribers(command: &Command) -> Result<(), CommandError> {
    const ALLOWED: [&str; 9] = [
        "subscribe",
        "psubscribe",
        "ssubscribe",
        "unsubscribe",
        "punsubscribe",
        "sunsubscribe",
        "ping",
        "quit",
        "reset",
    ];
    if ALLOWED.contains(&command.spec.name) {
        return Ok(());
    }
    Err(CommandError::with(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        command.spec.name
    )))
}

/// Counts an error reply.
pub fn count_error(io: &IoThread, error: &CommandError) {
    io.stats().error_replies.increment();
    io.shared.world.logs.count_error(error.0.as_bytes());
}

/// Answers an error to a request that was not executed.
#[cold]
pub fn refuse(
    io: &mut IoThread,
    connection: &mut Connection,
    command: Option<&Command>,
    error: &CommandError,
) -> Dispatch {
    if command.is_some_and(|command| command.spec.name == "exec") {
        connection.discard();
        return refuse_bytes(io, connection, command, discarded_because_of(error).0.as_bytes());
    }
    refuse_bytes(io, connection, command, error.0.as_bytes())
}

/// What EXEC is answered where what it executes would be answered this error. Where to go is told as it is, for clients look at how an
/// error begins.
#[cold]
pub fn discarded_because_of(error: &CommandError) -> CommandError {
    if error.0.starts_with("REDIRECT ") {
        return error.clone();
    }
    let reason = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
    CommandError::with(format!("EXECABORT Transaction discarded because of: {reason}"))
}

pub fn refuse_bytes(
    io: &mut IoThread,
    connection: &mut Connection,
    command: Option<&Command>,
    error: &[u8],
) -> Dispatch {
    if let Some(multi) = &mut connection.session.multi {
        multi.aborted = true;
    }
    connection.record.last_command.store(command.map_or(u32::MAX, |command| command.id as u32), Relaxed);
    match command {
        Some(command) if matches!(command.spec.plane, Plane::Extension) => io.shared.extensions.count_refused(command),
        Some(command) => io.stats().cells.cell(command.id).rejected.increment(),
        None => {}
    }
    io.stats().error_replies.increment();
    io.shared.world.logs.count_error(error);
    connection.reply(|reply| reply.error_bytes(error));
    connection.end_caching();
    connection.session.advance_reply_mode();
    Dispatch::Done
}

#[cold]
pub fn unknown_command(request: &Request<'_>) -> Vec<u8> {
    /// Bytes that are shown of the name, and of all arguments together.
    const SHOWN_MAX: usize = 128;
    // As a C string: nothing behind a zero byte is shown.
    let cut =
        |word: &[u8], room: usize| -> Vec<u8> { word.iter().copied().take(room).take_while(|&b| b != 0).collect() };
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(&cut(request.get(0).unwrap_or_default(), SHOWN_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for word in &request.args[1..] {
        let used = text.len() - start;
        if used >= SHOWN_MAX {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(&cut(word, SHOWN_MAX - used));
        text.extend_from_slice(b"' ");
    }
    text
}

#[cold]
fn unknown_subcommand(container: &[u8], name: &[u8]) -> CommandError {
    let shown = String::from_utf8_lossy(&name[..name.len().min(128)]).into_owned();
    let container = String::from_utf8_lossy(container).to_ascii_uppercase();
    CommandError::with(format!("ERR unknown subcommand '{shown}'. Try {container} HELP."))
}
