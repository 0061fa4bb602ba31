//! Where a table's buckets lie: one segment while they are few, a directory of segments when they are more.
//!
//! Growing by a bucket allocates at most one segment and moves at most the directory, so no insertion waits for more
//! than that. The last segment of a small table is only as large as its buckets need, in the allocator's size classes: four
//! steps until it has twice as many. In cluster mode a node has thousands of small tables, whose half-empty segments would
//! add up; one large table has a single one.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::null_mut;

use sherd_metrics::memory::size_class;

use super::bucket::{self, alloc_buckets, drain_chain, free_buckets, link_bytes, link_layout, Bucket};
use super::{Entry, Table, GROW_HALVES};

/// Buckets a segment: 4 KiB, small enough that a table of a few hundred entries wastes little.
pub(super) const SEGMENT: usize = 64;
const SEGMENT_SHIFT: u32 = SEGMENT.trailing_zeros();
/// In tables of more segments half of the last one does not matter, and moving it again and again would cost time.
const FITTED_SEGMENTS_MAX: usize = 16;

/// Buckets that the last of so many segments has room for while `used` of them are in use.
fn room(segments: usize, used: usize) -> usize {
    if segments > FITTED_SEGMENTS_MAX {
        return SEGMENT;
    }
    size_class(used * size_of::<Bucket>()) / size_of::<Bucket>()
}

/// The same for a table of so many buckets.
pub(super) fn last_room(buckets: usize) -> usize {
    room(buckets.div_ceil(SEGMENT), (buckets - 1) % SEGMENT + 1)
}

/// Tables of so many buckets are looked at one by one to tell their memory: some microseconds.
const LINKS_COUNTED_MAX: usize = 1024;

/// Bytes of the links that a bucket's chain has on average when keys fall on it at random, `load` of them on average.
fn expected_link_bytes(load: f64) -> f64 {
    let mut probability = (-load).exp();
    let mut bytes = 0.0;
    for keys in 1..64 {
        probability *= load / f64::from(keys);
        bytes += probability * link_bytes(keys as usize) as f64;
    }
    bytes
}

impl<E: Entry> Table<E> {
    /// The bucket with this number, which begins a chain.
    #[inline]
    pub(super) fn bucket(&self, index: usize) -> *mut Bucket {
        debug_assert!(index < self.buckets as usize);
        // SAFETY: index < buckets, so the segment exists and holds that bucket.
        unsafe {
            if self.buckets as usize <= SEGMENT {
                self.root.cast::<Bucket>().add(index)
            } else {
                let segment = *self.root.cast::<*mut Bucket>().add(index >> SEGMENT_SHIFT);
                segment.add(index & (SEGMENT - 1))
            }
        }
    }

    /// Where the pointer to a segment of a table of so many segments is.
    pub(super) fn segment(&mut self, index: usize, segments: usize) -> *mut *mut Bucket {
        if segments == 1 {
            (&raw mut self.root).cast()
        } else {
            self.root.cast::<*mut Bucket>().wrapping_add(index)
        }
    }

    /// Makes room for so many entries in an empty table: as many buckets as it would have if they had been added one by one,
    /// without splitting any. Few entries are left to grow: their table has its own form while it is small.
    pub fn reserve(&mut self, entries: usize) {
        const RESERVED_MIN: usize = 1024;
        debug_assert!(self.is_empty(), "only an empty table has nothing to split");
        if entries <= RESERVED_MIN {
            return;
        }
        let all_but_the_last = entries - 1;
        while self.buckets as usize * GROW_HALVES <= all_but_the_last * 2 {
            self.reserve_bucket(self.buckets as usize);
            self.buckets += 1;
        }
        self.mask = (self.buckets as usize).next_power_of_two() as u32 - 1;
    }

    /// Makes room for the bucket number `index`, which is the first unused one.
    pub(super) fn reserve_bucket(&mut self, index: usize) {
        let (last, used) = (index >> SEGMENT_SHIFT, index & (SEGMENT - 1));
        let segments = last + 1;
        if used == 0 {
            self.reserve_segment(last);
            // SAFETY: there is a place for the segment now.
            unsafe { *self.segment(last, segments) = alloc_buckets(room(segments, 1)) };
        } else if room(segments, used) == used {
            self.move_segment(last, used, used, room(segments, used + 1));
        }
    }

    /// Gives back the room of the last bucket, which is empty; the reverse of `reserve_bucket`.
    pub(super) fn release_bucket(&mut self, index: usize) {
        let (last, used) = (index >> SEGMENT_SHIFT, index & (SEGMENT - 1));
        let segments = last + 1;
        let had = room(segments, used + 1);
        if used == 0 {
            // SAFETY: the segment has no buckets in use any more.
            unsafe { free_buckets(*self.segment(last, segments), had) };
            self.release_segment(last);
        } else if room(segments, used) < had {
            self.move_segment(last, had, used, room(segments, used));
        }
    }

    /// Moves the buckets of the last segment, `used` of them, to one of another size.
    fn move_segment(&mut self, last: usize, had: usize, used: usize, room: usize) {
        let segment = self.segment(last, last + 1);
        // SAFETY: both segments have room for the buckets, which move; chains do not point back to where they begin.
        unsafe {
            let moved = alloc_buckets(room);
            moved.copy_from_nonoverlapping(*segment, used);
            free_buckets(*segment, had);
            *segment = moved;
        }
    }

