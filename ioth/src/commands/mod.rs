//! Commands that concern a connection: executed by its IO thread, at once and in order.
//!
//! A handler answers through [`Connection::reply`] and may end with [`Dispatch::Later`] or [`Dispatch::Wait`].

mod client;
mod connection;
mod transaction;

pub use connection::REDIS_VERSION;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;

use sherd_metrics::clock::{self, TickRate};
use sherd_shards::error::CommandError;
use sherd_shards::execute::{self, INTERNAL_ERROR};
use sherd_shards::registry::Command;
use sherd_shards::spec::{CommandSpec, Plane};

use crate::connection::Connection;
use crate::request::dispatch::Dispatch;
use crate::shared::Shared;
use crate::thread::IoThread;

/// A connection command's implementation.
type Handler = fn(&mut IoThread, &mut Connection, &[&[u8]]) -> Result<Dispatch, CommandError>;

/// A command of this plane.
struct Declared {
    spec: CommandSpec,
    handler: Option<Handler>,
}

const fn declare(spec: CommandSpec, handler: Handler) -> Declared {
    Declared { spec, handler: Some(handler) }
}

const fn container(spec: CommandSpec) -> Declared {
    Declared { spec, handler: None }
}

fn all() -> impl Iterator<Item = &'static Declared> {
    connection::COMMANDS.iter().chain(client::COMMANDS).chain(transaction::COMMANDS)
}

/// The specifications of this plane, with the numbers of their handlers.
pub fn specs() -> Vec<CommandSpec> {
    all()
        .enumerate()
        .map(|(number, declared)| {
            let plane = match declared.handler {
                Some(_) => Plane::Connection(number as u16),
                None => Plane::Container,
            };
            CommandSpec { plane, ..declared.spec }
        })
        .collect()
}

fn handler(number: u16) -> Handler {
    use std::sync::LazyLock;
    static HANDLERS: LazyLock<Vec<Option<Handler>>> =
        LazyLock::new(|| all().map(|declared| declared.handler).collect());
    HANDLERS[usize::from(number)].expect("a container is not executed")
}

/// Whether the command is executed at once inside MULTI instead of being queued.
pub fn runs_inside_multi(command: &Command) -> bool {
    matches!(command.spec.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Whether the command takes shards, so that everything that the connection has out must be done first.
pub fn needs_quiet(number: u16) -> bool {
    handler(number) as usize == transaction::exec as Handler as usize
        || handler(number) as usize == transaction::watch as Handler as usize
}

/// Whether the command is EXEC.
pub fn is_exec(number: u16) -> bool {
    handler(number) as usize == transaction::exec as Handler as usize
}

/// The database that a queued command selects for those after it; `None` if it is not SELECT.
pub fn selects(shared: &Shared, command: &Command, args: &[Vec<u8>]) -> Option<Result<u16, CommandError>> {
    (command.spec.name == "select").then(|| connection::database(shared, &args[1]))
}

/// Whether the commands after a queued HELLO are answered in RESP3; `None` if it does not change that.
pub fn protocol_after(command: &Command, args: &[Vec<u8>]) -> Option<bool> {
    match args.get(1).filter(|_| command.spec.name == "hello")?.as_slice() {
        b"2" => Some(false),
        b"3" => Some(true),
        _ => None,
    }
}

impl IoThread {
    /// Executes a connection command and answers it.
    pub fn run_connection_command(
        &mut self,
        connection: &mut Connection,
        command: &'static Command,
        number: u16,
        args: &[&[u8]],
    ) -> Dispatch {
        let tick = clock::ticks();
        let result = catch_unwind(AssertUnwindSafe(|| handler(number)(self, connection, args)));
        let (dispatch, failed) = match result {
            Ok(Ok(dispatch)) => (dispatch, false),
            Ok(Err(error)) => {
                self.count_error(&error);
                connection.reply(|reply| reply.error(&error));
                (Dispatch::Done, true)
            }
            Err(_) => {
                self.stats().panics.increment();
                connection.reply(|reply| reply.error(&INTERNAL_ERROR));
                connection.close_after_reply = true;
                (Dispatch::Done, true)
            }
        };
        if dispatch != Dispatch::Later {
            let nanoseconds = TickRate::get().nanoseconds(clock::ticks().wrapping_sub(tick));
            let cell = self.stats().cells.cell(command.id);
            cell.record(nanoseconds, failed);
            if !self.shared.world.settings.latency_tracking.on() {
                cell.latency.take_back(nanoseconds);
            }
            self.stats().commands.increment();
            let record = &connection.record;
            record.commands.store(record.commands.load(Relaxed) + 1, Relaxed);
            execute::note_duration(&self.shared.world, command, args, Some(record), nanoseconds);
        }
        dispatch
    }
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
