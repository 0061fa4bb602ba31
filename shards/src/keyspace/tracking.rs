//! Client-side caching: which clients have read which keys of a shard, so that they are told when one changes.
//!
//! Each shard keeps the keys that tracking clients have read since they last changed, with the clients, in a table like that of
//! the keyspace: the hash of a key that a command has brought is used again, and a key that was read before costs one look-up.
//! Clients have small numbers there (`server/reader_numbers.rs`), so the readers of a key are a word while no more than 64 track.
//! What commands of a batch read is noted together, when there is enough of it, a key changes or the batch ends: so memory is asked
//! for in time, and what is the same for all is done once.
//! As in the references a key is the same key in all databases. What is told of once is forgotten: who wants to hear of the
//! next change reads again.
//!
//! Invalidations leave through the shard's outbox. They may name clients that have gone or track no longer: whoever delivers
//! them looks. Told too much is a cache that is filled again, told too little is one that is wrong.
//!
//! Rejected: a mark in the keyspace's entries, which keys that are not there have none of, and clients cache those too.

use std::sync::atomic::Ordering::Relaxed;

use super::db::Key;
use super::invalidations::Told;
use super::read_keys::{PendingRead, ReadKey, NUMBER_IN_WORD_MAX};
use crate::keyspace::shard::Shard;
use sherd_types::table::{self, Prefetch};

/// Keys that one read forgets for others while there are too many; the rest is left to the shards' own threads.
const TRIM_BY_READ: usize = 16;
/// Keys that a shard's own thread forgets in one slice.
const TRIM_BY_THREAD: usize = 256;

/// Reads of a batch that are noted together.
const PENDING_READS_MAX: usize = 64;

impl Shard {
    /// Where a key will be looked for among those that were read, if there are any.
    #[inline]
    pub(crate) fn read_keys_ahead(&self) -> Option<&impl Prefetch> {
        Some(&self.read_keys.table).filter(|table| !table.is_empty())
    }

    /// Notes that the client with this number has read a key.
    pub(crate) fn note_read(&mut self, key: &Key<'_>, number: u32) {
        let era = self.world.tracking.readers.era();
        let known = self.read_keys.table.find_mut(key.hash, key.bytes).map(ReadKey::header_mut);
        match known {
            Some(known) if number < NUMBER_IN_WORD_MAX && !known.is_before(era) => {
                if known.add(number, era) {
                    self.stats.tracked_items.increment();
                }
            }
            _ => self.note_reads(std::iter::once((key.hash, key.bytes, number))),
        }
    }

    /// Notes later that the client with this number has read a key, but before a key changes: many are noted in less time than one by
    /// one. The batch that has the key's bytes goes on until then; see [`Shard::note_pending_reads`].
    #[inline]
    pub(crate) fn note_read_later(&mut self, hash: u64, key: &'static [u8], number: u32) {
        self.read_keys.table.prefetch_bucket(hash);
        if self.read_keys.pending.len() == self.read_keys.pending.capacity() {
            self.make_room_for_reads();
        }
        self.read_keys.pending.push(PendingRead { hash, key, number });
    }

    #[inline(never)]
    fn make_room_for_reads(&mut self) {
        self.note_pending_reads();
        let pending = &mut self.read_keys.pending;
        if pending.capacity() == 0 {
            self.outbox.invalidations.uncounted(|| pending.reserve_exact(PENDING_READS_MAX));
        }
    }

    /// Notes what is to be noted. Whoever executes a batch does so before it hands the batch on.
    #[inline]
    pub(crate) fn note_pending_reads(&mut self) {
        if !self.read_keys.pending.is_empty() {
            self.note_pending_reads_now();
        }
    }

    #[inline(never)]
    fn note_pending_reads_now(&mut self) {
        let mut pending = std::mem::take(&mut self.read_keys.pending);
        pending.iter().for_each(|read| self.read_keys.table.prefetch_entry(read.hash));
        self.note_reads(pending.drain(..).map(|read| (read.hash, read.key, read.number)));
        self.read_keys.pending = pending;
    }

