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
//! A bucket that overflows links to another one through its seventh slot. The eighth tag byte holds flags: "the seventh
//! slot is a link" and "an entry here may have an expiry", which lets the expiry sweep skip whole buckets.
//!
//! Rejected: doubling with an incremental second table (as Redis and Valkey do: every lookup asks two tables while it
//! lasts, and memory peaks at 1.5 times); extendible hashing as in Dash (better load, far more code).

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::marker::PhantomData;
use std::ptr::{null_mut, NonNull};
use std::sync::LazyLock;

use ahash::RandomState;

/// One seed a process: a client cannot prepare keys that collide.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The seeded hash of a key; every table of the process uses it, so it is computed once a command.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    SEED.hash_one(key)
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

const SLOTS: usize = 7;
const LINK: usize = SLOTS - 1;
/// Meta bit: the last slot points to the next bucket of the chain.
const CHAINED: u8 = 0x80;
/// Meta bit: some entry of this bucket may be volatile.
const VOLATILE: u8 = 0x01;
/// The tag of a link, which no entry has.
const TAG_LINK: u8 = 0xFF;
/// Buckets a segment: 4 KiB, small enough that a table of a few hundred entries wastes little.
const SEGMENT: usize = 64;
const SEGMENT_SHIFT: u32 = SEGMENT.trailing_zeros();
/// A bucket is split when the entries exceed this many halves of an entry a bucket (5.5 of 7).
const GROW_HALVES: usize = 11;
/// Two buckets are merged when the entries fall below this many a bucket.
const SHRINK: usize = 2;

#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    meta: u8,
    slots: [*mut u8; SLOTS],
}

impl Bucket {
    /// A bit mask with bit 7 of byte `i` set for every slot `i` whose tag equals `tag`.
    #[inline]
    fn matches(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;
        // SAFETY: the first eight bytes of a bucket are its tags and meta, initialised and 8-aligned.
        let word = unsafe { (self as *const Bucket).cast::<u64>().read() }.to_le();
        let x = word ^ (LOW * u64::from(tag));
        // Exact zero-byte test (the shorter one gives false hits above a true one, and a hit here is dereferenced).
        !(((x & SEVEN) + SEVEN) | x | SEVEN) & 0x00FF_FFFF_FFFF_FFFF
    }

    #[inline]
    fn next(&self) -> *mut Bucket {
        if self.meta & CHAINED != 0 {
            self.slots[LINK].cast()
        } else {
            null_mut()
        }
    }

    /// Slots that may hold entries (the link is not one).
    #[inline]
    fn width(&self) -> usize {
        if self.meta & CHAINED != 0 {
            LINK
        } else {
            SLOTS
        }
    }
}

#[inline]
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).clamp(1, 254)
}

fn alloc_buckets(count: usize) -> *mut Bucket {
    let layout = Layout::array::<Bucket>(count).expect("a segment's size fits");
    // SAFETY: the layout is not of size zero, count being at least 1.
    let pointer = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    pointer
}

/// # Safety
/// `pointer` came from `alloc_buckets(count)` and is not used again.
unsafe fn free_buckets(pointer: *mut Bucket, count: usize) {
    let layout = Layout::array::<Bucket>(count).expect("a segment's size fits");
    // SAFETY: by the caller's promise.
    unsafe { dealloc(pointer.cast(), layout) }
}

/// A place in the table: where an entry is, for replacing it without a second lookup.
pub struct Slot<'a, E: Entry> {
    bucket: *mut Bucket,
    index: usize,
    owner: PhantomData<&'a mut E>,
}

