//! One node of a list: listpack entries in a buffer with free room at either end.
//!
//! A plain listpack moves all its bytes for every push or pop at its front, and reallocates for every one at its back.
//! Lists are mostly used as queues and stacks, so a node keeps its entries anywhere inside its buffer: a pop only moves
//! a bound, a push writes into free room. The header and the end mark of a listpack are added when a node is dumped.
//!
//! When one end has no room left the entries are shifted to the middle of the free room if there is enough of it, so
//! that pushes at both ends stay cheap on average; else the buffer grows to the allocator's next size, with the new
//! room at that end. Those sizes are a fifth apart, so growing costs a few copies of each byte; most lists are small
//! and many, and more room would be a quarter of their memory. A node of which three quarters were popped gives memory
//! back.
//!
//! One thin pointer: capacity, bounds and count precede the bytes, as numbers of 16 bits where the buffer is that
//! small.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::ops::{AddAssign, SubAssign};
use std::ptr::NonNull;

use super::super::listpack::{next_offset, previous_offset, read, read_with_next, Encoded, Item, Needle, END};
use super::super::{allocation, listpack};
use super::End;
use crate::mover::Mover;

/// What a listpack has beside its entries.
pub const LISTPACK_OVERHEAD_BYTES: usize = listpack::HEADER_BYTES + 1;

/// Buffers up to this size are not worth giving back.
const KEPT_BYTES: usize = 256;

/// Where the entries are in a buffer.
#[derive(Clone, Copy)]
struct Bounds {
    capacity: usize,
    start: usize,
    end: usize,
    count: usize,
}

/// Buffers up to this capacity have a header of four numbers of 16 bits: the fields of [`Bounds`]. An entry takes at
/// least two bytes, so that their count fits as well.
const NARROW_MAX: usize = u16::MAX as usize;
const NARROW_HEADER_BYTES: usize = 8;
/// The others have 0 in place of the capacity, then the same fields with 32 bits each, and some bytes to end on a
/// multiple of 8.
const WIDE_HEADER_BYTES: usize = 24;

/// See the [module](self). Offsets count from the first entry.
#[repr(C, packed)]
pub struct Node {
    /// Aligned to 8.
    block: NonNull<u8>,
}

// SAFETY: the allocation has one owner and holds plain bytes.
unsafe impl Send for Node {}
// SAFETY: shared references only read.
unsafe impl Sync for Node {}

#[inline]
const fn header_bytes(capacity: usize) -> usize {
    if capacity <= NARROW_MAX {
        NARROW_HEADER_BYTES
    } else {
        WIDE_HEADER_BYTES
    }
}

fn layout_for(capacity: usize) -> Layout {
    Layout::from_size_align(header_bytes(capacity) + capacity, 8).expect("a node is below isize::MAX")
}

/// A capacity of at least `bytes`, never 0, that makes header and buffer together a size that allocators have.
fn rounded_capacity(bytes: usize) -> usize {
    let narrow = allocation::capacity_for(NARROW_HEADER_BYTES + bytes.max(1)) - NARROW_HEADER_BYTES;
    if narrow <= NARROW_MAX {
        return narrow;
    }
    let capacity = allocation::capacity_for(WIDE_HEADER_BYTES + bytes) - WIDE_HEADER_BYTES;
    assert!(u32::try_from(capacity).is_ok(), "an element of a list is below 4 GiB");
    capacity
}

/// Takes `bytes` of the free room at one end into the bounds; gives where they start.
#[inline]
fn claimed<T: Copy + AddAssign + SubAssign>(end: End, start: &mut T, past: &mut T, bytes: T) -> T {
    match end {
        End::Front => {
            *start -= bytes;
            *start
        }
        End::Back => {
            let at = *past;
            *past += bytes;
            at
        }
    }
}

