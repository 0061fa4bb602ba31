//! A bucket: one cache line with seven entries, and the chain that it may begin.
//!
//! What moves entries between buckets is here: placing one, taking one out, emptying a chain. A tag of 0 is an empty
//! slot; a hash never gives 0 nor the tag of a link, so eight tags are compared in one word without a look at the rest.
//!
//! What a chain has beyond its first bucket are links, the last of which is only as large as its entries need: most links have
//! two or three. The places that it lacks have a tag that no entry has, so that a search need not know.
//!
//! Everything takes raw pointers: a chain is changed while its owner, the table, is borrowed as a whole, and references
//! to two buckets of one chain would overlap with what the table itself holds; and a reference to a short link would reach
//! beyond its end.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::null_mut;

use super::Entry;

const SLOTS: usize = 7;
pub(super) const LINK: usize = SLOTS - 1;
/// Meta bit: the last slot points to the next bucket of the chain.
const CHAINED: u8 = 0x80;
/// Meta bit: some entry of this bucket may be volatile.
pub(super) const VOLATILE: u8 = 0x01;
/// Meta bits: how many slots the link lacks, which is 0, 2 or 4.
const LACKING: u8 = 0b0110;
/// The tag of a link and of places that are lacking, which no entry has.
const TAG_LINK: u8 = 0xFF;

/// Places of a new link; they become two more at a time.
const LINK_PLACES: usize = 3;
const LINK_STEP: usize = 2;

/// See the [module](self). The seventh slot may be a link, as `meta` says. Segments and single buckets begin with a cache line;
/// that is not in the type, for the few buckets of a small table may begin anywhere (`room.rs`).
#[repr(C)]
pub(super) struct Bucket {
    pub(super) tags: [u8; SLOTS],
    pub(super) meta: u8,
    pub(super) slots: [*mut u8; SLOTS],
}

/// A bit mask with bit 7 of byte `i` set for every slot `i` whose tag equals `tag`.
///
/// # Safety
/// The bucket is live.
#[inline]
pub(super) unsafe fn matches(bucket: *const Bucket, tag: u8) -> u64 {
    // SAFETY: the first eight bytes of a bucket are its tags and meta, initialised and 8-aligned.
    let word = unsafe { bucket.cast::<u64>().read() };
    matches_in(word, tag) & LAST_IS_META
}

/// The chain's next bucket, null at its end.
///
/// # Safety
/// The bucket is live.
#[inline]
pub(super) unsafe fn next(bucket: *const Bucket) -> *mut Bucket {
    // SAFETY: by the caller's promise; a bucket that says so has a link.
    unsafe {
        if (*bucket).meta & CHAINED != 0 {
            (*bucket).slots[LINK].cast()
        } else {
            null_mut()
        }
    }
}

