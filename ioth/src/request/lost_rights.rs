//! What a change of users means for those who are connected: subscriptions that are not allowed any more, commands that wait
//! for a key, and users that are deleted.
//!
//! Each IO thread is told of a change and looks at its own connections; what they send is judged by the new rights in any case
//! ([`super::rights::keep_up`]).

use sherd_shards::command::registry::command_of;
use sherd_shards::handler::error::CommandError;
use sherd_shards::rights::{Denied, User};

use crate::connection::subscriptions::Kind;
use crate::connection::wait::WaitsFor;
use crate::connection::Connection;
use crate::observe::log::Level;
use crate::shared::access::log::Setting;
use crate::thread::IoThread;

use super::blocked::wake::refuse_wait;
use super::rights::{note_denial, reason, renew};
use super::settle::settle;

/// Looks at the connections of this thread after users have changed.
#[cold]
pub fn look_after_change(io: &mut IoThread) {
    let generation = io.shared.access.generation();
    let is_concerned = |connection: &Connection| {
        let session = &connection.session;
        // One that has renewed its rights by itself has not looked at what it has.
        session.users_generation != generation || session.subscriptions.is_some() || connection.wait.waiter.is_some()
    };
    for index in io.connections.indexes_where(is_concerned) {
        let Some(mut connection) = io.connections.take(index) else { continue };
        renew(&io.shared, &mut connection);
        if connection.closing {
            end_of_deleted(io, &mut connection);
        } else {
            cut_subscriber(io, &mut connection);
        }
        let (token, refusal) = (connection.token, refused_wait(io, &connection));
        settle(io, connection);
        if let Some(error) = refusal {
            refuse_wait(io, token, &error);
        }
    }
}

/// Ends a connection; whose own command has changed its user gets the answer before that.
fn end(connection: &mut Connection) {
    let is_to_be_answered =
        matches!(connection.wait.reason, WaitsFor::Control | WaitsFor::Exec) && !connection.wait.is_elsewhere;
    connection.closing = !is_to_be_answered;
    connection.close_after_reply |= is_to_be_answered;
}

fn end_of_deleted(io: &mut IoThread, connection: &mut Connection) {
    end(connection);
    tell(io, connection, "a client was cut: its user was deleted");
}

fn tell(io: &IoThread, connection: &Connection, event: &str) {
    let user = String::from_utf8_lossy(&connection.session.user.name).into_owned();
    io.shared.log.add(Level::Notice, event, vec![("client", connection.record.address.clone()), ("user", user)]);
}

/// Ends a connection with a subscription that its user may not have any more.
fn cut_subscriber(io: &IoThread, connection: &mut Connection) {
    let session = &connection.session;
    let Some(subscriptions) = &session.subscriptions else { return };
    let may_keep =
        |user: &User, kind| subscriptions.names(kind).iter().all(|name| user.may_hear(name, kind == Kind::Pattern));
    if ![Kind::Channel, Kind::Pattern, Kind::ShardChannel].into_iter().all(|kind| may_keep(&session.user, kind)) {
        end(connection);
        tell(io, connection, "a subscriber was cut: its user may not listen to its channels any more");
    }
}

/// What a client is told whose command waits for a key and is not allowed any more.
fn refused_wait(io: &IoThread, connection: &Connection) -> Option<CommandError> {
    let waiter = connection.wait.waiter.as_ref().filter(|_| !connection.closing)?;
    let (user, command, args) = (&connection.session.user, command_of(waiter), waiter.sent_args());
    refusal(io, connection, user.check(command, &args, connection.session.db).err()?)
}

/// The same where it is known what it may not do.
pub fn refusal(io: &IoThread, connection: &Connection, denied: Denied) -> Option<CommandError> {
    let waiter = connection.wait.waiter.as_ref()?;
    let (user, command, args) = (&connection.session.user, command_of(waiter), waiter.sent_args());
    note_denial(&io.shared, &connection.record, user, (denied, Setting::TopLevel), command, &args);
    Some(CommandError::with(format!("NOPERM {}", reason(user, denied, command))))
}
