//! Huge pages: none that the kernel gives by its own choice, and those gathered in the background that are worth it.
//!
//! A look-up in a large table reads addresses all over the memory, and the processor has to find out for each where it is. With
//! pages of 2 MB it mostly knows; on virtual machines, where finding out takes two dozen reads, a GET among a million keys
//! costs a third less user time. But a huge page that is made when memory is first touched is paid for by whoever touches it: finding and
//! clearing one held a shard for up to 23 ms, and most of it may stay empty.
//!
//! So the kernel is asked for none, and [`look`] has a thread gather those stretches of 2 MB of which every page is in use: the kernel
//! copies them to one place. That takes no more memory than before. What is freed goes back to the system in small pages as ever. Only
//! where a process is the server's own.
//!
//! A thread that touches the stretch at that moment waits for the copy, and with it all who wait for its shard: for some 0.3 ms, and
//! for 6 on a virtual machine whose memory its host provides only when it is touched first. So stretches are gathered quickly
//! while the server has nothing else to do, and beside work as seldom as it takes for nobody to see it ([`Pace`]).

use std::collections::HashSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sherd_metrics::memory;
use sherd_shards::threads;

const HUGE: usize = 2 << 20;
const PAGE: usize = 4096;
/// What the kernel tells of each page of this process, in eight bytes.
const PAGES: &str = "/proc/self/pagemap";
const ENTRY: usize = 8;
/// It is in memory, and nowhere else.
const OWN: u64 = 1 << 63 | 1 << 56;
/// Since Linux 6.1.
const MADV_COLLAPSE: libc::c_int = 25;
/// Since Linux 6.18: none but those that are asked for.
const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;

/// Smaller data fits in what the processor remembers of small pages.
const USED_MIN: usize = 16 << 20;
/// Memory that has come since the last walk, in bytes and as a part of all, which is worth another one.
const GROWN_MIN: usize = 8 << 20;
const GROWN_PART: usize = 16;
/// How long after the last walk there is another one of a server that works, for pages that were freed and used again.
const WALK_EVERY: Duration = Duration::from_secs(60);
/// What was gathered is looked at again after so many walks.
const WALKS_REMEMBERED: u64 = 16;
/// A rest after each stretch that was gathered, and after so many that were looked at; then whether there is other work is looked at
/// again and again, soon enough to use a short rest between two bursts.
const REST: Duration = Duration::from_millis(4);
const REST_MAX: Duration = Duration::from_millis(10);
/// The server works when its other threads use more than this part of a core.
const WORK_PART: u32 = 50;
/// Beside work a stretch has its turn after so many times as long as the last one took: so little that it is unlikely to be
/// noticed, or so much that it would be, and is for one request in a thousand at most.
const TURN_QUICK: u32 = 24;
const TURN_SLOW: u32 = 2000;
const SLOW: Duration = Duration::from_millis(1);
/// Where it takes long, a rest without work may be one between two bursts: only so many times as long is quiet.
const QUIET_SLOW: u32 = 10;
const LOOKS_MAX: usize = 64;
/// Failures one after another that end a walk: memory is in pieces, or scarce.
const FAILURES_MAX: usize = 8;

/// Whether stretches are gathered.
static GATHERS: AtomicBool = AtomicBool::new(false);
static GATHERED: AtomicU64 = AtomicU64::new(0);
static WALKS: Mutex<Walks> = Mutex::new(Walks { is_running: false, used: 0, ended: None, count: 0 });

struct Walks {
    is_running: bool,
    /// The memory in use when the last one began, and when it ended.
    used: usize,
    ended: Option<Instant>,
    count: u64,
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
    let has_grown = used.saturating_sub(walks.used) >= GROWN_MIN.max(used / GROWN_PART);
    let is_due = !quiet && walks.ended.is_some_and(|ended| ended.elapsed() >= WALK_EVERY);
    // After a walk that was given up there is none but when it is due.
    if used < USED_MIN || walks.is_running || !(has_grown || is_due) {
        walks.used = walks.used.min(used);
        return;
    }
    walks.used = used;
    walks.count += 1;
    let anew = walks.count % WALKS_REMEMBERED == 0;
    let spawned = threads::start("sherd-pages", move || {
        walk(anew);
        let mut walks = WALKS.lock().unwrap_or_else(PoisonError::into_inner);
        (walks.is_running, walks.ended) = (false, Some(Instant::now()));
    });
    walks.is_running = spawned.is_ok();
}

/// Stretches that were gathered, by their addresses. Only the walking thread takes it.
static KNOWN: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// When the next stretch may be gathered.
struct Pace {
    /// How long the last one took. The first of a walk is expected to take as long as the last of the walk before.
    took: Duration,
    /// Time since then.
    rested: Duration,
    /// How long nobody has worked.
    quiet: Duration,
    rest: Duration,
}

impl Pace {
    fn new(took: Duration) -> Pace {
        Pace { took, rested: Duration::ZERO, quiet: Duration::ZERO, rest: REST }
    }

    /// Waits for the next turn.
    fn wait(&mut self) {
        loop {
            let (before, work_before) = (Instant::now(), work_of_others());
            thread::sleep(self.rest);
            let (rested, work) = (before.elapsed(), work_of_others().saturating_sub(work_before));
            if self.is_turn(rested, work) {
                return;
            }
        }
    }

