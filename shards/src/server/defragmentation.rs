//! Active defragmentation: moving values off pages that are nearly empty, so that the pages can be given back.
//!
//! While `activedefrag` is on, memory that pages take is set against memory that is in use. When too much is wasted
//! (`active-defrag-ignore-bytes`, `-threshold-lower`), the background thread makes a [`Plan`]: which pages are worth emptying
//! ([`sherd_metrics::pages`]), and what part of a processor the work may take (`-cycle-min` to `-cycle-max`, by how much is
//! wasted up to `-threshold-upper`). The shards' own threads then go once through their keys ([`crate::maintenance::defragment`]), in slices of
//! `-cycle-us`, and move what is on those pages. When all have come through, the next plan is made, until little is wasted or
//! a plan has not helped.
//!
//! A slice copies blocks and changes the one pointer to each; no value changes, and nobody sees anything of it. When it is
//! off, a shard's thread looks at three words in memory each time that it wakes up.
//!
//! Rejected: asking of each block how full its page is (mimalloc answers for pages of the asking thread only), and copying
//! everything once (memory doubles before the first page comes free).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sherd_metrics::allocator::give_back;
use sherd_metrics::memory;
use sherd_metrics::pages::{self, SparsePages};

use crate::server::settings::Settings;

/// How often it is looked whether too much is wasted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// By then all threads have begun to give up their pages, and those at it go on: more than the longest time that one sleeps.
pub const GIVEN_UP_AFTER: Duration = Duration::from_millis(1250);
/// Looking at all pages takes at most one part in this many of the time: a terabyte has some ten million.
const LOOKING_PART: u32 = 50;
/// How often it is looked whether all shards have come through.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Rest after a plan that has hardly helped: what is left is not to be had by moving.
const REST: Duration = Duration::from_secs(60);
/// A plan has helped when one part in this many of what was wasted is no longer.
const HELPED: usize = 16;

/// What is to be done at the moment.
#[derive(Default)]
pub struct Plan {
    /// Plans have different numbers.
    pub number: u64,
    /// The part of one processor that all shards' threads together may take.
    pub effort_percent: u64,
    pub pages: SparsePages,
}

/// Memory in pages against memory in use.
#[derive(Clone, Copy, Debug)]
pub struct Fragmentation {
    pub active: usize,
    pub allocated: usize,
}

impl Fragmentation {
    /// As it is now.
    pub fn measure() -> Fragmentation {
        let active = pages::usage().active;
        let allocated = memory::used_bytes();
        // Counted at different moments, and blocks of whole system pages by what they fill.
        Fragmentation { active: active.max(allocated), allocated }
    }

    /// As it was a second ago, or longer where it takes long to look at the pages of a large keyspace.
    pub fn recent() -> Fragmentation {
        static RECENT: Mutex<Option<(Instant, usize)>> = Mutex::new(None);
        let mut recent = lock(&RECENT);
        let active = match *recent {
            Some((until, active)) if Instant::now() < until => active,
            _ => {
                let begun = Instant::now();
                let active = pages::usage().active;
                *recent = Some((Instant::now() + pause_after(begun.elapsed()), active));
                active
            }
        };
        let allocated = memory::used_bytes();
        Fragmentation { active: active.max(allocated), allocated }
    }

    /// Bytes that are in pages and not in use.
    pub fn wasted(self) -> usize {
        self.active - self.allocated
    }

    /// The same in percent of what is in use.
    pub fn percent(self) -> u64 {
        (self.wasted() as u128 * 100 / self.allocated.max(1) as u128) as u64
    }

    /// The part of a processor that it is worth to do something about it; 0 if it is not.
    fn effort_percent(self, settings: &Settings) -> u64 {
        let positive = |value: i64| value.max(0) as u64;
        let lower = positive(settings.active_defrag_threshold_lower.get());
        let upper = positive(settings.active_defrag_threshold_upper.get()).max(lower + 1);
        let least = positive(settings.active_defrag_cycle_min.get()).clamp(1, 99);
        let most = positive(settings.active_defrag_cycle_max.get()).clamp(least, 99);
        let percent = self.percent();
        if percent < lower || self.wasted() < settings.active_defrag_ignore_bytes.size() {
            return 0;
        }
        least + (most - least) * (percent.min(upper) - lower.min(upper)) / (upper - lower)
    }
}

/// How long one look at all pages is enough for.
fn pause_after(took: Duration) -> Duration {
    LOOK_EVERY.max(took * LOOKING_PART)
}

enum Phase {
    /// `activedefrag` is off.
    Off,
    /// Too little is wasted, or what is wasted is not to be had.
    Idle,
    /// Threads are giving up their pages; with what was wasted before the plan that has just ended, and how often one of them
    /// had not come to an end.
    Preparing(Option<usize>, u64),
    /// Shards move what the plan says; with what was wasted before it.
    Moving(usize),
}

struct State {
    phase: Phase,
    next: Option<Instant>,
}

/// See the [module](self); one for all shards.
pub struct Defragmentation {
    plan: Mutex<Arc<Plan>>,
    /// The number of the plan, 0 while there is none.
    number: AtomicU64,
    effort_percent: AtomicU64,
    /// Shards that have come through under this plan.
    finished: AtomicUsize,
    state: Mutex<State>,
    /// The background thread has been asked to look.
    is_looking: AtomicBool,
    /// The state is not [`Phase::Off`].
    is_active: AtomicBool,
    started: Mutex<(u64, Option<Instant>)>,
}

