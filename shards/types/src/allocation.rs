//! Growing byte blocks behind a thin pointer, for formats that state their own length.
//!
//! Neither length nor capacity is stored: the owner reads the length out of the bytes, and the capacity is a function
//! of the length: the allocator's own size class. So whatever the allocator sets aside is used, and most changes do not
//! reallocate. A `Vec` would cost 16 bytes more a collection.

use std::alloc::{alloc, dealloc, handle_alloc_error, realloc, Layout};
use std::ptr::NonNull;

use crate::mover::Mover;

/// The bytes allocated for a block of `length` bytes, at least 1.
#[inline]
pub fn capacity_for(length: usize) -> usize {
    sherd_metrics::memory::size_class(length.max(1))
}

fn layout_for(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, 8).expect("a block is far below isize::MAX")
}

/// A new block that holds a copy of `contents`; the caller frees it with [`free`].
pub fn allocate(contents: &[u8]) -> NonNull<u8> {
    allocate_parts([contents])
}

/// A new block that holds copies of `parts`, one after the other.
#[inline]
pub fn allocate_parts<const COUNT: usize>(parts: [&[u8]; COUNT]) -> NonNull<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let layout = layout_for(capacity_for(length));
    // SAFETY: the layout's size is not zero, capacities are at least 8.
    let allocated = unsafe { alloc(layout) };
    let Some(start) = NonNull::new(allocated) else { handle_alloc_error(layout) };
    let mut at = 0;
    for part in parts {
        // SAFETY: the fresh allocation has room for all parts and does not overlap them.
        unsafe { start.as_ptr().add(at).copy_from_nonoverlapping(part.as_ptr(), part.len()) };
        at += part.len();
    }
    start
}

/// Makes the block fit for `new_length` bytes, keeping its contents up to the smaller length; what is new is zero.
///
/// # Safety
/// `start` is a live block of this module whose length was `old_length`; only the result is used afterwards.
pub unsafe fn resize(start: NonNull<u8>, old_length: usize, new_length: usize) -> NonNull<u8> {
    let (old_capacity, new_capacity) = (capacity_for(old_length), capacity_for(new_length));
    let mut resized = start;
    if old_capacity != new_capacity {
        // SAFETY: the block has the layout of its length, by the caller's promise; the new size is not zero.
        let moved = unsafe { realloc(start.as_ptr(), layout_for(old_capacity), new_capacity) };
        let Some(moved) = NonNull::new(moved) else { handle_alloc_error(layout_for(new_capacity)) };
        resized = moved;
    }
    if new_length > old_length {
        // SAFETY: the block now has room for new_length bytes.
        unsafe { resized.as_ptr().add(old_length).write_bytes(0, new_length - old_length) };
    }
    resized
}

/// Moves a block if it is to be moved; where it is then.
///
/// # Safety
/// `start` is a live block of this module of `length` bytes; only the result is used afterwards.
pub unsafe fn relocate(start: NonNull<u8>, length: usize, mover: &mut Mover<'_>) -> NonNull<u8> {
    // SAFETY: the block has the layout of its length, by the caller's promise.
    unsafe { mover.relocate(start, layout_for(capacity_for(length))) }
}

/// Frees a block.
///
/// # Safety
/// `start` is a live block of this module of `length` bytes and is not used again.
pub unsafe fn free(start: NonNull<u8>, length: usize) {
    // SAFETY: the block has the layout of its length, by the caller's promise.
    unsafe { dealloc(start.as_ptr(), layout_for(capacity_for(length))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_contents_through_every_size_and_new_bytes_are_zero() {
        let mut start = allocate(b"kept");
        let mut length = 4;
        for new_length in [4, 9, 60, 1000, 990, 20, 70, 5000, 8, 4] {
            // SAFETY: `start` is the live block of `length` bytes.
            start = unsafe { resize(start, length, new_length) };
            // SAFETY: the block has that many initialised bytes.
            let bytes = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), new_length) };
            assert!(bytes.starts_with(b"kept"));
            assert!(bytes.iter().skip(length).all(|&byte| byte == 0));
            bytes[4..].fill(0xAA);
            length = new_length;
        }
        // SAFETY: `start` is the live block of `length` bytes.
        unsafe { free(start, length) };
    }

    #[test]
    fn parts_are_stored_one_after_the_other() {
        let start = allocate_parts([b"ab".as_slice(), b"", b"cde"]);
        // SAFETY: the block has five initialised bytes and is freed once.
        unsafe {
            assert_eq!(std::slice::from_raw_parts(start.as_ptr(), 5), b"abcde");
            free(start, 5);
        }
    }
}
