//! Leaves: element pointers with tags, in order.
//!
//! A leaf is 512 bytes (a size class of the allocator): 60 slots and its links. A slot is an element's 48-bit address
//! with a 16-bit tag above it. The tag is the score mapped to `0..=0xffff` by the leaf's own `base` and `shift`,
//! saturating at both ends. The mapping never decreases, so slots are ordered by tag and a search reads elements only
//! where tags tie: about one cache miss instead of six, for no memory at all. A mapping that fits badly costs time, never
//! correctness; it is chosen anew when a search meets a long tie between different scores.
//!
//! Rejected: the full score beside the pointer (11 bytes a member at usual fill, over the memory goal).

use super::node::{partition_between, Block, Child, Link};
use super::Bound;
use crate::zset_element::{Element, ADDRESS_BITS};
use std::ops::Range;

/// Slots of a leaf: with the header exactly 512 bytes.
pub const LEAF_CAPACITY: usize = 60;
/// Equal tags a search accepts before it considers a new mapping.
const TIE_MAX: usize = 6;
/// Inserts between two new mappings of a leaf, so that scores no mapping can separate do not pay for it every time.
const MAPPING_AGE_MIN: u8 = 8;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const TAG_MAX: u64 = 0xffff;

/// Maps a score to an integer of the same order; both zeros are one value.
#[inline]
fn ordinal(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// An element's address with its tag.
#[derive(Clone, Copy)]
struct Slot(u64);

impl Slot {
    #[inline]
    fn tag(self) -> u64 {
        self.0 >> ADDRESS_BITS
    }

    #[inline]
    fn element(self) -> Element {
        // SAFETY: a slot within a leaf's length was made from an element that lives as long as it is in the tree.
        unsafe { Element::from_address(self.0 & ADDRESS_MASK) }
    }
}

#[repr(C)]
pub struct Leaf {
    pub previous: Link<Leaf>,
    pub next: Link<Leaf>,
    /// Ordinal of the score that gets tag 0; smaller scores share it.
    base: u64,
    len: u16,
    /// Low bits of the ordinal that the tag leaves out.
    shift: u8,
    /// Inserts since the mapping was chosen.
    age: u8,
    slots: [Slot; LEAF_CAPACITY],
}

impl Leaf {
    pub fn new() -> Link<Leaf> {
        Link::new(Leaf {
            previous: Link::null(),
            next: Link::null(),
            base: 0,
            len: 0,
            shift: 63,
            age: u8::MAX,
            slots: [Slot(0); LEAF_CAPACITY],
        })
    }

    #[inline]
    pub fn element(&self, index: usize) -> Element {
        self.used()[index].element()
    }

    pub fn last(&self) -> Element {
        self.element(self.len() - 1)
    }

    #[inline]
    fn used(&self) -> &[Slot] {
        &self.slots[..self.len as usize]
    }

    #[inline]
    fn tag_of(&self, score: f64) -> u64 {
        (ordinal(score).saturating_sub(self.base) >> self.shift).min(TAG_MAX)
    }

    #[inline]
    fn slot_of(&self, element: Element) -> Slot {
        Slot(self.tag_of(element.score()) << ADDRESS_BITS | element.address())
    }

    /// Slots whose tag equals that of the score; everything left of them is smaller, right of them greater.
    #[inline]
    fn tied_with(&self, score: f64) -> Range<usize> {
        let tag = self.tag_of(score);
        let used = self.used();
        let start = used.partition_point(|slot| slot.tag() < tag);
        let tied = used[start..].iter().take_while(|slot| slot.tag() == tag).count();
        start..start + tied
    }

    /// Number of elements before the bound.
    #[inline]
    pub fn partition(&self, bound: &Bound) -> usize {
        let candidates = match bound.score() {
            Some(score) => self.tied_with(score),
            None => 0..self.len(),
        };
        partition_between(candidates, |index| bound.is_after(self.element(index)))
    }

    /// The same for an insert: chooses a new mapping first if the present one separates badly.
    pub fn partition_for_insert(&mut self, bound: &Bound, score: f64) -> usize {
        if self.age >= MAPPING_AGE_MIN {
            let tied = self.tied_with(score);
            if tied.len() > TIE_MAX && self.element(tied.start).score() != self.element(tied.end - 1).score() {
                self.choose_mapping();
            }
        }
        self.partition(bound)
    }

    /// Index of an element that is in this leaf.
    pub fn index_of(&self, element: Element) -> Option<usize> {
        let mut tied = self.tied_with(element.score());
        let address = element.address();
        tied.find(|&index| self.slots[index].0 & ADDRESS_MASK == address)
    }

    /// Spreads the tags over the present scores, with half their width of room around them.
    pub fn choose_mapping(&mut self) {
        if self.len == 0 {
            return;
        }
        let (low, high) = (ordinal(self.first().score()), ordinal(self.last().score()));
        let room = (high - low) / 4;
        self.base = low.saturating_sub(room);
        let width = high.saturating_add(room) - self.base;
        self.shift = (u64::BITS - width.leading_zeros()).saturating_sub(TAG_MAX.count_ones()) as u8;
        self.age = 0;
        for index in 0..self.len() {
            self.slots[index] = self.slot_of(self.slots[index].element());
        }
    }

    pub fn insert(&mut self, index: usize, element: Element) {
        let slot = self.slot_of(element);
        let len = self.len();
        self.slots[..=len].copy_within(index..len, index + 1);
        self.slots[index] = slot;
        self.len += 1;
        self.age = self.age.saturating_add(1);
    }

    /// Puts another element of the same score in an element's place.
    pub fn replace(&mut self, index: usize, element: Element) {
        self.slots[index] = self.slot_of(element);
    }

    /// Appends without looking at the order; for building.
    pub fn push(&mut self, element: Element) {
        let len = self.len();
        self.slots[len] = self.slot_of(element);
        self.len += 1;
    }

    pub fn remove(&mut self, range: Range<usize>) {
        let len = self.len();
        self.slots.copy_within(range.end..len, range.start);
        self.len -= range.len() as u16;
    }

    /// Brings the slot's tag up to date after the score of its element changed within its place.
    pub fn refresh_tag(&mut self, index: usize) {
        self.slots[index] = self.slot_of(self.slots[index].element());
    }

    /// Share of slots that a search finds by tag alone.
    #[cfg(test)]
    pub fn distinct_tag_share(&self) -> f64 {
        let distinct = 1 + self.used().windows(2).filter(|pair| pair[0].tag() != pair[1].tag()).count();
        distinct as f64 / self.len() as f64
    }

    #[cfg(test)]
    pub fn check(&self) {
        for pair in self.used().windows(2) {
            assert!(pair[0].tag() <= pair[1].tag(), "tags in order");
        }
        for slot in self.used() {
            assert_eq!(slot.tag(), self.tag_of(slot.element().score()), "tag up to date");
        }
    }
}

impl Child {
    /// The child as a leaf, which by its height it is.
    #[inline]
    pub fn leaf(self) -> Link<Leaf> {
        self.link()
    }
}

impl Block for Leaf {
    const CAPACITY: usize = LEAF_CAPACITY;

    #[inline]
    fn len(&self) -> usize {
        self.len as usize
    }

    fn first(&self) -> Element {
        self.element(0)
    }

    fn total(&self) -> usize {
        self.len()
    }

    fn take_front_of(&mut self, right: &mut Leaf, count: usize) {
        let len = self.len();
        for index in 0..count {
            self.slots[len + index] = self.slot_of(right.slots[index].element());
        }
        self.len += count as u16;
        self.age = u8::MAX;
        right.remove(0..count);
    }

    fn give_back_to(&mut self, right: &mut Leaf, count: usize) {
        let (len, right_len) = (self.len(), right.len());
        right.slots.copy_within(0..right_len, count);
        for index in 0..count {
            right.slots[index] = right.slot_of(self.slots[len - count + index].element());
        }
        right.len += count as u16;
        right.age = u8::MAX;
        self.len -= count as u16;
    }

    fn detach(&mut self) {
        let (mut previous, mut next) = (self.previous, self.next);
        if !previous.is_null() {
            previous.next = next;
        }
        if !next.is_null() {
            next.previous = previous;
        }
    }
}

const _: () = assert!(size_of::<Leaf>() == 512);