impl Default for Defragmentation {
    fn default() -> Self {
        Defragmentation {
            plan: Mutex::default(),
            number: AtomicU64::new(0),
            effort_percent: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
            state: Mutex::new(State { phase: Phase::Off, next: None }),
            is_looking: AtomicBool::new(false),
            is_active: AtomicBool::new(false),
            started: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Defragmentation {
    /// The number of the plan that shards follow; 0 is none.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number.load(SeqCst)
    }

    /// Whether blocks are moved or soon will be; then threads have their ticks also where nothing happens.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.effort_percent() != 0
    }

    /// The plan.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&lock(&self.plan))
    }

    /// The part of a processor that is spent at the moment, in percent; 0 when nothing is moved.
    pub fn effort_percent(&self) -> u64 {
        self.effort_percent.load(SeqCst)
    }

    /// Milliseconds for which values have been moved, before this time and this time.
    pub fn milliseconds(&self) -> (u64, u64) {
        let (before, since) = *lock(&self.started);
        (before, since.map_or(0, |since| since.elapsed().as_millis() as u64))
    }

    /// Counts the time from zero from now on (CONFIG RESETSTAT).
    pub fn reset_time(&self) {
        let mut started = lock(&self.started);
        *started = (0, started.1.map(|_| Instant::now()));
    }

    /// A shard has come through its keys under the plan of this number.
    pub fn finish(&self, number: u64) {
        if lock(&self.plan).number == number {
            self.finished.fetch_add(1, SeqCst);
        }
    }

    /// How many shards have come through under the present plan.
    pub fn finished(&self) -> usize {
        self.finished.load(SeqCst)
    }

    /// Makes a plan that shards follow from now on.
    pub fn begin(&self, effort_percent: u64, pages: SparsePages) {
        let mut plan = lock(&self.plan);
        let number = plan.number + 1;
        *plan = Arc::new(Plan { number, effort_percent, pages });
        self.finished.store(0, SeqCst);
        self.effort_percent.store(effort_percent, SeqCst);
        self.number.store(number, SeqCst);
        lock(&self.started).1.get_or_insert_with(Instant::now);
    }

    /// Ends the plan, if there is one.
    fn end(&self) {
        self.number.store(0, SeqCst);
        let mut plan = lock(&self.plan);
        *plan = Arc::new(Plan { number: plan.number, ..Plan::default() });
    }

    fn rest(&self) {
        self.end();
        self.effort_percent.store(0, SeqCst);
        pages::keep_without_owner(false);
        let mut started = lock(&self.started);
        started.0 += started.1.take().map_or(0, |since| since.elapsed().as_millis() as u64);
    }

    /// Whether the background thread is to look at memory now, which is said once: then it does [`Defragmentation::step`].
    #[inline]
    pub fn begins_to_look(&self, settings: &Settings) -> bool {
        let is_on = settings.activedefrag.on();
        // While the background thread looks it holds the state.
        if !is_on && !self.is_active.load(SeqCst) || self.is_looking.load(SeqCst) {
            return false;
        }
        let mut state = lock(&self.state);
        let is_due = !is_on || state.next.is_none_or(|next| Instant::now() >= next);
        let begins = is_due && !self.is_looking.swap(true, SeqCst);
        if begins {
            state.next = None;
        }
        begins
    }

    /// The background thread had no time to look.
    pub fn looks_later(&self) {
        self.is_looking.store(false, SeqCst);
    }

    /// What comes next, in the background thread, for so many shards.
    pub fn step(&self, settings: &Settings, shards: usize) {
        let mut state = lock(&self.state);
        let is_on = settings.activedefrag.on();
        pages::bound_owned(is_on);
        let (phase, pause) = if is_on {
            self.following(&state.phase, settings, shards)
        } else {
            self.rest();
            (Phase::Off, LOOK_EVERY)
        };
        self.is_active.store(is_on, SeqCst);
        *state = State { phase, next: Some(Instant::now() + pause) };
        self.is_looking.store(false, SeqCst);
    }

    fn following(&self, phase: &Phase, settings: &Settings, shards: usize) -> (Phase, Duration) {
        match phase {
            Phase::Off | Phase::Idle => {
                let begun = Instant::now();
                match Fragmentation::measure().effort_percent(settings) {
                    0 => (Phase::Idle, pause_after(begun.elapsed())),
                    effort_percent => self.prepare(effort_percent, None),
                }
            }
            Phase::Preparing(before, unfinished) if *unfinished != pages::unfinished() => {
                (Phase::Preparing(*before, pages::unfinished()), GIVEN_UP_AFTER)
            }
            Phase::Preparing(before, _) => self.plan_next(*before, settings),
            Phase::Moving(before) if self.finished() >= shards => {
                self.end();
                self.prepare(self.effort_percent(), Some(*before))
            }
            Phase::Moving(before) => (Phase::Moving(*before), POLL_EVERY),
        }
    }

    fn prepare(&self, effort_percent: u64, wasted_before: Option<usize>) -> (Phase, Duration) {
        self.effort_percent.store(effort_percent, SeqCst);
        pages::keep_without_owner(true);
        pages::ask_to_give_up();
        pages::give_up();
        (Phase::Preparing(wasted_before, pages::unfinished()), GIVEN_UP_AFTER)
    }

    fn plan_next(&self, wasted_before: Option<usize>, settings: &Settings) -> (Phase, Duration) {
        give_back();
        let now = Fragmentation::measure();
        let effort_percent = now.effort_percent(settings);
        let has_helped = wasted_before.is_none_or(|before| now.wasted() <= before - before / HELPED);
        if effort_percent == 0 || !has_helped {
            self.rest();
            return (Phase::Idle, if has_helped { LOOK_EVERY } else { REST });
        }
        self.begin(effort_percent, SparsePages::find());
        (Phase::Moving(now.wasted()), POLL_EVERY)
    }
}
