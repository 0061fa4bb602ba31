//! Where a table's buckets lie: one segment while they are few, a directory of segments when they are more.
//!
//! Growing by a bucket allocates at most one segment and moves at most the directory, so no insertion waits for more
//! than that. A small table's one segment grows by doubling: a set of ten members takes two buckets, not a whole segment.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::null_mut;

use super::bucket::{alloc_buckets, free_buckets, Bucket};
use super::{Entry, Table};

/// Buckets a segment: 4 KiB, small enough that a table of a few hundred entries wastes little.
const SEGMENT: usize = 64;
const SEGMENT_SHIFT: u32 = SEGMENT.trailing_zeros();

/// Tables of so many buckets are looked at one by one to tell their memory: some microseconds.
const LINKS_COUNTED_MAX: usize = 1024;

/// Links that a bucket's chain has on average when keys fall on it at random, `load` of them on average: each link takes
/// six more, its own place in the chain being lost.
fn expected_links(load: f64) -> f64 {
    let mut probability = (-load).exp();
    let mut links = 0.0;
    for keys in 1..64 {
        probability *= load / f64::from(keys);
        links += probability * f64::from((keys - 2) / 6 * i32::from(keys > 7));
    }
    links
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

    /// Makes room for the bucket number `index`, which is the first unused one.
    pub(super) fn reserve_bucket(&mut self, index: usize) {
        // SAFETY: capacities follow from the number of buckets as said at `root`; what is copied is plain pointers.
        unsafe {
            if index == 0 {
                self.root = alloc_buckets(1).cast();
            } else if index < SEGMENT {
                if index.is_power_of_two() {
                    let bigger = alloc_buckets(index * 2);
                    std::ptr::copy_nonoverlapping(self.root.cast::<Bucket>(), bigger, index);
                    free_buckets(self.root.cast(), index);
                    self.root = bigger.cast();
                }
            } else if index % SEGMENT == 0 {
                let segments = index >> SEGMENT_SHIFT;
                if segments == 1 {
                    let directory = alloc_directory(2);
                    *directory = self.root.cast();
                    self.root = directory.cast();
                } else if segments.is_power_of_two() {
                    let directory = alloc_directory(segments * 2);
                    std::ptr::copy_nonoverlapping(self.root.cast::<*mut Bucket>(), directory, segments);
                    free_directory(self.root.cast(), segments);
                    self.root = directory.cast();
                }
                *self.root.cast::<*mut Bucket>().add(segments) = alloc_buckets(SEGMENT);
            }
        }
    }

    /// Gives back the room of the last bucket; the reverse of `reserve_bucket`.
    pub(super) fn release_bucket(&mut self, index: usize) {
        // SAFETY: the mirror image of `reserve_bucket`; the bucket is empty.
        unsafe {
            if index == 0 {
                free_buckets(self.root.cast(), 1);
                self.root = null_mut();
            } else if index < SEGMENT {
                *self.root.cast::<Bucket>().add(index) = std::mem::zeroed();
                if index.is_power_of_two() {
                    let smaller = alloc_buckets(index);
                    std::ptr::copy_nonoverlapping(self.root.cast::<Bucket>(), smaller, index);
                    free_buckets(self.root.cast(), index * 2);
                    self.root = smaller.cast();
                }
            } else {
                *self.bucket(index) = std::mem::zeroed();
                if index % SEGMENT == 0 {
                    let segments = index >> SEGMENT_SHIFT;
                    let directory = self.root.cast::<*mut Bucket>();
                    free_buckets(*directory.add(segments), SEGMENT);
                    if segments == 1 {
                        self.root = (*directory).cast();
                        free_directory(directory, 2);
                    } else if segments.is_power_of_two() {
                        let smaller = alloc_directory(segments);
                        std::ptr::copy_nonoverlapping(directory, smaller, segments);
                        free_directory(directory, segments * 2);
                        self.root = smaller.cast();
                    }
                }
            }
        }
    }

    /// Bytes of buckets and directory, entries not counted.
    pub fn memory_bytes(&self) -> usize {
        let buckets = self.buckets as usize;
        let primary = if buckets <= SEGMENT {
            if buckets == 0 {
                0
            } else {
                buckets.next_power_of_two()
            }
        } else {
            buckets.div_ceil(SEGMENT) * SEGMENT
        };
        let directory = if buckets > SEGMENT { buckets.div_ceil(SEGMENT).next_power_of_two() } else { 0 };
        primary * size_of::<Bucket>() + directory * size_of::<usize>() + self.links() * size_of::<Bucket>()
    }

    /// Chained buckets: counted in a small table, expected from the load of a large one, where chance evens out.
    fn links(&self) -> usize {
        let buckets = self.buckets as usize;
        if buckets <= LINKS_COUNTED_MAX {
            return (0..buckets).map(|index| self.chain_links(index)).sum();
        }
        // A bucket that was split in this round of growth holds half of what one holds that was not.
        let unsplit_from = 1 << buckets.ilog2();
        let split = buckets - unsplit_from;
        let load = self.count as f64 / unsplit_from as f64;
        ((unsplit_from - split) as f64 * expected_links(load) + 2.0 * split as f64 * expected_links(load / 2.0))
            as usize
    }

    fn chain_links(&self, index: usize) -> usize {
        let mut links = 0;
        let mut bucket = self.bucket(index);
        // SAFETY: chains are made of live buckets, and the table is borrowed.
        unsafe {
            while !(*bucket).next().is_null() {
                bucket = (*bucket).next();
                links += 1;
            }
        }
        links
    }

    /// Gives back every bucket and the directory; the entries are gone already.
    pub(super) fn release_all(&mut self) {
        let buckets = std::mem::take(&mut self.buckets) as usize;
        if buckets == 0 {
            return;
        }
        // SAFETY: the capacities are as said at `root`, and no bucket is counted any more.
        unsafe {
            if buckets <= SEGMENT {
                free_buckets(self.root.cast(), buckets.next_power_of_two());
            } else {
                let directory = self.root.cast::<*mut Bucket>();
                let segments = buckets.div_ceil(SEGMENT);
                for segment in 0..segments {
                    free_buckets(*directory.add(segment), SEGMENT);
                }
                free_directory(directory, directory_capacity(segments));
            }
        }
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
