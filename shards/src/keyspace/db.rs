//! One database's keys of one shard: one table, or in cluster mode a table for each slot.
//!
//! In cluster mode a slot's keys are asked for, scanned and handed to other nodes as a whole, which a table of their own makes
//! cheap. An empty slot costs its table's 24 bytes. Elsewhere nobody could tell, and one table takes less and is quicker.

use crate::effects::watch::Presence;
use crate::entry::object::ObjectMut;
use crate::entry::Entry;
use crate::slot::{SlotMap, SLOTS};
use sherd_types::hash::Fields;
use sherd_types::mover::Mover;
use sherd_types::table::{Slot, Table};

/// A key with what was computed of it, so that nothing is hashed twice.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
    pub slot: u16,
}

impl<'a> Key<'a> {
    /// A key by its bytes.
    #[inline]
    pub fn new(bytes: &'a [u8], map: &SlotMap) -> Key<'a> {
        Key { bytes, hash: sherd_types::table::hash(bytes), slot: map.slot(bytes) }
    }
}

/// One database's keys of one shard.
pub struct Db {
    tables: Box<[Table<Entry>]>,
    first_slot: u16,
    /// The bits of a slot that tell its table: all of them or none.
    slot_mask: u16,
    keys: usize,
    /// Keys with an expiry.
    volatile: usize,
    /// Keys of hashes and sets with elements that expire, as far as they have announced it ([`Db::announce`]).
    timed: usize,
    /// Where the expiry sweep goes on: table and bucket.
    sweep_at: (usize, usize),
    /// Where the hand that samples for eviction goes on: table and bucket.
    hand: (usize, usize),
}

/// Buckets and tables that one sampling passes at most: some 50 us where nothing is found.
const SAMPLE_STEPS_MAX: usize = 16_384;

/// What one slice of the expiry sweep did.
#[derive(Default, Debug, Clone, Copy)]
pub struct Sweep {
    pub buckets: usize,
    pub expired: usize,
    /// Keys with an expiry that were seen and stay, and the sum of the time that they have left.
    pub living: usize,
    pub remaining_ms: u128,
    /// The sweep has come round to where it began.
    pub wrapped: bool,
}

impl Db {
    /// An empty database for a shard.
    pub fn new(map: &SlotMap, shard: usize) -> Db {
        let slots = if map.uses_slots() { map.slots_of(shard) } else { 0..1 };
        let first_slot = slots.start as u16;
        let (tables, slot_mask) = if map.has_slot_tables() { (slots.len(), u16::MAX) } else { (1, 0) };
        Db {
            tables: (0..tables).map(|_| Table::new()).collect(),
            first_slot,
            slot_mask,
            keys: 0,
            volatile: 0,
            timed: 0,
            sweep_at: (0, 0),
            hand: (0, 0),
        }
    }

    #[inline]
    fn index(&self, slot: u16) -> usize {
        usize::from(slot.wrapping_sub(self.first_slot) & self.slot_mask)
    }

    /// The table that a key is in.
    #[inline]
    pub fn table(&self, slot: u16) -> &Table<Entry> {
        &self.tables[self.index(slot)]
    }

    /// Keys in the database, expired ones included.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Keys with an expiry.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// Keys of hashes and sets with elements that expire.
    pub fn timed_len(&self) -> usize {
        self.timed
    }

    /// When the elements of a key should be looked at, if they expire earlier than it has said; with `again`, whatever it has
    /// said. From then on the key counts as one with elements that expire.
    pub(super) fn announce(&mut self, key: &Key<'_>, again: bool) -> Option<u64> {
        let mut slot = self.find_slot(key)?;
        let fields = slot.get_mut().object_mut().and_then(ObjectMut::timed_mut)?;
        let before = fields.has_announced();
        let due = fields.announce(again);
        let after = fields.has_announced();
        self.timed += usize::from(after);
        self.timed -= usize::from(before);
        due
    }

    /// Counts an entry no more that leaves the database.
    #[inline]
    fn release(&mut self, entry: &mut Entry) {
        self.volatile -= usize::from(entry.expiry().is_some());
        if let Some(fields) = entry.object_mut().and_then(ObjectMut::timed_mut) {
            self.timed -= usize::from(fields.withdraw());
        }
    }

