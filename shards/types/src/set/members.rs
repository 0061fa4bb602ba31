//! The table of a large set's members, which tells a walk through it what is about to come and go.

use std::ops::Deref;

use super::Member;
use crate::mover::Mover;
use crate::table::Table;
use crate::walk::{Part, Walk};

/// See the [module](self).
pub struct Members {
    table: Table<Member>,
    /// While the set is saved in slices.
    pub(super) walk: Option<Box<Walk>>,
}

impl From<Table<Member>> for Members {
    fn from(table: Table<Member>) -> Self {
        Members { table, walk: None }
    }
}

impl Deref for Members {
    type Target = Table<Member>;

    #[inline]
    fn deref(&self) -> &Table<Member> {
        &self.table
    }
}

impl Members {
    /// Adds a member that is not there.
    #[inline]
    pub fn insert_new(&mut self, hash: u64, member: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(Part::Plain, &self.table, hash, member);
        }
        self.table.insert_new(hash, Member::new(member));
    }

    /// Removes a member; false if it is not there.
    #[inline]
    pub fn remove(&mut self, hash: u64, member: &[u8]) -> bool {
        if let Some(walk) = &mut self.walk {
            walk.before_removal(Part::Plain, &self.table, hash, member);
        }
        self.table.remove(hash, member).is_some()
    }

    /// As [`Table::defragment`], by whole buckets.
    pub fn defragment(&mut self, at: usize, buckets: usize, mover: &mut Mover<'_>) -> usize {
        self.table.defragment(at, buckets, mover, Member::relocate)
    }

    /// A step of the walk; false at its end.
    pub fn step(&mut self) -> bool {
        let Members { table, walk } = self;
        walk.as_mut().is_some_and(|walk| {
            walk.step(Part::Plain, table);
            if walk.has_passed(Part::Plain) {
                walk.pass(Part::Fields);
                return false;
            }
            true
        })
    }

    /// The table and the walk that goes through it.
    pub fn take(&mut self) -> (Table<Member>, Option<Box<Walk>>) {
        (std::mem::take(&mut self.table), self.walk.take())
    }
}
