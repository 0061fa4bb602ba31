//! The counting allocator: where `used_memory` and the memory limit come from.
//!
//! Every allocation of the process's native side is counted at the size class that the allocator rounds it to, in a
//! counter of the thread that allocates or frees. A thread's counter may go below zero when it frees what another
//! allocated; only the sum over the threads means anything. Counting costs about a nanosecond a call; asking the
//! allocator for its own statistics costs milliseconds and is not exact in release builds.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{
    AtomicI64, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Threads that are counted apart; later ones share the last place with locked additions.
const THREADS: usize = 64;

#[repr(align(128))]
struct ThreadBytes(AtomicI64);

static BYTES: [ThreadBytes; THREADS] = [const { ThreadBytes(AtomicI64::new(0)) }; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Places that threads have left, a bit each. What was counted in them stays: only the sum over all places means anything.
static LEFT: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Steps of the smallest size classes; see `build.rs`.
const SMALL_STEP: usize = if cfg!(blocks_of_eight) { 8 } else { 16 };
/// Blocks larger than this are pages of their own.
const CLASS_MAX: usize = 512 * 1024;
const PAGE: usize = 4096;

/// The bytes that an allocation of `size` really takes: mimalloc's size classes, multiples of 8 (or 16) up to 64 bytes, then
/// four steps an octave, then whole pages.
#[inline]
pub const fn size_class(size: usize) -> usize {
    if size <= 8 {
        return 8;
    }
    if size <= 64 {
        return (size + SMALL_STEP - 1) & !(SMALL_STEP - 1);
    }
    if size > CLASS_MAX {
        return (size + PAGE - 1) & !(PAGE - 1);
    }
    let words = (size - 1) >> 3;
    let octave = usize::BITS - 1 - words.leading_zeros();
    let step = 1usize << (octave - 2);
    (((words / step) + 1) * step) << 3
}

/// The bytes that the block for a layout takes.
#[inline]
pub const fn block_size(layout: Layout) -> usize {
    // A block is as aligned as its size is, up to a page; else it is made larger until there is room to shift it.
    if layout.align() <= 8 || layout.size().is_power_of_two() && layout.size() <= PAGE {
        size_class(layout.size())
    } else {
        size_class(layout.size() + layout.align() - 1)
    }
}

#[inline]
fn count(delta: i64) {
    // A thread that is being torn down has no place any more; its last few bytes go to the shared one.
    let place = PLACE.try_with(Cell::get).unwrap_or(THREADS - 1);
    if place < THREADS - 1 {
        let cell = &BYTES[place].0;
        cell.store(cell.load(Relaxed) + delta, Relaxed);
    } else {
        count_slowly(place, delta);
    }
}

#[cold]
fn count_slowly(place: usize, delta: i64) {
    let place = if place == usize::MAX {
        let place = take_place();
        let _ = PLACE.try_with(|cell| cell.set(place));
        place
    } else {
        place
    };
    BYTES[place].0.fetch_add(delta, Relaxed);
}

/// A place that a thread has left, or the next one.
fn take_place() -> usize {
    let mut left = LEFT.load(Relaxed);
    while left != 0 {
        // Acquire: what the thread that has left it wrote last is added to here, without a locked operation.
        match LEFT.compare_exchange_weak(left, left & (left - 1), Acquire, Relaxed) {
            Ok(_) => return left.trailing_zeros() as usize,
            Err(now) => left = now,
        }
    }
    NEXT.fetch_add(1, Relaxed).min(THREADS - 1)
}

/// Leaves this thread's place to a later one; for threads that come and go. The few bytes until it ends are counted in the
/// shared place.
pub fn leave_place() {
    let place = PLACE.try_with(|cell| cell.replace(THREADS - 1)).unwrap_or(THREADS - 1);
    if place < THREADS - 1 {
        // Release: see `take_place`.
        LEFT.fetch_or(1 << place, Release);
    } else if place == usize::MAX {
        let _ = PLACE.try_with(|cell| cell.set(usize::MAX));
    }
}

/// Bytes that this thread has allocated less those that it has freed; only differences mean anything.
#[inline]
pub fn thread_bytes() -> i64 {
    let place = PLACE.try_with(Cell::get).unwrap_or(THREADS - 1);
    BYTES.get(place).map_or(0, |bytes| bytes.0.load(Relaxed))
}

thread_local! {
    static APART: Cell<i64> = const { Cell::new(0) };
}

/// What this thread has allocated less what it has freed, without what it did [`apart`]: what whoever holds a shard counts to it
/// is the difference between two of these. Only differences mean anything.
#[inline]
pub fn data_bytes() -> i64 {
    thread_bytes() - APART.get()
}

/// Does something whose allocations are no shard's, in a thread that may hold some: what is allocated there goes to others, who
/// free it when the shards have long been let go, and what is freed there came from others.
pub fn apart<R>(work: impl FnOnce() -> R) -> R {
    let before = data_bytes();
    let result = work();
    // What was done apart within `work` is left out of the difference, and stays counted.
    APART.set(APART.get() + data_bytes() - before);
    result
}

/// Bytes allocated now, over all threads.
#[inline]
pub fn used_bytes() -> usize {
    let threads = NEXT.load(Relaxed).min(THREADS);
    let mut sum = 0;
    for thread in &BYTES[..threads] {
        sum += thread.0.load(Relaxed);
    }
    if threads < THREADS {
        sum += BYTES[THREADS - 1].0.load(Relaxed);
    }
    sum.max(0) as usize
}

/// The largest value of [`used_bytes`] that [`sample_peak`] saw.
pub fn peak_bytes() -> usize {
    sample_peak();
    PEAK.load(Relaxed).max(0) as usize
}

/// Looks whether memory use is higher than ever; called from a timer, as Redis does.
pub fn sample_peak() {
    PEAK.fetch_max(used_bytes() as i64, Relaxed);
}

/// Forgets the peak (CONFIG RESETSTAT).
pub fn reset_peak() {
    PEAK.store(used_bytes() as i64, Relaxed);
}

/// The layout of a block that `realloc` is asked to make so large.
#[inline]
pub(crate) fn resized(layout: Layout, new_size: usize) -> Layout {
    // SAFETY: the caller of `realloc` promises that the new size, rounded up to the alignment, does not overflow.
    unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) }
}

