//! Saving a list in slices: its elements are visited in their order, from the front.
//!
//! Ends are what mostly changes: elements that are pushed lie outside of the range that is to be visited ([`Walk`]), and one that
//! is popped from its front is the next to be visited anyway. Whatever else changes an element of the range first freezes those of
//! its node, which are copied once however often they change; nodes that go as a whole are not copied but become the walk's.

use std::collections::BTreeMap;

use sherd_metrics::memory::thread_bytes;

use super::frozen::Piece;
use super::quick::{Quick, Removed};
use super::remaining::{Cursor, Walk};
use super::{End, Form, List};
use crate::number::I64Buffer;
use crate::walk::{Leftover, Visitor, Walkable};

/// Elements that one step visits.
const ELEMENTS_A_STEP: usize = 64;

/// How much two ranges have in common.
fn overlap(one: (usize, usize), other: (usize, usize)) -> usize {
    one.1.min(other.1).saturating_sub(one.0.max(other.0))
}

impl List {
    /// Calls with the walk that is going on, if one is, and the list as it is.
    #[inline]
    pub(super) fn before_change(&mut self, note: impl FnOnce(&mut Walk, &Quick)) {
        let Form::Quick(quick) = &mut self.0 else { return };
        if quick.walking.is_on() {
            before_change(quick, note);
        }
    }

    /// Elements equal to a value are about to be removed, at most so many.
    #[inline]
    pub(super) fn before_removing(&mut self, from: End, value: &[u8], count: usize) {
        if self.is_walked() {
            self.note_removal(from, value, count);
        }
    }

    #[cold]
    fn note_removal(&mut self, from: End, value: &[u8], count: usize) {
        let mut indices = self.positions(value, from, 0, count, 0);
        if from == End::Back {
            indices.reverse();
        }
        self.before_change(|walk, quick| walk.removes(quick, &indices));
    }

    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        matches!(&self.0, Form::Quick(quick) if quick.walking.is_on())
    }

    /// Whether a walk through it is possible.
    pub fn is_walkable(&self) -> bool {
        matches!(self.0, Form::Quick(_))
    }

    fn walk(&mut self) -> Option<&mut Walk> {
        self.quick_mut()?.walking.0.as_deref_mut()
    }
}

#[cold]
fn before_change(quick: &mut Quick, note: impl FnOnce(&mut Walk, &Quick)) {
    let Some(mut walk) = quick.walking.0.take() else { return };
    let before = thread_bytes();
    note(&mut walk, quick);
    walk.bytes += thread_bytes() - before;
    quick.walking.0 = Some(walk);
}

/// What the list is about to do.
impl Walk {
    /// Freezes the node of the element at an index.
    fn freeze_at(&mut self, cursor: &mut Cursor, quick: &Quick, index: usize) {
        let Some((place, in_node)) = quick.locate(index) else { return };
        let (node, start) = (quick.node(place), index - in_node);
        self.freeze(cursor, node, start, (start, start + node.count()));
    }

    pub fn pushes(&mut self, end: End) {
        self.before += usize::from(end == End::Front);
    }

    pub fn pops(&mut self, quick: &Quick, end: End) {
        match end {
            _ if quick.len() == 0 => {}
            End::Front => self.pops_front(quick),
            End::Back => self.pops_back(quick),
        }
    }

    fn pops_front(&mut self, quick: &Quick) {
        if self.before > 0 || self.here == 0 {
            self.before = self.before.saturating_sub(1);
            return;
        }
        match self.frozen.first_entry() {
            Some(mut entry) if *entry.key() == self.visited && entry.get().here > 0 => {
                entry.get_mut().here -= 1;
                self.here -= 1;
            }
            Some(entry) if *entry.key() == self.visited => {
                self.freeze_at(&mut self.begin(), quick, 0);
                self.forget(|from, to| overlap((0, 1), (from, to)));
            }
            _ => {
                self.visit_front(quick, 1);
                self.before -= 1;
            }
        }
    }

    fn pops_back(&mut self, quick: &Quick) {
        let length = quick.len();
        if self.before + self.here < length {
            return;
        }
        if self.here == 0 {
            self.before = self.before.min(length - 1);
            return;
        }
        let mut end = self.visited + self.left;
        for (&first, frozen) in self.frozen.iter_mut().rev() {
            if first + frozen.count < end {
                break;
            }
            if frozen.here > 0 {
                frozen.here -= 1;
                self.here -= 1;
                return;
            }
            end = first;
        }
        let begin = self.frozen.range(..end).next_back().map_or(self.visited, |(&first, frozen)| first + frozen.count);
        let Some(place) = quick.end_place(End::Back) else { return };
        let node = quick.node(place);
        let count = node.count().min(end - begin);
        debug_assert!(count > 0, "the last element is one of the range");
        self.keep(end - count, Piece::copy(node, node.count() - count, node.count()), count);
        if count > 0 {
            self.pops_back(quick);
        }
    }

    pub fn replaces(&mut self, quick: &Quick, index: usize) {
        if (self.before..self.before + self.here).contains(&index) {
            self.freeze_at(&mut self.begin(), quick, index);
        }
    }

