//! A field and its value in one allocation: an entry of a hash's table.
//!
//! `flags (1) | expiry in ms (8, if flagged) | length of the field | length of the value | field | value`, lengths as
//! [`super::super::varint`]. Three bytes of overhead for short pairs without expiry; the block's capacity follows from
//! these lengths ([`super::super::allocation`]), so a new value of a similar length is written in place.

use std::ptr::NonNull;

use super::super::{allocation, varint};
use crate::mover::Mover;
use crate::table::Entry;
use crate::walk::{Element, Walked};

const FLAG_EXPIRY: u8 = 1;
const EXPIRY_BYTES: usize = 8;
/// Flags, expiry and two lengths of five bytes each.
const HEADER_MAX: usize = 1 + EXPIRY_BYTES + 10;

/// See the [module](self).
#[repr(transparent)]
pub struct Pair(NonNull<u8>);

// SAFETY: the allocation has one owner and holds plain bytes.
unsafe impl Send for Pair {}
// SAFETY: shared references only read.
unsafe impl Sync for Pair {}

/// Where the parts of a pair are, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Layout {
    field: usize,
    value: usize,
    end: usize,
}

impl Pair {
    /// A pair, with the time in milliseconds at which it expires if it does.
    pub fn new(field: &[u8], value: &[u8], expiry: Option<u64>) -> Self {
        let mut header = [0; HEADER_MAX];
        let header_len = write_header(&mut header, field.len(), value.len(), expiry);
        Self(allocation::allocate_parts([&header[..header_len], field, value]))
    }

    #[inline]
    fn layout(&self) -> Layout {
        let start = self.0.as_ptr();
        // SAFETY: a pair starts with a complete header: the flags, the expiry if flagged, and two lengths.
        unsafe {
            let mut at = if *start & FLAG_EXPIRY == 0 { 1 } else { 1 + EXPIRY_BYTES };
            let (field_len, size) = varint::read(start.add(at));
            at += size;
            let (value_len, size) = varint::read(start.add(at));
            at += size;
            Layout { field: at, value: at + field_len, end: at + field_len + value_len }
        }
    }

    #[inline]
    fn bytes(&self, from: usize, to: usize) -> &[u8] {
        // SAFETY: callers pass bounds of `layout`, inside the initialised block; the borrow of self keeps it unchanged.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(from), to - from) }
    }

    fn bytes_mut(&mut self, total: usize) -> &mut [u8] {
        // SAFETY: callers pass the block's length, all of it initialised; self is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), total) }
    }

    #[inline]
    pub fn field(&self) -> &[u8] {
        let layout = self.layout();
        self.bytes(layout.field, layout.value)
    }

    #[inline]
    pub fn value(&self) -> &[u8] {
        let layout = self.layout();
        self.bytes(layout.value, layout.end)
    }

    #[inline]
    pub fn field_and_value(&self) -> (&[u8], &[u8]) {
        let layout = self.layout();
        (self.bytes(layout.field, layout.value), self.bytes(layout.value, layout.end))
    }

    /// Moves the pair elsewhere if it is to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        // SAFETY: the block has this length, and the result replaces it.
        self.0 = unsafe { allocation::relocate(self.0, self.layout().end, mover) };
    }

    /// When the pair expires, in the milliseconds that were set.
    pub fn expiry(&self) -> Option<u64> {
        self.is_volatile().then(|| {
            let bytes = self.bytes(1, 1 + EXPIRY_BYTES);
            u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
        })
    }

    /// Whether the pair has expired at `now`.
    #[inline]
    pub fn is_expired(&self, now: u64) -> bool {
        self.is_volatile() && self.expiry().is_some_and(|expiry| expiry <= now)
    }

    /// Replaces the value, in place if the block's size stays.
    pub fn set_value(&mut self, value: &[u8]) {
        let old = self.layout();
        let header_grows = varint::size(value.len()) != varint::size(old.end - old.value);
        if header_grows {
            *self = Self::new(self.field(), value, self.expiry());
            return;
        }
        let new_end = old.value + value.len();
        // SAFETY: the block's length is old.end; the result replaces the pointer.
        self.0 = unsafe { allocation::resize(self.0, old.end, new_end) };
        let length_size = varint::size(value.len());
        let bytes = self.bytes_mut(new_end);
        varint::write(value.len(), &mut bytes[old.field - length_size..]);
        bytes[old.value..].copy_from_slice(value);
    }

    /// Sets or removes the expiry.
    pub fn set_expiry(&mut self, expiry: Option<u64>) {
        match (expiry, self.is_volatile()) {
            (Some(time), true) => {
                let end = self.layout().end;
                self.bytes_mut(end)[1..1 + EXPIRY_BYTES].copy_from_slice(&time.to_le_bytes());
            }
            (None, false) => {}
            _ => {
                let (field, value) = self.field_and_value();
                *self = Self::new(field, value, expiry);
            }
        }
    }

    /// Bytes asked of the allocator.
    pub fn allocated_bytes(&self) -> usize {
        allocation::capacity_for(self.layout().end)
    }
}

fn write_header(header: &mut [u8; HEADER_MAX], field_len: usize, value_len: usize, expiry: Option<u64>) -> usize {
    let mut at = 1;
    if let Some(time) = expiry {
        header[0] = FLAG_EXPIRY;
        header[1..1 + EXPIRY_BYTES].copy_from_slice(&time.to_le_bytes());
        at += EXPIRY_BYTES;
    }
    at += varint::write(field_len, &mut header[at..]);
    at + varint::write(value_len, &mut header[at..])
}

// SAFETY: transparent over NonNull<u8>, owns its block, and no method changes the field.
unsafe impl Entry for Pair {
    #[inline]
    fn key(&self) -> &[u8] {
        self.field()
    }

    #[inline]
    fn is_volatile(&self) -> bool {
        // SAFETY: a pair starts with its flags.
        unsafe { *self.0.as_ptr() & FLAG_EXPIRY != 0 }
    }
}

impl Walked for Pair {
    fn element(&self) -> Element<'_> {
        let (name, value) = self.field_and_value();
        Element { name, value, expiry: self.expiry(), score: 0.0 }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: the block has this length, and nothing uses it afterwards.
        unsafe { allocation::free(self.0, self.layout().end) }
    }
}
