//! Client-side caching: which clients have read which keys of a shard, so that they are told when one changes.
//!
//! Each shard keeps the keys that tracking clients have read since they last changed, with the clients, in a table like that of
//! the keyspace: the hash of a key that a command has brought is used again, and a key that was read before costs one look-up.
//! As in the references a key is the same key in all databases. What is told of once is forgotten: who wants to hear of the
//! next change reads again.
//!
//! Invalidations leave through the shard's outbox. They may name clients that have gone or track no longer: whoever delivers
//! them looks. Told too much is a cache that is filled again, told too little is one that is wrong.
//!
//! Rejected: a mark in the keyspace's entries, which keys that are not there have none of, and clients cache those too.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use sherd_metrics::memory;

use crate::command::spec::{flag, CommandSpec, Group};
use crate::handler::context::Context;
use crate::keyspace::db::Key;
use crate::server::client::ClientRecord;
use crate::server::shard::Shard;
use sherd_types::table::{self, Table};

/// Keys that one read forgets for others while there are too many; the rest is left to the shards' own threads.
const TRIM_BY_READ: usize = 16;
/// Keys that a shard's own thread forgets in one slice.
const TRIM_BY_THREAD: usize = 256;
/// Invalidations that wait in one shard, at most: what a slice changes beyond that is told as a change of everything.
pub const PENDING_MAX: usize = 1 << 16;

/// The clients that have read a key, by the tokens of their connections: one, mostly.
enum Readers {
    One(u64),
    // Seldom wanted: what it takes, every key would have room for.
    #[allow(clippy::box_collection)]
    Many(Box<BTreeSet<u64>>),
}

impl Readers {
    /// Adds a client; false if it is there already.
    #[inline]
    fn add(&mut self, token: u64) -> bool {
        match self {
            Readers::One(only) if *only == token => false,
            Readers::One(only) => {
                *self = Readers::Many(Box::new(BTreeSet::from([*only, token])));
                true
            }
            Readers::Many(all) => all.insert(token),
        }
    }

    fn to_vec(&self) -> Vec<u64> {
        match self {
            Readers::One(only) => vec![*only],
            Readers::Many(all) => all.iter().copied().collect(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Readers::One(_) => 1,
            Readers::Many(all) => all.len(),
        }
    }
}

struct Header {
    readers: Readers,
    length: usize,
}

/// A key that was read: one allocation, in which the key's bytes follow a header.
#[repr(transparent)]
struct ReadKey(NonNull<u8>);

// SAFETY: it owns its allocation, and nothing in that is tied to a thread.
unsafe impl Send for ReadKey {}

impl ReadKey {
    fn new(key: &[u8], token: u64) -> ReadKey {
        let layout = ReadKey::layout(key.len());
        // SAFETY: the layout has a size; the header and the key's bytes have room in it.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            start.cast::<Header>().write(Header { readers: Readers::One(token), length: key.len() });
            start.add(size_of::<Header>()).as_ptr().copy_from_nonoverlapping(key.as_ptr(), key.len());
            ReadKey(start)
        }
    }

    fn layout(length: usize) -> Layout {
        let size = size_of::<Header>() + length;
        Layout::from_size_align(size, align_of::<Header>()).expect("a key that is in memory has a length")
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: written by `new`, and alive until the drop.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    #[inline]
    fn readers_mut(&mut self) -> &mut Readers {
        // SAFETY: as in `header`, borrowed alone.
        unsafe { &mut self.0.cast::<Header>().as_mut().readers }
    }
}

// SAFETY: transparent over NonNull<u8>, owns its allocation, and the key's bytes never change.
unsafe impl table::Entry for ReadKey {
    #[inline]
    fn key(&self) -> &[u8] {
        // SAFETY: `new` has written so many bytes behind the header.
        unsafe {
            let start = self.0.add(size_of::<Header>());
            std::slice::from_raw_parts(start.as_ptr(), self.header().length)
        }
    }
}

impl Drop for ReadKey {
    fn drop(&mut self) {
        let layout = ReadKey::layout(self.header().length);
        // SAFETY: the header is dropped once and the allocation freed once, by its one owner.
        unsafe {
            self.0.cast::<Header>().drop_in_place();
            dealloc(self.0.as_ptr(), layout);
        }
    }
}

/// What clients with caches are to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// A key.
    Key {
        key: Box<[u8]>,
        /// Who has read it.
        readers: Vec<u64>,
        /// It has changed, which those are told too who go by prefix. If not, it was only forgotten.
        has_changed: bool,
        /// Who has changed it and does not want to hear of that; 0 is nobody.
        by: u64,
    },
    /// All keys may be other ones.
    Everything,
}

/// Something to tell, with its place among what the same thread has to tell of other shards.
#[derive(Debug)]
pub struct Invalidation {
    pub told: Told,
    pub number: u64,
}

impl Invalidation {
    /// Whether it is about all keys.
    pub fn is_everything(&self) -> bool {
        self.told == Told::Everything
    }
}

