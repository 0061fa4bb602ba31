//! What all shards of one server share: settings, the slot map, and the logs that commands leave behind.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sherd_metrics::clock;

use crate::journal::append_files::AppendFiles;
use crate::journal::Journal;
use crate::server::clocks::Clocks;
use crate::server::command_log::CommandLogs;
use crate::server::defragmentation::Defragmentation;
use crate::server::emptied::Emptied;
use crate::server::lazyfree::Reaper;
use crate::server::pause::{Condition, Pause};
use crate::server::pressure::Pressure;
use crate::server::settings::{Settings, SyncPolicy};
use crate::server::tracking::Tracking;
use crate::slot::SlotMap;

/// One sample of the latency monitor.
#[derive(Clone, Copy, Debug)]
pub struct LatencySample {
    pub unix_time_seconds: i64,
    pub milliseconds: u64,
}

/// A server's logs of commands, error counts and latency events; touched on slow paths only, hence plain mutexes.
#[derive(Default)]
pub struct Logs {
    /// The slow log and its like.
    pub commands: CommandLogs,
    errors: Mutex<BTreeMap<String, u64>>,
    latency: Mutex<BTreeMap<&'static str, (u64, VecDeque<LatencySample>)>>,
}

/// Error codes that are counted apart; more than these share one row, as a client can invent codes in scripts.
const ERROR_CODES_MAX: usize = 128;
/// Samples kept an event, as in Redis.
const LATENCY_SAMPLES_MAX: usize = 160;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a log was held leaves at worst a half-told log; the logs go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Logs {
    /// Counts an error reply by its code.
    pub fn count_error(&self, reply: &[u8]) {
        let code = reply.strip_prefix(b"-").unwrap_or(reply);
        let end = code.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(code.len()).min(32);
        let code = String::from_utf8_lossy(&code[..end]);
        let mut errors = lock(&self.errors);
        if let Some(count) = errors.get_mut(code.as_ref()) {
            *count += 1;
        } else {
            let code = if errors.len() < ERROR_CODES_MAX { code.into_owned() } else { "OTHER".to_owned() };
            *errors.entry(code).or_default() += 1;
        }
    }

    /// Error replies by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        lock(&self.errors).clone()
    }

    /// Forgets the error counts.
    pub fn reset_errors(&self) {
        lock(&self.errors).clear();
    }

    /// Adds a sample to a latency event.
    pub fn log_latency(&self, event: &'static str, milliseconds: u64) {
        let mut latency = lock(&self.latency);
        let (max, samples) = latency.entry(event).or_default();
        let now = clock::unix_milliseconds() / 1000;
        *max = (*max).max(milliseconds);
        // Within one second only the worst is kept, as in Redis.
        match samples.back_mut() {
            Some(last) if last.unix_time_seconds == now => last.milliseconds = last.milliseconds.max(milliseconds),
            _ => samples.push_back(LatencySample { unix_time_seconds: now, milliseconds }),
        }
        if samples.len() > LATENCY_SAMPLES_MAX {
            samples.pop_front();
        }
    }

    /// All latency events with their all-time maximum and samples, oldest first.
    pub fn latency(&self) -> Vec<(&'static str, u64, Vec<LatencySample>)> {
        lock(&self.latency)
            .iter()
            .map(|(name, (max, samples))| (*name, *max, samples.iter().copied().collect()))
            .collect()
    }

    /// Forgets the named events (all, if none is named) and says how many there were.
    pub fn reset_latency(&self, events: &[&str]) -> usize {
        let mut latency = lock(&self.latency);
        let before = latency.len();
        latency.retain(|name, _| !events.is_empty() && !events.iter().any(|event| event.eq_ignore_ascii_case(name)));
        before - latency.len()
    }
}