/// An allocator that counts, around another one.
pub struct Counting<A>(pub A);

// SAFETY: every call is passed on unchanged; counting neither allocates nor touches the memory.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(block_size(layout) as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(block_size(layout) as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(block_size(layout) as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(block_size(resized(layout, new_size)) as i64 - block_size(layout) as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_cover_the_size_and_waste_at_most_a_quarter() {
        let mut last = 0;
        for size in 1..100_000 {
            let class = size_class(size);
            assert!(class >= size && class >= last, "{size} -> {class}");
            assert!(size < 64 || class as f64 <= size as f64 * 1.26, "{size} -> {class}");
            last = class;
        }
        assert_eq!([size_class(48), size_class(65), size_class(80), size_class(81)], [48, 80, 80, 96]);
    }

    #[test]
    fn threads_that_come_and_go_use_the_same_places() {
        for _ in 0..3 * THREADS {
            let place = std::thread::spawn(|| {
                count(1 << 20);
                let place = PLACE.get();
                count(-(1 << 20));
                leave_place();
                place
            });
            assert!(place.join().expect("the thread ends well") < THREADS - 1);
        }
    }

    #[test]
    fn what_is_done_apart_is_counted_once_and_is_not_data() {
        let (all, data) = (thread_bytes(), data_bytes());
        count(100);
        let result = apart(|| {
            count(10);
            apart(|| count(1));
            count(-3);
            "done"
        });
        assert_eq!((result, data_bytes() - data, thread_bytes() - all), ("done", 100, 108));
        count(-108);
    }

    #[test]
    fn what_one_thread_allocates_and_another_frees_adds_up_to_nothing() {
        let before = used_bytes() as i64;
        count(1 << 40);
        std::thread::spawn(|| count(-(1 << 40))).join().expect("the thread ends well");
        let after = used_bytes() as i64;
        assert!((after - before).abs() < 1 << 20);
    }
}
