//! Names with a time, as entries of the table's tests.

use std::ptr::NonNull;

use super::Entry;

struct Named {
    name: Vec<u8>,
    expiry: Option<i64>,
}

/// A name that may expire.
#[repr(transparent)]
pub struct ExpiringName(NonNull<u8>);

impl ExpiringName {
    pub fn new(name: &[u8], expiry: Option<i64>) -> Self {
        ExpiringName(NonNull::from(Box::leak(Box::new(Named { name: name.to_vec(), expiry }))).cast())
    }

    /// The same name with another time.
    pub fn with_expiry(self, expiry: Option<i64>) -> Self {
        ExpiringName::new(&self.named().name, expiry)
    }

    fn named(&self) -> &Named {
        // SAFETY: `new` made this pointer from a box of it, which lives until the drop.
        unsafe { self.0.cast::<Named>().as_ref() }
    }

    pub fn expiry(&self) -> Option<i64> {
        self.named().expiry
    }
}

// SAFETY: transparent over NonNull<u8>, owns its box, and the name never changes.
unsafe impl Entry for ExpiringName {
    fn key(&self) -> &[u8] {
        &self.named().name
    }

    fn is_volatile(&self) -> bool {
        self.named().expiry.is_some()
    }
}

impl Drop for ExpiringName {
    fn drop(&mut self) {
        // SAFETY: the box is dropped once, by its one owner.
        drop(unsafe { Box::from_raw(self.0.cast::<Named>().as_ptr()) });
    }
}