impl<'a, E: Entry> Slot<'a, E> {
    /// The entry here.
    #[inline]
    pub fn get(&self) -> &E {
        // SAFETY: a slot handle borrows the table mutably and points at an occupied slot; E is a thin pointer.
        unsafe { &*(&raw const (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// The entry here, for changing what it holds.
    #[inline]
    pub fn get_mut(&mut self) -> &mut E {
        // SAFETY: as in `get`, and the handle is borrowed mutably.
        unsafe { &mut *(&raw mut (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// The entry here, for as long as the table is borrowed.
    #[inline]
    pub fn into_mut(self) -> &'a mut E {
        // SAFETY: as in `get_mut`, for the table's own borrow.
        unsafe { &mut *(&raw mut (*self.bucket).slots[self.index]).cast::<E>() }
    }

    /// Replaces the entry by one with the same key and gives back the old one.
    #[inline]
    pub fn replace(&mut self, entry: E) -> E {
        if entry.is_volatile() {
            self.mark_volatile();
        }
        std::mem::replace(self.get_mut(), entry)
    }

    /// Rebuilds the entry by value (a reallocation, say) without the table ever holding two owners of it.
    #[inline]
    pub fn rebuild(&mut self, build: impl FnOnce(E) -> E) {
        // SAFETY: the slot is read out and written back before anything else sees it; a panic in `build` would leave
        // a freed entry behind, hence the guard that ends the process: a broken table must not be served from.
        unsafe {
            let place = (&raw mut (*self.bucket).slots[self.index]).cast::<E>();
            let guard = AbortOnUnwind;
            let entry = build(place.read());
            std::mem::forget(guard);
            if entry.is_volatile() {
                (*self.bucket).meta |= VOLATILE;
            }
            place.write(entry);
        }
    }

    /// Says that the entry here has got an expiry.
    #[inline]
    pub fn mark_volatile(&mut self) {
        // SAFETY: the bucket is live as long as the handle borrows the table.
        unsafe { (*self.bucket).meta |= VOLATILE }
    }
}

/// Ends the process when dropped while unwinding out of a half-done change.
struct AbortOnUnwind;
impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// See the file's head.
pub struct Table<E: Entry> {
    /// Up to `SEGMENT` buckets: the one segment itself (capacity: the next power of two). More: an array of segment
    /// pointers (capacity: the next power of two of the number of segments).
    root: *mut u8,
    buckets: u32,
    /// The power of two above `buckets`, less one.
    mask: u32,
    count: usize,
    owner: PhantomData<E>,
}

// SAFETY: the table owns its entries and buckets; nothing in it is tied to a thread unless the entries are.
unsafe impl<E: Entry + Send> Send for Table<E> {}

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

    /// Primary buckets in the table, the unit of [`Table::sweep`].
    pub fn bucket_count(&self) -> usize {
        self.buckets as usize
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

    #[inline]
    fn bucket(&self, index: usize) -> *mut Bucket {
        debug_assert!(index < self.buckets as usize);
        // SAFETY: index < buckets, so the segment exists and holds that bucket.
        unsafe {
            if self.buckets as usize <= SEGMENT {
                self.root.cast::<Bucket>().add(index)
            } else {
                let segment = *self.root.cast::<*mut Bucket>().add(index >> SEGMENT_SHIFT);
                segment.add(index & (SEGMENT - 1))
            }
        }
    }

    #[inline]
    fn locate(&self, hash: u64, key: &[u8]) -> Option<(*mut Bucket, usize)> {
        if self.buckets == 0 {
            return None;
        }
        let tag = tag(hash);
        let mut bucket = self.bucket(self.index_of(hash));
        // SAFETY: chains are made of live buckets; a tag between 1 and 254 stands for a live entry.
        unsafe {
            loop {
                let mut hits = (*bucket).matches(tag);
                while hits != 0 {
                    let index = (hits.trailing_zeros() / 8) as usize;
                    let entry = &*(&raw const (*bucket).slots[index]).cast::<E>();
                    if entry.key() == key {
                        return Some((bucket, index));
                    }
                    hits &= hits - 1;
                }
                bucket = (*bucket).next();
                if bucket.is_null() {
                    return None;
                }
            }
        }
    }

    /// The entry with this key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&E> {
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
    #[inline]
    pub fn find_slot(&mut self, hash: u64, key: &[u8]) -> Option<Slot<'_, E>> {
        let (bucket, index) = self.locate(hash, key)?;
        Some(Slot { bucket, index, owner: PhantomData })
    }

    /// Asks for the bucket's cache line; the first of two stages over a batch.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if self.buckets != 0 {
            prefetch(self.bucket(self.index_of(hash)).cast());
        }
    }

    /// Asks for the entries whose tag fits; the second stage, when the bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if self.buckets == 0 {
            return;
        }
        let bucket = self.bucket(self.index_of(hash));
        // SAFETY: a live bucket; the hits are occupied slots.
        unsafe {
            let mut hits = (*bucket).matches(tag(hash));
            while hits != 0 {
                prefetch((*bucket).slots[(hits.trailing_zeros() / 8) as usize]);
                hits &= hits - 1;
            }
        }
    }

    /// Adds an entry whose key is not in the table. The slot that it got is returned.
    pub fn insert_new(&mut self, hash: u64, entry: E) -> Slot<'_, E> {
        debug_assert!(self.locate(hash, entry.key()).is_none(), "the key is in the table already");
        if self.count * 2 >= self.buckets as usize * GROW_HALVES {
            self.grow();
        }
        self.count += 1;
        let bucket = self.bucket(self.index_of(hash));
        // SAFETY: a live bucket of this table, and the entry is handed over.
        let (bucket, index) = unsafe { place(bucket, tag(hash), entry) };
        Slot { bucket, index, owner: PhantomData }
    }

    /// Takes the entry with this key out of the table.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        let (bucket, index) = self.locate(hash, key)?;
        let home = self.bucket(self.index_of(hash));
        // SAFETY: `locate` gave an occupied slot of the chain that starts at `home`.
        let entry = unsafe { take::<E>(home, bucket, index) };
        self.count -= 1;
        if self.buckets > 1 && self.count < self.buckets as usize * SHRINK {
            self.shrink();
        }
        Some(entry)
    }

