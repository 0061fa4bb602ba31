//! A bucket: one cache line with seven entries, and the chain that it may begin.
//!
//! What moves entries between buckets is here: placing one, taking one out, emptying a chain. A tag of 0 is an empty
//! slot; a hash never gives 0 nor the tag of a link, so eight tags are compared in one word without a look at the rest.
//!
//! Everything takes raw pointers: a chain is changed while its owner, the table, is borrowed as a whole, and references
//! to two buckets of one chain would overlap with what the table itself holds.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::null_mut;

use super::Entry;

const SLOTS: usize = 7;
pub(super) const LINK: usize = SLOTS - 1;
/// Meta bit: the last slot points to the next bucket of the chain.
const CHAINED: u8 = 0x80;
/// Meta bit: some entry of this bucket may be volatile.
pub(super) const VOLATILE: u8 = 0x01;
/// The tag of a link, which no entry has.
const TAG_LINK: u8 = 0xFF;

/// See the file's head. The seventh slot may be a link, as `meta` says. Segments and single buckets begin with a cache line;
/// that is not in the type, for the few buckets of a small table may begin anywhere (`room.rs`).
#[repr(C)]
pub(super) struct Bucket {
    pub(super) tags: [u8; SLOTS],
    pub(super) meta: u8,
    pub(super) slots: [*mut u8; SLOTS],
}

impl Bucket {
    /// A bit mask with bit 7 of byte `i` set for every slot `i` whose tag equals `tag`.
    #[inline]
    pub(super) fn matches(&self, tag: u8) -> u64 {
        // SAFETY: the first eight bytes of a bucket are its tags and meta, initialised and 8-aligned.
        let word = unsafe { (self as *const Bucket).cast::<u64>().read() };
        matches_in(word, tag) & LAST_IS_META
    }

    /// The chain's next bucket, null at its end.
    #[inline]
    pub(super) fn next(&self) -> *mut Bucket {
        if self.meta & CHAINED != 0 {
            self.slots[LINK].cast()
        } else {
            null_mut()
        }
    }

    /// Slots that may hold entries (the link is not one).
    #[inline]
    pub(super) fn width(&self) -> usize {
        if self.meta & CHAINED != 0 {
            LINK
        } else {
            SLOTS
        }
    }
}

/// All bytes of a word of tags but the last, which is no tag.
pub(super) const LAST_IS_META: u64 = 0x00FF_FFFF_FFFF_FFFF;

/// A bit mask with bit 7 of byte `i` set for every byte `i` of a word in memory that equals `tag`.
#[inline]
pub(super) fn matches_in(word: u64, tag: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let x = word.to_le() ^ (LOW * u64::from(tag));
    // Exact zero-byte test (the shorter one gives false hits above a true one, and a hit here is dereferenced).
    !(((x & SEVEN) + SEVEN) | x | SEVEN)
}

/// The tag of an entry with this hash.
#[inline]
pub(super) fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).clamp(1, 254)
}

/// The layout of buckets side by side. Where their size is a power of two they begin with a cache line for nothing; for other
/// sizes the allocator would have to give more.
pub(super) fn layout_of(count: usize) -> Layout {
    let align = if count.is_power_of_two() { size_of::<Bucket>() } else { align_of::<Bucket>() };
    Layout::from_size_align(count * size_of::<Bucket>(), align).expect("a segment's size fits")
}

/// Empty buckets side by side; at least one.
pub(super) fn alloc_buckets(count: usize) -> *mut Bucket {
    let layout = layout_of(count);
    // SAFETY: the layout is not of size zero, count being at least 1.
    let pointer = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    pointer
}

/// # Safety
/// `pointer` came from `alloc_buckets(count)` and is not used again.
pub(super) unsafe fn free_buckets(pointer: *mut Bucket, count: usize) {
    // SAFETY: by the caller's promise.
    unsafe { dealloc(pointer.cast(), layout_of(count)) }
}

/// Puts an entry into a chain's first empty slot and gives where that is.
///
/// # Safety
/// `bucket` starts a live chain.
pub(super) unsafe fn place<E: Entry>(bucket: *mut Bucket, tag: u8, entry: E) -> (*mut Bucket, usize) {
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

/// The same for an entry as a plain pointer, whose expiry is the caller's to mark.
///
/// # Safety
/// `bucket` starts a live chain, and `pointer` is an entry that is in no bucket.
#[inline]
pub(super) unsafe fn place_raw(mut bucket: *mut Bucket, tag: u8, pointer: *mut u8) -> (*mut Bucket, usize) {
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
pub(super) unsafe fn take<E: Entry>(home: *mut Bucket, bucket: *mut Bucket, index: usize) -> E {
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
pub(super) unsafe fn drain_chain(bucket: *mut Bucket, entries: &mut Vec<(u8, *mut u8)>, volatile: &mut u8) {
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