    /// Whether a stretch has its turn after another rest in which others have worked for so long.
    fn is_turn(&mut self, rested: Duration, work: Duration) -> bool {
        let (times, quiet_times) = if self.took < SLOW { (TURN_QUICK, 0) } else { (TURN_SLOW, QUIET_SLOW) };
        self.rested += rested;
        self.rest = REST_MAX.min(self.rest * 2);
        let works = work * WORK_PART >= rested;
        self.quiet = if works { Duration::ZERO } else { self.quiet + rested };
        !works && self.quiet >= self.took * quiet_times || self.rested >= self.took * times
    }
}

/// Processor time of all threads but this one.
fn work_of_others() -> Duration {
    let process = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID);
    process.saturating_sub(cpu_time(libc::CLOCK_THREAD_CPUTIME_ID))
}

fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the structure, which is valid; it stays zero where the clock is not known.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long gathering a stretch has taken last, in microseconds. Before the first one it may be long.
static TOOK_US: AtomicU64 = AtomicU64::new(5000);

fn walk(anew: bool) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if anew {
        known.clear();
    }
    let (mut looks, mut failures) = (0, 0);
    let mut pace = Pace::new(Duration::from_micros(TOOK_US.load(Relaxed)));
    let Ok(pages) = File::open(PAGES) else { return };
    for range in anonymous_ranges(&fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        for stretch in stretches(range) {
            looks += 1;
            if looks % LOOKS_MAX == 0 {
                thread::sleep(REST);
            }
            if !is_full(&pages, stretch) {
                known.remove(&stretch);
                continue;
            }
            if known.contains(&stretch) {
                continue;
            }
            pace.wait();
            if !is_full(&pages, stretch) {
                continue;
            }
            let begun = Instant::now();
            let collapsed = collapse(stretch);
            pace = Pace::new(begun.elapsed());
            TOOK_US.store(pace.took.as_micros() as u64, Relaxed);
            if collapsed {
                known.insert(stretch);
                GATHERED.fetch_add(HUGE as u64, Relaxed);
                failures = 0;
            } else {
                failures += 1;
                if failures >= FAILURES_MAX {
                    return;
                }
            }
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

/// Whether every page of a stretch is a piece of memory. One that was only read is not: all such are the kernel's page of zeros, and a
/// huge page would be memory that was never asked for.
fn is_full(pages: &File, stretch: usize) -> bool {
    let mut entries = [0u8; HUGE / PAGE * ENTRY];
    let told = pages.read_exact_at(&mut entries, (stretch / PAGE * ENTRY) as u64);
    let is_own = |entry: &[u8]| entry.first_chunk().is_some_and(|entry| u64::from_ne_bytes(*entry) & OWN == OWN);
    told.is_ok() && entries.chunks_exact(ENTRY).all(is_own)
}

/// Has the kernel put the pages of a stretch in one place.
fn collapse(stretch: usize) -> bool {
    // SAFETY: that changes where memory is, and nothing of what is in it, whoever it belongs to meanwhile.
    unsafe { libc::madvise(stretch as *mut libc::c_void, HUGE, MADV_COLLAPSE) == 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
    fn stretches_have_their_turn_at_once_when_nobody_works_and_seldom_beside_work() {
        let (rest, work) = (Duration::from_millis(100), Duration::from_millis(50));
        let turn_beside_work = |took| {
            let mut pace = Pace::new(took);
            (1..).find(|_| pace.is_turn(rest, work)).unwrap()
        };
        let (idle, quick, slow) = (Duration::from_millis(1), Duration::from_micros(900), Duration::from_millis(25));
        assert!(Pace::new(quick).is_turn(rest, idle));
        let turns = |works: [Duration; 5]| {
            let mut pace = Pace::new(slow);
            works.map(|work| pace.is_turn(rest, work))
        };
        assert_eq!(turns([idle; 5]), [false, false, true, true, true]);
        assert_eq!(turns([idle, idle, work, idle, idle]), [false; 5], "what is quiet begins anew after work");
        assert_eq!(turn_beside_work(Duration::from_micros(500)), 1);
        assert_eq!(turn_beside_work(Duration::from_millis(6)), 120);
        assert_eq!(turn_beside_work(Duration::ZERO), 1, "how long the first one takes is not known");
    }

    #[test]
    fn the_work_of_others_does_not_count_that_of_this_thread() {
        let over = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let over = Arc::clone(&over);
            move || while !over.load(Relaxed) {}
        });
        let (before, begun) = (work_of_others(), Instant::now());
        while work_of_others() <= before && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        let after = work_of_others();
        over.store(true, Relaxed);
        other.join().unwrap();
        assert!(after > before);
        assert!(cpu_time(libc::CLOCK_THREAD_CPUTIME_ID) < cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID));
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
        // Where nobody may ask for pages nothing is gathered.
        let Ok(pages) = File::open(PAGES) else { return };
        let read = |block: &[u8]| (0..HUGE / PAGE).map(|page| u64::from(block[offset + page * PAGE])).sum::<u64>();
        assert_eq!(read(std::hint::black_box(&block)), 0);
        assert!(!is_full(&pages, start), "what was only read takes no memory");
        for page in 0..HUGE / PAGE - 1 {
            block[offset + page * PAGE] = page as u8;
        }
        assert!(!is_full(&pages, start));
        block[offset + HUGE - 1] = 7;
        assert!(is_full(&pages, start));
        advise(libc::MADV_HUGEPAGE);
        // Whether the kernel does it or not.
        collapse(start);
        assert!((0..HUGE / PAGE - 1).all(|page| block[offset + page * PAGE] == page as u8));
        assert_eq!(block[offset + HUGE - 1], 7);
    }
}
