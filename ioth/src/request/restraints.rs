//! What keeps commands from being executed for now: CLIENT PAUSE, and `min-replicas-to-write` while too few replicas keep up.
//!
//! Asked only where [`sherd_shards::pause::Pause::may_be_on`] says that there may be a reason.

use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;
use sherd_shards::spec::{flag, Plane};

use crate::commands;
use crate::connection::Connection;
use crate::request::dispatch::Dispatch;
use crate::thread::IoThread;

/// What a write is answered while too few replicas keep up.
const NO_REPLICAS: CommandError = CommandError::new("NOREPLICAS Not enough good replicas to write.");

impl IoThread {
    /// What becomes of a command that may not be executed now.
    #[cold]
    pub fn restrain(&mut self, connection: &mut Connection, command: &'static Command) -> Option<Dispatch> {
        if self.lacks_replicas(connection, command) {
            return Some(self.refuse(connection, Some(command), &NO_REPLICAS));
        }
        if self.is_paused(connection, command) {
            self.hold_for_pause(connection, command);
            return Some(Dispatch::Later);
        }
        None
    }

    /// Whether a command writes, or executes what was queued and does, while too few replicas keep up.
    fn lacks_replicas(&self, connection: &Connection, command: &Command) -> bool {
        if !self.shared.world.pause.too_few_replicas() {
            return false;
        }
        let queued = || connection.multi.iter().flat_map(|multi| &multi.commands);
        match command.spec.plane {
            Plane::Connection(number) if commands::is_exec(number) => {
                queued().any(|queued| queued.command.spec.has(flag::WRITE))
            }
            _ => command.spec.has(flag::WRITE),
        }
    }
}
