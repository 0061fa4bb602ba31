//! The hash table under the keyspace, hashes, sets and sorted sets.
//!
//! Entries are thin pointers to one allocation each, which holds its own key. Seven of them share a 64-byte bucket
//! with one tag byte each, so a lookup costs one cache line for the bucket and one for the entry that matches.
//!
//! Growth is **linear hashing**: the table has any number of buckets `n`, and an insertion that finds the table full
//! splits exactly one bucket into two. Nothing is ever rehashed as a whole, so no insertion costs more than one split,
//! and the load stays constant instead of swinging between a half and full as with doubling. Buckets live in segments
//! of 64 (4 KiB) behind a directory, so growing moves at most the directory (8 bytes for some 350 entries).
//!
//! A table of few entries has no buckets but one block just large enough for them (`table/compact.rs`): in cluster mode there
//! are 16384 tables.
//!
//! A bucket that overflows links to another one through its seventh slot, which is as short as its entries allow. The eighth tag
//! byte holds flags: "the seventh slot is a link" and "an entry here may have an expiry", which lets the expiry sweep skip
//! whole buckets; and how many places a link lacks.
//!
//! Rejected: doubling with an incremental second table (as Redis and Valkey do: every lookup asks two tables while it
//! lasts, and memory peaks at 1.5 times); extendible hashing as in Dash (better load, far more code).

use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::LazyLock;

use ahash::RandomState;

use crate::invariant;

mod bucket;
mod compact;
mod defragment;
#[cfg(test)]
mod expiring_name;
mod name;
mod room;
pub mod sample;
mod slot;
mod walk;

pub use bucket::prefetch;
use bucket::{drain_chain, place, place_raw, tag, take, Bucket};
use compact::COMPACT_MAX;
pub use defragment::buckets_of;
pub use name::NameEntry;
pub use slot::Slot;
pub use walk::Iter;

/// One seed a process: a client cannot prepare keys that collide.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The seeded hash of a key; every table of the process uses it, so it is computed once a command.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    SEED.hash_one(key)
}

/// Whether two keys are equal. Most keys have 8 to 32 bytes: those are compared by their first and last words, which overlap,
/// without a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
        (bytes.first_chunk(), bytes.last_chunk())
    }
    a.len() == b.len()
        && match a.len() {
            8..=16 => ends::<8>(a) == ends::<8>(b),
            17..=32 => ends::<16>(a) == ends::<16>(b),
            _ => a == b,
        }
}

/// A thin owning pointer to an allocation that holds its own key.
///
/// # Safety
/// The implementor is `repr(transparent)` over `NonNull<u8>`, owns what it points to (its `Drop` frees it), and `key`
/// stays the same while the entry is in a table.
pub unsafe trait Entry: Sized {
    /// The bytes that the entry is found by.
    fn key(&self) -> &[u8];
    /// Whether the entry has an expiry; see [`Table::sweep`].
    #[inline]
    fn is_volatile(&self) -> bool {
        false
    }
}

/// A bucket is split when the entries exceed this many halves of an entry a bucket (5.5 of 7).
const GROW_HALVES: usize = 11;
/// Two buckets are merged when the entries fall below this many a bucket.
const SHRINK: usize = 2;

/// See the [module](self).
pub struct Table<E: Entry> {
    /// Without buckets: the block of a compact table, or null if it is empty. Up to `SEGMENT` buckets: the one segment itself.
    /// More: an array of segment pointers (capacity: the next power of two of the number of segments).
    root: *mut u8,
    buckets: u32,
    /// The power of two above `buckets`, less one; without buckets the places of the block.
    mask: u32,
    count: usize,
    owner: PhantomData<E>,
}

// SAFETY: the table owns its entries and buckets; nothing in it is tied to a thread unless the entries are.
unsafe impl<E: Entry + Send> Send for Table<E> {}
// SAFETY: what borrows a table without `mut` only reads buckets and hands out shared borrows of entries.
unsafe impl<E: Entry + Sync> Sync for Table<E> {}

impl<E: Entry> Default for Table<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Entry> Table<E> {
    /// An empty table, which has no allocation.
    pub const fn new() -> Self {
        Table { root: null_mut(), buckets: 0, mask: 0, count: 0, owner: PhantomData }
    }

    /// Entries in the table.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Primary buckets in the table, the unit of [`Table::sweep`]; a compact table counts as one.
    pub fn bucket_count(&self) -> usize {
        if self.buckets == 0 {
            usize::from(self.count > 0)
        } else {
            self.buckets as usize
        }
    }

    #[inline]
    fn index_of(&self, hash: u64) -> usize {
        let index = (hash as u32) & self.mask;
        if index < self.buckets {
            index as usize
        } else {
            (index & (self.mask >> 1)) as usize
        }
    }