    /// Adds one bucket and splits the one whose entries it shares.
    fn grow(&mut self) {
        let new = self.buckets as usize;
        self.reserve_bucket(new);
        self.buckets += 1;
        self.mask = (self.buckets as usize).next_power_of_two() as u32 - 1;
        if new == 0 {
            return;
        }
        let parent = new - (1 << new.ilog2());
        self.redistribute(parent);
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
            // SAFETY: each entry was just taken out of its old place.
            unsafe { place_raw(parent, tag, pointer) };
        }
        // SAFETY: a live bucket.
        unsafe { (*parent).meta |= volatile };
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
        for (tag, pointer) in entries {
            // SAFETY: `pointer` is a live entry, at the moment in no bucket.
            unsafe {
                let hash = hash((*(&raw const pointer).cast::<E>()).key());
                let target = self.bucket(self.index_of(hash));
                place_raw(target, tag, pointer);
                (*target).meta |= volatile;
            }
        }
    }

    /// Makes room for the bucket number `index`, which is the first unused one.
    fn reserve_bucket(&mut self, index: usize) {
        // SAFETY: capacities follow from the number of buckets as said at `root`; what is copied is plain pointers.
        unsafe {
            if index == 0 {
                self.root = alloc_buckets(1).cast();
            } else if index < SEGMENT {
                if index.is_power_of_two() {
                    let bigger = alloc_buckets(index * 2);
                    std::ptr::copy_nonoverlapping(self.root.cast::<Bucket>(), bigger, index);
                    free_buckets(self.root.cast(), index);
                    self.root = bigger.cast();
                }
            } else if index % SEGMENT == 0 {
                let segments = index >> SEGMENT_SHIFT;
                if segments == 1 {
                    let directory = alloc_directory(2);
                    *directory = self.root.cast();
                    self.root = directory.cast();
                } else if segments.is_power_of_two() {
                    let directory = alloc_directory(segments * 2);
                    std::ptr::copy_nonoverlapping(self.root.cast::<*mut Bucket>(), directory, segments);
                    free_directory(self.root.cast(), segments);
                    self.root = directory.cast();
                }
                *self.root.cast::<*mut Bucket>().add(segments) = alloc_buckets(SEGMENT);
            }
        }
    }

    /// Gives back the room of the last bucket; the reverse of `reserve_bucket`.
    fn release_bucket(&mut self, index: usize) {
        // SAFETY: the mirror image of `reserve_bucket`; the bucket is empty.
        unsafe {
            if index == 0 {
                free_buckets(self.root.cast(), 1);
                self.root = null_mut();
            } else if index < SEGMENT {
                *self.root.cast::<Bucket>().add(index) = std::mem::zeroed();
                if index.is_power_of_two() {
                    let smaller = alloc_buckets(index);
                    std::ptr::copy_nonoverlapping(self.root.cast::<Bucket>(), smaller, index);
                    free_buckets(self.root.cast(), index * 2);
                    self.root = smaller.cast();
                }
            } else {
                *self.bucket(index) = std::mem::zeroed();
                if index % SEGMENT == 0 {
                    let segments = index >> SEGMENT_SHIFT;
                    let directory = self.root.cast::<*mut Bucket>();
                    free_buckets(*directory.add(segments), SEGMENT);
                    if segments == 1 {
                        self.root = (*directory).cast();
                        free_directory(directory, 2);
                    } else if segments.is_power_of_two() {
                        let smaller = alloc_directory(segments);
                        std::ptr::copy_nonoverlapping(directory, smaller, segments);
                        free_directory(directory, segments * 2);
                        self.root = smaller.cast();
                    }
                }
            }
        }
    }

    /// Visits every entry of one step of a scan and returns the next cursor, 0 at the end.
    ///
    /// Cursors count in reversed bits, as in Redis: every entry that is in the table from the first call to the last
    /// is visited at least once, however the table grows or shrinks in between.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&E)) -> u64 {
        if self.buckets == 0 {
            return 0;
        }
        let cursor = cursor as u32;
        let half = self.mask >> 1;
        let mut index = cursor & self.mask;
        let mut mask = self.mask;
        let unsplit = |i: u32| i <= half && i >= self.buckets.saturating_sub(half + 1);
        if index >= self.buckets || unsplit(index) && self.buckets <= self.mask {
            index &= half;
            mask = half;
        }
        self.visit_chain(index as usize, &mut visit);
        let next = (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits();
        u64::from(next)
    }

    fn visit_chain(&self, index: usize, visit: &mut impl FnMut(&E)) {
        let mut bucket = self.bucket(index);
        while !bucket.is_null() {
            // SAFETY: chains are made of live buckets; a tag that is not 0 within the width is a live entry.
            unsafe {
                for slot in 0..(*bucket).width() {
                    if (*bucket).tags[slot] != 0 {
                        visit(&*(&raw const (*bucket).slots[slot]).cast::<E>());
                    }
                }
                bucket = (*bucket).next();
            }
        }
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
        loop {
            let bits = random();
            let index = ((bits >> 32) * u64::from(self.buckets)) >> 32;
            let pick = (bits as usize) % DRAWS;
            let mut length = 0;
            self.visit_chain(index as usize, &mut |_| length += 1);
            let pick = if length > DRAWS { (bits as usize) % length } else { pick };
            if pick >= length {
                continue;
            }
            let mut seen = 0;
            let mut chosen: *const E = std::ptr::null();
            self.visit_chain(index as usize, &mut |entry| {
                if seen == pick {
                    chosen = entry;
                }
                seen += 1;
            });
            // SAFETY: pick < length, so an entry of the table was chosen, and the table is borrowed.
            return Some(unsafe { &*chosen });
        }
    }

    /// Visits the volatile entries of up to `limit` buckets from bucket `start` on; entries for which `expired` says
    /// true are taken out and given to `removed`. Returns the bucket to go on from, 0 when the end was reached.
    ///
    /// Buckets without a volatile entry cost one cache line for eight... nothing of their entries is touched.
    pub fn sweep(
        &mut self,
        start: usize,
        limit: usize,
        mut expired: impl FnMut(&E) -> bool,
        mut removed: impl FnMut(E),
    ) -> usize {
        let end = (start + limit).min(self.buckets as usize);
        let mut gone = 0;
        for index in start..end {
            let home = self.bucket(index);
            // SAFETY: chains are made of live buckets, and each slot taken out is an occupied one.
            unsafe {
                let mut bucket = home;
                while !bucket.is_null() {
                    if (*bucket).meta & VOLATILE == 0 {
                        bucket = (*bucket).next();
                        continue;
                    }
                    let mut volatile = false;
                    let mut slot = 0;
                    let mut emptied = false;
                    while slot < (*bucket).width() {
                        if (*bucket).tags[slot] == 0 {
                            slot += 1;
                            continue;
                        }
                        let entry = &*(&raw const (*bucket).slots[slot]).cast::<E>();
                        if entry.is_volatile() && expired(entry) {
                            let is_last = (*bucket).next().is_null() && bucket != home;
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
                    bucket = (*bucket).next();
                }
            }
        }
        self.count -= gone;
        while self.buckets > 1 && self.count < self.buckets as usize * SHRINK / 2 && gone > 0 {
            self.shrink();
            gone -= 1;
        }
        if end >= self.buckets as usize {
            0
        } else {
            end
        }
    }

    /// Bytes of buckets and directory, entries not counted.
    pub fn memory_bytes(&self) -> usize {
        let buckets = self.buckets as usize;
        let primary = if buckets <= SEGMENT {
            if buckets == 0 {
                0
            } else {
                buckets.next_power_of_two()
            }
        } else {
            buckets.div_ceil(SEGMENT) * SEGMENT
        };
        let directory = if buckets > SEGMENT { buckets.div_ceil(SEGMENT).next_power_of_two() } else { 0 };
        // Chained buckets are estimated (some 6 % of the primary ones at this load) rather than counted.
        primary * size_of::<Bucket>() + directory * size_of::<usize>() + buckets * size_of::<Bucket>() / 16
    }
}

impl<E: Entry> Drop for Table<E> {
    fn drop(&mut self) {
        let buckets = self.buckets as usize;
        if buckets == 0 {
            return;
        }
        for index in 0..buckets {
            let mut entries = Vec::new();
            let mut volatile = 0;
            // SAFETY: the table is going away: every entry is dropped once, every chain freed once.
            unsafe {
                drain_chain(self.bucket(index), &mut entries, &mut volatile);
                for (_, pointer) in entries {
                    drop((&raw const pointer).cast::<E>().read());
                }
            }
        }
        // SAFETY: the capacities are as said at `root`.
        unsafe {
            if buckets <= SEGMENT {
                free_buckets(self.root.cast(), buckets.next_power_of_two());
            } else {
                let directory = self.root.cast::<*mut Bucket>();
                let segments = buckets.div_ceil(SEGMENT);
                for segment in 0..segments {
                    free_buckets(*directory.add(segment), SEGMENT);
                }
                free_directory(directory, directory_capacity(segments));
            }
        }
    }
}

/// Iterator over all entries.
pub struct Iter<'a, E: Entry> {
    table: &'a Table<E>,
    next_index: usize,
    bucket: *mut Bucket,
    slot: usize,
}

