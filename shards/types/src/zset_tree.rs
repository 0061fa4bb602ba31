//! A B+tree of elements ordered by (score, member), with subtree counts for ranks.
//!
//! # Layout
//! - this file: the tree itself: search and insert
//! - `leaf.rs`, `inner.rs`: the two kinds of node; `node.rs`: what they share
//! - `build.rs`: building a tree from a sorted run
//! - `remove.rs`: removal, balancing and score changes in place
//! - `defragment.rs`: moving nodes and elements off pages that are to be emptied
//! - `walk.rs`: positions and iteration in both directions
//!
//! Leaves hold 60 element pointers and are linked both ways; inner nodes hold 63 children with their smallest elements
//! and counts, so rank, position of a rank, and count of a range are one or two descents. Memory is what decides:
//! a full leaf first evens out with a neighbour before it splits (about 80 % full after random inserts instead of 69 %),
//! and an insert at either end of the tree opens a fresh node instead of splitting one (ascending loads leave full
//! leaves behind).
//!
//! Alternatives: a skip list (Redis) needs about 33 bytes a member and a cache miss a step; a B-tree over `Vec` nodes
//! in an arena would move megabytes when the arena grows, which breaks the 1 ms bound.
//!
//! The tree does not own its elements: whoever inserts them frees them.

mod build;
mod defragment;
mod inner;
mod leaf;
mod node;
mod remove;
#[cfg(test)]
mod tests;
mod walk;

pub use walk::{Backward, Forward, Position};

use super::zset_element::Element;
use build::{INNER_BULK, LEAF_BULK};
use inner::{Inner, INNER_CAPACITY};
use leaf::{Leaf, LEAF_CAPACITY};
use node::{Block, Child, Link};
use std::cmp::Ordering;

/// Levels of inner nodes; ten levels of at least 21 children are beyond any memory.
const HEIGHT_MAX: usize = 10;
/// Free slots a neighbour must have before a full leaf moves elements there.
const SHIFT_ROOM_MIN: usize = 6;
/// A place between two elements of the order.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// Before or after all elements of that score.
    Score { score: f64, after_ties: bool },
    /// Before the element with that score and member, present or not.
    Key { score: f64, member: &'a [u8] },
    /// By member alone, for sets whose scores are all equal.
    Member { member: &'a [u8], after_ties: bool },
    /// Before everything.
    Lowest,
    /// After everything.
    Highest,
}

impl Bound<'_> {
    #[inline]
    fn score(&self) -> Option<f64> {
        match self {
            Bound::Score { score, .. } | Bound::Key { score, .. } => Some(*score),
            Bound::Member { .. } | Bound::Lowest | Bound::Highest => None,
        }
    }

    /// Whether the element lies before this place.
    #[inline]
    fn is_after(&self, element: Element) -> bool {
        match *self {
            Bound::Score { score, after_ties } => {
                let own = element.score();
                own < score || (after_ties && own == score)
            }
            Bound::Key { score, member } => element.compare(score, member) == Ordering::Less,
            Bound::Member { member, after_ties } => match element.member().cmp(member) {
                Ordering::Less => true,
                Ordering::Equal => after_ties,
                Ordering::Greater => false,
            },
            Bound::Lowest => false,
            Bound::Highest => true,
        }
    }
}

/// One inner node on the way down and the child taken there.
#[derive(Clone, Copy)]
struct Step {
    node: Link<Inner>,
    index: usize,
}

/// The way from the root to a leaf.
struct Path {
    steps: [Step; HEIGHT_MAX],
    depth: usize,
}

impl Path {
    fn new() -> Path {
        Path { steps: [Step { node: Link::null(), index: 0 }; HEIGHT_MAX], depth: 0 }
    }

    fn push(&mut self, node: Link<Inner>, index: usize) {
        self.steps[self.depth] = Step { node, index };
        self.depth += 1;
    }

    fn pop(&mut self) -> Option<Step> {
        self.depth = self.depth.checked_sub(1)?;
        Some(self.steps[self.depth])
    }