    /// Makes a place for the pointer to segment number `last`.
    fn reserve_segment(&mut self, last: usize) {
        // SAFETY: capacities follow from the number of segments as said at `root`; what is copied is plain pointers.
        unsafe {
            if last == 1 {
                let directory = alloc_directory(2);
                *directory = self.root.cast();
                self.root = directory.cast();
            } else if last > 1 && last.is_power_of_two() {
                let directory = alloc_directory(last * 2);
                std::ptr::copy_nonoverlapping(self.root.cast::<*mut Bucket>(), directory, last);
                free_directory(self.root.cast(), last);
                self.root = directory.cast();
            }
        }
    }

    /// Takes away the place of the pointer to segment number `last`; the reverse of `reserve_segment`.
    fn release_segment(&mut self, last: usize) {
        let directory = self.root.cast::<*mut Bucket>();
        // SAFETY: the mirror image of `reserve_segment`.
        unsafe {
            if last == 0 {
                self.root = null_mut();
            } else if last == 1 {
                self.root = (*directory).cast();
                free_directory(directory, 2);
            } else if last.is_power_of_two() {
                let smaller = alloc_directory(last);
                std::ptr::copy_nonoverlapping(directory, smaller, last);
                free_directory(directory, last * 2);
                self.root = smaller.cast();
            }
        }
    }

    /// Bytes of buckets and directory, entries not counted.
    pub fn memory_bytes(&self) -> usize {
        let buckets = self.buckets as usize;
        if buckets == 0 {
            return self.compact_bytes();
        }
        let primary = (buckets.div_ceil(SEGMENT) - 1) * SEGMENT + last_room(buckets);
        let directory = if buckets > SEGMENT { buckets.div_ceil(SEGMENT).next_power_of_two() } else { 0 };
        primary * size_of::<Bucket>() + directory * size_of::<usize>() + self.link_bytes()
    }

    /// Bytes of chained buckets: counted in a small table, expected from the load of a large one, where chance evens out.
    fn link_bytes(&self) -> usize {
        let buckets = self.buckets as usize;
        if buckets <= LINKS_COUNTED_MAX {
            return (0..buckets).map(|index| self.chain_bytes(index)).sum();
        }
        // A bucket that was split in this round of growth holds half of what one holds that was not.
        let unsplit_from = 1 << buckets.ilog2();
        let split = buckets - unsplit_from;
        let load = self.count as f64 / unsplit_from as f64;
        let (unsplit, split) = ((unsplit_from - split) as f64, 2.0 * split as f64);
        (unsplit * expected_link_bytes(load) + split * expected_link_bytes(load / 2.0)) as usize
    }

    fn chain_bytes(&self, index: usize) -> usize {
        let mut bytes = 0;
        // SAFETY: chains are made of live buckets, and the table is borrowed.
        unsafe {
            let mut link = bucket::next(self.bucket(index));
            while !link.is_null() {
                bytes += link_layout(link).size();
                link = bucket::next(link);
            }
        }
        bytes
    }

    /// Takes every entry out of the buckets, with its tag; and whether any may be volatile.
    pub(super) fn drain_all(&mut self) -> (Vec<(u8, *mut u8)>, u8) {
        let (mut entries, mut volatile) = (Vec::new(), 0);
        for index in 0..self.buckets as usize {
            // SAFETY: the bucket begins a live chain, which is empty then; the entries are the caller's.
            unsafe { drain_chain(self.bucket(index), &mut entries, &mut volatile) };
        }
        (entries, volatile)
    }

    /// Gives back every bucket and the directory; the entries are gone already.
    pub(super) fn release_all(&mut self) {
        let buckets = std::mem::take(&mut self.buckets) as usize;
        if buckets == 0 {
            return;
        }
        let segments = buckets.div_ceil(SEGMENT);
        // SAFETY: the capacities are as said at `root`, and no bucket is counted any more.
        unsafe {
            for index in 0..segments {
                let room = if index + 1 == segments { last_room(buckets) } else { SEGMENT };
                free_buckets(*self.segment(index, segments), room);
            }
            if segments > 1 {
                free_directory(self.root.cast(), directory_capacity(segments));
            }
        }
        self.root = null_mut();
    }
}

/// Directories hold the next power of two of the segments, and at least two.
fn directory_capacity(segments: usize) -> usize {
    segments.next_power_of_two().max(2)
}

fn alloc_directory(capacity: usize) -> *mut *mut Bucket {
    let layout = Layout::array::<*mut Bucket>(capacity).expect("a directory's size fits");
    // SAFETY: the capacity is at least 2.
    let pointer = unsafe { alloc_zeroed(layout) };
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    pointer.cast()
}

/// # Safety
/// `pointer` came from `alloc_directory(capacity)` and is not used again.
unsafe fn free_directory(pointer: *mut *mut Bucket, capacity: usize) {
    let layout = Layout::array::<*mut Bucket>(capacity).expect("a directory's size fits");
    // SAFETY: by the caller's promise.
    unsafe { dealloc(pointer.cast(), layout) }
}