thread_local! {
    /// Invalidations of this thread.
    static RAISED: Cell<u64> = const { Cell::new(0) };
}

/// Invalidations that wait for the baton to be let go.
#[derive(Default, Debug)]
pub struct Invalidations {
    pending: Vec<Invalidation>,
    /// What tracking has allocated and freed, which is no part of the data.
    bytes: i64,
}

impl Invalidations {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes them all.
    pub fn take(&mut self) -> Vec<Invalidation> {
        std::mem::take(&mut self.pending)
    }

    /// What tracking has allocated since the last call, with the baton held: it is not the shard's.
    #[inline]
    pub fn take_bytes(&mut self) -> i64 {
        std::mem::take(&mut self.bytes)
    }

    /// Whether everything was told of last.
    fn ends_with_everything(&self) -> bool {
        self.pending.last().is_some_and(Invalidation::is_everything)
    }

    fn add(&mut self, told: impl FnOnce() -> Told) {
        let is_full = self.pending.len() >= PENDING_MAX;
        if is_full && self.ends_with_everything() {
            return;
        }
        let before = memory::thread_bytes();
        let number = RAISED.get();
        RAISED.set(number + 1);
        let told = if is_full { Told::Everything } else { told() };
        self.pending.push(Invalidation { told, number });
        self.bytes += memory::thread_bytes() - before;
    }

    fn uncounted<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = memory::thread_bytes();
        let result = work();
        self.bytes += memory::thread_bytes() - before;
        result
    }
}

/// The keys of one shard that tracking clients have read.
#[derive(Default)]
pub struct ReadKeys {
    table: Table<ReadKey>,
    /// The client whose command is being executed and that wants to hear of no change of its own; 0 is none.
    silent: u64,
}

impl Shard {
    /// Notes that a client has read a key.
    #[inline]
    fn note_read(&mut self, key: &Key<'_>, token: u64) {
        if let Some(known) = self.read_keys.table.find_mut(key.hash, key.bytes) {
            if known.readers_mut().add(token) {
                self.stats.tracked_items.increment();
            }
            return;
        }
        self.note_first_read(key, token);
    }

    #[inline(never)]
    fn note_first_read(&mut self, key: &Key<'_>, token: u64) {
        let table = &mut self.read_keys.table;
        self.outbox.invalidations.uncounted(|| {
            table.insert_new(key.hash, ReadKey::new(key.bytes, token));
        });
        self.stats.tracked_keys.increment();
        self.stats.tracked_items.increment();
        self.world.tracking.keys.fetch_add(1, Relaxed);
        self.trim_read_keys(TRIM_BY_READ);
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
        self.outbox.invalidations.uncounted(|| {
            let readers = known.header().readers.to_vec();
            drop(known);
            Some(readers)
        })
    }

    /// A key has changed or gone: who has it in a cache is to be told. Only while somebody tracks.
    #[inline(never)]
    pub(crate) fn invalidate(&mut self, key: &Key<'_>) {
        let by = self.read_keys.silent;
        let mut readers = self.take_readers(key.hash, key.bytes).unwrap_or_default();
        readers.retain(|&token| token != by);
        let has_changed = self.world.tracking.broadcast.load(Relaxed) > 0;
        if has_changed || !readers.is_empty() {
            self.outbox.invalidations.add(|| Told::Key { key: key.bytes.into(), readers, has_changed, by });
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
    fn forget_read_keys(&mut self) {
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

    /// Goes on forgetting what is too much, in the shard's own thread.
    pub fn trim_slice(&mut self) {
        self.trim_read_keys(TRIM_BY_THREAD);
    }
}

/// Before a command of a client that tracks.
#[inline(never)]
pub(crate) fn begin(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        let token = context.client.record.map_or(0, |record| record.token);
        context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = token);
    }
}

/// After it, whatever it has answered. One that panicked does not come here: its client, whose connection ends, stays the silent
/// one until the next of its kind.
#[inline(never)]
pub(crate) fn end(context: &mut Context<'_>) {
    if context.client.tracks.is_silent() {
        context.shards.iter_mut().for_each(|shard| shard.read_keys.silent = 0);
    }
    if context.client.tracks.notes_reads() && is_read(context.spec) {
        if let Some(record) = context.client.record {
            note_reads(context, record);
        }
    }
}

/// Whether a command's keys are what its client has read. Of a script, its commands are looked at.
fn is_read(spec: &CommandSpec) -> bool {
    spec.has(flag::READONLY) && !spec.has(flag::PUBSUB) && spec.group != Group::Scripting && !spec.keys.is_empty()
}

fn note_reads(context: &mut Context<'_>, record: &ClientRecord) {
    if context.spec.has_one_key_in_front() {
        let key = context.key(1);
        return context.shard(&key).note_read(&key, record.token);
    }
    for at in context.spec.key_positions(context.args).unwrap_or_default() {
        let key = context.key(at);
        context.shard(&key).note_read(&key, record.token);
    }
}

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
