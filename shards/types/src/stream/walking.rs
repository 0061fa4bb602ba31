//! Saving a stream in slices: its blocks are visited in their order, as bytes under their ids.
//!
//! Entries are added to the last block, and deleting or trimming touches few: a block that the walk has not visited is copied
//! before it changes or goes, and the copy is visited in its place. New blocks come behind all others; from the first of them on
//! nothing is visited.

use std::collections::BTreeMap;

use sherd_metrics::memory::thread_bytes;

use super::block::Block;
use super::id::StreamId;
use super::{BoxedStream, Stream};
use crate::walk::{Element, Leftover, Visitor, Walkable};

/// See the file's head.
pub(super) struct Walk {
    /// Blocks before this one were visited.
    next: StreamId,
    /// Blocks from this one on are new.
    new_from: Option<StreamId>,
    /// Blocks that have changed or gone, as they were.
    old: BTreeMap<StreamId, Box<[u8]>>,
    visitor: Box<dyn Visitor>,
    bytes: i64,
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
}

impl Walk {
    fn is_old(&self, id: StreamId) -> bool {
        id >= self.next && self.new_from.is_none_or(|first| id < first)
    }

    #[cold]
    fn keep(&mut self, id: StreamId, block: &Block) {
        if self.is_old(id) && !self.old.contains_key(&id) {
            let before = thread_bytes();
            self.old.insert(id, block.listpack().as_bytes().into());
            self.bytes += thread_bytes() - before;
        }
    }

    /// Visits the next block, which is this one of the stream's if it is old, or one that was copied; false if there is none.
    fn step(&mut self, next: Option<(StreamId, &Block)>) -> bool {
        let live = next.filter(|&(id, _)| self.is_old(id));
        let kept = self.old.first_key_value().map(|(&id, _)| id);
        let id = match (live, kept) {
            (Some((id, block)), kept) if kept.is_none_or(|kept| id < kept) => {
                self.visit(id, block.listpack().as_bytes());
                id
            }
            (_, Some(id)) => {
                if let Some(bytes) = self.old.remove(&id) {
                    self.visit(id, &bytes);
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

    fn visit(&mut self, id: StreamId, block: &[u8]) {
        self.visitor.visit(Element { value: block, ..Element::named(&id.to_bytes()) });
    }
}

impl Stream {
    /// Whether it is being walked.
    pub fn is_walked(&self) -> bool {
        self.log.blocks.walking.0.is_some()
    }

    fn walk(&mut self) -> Option<&mut Walk> {
        self.log.blocks.walking.0.as_deref_mut()
    }
}

impl Walkable for BoxedStream {
    fn begin_walk(&mut self, visitor: Box<dyn Visitor>) -> bool {
        let walk = Walk { next: StreamId::MIN, new_from: None, old: BTreeMap::new(), visitor, bytes: 0 };
        self.log.blocks.walking.0 = Some(Box::new(walk));
        true
    }

    fn visitor(&mut self) -> Option<&mut (dyn Visitor + 'static)> {
        self.walk().map(|walk| &mut *walk.visitor as &mut (dyn Visitor + 'static))
    }

    fn take_bytes(&mut self) -> i64 {
        self.walk().map_or(0, |walk| std::mem::take(&mut walk.bytes))
    }

    fn step(&mut self) -> bool {
        let blocks = &mut self.log.blocks;
        let Some(mut walk) = blocks.walking.0.take() else { return false };
        let goes_on = walk.step(blocks.between(walk.next, StreamId::MAX).next());
        blocks.walking.0 = Some(walk);
        goes_on
    }

    fn end_walk(&mut self) -> Option<Leftover> {
        self.log.blocks.walking.0.take().map(|walk| walk as Leftover)
    }
}