    // Inlined wherever it is used: a call saves and restores as many registers as the search needs.
    #[inline(always)]
    fn locate(&self, hash: u64, key: &[u8]) -> Option<(*mut Bucket, usize)> {
        debug_assert!(self.buckets != 0);
        let tag = tag(hash);
        let mut bucket = self.bucket(self.index_of(hash));
        // SAFETY: chains are made of live buckets; a tag between 1 and 254 stands for a live entry.
        unsafe {
            loop {
                let mut hits = bucket::matches(bucket, tag);
                while hits != 0 {
                    let index = (hits.trailing_zeros() / 8) as usize;
                    let entry = &*(&raw const (*bucket).slots[index]).cast::<E>();
                    if same(entry.key(), key) {
                        return Some((bucket, index));
                    }
                    hits &= hits - 1;
                }
                bucket = bucket::next(bucket);
                if bucket.is_null() {
                    return None;
                }
            }
        }
    }

    /// The entry with this key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&E> {
        if self.buckets == 0 {
            let (block, index) = self.locate_compact(hash, key)?;
            // SAFETY: there is an entry at a place that was located, and the table is borrowed.
            return Some(unsafe { &*block.slot(index).cast::<E>() });
        }
        let (bucket, index) = self.locate(hash, key)?;
        // SAFETY: `locate` gives an occupied slot.
        Some(unsafe { &*(&raw const (*bucket).slots[index]).cast::<E>() })
    }

    /// The entry with this key, for changing what it holds.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut E> {
        self.find_slot(hash, key).map(Slot::into_mut)
    }

    /// Where the entry with this key is.
    #[inline(always)]
    pub fn find_slot(&mut self, hash: u64, key: &[u8]) -> Option<Slot<'_, E>> {
        if self.buckets == 0 {
            let (block, index) = self.locate_compact(hash, key)?;
            return Some(Slot::new(block.slot(index), block.meta()));
        }
        let (bucket, index) = self.locate(hash, key)?;
        // SAFETY: `locate` gives a place in a live bucket.
        Some(unsafe { Slot::new(&raw mut (*bucket).slots[index], &raw mut (*bucket).meta) })
    }

    /// Adds an entry whose key is not in the table. The slot that it got is returned.
    pub fn insert_new(&mut self, hash: u64, entry: E) -> Slot<'_, E> {
        debug_assert!(self.find(hash, entry.key()).is_none(), "the key is in the table already");
        if self.buckets == 0 {
            if self.count < COMPACT_MAX {
                return self.insert_compact(hash, entry);
            }
            self.spread();
        }
        if self.count * 2 >= self.buckets as usize * GROW_HALVES {
            self.grow();
        }
        self.count += 1;
        let bucket = self.bucket(self.index_of(hash));
        // SAFETY: a live bucket of this table, and the entry is handed over.
        unsafe {
            let (bucket, index) = place(bucket, tag(hash), entry);
            Slot::new(&raw mut (*bucket).slots[index], &raw mut (*bucket).meta)
        }
    }

    /// Takes the entry with this key out of the table.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        if self.buckets == 0 {
            let (block, index) = self.locate_compact(hash, key)?;
            // SAFETY: there is an entry at a place that was located.
            let entry = unsafe { self.take_compact(block, index) };
            self.fit_block();
            return Some(entry);
        }
        let (bucket, index) = self.locate(hash, key)?;
        let home = self.bucket(self.index_of(hash));
        // SAFETY: `locate` gave an occupied slot of the chain that starts at `home`.
        let entry = unsafe { take::<E>(home, bucket, index) };
        invariant!(self.count > 0, "an entry was removed from a table that counts none");
        self.count -= 1;
        if self.buckets > 1 && self.count < self.buckets as usize * SHRINK {
            self.shrink();
        }
        self.gather();
        Some(entry)
    }

    /// Adds one bucket and splits the one whose entries it shares.
    fn grow(&mut self) {
        let new = self.buckets as usize;
        self.add_bucket();
        self.redistribute(new - (1 << new.ilog2()));
    }

    /// Adds one bucket; whose entries belong there now is the caller's to see to.
    fn add_bucket(&mut self) {
        self.reserve_bucket(self.buckets as usize);
        self.buckets += 1;
        self.mask = (self.buckets as usize).next_power_of_two() as u32 - 1;
    }

    /// Puts an entry that is in no bucket where it belongs; `volatile` is what is to be marked there.
    ///
    /// # Safety
    /// `pointer` is a live entry with this hash, which becomes the table's; it is counted already.
    unsafe fn place_marked(&mut self, hash: u64, pointer: *mut u8, volatile: u8) {
        let home = self.bucket(self.index_of(hash));
        // SAFETY: by the caller's promise; the bucket that takes the entry, which may be a link with a mark of its own, is live.
        unsafe {
            let (taken, _) = place_raw(home, tag(hash), pointer);
            (*taken).meta |= volatile;
        }
    }

    /// Removes the last bucket and gives its entries to the one that it was split from.
    fn shrink(&mut self) {
        let last = self.buckets as usize - 1;
        let bucket = self.bucket(last);
        let mut entries: Vec<(u8, *mut u8)> = Vec::with_capacity(16);
        let mut volatile = 0;
        // SAFETY: the chain is emptied here and its entries are placed again below.
        unsafe { drain_chain(bucket, &mut entries, &mut volatile) };
        let parent = self.bucket(last - (1 << last.ilog2()));
        for (tag, pointer) in entries {
            // SAFETY: each entry was just taken out of its old place; the bucket that it got, which may be a link of the
            // parent's chain and has a mark of its own, is live.
            unsafe {
                let (taken, _) = place_raw(parent, tag, pointer);
                (*taken).meta |= volatile;
            }
        }
        self.release_bucket(last);
        self.buckets -= 1;
        self.mask = (self.buckets as usize).next_power_of_two() as u32 - 1;
    }

    /// Takes every entry out of a bucket's chain and puts each where it belongs now.
    fn redistribute(&mut self, index: usize) {
        let bucket = self.bucket(index);
        let mut entries: Vec<(u8, *mut u8)> = Vec::with_capacity(16);
        let mut volatile = 0;
        // SAFETY: the chain is emptied here and its entries are placed again below.
        unsafe { drain_chain(bucket, &mut entries, &mut volatile) };
        for (_, pointer) in &entries {
            prefetch(*pointer);
        }
        for (_, pointer) in entries {
            // SAFETY: `pointer` is a live entry, at the moment in no bucket.
            unsafe {
                let hash = hash((*(&raw const pointer).cast::<E>()).key());
                self.place_marked(hash, pointer, volatile);
            }
        }
    }
}

