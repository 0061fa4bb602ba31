//! Large blocks as mappings of their own, which grow without being copied.
//!
//! A block that grows is moved by the allocator: a string of 256 MB that is appended to waited for 40 ms and more, and with
//! it every client of its shard. The kernel moves a mapping by its page tables instead, 2 MB an entry where both addresses
//! are multiples of that, which these are: some 20 us for 256 MB, whatever is in it. Pages that were never written take no
//! memory, so room to grow costs addresses only, and fresh ones are zero without being written.
//!
//! Freed blocks of moderate size are kept for the next ones until [`give_back`]: replies of megabytes come one after another,
//! and the page faults of a fresh mapping double what one costs.
//!
//! Smaller blocks stay with the allocator: copying them is quick, and it hands the same warm memory out again, where a
//! mapping begins with page faults.

use std::ffi::{c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;

/// Blocks of at least this many bytes are mappings: what the entry of a page table's upper level covers.
pub const MAPPED_MIN: usize = 2 << 20;

const PAGE: usize = 4096;
const PROT_NONE: c_int = 0;
const PROT_READ_WRITE: c_int = 3;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
const MAP_NORESERVE: c_int = 0x4000;
const MREMAP_MAYMOVE: c_int = 1;
const MREMAP_FIXED: c_int = 2;

extern "C" {
    fn mmap(
        address: *mut c_void,
        bytes: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        at: c_long,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, bytes: usize) -> c_int;
    fn mremap(address: *mut c_void, bytes: usize, wanted: usize, flags: c_int, ...) -> *mut c_void;
}

fn failed(pointer: *mut c_void) -> bool {
    pointer.addr() == usize::MAX
}

const fn pages(size: usize) -> usize {
    (size + PAGE - 1) & !(PAGE - 1)
}

/// Maps addresses whose first is a multiple of [`MAPPED_MIN`]; null if there are none.
fn map(size: usize, protection: c_int, flags: c_int) -> *mut u8 {
    let bytes = pages(size);
    let Some(wide) = bytes.checked_add(MAPPED_MIN) else { return null_mut() };
    // SAFETY: a new mapping anywhere; what is given back of it below are whole pages that nobody has.
    unsafe {
        let start = mmap(null_mut(), wide, protection, MAP_PRIVATE_ANONYMOUS | flags, -1, 0);
        if failed(start) {
            return null_mut();
        }
        let before = start.addr().wrapping_neg() & (MAPPED_MIN - 1);
        if before > 0 {
            munmap(start, before);
        }
        let block = start.byte_add(before);
        munmap(block.byte_add(bytes), MAPPED_MIN - before);
        block.cast()
    }
}

/// Blocks that are kept, their bytes together, and the bytes of one: more than that takes its time in any case.
const KEPT_BLOCKS_MAX: usize = 8;
const KEPT_BYTES_MAX: usize = 64 << 20;
const KEPT_BLOCK_BYTES_MAX: usize = 32 << 20;

/// Freed blocks by address and bytes, which are whole pages; places with no bytes are empty. Who finds it locked goes to the
/// kernel instead.
static KEPT: Mutex<[(usize, usize); KEPT_BLOCKS_MAX]> = Mutex::new([(0, 0); KEPT_BLOCKS_MAX]);

/// Bytes of all mappings, those that are kept included.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all mappings, whether they are in use or kept.
pub fn bytes() -> usize {
    BYTES.load(Relaxed)
}

/// Ends a mapping.
///
/// # Safety
/// The mapping has so many bytes, and nobody uses it.
unsafe fn unmap(block: *mut u8, bytes: usize) {
    BYTES.fetch_sub(bytes, Relaxed);
    // SAFETY: by the caller's promise.
    unsafe { munmap(block.cast(), bytes) };
}

/// Keeps a block that nobody uses any more; false if there is no room for it.
fn keep(block: *mut u8, bytes: usize) -> bool {
    let Ok(mut kept) = KEPT.try_lock() else { return false };
    let sum: usize = kept.iter().map(|(_, bytes)| bytes).sum();
    if bytes > KEPT_BLOCK_BYTES_MAX || sum + bytes > KEPT_BYTES_MAX {
        return false;
    }
    let Some(place) = kept.iter_mut().find(|(_, bytes)| *bytes == 0) else { return false };
    *place = (block.expose_provenance(), bytes);
    true
}

/// A kept block of about so many bytes, with how many it has.
fn take_kept(wanted: usize) -> Option<(*mut u8, usize)> {
    let mut kept = KEPT.try_lock().ok()?;
    let fits = |bytes: usize| bytes >= wanted / 2 && bytes / 4 <= wanted;
    let place = kept.iter_mut().filter(|(_, bytes)| *bytes > 0 && fits(*bytes));
    let place = place.min_by_key(|(_, bytes)| bytes.abs_diff(wanted))?;
    let (address, bytes) = std::mem::take(place);
    Some((std::ptr::with_exposed_provenance_mut(address), bytes))
}

/// Unmaps the blocks that are kept.
pub fn give_back() {
    let kept = KEPT.lock().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default();
    for (address, bytes) in kept.into_iter().filter(|(_, bytes)| *bytes > 0) {
        // SAFETY: the block was freed and kept, and is in nobody's hands.
        unsafe { unmap(std::ptr::with_exposed_provenance_mut(address), bytes) };
    }
}

/// A block with anything in it; null if there is no memory.
pub fn allocate(size: usize) -> *mut u8 {
    let Some((block, bytes)) = take_kept(pages(size)) else { return allocate_zeroed(size) };
    // SAFETY: the block was kept, and is this caller's alone now.
    unsafe {
        let resized = resize(block, bytes, size);
        if resized.is_null() {
            unmap(block, bytes);
        }
        resized
    }
}

/// A block of zeros; null if there is no memory.
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    let block = map(size, PROT_READ_WRITE, 0);
    if !block.is_null() {
        BYTES.fetch_add(pages(size), Relaxed);
    }
    block
}

