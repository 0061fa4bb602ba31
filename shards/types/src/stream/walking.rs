//! Saving a stream in slices: its parts are visited in their order, as they were when the walk began.
//!
//! Entries are added to the last block, and deleting or trimming touches few: a block that the walk has not visited is copied
//! before it changes or goes, and the copy is visited in its place. New blocks come behind all others; from the first of them on
//! nothing is visited. Groups come after the blocks, in the order of their names. Each keeps what changes in it from the moment
//! on at which it is first lent for changing; one that is destroyed becomes the walk's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use sherd_metrics::memory::{size_class, thread_bytes};

use super::block::Block;
use super::group::{Bytes, Group, Walking as GroupWalking};
use super::id::StreamId;
use super::{BoxedStream, Stream};
use crate::walk::{Leftover, Memory, StreamPart, Visitor, Walkable};

/// See the [module](self).
pub(super) struct Walk {
    /// Blocks before this one were visited.
    next: StreamId,
    /// Blocks from this one on are new.
    new_from: Option<StreamId>,
    /// Blocks that have changed or gone, as they were.
    old: BTreeMap<StreamId, Block>,
    /// To be visited after the blocks.
    memory: Option<Memory>,
    /// Groups up to this name were visited.
    passed: Option<Box<[u8]>>,
    /// Groups that are not behind that, and new.
    new_groups: BTreeSet<Box<[u8]>>,
    /// Groups that were destroyed and are still to be visited.
    gone: BTreeMap<Box<[u8]>, Group>,
    /// What was visited, is nobody's, and takes long to free.
    spent: Vec<Leftover>,
    /// Everything was visited.
    is_over: bool,
    visitor: Box<dyn Visitor>,
    bytes: Bytes,
}

/// Where a stream keeps its walk. A copy of the stream has none.
#[derive(Default)]
pub(super) struct Walking(Option<Box<Walk>>);

impl Clone for Walking {
    fn clone(&self) -> Self {
        Walking(None)
    }
}

impl Walking {
    /// A block is about to change or to go.
    #[inline]
    pub fn before_change(&mut self, id: StreamId, block: &Block) {
        if let Some(walk) = &mut self.0 {
            walk.keep(id, block);
        }
    }

    /// A block comes behind all others.
    #[inline]
    pub fn before_adding(&mut self, id: StreamId) {
        if let Some(walk) = &mut self.0 {
            walk.new_from = Some(walk.new_from.map_or(id, |first| first.min(id)));
        }
    }

    /// A group is lent for changing it.
    #[inline]
    pub fn before_lending(&mut self, name: &[u8], group: &mut Group) {
        if let Some(walk) = &mut self.0 {
            walk.enter(name, group);
        }
    }

    /// A group is about to come.
    #[inline]
    pub fn before_adding_group(&mut self, name: &[u8]) {
        if let Some(walk) = &mut self.0 {
            walk.adds_group(name);
        }
    }

    /// A group has been taken out. One that is still to be visited is kept.
    #[inline]
    pub fn after_removing(&mut self, name: &[u8], group: Group) {
        if let Some(walk) = &mut self.0 {
            walk.removes_group(name, group);
        }
    }
}

/// What happens to blocks.
impl Walk {
    fn is_old(&self, id: StreamId) -> bool {
        id >= self.next && self.new_from.is_none_or(|first| id < first)
    }

    #[cold]
    fn keep(&mut self, id: StreamId, block: &Block) {
        if self.is_old(id) && !self.old.contains_key(&id) {
            let before = thread_bytes();
            self.old.insert(id, block.clone());
            self.bytes.fetch_add(thread_bytes() - before, Ordering::Relaxed);
        }
    }

    /// Visits the next block, which is this one of the stream's if it is old, or one that was copied; false if there is none.
    fn visit_block(&mut self, next: Option<(StreamId, &Block)>) -> bool {
        let live = next.filter(|&(id, _)| self.is_old(id));
        let kept = self.old.first_key_value().map(|(&id, _)| id);
        let id = match (live, kept) {
            (Some((id, block)), kept) if kept.is_none_or(|kept| id < kept) => {
                self.visitor.visit_part(&part_of(id, block));
                id
            }
            (_, Some(id)) => {
                if let Some(block) = self.old.remove(&id) {
                    self.visitor.visit_part(&part_of(id, &block));
                }
                id
            }
            (_, None) => return false,
        };
        match id.next() {
            Some(next) => self.next = next,
            // Nothing is behind the last id that there can be.
            None => self.new_from = Some(StreamId::MIN),
        }
        true
    }
}

/// What happens to groups.
impl Walk {
    fn has_passed(&self, name: &[u8]) -> bool {
        self.passed.as_deref().is_some_and(|passed| name <= passed)
    }

    #[cold]
    fn enter(&mut self, name: &[u8], group: &mut Group) {
        if !self.has_passed(name) && !self.new_groups.contains(name) {
            let before = thread_bytes();
            GroupWalking::enter(group, &self.bytes);
            self.bytes.fetch_add(thread_bytes() - before, Ordering::Relaxed);
        }
    }

    #[cold]
    fn adds_group(&mut self, name: &[u8]) {
        if !self.has_passed(name) {
            let before = thread_bytes();
            self.new_groups.insert(name.into());
            self.bytes.fetch_add(thread_bytes() - before, Ordering::Relaxed);
        }
    }

