//! The allocator of the process: mimalloc, called so that it takes no more than its size classes say.
//!
//! The usual binding passes every request on as an aligned one. mimalloc answers an aligned request, unless its size class
//! is a power of two, with a block that is larger by the alignment less one, which for sizes just at the end of a class is
//! the next class: 320 bytes took 384. Requests for an alignment of 8 or less are passed on as plain ones here, which are
//! aligned to 8 anyway.
//!
//! mimalloc leaves a block that shrinks by less than half where it is. Here a block moves whenever its class changes, so
//! that what is counted is what is taken, and stays without a call when it does not.
//!
//! Large blocks are not mimalloc's at all; see `mapping.rs`. A block's size, which every caller states, says whose it is.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};

use libmimalloc_sys::{mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_zalloc, mi_zalloc_aligned};

use crate::mapping::{self, MAPPED_MIN};
use crate::memory::{block_size, resized};

/// The alignment that every block has.
const PLAIN_ALIGN_MAX: usize = 8;

/// mimalloc's number of the option that says how many milliseconds after memory was freed it is given back to the system.
const PURGE_DELAY: c_int = 15;
/// And of the one that says after how many calls of its slower path a thread looks through all of its pages.
const GENERIC_COLLECT: c_int = 34;
/// The most that it takes.
const COLLECT_RARELY: c_long = 1_000_000;
/// And of the one that says whether pages from outside of its arenas are kept in a list. While they are not, visiting pages
/// looks at what arenas know of theirs, which stays mapped; see `pages.rs`.
const LIST_ABANDONED: c_int = 28;
/// More milliseconds than any process runs.
const NEVER_MS: c_long = 1 << 50;

extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    fn mi_collect(force: bool);
}

/// From now on memory is given back to the system by [`give_back`] only.
///
/// mimalloc does it in passing, in whichever thread allocates when it is time: after a collection of five million members
/// was freed, some later command spent 10 to 40 ms on that. Nor does a thread look through all of its pages every ten thousand
/// calls for what others have freed there, which took 20 ms where that was much; it meets them in time when it allocates.
pub fn give_back_only_when_told() {
    // SAFETY: options are plain numbers that may be set at any time.
    unsafe {
        mi_option_set(PURGE_DELAY, NEVER_MS);
        mi_option_set(GENERIC_COLLECT, COLLECT_RARELY);
        mi_option_set(LIST_ABANDONED, 0);
    }
}

/// Gives memory that nothing uses back to the system; a matter of milliseconds, for threads that can take them.
pub fn give_back() {
    mapping::give_back();
    // SAFETY: the call concerns what is free, here and in what all threads share.
    unsafe { mi_collect(true) }
}

/// See the [module](self).
pub struct Mimalloc;

