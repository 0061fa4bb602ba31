//! The keys of a shard that clients with caches have read, and who; see [`crate::keyspace::tracking`].

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::collections::BTreeSet;
use std::ptr::NonNull;

use sherd_types::table::{self, Table};

use super::invalidations::Cause;

/// The clients that have read a key, by the tokens of their connections: one, mostly.
pub(super) enum Readers {
    One(u64),
    // Seldom wanted: what it takes, every key would have room for.
    #[allow(clippy::box_collection)]
    Many(Box<BTreeSet<u64>>),
}

impl Readers {
    /// Adds a client; false if it is there already.
    #[inline]
    pub(super) fn add(&mut self, token: u64) -> bool {
        match self {
            Readers::One(only) if *only == token => false,
            Readers::One(only) => {
                *self = Readers::Many(Box::new(BTreeSet::from([*only, token])));
                true
            }
            Readers::Many(all) => all.insert(token),
        }
    }

    pub(super) fn to_vec(&self) -> Vec<u64> {
        match self {
            Readers::One(only) => vec![*only],
            Readers::Many(all) => all.iter().copied().collect(),
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Readers::One(_) => 1,
            Readers::Many(all) => all.len(),
        }
    }
}

pub(super) struct Header {
    pub(super) readers: Readers,
    length: usize,
}

/// A key that was read: one allocation, in which the key's bytes follow a header.
#[repr(transparent)]
pub(super) struct ReadKey(NonNull<u8>);

// SAFETY: it owns its allocation, and nothing in that is tied to a thread.
unsafe impl Send for ReadKey {}

impl ReadKey {
    pub(super) fn new(key: &[u8], token: u64) -> ReadKey {
        let layout = ReadKey::layout(key.len());
        // SAFETY: the layout has a size; the header and the key's bytes have room in it.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            start.cast::<Header>().write(Header { readers: Readers::One(token), length: key.len() });
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
    pub(super) fn readers_mut(&mut self) -> &mut Readers {
        // SAFETY: as in `header`, borrowed alone.
        unsafe { &mut self.0.cast::<Header>().as_mut().readers }
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

/// The keys of one shard that tracking clients have read.
#[derive(Default)]
pub struct ReadKeys {
    pub(super) table: Table<ReadKey>,
    /// The client whose command is being executed and that wants to hear of no change of its own; 0 is none.
    pub(crate) silent: u64,
    /// The command that is being executed, if it is in a batch and its client hears of its own changes.
    pub(crate) cause: Option<Cause>,
}
