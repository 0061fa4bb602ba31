//! Going through a table: SCAN's steps, iteration, random draws, the expiry sweep.

use std::ptr::null_mut;

use super::bucket::{self, prefetch, take, Bucket, VOLATILE};
use super::{Entry, Table, SHRINK};
use crate::invariant;

/// The cursor after this one, counted in reversed bits; `mask` has those that the table looks at.
fn following(cursor: u32, mask: u32) -> u32 {
    (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
}

impl<E: Entry> Table<E> {
    /// Visits every entry of one step of a scan and returns the next cursor, 0 at the end. A compact table is one step, wherever
    /// the scan has come while there were buckets.
    ///
    /// Cursors count in reversed bits, as in Redis: every entry that is in the table from the first call to the last
    /// is visited at least once, however the table grows or shrinks in between.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&E)) -> u64 {
        if self.buckets == 0 {
            self.visit_block(&mut visit);
            return 0;
        }
        let cursor = cursor as u32;
        let (index, mask) = self.scan_step(cursor);
        let next = following(cursor, mask);
        if next != 0 {
            // A scan goes on there, and its entries lie anywhere in memory: they are asked for while this step's are visited,
            // and the bucket behind them, so that it is there when the next step asks for its entries.
            let (ahead, mask) = self.scan_step(next);
            self.prefetch_entries(ahead);
            self.prefetch_rest_of_entries(ahead);
            prefetch(self.bucket(self.scan_step(following(next, mask)).0).cast());
        }
        self.visit_chain(index, &mut visit);
        u64::from(next)
    }

    /// The bucket that a cursor means, and the mask of the bits that say so.
    fn scan_step(&self, cursor: u32) -> (usize, u32) {
        let half = self.mask >> 1;
        let index = cursor & self.mask;
        let unsplit = |i: u32| i <= half && i >= self.buckets.saturating_sub(half + 1);
        if index >= self.buckets || unsplit(index) && self.buckets <= self.mask {
            return ((index & half) as usize, half);
        }
        (index as usize, self.mask)
    }

    pub(super) fn prefetch_entries(&self, index: usize) {
        let bucket = self.bucket(index);
        // SAFETY: a live bucket; what its slots hold is only prefetched.
        unsafe {
            for slot in (0..bucket::width(bucket)).filter(|&slot| (*bucket).tags[slot] != 0) {
                prefetch((*bucket).slots[slot]);
            }
        }
    }

    /// A key with a short value lies in two lines more often than in one; whoever scans wants all of it.
    fn prefetch_rest_of_entries(&self, index: usize) {
        let bucket = self.bucket(index);
        // SAFETY: as in `prefetch_entries`.
        unsafe {
            for slot in (0..bucket::width(bucket)).filter(|&slot| (*bucket).tags[slot] != 0) {
                prefetch((*bucket).slots[slot].wrapping_add(64));
            }
        }
    }

    fn visit_chain(&self, index: usize, visit: &mut impl FnMut(&E)) {
        let mut bucket = self.bucket(index);
        while !bucket.is_null() {
            // SAFETY: chains are made of live buckets; a tag that is not 0 within the width is a live entry.
            unsafe {
                for slot in 0..bucket::width(bucket) {
                    if (*bucket).tags[slot] != 0 {
                        visit(&*(&raw const (*bucket).slots[slot]).cast::<E>());
                    }
                }
                bucket = bucket::next(bucket);
            }
        }
    }

    fn visit_block(&self, visit: &mut impl FnMut(&E)) {
        let Some(block) = self.block() else { return };
        (0..self.count).for_each(|index| prefetch(block.pointer(index)));
        // SAFETY: the first places of the table's block are live entries.
        (0..self.count).for_each(|index| visit(unsafe { &*block.slot(index).cast::<E>() }));
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> Iter<'_, E> {
        let bucket = if self.buckets == 0 { null_mut() } else { self.bucket(0) };
        Iter { table: self, next_index: 1, bucket, slot: 0 }
    }

    /// An entry chosen with equal chances for all. `random` gives 64 random bits a call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&E> {
        /// Chains longer than this are rare enough that their small disadvantage cannot be measured.
        const DRAWS: usize = 16;
        if self.count == 0 {
            return None;
        }
        if let Some(block) = self.block() {
            let index = ((random() >> 32) * self.count as u64) >> 32;
            // SAFETY: the first places of the table's block are live entries.
            return Some(unsafe { &*block.slot(index as usize).cast::<E>() });
        }
        loop {
            let bits = random();
            let index = ((bits >> 32) * u64::from(self.buckets)) >> 32;
            let length = self.chain_length(index as usize);
            let pick = if length > DRAWS { (bits as usize) % length } else { (bits as usize) % DRAWS };
            if pick < length {
                return self.nth_of_chain(index as usize, pick);
            }
        }
    }

    /// Entries of the chain that a bucket begins, told by the tags alone.
    fn chain_length(&self, index: usize) -> usize {
        let (mut bucket, mut length) = (self.bucket(index), 0);
        while !bucket.is_null() {
            // SAFETY: chains are made of live buckets.
            unsafe {
                length += bucket::count(bucket::occupied(bucket));
                bucket = bucket::next(bucket);
            }
        }
        length
    }

    /// The entry of a chain that has so many before it.
    fn nth_of_chain(&self, index: usize, mut number: usize) -> Option<&E> {
        let mut bucket = self.bucket(index);
        while !bucket.is_null() {
            // SAFETY: chains are made of live buckets; an occupied slot holds a live entry of the table, which is borrowed.
            unsafe {
                let mut occupied = bucket::occupied(bucket);
                let length = bucket::count(occupied);
                if number < length {
                    (0..number).for_each(|_| occupied &= occupied - 1);
                    let slot = (occupied.trailing_zeros() / 8) as usize;
                    return Some(&*(&raw const (*bucket).slots[slot]).cast::<E>());
                }
                number -= length;
                bucket = bucket::next(bucket);
            }
        }
        None
    }

    /// Visits the volatile entries of up to `limit` buckets from bucket `start` on; entries for which `expired` says
    /// true are taken out and given to `removed`. Returns the bucket to go on from, 0 when the end was reached.
    ///
    /// Of buckets without a volatile entry only the bucket's own cache line is touched.
    pub fn sweep(
        &mut self,
        start: usize,
        limit: usize,
        mut expired: impl FnMut(&E) -> bool,
        mut removed: impl FnMut(E),
    ) -> usize {
        if self.buckets == 0 {
            self.sweep_block(expired, removed);
            return 0;
        }
        let end = (start + limit).min(self.buckets as usize);
        let mut gone = 0;
        for index in start..end {
            // SAFETY: the bucket begins a chain of this table, which is borrowed.
            gone += unsafe { sweep_chain::<E>(self.bucket(index), &mut expired, &mut removed) };
        }
        invariant!(gone <= self.count, "a table holds fewer entries than were removed from it");
        self.count -= gone;
        while self.buckets > 1 && self.count < self.buckets as usize * SHRINK / 2 && gone > 0 {
            self.shrink();
            gone -= 1;
        }
        self.gather();
        if end >= self.buckets as usize {
            0
        } else {
            end
        }
    }

    fn sweep_block(&mut self, mut expired: impl FnMut(&E) -> bool, mut removed: impl FnMut(E)) {
        let Some(block) = self.block() else { return };
        // SAFETY: the first places of the table's block are live entries, and the block stays while entries are taken out.
        unsafe {
            if *block.meta() & VOLATILE == 0 {
                return;
            }
            let mut volatile = 0;
            let mut index = 0;
            while index < self.count {
                let entry = &*block.slot(index).cast::<E>();
                if entry.is_volatile() && expired(entry) {
                    removed(self.take_compact(block, index));
                    continue;
                }
                volatile |= u8::from(entry.is_volatile()) * VOLATILE;
                index += 1;
            }
            *block.meta() = volatile;
        }
        self.fit_block();
    }
}