/// See the [module](self).
pub struct World {
    pub settings: Settings,
    pub slots: SlotMap,
    pub logs: Logs,
    /// Where big values are freed.
    pub reaper: Reaper,
    /// Memory that is wasted, and what is done about it.
    pub defragmentation: Defragmentation,
    /// Memory over its limit, and who is to do something about it.
    pub pressure: Pressure,
    /// Keys of each shard, for RANDOMKEY and INFO without batons.
    pub shard_keys: Vec<AtomicUsize>,
    pub clocks: Clocks,
    /// The place in the queues of the client that begins to wait next; see [`crate::effects::waiter`].
    wait_places: AtomicU64,
    /// Waiting clients whose commands are to be run with several shards, for which somebody is under way.
    pub runs_due: AtomicUsize,
    /// Keys that clients have watched and watch no more, ever; shards look when to clear their registers.
    pub watches_ended: Arc<AtomicU64>,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// What writes have done, for whoever listens.
    pub journal: Journal,
    /// The files in which they are appended.
    pub append_files: AppendFiles,
    /// Who loads them again: a [`crate::handler::load_appended::LoadAppended`].
    pub(crate) load_appended: OnceLock<Box<dyn Any + Send + Sync>>,
    /// That FLUSHALL was executed.
    pub emptied: Emptied,
    /// Client-side caching.
    pub tracking: Tracking,
    /// Who runs scripts: a [`crate::handler::scripting::Scripting`], which nothing down here knows.
    pub(crate) scripting: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl World {
    /// A world for one server; fails where there can be no background thread.
    pub fn new(slots: SlotMap, settings: Settings) -> io::Result<Arc<World>> {
        let world = Arc::new(World {
            settings,
            slots,
            logs: Logs::default(),
            reaper: Reaper::start()?,
            defragmentation: Defragmentation::default(),
            pressure: Pressure::new(slots.shards()),
            shard_keys: (0..slots.shards()).map(|_| AtomicUsize::new(0)).collect(),
            clocks: Clocks::default(),
            wait_places: AtomicU64::new(0),
            runs_due: AtomicUsize::new(0),
            watches_ended: Arc::default(),
            pause: Pause::default(),
            journal: Journal::default(),
            append_files: AppendFiles::default(),
            load_appended: OnceLock::new(),
            emptied: Emptied::default(),
            tracking: Tracking::default(),
            scripting: OnceLock::new(),
        });
        let gate = Arc::downgrade(&world);
        world.journal.set_writers_gate(Box::new(move |behind| {
            if let Some(world) = gate.upgrade() {
                world.pause.set_behind(behind);
            }
        }));
        Ok(world)
    }

    /// The place of a client that begins to wait. Relaxed: taken while the shards of its keys are held, which orders it there.
    pub fn next_wait_place(&self) -> u64 {
        self.wait_places.fetch_add(1, Ordering::Relaxed)
    }

    /// Milliseconds since the Unix epoch: for what has a date. What lasts for some time is measured with the other clock.
    #[inline]
    pub fn now_milliseconds(&self) -> i64 {
        self.clocks.wall_ms()
    }

    /// Milliseconds on the monotonic clock: for deadlines, idle times and everything else that lasts.
    #[inline]
    pub fn monotonic_milliseconds(&self) -> i64 {
        self.clocks.monotonic_ms()
    }

    /// Whether a shard remembers more keys for client-side caching than it may: so many.
    #[inline]
    pub fn remembers_too_much(&self, tracked_keys: u64) -> bool {
        let keys_max = self.settings.tracking_table_max_keys.size();
        self.tracking.is_too_much(keys_max, self.slots.shards(), tracked_keys as usize)
    }

    /// Has the background thread look at memory that is wasted when it is time to; called by one shard's thread every so often.
    #[inline]
    pub fn look_at_fragmentation(self: &Arc<World>) {
        if self.defragmentation.begins_to_look(&self.settings) {
            self.send_to_look();
        }
    }

    #[cold]
    fn send_to_look(self: &Arc<World>) {
        let of = Arc::downgrade(self);
        let work = Box::new(move || {
            if let Some(world) = of.upgrade() {
                world.defragmentation.step(&world.settings, world.slots.shards());
            }
        });
        if !self.reaper.run(work) {
            self.defragmentation.looks_later();
        }
    }

    /// Whether what has expired stays where it is for now, as clients are paused, or a primary, whoever imports data, or the rest of
    /// what is being loaded says when it goes.
    #[inline]
    pub fn keeps_expired(&self) -> bool {
        self.settings.import_mode.on()
            || self.pause.may_be_on()
                && (self.pause.is(Condition::Follows) || self.pause.is(Condition::Loading) || self.is_paused())
    }

    /// Whether a replica looks after those keys that its own clients have given an expiry.
    #[inline]
    pub fn expires_own(&self) -> bool {
        self.follows() && !self.settings.import_mode.on() && !self.pause.is(Condition::Loading) && !self.is_paused()
    }

    /// Whether the server follows a primary.
    #[inline]
    pub fn follows(&self) -> bool {
        self.pause.is(Condition::Follows)
    }

    /// Whether nothing is evicted for now, as clients are paused, or a primary looks after that.
    pub fn keeps_all(&self) -> bool {
        self.leaves_eviction() || self.pause.may_be_on() && self.is_paused()
    }

    /// Whether a primary says what is evicted, or the data are not all there yet.
    #[inline]
    pub fn leaves_eviction(&self) -> bool {
        self.pause.is(Condition::Follows) && self.settings.replica_ignore_maxmemory.on()
            || self.pause.is(Condition::Loading)
    }

    /// Whether replies to writes wait until these are durable: as the setting is now, for its change counts from its answer on.
    #[inline]
    pub fn holds_replies(&self) -> bool {
        self.journal.has_file() && self.settings.sync_policy() == SyncPolicy::Always
    }

    fn is_paused(&self) -> bool {
        self.pause.get(self.monotonic_milliseconds()).is_some()
    }

    /// Stops the clocks, so that a test does not depend on how long it takes.
    pub fn stop_clock(&self) {
        self.clocks.stop();
    }

    /// Lets time pass on both clocks.
    pub fn advance_clock(&self, milliseconds: i64) {
        self.clocks.advance(milliseconds);
    }
}
