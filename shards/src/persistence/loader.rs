//! Reading an RDB file, which may hold anything: into the shards, or only to see whether it is sound.
//!
//! One thread cuts the file into its keys ([`super::walk`]) and hands them to those that build, each in shards of its own
//! ([`super::builders`]). Keys of a file are independent of each other, and those of one shard stay in order, so that one that
//! is there twice is found. Which of several faults is told does not depend on who was quicker: it is the first one in the
//! file. Where the shards are held already, one thread does it all.

mod beside;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::builders::{self, Builders};
use super::insert::{self, Inserted, Place};
pub use super::report::{Fault, Progress, Report};
use super::walk::{Next, Record, Walk};
use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::handler::scripting::{self, RestorePolicy};
use crate::keyspace::shard::Shard;
use crate::rdb::{crc64, Limits, Loaded};
use crate::server::world::World;
use crate::threads;

pub use beside::exchange_for;

/// Keys that are put into the shards while they are held.
const KEYS_A_SLICE: usize = 512;
/// Keys that are handed over at a time. Few enough for their places in the file to stay in the second-level cache.
const KEYS_A_BATCH: usize = 256;
/// Bytes whose checksum is taken before the thread gives way.
const SUMMED_BYTES: usize = 1 << 20;
/// Keys for which room is made while a shard is held.
const EXPECTED_A_SLICE: usize = 20_000;
/// Smaller files are loaded by one thread: starting others would take longer.
const PARALLEL_BYTES_MIN: usize = 16 << 10;

/// Looks through a file without loading it.
pub fn check(bytes: &[u8], limits: Limits, now_ms: i64, progress: &Progress) -> (Report, Option<Fault>) {
    let mut walk = Walk::new(bytes, limits, now_ms, usize::from(u16::MAX) + 1);
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
    let mut fault = walk.header().err();
    while fault.is_none() {
        match walk.next() {
            Ok(Next::Key(mut record)) => {
                match walk.load(&mut record) {
                    Ok(value) => {
                        let has_expired = record.expires_ms.is_some_and(|at| at <= now_ms);
                        walk.report.expired += u64::from(has_expired);
                        walk.report.empty += u64::from(!has_expired && matches!(value, Loaded::Empty));
                    }
                    Err(found) => fault = Some(found),
                }
                progress.bytes.store(walk.offset() as u64, Ordering::Relaxed);
                progress.keys.store(walk.report.keys, Ordering::Relaxed);
            }
            Ok(Next::Size(..)) => {}
            Ok(Next::End) => break,
            Err(found) => fault = Some(found),
        }
    }
    (walk.report, fault)
}

/// Loads a file into empty shards. On a fault what was loaded before it stays, for the caller to end the process.
///
/// Keys that have expired are left out, unless a primary is to say so, or replicas are to be told: those of the history that
/// the file belongs to.
pub fn load_into(engine: &Engine, bytes: &[u8], keep_expired: bool, progress: &Progress) -> Result<Report, Fault> {
    let mut loading = Loading::begin(&engine.world, bytes)?;
    loading.0.keeps_expired_of_history = true;
    if keep_expired {
        loading.0.now_ms = 0;
    }
    load_all(engine, loading, progress)
}

/// The same for the base of an append-only file, with keys that have expired: what follows may have them live on.
pub fn load_base(engine: &Engine, bytes: &[u8], progress: &Progress) -> Result<Report, Fault> {
    let mut loading = Loading::begin(&engine.world, bytes)?;
    loading.0.now_ms = 0;
    load_all(engine, loading, progress)
}

/// The same into shards that are held already.
pub fn load_base_held(shards: &mut Shards<'_>, world: &World, bytes: &[u8]) -> Result<Report, Fault> {
    let mut loading = Loading::begin(world, bytes)?;
    loading.0.now_ms = 0;
    while !loading.some(shards)? {}
    loading.load_functions(world)?;
    Ok(loading.0.report)
}

fn load_all(engine: &Engine, mut loading: Loading<'_>, progress: &Progress) -> Result<Report, Fault> {
    loading.fill(engine, progress)?;
    loading.load_functions(&engine.world)?;
    Ok(loading.0.report)
}

