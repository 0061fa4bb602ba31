//! Names of channels and patterns: one allocation each, shared by everybody who keeps it.
//!
//! A name is known to the registry, to its subscriber's thread and to the subscriber itself. Each of them has it in a table of
//! thin pointers ([`sherd_types::table`]), some twelve bytes a name: what belongs to a name in one of the first two is beside it
//! in an allocation of its own ([`Named`]), and the subscriber's table has the names themselves.
//!
//! Rejected: maps of the standard library over `Arc<[u8]>`, whose places are wide and, on average, a quarter empty: they took
//! more than twice as much.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{fence, AtomicUsize, Ordering};

use sherd_types::table;

/// What is in front of a name's bytes.
struct Header {
    owners: AtomicUsize,
    length: usize,
}

/// See the [module](self).
#[repr(transparent)]
pub struct Name(NonNull<u8>);

// SAFETY: its bytes never change, and its owners are counted by an atomic.
unsafe impl Send for Name {}
// SAFETY: as above.
unsafe impl Sync for Name {}

impl Name {
    fn layout(length: usize) -> Layout {
        let size = size_of::<Header>() + length;
        Layout::from_size_align(size, align_of::<Header>()).expect("a name that is in memory has a length")
    }

    fn header(&self) -> &Header {
        // SAFETY: written when the name was made, and alive as long as it has an owner.
        unsafe { self.0.cast::<Header>().as_ref() }
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Name {
        let layout = Name::layout(bytes.len());
        // SAFETY: the layout has a size; the header and the bytes have room in it.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            start.cast::<Header>().write(Header { owners: AtomicUsize::new(1), length: bytes.len() });
            start.add(size_of::<Header>()).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Name(start)
        }
    }
}

impl Deref for Name {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes were written behind the header.
        unsafe {
            let start = self.0.add(size_of::<Header>());
            std::slice::from_raw_parts(start.as_ptr(), self.header().length)
        }
    }
}

impl Clone for Name {
    fn clone(&self) -> Name {
        // Relaxed: who clones is an owner already. There is no memory for so many owners that the number would overflow, as
        // each keeps a pointer.
        self.header().owners.fetch_add(1, Ordering::Relaxed);
        Name(self.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let layout = Name::layout(self.header().length);
        // Release, and acquire by the last one: what any owner has done with it comes before it is freed.
        if self.header().owners.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: nobody else owns it.
            unsafe { dealloc(self.0.as_ptr(), layout) };
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", String::from_utf8_lossy(self))
    }
}

// SAFETY: transparent over NonNull<u8>, owns its share of the allocation, and the bytes never change.
unsafe impl table::Entry for Name {
    #[inline]
    fn key(&self) -> &[u8] {
        self
    }
}

/// A name with what a table knows of it.
#[repr(transparent)]
pub struct Named<V>(NonNull<u8>, PhantomData<Box<(Name, V)>>);

// SAFETY: it is a box of a name and a value.
unsafe impl<V: Send> Send for Named<V> {}
// SAFETY: as above.
unsafe impl<V: Sync> Sync for Named<V> {}

impl<V> Named<V> {
    /// A value under a name.
    pub fn new(name: Name, value: V) -> Named<V> {
        Named(NonNull::from(Box::leak(Box::new((name, value)))).cast(), PhantomData)
    }

    fn pair(&self) -> &(Name, V) {
        // SAFETY: it was made from a box of this type, which it owns.
        unsafe { self.0.cast::<(Name, V)>().as_ref() }
    }

    /// The name.
    pub fn name(&self) -> &Name {
        &self.pair().0
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.pair().1
    }

    /// The value, for changing it.
    pub fn value_mut(&mut self) -> &mut V {
        // SAFETY: as in `pair`, borrowed alone.
        unsafe { &mut self.0.cast::<(Name, V)>().as_mut().1 }
    }
}

impl<V> Drop for Named<V> {
    fn drop(&mut self) {
        // SAFETY: the box is dropped once, by its one owner.
        drop(unsafe { Box::from_raw(self.0.cast::<(Name, V)>().as_ptr()) });
    }
}

// SAFETY: transparent over NonNull<u8>, owns its box, and the name never changes.
unsafe impl<V> table::Entry for Named<V> {
    #[inline]
    fn key(&self) -> &[u8] {
        self.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sherd_types::table::{hash, Table};

    #[test]
    fn a_name_is_there_until_the_last_owner_drops_it() {
        let name = Name::from(&b"channel"[..]);
        let others: Vec<Name> = (0..100).map(|_| name.clone()).collect();
        std::thread::scope(|scope| {
            for mine in others.chunks(50) {
                scope.spawn(move || mine.iter().for_each(|name| assert_eq!(*name.clone(), *b"channel")));
            }
        });
        drop(name);
        assert_eq!(others[7], Name::from(&b"channel"[..]));
        assert!(Name::from(&b""[..]).is_empty());
    }

    #[test]
    fn a_table_finds_what_belongs_to_a_name_and_frees_it_once() {
        let value = std::sync::Arc::new(());
        let mut table = Table::new();
        for number in 0..1000u32 {
            let name = Name::from(&number.to_le_bytes()[..]);
            table.insert_new(hash(&name), Named::new(name, (number, value.clone())));
        }
        for number in 0..500u32 {
            let bytes = number.to_le_bytes();
            let named = table.find_mut(hash(&bytes), &bytes).expect("a name that was put there");
            named.value_mut().0 += 1;
            assert_eq!((named.value().0, &**named.name()), (number + 1, &bytes[..]));
            drop(table.remove(hash(&bytes), &bytes));
        }
        assert_eq!(std::sync::Arc::strong_count(&value), 501);
        drop(table);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }
}
