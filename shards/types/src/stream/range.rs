//! Walking over the live entries between two ids, from either end.
//!
//! Two iterators instead of one that can do both: a walk goes one way, and each keeps a single block open.

use super::block::{Entries, Entry};
use super::blocks::{Between, Blocks};
use super::id::StreamId;

/// The blocks that may have entries between two ids.
fn blocks_between(blocks: &Blocks, start: StreamId, end: StreamId) -> Between<'_> {
    // The entries from `start` on begin in the last block whose id is not after it.
    let first = blocks.holding(start).map_or(start, |(own, _)| own);
    blocks.between(first, end)
}

/// Live entries, first to last.
pub struct Range<'s> {
    start: StreamId,
    end: StreamId,
    blocks: Between<'s>,
    open: Option<Entries<'s>>,
}

impl<'s> Range<'s> {
    pub(super) fn new(blocks: &'s Blocks, start: StreamId, end: StreamId) -> Self {
        Range { start, end, blocks: blocks_between(blocks, start, end), open: None }
    }
}

impl<'s> Iterator for Range<'s> {
    type Item = Entry<'s>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'s>> {
        loop {
            let Some(open) = &mut self.open else {
                let (own, block) = self.blocks.next()?;
                self.open = Some(block.entries(own));
                continue;
            };
            match open.next() {
                None => self.open = None,
                Some(entry) if entry.id > self.end => return None,
                Some(entry) if entry.id >= self.start && !entry.is_deleted() => return Some(entry),
                Some(_) => {}
            }
        }
    }
}

/// Live entries, last to first.
pub struct RangeBack<'s> {
    start: StreamId,
    end: StreamId,
    blocks: Between<'s>,
    open: Option<Entries<'s>>,
}

impl<'s> RangeBack<'s> {
    pub(super) fn new(blocks: &'s Blocks, start: StreamId, end: StreamId) -> Self {
        RangeBack { start, end, blocks: blocks_between(blocks, start, end), open: None }
    }
}

impl<'s> Iterator for RangeBack<'s> {
    type Item = Entry<'s>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'s>> {
        loop {
            let Some(open) = &mut self.open else {
                let (own, block) = self.blocks.next_back()?;
                self.open = Some(block.entries(own));
                continue;
            };
            match open.next_back() {
                None => self.open = None,
                Some(entry) if entry.id < self.start => return None,
                Some(entry) if entry.id <= self.end && !entry.is_deleted() => return Some(entry),
                Some(_) => {}
            }
        }
    }
}
