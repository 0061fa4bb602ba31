//! Huge pages: none that the kernel gives by its own choice, and those gathered in the background that are worth it.
//!
//! A look-up in a large table reads addresses all over the memory, and the processor has to find out for each where it is. With
//! pages of 2 MB it mostly knows; on virtual machines, where finding out takes two dozen reads, a GET among a million keys
//! costs a third less user time. But a huge page that is made when memory is first touched is paid for by whoever touches it: finding and
//! clearing one held a shard for up to 23 ms, and most of it may stay empty.
//!
//! So the kernel is asked for none, and [`look`] has a thread gather those stretches of 2 MB of which every page is in use: the kernel
//! copies them to one place. That takes no more memory than before, and holds a thread that touches the stretch at that moment
//! for some 0.3 ms. Copying takes the processor 1 to 2 ms a stretch, so it waits until data that is being written has come to an end, which
//! may be a burst that is gone in a second, and takes a small part of a core. What is freed goes back to the system in small pages as ever. Only where a process is the server's own.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sherd_metrics::memory;

const HUGE: usize = 2 << 20;
const PAGE: usize = 4096;
/// Since Linux 6.1.
const MADV_COLLAPSE: libc::c_int = 25;
/// Since Linux 6.18: none but those that are asked for.
const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;

/// Smaller data fits in what the processor remembers of small pages.
const USED_MIN: usize = 16 << 20;
/// Memory that has come since the last walk, in bytes and as a part of all, which is worth another one.
const GROWN_MIN: usize = 8 << 20;
const GROWN_PART: usize = 16;
/// By so much more memory in use at one look than at the last it is being written, and is gathered when that is over, or
/// has gone on for so long.
const GROWING: usize = 1 << 20;
const GROWTH_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long after the last walk there is another one of a server that works, for pages that were freed and used again.
const WALK_EVERY: Duration = Duration::from_secs(60);
/// What was gathered is looked at again after so many walks.
const WALKS_REMEMBERED: u64 = 16;
/// A rest after each stretch that was gathered, and after so many that were looked at; after what has taken long it is so many times
/// as long as that.
const REST: Duration = Duration::from_millis(4);
const REST_RATIO: u32 = 24;
const LOOKS_MAX: usize = 64;
/// Failures one after another that end a walk: memory is in pieces, or scarce.
const FAILURES_MAX: usize = 8;

/// Whether stretches are gathered.
static GATHERS: AtomicBool = AtomicBool::new(false);
static GATHERED: AtomicU64 = AtomicU64::new(0);
static WALKS: Mutex<Walks> =
    Mutex::new(Walks { is_running: false, used: 0, seen: 0, grows_since: None, ended: None, count: 0 });

struct Walks {
    is_running: bool,
    /// The memory in use when the last one began, and when it ended.
    used: usize,
    ended: Option<Instant>,
    /// The memory in use at the last look, and since when it has been growing from look to look.
    seen: usize,
    grows_since: Option<Instant>,
    count: u64,
}

impl Walks {
    /// Whether data is being written at the moment, as far as it is worth waiting for its end.
    fn grows(&mut self, used: usize, now: Instant) -> bool {
        let has_grown = used.saturating_sub(self.seen) >= GROWING;
        self.seen = used;
        if !has_grown {
            self.grows_since = None;
            return false;
        }
        now - *self.grows_since.get_or_insert(now) < GROWTH_WAIT_MAX
    }
}

/// Says whether the kernel may give this process huge pages by its own choice, and whether those that are worth it are to be
/// gathered, where it can do that; false where it knows no such wishes.
pub fn choose(automatic: bool, gathers: bool) -> bool {
    let can = gathers && mode() != "never" && (automatic || disable_automatic());
    GATHERS.store(can, Relaxed);
    automatic || can || wish(1, 0)
}

/// Bytes that were gathered, whatever has become of them.
pub fn gathered_bytes() -> u64 {
    GATHERED.load(Relaxed)
}

fn wish(on: libc::c_ulong, except: libc::c_ulong) -> bool {
    // SAFETY: the call takes plain numbers and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, except, 0, 0) == 0 }
}

/// What the system's owner has said: `always`, `madvise` or `never`.
fn mode() -> String {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let chosen = modes.split('[').nth(1).and_then(|rest| rest.split(']').next());
    chosen.unwrap_or("never").to_owned()
}

/// Where the kernel cannot make exceptions, it needs no wish but where it gives huge pages to everybody.
fn disable_automatic() -> bool {
    wish(1, EXCEPT_ADVISED) || (mode() == "madvise" && wish(0, 0))
}

/// Begins to gather if there is reason to; called every so often. A server that is `quiet` uses no pages anew.
pub fn look(quiet: bool) {
    if !GATHERS.load(Relaxed) {
        return;
    }
    let used = memory::used_bytes();
    let mut walks = WALKS.lock().unwrap_or_else(PoisonError::into_inner);
    let grows = walks.grows(used, Instant::now());
    let has_grown = used.saturating_sub(walks.used) >= GROWN_MIN.max(used / GROWN_PART);
    let is_due = !quiet && walks.ended.is_some_and(|ended| ended.elapsed() >= WALK_EVERY);
    // After a walk that was given up there is none but when it is due.
    if used < USED_MIN || walks.is_running || !(has_grown || is_due) {
        walks.used = walks.used.min(used);
        return;
    }
    if grows {
        return;
    }
    walks.used = used;
    walks.count += 1;
    let anew = walks.count % WALKS_REMEMBERED == 0;
    let spawned = thread::Builder::new().name("sherd-pages".to_owned()).spawn(move || {
        walk(anew);
        let mut walks = WALKS.lock().unwrap_or_else(PoisonError::into_inner);
        (walks.is_running, walks.ended) = (false, Some(Instant::now()));
    });
    walks.is_running = spawned.is_ok();
}