impl<'a, E: Entry> Iterator for Iter<'a, E> {
    type Item = &'a E;

    fn next(&mut self) -> Option<&'a E> {
        loop {
            if self.bucket.is_null() {
                if self.next_index >= self.table.buckets as usize {
                    return None;
                }
                self.bucket = self.table.bucket(self.next_index);
                self.next_index += 1;
                self.slot = 0;
            }
            // SAFETY: the bucket is live while the table is borrowed; a tag within the width is a live entry.
            unsafe {
                while self.slot < (*self.bucket).width() {
                    let slot = self.slot;
                    self.slot += 1;
                    if (*self.bucket).tags[slot] != 0 {
                        return Some(&*(&raw const (*self.bucket).slots[slot]).cast::<E>());
                    }
                }
                self.bucket = (*self.bucket).next();
                self.slot = 0;
            }
        }
    }
}

/// Directories hold the next power of two of the segments, and at least two.
fn directory_capacity(segments: usize) -> usize {
    segments.next_power_of_two().max(2)
}

fn alloc_directory(capacity: usize) -> *mut *mut Bucket {
    let layout = Layout::array::<*mut Bucket>(capacity).expect("a directory's size fits");
    // SAFETY: the capacity is at least 2.
    let pointer = unsafe { alloc_zeroed(layout) };
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    pointer.cast()
}

