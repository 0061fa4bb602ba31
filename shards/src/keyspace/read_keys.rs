//! The keys of a shard that clients with caches have read, and who; see [`crate::keyspace::tracking`].

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::ptr::NonNull;

use sherd_types::table::{self, Table};

use super::invalidations::Cause;
use crate::server::reader_numbers::Holders;

/// Numbers below this have a bit in a word.
pub(super) const NUMBER_IN_WORD_MAX: u32 = u64::BITS;

/// The clients that have read a key, by their numbers (`server/reader_numbers.rs`).
pub(super) enum Readers {
    /// A bit for each number; what is added to them is an operation on a word.
    Few(u64),
    /// In ascending order, for servers on which more clients track.
    // Seldom wanted: what it takes, every key would have room for.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<u32>>),
}

impl Readers {
    fn none() -> Readers {
        Readers::Few(0)
    }

    /// Adds a client; false if it is there already.
    #[inline]
    pub(super) fn add(&mut self, number: u32) -> bool {
        match self {
            Readers::Few(bits) if number < NUMBER_IN_WORD_MAX => {
                let is_new = *bits >> number & 1 == 0;
                *bits |= 1 << number;
                is_new
            }
            _ => self.add_to_many(number),
        }
    }

    #[cold]
    fn add_to_many(&mut self, number: u32) -> bool {
        if let Readers::Few(_) = self {
            *self = Readers::Many(Box::new(self.numbers()));
        }
        let Readers::Many(all) = self else { return false };
        let place = all.binary_search(&number);
        if let Err(place) = place {
            all.insert(place, number);
        }
        place.is_err()
    }

    /// In ascending order.
    pub(super) fn numbers(&self) -> Vec<u32> {
        match self {
            Readers::Few(bits) => (0..NUMBER_IN_WORD_MAX).filter(|number| bits >> number & 1 == 1).collect(),
            Readers::Many(all) => all.to_vec(),
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Readers::Few(bits) => bits.count_ones() as usize,
            Readers::Many(all) => all.len(),
        }
    }

    /// Keeps those that `wanted` says so of.
    fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        match self {
            Readers::Few(bits) => {
                *bits = (0..NUMBER_IN_WORD_MAX)
                    .filter(|&number| *bits >> number & 1 == 1 && wanted(number))
                    .map(|number| 1 << number)
                    .sum();
            }
            Readers::Many(all) => all.retain(|&number| wanted(number)),
        }
    }
}

pub(super) struct Header {
    pub(super) readers: Readers,
    /// The era in which the last of them was added.
    era: u64,
    length: usize,
}

impl Header {
    /// Adds a client, in this era; false if it is there already.
    #[inline]
    pub(super) fn add(&mut self, number: u32, era: u64) -> bool {
        debug_assert!(self.era == era, "who has left meanwhile is to be forgotten first");
        self.readers.add(number)
    }

    /// Whether numbers may have been given out since the last reader was added.
    #[inline]
    pub(super) fn is_before(&self, era: u64) -> bool {
        self.era != era
    }

    /// Forgets clients that have gone and whose numbers others have by now; how many.
    pub(super) fn renew(&mut self, holders: &Holders, era: u64) -> usize {
        let before = self.readers.count();
        let of = self.era;
        self.readers.retain(|number| holders.token(number, of).is_some());
        self.era = era;
        before - self.readers.count()
    }

    /// The tokens of those who have read the key.
    pub(super) fn tokens(&self, holders: &Holders) -> Vec<u64> {
        self.readers.numbers().into_iter().filter_map(|number| holders.token(number, self.era)).collect()
    }
}

/// A key that was read: one allocation, in which the key's bytes follow a header.
#[repr(transparent)]
pub(super) struct ReadKey(NonNull<u8>);

// SAFETY: it owns its allocation, and nothing in that is tied to a thread.
unsafe impl Send for ReadKey {}

impl ReadKey {
    /// A key that nobody has read yet, in this era.
    pub(super) fn new(key: &[u8], era: u64) -> ReadKey {
        let layout = ReadKey::layout(key.len());
        // SAFETY: the layout has a size; the header and the key's bytes have room in it.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            start.cast::<Header>().write(Header { readers: Readers::none(), era, length: key.len() });
            start.add(size_of::<Header>()).as_ptr().copy_from_nonoverlapping(key.as_ptr(), key.len());
            ReadKey(start)
        }
    }

    fn layout(length: usize) -> Layout {
        let size = size_of::<Header>() + length;
        Layout::from_size_align(size, align_of::<Header>()).expect("a key that is in memory has a length")
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: written by `new`, and alive until the drop.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    #[inline]
    pub(super) fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as in `header`, borrowed alone.
        unsafe { self.0.cast::<Header>().as_mut() }
    }
}

// SAFETY: transparent over NonNull<u8>, owns its allocation, and the key's bytes never change.
unsafe impl table::Entry for ReadKey {
    #[inline]
    fn key(&self) -> &[u8] {
        // SAFETY: `new` has written so many bytes behind the header.
        unsafe {
            let start = self.0.add(size_of::<Header>());
            std::slice::from_raw_parts(start.as_ptr(), self.header().length)
        }
    }
}

impl Drop for ReadKey {
    fn drop(&mut self) {
        let layout = ReadKey::layout(self.header().length);
        // SAFETY: the header is dropped once and the allocation freed once, by its one owner.
        unsafe {
            self.0.cast::<Header>().drop_in_place();
            dealloc(self.0.as_ptr(), layout);
        }
    }
}

/// A key that a command of a batch has read, not yet in the table, with the number of the client. Its bytes are the batch's, which
/// is still being executed.
pub(super) struct PendingRead {
    pub(super) hash: u64,
    pub(super) key: &'static [u8],
    pub(super) number: u32,
}

/// The keys of one shard that tracking clients have read.
#[derive(Default)]
pub struct ReadKeys {
    pub(super) table: Table<ReadKey>,
    /// What is to be put into the table; empty while no batch is being executed.
    pub(super) pending: Vec<PendingRead>,
    /// The client whose command is being executed and that wants to hear of no change of its own; 0 is none.
    pub(crate) silent: u64,
    /// The command that is being executed, if it is in a batch and its client hears of its own changes.
    pub(crate) cause: Option<Cause>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_a_set_whatever_their_numbers_are() {
        let numbers = [0, 63, 5, 64, 63, 1000, 5, 64, 2, 999, 0];
        let (mut readers, mut expected) = (Readers::none(), std::collections::BTreeSet::new());
        for number in numbers {
            assert_eq!(readers.add(number), expected.insert(number));
            assert_eq!(readers.numbers(), expected.iter().copied().collect::<Vec<_>>());
            assert_eq!(readers.count(), expected.len());
        }
        readers.retain(|number| number % 2 == 0);
        assert_eq!(readers.numbers(), [0, 2, 64, 1000]);
        let mut few = Readers::none();
        for number in [3, 62, 63] {
            few.add(number);
        }
        few.retain(|number| number != 62);
        assert_eq!(few.numbers(), [3, 63]);
    }
}