impl<E: Entry> Drop for Table<E> {
    fn drop(&mut self) {
        self.drop_compact();
        let (mut entries, mut volatile) = (Vec::new(), 0);
        for index in 0..self.buckets as usize {
            // SAFETY: the table is going away: every entry is dropped once, every chain freed once.
            unsafe {
                drain_chain(self.bucket(index), &mut entries, &mut volatile);
                for (_, pointer) in entries.drain(..) {
                    drop((&raw const pointer).cast::<E>().read());
                }
            }
        }
        self.release_all();
    }
}

impl<E: Entry> Table<E> {
    /// Both stages of [`Prefetch`], for two keys: the entry of a near one, and the bucket of one that is farther.
    #[inline(always)]
    pub fn prefetch_both(&self, near: u64, far: u64) {
        if self.buckets == 0 {
            return self.prefetch_compact(near);
        }
        prefetch(self.bucket(self.index_of(far)).cast());
        self.prefetch_chained(near);
    }

    /// Asks for the entries of a bucket whose tag fits.
    #[inline(always)]
    fn prefetch_chained(&self, hash: u64) {
        let bucket = self.bucket(self.index_of(hash));
        // SAFETY: a live bucket; the hits are occupied slots.
        unsafe {
            let mut hits = bucket::matches(bucket, tag(hash));
            while hits != 0 {
                let entry = (*bucket).slots[(hits.trailing_zeros() / 8) as usize];
                prefetch(entry);
                // A short value is in the line after its key's.
                prefetch(entry.wrapping_add(64));
                hits &= hits - 1;
            }
        }
    }
}

/// A table whose reading can be announced, whatever is in it: a batch of commands asks for what it will need in two
/// stages, as the second one needs what the first one brings.
pub trait Prefetch {
    /// Entries in the table.
    fn entries(&self) -> usize;
    /// Asks for the bucket's cache line.
    fn prefetch_bucket(&self, hash: u64);
    /// Asks for the entries whose tag fits, when the bucket has arrived.
    fn prefetch_entry(&self, hash: u64);
}

impl<E: Entry> Prefetch for Table<E> {
    #[inline]
    fn entries(&self) -> usize {
        self.count
    }

    #[inline(always)]
    fn prefetch_bucket(&self, hash: u64) {
        if self.buckets == 0 {
            prefetch(self.root);
        } else {
            prefetch(self.bucket(self.index_of(hash)).cast());
        }
    }

    #[inline(always)]
    fn prefetch_entry(&self, hash: u64) {
        if self.buckets == 0 {
            return self.prefetch_compact(hash);
        }
        self.prefetch_chained(hash);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
