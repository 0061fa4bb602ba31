//! Commands that concern a connection: executed by its IO thread, at once and in order.
//!
//! A handler answers through [`Connection::reply`] and may end with [`Dispatch::Later`] or [`Dispatch::Wait`].

mod client;
mod connection;
mod pubsub;
mod script;
mod transaction;

pub use connection::REDIS_VERSION;
pub use script::script_versions;

use std::sync::LazyLock;

use sherd_shards::command::spec::{CommandSpec, Plane};
use sherd_shards::handler::error::CommandError;

use crate::connection::Connection;
use crate::thread::handlers::{ConnectionCommand, Dispatch, Handler, Handlers, InMulti};

/// A command of this plane.
struct Declared {
    spec: CommandSpec,
    command: ConnectionCommand,
}

const fn declare(spec: CommandSpec, handler: Handler) -> Declared {
    declare_in_multi(spec, handler, InMulti::Queued)
}

const fn declare_in_multi(spec: CommandSpec, handler: Handler, in_multi: InMulti) -> Declared {
    Declared { spec, command: ConnectionCommand { handler: Some(handler), in_multi, follows_data: false } }
}

/// A command that is executed when all data commands before it have been.
const fn declare_after_data(spec: CommandSpec, handler: Handler) -> Declared {
    let command = ConnectionCommand { handler: Some(handler), in_multi: InMulti::Queued, follows_data: true };
    Declared { spec, command }
}

const fn container(spec: CommandSpec) -> Declared {
    Declared { spec, command: ConnectionCommand { handler: None, in_multi: InMulti::Queued, follows_data: false } }
}

fn all() -> impl Iterator<Item = &'static Declared> {
    connection::COMMANDS
        .iter()
        .chain(client::COMMANDS)
        .chain(transaction::COMMANDS)
        .chain(script::COMMANDS)
        .chain(pubsub::COMMANDS)
}

/// The specifications of this plane, with the numbers of their handlers.
pub fn specs() -> Vec<CommandSpec> {
    all()
        .enumerate()
        .map(|(number, declared)| {
            let plane = match declared.command.handler {
                Some(_) => Plane::Connection(number as u16),
                None => Plane::Container,
            };
            CommandSpec { plane, ..declared.spec }
        })
        .collect()
}

/// The commands by those numbers, for the threads that execute them.
pub fn handlers() -> Handlers {
    static HANDLERS: LazyLock<Vec<ConnectionCommand>> =
        LazyLock::new(|| all().map(|declared| declared.command).collect());
    &HANDLERS
}

/// Answers `+OK`.
fn ok(connection: &mut Connection) -> Result<Dispatch, CommandError> {
    connection.reply(|reply| reply.ok());
    Ok(Dispatch::Done)
}

/// Answers the lines of a HELP subcommand.
fn help(connection: &mut Connection, command: &str, lines: &[&str]) -> Result<Dispatch, CommandError> {
    connection.reply(|reply| {
        reply.array(lines.len() + 3);
        reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for line in lines {
            reply.simple(line);
        }
        reply.simple("HELP");
        reply.simple("    Print this help.");
    });
    Ok(Dispatch::Done)
}
