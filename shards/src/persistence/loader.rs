//! Reading an RDB file, which may hold anything: into the shards, or only to see whether it is sound.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use crate::entry::policy;
use crate::entry::{Entry, NewValue};
use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::handler::scripting::{self, RestorePolicy};
use crate::keyspace::db::Key;
use crate::rdb::format::{opcode, HEADER_BYTES, MAGIC_REDIS, MAGIC_VALKEY, VERSION_REDIS_8, VERSION_VALKEY_9};
use crate::rdb::{self, crc64, load, Corrupt, Limits, Loaded, Reader};
use crate::server::world::World;

/// Keys that are put into the shards while they are held.
const KEYS_A_SLICE: usize = 512;
/// Since this version a file ends with a checksum.
const CHECKSUM_SINCE: u16 = 5;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: u64,
    /// The key that was being read.
    pub key: Option<Vec<u8>>,
    pub what: String,
}

/// What a file told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub version: u16,
    pub is_valkey: bool,
    pub aux: Vec<(String, String)>,
    /// Sources of libraries of functions.
    pub functions: Vec<Vec<u8>>,
    pub keys: u64,
    /// Keys with an expiry.
    pub volatile: u64,
    /// Keys that had expired, which were not loaded.
    pub expired: u64,
    /// The checksum is there and right; a file may have been written without one.
    pub has_checksum: bool,
    pub databases: usize,
    /// Where it ends: what follows is no part of the snapshot.
    pub end: u64,
}

/// How far a file was read, for those who watch.
#[derive(Default)]
pub struct Progress {
    pub bytes: AtomicU64,
    pub total: AtomicU64,
    pub keys: AtomicU64,
    /// Memory that the data took where the snapshot was taken, as far as it says so.
    pub used_memory: AtomicU64,
    /// Whoever wanted the file does so no longer.
    pub is_unwanted: AtomicBool,
}

/// One key of a file.
struct Record<'a> {
    db: u16,
    key: Cow<'a, [u8]>,
    value: Loaded<'a>,
    expires_ms: Option<i64>,
    /// Seconds without use, or a counter of uses.
    idle: Option<u64>,
    frequency: Option<u8>,
}