/// Replaces all data by a file's, as a replica does with its primary's: what has expired is loaded as well, for the primary will
/// say when it goes. On a fault nothing is left.
pub fn replace_by(engine: &Engine, bytes: &[u8], progress: &Progress) -> Result<Report, Fault> {
    let mut loading = Loading::begin(&engine.world, bytes)?;
    loading.0.now_ms = 0;
    empty_all(engine);
    let loaded = loading.fill(engine, progress).and_then(|ended| match ended {
        true => loading.load_functions(&engine.world),
        false => Err(loading.0.fault("loading was broken off")),
    });
    loaded.inspect_err(|_| empty_all(engine))?;
    Ok(loading.0.report)
}

/// Removes all data before others come: in the background, if `replica-lazy-flush` says so.
pub fn empty_all(engine: &Engine) {
    let lazily = engine.world.settings.replica_lazy_flush.on();
    engine.with_shards(engine.all_shards(), |mut shards| empty(&mut shards, lazily));
}

/// Removes all data; `lazily`: it is freed in the background.
pub(super) fn empty(shards: &mut Shards<'_>, lazily: bool) {
    for shard in shards.iter_mut() {
        (0..shard.dbs_touched() as u16).for_each(|db| shard.flush(db, !lazily));
    }
}

/// Whether a file as a whole has the checksum that it ends with, or says that it has none.
pub fn has_right_checksum(bytes: &[u8]) -> bool {
    let Some((head, told)) = bytes.split_last_chunk::<8>() else { return false };
    let told = u64::from_le_bytes(*told);
    if told == 0 {
        return true;
    }
    let sum = head.chunks(SUMMED_BYTES).fold(0, |sum, chunk| {
        // Others that answer clients may wait for this processor.
        threads::give_way();
        crc64(sum, chunk)
    });
    told == sum
}

/// A file that is being loaded.
pub struct Loading<'a>(Walk<'a>);

