//! What a client may do: asked by the gate, by EXEC and by scripts, and kept up to date in its session.
//!
//! A session that is not known to be allowed everything (`Session::is_checked`) is asked about with every command; all others
//! cost the gate the one branch that this is.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::flag;
use sherd_shards::handler::error::CommandError;
use sherd_shards::rights::{Denied, User};
use sherd_shards::server::client::ClientRecord;

use crate::connection::session::Session;
use crate::connection::transaction::Multi;
use crate::connection::Connection;
use crate::observe::clients::describe;
use crate::protocol::request::borrowed;
use crate::shared::access::log::{Event, Reason, Setting};
use crate::shared::Shared;

use super::selected::selects;

const NO_AUTH: CommandError = CommandError::new("NOAUTH Authentication required.");
const NOT_IN_MULTI: CommandError = CommandError::new("ERR Command not allowed inside a transaction");

/// Whether a client that is checked may execute a command line, or have it queued.
#[inline(never)]
pub fn check(
    shared: &Shared,
    connection: &Connection,
    command: &'static Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    let session = &connection.session;
    if !session.authenticated && !command.spec.has(flag::NO_AUTH) && shared.access.asks_for_password() {
        return Err(NO_AUTH);
    }
    if session.multi.is_some() && command.spec.has(flag::NO_MULTI) {
        return Err(NOT_IN_MULTI);
    }
    let (db, setting) = match &session.multi {
        Some(multi) => (multi.db.unwrap_or(session.db), Setting::Multi),
        None => (session.db, Setting::TopLevel),
    };
    check_in(shared, connection, (db, setting), command, args)
}

/// Whether the client's user may execute a command line in a database.
pub fn check_in(
    shared: &Shared,
    connection: &Connection,
    (db, setting): (u16, Setting),
    command: &'static Command,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    let session = &connection.session;
    session.user.check(command, args, db).map_err(|denied| {
        // The log shows the client with what it was refused.
        connection.record.last_command.store(command.id as u32, Relaxed);
        note_denial(shared, &connection.record, &session.user, (denied, setting), command, args);
        CommandError::with(format!("NOPERM {}", reason(&session.user, denied, command)))
    })
}

/// Counts and logs that something was not allowed.
#[cold]
pub fn note_denial(
    shared: &Shared,
    record: &ClientRecord,
    user: &User,
    (denied, setting): (Denied, Setting),
    command: &Command,
    args: &[&[u8]],
) {
    let object = match denied {
        Denied::Command | Denied::Database(0) => command.spec.name.as_bytes(),
        Denied::Key(at) | Denied::Channel(at) | Denied::Database(at) => args.get(at).copied().unwrap_or_default(),
    };
    note(
        shared,
        record,
        Event { reason: denied.into(), setting, object: object.to_vec(), username: user.name.clone() },
    );
}

/// Counts and logs an event.
#[cold]
pub fn note(shared: &Shared, record: &ClientRecord, event: Event) {
    let world = &shared.world;
    shared.access.count(event.reason);
    let client = describe(record, world.monotonic_milliseconds());
    shared.access.log.add(event, client, world.now_milliseconds(), world.settings.acllog_max_len.size());
}

/// Why something is not allowed, as clients are told.
pub fn reason(user: &User, denied: Denied, command: &Command) -> String {
    match denied {
        Denied::Command => {
            let name = String::from_utf8_lossy(&user.name);
            format!("User {name} has no permissions to run the '{}' command", command.spec.name)
        }
        Denied::Key(_) => "No permissions to access a key".to_owned(),
        Denied::Channel(_) => "No permissions to access a channel".to_owned(),
        Denied::Database(_) => "No permissions to access database".to_owned(),
    }
}

/// Looks again, now that they are to be executed, at commands that were queued: rights may be others by now.
#[cold]
pub fn check_queued(shared: &Shared, record: &ClientRecord, session: &Session, multi: &mut Multi) {
    let mut db = session.db;
    for queued in &mut multi.commands {
        let args = borrowed(&queued.args);
        if let Err(denied) = session.user.check(queued.command, &args, db) {
            note_denial(shared, record, &session.user, (denied, Setting::Multi), queued.command, &args);
            queued.denied = Some(no_longer(denied));
            continue;
        }
        if let Some(Ok(selected)) = selects(shared, queued.command, &queued.args) {
            db = selected;
        }
    }
}

fn no_longer(denied: Denied) -> CommandError {
    let reason = match denied {
        Denied::Command => "no permission to execute the command or subcommand",
        Denied::Key(_) => "no permission to touch the specified keys",
        Denied::Channel(_) => "no permission to access one of the channels used as arguments",
        Denied::Database(_) => "no permission",
    };
    CommandError::with(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no \
         longer allowed for the following reason: {reason}"
    ))
}

/// The client is this user from now on, which was found in a generation of the table; whether it has logged in is said as well.
pub fn become_user(connection: &mut Connection, user: Arc<User>, generation: u64, authenticated: bool) {
    connection.record.set_user(&user);
    let session = &mut connection.session;
    session.is_checked = !authenticated || user.is_restricted();
    (session.user, session.users_generation, session.authenticated) = (user, generation, authenticated);
}

/// The client has not said who it is: it is the default user, if it need not log in.
pub fn begin_session(shared: &Shared, connection: &mut Connection) {
    let generation = shared.access.generation();
    let authenticated = !shared.access.asks_for_password();
    become_user(connection, shared.access.default_user(), generation, authenticated);
}

/// Sees to it that the session has the rights that its user has by now. Asked before anything is looked at that was received.
#[inline]
pub fn keep_up(shared: &Shared, connection: &mut Connection) {
    if connection.session.users_generation != shared.access.generation() {
        renew(shared, connection);
    }
}

/// Takes changes of the connection's user into account. A connection ends whose user was deleted.
#[cold]
pub fn renew(shared: &Shared, connection: &mut Connection) {
    let generation = shared.access.generation();
    match shared.access.same_user(&connection.session.user) {
        Some(user) => become_user(connection, user, generation, connection.session.authenticated),
        None => connection.closing = true,
    }
}

/// Counts and logs that somebody could not log in as a user.
#[cold]
pub fn note_failed_login(shared: &Shared, connection: &Connection, command: &[u8], username: &[u8]) {
    let session = &connection.session;
    let setting = if session.multi.is_some() || session.is_in_exec { Setting::Multi } else { Setting::TopLevel };
    let event = Event { reason: Reason::Auth, setting, object: command.to_vec(), username: username.to_vec() };
    note(shared, &connection.record, event);
}
