//! Keys with an expiry that clients have written to a replica (`replica-read-only no`). Its primary, which says when keys expire there,
//! knows nothing of these, so the replica remembers their names and looks after them itself ([`crate::maintenance::own_expiry`]).
//!
//! By name and not by time: a key whose expiry is set anew a thousand times a second is remembered once.

use std::collections::BTreeSet;
use std::ops::Bound;

type Name = (u16, Box<[u8]>);

/// See the [module](self).
#[derive(Default)]
pub struct OwnVolatile {
    names: BTreeSet<Name>,
    /// The one that was looked at last.
    last: Option<Name>,
}

impl OwnVolatile {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Remembers one.
    pub fn add(&mut self, db: u16, key: &[u8]) {
        self.names.insert((db, key.into()));
    }

    /// The one to look at next: database and key. They come in turns.
    pub fn take_turn(&mut self) -> Option<Name> {
        let behind = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.names.range((behind, Bound::Unbounded)).next().or_else(|| self.names.first()).cloned();
        self.last.clone_from(&next);
        next
    }

    /// Forgets one.
    pub fn forget(&mut self, name: &Name) {
        self.names.remove(name);
    }

    /// Forgets those of a database, whose keys are others now.
    pub fn forget_database(&mut self, db: u16) {
        self.names.retain(|(of, _)| *of != db);
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u16, b: u16) {
        let other = |db| match db {
            db if db == a => b,
            db if db == b => a,
            db => db,
        };
        self.names = std::mem::take(&mut self.names).into_iter().map(|(db, key)| (other(db), key)).collect();
    }
}