    fn last(&self) -> Option<Step> {
        self.steps[..self.depth].last().copied()
    }
}

pub struct Tree {
    root: Child,
    /// Levels of inner nodes above the leaves.
    height: usize,
    len: usize,
}

// SAFETY: a tree is the only holder of its nodes, which have no thread affinity.
unsafe impl Send for Tree {}

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    pub fn new() -> Tree {
        Tree { root: Leaf::new().into(), height: 0, len: 0 }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts an element whose member is not in the tree.
    pub fn insert(&mut self, element: Element) {
        let score = element.score();
        let key = Bound::Key { score, member: element.member() };
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            let mut inner = node.inner();
            let before = inner.partition(&key);
            if before == 0 {
                inner.set_first(0, element);
            }
            let index = before.saturating_sub(1);
            inner.counts[index] += 1;
            path.push(inner, index);
            node = inner.children[index];
        }
        let mut leaf = node.leaf();
        let index = leaf.partition_for_insert(&key, score);
        self.len += 1;
        if leaf.len() < LEAF_CAPACITY {
            leaf.insert(index, element);
        } else {
            self.insert_into_full(path, leaf, index, element);
        }
    }

    fn insert_into_full(&mut self, path: Path, mut leaf: Link<Leaf>, index: usize, element: Element) {
        if index == LEAF_CAPACITY && leaf.next.is_null() {
            let mut right = Leaf::new();
            right.insert(0, element);
            link_after(leaf, right);
            self.insert_child(path, leaf, right, true);
        } else if index == 0 && leaf.previous.is_null() {
            // The fresh leaf takes the elements, the old one the newcomer: then it is a split like any other.
            let mut right = Leaf::new();
            leaf.give_back_to(&mut right, LEAF_CAPACITY);
            right.choose_mapping();
            leaf.insert(0, element);
            link_after(leaf, right);
            self.insert_child(path, leaf, right, false);
        } else if !shift_to_neighbour(&path, leaf, index, element) {
            let mut right = Leaf::new();
            leaf.give_back_to(&mut right, LEAF_CAPACITY / 2);
            right.choose_mapping();
            link_after(leaf, right);
            insert_into_either(leaf, right, index, element);
            self.insert_child(path, leaf, right, false);
        }
    }

    /// Hangs `right` in beside `left`, its new left neighbour; `append` says that it is the last node of its level.
    fn insert_child<B: Block>(&mut self, mut path: Path, left: Link<B>, right: Link<B>, append: bool) {
        let Some(Step { node: mut parent, index }) = path.pop() else {
            let mut root = Inner::new();
            root.insert(0, left);
            root.insert(1, right);
            self.root = root.into();
            self.height += 1;
            assert!(self.height < HEIGHT_MAX, "a tree within memory");
            return;
        };
        parent.refresh::<B>(index);
        if parent.len() < INNER_CAPACITY {
            parent.insert(index + 1, right);
            return;
        }
        let mut sibling = Inner::new();
        if append {
            sibling.insert(0, right);
        } else {
            parent.give_back_to(&mut sibling, INNER_CAPACITY / 2);
            match (index + 1).checked_sub(parent.len()) {
                Some(within) if within > 0 => sibling.insert(within, right),
                _ => parent.insert(index + 1, right),
            }
        }
        self.insert_child(path, parent, sibling, append);
    }

    /// The leaf that an element of that place belongs to, its place there, and the number of elements before it.
    fn seek_leaf(&self, bound: &Bound) -> (Link<Leaf>, usize, usize) {
        let mut node = self.root;
        let mut rank = 0;
        for _ in 0..self.height {
            let inner = node.inner();
            let index = inner.partition(bound).saturating_sub(1);
            rank += inner.counts[..index].iter().sum::<usize>();
            node = inner.children[index];
        }
        let leaf = node.leaf();
        let index = leaf.partition(bound);
        (leaf, index, rank + index)
    }

    /// The leaf that holds the element, the way there and its index.
    fn locate(&self, element: Element) -> Option<(Path, Link<Leaf>, usize)> {
        let (score, member) = (element.score(), element.member());
        let key = Bound::Key { score, member };
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = node.inner();
            let before = inner.partition(&key);
            // The child's own first element is not before the key, but it is in that child.
            let index = if inner.is_first(before, element) { before } else { before.checked_sub(1)? };
            path.push(inner, index);
            node = inner.children[index];
        }
        let leaf = node.leaf();
        let index = leaf.index_of(element)?;
        Some((path, leaf, index))
    }

    /// The element's rank, counted from 0 in ascending order.
    pub fn rank(&self, element: Element) -> Option<usize> {
        let (path, _, index) = self.locate(element)?;
        let before = |step: &Step| step.node.counts[..step.index].iter().sum::<usize>();
        Some(path.steps[..path.depth].iter().map(before).sum::<usize>() + index)
    }

    /// Number of elements before the bound.
    pub fn count_before(&self, bound: &Bound) -> usize {
        self.seek_leaf(bound).2
    }

    /// Bytes of all nodes, from the counts of a walk over the inner levels.
    #[cfg(test)]
    pub fn node_bytes(&self) -> usize {
        let mut bytes = 0;
        self.visit_nodes(self.root, self.height, &mut |height, _| {
            bytes += if height == 0 { size_of::<Leaf>() } else { size_of::<Inner>() };
        });
        bytes
    }

    /// An estimate of the bytes of all nodes, in constant time.
    pub fn node_bytes_estimate(&self) -> usize {
        let leaves = self.len.div_ceil(LEAF_BULK).max(1);
        leaves * size_of::<Leaf>() + if self.height > 0 { leaves.div_ceil(INNER_BULK) * size_of::<Inner>() } else { 0 }
    }

    /// Calls with every node, children before parents; the callback may free the node.
    fn visit_nodes(&self, node: Child, height: usize, visit: &mut impl FnMut(usize, Child)) {
        if height > 0 {
            let inner = node.inner();
            for index in 0..inner.len() {
                self.visit_nodes(inner.children[index], height - 1, visit);
            }
        }
        visit(height, node);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.visit_nodes(self.root, self.height, &mut |height, node| match height {
            0 => node.leaf().free(),
            _ => node.inner().free(),
        });
    }
}