/// Slots that may hold entries (the link is not one).
///
/// # Safety
/// The bucket is live.
#[inline]
pub(super) unsafe fn width(bucket: *const Bucket) -> usize {
    // SAFETY: by the caller's promise.
    let meta = unsafe { (*bucket).meta };
    if meta & CHAINED != 0 {
        LINK
    } else {
        SLOTS - usize::from(meta & LACKING)
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

/// A bit mask with bit 7 of byte `i` set for every slot `i` that has an entry.
///
/// # Safety
/// The bucket is live.
#[inline]
pub(super) unsafe fn occupied(bucket: *const Bucket) -> u64 {
    // SAFETY: as in `matches`.
    let word = unsafe { bucket.cast::<u64>().read() };
    // Neither the tag of an empty slot nor that of a link or a place that is lacking.
    !(matches_in(word, 0) | matches_in(word, TAG_LINK)) & ENTRY_BITS
}

/// How many bits of such a mask are set.
#[inline]
pub(super) fn count(mask: u64) -> usize {
    // Their sum comes about in the highest byte; not every processor that this is built for counts bits.
    ((mask >> 7).wrapping_mul(0x0101_0101_0101_0101) >> 56) as usize
}

/// Bit 7 of all bytes of a word of tags but the last, which is no tag.
const ENTRY_BITS: u64 = 0x0080_8080_8080_8080;

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

/// The layout of a link with so many places; the long ones begin with a cache line.
fn link_layout_for(places: usize) -> Layout {
    let size = size_of::<u64>() + places * size_of::<*mut u8>();
    let align = if size.is_power_of_two() { size } else { align_of::<Bucket>() };
    Layout::from_size_align(size, align).expect("a link's size fits")
}

/// The layout of a link.
///
/// # Safety
/// The link is live.
pub(super) unsafe fn link_layout(link: *const Bucket) -> Layout {
    // SAFETY: by the caller's promise.
    link_layout_for(SLOTS - usize::from(unsafe { (*link).meta } & LACKING))
}

/// Bytes of the links of a chain with so many entries.
pub(super) fn link_bytes(entries: usize) -> usize {
    if entries <= SLOTS {
        return 0;
    }
    // Each link that is not the last has as many entries as the first bucket.
    let links = (entries - 2) / LINK;
    let in_last = entries - links * LINK;
    let places = LINK_PLACES + in_last.saturating_sub(LINK_PLACES).next_multiple_of(LINK_STEP);
    (links - 1) * size_of::<Bucket>() + link_layout_for(places).size()
}

/// An empty link.
fn alloc_link(places: usize) -> *mut Bucket {
    let layout = link_layout_for(places);
    // SAFETY: the layout is not of size zero; tags and meta are within it.
    unsafe {
        let link = alloc_zeroed(layout).cast::<Bucket>();
        if link.is_null() {
            handle_alloc_error(layout);
        }
        (places..SLOTS).for_each(|slot| (*link).tags[slot] = TAG_LINK);
        (*link).meta = (SLOTS - places) as u8;
        link
    }
}

/// # Safety
/// The link is not used again, and its entries are elsewhere.
unsafe fn free_link(link: *mut Bucket) {
    // SAFETY: it came from `alloc_link` with as many places, by its own account.
    unsafe { dealloc(link.cast(), link_layout(link)) }
}

/// Moves a chain's last link to one with another number of places, enough for its entries.
///
/// # Safety
/// `previous` is the bucket before that link.
unsafe fn move_link(previous: *mut Bucket, places: usize) -> *mut Bucket {
    // SAFETY: by the caller's promise; every pointer is moved, and the old link freed after that.
    unsafe {
        let link = next(previous);
        let moved = alloc_link(places);
        (*moved).meta |= (*link).meta & VOLATILE;
        let occupied = (0..width(link)).filter(|&slot| (*link).tags[slot] != 0);
        for (to, from) in occupied.enumerate() {
            (*moved).tags[to] = (*link).tags[from];
            (*moved).slots[to] = (*link).slots[from];
        }
        free_link(link);
        (*previous).slots[LINK] = moved.cast();
        moved
    }
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
        let mut previous = null_mut::<Bucket>();
        loop {
            let empty = matches(bucket, 0);
            if empty != 0 {
                let index = (empty.trailing_zeros() / 8) as usize;
                (*bucket).tags[index] = tag;
                (*bucket).slots[index] = pointer;
                return (bucket, index);
            }
            let following = next(bucket);
            if !following.is_null() {
                previous = bucket;
                bucket = following;
                continue;
            }
            let places = width(bucket);
            if places < SLOTS {
                bucket = move_link(previous, places + LINK_STEP);
                continue;
            }
            let link = alloc_link(LINK_PLACES);
            (*link).tags[0] = (*bucket).tags[LINK];
            (*link).slots[0] = (*bucket).slots[LINK];
            (*link).meta |= (*bucket).meta & VOLATILE;
            (*bucket).tags[LINK] = TAG_LINK;
            (*bucket).slots[LINK] = link.cast();
            (*bucket).meta |= CHAINED;
            previous = bucket;
            bucket = link;
        }
    }
}

/// Takes one entry out of a chain; the hole is filled from the chain's end, so that links are freed when not needed. The chain's
/// last link may be another one then.
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
        while !next(last).is_null() {
            previous = last;
            last = next(last);
        }
        if last != bucket {
            if let Some(from) = (0..width(last)).rev().find(|&slot| (*last).tags[slot] != 0) {
                (*bucket).tags[index] = (*last).tags[from];
                (*bucket).slots[index] = (*last).slots[from];
                (*bucket).meta |= (*last).meta & VOLATILE;
                (*last).tags[from] = 0;
                (*last).slots[from] = null_mut();
            }
        }
        let places = width(last);
        let left = (0..places).filter(|&slot| (*last).tags[slot] != 0).count();
        if left == 0 {
            (*previous).tags[LINK] = 0;
            (*previous).slots[LINK] = null_mut();
            (*previous).meta &= !CHAINED;
            free_link(last);
        } else if left + LINK_STEP < places && places > LINK_PLACES {
            // One place stays free: the next entry does not move the link again.
            move_link(previous, places - LINK_STEP);
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
            for slot in 0..width(current) {
                if (*current).tags[slot] != 0 {
                    entries.push(((*current).tags[slot], (*current).slots[slot]));
                }
            }
            *volatile |= (*current).meta & VOLATILE;
            let following = next(current);
            if current != bucket {
                free_link(current);
            }
            current = following;
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

#[cfg(test)]
mod tests {
    use std::ptr::{without_provenance_mut, NonNull};

    use super::*;

    /// An entry that is a number, and owns nothing.
    #[repr(transparent)]
    struct Number(NonNull<u8>);

    // SAFETY: transparent over a pointer that is never followed.
    unsafe impl Entry for Number {
        fn key(&self) -> &[u8] {
            &[]
        }
    }

    /// The numbers in a chain, in their order, and the bytes of its links.
    unsafe fn look(home: *mut Bucket) -> (Vec<usize>, usize) {
        let (mut numbers, mut bytes) = (Vec::new(), 0);
        let mut bucket = home;
        // SAFETY: by the caller's promise the chain is live.
        unsafe {
            while !bucket.is_null() {
                let slots = (0..width(bucket)).filter(|&slot| (*bucket).tags[slot] != 0);
                let before = numbers.len();
                numbers.extend(slots.map(|slot| (*bucket).slots[slot].addr()));
                assert_eq!(count(occupied(bucket)), numbers.len() - before, "the mask counts what is there");
                bytes += if bucket == home { 0 } else { link_layout(bucket).size() };
                bucket = next(bucket);
            }
        }
        numbers.sort_unstable();
        (numbers, bytes)
    }

    #[test]
    fn the_last_link_of_a_chain_is_as_large_as_its_entries_need() {
        const ALL: usize = 60;
        let home = alloc_buckets(1);
        // SAFETY: the chain is live until its end; the numbers are never followed.
        unsafe {
            for number in 1..=ALL {
                place_raw(home, 7, without_provenance_mut(number));
                assert_eq!(look(home), ((1..=number).collect(), link_bytes(number)));
            }
            let mut there: Vec<usize> = (1..=ALL).collect();
            for left in (0..ALL).rev() {
                let at = (0..width(home)).find(|&slot| (*home).tags[slot] != 0).expect("one is left");
                let taken = take::<Number>(home, home, at).0.as_ptr().addr();
                there.retain(|&number| number != taken);
                let (numbers, bytes) = look(home);
                assert_eq!(numbers, there);
                assert!((link_bytes(left)..=link_bytes(left + 1)).contains(&bytes), "{bytes} bytes for {left}");
            }
            free_buckets(home, 1);
        }
    }

    #[test]
    fn a_link_that_is_moved_keeps_its_mark() {
        let home = alloc_buckets(1);
        let (mut entries, mut volatile) = (Vec::new(), 0);
        // SAFETY: as above.
        unsafe {
            for number in 1..=8 {
                place_raw(home, 7, without_provenance_mut(number));
            }
            (*next(home)).meta |= VOLATILE;
            for number in 9..=11 {
                place_raw(home, 7, without_provenance_mut(number));
            }
            assert_eq!((width(next(home)), (*next(home)).meta & VOLATILE), (5, VOLATILE));
            drain_chain(home, &mut entries, &mut volatile);
            assert_eq!((entries.len(), volatile), (11, VOLATILE));
            free_buckets(home, 1);
        }
    }
}
