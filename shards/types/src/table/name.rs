//! A plain name as an entry: its length ([`crate::varint`]) and its bytes in one allocation. The members of large sets are such.

use std::ptr::NonNull;

use super::Entry;
use crate::mover::Mover;
use crate::{allocation, varint};

/// See the [module](self).
#[repr(transparent)]
pub struct NameEntry(NonNull<u8>);

// SAFETY: the allocation has one owner and holds plain bytes.
unsafe impl Send for NameEntry {}
// SAFETY: shared references only read.
unsafe impl Sync for NameEntry {}

impl NameEntry {
    pub fn new(bytes: &[u8]) -> Self {
        let mut header = [0; varint::BYTES_MAX];
        let header_len = varint::write(bytes.len(), &mut header);
        Self(allocation::allocate_parts([&header[..header_len], bytes]))
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a name starts with its length, which that many initialised bytes follow.
        unsafe {
            let (length, header_len) = varint::read(self.0.as_ptr());
            std::slice::from_raw_parts(self.0.as_ptr().add(header_len), length)
        }
    }

    fn block_bytes(&self) -> usize {
        let length = self.bytes().len();
        varint::size(length) + length
    }

    /// Moves the name elsewhere if it is to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        // SAFETY: the block has this length, and the result replaces it.
        self.0 = unsafe { allocation::relocate(self.0, self.block_bytes(), mover) };
    }

    /// Bytes asked of the allocator.
    pub fn allocated_bytes(&self) -> usize {
        allocation::capacity_for(self.block_bytes())
    }
}

// SAFETY: transparent over NonNull<u8>, owns its block, and nothing changes the bytes.
unsafe impl Entry for NameEntry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        // SAFETY: the block has this length, and nothing uses it afterwards.
        unsafe { allocation::free(self.0, self.block_bytes()) }
    }
}
