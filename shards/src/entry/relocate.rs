//! Moving an entry off a page that is to be emptied.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::{layout, total_size, Entry, HEAP, KIND};
use sherd_types::mover::Mover;

impl Entry {
    /// Moves the entry, and the buffer of a long string, elsewhere if they are to be moved. A collection is asked by itself.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        let tag = self.tag();
        let (_, key, value) = self.parts();
        // SAFETY: the entry was allocated with this size, and the result replaces it.
        self.0 = unsafe { mover.relocate(self.0, layout(total_size(tag, key, value))) };
        if tag & KIND != HEAP {
            return;
        }
        // SAFETY: the payload is a pointer that comes from a box, which the entry owns; the result replaces it.
        unsafe {
            let held = NonNull::new_unchecked(self.buffer()).cast::<u8>();
            let moved = mover.relocate(held, Layout::new::<Vec<u8>>()).cast::<Vec<u8>>();
            self.payload().cast::<*mut Vec<u8>>().write_unaligned(moved.as_ptr());
            mover.relocate_bytes(&mut *moved.as_ptr());
        }
    }
}
