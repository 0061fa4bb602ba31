//! A handle on one place of a table.

use std::marker::PhantomData;

use super::bucket::{Bucket, VOLATILE};
use super::Entry;

/// A place in the table: where an entry is, for replacing it without a second lookup.
pub struct Slot<'a, E: Entry> {
    pub(super) bucket: *mut Bucket,
    pub(super) index: usize,
    pub(super) owner: PhantomData<&'a mut E>,
}

impl<'a, E: Entry> Slot<'a, E> {
    /// The entry here.
    #[inline]
    pub fn get(&self) -> &E {
        // SAFETY: a slot handle borrows the table mutably and points at an occupied slot; E is a thin pointer.
        unsafe { &*(&raw const (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// The entry here, for changing what it holds.
    #[inline]
    pub fn get_mut(&mut self) -> &mut E {
        // SAFETY: as in `get`, and the handle is borrowed mutably.
        unsafe { &mut *(&raw mut (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// The entry here, for as long as the table is borrowed.
    #[inline]
    pub fn into_mut(self) -> &'a mut E {
        // SAFETY: as in `get_mut`, for the table's own borrow.
        unsafe { &mut *(&raw mut (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// Replaces the entry by one with the same key and gives back the old one.
    #[inline]
    pub fn replace(&mut self, entry: E) -> E {
        if entry.is_volatile() {
            self.mark_volatile();
        }
        std::mem::replace(self.get_mut(), entry)
    }

    /// Rebuilds the entry by value (a reallocation, say) without the table ever holding two owners of it.
    #[inline]
    pub fn rebuild(&mut self, build: impl FnOnce(E) -> E) {
        // SAFETY: the slot is read out and written back before anything else sees it; a panic in `build` would leave
        // a freed entry behind, hence the guard that ends the process: a broken table must not be served from.
        unsafe {
            let place = (&raw mut (*self.bucket).slots[self.index]).cast::<E>();
            let guard = AbortOnUnwind;
            let entry = build(place.read());
            std::mem::forget(guard);
            if entry.is_volatile() {
                (*self.bucket).meta |= VOLATILE;
            }
            place.write(entry);
        }
    }

    /// Says that the entry here has got an expiry.
    #[inline]
    pub fn mark_volatile(&mut self) {
        // SAFETY: the bucket is live as long as the handle borrows the table.
        unsafe { (*self.bucket).meta |= VOLATILE }
    }
}

/// Ends the process when dropped while unwinding out of a half-done change.
struct AbortOnUnwind;
impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
