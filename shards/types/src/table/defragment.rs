//! Moving what a table consists of off pages that are worth emptying: entries, buckets, blocks.

use std::ptr::NonNull;

use super::bucket::{self, layout_of, link_layout, LINK};
use super::room::{last_room, SEGMENT};
use super::{Entry, Table};
use crate::mover::Mover;

/// Buckets in which there are about so many entries.
pub fn buckets_of(entries: usize) -> usize {
    entries / 5 + 1
}

impl<E: Entry> Table<E> {
    /// Moves buckets that are to be moved, up to `limit` of them from bucket `start` on, and has `visit` do so with the entries
    /// in them, whose keys stay the same. Returns the bucket to go on from, 0 when the end was reached.
    pub fn defragment(
        &mut self,
        start: usize,
        limit: usize,
        mover: &mut Mover<'_>,
        mut visit: impl FnMut(&mut E, &mut Mover<'_>),
    ) -> usize {
        if self.buckets == 0 {
            self.defragment_block(mover, &mut visit);
            return 0;
        }
        let end = start.saturating_add(limit).min(self.buckets as usize);
        for index in start..end {
            if index % SEGMENT == 0 {
                self.relocate_segment(index / SEGMENT, mover);
            }
            if index + 1 < self.buckets as usize {
                self.prefetch_entries(index + 1);
            }
            self.defragment_chain(index, mover, &mut visit);
        }
        if end >= self.buckets as usize {
            0
        } else {
            end
        }
    }

    fn defragment_block(&mut self, mover: &mut Mover<'_>, visit: &mut impl FnMut(&mut E, &mut Mover<'_>)) {
        self.relocate_block(mover);
        let Some(block) = self.block() else { return };
        for index in 0..self.count {
            // SAFETY: the first places of the table's block are live entries, and the table is borrowed mutably.
            visit(unsafe { &mut *block.slot(index).cast::<E>() }, mover);
        }
    }

    fn relocate_segment(&mut self, index: usize, mover: &mut Mover<'_>) {
        let buckets = self.buckets as usize;
        let segments = buckets.div_ceil(SEGMENT);
        let room = if index + 1 == segments { last_room(buckets) } else { SEGMENT };
        let place = self.segment(index, segments);
        // SAFETY: the segment is live, with room for so many buckets; nothing else points to it.
        unsafe { *place = mover.relocate(NonNull::new_unchecked(*place).cast(), layout_of(room)).as_ptr().cast() };
    }

    fn defragment_chain(
        &mut self,
        index: usize,
        mover: &mut Mover<'_>,
        visit: &mut impl FnMut(&mut E, &mut Mover<'_>),
    ) {
        let mut bucket = self.bucket(index);
        loop {
            // SAFETY: chains are made of live buckets; a tag that is not 0 within the width is a live entry. A link is pointed
            // to by the bucket before it alone.
            unsafe {
                for slot in 0..bucket::width(bucket) {
                    if (*bucket).tags[slot] != 0 {
                        visit(&mut *(&raw mut (*bucket).slots[slot]).cast::<E>(), mover);
                    }
                }
                let Some(next) = NonNull::new(bucket::next(bucket)) else { return };
                let moved = mover.relocate(next.cast(), link_layout(next.as_ptr()));
                (*bucket).slots[LINK] = moved.as_ptr();
                bucket = moved.as_ptr().cast();
            }
        }
    }
}