impl Node {
    /// Moves the node elsewhere if it is to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        let (block, layout) = (self.block, layout_for(self.bounds().capacity));
        // SAFETY: the block was allocated with this layout, and the result replaces it.
        self.block = unsafe { mover.relocate(block, layout) };
    }

    /// An empty node with room for `bytes` of entries.
    pub fn with_room(bytes: usize) -> Self {
        Self::allocate(rounded_capacity(bytes), &[], 0, 0)
    }

    /// A node that holds `count` entries, starting at `start` of a buffer of `capacity` bytes.
    fn allocate(capacity: usize, entries: &[u8], start: usize, count: usize) -> Self {
        let layout = layout_for(capacity);
        // SAFETY: the layout is not empty: it has a header.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let end = start + entries.len();
        assert!(end <= capacity, "the entries fit the buffer");
        let mut node = Self { block };
        // SAFETY: the allocation has room for the header and `capacity` bytes behind it, of which the entries take
        // start..end. The free room is zeroed because slices over it are handed out.
        unsafe {
            if capacity > NARROW_MAX {
                block.cast::<[u32; 2]>().write([0, capacity as u32]);
            } else {
                block.cast::<u16>().write(capacity as u16);
            }
            let buffer = block.add(header_bytes(capacity));
            buffer.write_bytes(0, start);
            buffer.add(start).as_ptr().copy_from_nonoverlapping(entries.as_ptr(), entries.len());
            buffer.add(end).write_bytes(0, capacity - end);
        }
        node.set_bounds(Bounds { capacity, start, end, count });
        node
    }

    /// A node of `count` entries as they are stored.
    pub fn from_entries(entries: &[u8], count: usize) -> Self {
        Self::allocate(rounded_capacity(entries.len()), entries, 0, count)
    }

    #[inline]
    fn bounds(&self) -> Bounds {
        // SAFETY: a block is aligned to 8 and begins with a header, narrow or, with a 0 first, wide.
        unsafe {
            let [capacity, start, end, count] = self.block.cast::<[u16; 4]>().read().map(usize::from);
            if capacity != 0 {
                return Bounds { capacity, start, end, count };
            }
            let [_, capacity, start, end, count] = self.block.cast::<[u32; 5]>().read().map(|field| field as usize);
            Bounds { capacity, start, end, count }
        }
    }

    /// Changes all but the capacity, which is the block's.
    #[inline]
    fn set_bounds(&mut self, bounds: Bounds) {
        let Bounds { capacity, start, end, count } = bounds;
        debug_assert!(start <= end && end <= capacity && count * 2 <= end - start);
        // SAFETY: as in `bounds`; the header's form follows from the capacity.
        unsafe {
            if capacity <= NARROW_MAX {
                self.block.cast::<[u16; 4]>().write([capacity as u16, start as u16, end as u16, count as u16]);
            } else {
                self.block.cast::<[u32; 3]>().byte_add(8).write([start as u32, end as u32, count as u32]);
            }
        }
    }

    fn buffer_mut(&mut self) -> &mut [u8] {
        let capacity = self.bounds().capacity;
        // SAFETY: `capacity` initialised bytes follow the header in the same allocation.
        unsafe { std::slice::from_raw_parts_mut(self.block.add(header_bytes(capacity)).as_ptr(), capacity) }
    }

    /// The entries, one after the other, without header and end mark.
    #[inline]
    pub fn entries(&self) -> &[u8] {
        let Bounds { capacity, start, end, .. } = self.bounds();
        // SAFETY: start <= end <= capacity, and the buffer follows the header in the same allocation.
        unsafe { std::slice::from_raw_parts(self.block.add(header_bytes(capacity) + start).as_ptr(), end - start) }
    }

    /// Number of elements.
    #[inline]
    pub fn count(&self) -> usize {
        self.bounds().count
    }

    /// Bytes of entries.
    #[inline]
    pub fn used(&self) -> usize {
        let bounds = self.bounds();
        bounds.end - bounds.start
    }

    /// The size of the node as a listpack.
    #[inline]
    pub fn listpack_bytes(&self) -> usize {
        self.used() + LISTPACK_OVERHEAD_BYTES
    }

    /// Bytes asked of the allocator.
    pub fn allocated_bytes(&self) -> usize {
        let capacity = self.bounds().capacity;
        header_bytes(capacity) + capacity
    }

    /// Appends the node as a listpack to `output`.
    pub fn write_listpack(&self, output: &mut Vec<u8>) {
        let total = self.listpack_bytes() as u32;
        let count = self.count().min(usize::from(u16::MAX)) as u16;
        output.reserve(total as usize);
        output.extend_from_slice(&total.to_le_bytes());
        output.extend_from_slice(&count.to_le_bytes());
        output.extend_from_slice(self.entries());
        output.push(END);
    }

    /// Where element `index` starts; the end of the entries for `index == count`. Walks from the nearer end.
    pub fn offset_of(&self, index: usize) -> usize {
        let (entries, count) = (self.entries(), self.count());
        if index <= count / 2 {
            (0..index).fold(0, |offset, _| next_offset(entries, offset))
        } else {
            (index..count).fold(entries.len(), |offset, _| previous_offset(entries, offset))
        }
    }

    /// The element at `offset`.
    #[inline]
    pub fn item_at(&self, offset: usize) -> Item<'_> {
        read(self.entries(), offset)
    }

    /// The first element; the node is not empty.
    #[inline]
    pub fn first(&self) -> Item<'_> {
        read(self.entries(), 0)
    }

    /// The last element; the node is not empty.
    #[inline]
    pub fn last(&self) -> Item<'_> {
        let entries = self.entries();
        read(entries, previous_offset(entries, entries.len()))
    }

    #[inline]
    pub fn push_back(&mut self, value: &Encoded<'_>) {
        self.push(End::Back, value);
    }

    #[inline]
    pub fn push(&mut self, end: End, value: &Encoded<'_>) {
        let bytes = value.len_bytes();
        self.make_room(end, bytes);
        value.write(self.claim(end, bytes));
    }

    /// Counts an element more, of so many bytes of the free room at one end, and gives them to be written.
    #[inline]
    fn claim(&mut self, end: End, bytes: usize) -> &mut [u8] {
        debug_assert!(self.free_at(end) >= bytes);
        // SAFETY: the header is narrow or, with a 0 first, wide. The bytes are free room of the buffer, initialised,
        // and lent with self.
        unsafe {
            let narrow = self.block.cast::<[u16; 4]>().as_mut();
            let at = if narrow[0] != 0 {
                let [_, start, past, count] = narrow;
                *count += 1;
                NARROW_HEADER_BYTES + usize::from(claimed(end, start, past, bytes as u16))
            } else {
                let [.., start, past, count] = self.block.cast::<[u32; 5]>().as_mut();
                *count += 1;
                WIDE_HEADER_BYTES + claimed(end, start, past, bytes as u32) as usize
            };
            std::slice::from_raw_parts_mut(self.block.add(at).as_ptr(), bytes)
        }
    }

    /// The element at one end; the node is not empty.
    #[inline]
    pub fn peek(&self, end: End) -> Item<'_> {
        match end {
            End::Front => self.first(),
            End::Back => self.last(),
        }
    }

    /// Removes the element at one end; the node is not empty.
    #[inline]
    pub fn pop(&mut self, end: End) {
        match end {
            End::Front => self.pop_front(),
            End::Back => self.pop_back(),
        }
    }

    /// Removes the first element; the node is not empty.
    #[inline]
    pub fn pop_front(&mut self) {
        let (bytes, bounds) = (next_offset(self.entries(), 0), self.bounds());
        self.set_bounds(Bounds { start: bounds.start + bytes, count: bounds.count - 1, ..bounds });
        self.give_back();
    }

    /// Removes the last element; the node is not empty.
    #[inline]
    pub fn pop_back(&mut self) {
        let (entries, bounds) = (self.entries(), self.bounds());
        let end = bounds.start + previous_offset(entries, entries.len());
        self.set_bounds(Bounds { end, count: bounds.count - 1, ..bounds });
        self.give_back();
    }

    /// Adds `count` stored entries to the end.
    pub fn append(&mut self, entries: &[u8], count: usize) {
        self.make_room(End::Back, entries.len());
        let bounds = self.bounds();
        let end = bounds.end + entries.len();
        self.buffer_mut()[bounds.end..end].copy_from_slice(entries);
        self.set_bounds(Bounds { end, count: bounds.count + count, ..bounds });
    }

    /// Inserts an element so that it starts at `offset`.
    pub fn insert(&mut self, offset: usize, value: &Encoded<'_>) {
        if offset == 0 {
            return self.push(End::Front, value);
        }
        let bytes = value.len_bytes();
        self.make_room(End::Back, bytes);
        let bounds = self.bounds();
        let at = bounds.start + offset;
        let buffer = self.buffer_mut();
        buffer.copy_within(at..bounds.end, at + bytes);
        value.write(&mut buffer[at..]);
        self.set_bounds(Bounds { end: bounds.end + bytes, count: bounds.count + 1, ..bounds });
    }

    /// Replaces the element at `offset`.
    pub fn replace(&mut self, offset: usize, value: &Encoded<'_>) {
        let old_end = next_offset(self.entries(), offset);
        if old_end - offset == value.len_bytes() {
            let at = self.bounds().start + offset;
            value.write(&mut self.buffer_mut()[at..]);
        } else {
            self.remove(offset, old_end, 1);
            self.insert(offset, value);
        }
    }

    /// Removes the `count` elements between two offsets, moving the shorter rest.
    pub fn remove(&mut self, from: usize, to: usize, count: usize) {
        let bounds = self.bounds();
        let Bounds { start, end, .. } = bounds;
        let (removed, left) = (to - from, bounds.count - count);
        let buffer = self.buffer_mut();
        if from < end - start - to {
            buffer.copy_within(start..start + from, start + removed);
            self.set_bounds(Bounds { start: start + removed, count: left, ..bounds });
        } else {
            buffer.copy_within(start + to..end, start + from);
            self.set_bounds(Bounds { end: end - removed, count: left, ..bounds });
        }
        self.give_back();
    }

    /// Removes the element at `offset`.
    pub fn remove_at(&mut self, offset: usize) {
        let end = next_offset(self.entries(), offset);
        self.remove(offset, end, 1);
    }

    /// Removes up to `limit` elements equal to `needle`, the first ones or the last ones; returns how many.
    pub fn remove_matches(&mut self, needle: &Needle<'_>, limit: usize, end: End) -> usize {
        let mut matches = self.matches(needle);
        if matches.len() > limit {
            match end {
                End::Front => matches.truncate(limit),
                End::Back => _ = matches.drain(..matches.len() - limit),
            }
        }
        if let [(from, to)] = matches[..] {
            self.remove(from, to, 1);
        } else if !matches.is_empty() {
            self.remove_all(&matches);
        }
        matches.len()
    }

    /// The bounds of every element equal to `needle`.
    fn matches(&self, needle: &Needle<'_>) -> Vec<(usize, usize)> {
        let entries = self.entries();
        let (mut offset, mut matches) = (0, Vec::new());
        while offset < entries.len() {
            let (item, next) = read_with_next(entries, offset);
            if item.equals(needle) {
                matches.push((offset, next));
            }
            offset = next;
        }
        matches
    }

    /// Removes elements by their ascending bounds in one pass.
    fn remove_all(&mut self, bounds: &[(usize, usize)]) {
        let old = self.bounds();
        let (start, used) = (old.start, old.end - old.start);
        let buffer = self.buffer_mut();
        let mut kept_end = start + bounds[0].0;
        for (index, &(_, to)) in bounds.iter().enumerate() {
            let next_from = bounds.get(index + 1).map_or(used, |&(from, _)| from);
            buffer.copy_within(start + to..start + next_from, kept_end);
            kept_end += next_from - to;
        }
        self.set_bounds(Bounds { end: kept_end, count: old.count - bounds.len(), ..old });
        self.give_back();
    }

    /// Cuts the node in two before the element that has `index` and `offset`; returns the second part.
    pub fn split_off(&mut self, index: usize, offset: usize) -> Self {
        let (used, count) = (self.used(), self.count());
        let rest = Self::from_entries(&self.entries()[offset..], count - index);
        self.remove(offset, used, count - index);
        rest
    }

    #[inline]
    fn free_at(&self, end: End) -> usize {
        let bounds = self.bounds();
        match end {
            End::Front => bounds.start,
            End::Back => bounds.capacity - bounds.end,
        }
    }

    /// Makes at least `bytes` free at one end.
    #[inline]
    pub fn make_room(&mut self, end: End, bytes: usize) {
        if self.free_at(end) < bytes {
            self.shift_or_grow(end, bytes, 0);
        }
    }

    /// Makes at least `bytes` free at one end of a node that is being filled up to about `target` bytes: it then grows
    /// faster, because the room will be used, or given back when the node is sealed.
    #[inline]
    pub fn make_room_to_fill(&mut self, end: End, bytes: usize, target: usize) {
        if self.free_at(end) < bytes {
            let used = self.used();
            self.shift_or_grow(end, bytes, used.min(target.saturating_sub(used)));
        }
    }

    #[cold]
    fn shift_or_grow(&mut self, end: End, bytes: usize, growth: usize) {
        let (used, capacity) = (self.used(), self.bounds().capacity);
        let free = capacity - used;
        // Shifting moves `used` bytes for half of the free room; below an eighth it would be repeated too soon.
        if free >= bytes && free - bytes >= capacity / 8 {
            let remaining = (free - bytes) / 2;
            let start = if end == End::Front { bytes + remaining } else { remaining };
            self.shift_to(start);
        } else {
            let needed = used + bytes;
            // The allocator's sizes are equally far apart where blocks are large.
            let growth = if used > NARROW_MAX { growth.max(used / 4) } else { growth };
            self.reallocate(rounded_capacity(needed.max(used + growth)), end);
        }
    }

    fn shift_to(&mut self, start: usize) {
        let bounds = self.bounds();
        self.buffer_mut().copy_within(bounds.start..bounds.end, start);
        self.set_bounds(Bounds { start, end: start + bounds.end - bounds.start, ..bounds });
    }

    /// Moves to a buffer of `capacity` bytes whose free room is at `end`.
    fn reallocate(&mut self, capacity: usize, end: End) {
        let start = if end == End::Front { capacity - self.used() } else { 0 };
        *self = Self::allocate(capacity, self.entries(), start, self.count());
    }

    /// Returns memory when three quarters of the buffer are free.
    #[inline]
    fn give_back(&mut self) {
        let (used, capacity) = (self.used(), self.bounds().capacity);
        if capacity > KEPT_BYTES && used < capacity / 4 {
            self.reallocate(rounded_capacity(used + used / 2), End::Back);
        }
    }

    /// Returns free room beyond an eighth: called when a node stops being at the end of a list.
    pub fn seal(&mut self) {
        let (used, capacity) = (self.used(), self.bounds().capacity);
        if capacity - used > capacity / 8 {
            self.reallocate(rounded_capacity(used), End::Back);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let layout = layout_for(self.bounds().capacity);
        // SAFETY: allocated with this layout, and nothing uses it afterwards.
        unsafe { dealloc(self.block.as_ptr(), layout) }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self::from_entries(self.entries(), self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_elements_as_it_grows_beyond_64_kib_and_shrinks_again() {
        let mut node = Node::with_room(0);
        let mut model = std::collections::VecDeque::new();
        let check = |node: &Node, model: &std::collections::VecDeque<Vec<u8>>| {
            assert_eq!(node.count(), model.len());
            let mut offset = 0;
            for expected in model {
                let (item, next) = read_with_next(node.entries(), offset);
                assert_eq!(item.to_vec(), *expected);
                offset = next;
            }
            assert_eq!(offset, node.used());
            assert_eq!(node.allocated_bytes(), allocation::capacity_for(node.allocated_bytes()));
        };
        for number in 0..48usize {
            let value = format!("{number}:{}", "x".repeat(number * 60)).into_bytes();
            let end = if number % 3 == 0 { End::Front } else { End::Back };
            node.push(end, &Encoded::from(&value));
            match end {
                End::Front => model.push_front(value),
                End::Back => model.push_back(value),
            }
            check(&node, &model);
        }
        assert!(node.bounds().capacity > NARROW_MAX);
        check(&node.clone(), &model);
        let middle = node.offset_of(20);
        node.replace(middle, &Encoded::from(b"7"));
        model[20] = b"7".to_vec();
        while model.len() > 2 {
            check(&node, &model);
            if model.len() % 2 == 0 {
                node.pop(End::Front);
                model.pop_front();
            } else {
                node.pop(End::Back);
                model.pop_back();
            }
        }
        check(&node, &model);
        assert!(node.bounds().capacity <= NARROW_MAX);
    }

    #[test]
    fn a_node_takes_its_entries_and_eight_bytes_rounded_up() {
        let mut node = Node::with_room(0);
        (0..10).for_each(|_| node.push(End::Back, &Encoded::from(b"xxxxxxxxxxxxxxxx")));
        assert_eq!((node.used(), node.allocated_bytes()), (180, 192));
    }
}
