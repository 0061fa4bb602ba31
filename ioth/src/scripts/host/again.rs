//! Scripts that are executed again, by a thread that has no connections or with all shards, and what others are told of them: once.

use std::sync::Arc;

use sherd_shards::command::origin::Origin;
use sherd_shards::handler::scripting;

use super::ScriptHost;
use crate::observe::log::Level;
use crate::request::monitor::show_line;
use crate::shared::Shared;

/// What others are told of.
pub enum Told {
    /// Monitors, of a command.
    Line(Arc<[u8]>),
    /// Whoever reads the log, at a level.
    Log(u8, Vec<u8>),
}

impl ScriptHost<'_, '_> {
    /// Whether nothing speaks against its being executed again by a thread that has no connections.
    pub(super) fn may_be_handed_on(&self) -> bool {
        !self.has_written && self.context.origin == Origin::Client && scripting::may_hand_on()
    }

    /// Whether nothing speaks against its being executed again with all shards.
    pub(super) fn may_begin_again(&self) -> bool {
        !self.has_written && !self.has_told && self.context.origin == Origin::Client && scripting::may_begin_again()
    }

    /// Whether others are told of it later, for it may still be that it was executed in vain. What takes long is told of at once.
    fn tells_later(&self) -> bool {
        let all = self.shared.world.slots.all_shards();
        self.may_be_handed_on() || (self.long.is_none() && self.held != all && self.may_begin_again())
    }

    /// Stops it: others have to see no more of it than of one that has not begun.
    pub(super) fn begin_again(&mut self) {
        self.is_handed_on = true;
        let first = self.first_event;
        self.shards().iter_mut().for_each(|shard| shard.outbox.events.retract_since(first));
    }

    /// Tells others of something that it has done.
    pub fn tell(&mut self, told: Told) {
        self.told.push(told);
        if !self.tells_later() {
            self.has_told = true;
            self.tell_all();
        }
    }

    pub(super) fn tell_all(&mut self) {
        for told in std::mem::take(&mut self.told) {
            match told {
                Told::Line(line) => show_line(self.shared, &line),
                Told::Log(level, text) => add_to_log(self.shared, level, &text),
            }
        }
    }
}

/// Writes what a script or a library tells to the server's log.
pub fn add_to_log(shared: &Shared, level: u8, text: &[u8]) {
    let level = [Level::Debug, Level::Verbose, Level::Notice, Level::Warning][usize::from(level.min(3))];
    shared.log.add_bytes(level, text, Vec::new());
}