/// Frees a block.
///
/// # Safety
/// The block is one of this module of that size, and is not used again.
pub unsafe fn free(block: *mut u8, size: usize) {
    if !keep(block, pages(size)) {
        // SAFETY: the mapping is the block's alone, by the caller's promise.
        unsafe { unmap(block, pages(size)) };
    }
}

/// Gives a block another size, which is still one of a mapping; null, with the block as it was, if there is no memory.
///
/// # Safety
/// The block is one of this module of size `old`; if another is returned, only that is used from then on.
pub unsafe fn resize(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    let (old, new) = (pages(old), pages(new));
    if old == new {
        return block;
    }
    // SAFETY: the mapping is the block's alone. Where it cannot grow in its place, it replaces addresses that were taken
    // for it alone and hold nothing.
    unsafe {
        let moved = mremap(block.cast(), old, new, 0);
        if !failed(moved) {
            count_resized(old, new);
            return moved.cast();
        }
        let target = map(new, PROT_NONE, MAP_NORESERVE);
        if target.is_null() {
            return target;
        }
        let moved = mremap(block.cast(), old, new, MREMAP_MAYMOVE | MREMAP_FIXED, target.cast::<c_void>());
        if failed(moved) {
            munmap(target.cast(), new);
            return null_mut();
        }
        count_resized(old, new);
        moved.cast()
    }
}

fn count_resized(old: usize, new: usize) {
    BYTES.fetch_add(new, Relaxed);
    BYTES.fetch_sub(old, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(block: *mut u8, index: usize) -> u8 {
        // SAFETY: tests ask for bytes of live blocks only.
        unsafe { block.add(index).read() }
    }

    #[test]
    fn a_mapping_keeps_its_bytes_as_it_grows_and_shrinks_and_what_is_new_is_zero() {
        let sizes = [MAPPED_MIN, 3 * MAPPED_MIN + 5, 64 * MAPPED_MIN, 7 * MAPPED_MIN + 4097, MAPPED_MIN + 1];
        let mut block = allocate_zeroed(sizes[0]);
        // Another mapping beside it, so that it has to move.
        let neighbour = allocate(MAPPED_MIN);
        for (before, after) in sizes.iter().zip(&sizes[1..]) {
            assert!(!block.is_null() && block.addr() % MAPPED_MIN == 0);
            // SAFETY: the block is live and of size `before`; the first and the last byte of the smaller size are in both.
            unsafe {
                let kept = before.min(after) - 1;
                block.write(7);
                block.add(kept).write(9);
                block = resize(block, *before, *after);
                assert_eq!((at(block, 0), at(block, kept)), (7, 9));
                block.add(kept).write(0);
                assert_eq!(at(block, after - 1), 0);
            }
        }
        // SAFETY: both blocks are live, of these sizes, and freed once.
        unsafe {
            free(block, sizes[sizes.len() - 1]);
            free(neighbour, MAPPED_MIN);
        }
    }

    #[test]
    fn a_freed_block_is_used_again_in_another_size_until_all_is_given_back() {
        // Other tests use the same store: a size that none of them has.
        const SIZE: usize = 13 * MAPPED_MIN;
        for size in [SIZE + 9000, SIZE - 9000] {
            let block = allocate(SIZE);
            // SAFETY: each block is written within its size and freed once.
            unsafe {
                block.write_bytes(3, SIZE);
                free(block, SIZE);
                let again = allocate(size);
                again.write(1);
                again.add(size - 1).write(2);
                assert_eq!((at(again, 0), at(again, size - 1)), (1, 2));
                free(again, size);
            }
            give_back();
        }
        let zeros = allocate_zeroed(SIZE);
        assert_eq!((at(zeros, 0), at(zeros, SIZE - 1)), (0, 0));
        // SAFETY: the block is live and of that size.
        unsafe { free(zeros, SIZE) };
    }

    #[test]
    fn more_than_there_is_fails_and_leaves_the_block_as_it_was() {
        let block = allocate(MAPPED_MIN);
        // SAFETY: the block is live and of that size; it is freed once.
        unsafe {
            block.write(5);
            assert!(allocate(usize::MAX / 2).is_null());
            assert!(resize(block, MAPPED_MIN, usize::MAX / 4).is_null());
            assert_eq!(at(block, 0), 5);
            free(block, MAPPED_MIN);
        }
    }
}
