//! A walk through the elements of a collection that goes on in slices while the collection changes. It visits every element
//! that was there when it began exactly once, as it was then, and nothing else.
//!
//! How far a walk has come is one number for each of the collection's tables, its *front*. [`Table::scan`] goes through a table
//! in the order of its entries' hashes with the bits reversed, and where an entry is in that order depends on nothing but its
//! name: a table that grows or shrinks splits and merges buckets, but moves no entry from one side of the front to the other.
//! What holds at any time:
//!
//! - elements behind the front have been visited, or came after the beginning: to change them means nothing;
//! - elements at the front or ahead of it whose names are *excepted* have been visited, or came after the beginning: the walk
//!   passes them over. All names that are excepted are those of elements that are there;
//! - all others ahead are as they were at the beginning and have not been visited.
//!
//! So whoever is about to alter an element that is ahead and not excepted has it visited and excepts it; who removes one has it
//! visited; who adds one excepts it. No mark in the elements is needed, for which most have no room. Names are forgotten as the
//! front comes to them.
//!
//! Rejected: the table as a chain of versions, or shared buckets that are copied when written: every look-up would pay for it.

mod part;

use std::any::Any;

use sherd_metrics::memory::thread_bytes;

use crate::table::{self, Entry, NameEntry, Table};

pub use part::{ConsumerHead, GroupHead, IdBytes, Memory, PendingPart, StreamPart};

/// An element as it is visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element<'a> {
    /// The field of a hash, the member of a set or a sorted set.
    pub name: &'a [u8],
    /// The value of a field; empty for members.
    pub value: &'a [u8],
    /// When the field or member expires, in milliseconds since the epoch.
    pub expiry: Option<u64>,
    /// The score of a sorted set's member.
    pub score: f64,
}

impl<'a> Element<'a> {
    /// A member that is nothing but its name.
    pub fn named(name: &'a [u8]) -> Self {
        Element { name, value: b"", expiry: None, score: 0.0 }
    }
}

/// An entry of a table that can be walked.
pub(crate) trait Walked: Entry {
    fn element(&self) -> Element<'_>;
}

impl Walked for NameEntry {
    fn element(&self) -> Element<'_> {
        Element::named(self.bytes())
    }
}

/// Whoever takes what a walk visits. It is the collection's as long as the walk lasts, so it goes wherever that goes.
pub trait Visitor: Any + Send {
    fn visit(&mut self, element: Element<'_>);
    /// The same of a stream, which has no elements but parts of several kinds.
    fn visit_part(&mut self, part: &StreamPart<'_>);
}

/// A collection that has walkable forms; small ones in a packed form are not.
pub trait Walkable {
    /// Begins a walk; false if the collection has no table to walk through.
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool;
    /// Whoever takes what the walk visits that is going on.
    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)>;
    /// Bytes that those who changed the collection have allocated for the walk and its visitor since the last call.
    fn take_bytes(&mut self) -> i64;
    /// Visits a few elements more; false when all were visited.
    fn step(&mut self) -> bool;
    /// What was kept for the walk, has been visited, and takes long to free.
    fn take_spent(&mut self) -> Option<Leftover> {
        None
    }
    /// Ends the walk, wherever it has come; what is left of it is to be dropped.
    fn end_walk(&mut self) -> Option<Leftover>;
}

/// What a walk that was ended early may have much of: names that were excepted, and what things were that have changed.
pub type Leftover = Box<dyn Any + Send>;

/// The tables of a collection. A set has two when members have had a time; every other one has one of them.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Elements without times.
    Plain,
    /// Fields, and members that have had a time.
    Fields,
}

/// A front behind which everything is.
const END: u64 = 1 << 32;

/// See the [module](self).
pub struct Walk {
    /// By [`Part`].
    fronts: [u64; 2],
    excepted: Table<NameEntry>,
    visitor: Box<dyn Visitor>,
    /// See [`Walkable::take_bytes`].
    bytes: i64,
}

/// Where in the order of a walk an entry with this hash is.
fn place(hash: u64) -> u64 {
    u64::from((hash as u32).reverse_bits())
}

impl Walk {
    /// A walk through both parts, of which one may be empty.
    pub(crate) fn new(visitor: Box<dyn Visitor>) -> Box<Walk> {
        Box::new(Walk { fronts: [0, 0], excepted: Table::new(), visitor, bytes: 0 })
    }

    pub(crate) fn visitor(&mut self) -> &mut (dyn Visitor + 'static) {
        &mut *self.visitor
    }

    pub(crate) fn take_bytes(&mut self) -> i64 {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn has_passed(&self, part: Part) -> bool {
        self.fronts[part as usize] == END
    }

    fn is_ahead(&self, part: Part, hash: u64) -> bool {
        place(hash) >= self.fronts[part as usize]
    }

    /// An element is about to be added or altered.
    #[cold]
    pub(crate) fn before_change<E: Walked>(&mut self, part: Part, table: &Table<E>, hash: u64, name: &[u8]) {
        if !self.is_ahead(part, hash) || self.excepted.find(hash, name).is_some() {
            return;
        }
        let before = thread_bytes();
        if let Some(entry) = table.find(hash, name) {
            self.visitor.visit(entry.element());
        }
        self.excepted.insert_new(hash, NameEntry::new(name));
        self.bytes += thread_bytes() - before;
    }

    /// An element is about to be removed, if it is there.
    #[cold]
    pub(crate) fn before_removal<E: Walked>(&mut self, part: Part, table: &Table<E>, hash: u64, name: &[u8]) {
        if let Some(entry) = table.find(hash, name) {
            self.removed(part, hash, entry);
        }
    }

    /// An element is being removed.
    #[cold]
    pub(crate) fn removed<E: Walked>(&mut self, part: Part, hash: u64, entry: &E) {
        if !self.is_ahead(part, hash) {
            return;
        }
        let before = thread_bytes();
        if self.excepted.remove(hash, entry.key()).is_none() {
            self.visitor.visit(entry.element());
        }
        self.bytes += thread_bytes() - before;
    }

    /// Visits what is in the bucket that the front is at, and brings the front behind it.
    pub(crate) fn step<E: Walked>(&mut self, part: Part, table: &Table<E>) {
        let Walk { fronts, excepted, visitor, .. } = self;
        let front = &mut fronts[part as usize];
        if *front == END {
            return;
        }
        let cursor = (*front as u32).reverse_bits();
        let next = table.scan(u64::from(cursor), |entry| {
            let name = entry.key();
            let hash = table::hash(name);
            // A bucket that others were merged into has what is behind the front as well.
            if place(hash) >= *front && (excepted.is_empty() || excepted.remove(hash, name).is_none()) {
                visitor.visit(entry.element());
            }
        });
        *front = if next == 0 { END } else { u64::from((next as u32).reverse_bits()) };
    }

    /// Brings the front of a part that has no table to its end.
    pub(crate) fn pass(&mut self, part: Part) {
        self.fronts[part as usize] = END;
    }
}

#[cfg(test)]
#[path = "tests/walk.rs"]
pub(crate) mod tests;