    /// The slots that this database has tables for; the shard's first one where one table has all.
    pub fn slots(&self) -> std::ops::Range<usize> {
        usize::from(self.first_slot)..usize::from(self.first_slot) + self.tables.len()
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<&Entry> {
        self.tables[self.index(key.slot)].find(key.hash, key.bytes)
    }

    /// The place of a key, expired or not.
    #[inline(always)]
    pub(super) fn find_slot(&mut self, key: &Key<'_>) -> Option<Slot<'_, Entry>> {
        let index = self.index(key.slot);
        self.tables[index].find_slot(key.hash, key.bytes)
    }

    /// Makes room for so many keys, if there are none yet and one table will have all of them.
    pub(super) fn reserve(&mut self, keys: usize) {
        if let ([table], 0) = (&mut *self.tables, self.keys) {
            table.reserve(keys);
        }
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert_new(&mut self, key: &Key<'_>, entry: Entry) -> &mut Entry {
        self.keys += 1;
        self.volatile += usize::from(entry.expiry().is_some());
        let index = self.index(key.slot);
        self.tables[index].insert_new(key.hash, entry).into_mut()
    }

    /// Another entry, which expires or not, has taken an entry's place.
    pub(super) fn has_replaced(&mut self, old: &mut Entry, expires: bool) {
        self.volatile += usize::from(expires);
        self.release(old);
    }

    /// Puts an entry in the place of the key's old one, which is given back.
    pub(super) fn replace(&mut self, key: &Key<'_>, entry: Entry) -> Option<Entry> {
        let expires = entry.expiry().is_some();
        if let Some(mut slot) = self.find_slot(key) {
            let mut old = slot.replace(entry);
            self.has_replaced(&mut old, expires);
            return Some(old);
        }
        self.insert_new(key, entry);
        None
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &Key<'_>) -> Option<Entry> {
        let index = self.index(key.slot);
        let mut entry = self.tables[index].remove(key.hash, key.bytes)?;
        self.keys -= 1;
        self.release(&mut entry);
        Some(entry)
    }

    /// Sets or removes a key's expiry; false when there is no such key.
    pub(super) fn set_expiry(&mut self, key: &Key<'_>, expiry: Option<i64>) -> bool {
        let Some(mut slot) = self.find_slot(key) else { return false };
        let before = slot.get().expiry().is_some();
        slot.rebuild(|entry| entry.with_expiry(expiry));
        self.volatile -= usize::from(before);
        self.volatile += usize::from(expiry.is_some());
        true
    }

    /// One step of a scan of one slot; see [`Table::scan`].
    pub fn scan_slot(&self, slot: usize, cursor: u64, visit: impl FnMut(&Entry)) -> u64 {
        self.table(slot as u16).scan(cursor, visit)
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(Table::iter)
    }

    /// Some key, with about equal chances for all.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        if self.keys == 0 {
            return None;
        }
        // A few draws find a non-empty table unless the database is nearly empty; then the next one round serves.
        let start = (0..32)
            .map(|_| random() as usize % self.tables.len())
            .find(|&index| !self.tables[index].is_empty())
            .unwrap_or_else(|| random() as usize % self.tables.len());
        let order = (start..self.tables.len()).chain(0..start);
        order.map(|index| &self.tables[index]).find(|table| !table.is_empty()).and_then(|table| table.random(random))
    }

    /// Removes expired entries of up to `limit` buckets, going on where the last call ended.
    pub(super) fn sweep(&mut self, now: i64, limit: usize, mut removed: impl FnMut(Entry)) -> Sweep {
        let mut done = Sweep::default();
        while done.buckets < limit {
            let (index, bucket) = self.sweep_at;
            let table = &mut self.tables[index];
            let before = table.len();
            let step = (limit - done.buckets).min(table.bucket_count().saturating_sub(bucket));
            let is_gone = |entry: &Entry| {
                let left = entry.expiry().map_or(0, |at| at.saturating_sub(now).max(0));
                done.living += usize::from(left > 0);
                done.remaining_ms += left as u128;
                left == 0
            };
            let mut timed = 0;
            let next = table.sweep(bucket, step.max(1), is_gone, |mut entry: Entry| {
                let fields = entry.object_mut().and_then(ObjectMut::timed_mut);
                timed += usize::from(fields.is_some_and(Fields::withdraw));
                removed(entry);
            });
            let expired = before - table.len();
            self.keys -= expired;
            self.volatile -= expired;
            self.timed -= timed;
            done.expired += expired;
            // An empty table costs a look, 16384 of them some 10 us: counted as a bucket each, those of a shard with few keys
            // would be all that it is seen to have.
            done.buckets += if before == 0 { 0 } else { step.max(1) };
            self.sweep_at = (index, next);
            if next == 0 {
                self.sweep_at = ((index + 1) % self.tables.len(), 0);
                if self.sweep_at.0 == 0 {
                    done.wrapped = true;
                    break;
                }
            }
        }
        done
    }

    /// Visits at least `want` entries with their slots (those that can expire, with `only_volatile`), from where the last call
    /// ended; gives how many. Fewer were found if there are no more, or if they are so rare that the search takes several calls.
    pub(super) fn sample(&mut self, only_volatile: bool, want: usize, mut visit: impl FnMut(&Entry, u16)) -> usize {
        let there = if only_volatile { self.volatile } else { self.keys };
        let want = want.min(there);
        let (mut visited, mut steps) = (0, 0);
        while visited < want && steps < SAMPLE_STEPS_MAX {
            let (index, bucket) = self.hand;
            let slot = self.first_slot + index as u16;
            let limit = SAMPLE_STEPS_MAX - steps;
            let sampled =
                self.tables[index].sample(bucket, limit, want - visited, only_volatile, |entry| visit(entry, slot));
            visited += sampled.visited;
            // An empty table costs a look as well.
            steps += sampled.buckets + 1;
            self.hand = (index, sampled.next);
            if sampled.next == 0 {
                self.hand = ((index + 1) % self.tables.len(), 0);
            }
        }
        visited
    }

    /// Moves what is to be moved of one bucket, and has `visit` do so with the entries in it; where to go on, table and bucket, and
    /// `None` at the end.
    pub(super) fn defragment(
        &mut self,
        (index, bucket): (usize, usize),
        mover: &mut Mover<'_>,
        visit: impl FnMut(&mut Entry, &mut Mover<'_>),
    ) -> Option<(usize, usize)> {
        match self.tables.get_mut(index)?.defragment(bucket, 1, mover, visit) {
            0 => Some((index + 1, 0)),
            next => Some((index, next)),
        }
    }

    /// Bytes of the tables, entries not counted.
    pub fn table_bytes(&self) -> usize {
        self.tables.len() * size_of::<Table<Entry>>() + self.tables.iter().map(Table::memory_bytes).sum::<usize>()
    }
}

const _: () = assert!(SLOTS <= 1 << 14);

/// What a database has of a key.
pub(crate) fn presence(database: Option<&Db>, key: &Key<'_>, now_ms: i64) -> Presence {
    match database.and_then(|database| database.find(key)) {
        None => Presence::Absent,
        Some(entry) if entry.is_expired(now_ms) => Presence::Expired,
        Some(_) => Presence::Alive,
    }
}