/// # Safety
/// `pointer` came from `alloc_directory(capacity)` and is not used again.
unsafe fn free_directory(pointer: *mut *mut Bucket, capacity: usize) {
    let layout = Layout::array::<*mut Bucket>(capacity).expect("a directory's size fits");
    // SAFETY: by the caller's promise.
    unsafe { dealloc(pointer.cast(), layout) }
}

/// # Safety
/// `bucket` starts a live chain.
unsafe fn place<E: Entry>(bucket: *mut Bucket, tag: u8, entry: E) -> (*mut Bucket, usize) {
    let volatile = entry.is_volatile();
    let entry = std::mem::ManuallyDrop::new(entry);
    // SAFETY: E is a thin pointer by its trait's contract.
    let pointer = unsafe { (&raw const entry).cast::<*mut u8>().read() };
    // SAFETY: by the caller's promise.
    let (bucket, index) = unsafe { place_raw(bucket, tag, pointer) };
    if volatile {
        // SAFETY: the bucket that took the entry is live.
        unsafe { (*bucket).meta |= VOLATILE };
    }
    (bucket, index)
}

/// # Safety
/// `bucket` starts a live chain, and `pointer` is an entry that is in no bucket.
#[inline]
unsafe fn place_raw(mut bucket: *mut Bucket, tag: u8, pointer: *mut u8) -> (*mut Bucket, usize) {
    // SAFETY: the chain is live; a slot is written only when its tag says that it is empty or it is moved first.
    unsafe {
        loop {
            let empty = (*bucket).matches(0);
            if empty != 0 {
                let index = (empty.trailing_zeros() / 8) as usize;
                (*bucket).tags[index] = tag;
                (*bucket).slots[index] = pointer;
                return (bucket, index);
            }
            let next = (*bucket).next();
            if !next.is_null() {
                bucket = next;
                continue;
            }
            let link = alloc_buckets(1);
            (*link).tags[0] = (*bucket).tags[LINK];
            (*link).slots[0] = (*bucket).slots[LINK];
            (*link).meta = (*bucket).meta & VOLATILE;
            (*bucket).tags[LINK] = TAG_LINK;
            (*bucket).slots[LINK] = link.cast();
            (*bucket).meta |= CHAINED;
            bucket = link;
        }
    }
}

