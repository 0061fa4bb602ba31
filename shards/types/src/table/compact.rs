//! A table of few entries: one block, as large as they need.
//!
//! ```text
//! tags (as many as the block has places for) | unused | meta (1) | pointers (8 each)
//! ```
//!
//! The tags fill whole words, the last byte of which is the meta byte; a block of seven places looks like a bucket. Blocks are
//! the allocator's size classes, so nothing is lost in them. In cluster mode every slot has a table, and a small node has a
//! dozen keys in each: half-empty buckets would take more than their entries' pointers do.
//!
//! Entries are in no order: a new one goes behind the last, and the last one fills the place of one that is removed.
//!
//! Rejected: tables that several slots share, which cost every walk over one slot a look at the keys of the others.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::{null_mut, NonNull};

use sherd_metrics::memory::size_class;

use crate::mover::Mover;

use super::bucket::{matches_in, prefetch, tag, LAST_IS_META, VOLATILE};
use super::{hash, same, Entry, Slot, Table, GROW_HALVES};

/// Entries that a compact table holds; with more it has buckets. A search looks at four words of tags then.
pub(super) const COMPACT_MAX: usize = 28;
/// A table of buckets becomes compact when it has no more entries than this: not at once when it has just got buckets.
const COMPACT_AGAIN: usize = COMPACT_MAX / 2;
/// Only a table of so few buckets becomes compact, which bounds the work; others lose theirs one by one first.
const COMPACT_AGAIN_BUCKETS: usize = 8;

const WORD: usize = size_of::<u64>();

/// Bytes of the tags and the meta byte of a block with so many places.
#[inline]
const fn tag_bytes(places: usize) -> usize {
    (places + WORD) & !(WORD - 1)
}

const fn block_bytes(places: usize) -> usize {
    tag_bytes(places) + places * size_of::<*mut u8>()
}

/// Places of the smallest block for so many entries: as many as its size class has room for.
const fn places_for(entries: usize) -> usize {
    let class = size_class(block_bytes(entries));
    let mut places = entries;
    while places < COMPACT_MAX && block_bytes(places + 1) <= class {
        places += 1;
    }
    places
}

/// [`places_for`], by the number of entries.
const PLACES: [u8; COMPACT_MAX + 1] = {
    let mut places = [0; COMPACT_MAX + 1];
    let mut entries = 1;
    while entries <= COMPACT_MAX {
        places[entries] = places_for(entries) as u8;
        entries += 1;
    }
    places
};

fn layout(places: usize) -> Layout {
    Layout::from_size_align(block_bytes(places), WORD).expect("a small block's size fits")
}

/// The block of a compact table, which has at least one place.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) start: *mut u8,
    places: usize,
}

impl Block {
    fn allocate(places: usize) -> Block {
        // SAFETY: the layout is not of size zero, there being at least one place.
        let start = unsafe { alloc_zeroed(layout(places)) };
        if start.is_null() {
            handle_alloc_error(layout(places));
        }
        Block { start, places }
    }

    /// # Safety
    /// The block is not used again.
    unsafe fn free(self) {
        // SAFETY: it came from `allocate` with as many places.
        unsafe { dealloc(self.start, layout(self.places)) }
    }

    /// Where a tag is.
    ///
    /// # Safety
    /// The block is live and has that place.
    unsafe fn tag(self, index: usize) -> *mut u8 {
        // SAFETY: by the caller's promise.
        unsafe { self.start.add(index) }
    }

    /// The byte that has the mark of volatile entries.
    #[inline]
    pub(super) fn meta(self) -> *mut u8 {
        self.start.wrapping_add(tag_bytes(self.places) - 1)
    }

    /// Where an entry's pointer is.
    #[inline]
    pub(super) fn slot(self, index: usize) -> *mut *mut u8 {
        debug_assert!(index < self.places);
        self.start.wrapping_add(tag_bytes(self.places)).cast::<*mut u8>().wrapping_add(index)
    }

    /// An entry as what it points to, for prefetching.
    #[inline]
    pub(super) fn pointer(self, index: usize) -> *const u8 {
        // SAFETY: the place is in the block, which whoever asks holds live.
        unsafe { *self.slot(index) }
    }

    /// The places with this tag, given to `found` until that says true; which one it was.
    ///
    /// # Safety
    /// The block is live.
    #[inline]
    unsafe fn search(self, tag: u8, mut found: impl FnMut(usize) -> bool) -> Option<usize> {
        let words = tag_bytes(self.places) / WORD;
        for number in 0..words {
            // SAFETY: the tags fill whole words; blocks are aligned to words.
            let word = unsafe { self.start.cast::<u64>().add(number).read() };
            let mut hits = matches_in(word, tag);
            if number == words - 1 {
                hits &= LAST_IS_META;
            }
            while hits != 0 {
                let index = number * WORD + (hits.trailing_zeros() / 8) as usize;
                if found(index) {
                    return Some(index);
                }
                hits &= hits - 1;
            }
        }
        None
    }
}

impl<E: Entry> Table<E> {
    /// The block of a table without buckets; `None` if it has no entries either.
    #[inline]
    pub(super) fn block(&self) -> Option<Block> {
        (self.buckets == 0 && !self.root.is_null()).then_some(Block { start: self.root, places: self.mask as usize })
    }

    fn set_block(&mut self, block: Option<Block>) {
        (self.root, self.mask) = block.map_or((null_mut(), 0), |block| (block.start, block.places as u32));
    }

