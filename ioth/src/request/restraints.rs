//! What keeps commands from being executed for now: CLIENT PAUSE, reasons to refuse writes, data that are being loaded or not to
//! be shown, and a script that takes too long in a shard that they need.
//!
//! Asked only where [`sherd_shards::server::pause::Pause::may_be_on`] says that there may be a reason.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::{flag, Plane};
use sherd_shards::handler::error::CommandError;
use sherd_shards::server::pause::{Condition, Refusal};

use crate::connection::transaction::Multi;
use crate::connection::Connection;
use crate::protocol::request::{borrowed, Request};
use crate::shared::scripts::Scripts;
use crate::thread::handlers::{Dispatch, InMulti};
use crate::thread::IoThread;

use super::gate::refuse;
use super::monitor;
use super::own_command::in_multi;
use super::paused::{defer_for_pause, pauses, MAY_WRITE};

const LOADING: CommandError = CommandError::new("LOADING Redis is loading the dataset in memory");
pub const PRIMARY_DOWN: CommandError =
    CommandError::new("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// The append-only file cannot be written; why, in the system's words.
fn file_failed(io: &IoThread) -> CommandError {
    let error = std::io::Error::from_raw_os_error(io.shared.world.journal.failure() as i32).to_string();
    let reason = error.split(" (os error").next().unwrap_or_default();
    CommandError::with(format!("MISCONF Errors writing to the AOF file: {reason}"))
}

/// Why a command may not be executed now.
pub enum Restraint {
    /// It is answered an error.
    Refused(CommandError),
    /// It waits until a pause is over.
    Paused,
}

/// What becomes of a command that may not be executed now.
#[cold]
pub fn restrain(
    io: &mut IoThread,
    connection: &mut Connection,
    command: &'static Command,
    request: &Request<'_>,
) -> Option<Dispatch> {
    Some(match restraint(io, connection, command, request.args)? {
        Restraint::Refused(error) => {
            monitor::show_refused(&io.shared, connection, command, request.args);
            refuse(io, connection, Some(command), &error)
        }
        Restraint::Paused => {
            defer_for_pause(io, connection, command);
            Dispatch::Later
        }
    })
}

/// What keeps a command from being executed now, if anything does.
#[cold]
pub fn restraint(
    io: &IoThread,
    connection: &Connection,
    command: &'static Command,
    args: &[&[u8]],
) -> Option<Restraint> {
    if let Some(error) = needs_busy_shards(io, connection, command, args) {
        return Some(Restraint::Refused(error.clone()));
    }
    let flags = Flagged::new(io, connection, command, args);
    if let Some(error) = redirection(io, connection, &flags) {
        return Some(Restraint::Refused(error));
    }
    if let Some(reason) = io.shared.world.pause.refusal().filter(|_| flags.any_has(flag::WRITE)) {
        return Some(Restraint::Refused(match reason {
            Refusal::JournalFailed => file_failed(io),
            _ => reason.error().clone(),
        }));
    }
    for (condition, needed, error) in
        [(Condition::Stale, flag::STALE, &PRIMARY_DOWN), (Condition::Loading, flag::LOADING, &LOADING)]
    {
        if io.shared.world.pause.is(condition) && !flags.all_have(needed) {
            return Some(Restraint::Refused(error.clone()));
        }
    }
    // What would take a snapshot of data that are about to go, or change where the new ones come from.
    let loads_beside = io.shared.world.pause.is(Condition::LoadingBeside);
    if loads_beside && flags.any_has(flag::NO_ASYNC_LOADING) {
        return Some(Restraint::Refused(LOADING.clone()));
    }
    if !pauses(io, flags.may_write()) {
        return None;
    }
    // Who monitors is refused at once what would only wait to be refused.
    let refusal = monitor::refusal(connection, io.shared.scripts.flags_of(command, args.get(1).copied()));
    Some(refusal.map_or(Restraint::Paused, Restraint::Refused))
}

/// Where a client that has said it understands that is sent to, if this is a replica: to the primary with all that writes, and
/// with what reads unless READONLY was asked for.
fn redirection(io: &IoThread, connection: &Connection, flags: &Flagged<'_>) -> Option<CommandError> {
    let record = &connection.record;
    let is_concerned = io.shared.world.pause.is(Condition::Follows)
        && record.takes_redirects.load(Relaxed)
        && !io.shared.cluster
        && (flags.any_has(flag::WRITE) || !record.readonly.load(Relaxed) && flags.any_has(flag::READONLY));
    let primary = io.shared.primary().filter(|_| is_concerned)?;
    Some(CommandError::with(format!("REDIRECT {primary}")))
}

/// The error if a script that takes too long holds a shard that a command needs, or one that was queued. What is queued now is
/// executed later.
fn needs_busy_shards(
    io: &IoThread,
    connection: &Connection,
    command: &Command,
    args: &[&[u8]],
) -> Option<&'static CommandError> {
    if !io.shared.world.pause.is_busy() {
        return None;
    }
    let (running, map) = (&io.shared.scripts.running, io.shared.world.slots);
    match (&connection.session.multi, command.spec.plane) {
        (Some(multi), Plane::Connection(_)) if in_multi(io, command) == InMulti::Exec => running.error_for(|busy| {
            multi
                .commands
                .iter()
                .any(|queued| busy & queued.command.shards_in_transaction(&borrowed(&queued.args), &map) != 0)
        }),
        (None, Plane::Data(_) | Plane::Extension) => {
            let needed = command.shards_of(args, &map);
            running.error_for(|busy| busy & needed != 0)
        }
        // What is about all data as they are at one moment has to hold all shards.
        (None, Plane::Control) if command.spec.has(flag::NO_ASYNC_LOADING) && !command.spec.has(flag::LOADING) => {
            running.error_for(|busy| busy != 0)
        }
        _ => None,
    }
}

/// The flags of a command line, and of those that were queued if it executes them.
struct Flagged<'a> {
    scripts: &'a Scripts,
    own: u32,
    executed: Option<&'a Multi>,
}

impl<'a> Flagged<'a> {
    fn new(io: &'a IoThread, connection: &'a Connection, command: &Command, args: &[&[u8]]) -> Flagged<'a> {
        let scripts = &io.shared.scripts;
        let executes = in_multi(io, command) == InMulti::Exec;
        let executed = connection.session.multi.as_deref().filter(|_| executes);
        Flagged { scripts, own: scripts.flags_of(command, args.get(1).copied()), executed }
    }

    /// Those of what was queued.
    fn queued(&self) -> impl Iterator<Item = u32> + '_ {
        self.executed.iter().flat_map(|multi| &multi.commands).map(|queued| self.scripts.flags_of_queued(queued))
    }

    /// Whether a command, and if it executes what was queued all of that, has a flag.
    fn all_have(&self, flag: u32) -> bool {
        self.own & flag != 0 && self.queued().all(|flags| flags & flag != 0)
    }

    /// Whether a command, or one of those that were queued if it executes them, has a flag.
    fn any_has(&self, flag: u32) -> bool {
        match self.executed {
            Some(_) => self.queued().any(|flags| flags & flag != 0),
            None => self.own & flag != 0,
        }
    }

    /// Whether CLIENT PAUSE WRITE is for it.
    fn may_write(&self) -> bool {
        let is_aborted = self.executed.is_some_and(|multi| multi.aborted);
        self.own & MAY_WRITE != 0 || !is_aborted && self.queued().any(|flags| flags & MAY_WRITE != 0)
    }
}