/// Takes one entry out of a chain; the hole is filled from the chain's end, so that links are freed when not needed.
///
/// # Safety
/// `home` starts a live chain that `bucket` belongs to, and the slot is occupied.
unsafe fn take<E: Entry>(home: *mut Bucket, bucket: *mut Bucket, index: usize) -> E {
    // SAFETY: by the caller's promise; every pointer is moved, none duplicated.
    unsafe {
        let entry = (&raw const (*bucket).slots[index]).cast::<E>().read();
        (*bucket).tags[index] = 0;
        (*bucket).slots[index] = null_mut();
        if (*home).meta & CHAINED == 0 {
            return entry;
        }
        let mut previous = null_mut::<Bucket>();
        let mut last = home;
        while !(*last).next().is_null() {
            previous = last;
            last = (*last).next();
        }
        if last != bucket {
            if let Some(from) = (0..SLOTS).rev().find(|&slot| (*last).tags[slot] != 0) {
                (*bucket).tags[index] = (*last).tags[from];
                (*bucket).slots[index] = (*last).slots[from];
                (*bucket).meta |= (*last).meta & VOLATILE;
                (*last).tags[from] = 0;
                (*last).slots[from] = null_mut();
            }
        }
        if (*last).tags == [0; SLOTS] {
            (*previous).tags[LINK] = 0;
            (*previous).slots[LINK] = null_mut();
            (*previous).meta &= !CHAINED;
            free_buckets(last, 1);
        }
        entry
    }
}

/// Empties a chain: its entries go to `entries`, its links are freed, its flags are reset.
///
/// # Safety
/// `bucket` starts a live chain; the caller owns the entries afterwards.
unsafe fn drain_chain(bucket: *mut Bucket, entries: &mut Vec<(u8, *mut u8)>, volatile: &mut u8) {
    // SAFETY: by the caller's promise; each link is freed after it was read.
    unsafe {
        let mut current = bucket;
        while !current.is_null() {
            for slot in 0..(*current).width() {
                if (*current).tags[slot] != 0 {
                    entries.push(((*current).tags[slot], (*current).slots[slot]));
                }
            }
            *volatile |= (*current).meta & VOLATILE;
            let next = (*current).next();
            if current != bucket {
                free_buckets(current, 1);
            }
            current = next;
        }
        *bucket = std::mem::zeroed();
    }
}

/// A hint to the cache; harmless for any address.
#[inline]
pub fn prefetch(pointer: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: prefetching has no effect but on the cache, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch(pointer.cast(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = pointer;
}

/// An entry for tests and for tables of plain names: a length and the bytes.
#[repr(transparent)]
pub struct NameEntry(NonNull<u8>);

impl NameEntry {
    /// Copies the bytes into an allocation of their own.
    pub fn new(name: &[u8]) -> Self {
        let boxed: Box<Box<[u8]>> = Box::new(name.into());
        NameEntry(NonNull::from(Box::leak(boxed)).cast())
    }
}

// SAFETY: transparent over NonNull<u8>, owns its box, and the name never changes.
unsafe impl Entry for NameEntry {
    fn key(&self) -> &[u8] {
        // SAFETY: `new` made this pointer from a box of a boxed slice.
        unsafe { self.0.cast::<Box<[u8]>>().as_ref() }
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        // SAFETY: the box is dropped once, by its one owner.
        drop(unsafe { Box::from_raw(self.0.cast::<Box<[u8]>>().as_ptr()) });
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