// SAFETY: blocks come from mimalloc and go back to it; a layout's size and alignment are asked for as they are.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_mapped(layout) {
            mapping::allocate(layout.size())
        } else if layout.align() <= PLAIN_ALIGN_MAX {
            // SAFETY: any size may be asked for.
            unsafe { mi_malloc(layout.size()).cast() }
        } else {
            // SAFETY: a layout's alignment is a power of two.
            unsafe { mi_malloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_mapped(layout) {
            mapping::allocate_zeroed(layout.size())
        } else if layout.align() <= PLAIN_ALIGN_MAX {
            // SAFETY: any size may be asked for.
            unsafe { mi_zalloc(layout.size()).cast() }
        } else {
            // SAFETY: a layout's alignment is a power of two.
            unsafe { mi_zalloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_mapped(layout) {
            // SAFETY: the block was mapped with this size, by the caller's promise.
            unsafe { mapping::free(pointer, layout.size()) }
        } else {
            // SAFETY: the pointer came from mimalloc, by the caller's promise.
            unsafe { mi_free(pointer.cast()) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (old, new) = (block_size(layout), block_size(resized(layout, new_size)));
        if old == new {
            return pointer;
        }
        match (is_mapped(layout), is_mapped(resized(layout, new_size))) {
            // SAFETY: the block was mapped with the old size, by the caller's promise.
            (true, true) => return unsafe { mapping::resize(pointer, layout.size(), new_size) },
            (false, false) if new > old && layout.align() <= PLAIN_ALIGN_MAX => {
                // SAFETY: the pointer came from mimalloc, by the caller's promise.
                return unsafe { mi_realloc(pointer.cast(), new_size).cast() };
            }
            _ => {}
        }
        // SAFETY: the new layout is the old one with another size; both blocks have room for the smaller size, and the old
        // one is freed after it was copied.
        unsafe {
            let moved = self.alloc(resized(layout, new_size));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, layout.size().min(new_size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

/// Whether a block is a mapping; mappings are aligned far beyond what anybody asks for.
#[inline]
fn is_mapped(layout: Layout) -> bool {
    debug_assert!(layout.align() <= MAPPED_MIN);
    layout.size() >= MAPPED_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::size_class;

    extern "C" {
        fn mi_usable_size(pointer: *const std::ffi::c_void) -> usize;
        fn mi_option_get(option: c_int) -> c_long;
    }

    fn resident_bytes() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
        text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
    }

    #[test]
    fn what_was_freed_is_given_back_when_that_is_asked_for() {
        const BLOCKS: usize = 16_000;
        let _alone = crate::pages::tests::alone();
        let layout = Layout::from_size_align(4096, 8).expect("a small layout");
        // SAFETY: the option's number is checked by its default; blocks are written within their size and freed once.
        unsafe {
            assert!([1000, NEVER_MS].contains(&mi_option_get(PURGE_DELAY)), "mimalloc has other options");
            let collects = mi_option_get(GENERIC_COLLECT);
            assert!([10_000, COLLECT_RARELY].contains(&collects), "mimalloc has other options");
            assert_eq!(mi_option_get(LIST_ABANDONED), 0, "mimalloc has other options");
            give_back_only_when_told();
            let blocks: Vec<*mut u8> = (0..BLOCKS).map(|_| Mimalloc.alloc(layout)).collect();
            blocks.iter().for_each(|block| block.write_bytes(1, 4096));
            blocks.iter().for_each(|block| Mimalloc.dealloc(*block, layout));
        }
        let before = resident_bytes();
        give_back();
        assert!(resident_bytes() + BLOCKS * 4096 / 2 < before, "some 60 MB were given back");
    }

    fn usable(size: usize, align: usize) -> usize {
        let layout = Layout::from_size_align(size, align).expect("a small layout");
        // SAFETY: the block is allocated, asked for its size and freed with the same layout.
        unsafe {
            let pointer = Mimalloc.alloc(layout);
            assert_eq!(pointer.addr() % align, 0);
            let usable = mi_usable_size(pointer.cast());
            Mimalloc.dealloc(pointer, layout);
            usable
        }
    }

    #[test]
    fn every_block_takes_what_is_counted_for_it() {
        for size in (1..1100).chain((1100..300_000).step_by(137)) {
            assert_eq!(usable(size, 8), size_class(size), "{size} bytes");
        }
        for power in 6..13 {
            assert_eq!(usable(1 << power, 64), 1 << power);
        }
    }

    #[test]
    fn a_huge_block_is_counted_by_the_pages_that_it_can_fill() {
        for size in [600_000, 1_100_000, 2_000_001] {
            let (counted, address_room) = (size_class(size), usable(size, 8));
            assert!(counted >= size && counted < size + 4096 && counted <= address_room, "{size}: {counted}");
        }
    }

    #[test]
    fn a_large_block_is_a_mapping_of_zeros_if_it_is_asked_for() {
        let layout = Layout::from_size_align(MAPPED_MIN, 64).expect("a layout");
        // SAFETY: the block is written within its size and freed with its layout.
        unsafe {
            for _ in 0..2 {
                let pointer = Mimalloc.alloc_zeroed(layout);
                assert_eq!(pointer.addr() % MAPPED_MIN, 0);
                assert_eq!((pointer.read(), pointer.add(MAPPED_MIN - 1).read()), (0, 0));
                pointer.write_bytes(1, MAPPED_MIN);
                Mimalloc.dealloc(pointer, layout);
            }
        }
    }

    #[test]
    fn a_block_keeps_its_contents_and_its_class_as_it_grows_and_shrinks() {
        let mut layout = Layout::from_size_align(100, 1).expect("a small layout");
        // SAFETY: the block is reallocated and freed with the layout that it has at that time.
        unsafe {
            let mut pointer = Mimalloc.alloc(layout);
            pointer.write_bytes(7, 100);
            for size in [110, 5000, 3000, 3 << 20, 100_000, MAPPED_MIN, 9 << 20, 60_000, 100] {
                pointer = Mimalloc.realloc(pointer, layout, size);
                layout = resized(layout, size);
                assert!(is_mapped(layout) || mi_usable_size(pointer.cast()) == size_class(size));
                assert!(std::slice::from_raw_parts(pointer, 100).iter().all(|&byte| byte == 7));
            }
            Mimalloc.dealloc(pointer, layout);
        }
    }
}
