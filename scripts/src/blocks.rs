//! Small blocks of a state's memory, from a region of the state's own.
//!
//! Scripts allocate strings and tables of some dozen bytes and leave them to the collector soon after: a block is the first of a
//! list, and goes back to it, by its size. The region is cut into pages, each of blocks of one size, so that the page says what
//! a block's size is, whatever Lua says. When all pages have their sizes, what more is wanted comes from elsewhere; pages that
//! nobody has asked for are never touched, and take nothing.

use std::ffi::c_void;

/// Bytes of the largest block; sizes are multiples of a step.
pub const SMALL_BYTES_MAX: usize = 512;
const STEP: usize = 16;
const CLASSES: usize = SMALL_BYTES_MAX / STEP;

const PAGE_BYTES: usize = 4096;
const PAGES: usize = 256;
pub const REGION_BYTES: usize = PAGES * PAGE_BYTES;
/// Where no region is: no block of any other memory lies within [`REGION_BYTES`] of it.
const NOWHERE: usize = usize::MAX - REGION_BYTES + 1;

/// A free block.
struct Free {
    next: *mut Free,
}

/// See the [module](self).
pub struct Blocks {
    /// The region's first byte, as an address.
    start: usize,
    /// Pages that have a size, and its class by page.
    pages: usize,
    classes: [u8; PAGES],
    /// Free blocks by class.
    free: [*mut Free; CLASSES],
}

impl Blocks {
    /// With a region of the system's, which is never given back; if there is none, there are no blocks.
    pub fn new() -> Blocks {
        let (readable, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever the system wants it.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), REGION_BYTES, readable, private, -1, 0) };
        let (start, pages) = if start == libc::MAP_FAILED { (NOWHERE, PAGES) } else { (start as usize, 0) };
        Blocks { start, pages, classes: [0; PAGES], free: [std::ptr::null_mut(); CLASSES] }
    }

    /// Bytes that the block at an address has, if it is one of these.
    #[inline(always)]
    pub fn size(&self, block: *mut c_void) -> Option<usize> {
        let offset = (block as usize).wrapping_sub(self.start);
        self.classes.get(offset / PAGE_BYTES).map(|&class| (usize::from(class) + 1) * STEP)
    }

    /// A block of at least so many bytes, of which there is at least one; null if there is none.
    #[inline(always)]
    pub fn take(&mut self, bytes: usize) -> *mut c_void {
        let Some(free) = self.free.get_mut((bytes - 1) / STEP) else { return std::ptr::null_mut() };
        let block = *free;
        if block.is_null() {
            return self.take_of_new_page((bytes - 1) / STEP);
        }
        // SAFETY: what is in the list is free, and begins with the address of the next one.
        *free = unsafe { (*block).next };
        block as *mut c_void
    }

    #[cold]
    fn take_of_new_page(&mut self, class: usize) -> *mut c_void {
        if self.pages == PAGES {
            return std::ptr::null_mut();
        }
        self.classes[self.pages] = class as u8;
        let (page, bytes) = (self.start + self.pages * PAGE_BYTES, (class + 1) * STEP);
        self.pages += 1;
        // The first block is at the head of the list in the end: what is taken is in the order of its addresses.
        for number in (1..PAGE_BYTES / bytes).rev() {
            // SAFETY: a block of the page, which nobody has.
            unsafe { self.put((page + number * bytes) as *mut c_void, bytes) };
        }
        page as *mut c_void
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It is one that [`Blocks::take`] has returned, of the size that [`Blocks::size`] says, and nobody uses it any more.
    #[inline(always)]
    pub unsafe fn put(&mut self, block: *mut c_void, size: usize) {
        let (block, free) = (block as *mut Free, &mut self.free[size / STEP - 1]);
        // SAFETY: the block is nobody's, and has room for an address.
        unsafe { block.write(Free { next: *free }) };
        *free = block;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_have_the_size_that_was_wanted() {
        let mut blocks = Blocks::new();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for round in 0..3000usize {
            let bytes = round * 37 % SMALL_BYTES_MAX + 1;
            let block = blocks.take(bytes);
            if block.is_null() {
                break;
            }
            let size = blocks.size(block).expect("it is of the region");
            assert!(size >= bytes && size < bytes + STEP && block as usize % STEP == 0);
            taken.push((block as usize, size));
        }
        taken.sort_unstable();
        assert!(taken.len() > 2000 && taken.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
    }

    #[test]
    fn what_comes_back_is_taken_next() {
        let mut blocks = Blocks::new();
        let (one, other) = (blocks.take(40), blocks.take(48));
        assert_eq!(other as usize - one as usize, 48);
        // SAFETY: it is nobody's any more.
        unsafe { blocks.put(one, 48) };
        assert_ne!(blocks.take(64), one, "it is of another size");
        assert_eq!(blocks.take(33), one);
    }

    #[test]
    fn a_region_that_is_used_up_has_no_more_and_others_have_no_blocks() {
        let mut blocks = Blocks::new();
        let count = std::iter::from_fn(|| Some(blocks.take(SMALL_BYTES_MAX)).filter(|block| !block.is_null())).count();
        assert_eq!(count, REGION_BYTES / SMALL_BYTES_MAX);
        assert!(blocks.take(1).is_null());
        assert!(blocks.take(SMALL_BYTES_MAX + 1).is_null());
        let other = &mut 0u64 as *mut u64 as *mut c_void;
        assert!(blocks.size(other).is_none() && blocks.size(std::ptr::null_mut()).is_none());
        let nowhere = Blocks { start: NOWHERE, ..blocks };
        assert!(nowhere.size(other).is_none() && nowhere.size(std::ptr::null_mut()).is_none());
    }
}
