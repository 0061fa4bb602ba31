//! The listpack: a list of strings and integers in one contiguous block, in the exact binary format of Redis.
//!
//! `total bytes (u32) | number of elements (u16, 65535 = count them) | entries ... | 0xFF`; see [`entry`] for the
//! entries. Every small collection is one of these, because a block without pointers costs a tenth of a table, is read
//! faster than one up to some hundred elements, and because DUMP, RESTORE, RDB files and replication carry the very
//! same bytes: they are adopted after one check and written without conversion.
//!
//! The value is one thin pointer to a block of [`super::allocation`]: the format already stores its length, so a
//! slice's second word would be waste.
//!
//! Positions are byte offsets of entries. Any change may invalidate all of them but the one that it returns.

mod entry;

use std::ptr::NonNull;

use super::allocation;
use crate::mover::Mover;

pub(super) use entry::{next_offset, previous_offset, read, read_with_next};
pub use entry::{Encoded, Item, Needle, END, STRING_OVERHEAD_MIN};

pub const HEADER_BYTES: usize = 6;
const EMPTY_BYTES: usize = HEADER_BYTES + 1;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Above this size a listpack is never grown; collections convert before.
pub const SAFE_BYTES_MAX: usize = 1 << 30;

/// Where an entry starts, in bytes from the start of the listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    /// The entry that starts at `offset`, for formats that walk the bytes themselves.
    pub(super) fn at(offset: usize) -> Position {
        Position(offset as u32)
    }
}

/// The owned listpack. See the module's description.
#[repr(C, packed)]
pub struct Listpack {
    start: NonNull<u8>,
}