    /// The place in a block of the entry with this key.
    pub(super) fn locate_compact(&self, hash: u64, key: &[u8]) -> Option<(Block, usize)> {
        let block = self.block()?;
        // SAFETY: the table's block is live, and a tag stands for a live entry.
        let index = unsafe { block.search(tag(hash), |index| same((*block.slot(index).cast::<E>()).key(), key)) };
        index.map(|index| (block, index))
    }

    /// Asks for the entries of a block whose tag fits.
    pub(super) fn prefetch_compact(&self, hash: u64) {
        let Some(block) = self.block() else { return };
        let ask = |index| {
            let entry = block.pointer(index);
            prefetch(entry);
            prefetch(entry.wrapping_add(64));
            false
        };
        // SAFETY: the table's block is live.
        unsafe { block.search(tag(hash), ask) };
    }

    /// Adds an entry to a table of fewer than [`COMPACT_MAX`], which has no buckets.
    pub(super) fn insert_compact(&mut self, hash: u64, entry: E) -> Slot<'_, E> {
        let block = match self.block() {
            Some(block) if self.count < block.places => block,
            old => self.move_block(old, usize::from(PLACES[self.count + 1])),
        };
        let index = self.count;
        self.count += 1;
        // SAFETY: the place is behind the last entry's, within the block.
        unsafe {
            *block.tag(index) = tag(hash);
            *block.meta() |= u8::from(entry.is_volatile()) * VOLATILE;
            block.slot(index).cast::<E>().write(entry);
        }
        Slot::new(block.slot(index), block.meta())
    }

    /// Gives the entries a block with so many places.
    fn move_block(&mut self, old: Option<Block>, places: usize) -> Block {
        let new = Block::allocate(places);
        if let Some(old) = old {
            // SAFETY: both blocks have places for all entries, which move; the old block is given up.
            unsafe {
                new.start.copy_from_nonoverlapping(old.start, self.count);
                *new.meta() = *old.meta();
                new.slot(0).copy_from_nonoverlapping(old.slot(0), self.count);
                old.free();
            }
        }
        self.set_block(Some(new));
        new
    }

    /// Moves the block elsewhere if it is to be moved.
    pub(super) fn relocate_block(&mut self, mover: &mut Mover<'_>) {
        let Some(block) = self.block() else { return };
        // SAFETY: the block has this layout, and the result replaces it.
        let start = unsafe { mover.relocate(NonNull::new_unchecked(block.start), layout(block.places)) };
        self.set_block(Some(Block { start: start.as_ptr(), ..block }));
    }

    /// Takes an entry out of a block, without giving room back.
    ///
    /// # Safety
    /// The block is the table's, and there is an entry at this place.
    pub(super) unsafe fn take_compact(&mut self, block: Block, index: usize) -> E {
        self.count -= 1;
        // SAFETY: by the caller's promise; the last entry moves to the place that becomes free.
        unsafe {
            let entry = block.slot(index).cast::<E>().read();
            *block.tag(index) = *block.tag(self.count);
            *block.slot(index) = *block.slot(self.count);
            *block.tag(self.count) = 0;
            entry
        }
    }

    /// Gives back what a block has too much; one more entry fits afterwards, so that coming and going costs nothing.
    pub(super) fn fit_block(&mut self) {
        let Some(block) = self.block() else { return };
        let places = usize::from(PLACES[(self.count + 1).min(COMPACT_MAX)]);
        if self.count == 0 {
            self.set_block(None);
            // SAFETY: nothing is in the block, and the table has let go of it.
            unsafe { block.free() };
        } else if places < block.places {
            self.move_block(Some(block), places);
        }
    }

    /// Gives the entries of a block buckets.
    #[cold]
    pub(super) fn spread(&mut self) {
        let Some(block) = self.block() else { return };
        let count = self.count;
        self.set_block(None);
        while self.buckets as usize * GROW_HALVES <= count * 2 {
            self.add_bucket();
        }
        // SAFETY: the entries move from the block, which is given up, to the buckets.
        unsafe {
            let meta = *block.meta() & VOLATILE;
            for index in 0..count {
                let pointer = *block.slot(index);
                let hash = hash((*(&raw const pointer).cast::<E>()).key());
                self.place_marked(hash, pointer, meta);
            }
            block.free();
        }
    }

    /// Makes a table compact again that has lost most of its entries.
    #[inline]
    pub(super) fn gather(&mut self) {
        if self.buckets != 0 && self.count <= COMPACT_AGAIN && self.buckets as usize <= COMPACT_AGAIN_BUCKETS {
            self.gather_now();
        }
    }

    fn gather_now(&mut self) {
        let (entries, volatile) = self.drain_all();
        self.release_all();
        self.set_block(None);
        if entries.is_empty() {
            return;
        }
        let block = Block::allocate(usize::from(PLACES[entries.len() + 1]));
        self.set_block(Some(block));
        for (index, (tag, pointer)) in entries.into_iter().enumerate() {
            // SAFETY: the block has places for all entries; each moves once.
            unsafe {
                *block.tag(index) = tag;
                *block.slot(index) = pointer;
            }
        }
        // SAFETY: the block is live.
        unsafe { *block.meta() = volatile };
    }

    /// Drops every entry and the block.
    pub(super) fn drop_compact(&mut self) {
        let Some(block) = self.block() else { return };
        for index in 0..std::mem::take(&mut self.count) {
            // SAFETY: each entry is dropped once, and the block has no entries then.
            unsafe { drop(block.slot(index).cast::<E>().read()) };
        }
        self.set_block(None);
        // SAFETY: the table has let go of the block.
        unsafe { block.free() };
    }

    /// Bytes of the block.
    pub(super) fn compact_bytes(&self) -> usize {
        self.block().map_or(0, |block| size_class(block_bytes(block.places)))
    }
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
