//! What a client is subscribed to.

use sherd_types::table::{hash, Table};

use super::name::Name;

/// What one may be subscribed to; names of different kinds have nothing to do with one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Channel,
    Pattern,
    /// A channel that belongs to a slot.
    ShardChannel,
}

/// How many kinds there are.
pub const KINDS: usize = 3;

/// What a name takes besides its bytes: its own header, a place in each of three tables, and what two of them know of it.
const NAME_BYTES: usize = 100;

/// A client's subscriptions. A client without any has none of this.
#[derive(Default)]
pub struct Subscriptions {
    names: [Table<Name>; KINDS],
    bytes: usize,
}

impl Subscriptions {
    /// Whether the client is subscribed to a name.
    pub fn contains(&self, kind: Kind, name: &[u8]) -> bool {
        self.names[kind as usize].find(hash(name), name).is_some()
    }

    /// Adds a name that is not there yet.
    pub fn insert(&mut self, kind: Kind, name: Name) {
        self.bytes += name.len() + NAME_BYTES;
        self.names[kind as usize].insert_new(hash(&name), name);
    }

    /// Removes a name, if it is there.
    pub fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<Name> {
        let name = self.names[kind as usize].remove(hash(name), name)?;
        self.bytes -= name.len() + NAME_BYTES;
        Some(name)
    }

    /// Names of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// All names of a kind.
    pub fn names(&self, kind: Kind) -> Vec<Name> {
        self.names[kind as usize].iter().cloned().collect()
    }

    /// The number that a confirmation carries: channels of shards are counted by themselves.
    pub fn announced(&self, kind: Kind) -> usize {
        match kind {
            Kind::ShardChannel => self.count(kind),
            Kind::Channel | Kind::Pattern => self.count(Kind::Channel) + self.count(Kind::Pattern),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(Table::is_empty)
    }

    /// What all of it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
