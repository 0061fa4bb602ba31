//! Plain names as entries.

use std::ptr::NonNull;

use super::Entry;

/// An entry for tests and for tables of plain names: a length and the bytes.
#[repr(transparent)]
pub struct NameEntry(NonNull<u8>);

impl NameEntry {
    /// Copies the bytes into an allocation of their own.
    pub fn new(name: &[u8]) -> Self {
        let boxed: Box<Box<[u8]>> = Box::new(name.into());
        NameEntry(NonNull::from(Box::leak(boxed)).cast())
    }
}

// SAFETY: transparent over NonNull<u8>, owns its box, and the name never changes.
unsafe impl Entry for NameEntry {
    fn key(&self) -> &[u8] {
        // SAFETY: `new` made this pointer from a box of a boxed slice.
        unsafe { self.0.cast::<Box<[u8]>>().as_ref() }
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        // SAFETY: the box is dropped once, by its one owner.
        drop(unsafe { Box::from_raw(self.0.cast::<Box<[u8]>>().as_ptr()) });
    }
}