/// Stretches that were gathered, by their addresses. Only the walking thread takes it.
static KNOWN: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

fn walk(anew: bool) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if anew {
        known.clear();
    }
    let (mut looks, mut failures) = (0, 0);
    for range in anonymous_ranges(&fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        for stretch in stretches(range) {
            looks += 1;
            if looks % LOOKS_MAX == 0 {
                thread::sleep(REST);
            }
            if !is_full(stretch) {
                known.remove(&stretch);
                continue;
            }
            if known.contains(&stretch) {
                continue;
            }
            let begun = Instant::now();
            if collapse(stretch) {
                known.insert(stretch);
                GATHERED.fetch_add(HUGE as u64, Relaxed);
                failures = 0;
            } else {
                failures += 1;
                if failures >= FAILURES_MAX {
                    return;
                }
            }
            thread::sleep(REST.max(begun.elapsed() * REST_RATIO));
        }
    }
}

/// Private memory that belongs to no file, as the kernel's list of mappings tells.
fn anonymous_ranges(maps: &str) -> Vec<Range<usize>> {
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (addresses, rights) = (fields.next()?, fields.next()?);
        let (inode, name) = (fields.nth(2)?, fields.next().unwrap_or_default());
        let is_data = rights.starts_with("rw") && rights.ends_with('p') && inode == "0";
        let (start, end) = addresses.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (is_data && (name.is_empty() || name.starts_with("[anon"))).then_some(start..end)
    };
    maps.lines().filter_map(range).collect()
}

/// Where the whole stretches of a range begin.
fn stretches(range: Range<usize>) -> impl Iterator<Item = usize> {
    let first = range.start.next_multiple_of(HUGE);
    (first..range.end).step_by(HUGE).filter(move |start| start + HUGE <= range.end)
}

/// Whether every page of a stretch is in memory.
fn is_full(stretch: usize) -> bool {
    let mut present = [0u8; HUGE / PAGE];
    // SAFETY: there is a byte for each page; the addresses are only asked about, and what is not mapped is an error.
    let told = unsafe { libc::mincore(stretch as *mut libc::c_void, HUGE, present.as_mut_ptr()) };
    told == 0 && present.iter().all(|page| page & 1 == 1)
}

/// Has the kernel put the pages of a stretch in one place.
fn collapse(stretch: usize) -> bool {
    // SAFETY: that changes where memory is, and nothing of what is in it, whoever it belongs to meanwhile.
    unsafe { libc::madvise(stretch as *mut libc::c_void, HUGE, MADV_COLLAPSE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_remembers_the_wish() {
        if choose(false, false) {
            // SAFETY: as in `wish`.
            assert_eq!(unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) }, 1);
            wish(0, 0);
        }
    }

    #[test]
    fn what_is_being_written_is_waited_for_but_not_for_ever() {
        let mut walks = Walks { is_running: false, used: 0, seen: 0, grows_since: None, ended: None, count: 0 };
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        assert!(walks.grows(10 * GROWING, at(0)));
        assert!(walks.grows(20 * GROWING, at(1900)));
        assert!(!walks.grows(30 * GROWING, at(2000)), "it has grown for long enough");
        assert!(!walks.grows(30 * GROWING + 1, at(2100)), "it has come to its end");
        assert!(walks.grows(40 * GROWING, at(2200)), "it begins anew");
    }

    #[test]
    fn only_private_memory_without_a_file_is_looked_at_and_whole_stretches_of_it() {
        let maps = "\
55d0c0000000-55d0c0200000 rw-p 00000000 fe:00 1234                       /usr/lib/x.so
55d0d0000000-55d0d0200000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000200000 r--p 00000000 00:00 0
7f0000300000-7f0000900000 rw-p 00000000 00:00 0
7f0000a00000-7f0000c00000 rw-s 00000000 00:00 0
7f0001000000-7f0001200000 rw-p 00000000 00:00 0                          [anon:data]
";
        let ranges = anonymous_ranges(maps);
        assert_eq!(ranges, [0x7f00_0030_0000..0x7f00_0090_0000, 0x7f00_0100_0000..0x7f00_0120_0000]);
        assert_eq!(stretches(ranges[0].clone()).collect::<Vec<_>>(), [0x7f00_0040_0000, 0x7f00_0060_0000]);
        assert_eq!(stretches(0..HUGE - 1).count(), 0);
    }

    #[test]
    fn a_stretch_is_full_when_its_last_page_was_written_and_keeps_its_bytes_in_another_place() {
        // In twice as many bytes a stretch certainly begins.
        let mut block = vec![0u8; 2 * HUGE];
        let start = block.as_ptr().expose_provenance().next_multiple_of(HUGE);
        let offset = start - block.as_ptr().expose_provenance();
        // SAFETY: the stretch is the block's, which is zero and stays so; the allocator may have had other things there before.
        let advise = |advice| unsafe { libc::madvise(start as *mut libc::c_void, HUGE, advice) };
        assert_eq!(advise(libc::MADV_DONTNEED), 0);
        advise(libc::MADV_NOHUGEPAGE);
        for page in 0..HUGE / PAGE - 1 {
            block[offset + page * PAGE] = page as u8;
        }
        assert!(!is_full(start));
        block[offset + HUGE - 1] = 7;
        assert!(is_full(start));
        advise(libc::MADV_HUGEPAGE);
        // Whether the kernel does it or not.
        collapse(start);
        assert!((0..HUGE / PAGE - 1).all(|page| block[offset + page * PAGE] == page as u8));
        assert_eq!(block[offset + HUGE - 1], 7);
    }
}
