//! Inner nodes: for every child its smallest element, that element's score (to search without a cache miss) and the
//! number of elements below (ranks).

use super::node::{partition_between, Block, Child, Link};
use super::Bound;
use crate::zset_element::Element;
use std::ops::Range;

/// Children of an inner node: with the length just under 2048 bytes.
pub const INNER_CAPACITY: usize = 63;

#[repr(C)]
pub struct Inner {
    len: usize,
    scores: [f64; INNER_CAPACITY],
    firsts: [Option<Element>; INNER_CAPACITY],
    pub children: [Child; INNER_CAPACITY],
    pub counts: [usize; INNER_CAPACITY],
}

impl Inner {
    pub fn new() -> Link<Inner> {
        Link::new(Inner {
            len: 0,
            scores: [0.0; INNER_CAPACITY],
            firsts: [None; INNER_CAPACITY],
            children: [Child::null(); INNER_CAPACITY],
            counts: [0; INNER_CAPACITY],
        })
    }

    #[inline]
    fn first_of(&self, index: usize) -> Element {
        self.firsts[index].expect("children within the length have a first element")
    }

    /// Number of children whose smallest element is before the bound.
    #[inline]
    pub fn partition(&self, bound: &Bound) -> usize {
        let candidates = match bound.score() {
            Some(score) => {
                let scores = &self.scores[..self.len];
                let start = scores.partition_point(|&own| own < score);
                let tied = start..start + scores[start..].iter().take_while(|&&own| own == score).count();
                if let Bound::Score { after_ties, .. } = bound {
                    return if *after_ties { tied.end } else { tied.start };
                }
                tied
            }
            None => 0..self.len,
        };
        partition_between(candidates, |index| bound.is_after(self.first_of(index)))
    }

    /// Whether the child at the index, if there is one, begins with that very element.
    #[inline]
    pub fn is_first(&self, index: usize, element: Element) -> bool {
        index < self.len && self.firsts[index] == Some(element)
    }

    pub fn set_first(&mut self, index: usize, first: Element) {
        self.firsts[index] = Some(first);
        self.scores[index] = first.score();
    }

    /// Brings a child's smallest element and count up to date.
    pub fn refresh<B: Block>(&mut self, index: usize) {
        let child = self.children[index].link::<B>();
        self.set_first(index, child.first());
        self.counts[index] = child.total();
    }

    pub fn insert<B: Block>(&mut self, index: usize, child: Link<B>) {
        let len = self.len;
        self.scores[..=len].copy_within(index..len, index + 1);
        self.firsts[..=len].copy_within(index..len, index + 1);
        self.children[..=len].copy_within(index..len, index + 1);
        self.counts[..=len].copy_within(index..len, index + 1);
        self.len += 1;
        self.children[index] = child.into();
        self.refresh::<B>(index);
    }

    pub fn remove(&mut self, range: Range<usize>) {
        let len = self.len;
        self.scores.copy_within(range.end..len, range.start);
        self.firsts.copy_within(range.end..len, range.start);
        self.children.copy_within(range.end..len, range.start);
        self.counts.copy_within(range.end..len, range.start);
        self.len -= range.len();
    }

    /// The child that holds the element of that rank, and the rank within it; the rank must be below the total.
    #[inline]
    pub fn child_of_rank(&self, mut rank: usize) -> (usize, usize) {
        let mut index = 0;
        while rank >= self.counts[index] {
            rank -= self.counts[index];
            index += 1;
        }
        (index, rank)
    }

    fn copy_from(&mut self, at: usize, other: &Inner, range: Range<usize>) {
        let to = at..at + range.len();
        self.scores[to.clone()].copy_from_slice(&other.scores[range.clone()]);
        self.firsts[to.clone()].copy_from_slice(&other.firsts[range.clone()]);
        self.children[to.clone()].copy_from_slice(&other.children[range.clone()]);
        self.counts[to].copy_from_slice(&other.counts[range]);
    }

    #[cfg(test)]
    pub fn key(&self, index: usize) -> (f64, Element) {
        (self.scores[index], self.first_of(index))
    }
}

impl Child {
    /// The child as a inner node, which by its height it is.
    #[inline]
    pub fn inner(self) -> Link<Inner> {
        self.link()
    }
}

impl Block for Inner {
    const CAPACITY: usize = INNER_CAPACITY;

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    fn first(&self) -> Element {
        self.first_of(0)
    }

    fn total(&self) -> usize {
        self.counts[..self.len].iter().sum()
    }

    fn take_front_of(&mut self, right: &mut Inner, count: usize) {
        self.copy_from(self.len, right, 0..count);
        self.len += count;
        right.remove(0..count);
    }

    fn give_back_to(&mut self, right: &mut Inner, count: usize) {
        let right_len = right.len;
        right.scores.copy_within(0..right_len, count);
        right.firsts.copy_within(0..right_len, count);
        right.children.copy_within(0..right_len, count);
        right.counts.copy_within(0..right_len, count);
        right.copy_from(0, self, self.len - count..self.len);
        right.len += count;
        self.len -= count;
    }
}

const _: () = assert!(size_of::<Inner>() <= 2048);