impl<'a, E: Entry> Iter<'a, E> {
    /// The next entry of a compact table; none of one with buckets.
    fn next_of_block(&mut self) -> Option<&'a E> {
        let block = self.table.block()?;
        let index = self.slot;
        self.slot += 1;
        // SAFETY: the first places of the table's block are live entries, and the table is borrowed.
        (index < self.table.count).then(|| unsafe { &*block.slot(index).cast::<E>() })
    }
}

/// Buckets between the one that an iterator is at and the one whose entries it asks for: as many entries as arrive while the
/// ones between are looked at.
const AHEAD: usize = 3;

/// Iterator over all entries.
pub struct Iter<'a, E: Entry> {
    table: &'a Table<E>,
    next_index: usize,
    bucket: *mut Bucket,
    slot: usize,
}

impl<'a, E: Entry> Iterator for Iter<'a, E> {
    type Item = &'a E;

    // What an entry takes; what a chain takes is apart, once for many entries.
    #[inline]
    fn next(&mut self) -> Option<&'a E> {
        while !self.bucket.is_null() || self.enter_next() {
            // SAFETY: the bucket is live while the table is borrowed; a tag within the width is a live entry.
            unsafe {
                while self.slot < bucket::width(self.bucket) {
                    let slot = self.slot;
                    self.slot += 1;
                    if (*self.bucket).tags[slot] != 0 {
                        return Some(&*(&raw const (*self.bucket).slots[slot]).cast::<E>());
                    }
                }
                self.bucket = bucket::next(self.bucket);
                self.slot = 0;
            }
        }
        self.next_of_block()
    }
}

