//! How far a group has read: counting entries by ids alone.
//!
//! A stream counts the entries that were ever added. Where no entry was deleted between an id and the stream's end, the
//! number of entries up to that id follows from the counts; elsewhere it is unknown, and so is the group's lag. These
//! are the rules of Redis, whose answers clients compare.

use super::group::Group;
use super::id::StreamId;
use super::log::Log;

impl Log {
    /// Whether an entry may have been deleted at `start` or after it.
    fn has_deletions_from(&self, start: StreamId) -> bool {
        !self.is_empty()
            && !self.max_deleted_id().is_zero()
            && self.first_id() <= self.max_deleted_id()
            && start <= self.max_deleted_id()
    }

    /// How many of all entries ever added are up to `id`, if that can be told.
    pub fn count_up_to(&self, id: StreamId) -> Option<u64> {
        let added = self.entries_added();
        if added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id() {
            return Some(added);
        }
        if !id.is_zero() && id < self.max_deleted_id() {
            return None;
        }
        if id >= self.last_id() {
            return (id == self.last_id()).then_some(added);
        }
        let first = self.first_id();
        let deletions_ahead = !self.max_deleted_id().is_zero() && self.max_deleted_id() >= first;
        if deletions_ahead || id > first {
            return None;
        }
        let before = added.saturating_sub(self.len());
        Some(if id == first { before + 1 } else { before })
    }

    /// Moves a group's position on to an entry that is delivered to it.
    pub fn note_delivery(&self, group: &mut Group, id: StreamId) {
        group.entries_read = match group.entries_read {
            Some(read) if group.last_id >= self.first_id() && !self.has_deletions_from(group.last_id) => Some(read + 1),
            read if self.entries_added() == 0 => read,
            _ => self.count_up_to(id),
        };
        group.last_id = id;
    }

    /// How many entries are left for a group, if that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added();
        if added == 0 || self.is_empty() {
            return Some(0);
        }
        let deletions_ahead = self.max_deleted_id() >= self.first_id();
        if group.last_id < self.first_id() && !deletions_ahead {
            return Some(self.len() as i64);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_deletions_from(group.last_id) => read,
            _ => self.count_up_to(group.last_id)?,
        };
        Some(added.wrapping_sub(read) as i64)
    }
}
