//! What keeps commands from being executed for now: CLIENT PAUSE, and `min-replicas-to-write` while too few replicas keep up.
//!
//! Asked only where [`sherd_shards::pause::Pause::may_be_on`] says that there may be a reason.

use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;
use sherd_shards::spec::flag;

use crate::connection::Connection;
use crate::thread::handlers::{Dispatch, InMulti};
use crate::thread::IoThread;

use super::gate::refuse;
use super::own_command::in_multi;
use super::paused::{defer_for_pause, is_paused};

/// What a write is answered while too few replicas keep up.
const NO_REPLICAS: CommandError = CommandError::new("NOREPLICAS Not enough good replicas to write.");

/// What becomes of a command that may not be executed now.
#[cold]
pub fn restrain(io: &mut IoThread, connection: &mut Connection, command: &'static Command) -> Option<Dispatch> {
    if lacks_replicas(io, connection, command) {
        return Some(refuse(io, connection, Some(command), &NO_REPLICAS));
    }
    if is_paused(io, connection, command) {
        defer_for_pause(io, connection, command);
        return Some(Dispatch::Later);
    }
    None
}

/// Whether a command writes, or executes what was queued and does, while too few replicas keep up.
fn lacks_replicas(io: &IoThread, connection: &Connection, command: &Command) -> bool {
    if !io.shared.world.pause.too_few_replicas() {
        return false;
    }
    let queued = || connection.session.multi.iter().flat_map(|multi| &multi.commands);
    match in_multi(io, command) {
        InMulti::Exec => queued().any(|queued| queued.command.spec.has(flag::WRITE)),
        _ => command.spec.has(flag::WRITE),
    }
}