impl<E: Entry> Iter<'_, E> {
    /// Goes on with the next chain, if there is one.
    fn enter_next(&mut self) -> bool {
        if self.next_index >= self.table.buckets as usize {
            return false;
        }
        self.bucket = self.table.bucket(self.next_index);
        self.next_index += 1;
        if self.next_index + AHEAD < self.table.buckets as usize {
            self.table.prefetch_entries(self.next_index + AHEAD);
        }
        self.slot = 0;
        true
    }
}

/// Takes the entries that have expired out of the chain that begins at `home`; returns how many there were.
///
/// # Safety
/// The bucket begins a chain of a table of such entries, which nobody else uses meanwhile.
unsafe fn sweep_chain<E: Entry>(
    home: *mut Bucket,
    expired: &mut impl FnMut(&E) -> bool,
    removed: &mut impl FnMut(E),
) -> usize {
    let mut gone = 0;
    // SAFETY: chains are made of live buckets, and each slot taken out is an occupied one.
    unsafe {
        let mut bucket = home;
        while !bucket.is_null() {
            if (*bucket).meta & VOLATILE == 0 {
                bucket = bucket::next(bucket);
                continue;
            }
            let mut volatile = false;
            let mut slot = 0;
            let mut emptied = false;
            while slot < bucket::width(bucket) {
                if (*bucket).tags[slot] == 0 {
                    slot += 1;
                    continue;
                }
                let entry = &*(&raw const (*bucket).slots[slot]).cast::<E>();
                if entry.is_volatile() && expired(entry) {
                    let is_last = bucket::next(bucket).is_null() && bucket != home;
                    removed(take::<E>(home, bucket, slot));
                    gone += 1;
                    // Taking an entry out may move one from the chain's end here, or free the chain's end.
                    if is_last {
                        emptied = true;
                        break;
                    }
                    continue;
                }
                volatile |= entry.is_volatile();
                slot += 1;
            }
            if emptied {
                // The rest of the chain's last bucket waits for the next sweep; it may have been freed.
                break;
            }
            if !volatile {
                (*bucket).meta &= !VOLATILE;
            }
            bucket = bucket::next(bucket);
        }
    }
    gone
}
