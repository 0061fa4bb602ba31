//! Moving blocks off pages that are worth emptying; see [`crate::defragment`].
//!
//! Whoever owns a block offers it and takes what comes back in its place. Nothing else may point to it.

use std::alloc::{alloc, dealloc, Layout};
use std::ptr::NonNull;

use sherd_metrics::pages::SparsePages;

/// See the [module](self).
pub struct Mover<'a> {
    pages: &'a SparsePages,
    /// Blocks that were moved, and those that were left where they are.
    pub hits: u64,
    pub misses: u64,
}

impl<'a> Mover<'a> {
    /// For blocks on these pages.
    pub fn new(pages: &'a SparsePages) -> Mover<'a> {
        Mover { pages, hits: 0, misses: 0 }
    }

    /// Whether a block is to be moved; counted as left if it is not.
    #[inline]
    pub fn wants(&mut self, block: NonNull<u8>) -> bool {
        let wants = self.pages.contains(block.as_ptr().addr());
        self.misses += u64::from(!wants);
        wants
    }

    /// Moves a block if it is on one of the pages; where it is then.
    ///
    /// # Safety
    /// The block is live and of this layout, may be copied byte by byte, and only the result is used afterwards.
    #[inline]
    pub unsafe fn relocate(&mut self, block: NonNull<u8>, layout: Layout) -> NonNull<u8> {
        if !self.wants(block) {
            return block;
        }
        // SAFETY: by the caller's promise.
        unsafe { self.relocate_now(block, layout) }
    }

    /// # Safety
    /// As for [`Mover::relocate`].
    unsafe fn relocate_now(&mut self, block: NonNull<u8>, layout: Layout) -> NonNull<u8> {
        // SAFETY: the layout is that of a block, hence not of size zero; both blocks have that size, and the old one is given
        // up. Without memory for the new one all stays as it is.
        unsafe {
            let Some(moved) = NonNull::new(alloc(layout)) else { return block };
            moved.as_ptr().copy_from_nonoverlapping(block.as_ptr(), layout.size());
            dealloc(block.as_ptr(), layout);
            self.hits += 1;
            moved
        }
    }

    /// Moves the buffer of a vector of bytes.
    pub fn relocate_bytes(&mut self, bytes: &mut Vec<u8>) {
        if bytes.capacity() == 0 {
            return;
        }
        let mut old = std::mem::ManuallyDrop::new(std::mem::take(bytes));
        let (length, capacity) = (old.len(), old.capacity());
        let layout = Layout::array::<u8>(capacity).expect("a vector's size fits");
        // SAFETY: the buffer is the vector's, of its capacity; the vector that owned it is forgotten.
        *bytes = unsafe {
            let start = self.relocate(NonNull::new_unchecked(old.as_mut_ptr()), layout);
            Vec::from_raw_parts(start.as_ptr(), length, capacity)
        };
    }
}

/// Nodes of a list or blocks of a stream, of some kilobytes each, that take as long to move as so many elements do.
pub fn nodes_of(elements: usize) -> usize {
    elements.div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_keeps_its_bytes_and_its_room_in_another_place() {
        let everything = SparsePages::everything();
        let nothing = SparsePages::default();
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(b"some bytes");
        let before = bytes.as_ptr();
        let mut mover = Mover::new(&nothing);
        mover.relocate_bytes(&mut bytes);
        assert_eq!((bytes.as_ptr(), mover.hits, mover.misses), (before, 0, 1));
        let mut mover = Mover::new(&everything);
        mover.relocate_bytes(&mut bytes);
        mover.relocate_bytes(&mut Vec::new());
        assert_ne!(bytes.as_ptr(), before);
        assert_eq!(
            (bytes.as_slice(), bytes.capacity(), mover.hits, mover.misses),
            (b"some bytes".as_slice(), 100, 1, 0)
        );
    }
}