/// A walk over a file.
struct Walk<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    limits: Limits,
    now_ms: i64,
    /// Whether what has expired is kept if the file says to which history of replication it belongs.
    keeps_expired_of_history: bool,
    db: u16,
    databases_max: usize,
    report: Report,
    key: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], limits: Limits, now_ms: i64, databases_max: usize) -> Walk<'a> {
        let reader = Reader::new(bytes);
        let report = Report::default();
        Walk { bytes, reader, limits, now_ms, keeps_expired_of_history: false, db: 0, databases_max, report, key: None }
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        let offset = (self.bytes.len() - self.reader.left()) as u64;
        Fault { offset, key: self.key.clone(), what: what.into() }
    }

    /// An error of the bytes: they end too early, or are no such thing.
    fn corrupt(&self, what: &str) -> Fault {
        if self.reader.left() == 0 {
            return self.fault(format!("the file ends in the middle of {what}"));
        }
        self.fault(format!("{what} is not what it claims to be"))
    }

    fn or_fault<T>(&self, result: Result<T, Corrupt>, what: &str) -> Result<T, Fault> {
        result.map_err(|Corrupt| self.corrupt(what))
    }

    fn header(&mut self) -> Result<(), Fault> {
        let header = self.reader.array::<HEADER_BYTES>();
        let header = header.map_err(|Corrupt| self.fault("the file is shorter than its header"))?;
        let (is_valkey, digits) = match (header.strip_prefix(MAGIC_REDIS), header.strip_prefix(MAGIC_VALKEY)) {
            (Some(digits), _) => (false, digits),
            (_, Some(digits)) => (true, digits),
            _ => return Err(self.fault("it begins like no RDB file")),
        };
        let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let version: u16 = version.ok_or_else(|| self.fault("its version is no number"))?;
        let is_known = match is_valkey {
            true => version == VERSION_VALKEY_9,
            false => (1..=VERSION_REDIS_8).contains(&version),
        };
        if !is_known {
            return Err(self.fault(format!("its RDB version {version} is not known")));
        }
        (self.report.version, self.report.is_valkey) = (version, is_valkey);
        Ok(())
    }

    fn text(&mut self, what: &str) -> Result<Cow<'a, [u8]>, Fault> {
        let text = self.reader.string();
        self.or_fault(text, what)
    }

    fn number(&mut self, what: &str) -> Result<u64, Fault> {
        let number = self.reader.number();
        self.or_fault(number, what)
    }

    /// The next key; `None` at the file's end, which is checked.
    fn next(&mut self) -> Result<Option<Record<'a>>, Fault> {
        let (mut expires_ms, mut idle, mut frequency) = (None, None, None);
        loop {
            let code = self.reader.byte();
            match self.or_fault(code, "an opcode")? {
                opcode::AUX => {
                    let (name, text) = (self.text("an auxiliary field")?, self.text("an auxiliary field")?);
                    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    if self.keeps_expired_of_history && *name == *b"repl-id" {
                        self.now_ms = 0;
                    }
                    self.report.aux.push((shown(&name), shown(&text)));
                }
                opcode::SELECT_DB => self.select()?,
                opcode::RESIZE_DB => {
                    self.number("a database's size")?;
                    self.number("a database's size")?;
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        self.number("a slot's size")?;
                    }
                }
                opcode::FUNCTION => {
                    let source = self.text("a library of functions")?.into_owned();
                    self.report.functions.push(source);
                }
                opcode::EXPIRES_MS => {
                    let at = self.reader.milliseconds();
                    expires_ms = Some(self.or_fault(at, "an expiry")?);
                }
                opcode::EXPIRES_SECONDS => {
                    let at = self.reader.array::<4>().map(i32::from_le_bytes);
                    expires_ms = Some(i64::from(self.or_fault(at, "an expiry")?) * 1000);
                }
                opcode::IDLE => idle = Some(self.number("an idle time")?),
                opcode::FREQUENCY => {
                    let count = self.reader.byte();
                    frequency = Some(self.or_fault(count, "a frequency")?);
                }
                opcode::END => {
                    self.end()?;
                    return Ok(None);
                }
                opcode::MODULE_AUX | opcode::FUNCTION_BEFORE_RELEASE => {
                    return Err(self.fault("it holds what only a module or a release candidate can read"))
                }
                kind => {
                    let key = self.text("a key")?;
                    self.key = Some(key.to_vec());
                    let value = load(&mut self.reader, kind, &self.limits, self.now_ms);
                    let value = self.or_fault(value, &format!("a value of type {kind}"))?;
                    self.report.keys += 1;
                    self.report.volatile += u64::from(expires_ms.is_some());
                    let db = self.db;
                    return Ok(Some(Record { db, key, value, expires_ms, idle, frequency }));
                }
            }
        }
    }

    fn select(&mut self) -> Result<(), Fault> {
        let number = self.number("a database's number")?;
        if number >= self.databases_max as u64 {
            let what = format!("it has a database {number}, and there are only {}", self.databases_max);
            return Err(self.fault(what));
        }
        self.db = number as u16;
        self.report.databases = self.report.databases.max(number as usize + 1);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.key = None;
        if self.report.version >= CHECKSUM_SINCE {
            let until = self.bytes.len() - self.reader.left();
            let told = self.reader.array::<8>().map(u64::from_le_bytes);
            let told = self.or_fault(told, "the checksum")?;
            if told != 0 && told != crc64(0, &self.bytes[..until]) {
                return Err(self.fault("its checksum is wrong"));
            }
            self.report.has_checksum = told != 0;
        }
        self.report.end = (self.bytes.len() - self.reader.left()) as u64;
        Ok(())
    }
}

/// Looks through a file without loading it.
pub fn check(bytes: &[u8], limits: Limits, now_ms: i64, progress: &Progress) -> (Report, Option<Fault>) {
    let mut walk = Walk::new(bytes, limits, now_ms, usize::from(u16::MAX) + 1);
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
    let mut fault = walk.header().err();
    while fault.is_none() {
        match walk.next() {
            Ok(Some(record)) => {
                walk.report.expired += u64::from(record.expires_ms.is_some_and(|at| at <= now_ms));
                progress.bytes.store((bytes.len() - walk.reader.left()) as u64, Ordering::Relaxed);
                progress.keys.store(walk.report.keys, Ordering::Relaxed);
            }
            Ok(None) => break,
            Err(found) => fault = Some(found),
        }
    }
    (walk.report, fault)
}

