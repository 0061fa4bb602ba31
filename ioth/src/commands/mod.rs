//! Commands that concern a connection: executed by its IO thread, at once and in order.
//!
//! A handler answers through [`Connection::reply`] and may end with [`Dispatch::Later`] or [`Dispatch::Wait`].
//!
//! One waits for what its connection has out in the shards, as commands of other planes do, unless it is declared to come `at_once`:
//! an exception that has to be thought about, command by command. What runs in a shard may ask the connection's record who its user
//! is, and what it has changed may be what the command looks at: who is blocked, what is published, which scripts there are.

mod client;
mod client_filter;
mod client_list;
mod connection;
mod function;
mod pubsub;
mod script;
mod tracking;
mod transaction;

pub use connection::REDIS_VERSION;
pub use script::script_versions;

use std::sync::LazyLock;

use sherd_shards::command::category;
use sherd_shards::command::spec::{flag, CommandSpec, Group, Plane};
use sherd_shards::handler::error::{CommandError, Outcome};
use sherd_shards::handler::reply::Reply;

use crate::connection::Connection;
use crate::thread::handlers::{ConnectionCommand, Dispatch, Handler, Handlers, InMulti, SharedHandler};
use crate::thread::IoThread;

/// What the subcommands of CLIENT have in common.
const CLIENT: CommandSpec = CommandSpec {
    group: Group::Connection,
    categories: category::CONNECTION,
    flags: flag::NOSCRIPT | flag::LOADING | flag::STALE,
    ..CommandSpec::DEFAULT
};

/// A command of this plane.
struct Declared {
    spec: CommandSpec,
    command: ConnectionCommand,
}

const fn declare(spec: CommandSpec, handler: Handler) -> Declared {
    declare_in_multi(spec, handler, InMulti::Queued)
}

const fn declare_in_multi(spec: CommandSpec, handler: Handler, in_multi: InMulti) -> Declared {
    Declared { spec, command: ConnectionCommand { handler: Some(handler), in_multi, ..CONTAINER } }
}

const CONTAINER: ConnectionCommand = ConnectionCommand {
    handler: None,
    in_script: None,
    in_multi: InMulti::Queued,
    comes_at_once: false,
    keeps_caching: false,
    answers_only: false,
};

const fn container(spec: CommandSpec) -> Declared {
    Declared { spec, command: CONTAINER }
}

impl Declared {
    /// The same, before what its connection has out is done: neither changes anything of the other.
    const fn at_once(self) -> Declared {
        Declared { command: ConnectionCommand { comes_at_once: true, ..self.command }, ..self }
    }

    /// The same, which answers and does nothing else.
    const fn that_answers_only(self) -> Declared {
        Declared { command: ConnectionCommand { answers_only: true, ..self.command }, ..self }.at_once()
    }

    /// The same, for scripts as well.
    const fn in_scripts(self, handler: SharedHandler) -> Declared {
        Declared { command: ConnectionCommand { in_script: Some(handler), ..self.command }, ..self }
    }
}

/// Answers a connection as a script would be answered.
fn answer(
    io: &mut IoThread,
    connection: &mut Connection,
    args: &[&[u8]],
    handler: SharedHandler,
) -> Result<Dispatch, CommandError> {
    let mut outcome = Ok(());
    connection.reply(|reply| outcome = handler(&io.shared, args, reply));
    outcome.map(|()| Dispatch::Done)
}

fn all() -> impl Iterator<Item = &'static Declared> {
    connection::COMMANDS
        .iter()
        .chain(client::COMMANDS)
        .chain(client_list::COMMANDS)
        .chain(tracking::COMMANDS)
        .chain(transaction::COMMANDS)
        .chain(script::COMMANDS)
        .chain(function::COMMANDS)
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
    static HANDLERS: LazyLock<Vec<ConnectionCommand>> = LazyLock::new(|| {
        let command = |declared: &Declared| ConnectionCommand {
            keeps_caching: declared.spec.name.starts_with("client|"),
            ..declared.command
        };
        all().map(command).collect()
    });
    &HANDLERS
}

/// Answers `+OK`.
fn ok(connection: &mut Connection) -> Result<Dispatch, CommandError> {
    connection.reply(|reply| reply.ok());
    Ok(Dispatch::Done)
}

/// Answers the lines of a HELP subcommand.
fn help(reply: &mut Reply<'_>, command: &str, lines: &[&str]) -> Outcome {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why each of them neither changes what is executed before it nor depends on that.
    const AT_ONCE: &[(&str, &str)] = &[
        ("client|caching", "it is for what comes behind it: batches have noted what to do for tracking"),
        ("client|id", "ids never change"),
        ("client|reply", "each reply has noted whether it is sent"),
        ("discard", "what is out was no part of the transaction"),
        ("echo", "it only answers"),
        ("function|kill", "it is for functions that hold what others wait for"),
        ("multi", "what is out is no part of the transaction"),
        ("ping", "it only answers"),
        ("quit", "the connection ends when all is answered"),
        ("script|kill", "it is for scripts that hold what others wait for"),
        ("select", "batches have noted the database"),
        ("unwatch", "no command but EXEC asks for what was watched"),
    ];

    #[test]
    fn commands_wait_for_those_before_them_unless_there_is_a_reason() {
        let at_once = |declared: &&Declared| declared.command.comes_at_once;
        let mut names: Vec<&str> = all().filter(at_once).map(|declared| declared.spec.name).collect();
        names.sort_unstable();
        assert_eq!(names, AT_ONCE.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
