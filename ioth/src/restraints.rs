//! What keeps commands from being executed for now: CLIENT PAUSE, and `min-replicas-to-write` while too few replicas keep up.
//!
//! Asked only where [`crate::shared::Pause::may_be_on`] says that there may be a reason.

use sherd_shards::error::CommandError;
use sherd_shards::registry::Command;
use sherd_shards::spec::{flag, Plane};

use crate::commands;
use crate::connection::Connection;
use crate::dispatch::Dispatch;
use crate::io_thread::IoThread;

/// What a write is answered while too few replicas keep up.
pub const NO_REPLICAS: CommandError = CommandError::new("NOREPLICAS Not enough good replicas to write.");

impl IoThread {
    /// What becomes of a command that may not be executed now.
    #[cold]
    pub fn restrain(&mut self, connection: &mut Connection, command: &'static Command) -> Option<Dispatch> {
        if self.lacks_replicas(connection, command) {
            return Some(self.refuse(connection, Some(command), &NO_REPLICAS));
        }
        self.is_paused(connection, command).then_some(Dispatch::Later)
    }

    /// Whether a command writes, or executes what was queued and does, while too few replicas keep up.
    pub fn lacks_replicas(&self, connection: &Connection, command: &Command) -> bool {
        if !self.shared.pause.too_few_replicas() {
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

    fn is_paused(&mut self, connection: &Connection, command: &Command) -> bool {
        let Some((_, writes_only)) = self.shared.pause.get(self.now_ms) else { return false };
        let spec = &command.spec;
        let concerned = match spec.plane {
            Plane::Data(_) => !writes_only || spec.has(flag::WRITE),
            Plane::Connection(number) => commands::is_exec(number),
            _ => false,
        };
        if concerned {
            self.held_back.push(connection.token);
        }
        concerned
    }
}