// SAFETY: the allocation has one owner and holds plain bytes.
unsafe impl Send for Listpack {}
// SAFETY: shared references only read.
unsafe impl Sync for Listpack {}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Self {
        Self::with_contents(&[EMPTY_BYTES as u8, 0, 0, 0, 0, 0, END])
    }

    /// Adopts the bytes of a listpack from a file or a client after checking every length and the number of elements.
    pub fn from_bytes_validated(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < EMPTY_BYTES || bytes.len() > SAFE_BYTES_MAX {
            return None;
        }
        let stated_bytes = u32::from_le_bytes(bytes[..4].try_into().ok()?) as usize;
        let stated_count = u16::from_le_bytes(bytes[4..6].try_into().ok()?);
        let end = bytes.len() - 1;
        if stated_bytes != bytes.len() || bytes[end] != END {
            return None;
        }
        let (mut offset, mut count) = (HEADER_BYTES, 0usize);
        while offset < end {
            offset = entry::check(bytes, offset, end)?;
            count += 1;
        }
        let count_agrees = stated_count == COUNT_UNKNOWN || usize::from(stated_count) == count;
        count_agrees.then(|| Self::with_contents(bytes))
    }

    /// Copies `bytes`, which are a well-formed listpack.
    fn with_contents(bytes: &[u8]) -> Self {
        Self { start: allocation::allocate(bytes) }
    }

    /// Gives up ownership as a bare pointer, to be stored in a tagged word.
    pub fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).start
    }

    /// Takes ownership back.
    ///
    /// # Safety
    /// `start` comes from [`Self::into_raw`] and is not used again.
    pub unsafe fn from_raw(start: NonNull<u8>) -> Self {
        Self { start }
    }

    /// The whole listpack as stored, dumped and replicated.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the allocation starts with an initialised header whose first four bytes state how many bytes are
        // initialised in all; the borrow of self keeps it alive and unchanged.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.byte_size()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in as_bytes, and the exclusive borrow of self excludes other references.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.byte_size()) }
    }

    /// Bytes in use: the length of [`Self::as_bytes`].
    #[inline]
    pub fn byte_size(&self) -> usize {
        // SAFETY: every allocation holds at least EMPTY_BYTES initialised bytes; read_unaligned needs no alignment.
        u32::from_le(unsafe { self.start.as_ptr().cast::<u32>().read_unaligned() }) as usize
    }

    /// Moves the bytes elsewhere if they are to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        let (start, length) = (self.start, self.byte_size());
        // SAFETY: the block has this length, and the result replaces it.
        self.start = unsafe { allocation::relocate(start, length, mover) };
    }

    /// Bytes asked of the allocator.
    pub fn allocated_bytes(&self) -> usize {
        allocation::capacity_for(self.byte_size())
    }

    /// Whether `bytes` more of entries are safe to add.
    #[inline]
    pub fn can_grow_by(&self, bytes: usize) -> bool {
        self.byte_size().saturating_add(bytes) <= SAFE_BYTES_MAX
    }

    /// Number of elements; needs a walk only from 65535 elements on.
    #[inline]
    pub fn len(&self) -> usize {
        match self.stated_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.byte_size() == EMPTY_BYTES
    }

    fn stated_count(&self) -> u16 {
        let bytes = self.as_bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    /// Notes that `added` elements came and `removed` went. Once unknown, the count stays so, as in Redis.
    fn adjust_count(&mut self, added: usize, removed: usize) {
        let count = self.stated_count();
        if count != COUNT_UNKNOWN {
            let new_count = (usize::from(count) + added - removed).min(usize::from(COUNT_UNKNOWN));
            self.bytes_mut()[4..6].copy_from_slice(&(new_count as u16).to_le_bytes());
        }
    }

    #[inline]
    fn end_offset(&self) -> usize {
        self.byte_size() - 1
    }

    #[inline]
    fn position_unless_end(&self, offset: usize) -> Option<Position> {
        (offset < self.end_offset()).then_some(Position(offset as u32))
    }

    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.position_unless_end(HEADER_BYTES)
    }

    #[inline]
    pub fn last(&self) -> Option<Position> {
        self.offset_before(self.end_offset()).map(|offset| Position(offset as u32))
    }

    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.position_unless_end(next_offset(self.as_bytes(), position.0 as usize))
    }

    #[inline]
    pub fn previous(&self, position: Position) -> Option<Position> {
        self.offset_before(position.0 as usize).map(|offset| Position(offset as u32))
    }

    #[inline]
    fn offset_before(&self, offset: usize) -> Option<usize> {
        (offset > HEADER_BYTES).then(|| previous_offset(self.as_bytes(), offset))
    }

    /// The position of element `index`, counted from the end if negative (-1 is the last); walks from the nearer end.
    pub fn seek(&self, index: i64) -> Option<Position> {
        let length = self.len() as i64;
        let from_front = if index < 0 { index + length } else { index };
        if !(0..length).contains(&from_front) {
            return None;
        }
        let bytes = self.as_bytes();
        let mut offset = if from_front < length / 2 { HEADER_BYTES } else { self.end_offset() };
        if from_front < length / 2 {
            for _ in 0..from_front {
                offset = next_offset(bytes, offset);
            }
        } else {
            for _ in from_front..length {
                offset = previous_offset(bytes, offset);
            }
        }
        Some(Position(offset as u32))
    }

    /// The element at `position`.
    #[inline]
    pub fn get(&self, position: Position) -> Item<'_> {
        read(self.as_bytes(), position.0 as usize)
    }

    /// The element at `index`, counted from the end if negative.
    pub fn get_index(&self, index: i64) -> Option<Item<'_>> {
        self.seek(index).map(|position| self.get(position))
    }

    /// The first entry equal to `bytes`, looking at one entry and then passing over `skip` ones, and so on: 0 searches
    /// all, 1 only the fields of a hash.
    #[inline]
    pub fn find(&self, bytes: &[u8], skip: usize) -> Option<Position> {
        self.find_from(self.first()?, bytes, skip)
    }

    /// [`Self::find`] from `position` on.
    #[inline]
    pub fn find_from(&self, position: Position, bytes: &[u8], skip: usize) -> Option<Position> {
        let needle = Needle::new(bytes);
        let (own, end) = (self.as_bytes(), self.end_offset());
        let mut offset = position.0 as usize;
        while offset < end {
            let (item, mut next) = read_with_next(own, offset);
            if item.equals(&needle) {
                return Some(Position(offset as u32));
            }
            for _ in 0..skip {
                if next >= end {
                    return None;
                }
                next = next_offset(own, next);
            }
            offset = next;
        }
        None
    }

    /// Whether two of the elements at a distance of `step` (1: all, 2: the fields of a hash) are the same to a client.
    /// Bytes from outside are asked this before they become a set or a hash.
    pub fn has_duplicates(&self, step: usize) -> bool {
        let mut seen = std::collections::HashSet::with_capacity(self.len() / step);
        !self.iter().step_by(step).all(|item| seen.insert(item.to_vec()))
    }

    /// All elements, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER_BYTES, back: self.end_offset() }
    }

    /// The elements from `position` to the end.
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: position.0 as usize, back: self.end_offset() }
    }

    #[inline]
    pub fn push_back<'a>(&mut self, value: impl Into<Encoded<'a>>) {
        self.insert(self.end_offset(), &[value.into()]);
    }

    #[inline]
    pub fn push_front<'a>(&mut self, value: impl Into<Encoded<'a>>) {
        self.insert(HEADER_BYTES, &[value.into()]);
    }

    /// Adds all `values` to the end with one reallocation at most.
    pub fn append(&mut self, values: &[Encoded<'_>]) {
        self.insert(self.end_offset(), values);
    }

    /// Inserts `values` in their order before `position`; returns where the first of them is.
    pub fn insert_before(&mut self, position: Position, values: &[Encoded<'_>]) -> Position {
        self.insert(position.0 as usize, values);
        position
    }

    #[inline]
    fn insert(&mut self, offset: usize, values: &[Encoded<'_>]) {
        let bytes = values.iter().map(Encoded::len_bytes).sum();
        let gap = self.open_gap(offset, 0, bytes);
        let mut written = 0;
        for value in values {
            written += value.write(&mut gap[written..]);
        }
        self.adjust_count(values.len(), 0);
    }

    /// Replaces the element at `position`, which stays its position.
    pub fn replace<'a>(&mut self, position: Position, value: impl Into<Encoded<'a>>) {
        let value = value.into();
        let offset = position.0 as usize;
        let old_bytes = next_offset(self.as_bytes(), offset) - offset;
        value.write(self.open_gap(offset, old_bytes, value.len_bytes()));
    }

    /// Deletes the element at `position`; returns the position of the one that followed it.
    pub fn delete(&mut self, position: Position) -> Option<Position> {
        self.delete_range(position, 1)
    }

    /// Deletes up to `count` elements from `position` on; returns the position of the one that followed them.
    pub fn delete_range(&mut self, position: Position, count: usize) -> Option<Position> {
        let (start, end) = (position.0 as usize, self.end_offset());
        let (mut offset, mut deleted) = (start, 0);
        while deleted < count && offset < end {
            offset = next_offset(self.as_bytes(), offset);
            deleted += 1;
        }
        self.open_gap(start, offset - start, 0);
        self.adjust_count(0, deleted);
        self.position_unless_end(start)
    }

    /// Deletes up to `count` elements from `index` (negative: from the end) on.
    pub fn delete_range_index(&mut self, index: i64, count: usize) {
        if let Some(position) = self.seek(index) {
            self.delete_range(position, count);
        }
    }

    /// Makes the `removed` bytes at `offset` a gap of `inserted` bytes, moving what follows and reallocating if the
    /// capacity changes; updates the total and returns the gap, which the caller fills with whole entries.
    ///
    /// # Panics
    /// If the total would not fit its 32 bits; collections convert at [`SAFE_BYTES_MAX`].
    fn open_gap(&mut self, offset: usize, removed: usize, inserted: usize) -> &mut [u8] {
        let old_total = self.byte_size();
        let new_total = old_total - removed + inserted;
        assert!(new_total <= u32::MAX as usize, "a listpack is below 4 GiB");
        if new_total > old_total {
            // SAFETY: the block's length is old_total; the result replaces the pointer.
            self.start = unsafe { allocation::resize(self.start, old_total, new_total) };
        }
        let tail = offset + removed;
        // SAFETY: both ranges lie in the allocation, which holds the larger of the two totals: the tail ends at
        // old_total before and at new_total after the move. ptr::copy allows overlap.
        unsafe {
            let base = self.start.as_ptr();
            // Numbers that are counted up seldom change their size; the move would read the whole tail for nothing.
            if removed != inserted {
                base.add(tail).copy_to(base.add(offset + inserted), old_total - tail);
            }
            base.cast::<u32>().write_unaligned((new_total as u32).to_le());
        }
        if new_total < old_total {
            // SAFETY: the block is still as large as old_total needs; the result replaces the pointer.
            self.start = unsafe { allocation::resize(self.start, old_total, new_total) };
        }
        // SAFETY: offset + inserted <= new_total, inside the allocation, every byte initialised.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), inserted) }
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        // SAFETY: the block has this length, and nothing uses it afterwards.
        unsafe { allocation::free(self.start, self.byte_size()) }
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::with_contents(self.as_bytes())
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements of a listpack, from either end.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iter<'a> {
    /// The position of the element that `next` will yield.
    pub fn position(&self) -> Option<Position> {
        (self.front < self.back).then_some(Position(self.front as u32))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (item, next) = read_with_next(self.bytes, self.front);
        self.front = next;
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = previous_offset(self.bytes, self.back);
        Some(read(self.bytes, self.back))
    }
}

#[cfg(test)]
#[path = "tests/listpack.rs"]
mod tests;
