//! Sampling a table for eviction: a hand that goes round the buckets.
//!
//! The hand visits whole buckets one after the other and goes on next time where it stopped. A key's bucket follows from a
//! seeded hash, so neighbours have nothing in common and a few buckets are a fair sample; in one round every entry is
//! seen about once, which random draws do not promise; and memory is read in order. Buckets without a volatile entry are
//! passed over by their mark alone, so that expiring keys are found among many that never expire. A compact table is visited
//! seven entries at a time, as if they were buckets.
//!
//! Rejected: drawing random entries (a third of them unseen in a round's worth of draws, a cache miss for each bucket), and
//! a list of the volatile keys as Redis keeps (a second table for what one bit a bucket does).

use super::bucket::{self, VOLATILE};
use super::{prefetch, Entry, Table};

/// Entries of a compact table that are visited like a bucket.
const GROUP: usize = 7;

/// What one call of [`Table::sample`] did.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// The bucket to go on from; 0 when the end was reached.
    pub next: usize,
    /// Entries visited.
    pub visited: usize,
    /// Buckets passed.
    pub buckets: usize,
}

impl<E: Entry> Table<E> {
    /// Visits the entries of whole buckets from bucket `start` on until at least `want` were visited or `limit` buckets are
    /// passed; with `only_volatile`, entries that never expire are passed over.
    pub fn sample(
        &mut self,
        start: usize,
        limit: usize,
        want: usize,
        only_volatile: bool,
        mut visit: impl FnMut(&E),
    ) -> Sampled {
        let end = if self.buckets == 0 { self.count.div_ceil(GROUP) } else { self.buckets as usize };
        let mut sampled = Sampled::default();
        let mut index = start;
        while index < end && sampled.buckets < limit && sampled.visited < want {
            sampled.visited += if self.buckets == 0 {
                self.sample_group(index, only_volatile, &mut visit)
            } else {
                self.sample_bucket(index, only_volatile, &mut visit)
            };
            sampled.buckets += 1;
            index += 1;
        }
        sampled.next = if index >= end { 0 } else { index };
        sampled
    }

    /// Visits some entries of a compact table; gives how many.
    fn sample_group(&mut self, group: usize, only_volatile: bool, visit: &mut impl FnMut(&E)) -> usize {
        let Some(block) = self.block() else { return 0 };
        let places = group * GROUP..((group + 1) * GROUP).min(self.count);
        // SAFETY: the table's block is live, and its first places are live entries.
        unsafe {
            if only_volatile && *block.meta() & VOLATILE == 0 {
                return 0;
            }
            places.clone().for_each(|index| prefetch(block.pointer(index)));
            let entries = places.map(|index| &*block.slot(index).cast::<E>());
            let visited = entries.filter(|entry| !only_volatile || entry.is_volatile()).map(visit).count();
            if only_volatile && visited == 0 && self.count <= GROUP {
                *block.meta() &= !VOLATILE;
            }
            visited
        }
    }

    /// Visits the entries of one bucket and what is chained to it; gives how many.
    fn sample_bucket(&mut self, index: usize, only_volatile: bool, visit: &mut impl FnMut(&E)) -> usize {
        let mut visited = 0;
        let mut bucket = self.bucket(index);
        while !bucket.is_null() {
            // SAFETY: chains are made of live buckets; a tag that is not 0 within the width is a live entry.
            unsafe {
                if only_volatile && (*bucket).meta & VOLATILE == 0 {
                    bucket = bucket::next(bucket);
                    continue;
                }
                for slot in 0..bucket::width(bucket) {
                    prefetch((*bucket).slots[slot]);
                }
                let before = visited;
                for slot in 0..bucket::width(bucket) {
                    if (*bucket).tags[slot] == 0 {
                        continue;
                    }
                    let entry = &*(&raw const (*bucket).slots[slot]).cast::<E>();
                    if !only_volatile || entry.is_volatile() {
                        visit(entry);
                        visited += 1;
                    }
                }
                if only_volatile && visited == before {
                    // The mark outlived what it stood for: the next round passes the bucket by.
                    (*bucket).meta &= !VOLATILE;
                }
                bucket = bucket::next(bucket);
            }
        }
        visited
    }
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
