//! The allocator's pages: how much of them is in use, which ones are worth emptying, and whom they belong to.
//!
//! mimalloc puts blocks of one size on a page of 64 KiB and more. A page that is nearly empty goes on taking its memory, until
//! whoever owns the blocks moves them elsewhere. Two things of mimalloc stand in the way of that where threads work for each
//! other: blocks that a thread frees on another's page are taken notice of only when the owner allocates, and the owner alone
//! fills the page up. So while blocks are moved, threads give up the pages that they own ([`give_up_if_asked`]): on a page
//! without an owner frees count at once, whoever makes the last one frees it, and anybody who allocates may fill it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::mapping;

/// What a page is cut into addresses by: the smallest page.
const SLICE_SHIFT: u32 = 16;
const SLICE: usize = 1 << SLICE_SHIFT;
/// Slices are remembered as bits by regions of a gigabyte.
const REGION_SHIFT: u32 = 30;
const REGION_WORDS: usize = 1 << (REGION_SHIFT - SLICE_SHIFT - 6);
/// Regions between the lowest and the highest address that are remembered: more than user space has.
const REGIONS_MAX: usize = 1 << 18;
/// Pages that are fuller than seven parts in eight are left alone.
const DENSE: (usize, usize) = (7, 8);

/// mimalloc's number of the option that says whether a thread takes a page of its own back when it frees a block there.
const RECLAIM_ON_FREE: c_int = 35;
/// And of the one that says how many pages of a size of blocks it owns at most then.
const RECLAIM_MAX: c_int = 41;
/// 64 MB of each size.
const OWNED_MAX: c_long = 1024;
/// How long a thread gives up pages at a time.
const SLICE_OF_TIME: Duration = Duration::from_micros(500);

/// As mimalloc tells about a page.
#[repr(C)]
struct Area {
    blocks: *const c_void,
    reserved: usize,
    committed: usize,
    used: usize,
    block_size: usize,
    full_block_size: usize,
    private: *const c_void,
}

/// A thread's pages of one size of blocks, as mimalloc lays them out.
#[repr(C)]
struct PageQueue {
    first: *mut c_void,
    last: *mut c_void,
    count: usize,
    block_size: usize,
}

/// Queues by size; then one of huge pages, and one of those that are full.
const QUEUES: usize = 75;
const SIZES: std::ops::Range<usize> = 1..QUEUES - 2;

/// What mimalloc knows of a thread, up to its pages.
#[repr(C)]
struct ThreadHeap {
    head: [usize; 34],
    direct: [*const c_void; 129],
    queues: [PageQueue; QUEUES],
}

type Visitor = extern "C" fn(*const c_void, *const Area, *mut c_void, usize, *mut c_void) -> bool;

extern "C" {
    fn mi_heap_visit_blocks(heap: *mut c_void, blocks: bool, visitor: Visitor, argument: *mut c_void) -> bool;
    fn mi_theap_get_default() -> *mut c_void;
    fn _mi_page_abandon(page: *mut c_void, queue: *mut PageQueue);
    fn _mi_bin_size(bin: usize) -> usize;
    fn mi_option_set(option: c_int, value: c_long);
}

/// Memory in pages, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    /// Of pages and mappings, as far as they were ever in use.
    pub active: usize,
    /// Pages.
    pub pages: usize,
}

/// Visits every page. Others go on allocating meanwhile: what is told about a page may be out of date.
fn for_each_page(mut visit: impl FnMut(&Area)) {
    extern "C" fn visitor<F: FnMut(&Area)>(
        _: *const c_void,
        area: *const Area,
        block: *mut c_void,
        _: usize,
        argument: *mut c_void,
    ) -> bool {
        if block.is_null() {
            // SAFETY: mimalloc passes an area of its own and the argument that it was given.
            unsafe { (*argument.cast::<F>())(&*area) };
        }
        true
    }
    fn visit_all<F: FnMut(&Area)>(visit: &mut F) {
        // SAFETY: only the pages' descriptions are read. Those are beside the pages, in the head of their arena, and stay mapped
        // whatever becomes of a page; pages outside of arenas are in no list (`allocator.rs`). What is read are plain numbers,
        // any of which will do. Without a heap it is the one that all threads use.
        unsafe { mi_heap_visit_blocks(std::ptr::null_mut(), false, visitor::<F>, (&raw mut *visit).cast()) };
    }
    visit_all(&mut visit);
}