/// Moves elements of a full leaf into a neighbour with room, then inserts; false if both neighbours are nearly full.
fn shift_to_neighbour(path: &Path, mut leaf: Link<Leaf>, index: usize, element: Element) -> bool {
    let Some(Step { node: mut parent, index: own }) = path.last() else { return false };
    let room_max = LEAF_CAPACITY - SHIFT_ROOM_MIN;
    if own > 0 {
        let mut left = parent.children[own - 1].leaf();
        let left_len = left.len();
        if left_len <= room_max {
            let count = (LEAF_CAPACITY - left_len).div_ceil(2);
            left.take_front_of(&mut leaf, count);
            insert_into_either(left, leaf, left_len + index, element);
            parent.refresh::<Leaf>(own - 1);
            parent.refresh::<Leaf>(own);
            return true;
        }
    }
    if own + 1 < parent.len() {
        let mut right = parent.children[own + 1].leaf();
        if right.len() <= room_max {
            let count = (LEAF_CAPACITY - right.len()).div_ceil(2);
            leaf.give_back_to(&mut right, count);
            insert_into_either(leaf, right, index, element);
            parent.refresh::<Leaf>(own);
            parent.refresh::<Leaf>(own + 1);
            return true;
        }
    }
    false
}

/// Inserts at the index counted from the left leaf's start over both leaves.
fn insert_into_either(mut left: Link<Leaf>, mut right: Link<Leaf>, index: usize, element: Element) {
    let left_len = left.len();
    if index <= left_len {
        left.insert(index, element);
    } else {
        right.insert(index - left_len, element);
    }
}

fn link_after(mut left: Link<Leaf>, mut right: Link<Leaf>) {
    let mut next = left.next;
    right.previous = left;
    right.next = next;
    left.next = right;
    if !next.is_null() {
        next.previous = right;
    }
}
