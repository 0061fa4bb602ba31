//! Removal of one element or of a run by rank, balancing afterwards, and score changes in place.
//!
//! A run is removed leaf by leaf: each round takes what one leaf holds of it, so the cost is one descent a leaf and not
//! one an element. Nodes that fall under a third are merged with a neighbour or evened out with it; only a node without
//! neighbours under its parent (at the edges, where inserts open fresh nodes) may be smaller.

use super::inner::Inner;
use super::leaf::{Leaf, LEAF_CAPACITY};
use super::node::{Block, Link};
use super::{Path, Step, Tree};
use crate::zset_element::Element;
use std::cmp::Ordering;

impl Tree {
    /// Takes the element out; false if it is not in the tree. The element itself stays alive.
    pub fn remove(&mut self, element: Element) -> bool {
        let Some((path, leaf, index)) = self.locate(element) else { return false };
        self.remove_slots(path, leaf, index, 1);
        true
    }

    /// Takes out `count` elements from the rank on (fewer if there are fewer) and calls with each, in order; the callback
    /// may free them. Returns how many there were.
    pub fn remove_ranks(&mut self, rank: usize, count: usize, mut removed: impl FnMut(Element)) -> usize {
        let count = count.min(self.len.saturating_sub(rank));
        if count == 1 {
            // Without a buffer for those that are taken out.
            let (path, leaf, index) = self.locate_rank(rank);
            let element = leaf.element(index);
            self.remove_slots(path, leaf, index, 1);
            removed(element);
            return 1;
        }
        let mut rest = count;
        let mut batch = Vec::with_capacity(count.min(LEAF_CAPACITY));
        while rest > 0 {
            let (path, leaf, index) = self.locate_rank(rank);
            let take = rest.min(leaf.len() - index);
            batch.clear();
            batch.extend((index..index + take).map(|index| leaf.element(index)));
            self.remove_slots(path, leaf, index, take);
            batch.iter().for_each(|&element| removed(element));
            rest -= take;
        }
        count
    }

    /// Gives an element of the tree a new score and moves it where it belongs.
    pub fn change_score(&mut self, element: Element, score: f64) {
        let (path, mut leaf, index) = self.locate(element).expect("the element is in the tree");
        if stays_in_place(leaf, index, score, element.member()) {
            element.set_score(score);
            leaf.refresh_tag(index);
            if index == 0 {
                refresh_first_upwards(path, element);
            }
        } else {
            self.remove_slots(path, leaf, index, 1);
            element.set_score(score);
            self.insert(element);
        }
    }

    pub(super) fn locate_rank(&self, mut rank: usize) -> (Path, Link<Leaf>, usize) {
        let mut path = Path::new();
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = node.inner();
            let (index, within) = inner.child_of_rank(rank);
            path.push(inner, index);
            node = inner.children[index];
            rank = within;
        }
        (path, node.leaf(), rank)
    }

    fn remove_slots(&mut self, mut path: Path, mut leaf: Link<Leaf>, start: usize, count: usize) {
        self.len -= count;
        leaf.remove(start..start + count);
        if self.len == 0 {
            *self = Tree::new();
            return;
        }
        for step in &mut path.steps[..path.depth] {
            step.node.counts[step.index] -= count;
        }
        let Some(step) = path.pop() else { return };
        mend(step, leaf);
        let mut node = step.node;
        while let Some(step) = path.pop() {
            mend(step, node);
            node = step.node;
        }
        self.lower_root();
    }

    fn lower_root(&mut self) {
        while self.height > 0 && self.root.inner().len() == 1 {
            let root = self.root.inner();
            self.root = root.children[0];
            self.height -= 1;
            root.free();
        }
    }
}

/// Brings the parent's entry of a changed node up to date, merging the node or evening it out if it became too small.
/// A parent that loses its only child is left empty for the next round above to take away.
fn mend<B: Block>(Step { node: mut parent, index }: Step, mut node: Link<B>) {
    if node.len() >= B::MINIMUM {
        parent.set_first(index, node.first());
    } else if parent.len() > 1 {
        let at = index.min(parent.len() - 2);
        let (left, right) = (parent.children[at].link::<B>(), parent.children[at + 1].link::<B>());
        if merge_or_even(left, right) {
            parent.remove(at + 1..at + 2);
        } else {
            parent.refresh::<B>(at + 1);
        }
        parent.refresh::<B>(at);
    } else if node.len() > 0 {
        parent.set_first(index, node.first());
    } else {
        node.detach();
        node.free();
        parent.remove(0..1);
    }
}

/// True if the right node was merged into the left one and freed.
fn merge_or_even<B: Block>(mut left: Link<B>, mut right: Link<B>) -> bool {
    let total = left.len() + right.len();
    if total <= B::MERGE_MAX {
        let count = right.len();
        left.take_front_of(&mut right, count);
        right.detach();
        right.free();
        return true;
    }
    let half = total / 2;
    if left.len() < half {
        let count = half - left.len();
        left.take_front_of(&mut right, count);
    } else {
        let count = left.len() - half;
        left.give_back_to(&mut right, count);
    }
    false
}

/// Whether both neighbours still enclose the element with its new score.
fn stays_in_place(leaf: Link<Leaf>, index: usize, score: f64, member: &[u8]) -> bool {
    let previous = match index {
        0 if leaf.previous.is_null() => None,
        0 => Some(leaf.previous.last()),
        _ => Some(leaf.element(index - 1)),
    };
    let next = match index + 1 {
        after if after < leaf.len() => Some(leaf.element(after)),
        _ if leaf.next.is_null() => None,
        _ => Some(leaf.next.element(0)),
    };
    previous.is_none_or(|previous| previous.compare(score, member) == Ordering::Less)
        && next.is_none_or(|next| next.compare(score, member) == Ordering::Greater)
}

/// Tells the inner nodes of the new score of an element that is the first of its leaf.
pub(super) fn refresh_first_upwards(mut path: Path, first: Element) {
    while let Some(Step { node: mut parent, index }) = path.pop() {
        parent.set_first(index, first);
        if index > 0 {
            break;
        }
    }
}

const _: () = assert!(<Leaf as Block>::MERGE_MAX >= 2 * <Leaf as Block>::MINIMUM);
const _: () = assert!(<Inner as Block>::MERGE_MAX >= 2 * <Inner as Block>::MINIMUM);
