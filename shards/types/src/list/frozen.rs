//! What was in a stretch of a list when a walk through it began, kept because the list has changed there since.

use std::collections::VecDeque;

use super::node::Node;
use crate::listpack::{read_with_next, Item};

/// Elements that follow each other.
#[derive(Default)]
pub(super) struct Frozen {
    /// How many.
    pub count: usize,
    /// How many elements of the list stand where they were.
    pub here: usize,
    pieces: VecDeque<Piece>,
}

/// Elements of one node.
pub(super) struct Piece {
    node: Node,
    /// Where the next element begins.
    offset: usize,
    count: usize,
}

impl Piece {
    /// A copy of elements `from` to `to` of a node.
    pub fn copy(node: &Node, from: usize, to: usize) -> Piece {
        let entries = &node.entries()[node.offset_of(from)..node.offset_of(to)];
        Piece::whole(Node::from_entries(entries, to - from))
    }

    /// All elements of a node that is the list's no more.
    pub fn whole(node: Node) -> Piece {
        let count = node.count();
        Piece { node, offset: 0, count }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    fn next(&mut self) -> Option<Item<'_>> {
        self.count = self.count.checked_sub(1)?;
        let (item, next) = read_with_next(self.node.entries(), self.offset);
        self.offset = next;
        Some(item)
    }
}

impl Frozen {
    /// Adds elements that come before all others.
    pub fn push_front(&mut self, piece: Piece, here: usize) {
        self.count += piece.count;
        self.here += here;
        self.pieces.push_front(piece);
    }

    /// Adds elements that come behind all others.
    pub fn push_back(&mut self, piece: Piece, here: usize) {
        self.count += piece.count;
        self.here += here;
        self.pieces.push_back(piece);
    }

    /// Takes up to so many elements from the front.
    pub fn take(&mut self, mut limit: usize, mut visit: impl FnMut(Item<'_>)) {
        while let Some(piece) = self.pieces.front_mut().filter(|_| limit > 0) {
            if let Some(item) = piece.next() {
                visit(item);
                self.count -= 1;
                limit -= 1;
            }
            if piece.count == 0 {
                self.pieces.pop_front();
            }
        }
    }
}