/// Opens a file for reading as bytes; an empty one has none.
pub fn open(path: &Path) -> std::io::Result<Option<memmap2::Mmap>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the file is the server's own and is replaced by renaming, never written in place. Who truncates it meanwhile ends
    // the process by a signal, as who takes away a disk does.
    unsafe { memmap2::Mmap::map(&file) }.map(Some)
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
    progress.total.store(loading.0.bytes.len() as u64, Ordering::Relaxed);
    let mut ended = false;
    while !ended && !engine.is_stopping() && !progress.is_unwanted.load(Ordering::Relaxed) {
        // Values are built while the shards are held, so that their memory counts as theirs.
        ended = engine.with_shards(engine.all_shards(), |mut shards| loading.some(&mut shards))?;
        progress.bytes.store(loading.offset(), Ordering::Relaxed);
        progress.keys.store(loading.0.report.keys - loading.0.report.expired, Ordering::Relaxed);
        progress.used_memory.store(loading.used_memory(), Ordering::Relaxed);
    }
    loading.load_functions(&engine.world)?;
    Ok(loading.0.report)
}

/// Replaces all data by a file's, as a replica does with its primary's: what has expired is loaded as well, for the primary will
/// say when it goes. On a fault nothing is left.
pub fn replace_by(engine: &Engine, bytes: &[u8], progress: &Progress) -> Result<Report, Fault> {
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
    progress.bytes.store(0, Ordering::Relaxed);
    let all = engine.all_shards();
    let lazily = engine.world.settings.replica_lazy_flush.on();
    let mut loading = Loading::begin(&engine.world, bytes)?;
    loading.0.now_ms = 0;
    engine.with_shards(all, |mut shards| empty(&mut shards, lazily));
    let mut ended = false;
    while !ended {
        if engine.is_stopping() || progress.is_unwanted.load(Ordering::Relaxed) {
            engine.with_shards(all, |mut shards| empty(&mut shards, lazily));
            return Err(loading.0.fault("loading was broken off"));
        }
        let some =
            engine.with_shards(all, |mut shards| loading.some(&mut shards).inspect_err(|_| empty(&mut shards, lazily)));
        ended = some?;
        progress.bytes.store(loading.offset(), Ordering::Relaxed);
        progress.keys.store(loading.0.report.keys, Ordering::Relaxed);
        progress.used_memory.store(loading.used_memory(), Ordering::Relaxed);
    }
    loading
        .load_functions(&engine.world)
        .inspect_err(|_| engine.with_shards(all, |mut shards| empty(&mut shards, lazily)))?;
    Ok(loading.0.report)
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
    told == 0 || told == crc64(0, head)
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
        for _ in 0..if is_slow { 1 } else { KEYS_A_SLICE } {
            let Some(record) = self.0.next()? else { return Ok(true) };
            insert(shards, &mut self.0, record)?;
        }
        Ok(false)
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

    fn offset(&self) -> u64 {
        (self.0.bytes.len() - self.0.reader.left()) as u64
    }

    fn used_memory(&self) -> u64 {
        let told = self.0.report.aux.iter().find(|(name, _)| name == "used-mem");
        told.and_then(|(_, text)| text.parse().ok()).unwrap_or(0)
    }
}

fn insert(shards: &mut Shards<'_>, walk: &mut Walk<'_>, record: Record<'_>) -> Result<(), Fault> {
    if record.expires_ms.is_some_and(|at| at <= walk.now_ms) {
        walk.report.expired += 1;
        return Ok(());
    }
    let world = Arc::clone(&shards.first().world);
    rdb::delay(world.settings.key_load_delay.get());
    let key = Key::new(&record.key, &world.slots);
    let shard = shards.of_slot(key.slot);
    let policy = world.settings.maxmemory_policy.get();
    let clock = match (record.frequency, record.idle) {
        (Some(frequency), _) if policy::is_lfu(policy) => shard.clock & !0xFF | u32::from(frequency),
        (_, Some(seconds)) if !policy::is_lfu(policy) => {
            shard.clock.wrapping_sub(seconds.min(0x007F_FFFF) as u32) & 0x00FF_FFFF
        }
        _ => policy::initial(policy, shard.clock),
    };
    let value = match &record.value {
        Loaded::Text(bytes) => NewValue::Text(bytes),
        Loaded::Object(_) => {
            let Loaded::Object(object) = record.value else { unreachable!("it was looked at just now") };
            NewValue::Object(object)
        }
        Loaded::Expired => {
            walk.report.expired += 1;
            return Ok(());
        }
    };
    if shard.db(record.db).is_some_and(|database| database.find(&key).is_some()) {
        return Err(walk.fault("a key is there twice"));
    }
    let entry = Entry::new(&record.key, value, record.expires_ms, clock);
    shard.load(record.db, &key, Some(entry));
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
