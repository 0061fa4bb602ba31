//! What a walk through a list has still to visit: which elements of the list as it is now, and what is kept of those that are not
//! there any more, or not as they were.
//!
//! The elements that the list had when the walk began are numbered. What is left of them lies in a range of neighbours in the list
//! as it is now, but for stretches that are *frozen*: there the list has changed, and what was there is kept aside ([`Frozen`]).
//! Where an element of the range belongs follows from how many stand in each frozen stretch before it. What touches a stretch
//! becomes a part of it, so there are at most half as many as nodes.

use std::collections::BTreeMap;

use sherd_metrics::memory::size_class;

use super::frozen::{Frozen, Piece};
use super::node::Node;
use crate::walk::{Element, Visitor};

/// See the [module](self).
pub(super) struct Walk {
    /// Elements before the range: visited, or added since the beginning.
    pub before: usize,
    /// Elements of the list in the range.
    pub here: usize,
    /// Elements that were visited, which is the number of the next.
    pub visited: usize,
    /// Elements to be visited.
    pub left: usize,
    /// By the number of their first element.
    pub frozen: BTreeMap<usize, Frozen>,
    pub visitor: Box<dyn Visitor>,
    pub bytes: i64,
}

/// A place in the list from where others are looked for: no element of the range before it stands in a frozen stretch that
/// begins behind it.
pub(super) struct Cursor {
    index: usize,
    pub number: usize,
}

/// Where an element of the range belongs.
pub(super) enum Spot {
    /// To elements as they were, from index `begin`, with its number, to `end`.
    Live { begin: usize, number: usize, end: usize },
    /// To a frozen stretch, which is where the cursor is, up to index `end`.
    Frozen { end: usize },
}

/// Where a list keeps its walk. A copy of the list has none.
#[derive(Default)]
pub(super) struct Walking(pub Option<Box<Walk>>);

impl Clone for Walking {
    fn clone(&self) -> Self {
        Walking(None)
    }
}

impl Walking {
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl Walk {
    pub fn visit(&mut self, element: &[u8]) {
        self.visitor.visit(Element::named(element));
        self.visited += 1;
        self.left -= 1;
    }

    pub fn begin(&self) -> Cursor {
        Cursor { index: self.before, number: self.visited }
    }

    /// Where the element at an index of the range belongs; the cursor is before it, and comes closer.
    pub fn spot(&self, cursor: &mut Cursor, index: usize) -> Spot {
        let Cursor { index: mut begin, mut number } = *cursor;
        for (&first, frozen) in self.frozen.range(number..) {
            let end = begin + first - number;
            if index < end {
                return Spot::Live { begin, number, end };
            }
            *cursor = Cursor { index: end, number: first };
            (begin, number) = (end + frozen.here, first + frozen.count);
            if index < begin {
                return Spot::Frozen { end: begin };
            }
        }
        Spot::Live { begin, number, end: self.before + self.here }
    }

    /// Keeps elements from this number on, of which as many as `here` stand in the list.
    pub fn keep(&mut self, number: usize, piece: Piece, here: usize) {
        if let Some((&first, frozen)) = self.frozen.range_mut(..number).next_back() {
            if first + frozen.count == number {
                return frozen.push_back(piece, here);
            }
        }
        let mut frozen = self.frozen.remove(&(number + piece.count())).unwrap_or_default();
        frozen.push_front(piece, here);
        self.frozen.insert(number, frozen);
    }

    /// Freezes what is between two indices, which is in a node that begins at `start`.
    pub fn freeze(&mut self, cursor: &mut Cursor, node: &Node, start: usize, (from, to): (usize, usize)) {
        let (mut index, to) = (from.max(self.before), to.min(self.before + self.here));
        while index < to {
            index = match self.spot(cursor, index) {
                Spot::Frozen { end } => end,
                Spot::Live { begin, number, end } => {
                    let end = end.min(to);
                    self.keep(number + index - begin, Piece::copy(node, index - start, end - start), end - index);
                    end
                }
            };
        }
    }

    /// Freezes a node that was taken out, where it began at `start`; it is returned if it need not be kept.
    pub fn take(&mut self, cursor: &mut Cursor, node: Node, start: usize) -> Option<Node> {
        let (count, end) = (node.count(), start + node.count());
        if start >= self.before && end <= self.before + self.here {
            match self.spot(cursor, start) {
                Spot::Live { begin, number, end: last } if end <= last => {
                    // It is freed by the walk, and not by whoever takes it out.
                    self.bytes += size_class(node.allocated_bytes()) as i64;
                    self.keep(number + start - begin, Piece::whole(node), count);
                    return None;
                }
                _ => {}
            }
        }
        self.freeze(cursor, &node, start, (start, end));
        Some(node)
    }

    /// Elements are taken out of the list, those of the range from frozen stretches: how many between two indices is told.
    pub fn forget(&mut self, gone_between: impl Fn(usize, usize) -> usize) {
        let Cursor { mut index, mut number } = self.begin();
        let mut gone_here = 0;
        for (&first, frozen) in &mut self.frozen {
            let begin = index + first - number;
            (index, number) = (begin + frozen.here, first + frozen.count);
            let gone = gone_between(begin, index);
            frozen.here -= gone;
            gone_here += gone;
        }
        self.here -= gone_here;
        self.before -= gone_between(0, self.before);
    }
}
