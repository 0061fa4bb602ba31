//! One key of the keyspace: a single allocation with everything about it.
//!
//! ```text
//! tag | access clock (3) | [expiry (8)] | [payload (8, 9)] | key length (1 or 5) | [value length (1)] | key | [value]
//! ```
//!
//! A string of up to 255 bytes lies in the entry itself; an integer is the payload, as is a collection, which is a
//! pointer to its elements with a byte that says in which form they are; longer strings are behind a pointer to a
//! buffer. A key of 10 bytes takes 32 bytes with a value of 16, 24 with a collection, and 8 more with an expiry. Fields
//! are unaligned: an unaligned load costs nothing on the machines this runs on, padding costs memory.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use sherd_metrics::memory::size_class;

use crate::entry::object::{Object, ObjectMut, ObjectRef, Type, OBJECT_BYTES};
use sherd_types::hash::Fields;
use sherd_types::table;

#[macro_use]
pub mod object;
mod collections;
pub mod policy;
mod relocate;

/// The longest string that lies in the entry itself.
const EMBEDDED_MAX: usize = 255;

const KIND: u8 = 0b11;
const EMBEDDED: u8 = 0;
const INTEGER: u8 = 1;
const HEAP: u8 = 2;
const OBJECT: u8 = 3;
const EXPIRY: u8 = 0b100;
/// The string was made by appending or overwriting, which OBJECT ENCODING calls `raw` whatever its length.
const EDITED: u8 = 0b1000;
/// Three bits from this one on: the type of a collection.
const TYPE_SHIFT: u8 = 4;
const TYPE_BITS: u8 = 0b111;
/// Changes its meaning with every snapshot: see [`Entry::mark`].
const MARK: u8 = 0b1000_0000;

const HEADER: usize = 4;

/// See the [module](self).
#[repr(transparent)]
pub struct Entry(NonNull<u8>);

// SAFETY: the entry owns its allocation and what hangs on it, all of which is Send.
unsafe impl Send for Entry {}

/// A string value as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Text<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
}

impl Text<'_> {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Text::Integer(value) => sherd_types::number::i64_text_len(*value),
            Text::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether the string has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `use_bytes` with the string's bytes.
    pub fn with<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Text::Integer(value) => {
                let mut buffer = sherd_types::number::I64Buffer::default();
                use_bytes(sherd_types::number::format_i64(*value, &mut buffer))
            }
            Text::Bytes(bytes) => use_bytes(bytes),
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }
}