    #[cold]
    fn removes_group(&mut self, name: &[u8], mut group: Group) {
        if self.has_passed(name) {
            return;
        }
        let before = thread_bytes();
        let is_new = self.new_groups.remove(name);
        self.bytes.fetch_add(thread_bytes() - before, Ordering::Relaxed);
        if is_new {
            return;
        }
        self.enter(name, &mut group);
        let before = thread_bytes();
        // It is freed with the walk, not by whoever destroys it.
        let own = size_class(name.len()) + group.allocated_bytes();
        self.gone.insert(name.into(), group);
        self.bytes.fetch_add(thread_bytes() - before + own as i64, Ordering::Relaxed);
    }

    /// Visits a little of the next group; false if there is none.
    fn visit_group(&mut self, groups: &mut BTreeMap<Box<[u8]>, Group>) -> bool {
        let from = self.passed.as_deref().map_or(Unbounded, Excluded);
        let live = groups.range_mut::<[u8], _>((from, Unbounded)).next();
        let gone = self.gone.first_entry();
        // A new one may have the name of one that has gone.
        let goes_first = match (&live, &gone) {
            (Some((live, _)), Some(gone)) => gone.key() <= live,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let visitor = &mut *self.visitor;
        let name = match (live, gone) {
            (_, Some(mut entry)) if goes_first => {
                let name = entry.key().clone();
                if step_in(entry.get_mut(), &name, visitor, &self.bytes, &mut self.spent) {
                    return true;
                }
                self.spent.push(Box::new(entry.remove()));
                name
            }
            (Some((name, group)), _) => {
                let is_new = self.new_groups.contains(name);
                if !is_new && step_in(group, name, visitor, &self.bytes, &mut self.spent) {
                    return true;
                }
                name.clone()
            }
            (None, _) => return false,
        };
        self.new_groups.remove(&name);
        self.passed = Some(name);
        true
    }
}

fn part_of(id: StreamId, block: &Block) -> StreamPart<'_> {
    StreamPart::Block(id.to_bytes(), block.listpack().as_bytes())
}

/// Visits a little of a group; false when all of it was visited.
fn step_in(
    group: &mut Group,
    name: &[u8],
    visitor: &mut dyn Visitor,
    bytes: &Bytes,
    spent: &mut Vec<Leftover>,
) -> bool {
    GroupWalking::enter(group, bytes);
    let Some(mut walk) = group.walking.take() else { return false };
    let goes_on = walk.step(group, name, visitor);
    if goes_on {
        group.walking.put_back(walk);
    } else if walk.holds_much() {
        spent.push(walk);
    }
    goes_on
}

impl Stream {
    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        self.log.blocks.walking.0.is_some()
    }

    fn walk(&mut self) -> Option<&mut Walk> {
        self.log.blocks.walking.0.as_deref_mut()
    }

    fn memory(&self) -> Memory {
        let log = &self.log;
        Memory {
            length: log.len(),
            first_id: log.first_id().to_bytes(),
            last_id: log.last_id().to_bytes(),
            max_deleted_id: log.max_deleted_id().to_bytes(),
            entries_added: log.entries_added(),
            groups: self.groups.len(),
        }
    }

    /// Calls with all parts of which it is saved, in their order.
    pub fn visit_parts(&self, mut visit: impl FnMut(&StreamPart<'_>)) {
        self.log.blocks().for_each(|(id, block)| visit(&part_of(id, block)));
        visit(&StreamPart::Memory(self.memory()));
        self.groups.iter().for_each(|(name, group)| group.visit_parts(name, &mut visit));
    }
}

impl Walkable for BoxedStream {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        self.log.blocks.walking.0 = Some(Box::new(Walk {
            next: StreamId::MIN,
            new_from: None,
            old: BTreeMap::new(),
            memory: Some(self.memory()),
            passed: None,
            new_groups: BTreeSet::new(),
            gone: BTreeMap::new(),
            spent: Vec::new(),
            is_over: false,
            visitor,
            bytes: Arc::default(),
        }));
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.walk().map(|walk| &mut *walk.visitor as &mut (dyn Visitor + 'static))
    }

    fn take_bytes(&mut self) -> i64 {
        self.walk().map_or(0, |walk| walk.bytes.swap(0, Ordering::Relaxed))
    }

    fn step(&mut self) -> bool {
        let Stream { log, groups, .. } = &mut **self;
        let Some(mut walk) = log.blocks.walking.0.take() else { return false };
        let goes_on = if walk.visit_block(log.blocks.between(walk.next, StreamId::MAX).next()) {
            true
        } else if let Some(memory) = walk.memory.take() {
            // Blocks of which there was none at the end are all new.
            walk.new_from = Some(StreamId::MIN);
            walk.visitor.visit_part(&StreamPart::Memory(memory));
            true
        } else {
            walk.visit_group(groups)
        };
        walk.is_over = !goes_on;
        log.blocks.walking.0 = Some(walk);
        goes_on
    }

    fn take_spent(&mut self) -> Option<Leftover> {
        let spent = self.walk().map(|walk| std::mem::take(&mut walk.spent)).unwrap_or_default();
        (!spent.is_empty()).then(|| Box::new(spent) as Leftover)
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        let walk = self.log.blocks.walking.0.take()?;
        // A walk that has come to its end has none in a group any more.
        let groups = self.groups.values_mut().take(if walk.is_over { 0 } else { usize::MAX });
        let walks: Vec<_> = groups.filter_map(|group| group.walking.take()).collect();
        Some(Box::new((walk, walks)))
    }
}

#[cfg(test)]
#[path = "../tests/walk_stream.rs"]
mod tests;
