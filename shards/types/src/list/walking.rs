//! Saving a list in slices: its elements are visited in their order, from the front.
//!
//! What the walk still has to visit is a range of neighbours in the list as it is now. Ends are what mostly changes: elements that
//! are pushed lie outside of the range, one that is popped from its front is the next to be visited anyway, and those that are
//! popped from its back are kept aside until the walk comes to them, as are the old values of elements that are replaced. What
//! puts something between elements of the range, or takes something out there (LINSERT, LREM), looks through the list element by
//! element: the rest is visited then.

use std::collections::BTreeMap;

use sherd_metrics::memory::thread_bytes;

use super::{End, Form, List};
use crate::number::I64Buffer;
use crate::walk::{Element, Leftover, Visitor, Walkable};

/// Elements that one step visits.
const ELEMENTS_A_STEP: usize = 64;

/// See the file's head.
pub(super) struct Walk {
    /// Elements before the range: visited, or added since the beginning.
    before: usize,
    /// Elements in the range.
    left: usize,
    visited: usize,
    /// What elements were that have been replaced, by how many are visited before them.
    replaced: BTreeMap<usize, Box<[u8]>>,
    /// What was behind the range, the last element first.
    taken: Vec<Box<[u8]>>,
    visitor: Box<dyn Visitor>,
    bytes: i64,
}

/// Where a list keeps its walk. A copy of the list has none.
#[derive(Default)]
pub(super) struct Walking(Option<Box<Walk>>);

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
    fn visit(&mut self, element: &[u8]) {
        let replaced = self.replaced.remove(&self.visited);
        self.visitor.visit(Element::named(replaced.as_deref().unwrap_or(element)));
        self.visited += 1;
    }
}

impl List {
    /// Calls with the walk that is going on, if one is, and the list as it is.
    #[inline]
    pub(super) fn before_change(&mut self, note: impl FnOnce(&mut Walk, &List)) {
        let Form::Quick(quick) = &mut self.0 else { return };
        if quick.walking.is_on() {
            self.note(note);
        }
    }

    #[cold]
    fn note(&mut self, note: impl FnOnce(&mut Walk, &List)) {
        let before = thread_bytes();
        let Some(mut walk) = self.quick_mut().and_then(|quick| quick.walking.0.take()) else { return };
        note(&mut walk, self);
        walk.bytes += thread_bytes() - before;
        if let Some(quick) = self.quick_mut() {
            quick.walking.0 = Some(walk);
        }
    }

    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        matches!(&self.0, Form::Quick(quick) if quick.walking.is_on())
    }

    /// Whether a walk through it is possible.
    pub fn is_walkable(&self) -> bool {
        matches!(self.0, Form::Quick(_))
    }

    /// Visits so many elements of the range, which begins at `start` now.
    fn visit_from(&self, walk: &mut Walk, start: usize, count: usize) {
        for item in self.iter_from(start, End::Back).take(count) {
            walk.visit(item.as_bytes(&mut I64Buffer::default()));
        }
        walk.left -= count;
    }
}

/// What the list is about to do.
impl Walk {
    pub fn pushes(&mut self, end: End) {
        self.before += usize::from(end == End::Front);
    }

    /// So many elements go at either end.
    pub fn removes(&mut self, list: &List, front: usize, back: usize) {
        let (len, start, end) = (list.len(), self.before, self.before + self.left);
        let front = front.min(len);
        let back = back.min(len - front);
        let visited = self.visited;
        let at_front = front.saturating_sub(start).min(self.left);
        list.visit_from(self, start, at_front);
        let at_back = (end + back).saturating_sub(len).min(self.left);
        for (index, item) in (start..end).rev().zip(list.iter_from(end.saturating_sub(1), End::Front)).take(at_back) {
            let replaced = self.replaced.remove(&(visited + index - start));
            self.taken.push(replaced.unwrap_or_else(|| item.to_vec().into()));
        }
        self.left -= at_back;
        self.before = start.saturating_sub(front).min(len - front - back);
    }

    pub fn replaces(&mut self, list: &List, index: usize) {
        if (self.before..self.before + self.left).contains(&index) {
            let place = self.visited + index - self.before;
            if let (false, Some(old)) = (self.replaced.contains_key(&place), list.get(index as i64)) {
                self.replaced.insert(place, old.to_vec().into());
            }
        }
    }

    /// Something comes before the element at this index.
    pub fn inserts(&mut self, list: &List, index: usize) {
        if index > self.before && index < self.before + self.left {
            self.removes_anywhere(list);
        }
        self.before += usize::from(index <= self.before);
    }

    pub fn removes_anywhere(&mut self, list: &List) {
        let (start, count) = (self.before, self.left);
        list.visit_from(self, start, count);
        self.before = start + count;
    }
}

impl Walkable for List {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let left = self.len();
        let Some(quick) = self.quick_mut() else { return false };
        quick.walking.0 = Some(Box::new(Walk {
            before: 0,
            left,
            visited: 0,
            replaced: BTreeMap::new(),
            taken: Vec::new(),
            visitor,
            bytes: 0,
        }));
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.quick_mut()?.walking.0.as_mut().map(|walk| &mut *walk.visitor as &mut (dyn Visitor + 'static))
    }

    fn take_bytes(&mut self) -> i64 {
        let walk = self.quick_mut().and_then(|quick| quick.walking.0.as_mut());
        walk.map_or(0, |walk| std::mem::take(&mut walk.bytes))
    }

    fn step(&mut self) -> bool {
        let Some(mut walk) = self.quick_mut().and_then(|quick| quick.walking.0.take()) else { return false };
        let (start, count) = (walk.before, walk.left.min(ELEMENTS_A_STEP));
        self.visit_from(&mut walk, start, count);
        walk.before += count;
        if count == 0 {
            for element in (0..ELEMENTS_A_STEP).map_while(|_| walk.taken.pop()).collect::<Vec<_>>() {
                walk.visit(&element);
            }
        }
        let goes_on = walk.left > 0 || !walk.taken.is_empty();
        if let Some(quick) = self.quick_mut() {
            quick.walking.0 = Some(walk);
        }
        goes_on
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.quick_mut()?.walking.0.take().map(|walk| walk as Leftover)
    }
}
