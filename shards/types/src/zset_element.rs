//! One member of a sorted set: score, length and bytes in a single allocation behind a thin pointer.
//!
//! Layout: `score: f64 | length: LEB128 | member bytes`, aligned to 8. A 16-byte member takes 25 bytes, one 32-byte
//! block of the allocator. The hash table and the tree's leaves both hold the same 8-byte pointer, so a member is
//! stored once and a score changes in one place.
//!
//! Rejected: `Box<[u8]>` members (a fat pointer in the table and in the leaf costs 16 bytes a member more) and the score
//! in the leaf only (ZSCORE would then need the tree).
//!
//! An `Element` is a plain copyable handle without ownership: the set that made it frees it exactly once.

use crate::mover::Mover;
use crate::table::prefetch;
use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::cmp::Ordering;
use std::ptr::{self, NonNull};

/// Bits of an address that a user-space pointer uses; the leaves keep a search tag in the rest.
pub const ADDRESS_BITS: u32 = 48;

const SCORE_BYTES: usize = size_of::<f64>();

/// A thin handle to one allocated member with its score.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element(NonNull<u8>);

// SAFETY: the block behind the handle is plain bytes without thread affinity; the owning set decides who touches it.
unsafe impl Send for Element {}
// SAFETY: as above: shared access only reads plain bytes, writing goes through `&mut` of the owning set.
unsafe impl Sync for Element {}

impl Element {
    /// Allocates a member. The caller owns it and ends it with [`Element::free`].
    pub fn new(score: f64, member: &[u8]) -> Element {
        let (prefix, prefix_len) = encode_length(member.len());
        let layout = layout(prefix_len, member.len());
        // SAFETY: the layout is never zero-sized, it starts with a score.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        // The leaves rely on this; user space hands out higher addresses only to programs that ask for them.
        assert!((block.as_ptr().addr() as u64) >> ADDRESS_BITS == 0, "address beyond {ADDRESS_BITS} bits");
        // SAFETY: the block has room for score, prefix and member, one after the other, and the score is aligned.
        unsafe {
            block.cast::<f64>().write(score);
            let after_score = block.as_ptr().add(SCORE_BYTES);
            ptr::copy_nonoverlapping(prefix.as_ptr(), after_score, prefix_len);
            ptr::copy_nonoverlapping(member.as_ptr(), after_score.add(prefix_len), member.len());
        }
        Element(block)
    }

    /// A copy in another place, if it is to be moved: the caller puts the copy wherever this one was, and frees this one.
    pub fn copy_to_move(self, mover: &mut Mover<'_>) -> Option<Element> {
        if !mover.wants(self.0) {
            return None;
        }
        mover.hits += 1;
        Some(Element::new(self.score(), self.member()))
    }

    /// Returns the block to the allocator.
    ///
    /// # Safety
    /// No copy of this handle may be used afterwards.
    pub unsafe fn free(self) {
        let (prefix_len, member_len) = self.lengths();
        // SAFETY: the block came from `alloc` with exactly this layout; the caller promises that nobody uses it again.
        unsafe { dealloc(self.0.as_ptr(), layout(prefix_len, member_len)) }
    }

    #[inline]
    pub fn score(self) -> f64 {
        // SAFETY: a live element starts with an aligned, initialised score.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// Changes the score; whoever orders elements by it must move this one.
    #[inline]
    pub fn set_score(self, score: f64) {
        // SAFETY: a live element starts with an aligned score; the owning set holds `&mut` while it changes one.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    /// The member's bytes, valid as long as the element lives (the caller picks a lifetime within its set's borrow).
    #[inline]
    pub fn member<'a>(self) -> &'a [u8] {
        let (prefix_len, member_len) = self.lengths();
        // SAFETY: a live element holds that many initialised bytes after its prefix.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(SCORE_BYTES + prefix_len), member_len) }
    }

    /// Order of a sorted set: by score, then by member bytes. Scores are never NaN, and -0 equals 0.
    #[inline]
    pub fn compare(self, score: f64, member: &[u8]) -> Ordering {
        let own = self.score();
        if own < score {
            Ordering::Less
        } else if own > score {
            Ordering::Greater
        } else {
            self.member().cmp(member)
        }
    }

    /// Bytes the allocator sets aside for this member.
    pub fn allocated_bytes(self) -> usize {
        let (prefix_len, member_len) = self.lengths();
        sherd_metrics::memory::size_class(SCORE_BYTES + prefix_len + member_len)
    }

    #[inline]
    pub fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// The handle behind an address that [`Element::address`] gave.
    ///
    /// # Safety
    /// The address must come from a live element.
    #[inline]
    pub unsafe fn from_address(address: u64) -> Element {
        let pointer = ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: the caller promises the address of a live element, which is never null.
        Element(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Asks the processor to fetch the element's first cache line.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }

    #[inline]
    fn lengths(self) -> (usize, usize) {
        // SAFETY: a live element has at least one prefix byte after its score.
        let first = unsafe { self.0.as_ptr().add(SCORE_BYTES).read() };
        if first < 0x80 {
            return (1, first as usize);
        }
        self.long_lengths()
    }

    #[cold]
    fn long_lengths(self) -> (usize, usize) {
        let (mut length, mut shift, mut count) = (0usize, 0, 0);
        loop {
            // SAFETY: every prefix byte but the last has its high bit set, so the next one belongs to the prefix.
            let byte = unsafe { self.0.as_ptr().add(SCORE_BYTES + count).read() };
            length |= ((byte & 0x7f) as usize) << shift;
            count += 1;
            shift += 7;
            if byte < 0x80 {
                return (count, length);
            }
        }
    }
}

fn encode_length(mut length: usize) -> ([u8; 10], usize) {
    let mut bytes = [0u8; 10];
    let mut count = 0;
    while length >= 0x80 {
        bytes[count] = (length as u8 & 0x7f) | 0x80;
        length >>= 7;
        count += 1;
    }
    bytes[count] = length as u8;
    (bytes, count + 1)
}

fn layout(prefix_len: usize, member_len: usize) -> Layout {
    Layout::from_size_align(SCORE_BYTES + prefix_len + member_len, SCORE_BYTES)
        .expect("a member fits in the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_returns_its_score_and_member_for_every_prefix_length() {
        for length in [0usize, 1, 16, 127, 128, 300, 16_383, 16_384, 70_000, 2_097_152] {
            let member: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let element = Element::new(1.5, &member);
            assert_eq!(element.member(), &member[..]);
            assert_eq!(element.score(), 1.5);
            element.set_score(-2.0);
            assert_eq!(element.score(), -2.0);
            assert_eq!(element.member(), &member[..]);
            // SAFETY: the address is that of the live element above.
            assert_eq!(unsafe { Element::from_address(element.address()) }, element);
            // SAFETY: the element is not used after this line.
            unsafe { element.free() };
        }
    }

    #[test]
    fn elements_order_by_score_then_by_member_and_treat_both_zeros_alike() {
        let element = Element::new(0.0, b"b");
        assert_eq!(element.compare(-0.0, b"b"), Ordering::Equal);
        assert_eq!(element.compare(-0.0, b"a"), Ordering::Greater);
        assert_eq!(element.compare(1.0, b"a"), Ordering::Less);
        assert_eq!(element.compare(f64::NEG_INFINITY, b"z"), Ordering::Greater);
        // SAFETY: the element is not used after this line.
        unsafe { element.free() };
    }
}