/// How much memory is in pages; some microseconds for each hundred of them.
pub fn usage() -> Usage {
    let mut usage = Usage { active: mapping::bytes(), pages: 0 };
    for_each_page(|area| {
        usage.active += area.committed;
        usage.pages += 1;
    });
    usage
}

/// Addresses of pages whose blocks are worth moving elsewhere.
#[derive(Default)]
pub struct SparsePages {
    first_region: usize,
    regions: Vec<Option<Box<[u64; REGION_WORDS]>>>,
    /// Pages in the set.
    pub count: usize,
    is_everything: bool,
}

impl SparsePages {
    /// Pages that are emptier than those of their size of blocks are on average. Moving what is on them fills others, so some
    /// rounds of that leave hardly any.
    pub fn find() -> SparsePages {
        let mut sizes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for_each_page(|area| {
            let size = sizes.entry(area.full_block_size).or_default();
            size.0 += area.used * area.full_block_size;
            size.1 += area.committed;
        });
        let mut found = Vec::new();
        for_each_page(|area| {
            let (used, committed) = sizes.get(&area.full_block_size).copied().unwrap_or_default();
            let here = area.used * area.full_block_size;
            let is_below = here as u128 * committed as u128 <= used as u128 * area.committed as u128;
            if area.used > 0 && is_below && here * DENSE.1 <= area.committed * DENSE.0 {
                found.push((area.blocks.addr(), area.reserved));
            }
        });
        SparsePages::of(&found)
    }

    fn of(pages: &[(usize, usize)]) -> SparsePages {
        let region = |address: usize| address >> REGION_SHIFT;
        let first_region = pages.iter().map(|&(start, _)| region(start)).min().unwrap_or(0);
        let last = pages.iter().map(|&(start, bytes)| region(start + bytes)).max().unwrap_or(0);
        let mut set = SparsePages { first_region, count: pages.len(), ..SparsePages::default() };
        set.regions.resize_with((last + 1 - first_region).min(REGIONS_MAX), || None);
        for &(start, bytes) in pages {
            for address in (start..start + bytes).step_by(SLICE) {
                if let Some(words) = set.regions.get_mut(region(address) - first_region) {
                    let slice = (address & ((1 << REGION_SHIFT) - 1)) >> SLICE_SHIFT;
                    words.get_or_insert_with(|| Box::new([0; REGION_WORDS]))[slice / 64] |= 1 << (slice % 64);
                }
            }
        }
        set
    }

    /// All addresses, for tests of moving.
    pub fn everything() -> SparsePages {
        SparsePages { is_everything: true, ..SparsePages::default() }
    }

    /// Whether a block at this address is on one of the pages.
    #[inline]
    pub fn contains(&self, address: usize) -> bool {
        let region = (address >> REGION_SHIFT).wrapping_sub(self.first_region);
        let Some(Some(words)) = self.regions.get(region) else { return self.is_everything };
        let slice = (address & ((1 << REGION_SHIFT) - 1)) >> SLICE_SHIFT;
        words[slice / 64] >> (slice % 64) & 1 != 0
    }
}

/// Requests to give up pages so far.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
/// Slices after which a thread had pages left to give up.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// How far a thread is with giving up its pages: what it follows, and the pages left in the queue where it is.
#[derive(Clone, Copy)]
struct Pass {
    request: u64,
    queue: usize,
    left: Option<usize>,
}

thread_local! {
    static PASS: Cell<Pass> = const { Cell::new(Pass { request: 0, queue: QUEUES, left: None }) };
}

