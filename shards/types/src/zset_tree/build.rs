//! Building a tree from elements that are in order already: leaves first, then level by level upwards.

use super::inner::{Inner, INNER_CAPACITY};
use super::leaf::{Leaf, LEAF_CAPACITY};
use super::node::{Block, Child};
use super::{link_after, Tree, HEIGHT_MAX};
use crate::zset_element::Element;

/// Entries that a bulk build puts into a node; the rest is room for later inserts.
pub(super) const LEAF_BULK: usize = LEAF_CAPACITY * 9 / 10;
pub(super) const INNER_BULK: usize = INNER_CAPACITY * 9 / 10;

impl Tree {
    /// Builds a tree of elements that come in order; `len` is their exact number.
    pub fn from_sorted(elements: impl Iterator<Item = Element>, len: usize) -> Tree {
        if len == 0 {
            return Tree::new();
        }
        let mut children = build_leaves(elements, len);
        let mut height = 0;
        while children.len() > 1 {
            children = if height == 0 { build_inner::<Leaf>(&children) } else { build_inner::<Inner>(&children) };
            height += 1;
        }
        assert!(height < HEIGHT_MAX, "a tree within memory");
        Tree { root: children[0], height, len }
    }
}

/// Fills leaves evenly, so that the last one is not nearly empty.
fn build_leaves(mut elements: impl Iterator<Item = Element>, len: usize) -> Vec<Child> {
    let leaves = len.div_ceil(LEAF_BULK);
    let mut children: Vec<Child> = Vec::with_capacity(leaves);
    for index in 0..leaves {
        let mut leaf = Leaf::new();
        for _ in 0..share(len, leaves, index) {
            leaf.push(elements.next().expect("as many elements as announced"));
        }
        leaf.choose_mapping();
        if let Some(previous) = children.last() {
            link_after(previous.leaf(), leaf);
        }
        children.push(leaf.into());
    }
    assert!(elements.next().is_none(), "no more elements than announced");
    children
}

fn build_inner<B: Block>(children: &[Child]) -> Vec<Child> {
    let nodes = children.len().div_ceil(INNER_BULK);
    let mut rest = children;
    (0..nodes)
        .map(|index| {
            let (own, others) = rest.split_at(share(children.len(), nodes, index));
            rest = others;
            let mut inner = Inner::new();
            for (place, child) in own.iter().enumerate() {
                inner.insert(place, child.link::<B>());
            }
            inner.into()
        })
        .collect()
}

/// How many of `total` things the `index`-th of `parts` gets when they are spread evenly.
fn share(total: usize, parts: usize, index: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}
