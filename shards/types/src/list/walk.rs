//! Walking over a list, node by node and entry by entry, in either direction.

use super::super::listpack::{previous_offset, read, read_with_next, Item};
use super::quick::Place;
use super::{End, Form, List};

/// Elements of a list from one index on towards one end.
#[derive(Clone)]
pub struct Iter<'a> {
    list: &'a List,
    /// The current node of a quicklist.
    place: Option<Place>,
    entries: &'a [u8],
    /// Where the next entry starts (towards the back) or ends (towards the front).
    offset: usize,
    direction: End,
    remaining: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(list: &'a List, index: usize, direction: End) -> Self {
        let length = list.len();
        let (place, node, index_in_node) = match &list.0 {
            Form::Packed(node) => (None, Some(node), index),
            Form::Quick(quick) => match quick.locate(index) {
                Some((place, index)) => (Some(place), Some(quick.node(place)), index),
                None => (None, None, 0),
            },
        };
        let Some(node) = node.filter(|_| index < length) else {
            return Self { list, place: None, entries: &[], offset: 0, direction, remaining: 0 };
        };
        let (remaining, boundary) = match direction {
            End::Back => (length - index, index_in_node),
            End::Front => (index + 1, index_in_node + 1),
        };
        Self { list, place, entries: node.entries(), offset: node.offset_of(boundary), direction, remaining }
    }

    #[cold]
    fn enter_next_node(&mut self) -> Option<()> {
        let Form::Quick(quick) = &self.list.0 else { return None };
        let place = quick.neighbour(self.place?, self.direction)?;
        self.place = Some(place);
        self.entries = quick.node(place).entries();
        self.offset = if self.direction == End::Back { 0 } else { self.entries.len() };
        Some(())
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.remaining == 0 {
            return None;
        }
        self.remaining -= 1;
        match self.direction {
            End::Back => {
                if self.offset == self.entries.len() {
                    self.enter_next_node()?;
                }
                let (item, next) = read_with_next(self.entries, self.offset);
                self.offset = next;
                Some(item)
            }
            End::Front => {
                if self.offset == 0 {
                    self.enter_next_node()?;
                }
                self.offset = previous_offset(self.entries, self.offset);
                Some(read(self.entries, self.offset))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Iter<'_> {}