/// Whether threads own a bounded number of pages only, apart from those that they fill, so that they are soon given up. It is
/// not always so as frees on pages that one owns are quicker.
pub fn bound_owned(on: bool) {
    // SAFETY: options are plain numbers that may be set at any time.
    unsafe { mi_option_set(RECLAIM_MAX, if on { OWNED_MAX } else { -1 }) }
}

/// Whether pages that have been given up stay so when their last owner frees something there.
pub fn keep_without_owner(on: bool) {
    // SAFETY: options are plain numbers that may be set at any time.
    unsafe { mi_option_set(RECLAIM_ON_FREE, if on { -1 } else { 0 }) }
}

/// Asks all threads to give up the pages that they own.
pub fn ask_to_give_up() {
    REQUESTS.fetch_add(1, Relaxed);
}

/// How often a thread has not come to an end with giving up pages; while that grows some are still at it.
pub fn unfinished() -> u64 {
    UNFINISHED.load(Relaxed)
}

/// Gives up some of this thread's pages if that was asked for, for half a millisecond. Threads that allocate call this every
/// so often, at a moment when nobody waits for them.
#[inline]
pub fn give_up_if_asked() {
    let pass = PASS.get();
    if pass.request != REQUESTS.load(Relaxed) || pass.queue < QUEUES {
        give_up_some(SLICE_OF_TIME);
    }
}

/// Gives up this thread's pages, however long it takes.
pub fn give_up() {
    while !give_up_some(SLICE_OF_TIME) {}
}

/// Goes on with giving up this thread's pages, or begins when it has come through; true at the end.
#[cold]
fn give_up_some(time: Duration) -> bool {
    let begun = Instant::now();
    let request = REQUESTS.load(Relaxed);
    let mut pass = PASS.get();
    if pass.request != request || pass.queue >= QUEUES {
        pass = Pass { request, queue: 0, left: None };
    }
    // SAFETY: mimalloc may be asked at any time, and keeps what it knows of a thread until that ends.
    let heap = unsafe { mi_theap_get_default() }.cast::<ThreadHeap>();
    assert!(is_laid_out_so(heap), "mimalloc lays its threads' data out in another way");
    loop {
        // SAFETY: the heap is this thread's, and the layout was checked; only this thread changes its queues.
        let queue = unsafe { &raw mut (*heap).queues[pass.queue] };
        // SAFETY: as above. A page in a queue of this thread is its own, and is given up as mimalloc does with all of them when a
        // thread ends: it leaves the queue.
        let left = unsafe {
            let left = pass.left.unwrap_or((*queue).count);
            let page = (*queue).first;
            if left > 0 && !page.is_null() {
                _mi_page_abandon(page, queue);
                left - 1
            } else {
                0
            }
        };
        match left {
            0 => (pass.queue, pass.left) = (pass.queue + 1, None),
            left => pass.left = Some(left),
        }
        if pass.queue >= QUEUES || begun.elapsed() >= time {
            break;
        }
    }
    PASS.set(pass);
    UNFINISHED.fetch_add(u64::from(pass.queue < QUEUES), Relaxed);
    pass.queue >= QUEUES
}