    /// Something comes before the element at this index.
    pub fn inserts(&mut self, quick: &Quick, index: usize) {
        if index <= self.before {
            self.before += 1;
        } else if index < self.before + self.here {
            let mut cursor = self.begin();
            self.freeze_at(&mut cursor, quick, index);
            self.spot(&mut cursor, index);
            if let Some(frozen) = self.frozen.get_mut(&cursor.number) {
                frozen.here += 1;
                self.here += 1;
            }
        }
    }

    /// The elements at these indices go, which are in their order.
    fn removes(&mut self, quick: &Quick, indices: &[usize]) {
        let mut cursor = self.begin();
        let mut frozen_to = self.before;
        for &index in indices {
            if index >= frozen_to && index < self.before + self.here {
                let Some((place, in_node)) = quick.locate(index) else { return };
                let (node, start) = (quick.node(place), index - in_node);
                frozen_to = start + node.count();
                self.freeze(&mut cursor, node, start, (start, frozen_to));
            }
        }
        let place = |index: usize| indices.partition_point(|&other| other < index);
        self.forget(|from, to| place(to) - place(from));
    }

    /// Visits so many elements of the list, from the front of the range.
    fn visit_front(&mut self, quick: &Quick, count: usize) {
        quick.visit(self.before, count, |item| self.visit(item.as_bytes(&mut I64Buffer::default())));
        self.before += count;
        self.here -= count;
    }

    /// Visits a few elements; false when there is none left.
    fn step(&mut self, quick: &Quick) -> bool {
        match self.frozen.pop_first() {
            Some((first, mut frozen)) if first == self.visited => {
                // What stands in their place is not to be visited.
                self.before += frozen.here;
                self.here -= std::mem::take(&mut frozen.here);
                frozen.take(ELEMENTS_A_STEP, |item| self.visit(item.as_bytes(&mut I64Buffer::default())));
                if frozen.count > 0 {
                    self.frozen.insert(self.visited, frozen);
                }
            }
            next => {
                let end = next.as_ref().map_or(self.visited + self.left, |(first, _)| *first);
                self.frozen.extend(next);
                self.visit_front(quick, (end - self.visited).min(ELEMENTS_A_STEP));
            }
        }
        self.left > 0
    }
}

/// Takes elements out at both ends of a list that is being walked.
#[cold]
pub(super) fn drop_elements(quick: &mut Quick, front: usize, back: usize, removed: &mut Removed) {
    let Some(mut walk) = quick.walking.0.take() else { return };
    let length = quick.len();
    drop_back(&mut walk, quick, back, removed);
    drop_front(&mut walk, quick, front, removed);
    walk.forget(|from, to| overlap((0, front), (from, to)) + overlap((length - back, length), (from, to)));
    quick.walking.0 = Some(walk);
}

/// Counts what is allocated for the walk.
fn measured<R>(walk: &mut Walk, act: impl FnOnce(&mut Walk) -> R) -> R {
    let before = thread_bytes();
    let result = act(walk);
    walk.bytes += thread_bytes() - before;
    result
}

fn drop_back(walk: &mut Walk, quick: &mut Quick, mut count: usize, removed: &mut Removed) {
    let mut nodes = Vec::new();
    let mut last = quick.end_place(End::Back);
    while let Some(place) = last.filter(|&place| quick.node(place).count() <= count) {
        let (node, _) = quick.remove_node(place);
        count -= node.count();
        nodes.push(node);
        last = quick.end_place(End::Back);
    }
    let (mut cursor, mut index) = (walk.begin(), quick.len());
    if let Some(place) = last.filter(|_| count > 0) {
        let node = quick.node(place);
        let start = index - node.count();
        measured(walk, |walk| walk.freeze(&mut cursor, node, start, (index - count, index)));
    }
    for node in nodes.into_iter().rev() {
        let start = index;
        index += node.count();
        removed.add(measured(walk, |walk| walk.take(&mut cursor, node, start)));
    }
    quick.drop_elements(End::Back, count, removed);
}

fn drop_front(walk: &mut Walk, quick: &mut Quick, count: usize, removed: &mut Removed) {
    let (mut cursor, mut index) = (walk.begin(), 0);
    while let Some(place) = quick.end_place(End::Front).filter(|_| index < count) {
        if quick.node(place).count() > count - index {
            measured(walk, |walk| walk.freeze(&mut cursor, quick.node(place), index, (index, count)));
            return quick.drop_elements(End::Front, count - index, removed);
        }
        let (node, _) = quick.remove_node(place);
        let start = index;
        index += node.count();
        removed.add(measured(walk, |walk| walk.take(&mut cursor, node, start)));
    }
}

impl Walkable for List {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let length = self.len();
        let Some(quick) = self.quick_mut() else { return false };
        let walk =
            Walk { before: 0, here: length, visited: 0, left: length, frozen: BTreeMap::new(), visitor, bytes: 0 };
        quick.walking.0 = Some(Box::new(walk));
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.walk().map(|walk| &mut *walk.visitor as &mut (dyn Visitor + 'static))
    }

    fn take_bytes(&mut self) -> i64 {
        self.walk().map_or(0, |walk| std::mem::take(&mut walk.bytes))
    }

    fn step(&mut self) -> bool {
        let Some(quick) = self.quick_mut() else { return false };
        let Some(mut walk) = quick.walking.0.take() else { return false };
        let goes_on = walk.step(quick);
        quick.walking.0 = Some(walk);
        goes_on
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.quick_mut()?.walking.0.take().map(|walk| walk as Leftover)
    }
}
