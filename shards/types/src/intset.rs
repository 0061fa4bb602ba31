//! A sorted array of integers, in the exact binary format of Redis: the compact form of a set that has only integers.
//!
//! `bytes an element: 2, 4 or 8 (u32) | number of elements (u32) | elements, ascending`, all little-endian. The width
//! is that of the widest element ever added: adding a wider one rewrites the array, removing it does not narrow it
//! back, exactly as in Redis, so that DUMP and RDB bytes are the same. Membership is a binary search.
//!
//! One thin pointer to a block of [`super::allocation`], because the header states the length.

use std::ptr::NonNull;

use super::allocation;
use crate::mover::Mover;

const HEADER_BYTES: usize = 8;

/// How many elements fit the 32-bit count with the widest elements in a block of at most 1 GiB.
const ELEMENTS_MAX: usize = (1 << 30) / 8;

/// The owned set of integers. See the module's description.
#[repr(C, packed)]
pub struct Intset {
    start: NonNull<u8>,
}

// SAFETY: the allocation has one owner and holds plain bytes.
unsafe impl Send for Intset {}
// SAFETY: shared references only read.
unsafe impl Sync for Intset {}

/// Bytes that `value` needs.
#[inline]
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// The little-endian integer that `bytes` (2, 4 or 8) hold.
#[inline]
fn decode(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("widths are 2, 4 or 8"),
    }
}

impl Intset {
    /// An empty set, of the narrowest width.
    pub fn new() -> Self {
        Self { start: allocation::allocate(&[2, 0, 0, 0, 0, 0, 0, 0]) }
    }

    /// Adopts bytes from a file or a client: a known width, the stated length, not empty, strictly ascending.
    pub fn from_bytes_validated(bytes: &[u8]) -> Option<Self> {
        let width = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let length = u32::from_le_bytes(bytes.get(4..HEADER_BYTES)?.try_into().ok()?) as usize;
        let elements = &bytes[HEADER_BYTES..];
        if !matches!(width, 2 | 4 | 8) || length == 0 || length > ELEMENTS_MAX || elements.len() != length * width {
            return None;
        }
        let ascending = elements.chunks_exact(width).map(decode).is_sorted_by(|left, right| left < right);
        ascending.then(|| Self { start: allocation::allocate(bytes) })
    }

    /// Gives up ownership as a bare pointer, to be stored in a tagged word.
    pub fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).start
    }

    /// Takes ownership back.
    ///
    /// # Safety
    /// `start` comes from [`Self::into_raw`] and is not used again.
    pub unsafe fn from_raw(start: NonNull<u8>) -> Self {
        Self { start }
    }

    #[inline]
    fn header(&self) -> (usize, usize) {
        // SAFETY: every block holds at least the header; read_unaligned needs no alignment.
        let [width, length] = unsafe { self.start.as_ptr().cast::<[u32; 2]>().read_unaligned() };
        (u32::from_le(width) as usize, u32::from_le(length) as usize)
    }

    #[inline]
    fn width(&self) -> usize {
        self.header().0
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.header().1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of [`Self::as_bytes`].
    #[inline]
    pub fn byte_size(&self) -> usize {
        let (width, length) = self.header();
        HEADER_BYTES + width * length
    }

    /// Moves the bytes elsewhere if they are to be moved.
    pub fn relocate(&mut self, mover: &mut Mover<'_>) {
        let (start, length) = (self.start, self.byte_size());
        // SAFETY: the block has this length, and the result replaces it.
        self.start = unsafe { allocation::relocate(start, length, mover) };
    }

    /// Bytes asked of the allocator.
    pub fn allocated_bytes(&self) -> usize {
        allocation::capacity_for(self.byte_size())
    }

    /// The whole set as stored, dumped and replicated.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the header states how many bytes of the block are initialised; the borrow of self keeps it unchanged.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.byte_size()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in as_bytes, and the exclusive borrow of self excludes other references.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.byte_size()) }
    }

    /// The element at `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.element(index))
    }

    #[inline]
    fn element(&self, index: usize) -> i64 {
        let width = self.width();
        let at = HEADER_BYTES + index * width;
        decode(&self.as_bytes()[at..at + width])
    }

    fn write_element(&mut self, index: usize, value: i64) {
        let width = self.width();
        let at = HEADER_BYTES + index * width;
        self.bytes_mut()[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }

    /// The elements in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone + '_ {
        self.as_bytes()[HEADER_BYTES..].chunks_exact(self.width()).map(decode)
    }

    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// Where `value` is, or where it belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Sets are often filled in ascending order: the end is the likeliest place.
        if high > 0 && value > self.element(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.element(middle).cmp(&value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Adds `value`; false if it is there already.
    ///
    /// # Panics
    /// At 2^27 elements; sets convert far below.
    pub fn insert(&mut self, value: i64) -> bool {
        let (width, length) = self.header();
        assert!(length < ELEMENTS_MAX, "a set converts before it has 2^27 integers");
        if width_of(value) > width {
            self.widen_and_insert(value, width_of(value));
            return true;
        }
        let Err(index) = self.search(value) else { return false };
        let at = HEADER_BYTES + index * width;
        let end = self.set_shape(width, length + 1) - width;
        self.bytes_mut().copy_within(at..end, at + width);
        self.write_element(index, value);
        true
    }

    /// A value wider than all others is the smallest or the largest.
    fn widen_and_insert(&mut self, value: i64, new_width: usize) {
        let elements: Vec<i64> = self.iter().collect();
        self.set_shape(new_width, elements.len() + 1);
        let shift = usize::from(value < 0);
        for (index, element) in elements.iter().enumerate() {
            self.write_element(index + shift, *element);
        }
        self.write_element(if value < 0 { 0 } else { elements.len() }, value);
    }

    /// Removes `value`; false if it is not there.
    pub fn remove(&mut self, value: i64) -> bool {
        let (width, length) = self.header();
        if width_of(value) > width {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let at = HEADER_BYTES + index * width;
        self.bytes_mut().copy_within(at + width.., at);
        self.set_shape(width, length - 1);
        true
    }

    /// Changes width and length in the header and the block's size with them; returns the new size in bytes.
    fn set_shape(&mut self, width: usize, length: usize) -> usize {
        let old_bytes = self.byte_size();
        let new_bytes = HEADER_BYTES + width * length;
        // SAFETY: the block's length is old_bytes; the result replaces the pointer.
        self.start = unsafe { allocation::resize(self.start, old_bytes, new_bytes) };
        // SAFETY: the block holds at least the header; write_unaligned needs no alignment.
        unsafe {
            self.start.as_ptr().cast::<[u32; 2]>().write_unaligned([(width as u32).to_le(), (length as u32).to_le()])
        };
        new_bytes
    }
}

impl Drop for Intset {
    fn drop(&mut self) {
        // SAFETY: the block has this length, and nothing uses it afterwards.
        unsafe { allocation::free(self.start, self.byte_size()) }
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        Self { start: allocation::allocate(self.as_bytes()) }
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "tests/intset.rs"]
mod tests;