/// Whether the sizes of blocks are where they are expected.
fn is_laid_out_so(heap: *const ThreadHeap) -> bool {
    // SAFETY: a heap is larger than this in the one version that is used, and sizes never change.
    SIZES.into_iter().all(|size| unsafe { (&raw const (*heap).queues[size].block_size).read() == _mi_bin_size(size) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::allocator::{give_back, Mimalloc};
    use std::alloc::{GlobalAlloc, Layout};
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    const BYTES: usize = 160;

    fn layout() -> Layout {
        Layout::from_size_align(BYTES, 8).expect("a small layout")
    }

    /// What the process has in pages is looked at, so tests that take many do so one after the other.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_set_of_pages_has_their_addresses_and_no_others() {
        let gigabyte = 1 << REGION_SHIFT;
        let pages = [(5 * gigabyte - SLICE, 2 * SLICE), (9 * gigabyte + 3 * SLICE, SLICE)];
        let set = SparsePages::of(&pages);
        for address in [5 * gigabyte - 1, 5 * gigabyte, 5 * gigabyte + SLICE - 1, 9 * gigabyte + 4 * SLICE - 1] {
            assert!(set.contains(address), "{address:x}");
        }
        for address in [0, 5 * gigabyte + SLICE, 7 * gigabyte, 9 * gigabyte + 4 * SLICE, usize::MAX] {
            assert!(!set.contains(address), "{address:x}");
        }
        assert!(!SparsePages::default().contains(0) && SparsePages::everything().contains(0));
    }

    #[test]
    fn pages_are_given_up_in_slices_that_come_to_an_end() {
        let _alone = alone();
        let layout = Layout::from_size_align(2000, 8).expect("a small layout");
        // SAFETY: blocks are freed once, by the thread that holds them.
        unsafe {
            let blocks: Vec<*mut u8> = (0..20_000).map(|_| Mimalloc.alloc(layout)).collect();
            blocks.iter().step_by(2).for_each(|block| Mimalloc.dealloc(*block, layout));
            ask_to_give_up();
            let before = unfinished();
            let slices = (0..).take_while(|_| !give_up_some(Duration::from_nanos(1))).count();
            assert!(slices >= QUEUES - 1, "{slices} slices, at most one page in each");
            assert!(unfinished() >= before + slices as u64);
            let heap = mi_theap_get_default().cast::<ThreadHeap>();
            let owned: usize = (0..QUEUES).map(|queue| (*heap).queues[queue].count).sum();
            assert_eq!(owned, 0, "pages are left");
            blocks.iter().skip(1).step_by(2).for_each(|block| Mimalloc.dealloc(*block, layout));
        }
    }

    /// Blocks of one thread, nine of ten of which another has freed, move in a third one.
    #[test]
    fn pages_that_were_given_up_are_freed_when_their_blocks_have_moved() {
        const BLOCKS: usize = 100_000;
        let _alone = alone();
        // SAFETY: the option's number is checked by its default; blocks are freed once, by whoever holds them.
        unsafe {
            assert_eq!(mi_option_get(RECLAIM_ON_FREE), 0, "mimalloc has other options");
            assert_eq!(mi_option_get(RECLAIM_MAX), -1, "mimalloc has other options");
            let (ask, asked) = channel::<()>();
            let (give, given) = channel::<Vec<usize>>();
            let owner = std::thread::spawn(move || {
                give.send((0..BLOCKS).map(|_| Mimalloc.alloc(layout()).expose_provenance()).collect()).expect("wanted");
                asked.recv().expect("asked");
                give_up();
                give.send(Vec::new()).expect("wanted");
                asked.recv().expect_err("the test ends");
            });
            let mut blocks: Vec<*mut u8> =
                given.recv().expect("blocks").into_iter().map(std::ptr::with_exposed_provenance_mut).collect();
            let full = usage();
            let mut number = 0;
            blocks.retain(|block| {
                number += 1;
                if number % 10 != 0 {
                    Mimalloc.dealloc(*block, layout());
                }
                number % 10 == 0
            });
            keep_without_owner(true);
            ask.send(()).expect("the owner lives");
            given.recv().expect("given up");
            for _ in 0..4 {
                let sparse = SparsePages::find();
                for block in &mut blocks {
                    if sparse.contains(block.addr()) {
                        let moved = Mimalloc.alloc(layout());
                        Mimalloc.dealloc(*block, layout());
                        *block = moved;
                    }
                }
            }
            keep_without_owner(false);
            give_back();
            let less = full.active.saturating_sub(usage().active);
            assert!(less > BLOCKS * BYTES / 2, "{less} bytes of {} are no longer in pages", BLOCKS * BYTES);
            blocks.iter().for_each(|block| Mimalloc.dealloc(*block, layout()));
            drop(ask);
            owner.join().expect("the owner ends well");
        }
    }
}