impl<'a> Loading<'a> {
    /// Reads the header.
    pub fn begin(world: &World, bytes: &'a [u8]) -> Result<Loading<'a>, Fault> {
        let limits = Limits::from_settings(&world.settings);
        let mut walk = Walk::new(bytes, limits, world.now_milliseconds(), world.settings.databases.size());
        walk.header()?;
        Ok(Loading(walk))
    }

    /// Loads some more keys into shards that are held; true at the end.
    pub fn some(&mut self, shards: &mut Shards<'_>) -> Result<bool, Fault> {
        // Where each key takes its time, others get theirs in between.
        let is_slow = shards.first().world.settings.key_load_delay.get() != 0;
        let mut left = if is_slow { 1 } else { KEYS_A_SLICE };
        while left > 0 {
            let mut record = match self.0.next()? {
                Next::Key(record) => record,
                Next::Size(..) => continue,
                Next::End => return Ok(true),
            };
            let value = self.0.load(&mut record)?;
            let place = Place::of(&record, &shards.first().world.slots);
            match insert::insert(shards.of_slot(place.slot), &record, place, value)? {
                Inserted::Yes => {}
                Inserted::Expired => self.0.report.expired += 1,
                Inserted::Empty => self.0.report.empty += 1,
            }
            left -= 1;
        }
        Ok(false)
    }

    /// Loads everything into shards that nobody holds; false if it was broken off.
    fn fill(&mut self, engine: &Engine, progress: &Progress) -> Result<bool, Fault> {
        progress.total.store(self.0.bytes.len() as u64, Ordering::Relaxed);
        progress.bytes.store(0, Ordering::Relaxed);
        progress.keys.store(0, Ordering::Relaxed);
        // Keys that take their time do so one after the other, as in other servers: tests count on it.
        let is_slow = engine.world.settings.key_load_delay.get() != 0;
        let ended = match !is_slow && self.0.bytes.len() >= PARALLEL_BYTES_MIN && builders::are_worth_it() {
            true => self.fill_in_parallel(engine, progress),
            false => self.fill_alone(engine, progress),
        }?;
        if ended {
            progress.bytes.store(self.0.report.end, Ordering::Relaxed);
        }
        Ok(ended)
    }

    fn fill_alone(&mut self, engine: &Engine, progress: &Progress) -> Result<bool, Fault> {
        let mut ended = false;
        while !ended {
            if progress.is_broken_off(engine.is_stopping()) {
                return Ok(false);
            }
            // Values are built while the shards are held, so that their memory counts as theirs.
            ended = engine.with_shards(engine.all_shards(), |mut shards| self.some(&mut shards))?;
            progress.bytes.store(self.0.offset() as u64, Ordering::Relaxed);
            progress.keys.store(self.0.report.loaded_keys(), Ordering::Relaxed);
            progress.used_memory.store(self.used_memory(), Ordering::Relaxed);
        }
        Ok(true)
    }

    fn fill_in_parallel(&mut self, engine: &Engine, progress: &Progress) -> Result<bool, Fault> {
        let build = Build {
            engine,
            progress,
            bytes: self.0.bytes,
            limits: self.0.limits,
            expired: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            first_fault: Mutex::new(None),
            sound_until: AtomicUsize::new(usize::MAX),
            has_left_some: AtomicBool::new(false),
        };
        let shards = engine.world.slots.shards();
        let cut = builders::run(shards, |shard, task| build.run(shard, task), |builders| self.cut(&build, builders));
        self.0.report.expired += build.expired.load(Ordering::Relaxed);
        self.0.report.empty += build.empty.load(Ordering::Relaxed);
        // Whoever cuts is ahead of those who build: what they have found is further to the front.
        match build.first_fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault),
            None => cut.map(|ended| ended && !build.has_left_some.load(Ordering::Relaxed)),
        }
    }

    /// Cuts the file into its keys and hands them over; false if that was broken off.
    fn cut(&mut self, build: &Build<'_, 'a>, builders: &Builders<Task<'a>>) -> Result<bool, Fault> {
        let map = build.engine.world.slots;
        let mut batches: Vec<Vec<(Record<'a>, Place)>> = (0..map.shards()).map(|_| Vec::new()).collect();
        let result = loop {
            let mut record = match self.0.next() {
                Ok(Next::Key(record)) => record,
                Ok(Next::Size(db, keys)) => {
                    let of_shard = keys / map.shards();
                    for shard in 0..map.shards() {
                        builders.send(shard, Task::Expect(db, of_shard));
                    }
                    continue;
                }
                Ok(Next::End) => break Ok(true),
                Err(fault) => break Err(fault),
            };
            if let Err(fault) = self.0.pass(&mut record) {
                break Err(fault);
            }
            let place = Place::of(&record, &map);
            let shard = map.shard_of(place.slot);
            if self.0.report.keys == 1 {
                build.progress.used_memory.store(self.used_memory(), Ordering::Relaxed);
            }
            let batch = &mut batches[shard];
            batch.push((record, place));
            if batch.len() < KEYS_A_BATCH {
                continue;
            }
            let batch = std::mem::replace(batch, Vec::with_capacity(KEYS_A_BATCH));
            self.0.sum_up();
            if !builders.send(shard, Task::Build(batch)) || build.is_over() {
                break Ok(false);
            }
        };
        // Also after a fault: what comes before it may have one that is to be told instead.
        for (shard, batch) in batches.into_iter().enumerate() {
            builders.send(shard, Task::Build(batch));
        }
        result
    }

    /// Loads the libraries of functions, when no shard is held: those of the file and no others are there then.
    pub fn load_functions(&self, world: &World) -> Result<(), Fault> {
        let Some(scripting) = scripting::of(world) else { return Ok(()) };
        let sources: Vec<_> = self.0.report.functions.iter().map(|source| Cow::Borrowed(source.as_slice())).collect();
        if sources.is_empty() && scripting.libraries().is_empty() {
            return Ok(());
        }
        let restored = scripting.restore_libraries(&sources, RestorePolicy::Flush);
        restored.map_err(|error| self.0.fault(format!("a library of functions cannot be loaded: {}", error.0)))
    }

    fn used_memory(&self) -> u64 {
        let told = self.0.report.aux.iter().find(|(name, _)| name == "used-mem");
        told.and_then(|(_, text)| text.parse().ok()).unwrap_or(0)
    }
}

