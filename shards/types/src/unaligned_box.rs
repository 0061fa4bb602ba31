//! A box whose pointer may lie at any address.
//!
//! The large forms of collections are behind one of these, so that a collection, a pointer and a byte that says which
//! form it has, takes nine bytes in its entry instead of sixteen at an aligned place.

use std::alloc::Layout;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::mover::Mover;

/// See the [module](self).
#[repr(C, packed)]
pub struct UnalignedBox<T>(NonNull<T>);

// SAFETY: the box owns its value, as the standard one does.
unsafe impl<T: Send> Send for UnalignedBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for UnalignedBox<T> {}

impl<T> UnalignedBox<T> {
    /// Moves a value to an allocation of its own.
    pub fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))))
    }

    /// Moves the value's allocation if it is to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        let block = self.0;
        // SAFETY: the pointer comes from a box, whose allocation has the value's layout; a value may be moved.
        self.0 = unsafe { mover.relocate(block.cast(), Layout::new::<T>()) }.cast();
    }
}

impl<T> Deref for UnalignedBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let pointer = self.0;
        // SAFETY: the pointer comes from a box, which this one owns, and the borrow of self keeps it unchanged.
        unsafe { pointer.as_ref() }
    }
}

impl<T> DerefMut for UnalignedBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut pointer = self.0;
        // SAFETY: as above, and the exclusive borrow of self excludes other references.
        unsafe { pointer.as_mut() }
    }
}

impl<T: Default> Default for UnalignedBox<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Clone> Clone for UnalignedBox<T> {
    fn clone(&self) -> Self {
        Self::new((**self).clone())
    }
}

impl<T> Drop for UnalignedBox<T> {
    fn drop(&mut self) {
        let pointer = self.0;
        // SAFETY: the pointer comes from a box, and nothing uses it afterwards.
        drop(unsafe { Box::from_raw(pointer.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_box_lies_at_any_address_and_frees_its_value_once() {
        let counted = Rc::new(());
        let boxed = |number: u64| UnalignedBox::new((number, Rc::clone(&counted)));
        let mut boxes = [(0u8, boxed(7)), (1, boxed(8))];
        assert_eq!(size_of_val(&boxes), 2 * 9);
        (*boxes[1].1).0 += 1;
        let copy = boxes[1].1.clone();
        assert_eq!([(*boxes[0].1).0, (*boxes[1].1).0, (*copy).0], [7, 9, 9]);
        assert_eq!(Rc::strong_count(&counted), 4);
        drop((boxes, copy));
        assert_eq!(Rc::strong_count(&counted), 1);
    }
}
