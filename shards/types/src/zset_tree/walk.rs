//! Positions in the tree and iteration from them in both directions.
//!
//! An iterator runs a second cursor ahead of itself that only prefetches elements: every element is its own allocation,
//! and without that a walk would wait for memory at each of them.

use super::leaf::Leaf;
use super::node::{Block, Link};
use super::{Bound, Tree};
use crate::table::prefetch;
use crate::zset_element::Element;
use std::marker::PhantomData;

/// Elements that the prefetching cursor is ahead; covers a memory latency at a few nanoseconds an element.
const AHEAD: usize = 12;
const CACHE_LINE_BYTES: usize = 64;

/// A place in the tree: a leaf, an index there, and the number of elements before it.
#[derive(Clone, Copy)]
pub struct Position<'a> {
    leaf: Link<Leaf>,
    index: usize,
    rank: usize,
    tree: PhantomData<&'a Tree>,
}

impl Position<'_> {
    pub fn rank(&self) -> usize {
        self.rank
    }
}

impl Tree {
    /// The first place at or after the bound.
    pub fn seek(&self, bound: &Bound) -> Position<'_> {
        let (leaf, index, rank) = self.seek_leaf(bound);
        Position { leaf, index, rank, tree: PhantomData }
    }

    /// The place of that rank; beyond the last element it is the tree's end.
    pub fn at(&self, rank: usize) -> Position<'_> {
        let rank = rank.min(self.len);
        let mut node = self.root;
        // The end has no child of its own: look for the last element and step over it.
        let mut within = rank.min(self.len.saturating_sub(1));
        for _ in 0..self.height {
            let inner = node.inner();
            let (index, rest) = inner.child_of_rank(within);
            node = inner.children[index];
            within = rest;
        }
        let index = within + usize::from(rank == self.len && rank > 0);
        Position { leaf: node.leaf(), index, rank, tree: PhantomData }
    }

    /// The element of that rank.
    pub fn get(&self, rank: usize) -> Option<Element> {
        if rank >= self.len {
            return None;
        }
        let position = self.at(rank);
        Some(position.leaf.element(position.index))
    }

    /// Up to `count` elements in ascending order, beginning with the one at the position.
    pub fn forward<'a>(&'a self, from: Position<'a>, count: usize) -> Forward<'a> {
        let count = count.min(self.len - from.rank);
        let cursor = Cursor { leaf: from.leaf, index: from.index };
        let mut ahead = cursor;
        let lead = count.min(AHEAD);
        for _ in 0..lead {
            ahead.next().prefetch();
        }
        cursor.prefetch_next();
        Forward { cursor, ahead, rest: count, ahead_rest: count - lead, tree: PhantomData }
    }

    /// Up to `count` elements in descending order, beginning with the one before the position.
    pub fn backward<'a>(&'a self, from: Position<'a>, count: usize) -> Backward<'a> {
        let count = count.min(from.rank);
        let cursor = Cursor { leaf: from.leaf, index: from.index };
        let mut ahead = cursor;
        let lead = count.min(AHEAD);
        for _ in 0..lead {
            ahead.previous().prefetch();
        }
        cursor.prefetch_previous();
        Backward { cursor, ahead, rest: count, ahead_rest: count - lead, tree: PhantomData }
    }

    /// All elements in ascending order.
    pub fn iter(&self) -> Forward<'_> {
        self.forward(self.at(0), self.len)
    }
}

#[derive(Clone, Copy)]
struct Cursor {
    leaf: Link<Leaf>,
    index: usize,
}

impl Cursor {
    #[inline]
    fn next(&mut self) -> Element {
        if self.index >= self.leaf.len() {
            self.leaf = self.leaf.next;
            self.index = 0;
            self.prefetch_next();
        }
        let element = self.leaf.element(self.index);
        self.index += 1;
        element
    }

    #[inline]
    fn previous(&mut self) -> Element {
        if self.index == 0 {
            self.leaf = self.leaf.previous;
            self.index = self.leaf.len();
            self.prefetch_previous();
        }
        self.index -= 1;
        self.leaf.element(self.index)
    }

    fn prefetch_next(&self) {
        prefetch_leaf(self.leaf.next);
    }

    fn prefetch_previous(&self) {
        prefetch_leaf(self.leaf.previous);
    }
}

fn prefetch_leaf(leaf: Link<Leaf>) {
    if !leaf.is_null() {
        for offset in (0..size_of::<Leaf>()).step_by(CACHE_LINE_BYTES) {
            prefetch(leaf.pointer().cast::<u8>().wrapping_add(offset));
        }
    }
}

pub struct Forward<'a> {
    cursor: Cursor,
    ahead: Cursor,
    rest: usize,
    ahead_rest: usize,
    tree: PhantomData<&'a Tree>,
}

impl Iterator for Forward<'_> {
    type Item = Element;

    #[inline]
    fn next(&mut self) -> Option<Element> {
        self.rest = self.rest.checked_sub(1)?;
        if self.ahead_rest > 0 {
            self.ahead_rest -= 1;
            self.ahead.next().prefetch();
        }
        Some(self.cursor.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest, Some(self.rest))
    }
}

impl ExactSizeIterator for Forward<'_> {}

pub struct Backward<'a> {
    cursor: Cursor,
    ahead: Cursor,
    rest: usize,
    ahead_rest: usize,
    tree: PhantomData<&'a Tree>,
}

impl Iterator for Backward<'_> {
    type Item = Element;

    #[inline]
    fn next(&mut self) -> Option<Element> {
        self.rest = self.rest.checked_sub(1)?;
        if self.ahead_rest > 0 {
            self.ahead_rest -= 1;
            self.ahead.previous().prefetch();
        }
        Some(self.cursor.previous())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest, Some(self.rest))
    }
}

impl ExactSizeIterator for Backward<'_> {}
