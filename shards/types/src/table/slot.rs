//! A handle on one place of a table.

use std::marker::PhantomData;

use super::bucket::VOLATILE;
use super::Entry;

/// A place in the table: where an entry is, for replacing it without a second lookup.
pub struct Slot<'a, E: Entry> {
    place: *mut E,
    /// Where it is marked that something beside the entry or itself is volatile.
    meta: *mut u8,
    owner: PhantomData<&'a mut E>,
}

impl<'a, E: Entry> Slot<'a, E> {
    /// The place in a bucket or block that is borrowed as long as the handle is, with the mark that belongs to it; there is an
    /// entry.
    #[inline]
    pub(super) fn new(place: *mut *mut u8, meta: *mut u8) -> Self {
        Slot { place: place.cast(), meta, owner: PhantomData }
    }

    /// The entry here.
    #[inline]
    pub fn get(&self) -> &E {
        // SAFETY: a slot handle borrows the table mutably and points at an occupied slot; E is a thin pointer.
        unsafe { &*self.place }
    }

    /// The entry here, for changing what it holds.
    #[inline]
    pub fn get_mut(&mut self) -> &mut E {
        // SAFETY: as in `get`, and the handle is borrowed mutably.
        unsafe { &mut *self.place }
    }

    /// The entry here, for as long as the table is borrowed.
    #[inline]
    pub fn into_mut(self) -> &'a mut E {
        // SAFETY: as in `get_mut`, for the table's own borrow.
        unsafe { &mut *self.place }
    }

    /// Replaces the entry by one with the same key and returns the old one.
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
            let guard = AbortOnUnwind;
            let entry = build(self.place.read());
            std::mem::forget(guard);
            if entry.is_volatile() {
                *self.meta |= VOLATILE;
            }
            self.place.write(entry);
        }
    }

    /// Says that the entry here has got an expiry.
    #[inline]
    pub fn mark_volatile(&mut self) {
        // SAFETY: the bucket or block is live as long as the handle borrows the table.
        unsafe { *self.meta |= VOLATILE }
    }
}

/// Ends the process when dropped while unwinding out of a half-done change.
struct AbortOnUnwind;
impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