    /// Notes who has read which keys: their hashes, their bytes, and the clients' numbers.
    fn note_reads<'k>(&mut self, reads: impl Iterator<Item = (u64, &'k [u8], u32)>) {
        let (table, readers) = (&mut self.read_keys.table, &self.world.tracking.readers);
        let era = readers.era();
        let (mut keys, mut items) = (0, 0);
        self.outbox.invalidations.uncounted(|| {
            for (hash, key, number) in reads {
                let Some(known) = table.find_mut(hash, key).map(ReadKey::header_mut) else {
                    let mut read = ReadKey::new(key, era);
                    read.header_mut().add(number, era);
                    table.insert_new(hash, read);
                    (keys, items) = (keys + 1, items + 1);
                    continue;
                };
                if known.is_before(era) {
                    items -= known.renew(&readers.holders(), era) as i64;
                }
                items += i64::from(known.add(number, era));
            }
        });
        // Numbers wrap: what is taken off is added as its complement.
        self.stats.tracked_items.add(items as u64);
        if keys > 0 {
            self.stats.tracked_keys.add(keys as u64);
            self.world.tracking.keys.fetch_add(keys, Relaxed);
            self.trim_read_keys(keys * TRIM_BY_READ);
        }
    }

    /// Takes a key out of those that were read; who has read it.
    fn take_readers(&mut self, hash: u64, key: &[u8]) -> Option<Vec<u64>> {
        let table = &mut self.read_keys.table;
        if table.is_empty() {
            return None;
        }
        let known = self.outbox.invalidations.uncounted(|| table.remove(hash, key))?;
        self.stats.tracked_keys.subtract(1);
        self.stats.tracked_items.subtract(known.header().readers.count() as u64);
        self.world.tracking.keys.fetch_sub(1, Relaxed);
        let numbers = &self.world.tracking.readers;
        self.outbox.invalidations.uncounted(|| {
            let readers = known.header().tokens(&numbers.holders());
            drop(known);
            Some(readers)
        })
    }

    /// A key has changed or gone: who has it in a cache is to be told. Only while somebody tracks.
    #[inline(never)]
    pub(crate) fn invalidate(&mut self, key: &Key<'_>) {
        self.note_pending_reads();
        let by = self.read_keys.silent;
        let mut readers = self.take_readers(key.hash, key.bytes).unwrap_or_default();
        readers.retain(|&token| token != by);
        let has_changed = self.world.tracking.broadcast.load(Relaxed) > 0;
        if has_changed || !readers.is_empty() {
            let cause = self.read_keys.cause.filter(|cause| readers.contains(&cause.client));
            self.outbox.invalidations.add_caused(cause, || Told::Key {
                key: key.bytes.into(),
                readers,
                has_changed,
                by,
            });
        }
    }

    /// All keys may be other ones.
    #[cold]
    pub(crate) fn invalidate_everything(&mut self) {
        self.forget_read_keys();
        if !self.outbox.invalidations.ends_with_everything() {
            self.outbox.invalidations.add(|| Told::Everything);
        }
    }

    /// Forgets what was read, in the background where that takes long.
    pub(super) fn forget_read_keys(&mut self) {
        self.read_keys.pending.clear();
        let table = std::mem::take(&mut self.read_keys.table);
        self.world.tracking.keys.fetch_sub(table.len(), Relaxed);
        self.stats.tracked_keys.set(0);
        self.stats.tracked_items.set(0);
        if table.len() <= TRIM_BY_THREAD {
            return self.outbox.invalidations.uncounted(|| drop(table));
        }
        // If it cannot be left to the background, it is freed here.
        let world = &self.world;
        self.outbox.invalidations.uncounted(|| world.reaper.run(Box::new(move || drop(table))));
    }

    /// Forgets keys as long as there are too many, but no more than so many of them; whoever has read one is told.
    fn trim_read_keys(&mut self, at_most: usize) {
        for _ in 0..at_most {
            if !self.world.remembers_too_much(self.stats.tracked_keys.get()) {
                return;
            }
            let random = &mut self.random;
            let Some(chosen) = self.read_keys.table.random(|| random.next()) else { return };
            let key: Box<[u8]> = table::Entry::key(chosen).into();
            let Some(readers) = self.take_readers(table::hash(&key), &key) else { return };
            if self.world.tracking.is_on() {
                self.outbox.invalidations.add(|| Told::Key { key, readers, has_changed: false, by: 0 });
            }
        }
    }

    /// Goes on forgetting what is too much, in the shard's own thread; all of it where there is nobody to be told.
    pub fn trim_slice(&mut self) {
        if !self.world.tracking.is_on() {
            return self.forget_read_keys();
        }
        self.trim_read_keys(TRIM_BY_THREAD);
    }
}

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
