//! What a snapshot that is being taken has to see before it changes, and where entries go that are not written whole yet: the
//! part of the one door ([`crate::keyspace::edit`]) that saves.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sherd_metrics::memory;

use super::big::BigEntry;
use super::{Manner, Saving, Sink, Whereabouts};
use crate::entry::object::ObjectMut;
use crate::entry::Entry;
use crate::keyspace::db::{Db, Key};
use crate::keyspace::shard::Shard;
use sherd_types::table;

/// How long a snapshot holds a shard at a time, which is how long clients wait for it; in tests for a few buckets only, so that
/// much comes in between.
const SLICE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_micros(200) };

impl Shard {
    /// Saves a key that is about to change or go, if a snapshot has not come to it.
    #[inline(always)]
    pub(in crate::keyspace) fn save_before(&mut self, db: u16, key: &Key<'_>) {
        if self.saving.is_some() {
            self.save_now(db, key);
        }
    }

    #[cold]
    fn save_now(&mut self, db: u16, key: &Key<'_>) {
        let before = memory::data_bytes();
        let slot = self.databases.get_mut(db).and_then(|database| database.find_slot(key));
        if let (Some(saving), Some(slot)) = (&mut self.saving, slot) {
            saving.save_first(db, key, slot.into_mut());
        }
        self.discount_since(before);
    }

    /// Saves an entry that has just been taken out of a database, if a snapshot has not come to it.
    pub(in crate::keyspace) fn save_gone(&mut self, db: u16, entry: &mut Entry) {
        let Some(saving) = &mut self.saving else { return };
        let before = memory::data_bytes();
        let bytes = table::Entry::key(entry).to_vec();
        saving.save_first(db, &Key::new(&bytes, &self.world.slots), entry);
        self.discount_since(before);
    }

    /// The cut of a snapshot, which all shards take at one moment; see [`crate::persistence`].
    pub fn begin_saving(&mut self, manner: Manner, sink: &Arc<Sink>) {
        debug_assert!(self.saving.is_none(), "one snapshot at a time");
        self.mark = !self.mark;
        let saving = Saving::begin(&self.databases, self.index, self.mark, manner, Arc::clone(sink));
        self.saving = Some(Box::new(saving));
        self.stats.saving.store(true, Ordering::SeqCst);
    }

    /// Goes on with a snapshot for one slice; how long the next is to wait, as `rdb-key-save-delay` says.
    pub fn save_slice(&mut self) -> Duration {
        let Some(saving) = &mut self.saving else { return Duration::ZERO };
        let before = memory::data_bytes();
        let until = Instant::now() + SLICE;
        let is_over = saving.walk(&mut self.databases, &self.world.slots, &self.world.reaper, until);
        let finished = std::mem::take(&mut saving.finished);
        let bytes = std::mem::take(&mut saving.bytes);
        let delay = if is_over { Duration::ZERO } else { saving.take_delay() };
        if is_over {
            self.saving = None;
            self.stats.saving.store(false, Ordering::SeqCst);
        }
        self.discount_since(before);
        self.stats.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
        finished.into_iter().for_each(|entry| self.free(entry, |_| true));
        delay
    }

    /// Says that what this thread has allocated since is not the shard's, but on its way to a file.
    fn discount_since(&self, before: i64) {
        self.stats.memory_bytes.fetch_sub(memory::data_bytes() - before, Ordering::Relaxed);
    }

    /// Keeps an entry that has left the keyspace until it is written whole, if it is being saved in slices; else returns it.
    pub(in crate::keyspace) fn keep_unsaved(&mut self, mut entry: Entry) -> Option<Entry> {
        let Some((saving, sends_pieces)) = take_over(&mut self.saving, (self.index, self.mark), &mut entry) else {
            return Some(entry);
        };
        saving.enter(Whereabouts::Out(entry), sends_pieces);
        self.stats.saving.store(true, Ordering::SeqCst);
        None
    }

    /// Notes the place of an entry that has come to this key; one that is being saved in slices may come from another shard.
    pub(in crate::keyspace) fn note_arrival(&mut self, db: u16, key: &Key<'_>) {
        let Some(slot) = self.databases.get_mut(db).and_then(|database| database.find_slot(key)) else { return };
        if let Some((saving, sends_pieces)) = take_over(&mut self.saving, (self.index, self.mark), slot.into_mut()) {
            saving.enter(Whereabouts::Key(db, key.bytes.into()), sends_pieces);
            self.stats.saving.store(true, Ordering::SeqCst);
        }
    }

    /// Keeps a database that was emptied as far as a snapshot has not saved it; else returns it.
    pub(in crate::keyspace) fn keep_flushed(&mut self, db: u16, database: Box<Db>) -> Option<Box<Db>> {
        match &mut self.saving {
            Some(saving) => saving.keep(db, database, &self.world.slots),
            None => Some(database),
        }
    }

    /// Two databases have changed places.
    pub(in crate::keyspace) fn note_swap(&mut self, a: u16, b: u16) {
        if let Some(saving) = &mut self.saving {
            saving.swap(a, b);
        }
    }
}

/// Has a shard, of this index and mark, save an entry that is being saved in slices, if it is; with whether it is sent in pieces.
fn take_over<'s>(
    saving: &'s mut Option<Box<Saving>>,
    (index, mark): (usize, bool),
    entry: &mut Entry,
) -> Option<(&'s mut Saving, bool)> {
    if !entry.is_walked() {
        return None;
    }
    let big = BigEntry::of(entry.object_mut().and_then(ObjectMut::walkable)?)?;
    big.move_to(index);
    let saving = saving.get_or_insert_with(|| {
        // This shard had come to its end; the one that the entry comes from has not.
        big.sink.reopen();
        Box::new(Saving::empty(index, mark, big.manner, Arc::clone(&big.sink)))
    });
    Some((saving, big.sends_pieces()))
}
