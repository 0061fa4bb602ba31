//! Moving a tree's nodes, and putting elements that have moved in their places.

use super::leaf::Leaf;
use super::node::{Block, Child, Link};
use super::remove::refresh_first_upwards;
use super::{Path, Tree};
use crate::mover::Mover;
use crate::zset_element::Element;

impl Tree {
    /// Puts another element of the same score and member in an element's place; false if that is not in the tree.
    pub fn replace(&mut self, element: Element, copy: Element) -> bool {
        let Some((path, mut leaf, index)) = self.locate(element) else { return false };
        leaf.replace(index, copy);
        if index == 0 {
            refresh_first_upwards(path, copy);
        }
        true
    }

    /// Moves the leaf that holds the element of this rank, and the nodes above it, if they are to be moved. Returns the rank
    /// of the next leaf's first element, 0 at the end.
    pub fn relocate_nodes(&mut self, rank: usize, mover: &mut Mover<'_>) -> usize {
        if rank >= self.len {
            return 0;
        }
        let (mut path, leaf, within) = self.locate_rank(rank);
        for depth in 0..path.depth {
            let inner = path.steps[depth].node.relocate(mover);
            path.steps[depth].node = inner;
            self.hang(&path, depth, inner.into());
        }
        let leaf = self.relocate_leaf(&path, leaf, mover);
        match rank - within + leaf.len() {
            next if next < self.len => next,
            _ => 0,
        }
    }

    fn relocate_leaf(&mut self, path: &Path, leaf: Link<Leaf>, mover: &mut Mover<'_>) -> Link<Leaf> {
        let leaf = leaf.relocate(mover);
        self.hang(path, path.depth, leaf.into());
        let (mut previous, mut next) = (leaf.previous, leaf.next);
        if !previous.is_null() {
            previous.next = leaf;
        }
        if !next.is_null() {
            next.previous = leaf;
        }
        leaf
    }

    /// Makes a node that has moved the child of the one above it on the way, or the root.
    fn hang(&mut self, path: &Path, depth: usize, child: Child) {
        match depth.checked_sub(1) {
            None => self.root = child,
            Some(above) => {
                let mut step = path.steps[above];
                step.node.children[step.index] = child;
            }
        }
    }
}
