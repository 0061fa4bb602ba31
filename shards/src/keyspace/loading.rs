//! The part of the door through which the keys of a file come, into databases that had none: to load is no change, and nobody
//! watches or waits for what was not there yet.

use super::db::Key;
use super::shard::Shard;
use crate::entry::Entry;
use sherd_types::hash::Fields;

/// Fewer keys come quickly without it, and the smallest databases have no buckets at all.
const EXPECTED_MIN: usize = 1000;

impl Shard {
    /// Adds an entry under a key; false if there is one already, which stays.
    pub(crate) fn load_new(&mut self, db: u16, key: &Key<'_>, entry: Entry) -> bool {
        entry.set_mark(self.mark);
        let has_timed_fields = entry.object().is_some_and(|object| object.timed().is_some_and(Fields::has_expiries));
        let database = self.databases.get_or_new(db, &self.world.slots, self.index);
        if database.find(key).is_some() {
            return false;
        }
        database.insert_new(key, entry);
        if has_timed_fields {
            self.announce_elements(db, key);
        }
        true
    }

    /// Makes room for so many keys in a database that has none, which then need not be moved while it fills. Where each slot has
    /// a table of its own nothing is made: nobody has said how many keys are for each.
    pub(crate) fn expect_keys(&mut self, db: u16, keys: usize) {
        if keys >= EXPECTED_MIN && !self.world.slots.has_slot_tables() {
            self.databases.get_or_new(db, &self.world.slots, self.index).reserve(keys);
        }
    }
}