/// A value as it is stored.
pub enum Value<'a> {
    Text(Text<'a>),
    Object(ObjectRef<'a>),
}

/// A value to be stored.
pub enum NewValue<'a> {
    /// Stored as an integer where Redis would.
    Text(&'a [u8]),
    /// Stored as text even where it looks like an integer: a sum of floating point numbers, or a copy of such a string.
    Verbatim(&'a [u8]),
    Integer(i64),
    /// A string that is going to be edited further.
    Editable(Vec<u8>),
    Object(Object),
}

impl NewValue<'_> {
    /// Whether elements of it expire.
    pub fn has_timed_elements(&self) -> bool {
        match self {
            NewValue::Object(object) => object.view().timed().is_some_and(Fields::has_expiries),
            _ => false,
        }
    }

    fn tag(&self) -> u8 {
        match self {
            NewValue::Text(bytes) | NewValue::Verbatim(bytes) if bytes.len() <= EMBEDDED_MAX => EMBEDDED,
            NewValue::Text(_) | NewValue::Verbatim(_) => HEAP,
            NewValue::Integer(_) => INTEGER,
            NewValue::Editable(_) => HEAP | EDITED,
            NewValue::Object(object) => OBJECT | (object.view().value_type() as u8) << TYPE_SHIFT,
        }
    }
}

const fn payload_offset(tag: u8) -> usize {
    HEADER + ((tag & EXPIRY) as usize) * 2
}

/// Bytes of the payload by kind, a byte each.
const PAYLOAD_BYTES: u32 = u32::from_le_bytes([0, 8, 8, OBJECT_BYTES as u8]);

const fn key_length_offset(tag: u8) -> usize {
    payload_offset(tag) + ((PAYLOAD_BYTES >> ((tag & KIND) * 8)) & 0xFF) as usize
}

const fn total_size(tag: u8, key: usize, value: usize) -> usize {
    let key_length = if key < 255 { 1 } else { 5 };
    let value = if tag & KIND == EMBEDDED { 1 + value } else { 0 };
    // Rounded to what the allocator gives anyway, so that a value may change in place within it.
    (key_length_offset(tag) + key_length + key + value + 7) & !7
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("an entry's size fits")
}

impl Entry {
    /// Makes an entry; `clock` is the access clock (24 bits) and `expiry` milliseconds since the epoch.
    ///
    /// # Panics
    /// If the key's length does not fit 32 bits, as that of elements of collections has to (`varint`, listpacks).
    pub fn new(key: &[u8], value: NewValue<'_>, expiry: Option<i64>, clock: u32) -> Entry {
        let value = match value {
            NewValue::Text(bytes) => match text_as_integer(bytes) {
                Some(integer) => NewValue::Integer(integer),
                None => NewValue::Verbatim(bytes),
            },
            other => other,
        };
        let tag = value.tag() | if expiry.is_some() { EXPIRY } else { 0 };
        let embedded: &[u8] = match &value {
            NewValue::Verbatim(bytes) if tag & KIND == EMBEDDED => bytes,
            _ => &[],
        };
        // What is longer than its length says would be freed as something smaller.
        assert!(u32::try_from(key.len()).is_ok(), "a key is below 4 GiB");
        let size = total_size(tag, key.len(), embedded.len());
        // SAFETY: the size is never 0; every field that the tag announces is written within `size`.
        unsafe {
            let pointer = alloc(layout(size));
            let Some(base) = NonNull::new(pointer) else { handle_alloc_error(layout(size)) };
            pointer.cast::<u32>().write(u32::from(tag) | clock << 8);
            if let Some(expiry) = expiry {
                pointer.add(HEADER).cast::<i64>().write_unaligned(expiry);
            }
            let payload = pointer.add(payload_offset(tag));
            match value {
                NewValue::Text(bytes) | NewValue::Verbatim(bytes) if tag & KIND == HEAP => {
                    payload.cast::<*mut Vec<u8>>().write_unaligned(Box::into_raw(Box::new(bytes.to_vec())));
                }
                NewValue::Text(_) | NewValue::Verbatim(_) => {}
                NewValue::Integer(integer) => payload.cast::<i64>().write_unaligned(integer),
                NewValue::Editable(bytes) => {
                    payload.cast::<*mut Vec<u8>>().write_unaligned(Box::into_raw(Box::new(bytes)));
                }
                NewValue::Object(object) => object.write_to(payload),
            }
            let mut at = key_length_offset(tag);
            if key.len() < 255 {
                pointer.add(at).write(key.len() as u8);
                at += 1;
            } else {
                pointer.add(at).write(255);
                pointer.add(at + 1).cast::<u32>().write_unaligned(key.len() as u32);
                at += 5;
            }
            if tag & KIND == EMBEDDED {
                pointer.add(at).write(embedded.len() as u8);
                at += 1;
            }
            std::ptr::copy_nonoverlapping(key.as_ptr(), pointer.add(at), key.len());
            at += key.len();
            std::ptr::copy_nonoverlapping(embedded.as_ptr(), pointer.add(at), embedded.len());
            Entry(base)
        }
    }

    #[inline]
    fn tag(&self) -> u8 {
        // SAFETY: an entry has at least its header.
        unsafe { self.0.as_ptr().read() }
    }

    #[inline]
    fn set_tag(&mut self, tag: u8) {
        // SAFETY: an entry has at least its header.
        unsafe { self.0.as_ptr().write(tag) }
    }

    /// Where the key begins, the key's length, and the embedded value's length.
    #[inline]
    fn parts(&self) -> (usize, usize, usize) {
        let tag = self.tag();
        let mut at = key_length_offset(tag);
        // SAFETY: the fields are where the tag says, as `new` wrote them.
        unsafe {
            let pointer = self.0.as_ptr();
            let mut key = usize::from(pointer.add(at).read());
            at += 1;
            if key == 255 {
                key = pointer.add(at).cast::<u32>().read_unaligned() as usize;
                at += 4;
            }
            let mut value = 0;
            if tag & KIND == EMBEDDED {
                value = usize::from(pointer.add(at).read());
                at += 1;
            }
            (at, key, value)
        }
    }

    /// Where the payload is, if there is one.
    #[inline]
    fn payload(&self) -> *mut u8 {
        // SAFETY: within the allocation, or behind its last byte but one field.
        unsafe { self.0.as_ptr().add(payload_offset(self.tag())) }
    }

    /// The buffer of a string that has one.
    #[inline]
    fn buffer(&self) -> *mut Vec<u8> {
        // SAFETY: called only for that kind, whose payload is a pointer.
        unsafe { self.payload().cast::<*mut Vec<u8>>().read_unaligned() }
    }

    /// The type of a collection.
    #[inline]
    fn object_type(&self) -> Type {
        Type::from_number(self.tag() >> TYPE_SHIFT & TYPE_BITS)
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'_> {
        match self.text() {
            Some(text) => Value::Text(text),
            // SAFETY: what is no text is a collection, whose type the tag says.
            None => Value::Object(unsafe { ObjectRef::at(self.object_type(), self.payload()) }),
        }
    }

    /// The value, if it is a string.
    #[inline]
    pub fn text(&self) -> Option<Text<'_>> {
        match self.tag() & KIND {
            EMBEDDED => {
                let (at, key, value) = self.parts();
                // SAFETY: the value's bytes follow the key's within the allocation.
                Some(Text::Bytes(unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at + key), value) }))
            }
            // SAFETY: the payload is an integer.
            INTEGER => Some(Text::Integer(unsafe { self.payload().cast::<i64>().read_unaligned() })),
            // SAFETY: this entry owns the buffer.
            HEAP => Some(Text::Bytes(unsafe { &*self.buffer() })),
            _ => None,
        }
    }

    /// The value, if it is a collection.
    #[inline]
    pub fn object(&self) -> Option<ObjectRef<'_>> {
        if self.tag() & KIND == OBJECT {
            // SAFETY: the payload is a collection, whose type the tag says.
            Some(unsafe { ObjectRef::at(self.object_type(), self.payload()) })
        } else {
            None
        }
    }

    /// The value, if it is a collection, for changing it.
    #[inline]
    pub fn object_mut(&mut self) -> Option<ObjectMut<'_>> {
        if self.tag() & KIND == OBJECT {
            // SAFETY: as in `object`, and the entry is borrowed mutably.
            Some(unsafe { ObjectMut::at(self.object_type(), self.payload()) })
        } else {
            None
        }
    }

    /// Whether it is being saved in slices.
    #[inline]
    pub fn is_walked(&self) -> bool {
        self.object().is_some_and(ObjectRef::is_walked)
    }

    /// The value's type.
    #[inline]
    pub fn value_type(&self) -> Type {
        // A string has no number there, which is the number of a string.
        self.object_type()
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            Value::Text(Text::Integer(_)) => "int",
            Value::Text(Text::Bytes(bytes)) if bytes.len() <= 44 && self.tag() & EDITED == 0 => "embstr",
            Value::Text(_) => "raw",
            Value::Object(object) => object.encoding(),
        }
    }

    /// Changes an integer in place; false if the value is not stored as one.
    #[inline]
    pub fn set_integer(&mut self, value: i64) -> bool {
        if self.tag() & KIND == INTEGER {
            // SAFETY: the payload is an integer.
            unsafe { self.payload().cast::<i64>().write_unaligned(value) };
            return true;
        }
        false
    }

    /// Overwrites an embedded string where the new one fits the same allocation, keeping expiry and clock.
    #[inline]
    pub fn set_text_in_place(&mut self, text: &[u8]) -> bool {
        let tag = self.tag();
        if tag & KIND != EMBEDDED || text.len() > EMBEDDED_MAX {
            return false;
        }
        let (at, key, old) = self.parts();
        if total_size(tag, key, old) != total_size(tag, key, text.len()) || text_as_integer(text).is_some() {
            return false;
        }
        // SAFETY: the allocation has room for the new value, as its rounded size is the same.
        unsafe {
            self.0.as_ptr().add(at - 1).write(text.len() as u8);
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.0.as_ptr().add(at + key), text.len());
        }
        self.set_tag(tag & !EDITED);
        true
    }

    /// The string's bytes for editing in place, if they are in a buffer of their own.
    pub fn editable(&mut self) -> Option<&mut Vec<u8>> {
        let tag = self.tag();
        if tag & KIND != HEAP {
            return None;
        }
        self.set_tag(tag | EDITED);
        // SAFETY: this entry owns the buffer, and is borrowed mutably.
        Some(unsafe { &mut *self.buffer() })
    }

    /// Milliseconds since the epoch at which the key expires.
    #[inline]
    pub fn expiry(&self) -> Option<i64> {
        if self.tag() & EXPIRY == 0 {
            return None;
        }
        // SAFETY: the tag says that the expiry is there.
        Some(unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().read_unaligned() })
    }

    /// Whether the key has expired at `now` (milliseconds since the epoch).
    #[inline]
    pub fn is_expired(&self, now: i64) -> bool {
        self.expiry().is_some_and(|expiry| expiry <= now)
    }

    /// The same entry with another expiry; reallocates only when there was none or shall be none.
    pub fn with_expiry(self, expiry: Option<i64>) -> Entry {
        if let (Some(_), Some(new)) = (self.expiry(), expiry) {
            // SAFETY: the tag says that the expiry is there.
            unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().write_unaligned(new) };
            return self;
        }
        if self.expiry() == expiry {
            return self;
        }
        self.rebuilt(None, expiry)
    }

    /// The same value under another key (RENAME), with the same expiry.
    pub fn with_key(self, key: &[u8]) -> Entry {
        let expiry = self.expiry();
        self.rebuilt(Some(key), expiry)
    }

    fn rebuilt(self, key: Option<&[u8]>, expiry: Option<i64>) -> Entry {
        // The value moves to the new entry, so that only the allocation is left to free.
        let old = ManuallyDrop::new(self);
        let tag = old.tag();
        let value = match (tag & KIND, old.text()) {
            // SAFETY: this entry owned the buffer, which comes from a box.
            (HEAP, _) => NewValue::Editable(*unsafe { Box::from_raw(old.buffer()) }),
            (_, Some(Text::Integer(value))) => NewValue::Integer(value),
            (_, Some(Text::Bytes(bytes))) => NewValue::Verbatim(bytes),
            // SAFETY: what is no text is a collection, whose type the tag says.
            (_, None) => NewValue::Object(unsafe { Object::read_from(old.object_type(), old.payload()) }),
        };
        let mut made = Entry::new(key.unwrap_or(table::Entry::key(&*old)), value, expiry, old.clock());
        let new_tag = made.tag();
        made.set_tag((new_tag & !(EDITED | MARK)) | (tag & (EDITED | MARK)));
        // SAFETY: the old entry is not used again.
        unsafe { old.free() };
        made
    }

    /// Frees the allocation, not what hangs on it.
    ///
    /// # Safety
    /// The entry is not used again.
    unsafe fn free(&self) {
        let (_, key, value) = self.parts();
        // SAFETY: the size is computed as it was in `new`.
        unsafe { dealloc(self.0.as_ptr(), layout(total_size(self.tag(), key, value))) }
    }

    /// Whether the entry has the mark. While a snapshot is taken, an entry whose mark differs from its shard's is still to be
    /// saved; at other times no entry's differs.
    #[inline]
    pub fn mark(&self) -> bool {
        self.tag() & MARK != 0
    }

    /// Sets or takes away the mark, which is no part of the value: a snapshot that reads an entry sets it.
    #[inline]
    pub(crate) fn set_mark(&self, mark: bool) {
        let tag = self.tag() & !MARK;
        // SAFETY: an entry has at least its header, to which no reference exists; entries are not shared between threads.
        unsafe { self.0.as_ptr().write(if mark { tag | MARK } else { tag }) }
    }

    /// The access clock: 24 bits whose meaning is the eviction policy's.
    #[inline]
    pub fn clock(&self) -> u32 {
        // SAFETY: an entry has at least its header, at an address aligned to 8.
        unsafe { self.0.as_ptr().cast::<u32>().read() >> 8 }
    }

    /// Sets the access clock; writes only when it differs, so that a read leaves the cache line clean.
    #[inline]
    pub fn set_clock(&self, clock: u32) {
        // SAFETY: as in `clock`; no reference to the header exists, and entries are not shared between threads.
        unsafe {
            let pointer = self.0.as_ptr().cast::<u32>();
            let word = (pointer.read() & 0xFF) | clock << 8;
            if pointer.read() != word {
                pointer.write(word);
            }
        }
    }

    /// Bytes of the allocation itself.
    pub fn allocated_bytes(&self) -> usize {
        let (_, key, value) = self.parts();
        size_class(total_size(self.tag(), key, value))
    }

    /// Bytes of the entry with its value; collections with more than `samples` elements are estimated (0: count all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let value = match self.tag() & KIND {
            // SAFETY: this entry owns the buffer.
            HEAP => size_class(size_of::<Vec<u8>>()) + size_class(unsafe { (*self.buffer()).capacity() }),
            OBJECT => self.object().map_or(0, |object| object.memory_bytes(samples)),
            _ => 0,
        };
        self.allocated_bytes() + value
    }

    /// How much work freeing the value is, in allocations (bytes count as one per 64 KiB).
    pub fn free_effort(&self) -> usize {
        match self.value() {
            Value::Text(Text::Bytes(bytes)) => bytes.len() >> 16,
            Value::Text(_) => 0,
            Value::Object(object) => object.free_effort(),
        }
    }
}

/// The integer that Redis would store for this string, if it would.
#[inline]
fn text_as_integer(text: &[u8]) -> Option<i64> {
    // Most strings are ruled out by length or first byte, without the call.
    match text.first() {
        Some(b'0'..=b'9' | b'-') if text.len() <= 20 => sherd_types::number::parse_i64(text),
        _ => None,
    }
}

// SAFETY: transparent over NonNull<u8>, owns its allocation, and the key is never changed in place.
unsafe impl table::Entry for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        let (at, key, _) = self.parts();
        // SAFETY: the key's bytes are within the allocation.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), key) }
    }

    #[inline]
    fn is_volatile(&self) -> bool {
        self.tag() & EXPIRY != 0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: the buffer or collection is owned by this entry alone, which is not used again.
        unsafe {
            match self.tag() & KIND {
                HEAP => drop(Box::from_raw(self.buffer())),
                OBJECT => drop(Object::read_from(self.object_type(), self.payload())),
                _ => {}
            }
            self.free();
        }
    }
}

#[cfg(test)]
mod tests;
