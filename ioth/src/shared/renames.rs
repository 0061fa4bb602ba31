//! The names that clients call commands by on one server, where `rename-command` has changed some.
//!
//! The command table belongs to the process and knows each command by its own name; here is only what differs from it. Nobody
//! looks here for a command that is the connection's last one again, which is never one that goes by another name.

use std::collections::HashMap;

use sherd_shards::command::registry::{self, Command};

/// What differs from the command table.
#[derive(Default)]
pub struct Renames {
    /// By name in lower case; `None` where it names nothing any more.
    names: HashMap<Vec<u8>, Option<&'static Command>>,
}

impl Renames {
    /// Names with the commands' own names, `None` for one that names nothing.
    pub fn new(names: Vec<(Vec<u8>, Option<String>)>) -> Renames {
        let command = |own: String| registry::table().find(own.as_bytes());
        let names = names.into_iter().map(|(name, own)| (name.to_ascii_lowercase(), own.and_then(command)));
        Renames { names: names.collect() }
    }

    /// Whether a name is not a command's own.
    pub fn concern(&self, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains_key(&name.to_ascii_lowercase())
    }

    /// The command of a name.
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        if self.names.is_empty() {
            return registry::table().find(name);
        }
        match self.names.get(&name.to_ascii_lowercase()) {
            Some(renamed) => *renamed,
            None => registry::table().find(name),
        }
    }
}