/// What a builder is told.
enum Task<'a> {
    /// So many keys of a database will come.
    Expect(u16, usize),
    Build(Vec<(Record<'a>, Place)>),
}

/// What those who build share.
struct Build<'e, 'a> {
    engine: &'e Engine,
    progress: &'e Progress,
    bytes: &'a [u8],
    limits: Limits,
    expired: AtomicU64,
    empty: AtomicU64,
    first_fault: Mutex<Option<Fault>>,
    /// Where the key begins that has it. What is behind that need not be built, but what is before it may be worse.
    sound_until: AtomicUsize,
    /// Something was not built because loading was broken off.
    has_left_some: AtomicBool,
}

impl<'a> Build<'_, 'a> {
    /// Whether nothing more is to be read.
    fn is_over(&self) -> bool {
        self.sound_until.load(Ordering::Relaxed) != usize::MAX || self.is_broken_off()
    }

    fn is_broken_off(&self) -> bool {
        self.progress.is_broken_off(self.engine.is_stopping())
    }

    /// Does what a builder is told; false if nothing more need be done.
    fn run(&self, shard: usize, task: Task<'a>) -> bool {
        match task {
            Task::Expect(db, keys) => self.expect(shard, db, keys),
            Task::Build(batch) => self.build(shard, &batch),
        }
    }

    fn expect(&self, shard: usize, db: u16, keys: usize) -> bool {
        let mut made = 0;
        while made < keys && !self.is_broken_off() {
            made = keys.min(made + EXPECTED_A_SLICE);
            self.engine.with_shards(1 << shard, |mut shards| shards.first().expect_keys(db, made));
            threads::give_way();
        }
        true
    }

    fn build(&self, shard: usize, batch: &[(Record<'a>, Place)]) -> bool {
        let mut left = batch;
        while !left.is_empty() {
            if self.is_broken_off() {
                self.has_left_some.store(true, Ordering::Relaxed);
                return false;
            }
            // Where each key takes its time, others get theirs in between.
            let is_slow = self.engine.world.settings.key_load_delay.get() != 0;
            let (some, rest) = left.split_at(if is_slow { 1 } else { left.len() });
            // Values are built while the shard is held, so that their memory counts as its.
            let built = self.engine.with_shards(1 << shard, |mut shards| self.build_some(shards.first(), some));
            if let Err((begin, fault)) = built {
                self.note_fault(begin, fault);
                return true;
            }
            left = rest;
        }
        true
    }

    fn note_fault(&self, begin: usize, fault: Fault) {
        let mut first = self.first_fault.lock().unwrap_or_else(PoisonError::into_inner);
        if begin < self.sound_until.load(Ordering::Relaxed) {
            *first = Some(fault);
            self.sound_until.store(begin, Ordering::Relaxed);
        }
    }

    fn build_some(&self, shard: &mut Shard, batch: &[(Record<'a>, Place)]) -> Result<(), (usize, Fault)> {
        let (mut expired, mut empty, mut bytes) = (0, 0, 0);
        for (at, (record, place)) in batch.iter().enumerate() {
            if record.begin > self.sound_until.load(Ordering::Relaxed) {
                break;
            }
            insert::prefetch(shard, batch, at);
            let inserted = record
                .value(self.bytes, &self.limits)
                .and_then(|value| insert::insert(shard, record, *place, value))
                .map_err(|fault| (record.begin, fault))?;
            expired += u64::from(inserted == Inserted::Expired);
            empty += u64::from(inserted == Inserted::Empty);
            bytes += (record.end - record.begin) as u64;
        }
        shard.publish_sizes();
        self.expired.fetch_add(expired, Ordering::Relaxed);
        self.empty.fetch_add(empty, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.keys.fetch_add(batch.len() as u64 - expired - empty, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "parallel_tests.rs"]
mod parallel_tests;
