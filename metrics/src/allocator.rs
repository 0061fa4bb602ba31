//! The allocator of the process: mimalloc, called so that it takes no more than its size classes say.
//!
//! The usual binding passes every request on as an aligned one. mimalloc answers an aligned request, unless its size class
//! is a power of two, with a block that is larger by the alignment less one, which for sizes just at the end of a class is
//! the next class: 320 bytes took 384. Requests for an alignment of 8 or less are passed on as plain ones here, which are
//! aligned to 8 anyway.
//!
//! mimalloc leaves a block that shrinks by less than half where it is. Here a block moves whenever its class changes, so
//! that what is counted is what is taken, and stays without a call when it does not.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_zalloc, mi_zalloc_aligned};

use crate::memory::block_size;

/// The alignment that every block has.
const PLAIN_ALIGN_MAX: usize = 8;

/// See the file's head.
pub struct Mimalloc;

// SAFETY: blocks come from mimalloc and go back to it; a layout's size and alignment are asked for as they are.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= PLAIN_ALIGN_MAX {
            // SAFETY: any size may be asked for.
            unsafe { mi_malloc(layout.size()).cast() }
        } else {
            // SAFETY: a layout's alignment is a power of two.
            unsafe { mi_malloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= PLAIN_ALIGN_MAX {
            // SAFETY: any size may be asked for.
            unsafe { mi_zalloc(layout.size()).cast() }
        } else {
            // SAFETY: a layout's alignment is a power of two.
            unsafe { mi_zalloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: the pointer came from mimalloc, by the caller's promise.
        unsafe { mi_free(pointer.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (old, new) = (block_size(layout), block_size(resized(layout, new_size)));
        if old == new {
            return pointer;
        }
        if new > old && layout.align() <= PLAIN_ALIGN_MAX {
            // SAFETY: the pointer came from mimalloc, by the caller's promise.
            return unsafe { mi_realloc(pointer.cast(), new_size).cast() };
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

#[inline]
pub(crate) fn resized(layout: Layout, new_size: usize) -> Layout {
    // SAFETY: the caller of `realloc` promises that the new size, rounded up to the alignment, does not overflow.
    unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::size_class;

    extern "C" {
        fn mi_usable_size(pointer: *const std::ffi::c_void) -> usize;
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
        for size in [600_000, 1_100_000, 5_000_001] {
            let (counted, address_room) = (size_class(size), usable(size, 8));
            assert!(counted >= size && counted < size + 4096 && counted <= address_room, "{size}: {counted}");
        }
    }

    #[test]
    fn a_block_keeps_its_contents_and_its_class_as_it_grows_and_shrinks() {
        let mut layout = Layout::from_size_align(100, 1).expect("a small layout");
        // SAFETY: the block is reallocated and freed with the layout that it has at that time.
        unsafe {
            let mut pointer = Mimalloc.alloc(layout);
            pointer.write_bytes(7, 100);
            for size in [110, 5000, 3000, 100_000, 60_000, 100] {
                pointer = Mimalloc.realloc(pointer, layout, size);
                layout = resized(layout, size);
                assert_eq!(mi_usable_size(pointer.cast()), size_class(size));
                assert!(std::slice::from_raw_parts(pointer, 100).iter().all(|&byte| byte == 7));
            }
            Mimalloc.dealloc(pointer, layout);
        }
    }
}
