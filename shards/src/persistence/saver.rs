//! Writing a snapshot's file: the cut, the bytes of all shards, and the name that the file gets when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::handler::scripting;
use crate::journal::resp;
use crate::keyspace::saving::{Cut, Form, Sink};
use crate::rdb::format::{opcode, MAGIC_REDIS, VERSION, VERSION_REDIS_8};
use crate::rdb::{crc64, functions, Writer};
use crate::server::world::World;

/// Bytes after which what was written is told to the disk, so that the last sync has little left to do.
const SYNC_BYTES: u64 = 4 << 20;
/// How long the thread waits for bytes before it looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be written, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file that the snapshot shall be.
    pub path: PathBuf,
    pub compress: bool,
    /// Whether it ends with a checksum; a zero stands for none.
    pub checksum: bool,
    /// Sync bit by bit while it is written.
    pub sync_in_passing: bool,
    /// Names and texts that stand at its beginning.
    pub aux: Vec<(String, String)>,
    /// As the commands that make the data, which no snapshot is: the base of an append-only file.
    pub as_commands: bool,
}

impl Plan {
    fn form(&self) -> Form {
        Form { compress: self.compress, as_commands: self.as_commands }
    }
}

/// What a snapshot in the making tells of itself.
#[derive(Default)]
pub struct Progress {
    pub keys_total: AtomicU64,
    pub bytes: AtomicU64,
    pub sink: Arc<Sink>,
}

/// A file of which every byte that was written counts for the checksum.
struct Out {
    file: File,
    checksum: Option<u64>,
    written: u64,
    synced: u64,
    sync_in_passing: bool,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, bytes);
        }
        self.written += bytes.len() as u64;
        if self.sync_in_passing && self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }
}

/// A snapshot that is being taken.
pub struct Job {
    plan: Plan,
    temporary: PathBuf,
    out: Out,
    /// What the head of the file tells of the cut.
    cut: Cut,
    functions: Vec<Vec<u8>>,
    pub progress: Arc<Progress>,
    /// Changes since the last save at the cut: those that are saved if it succeeds.
    pub changes: u64,
}

impl Job {
    /// Opens a temporary file.
    pub fn prepare(plan: Plan) -> io::Result<Prepared> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder_of(&plan.path).join(format!("temp-{}-{number}.rdb", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        let checksum = plan.checksum.then_some(0);
        let out = Out { file, checksum, written: 0, synced: 0, sync_in_passing: plan.sync_in_passing };
        Ok(Prepared { plan, temporary, out })
    }

    /// The same, and takes the cut at once; see [`Prepared::begin`].
    pub fn begin(engine: &Engine, shards: &mut Shards<'_>, plan: Plan) -> io::Result<Job> {
        Ok(Job::prepare(plan)?.begin(engine, shards))
    }
}

/// A snapshot whose file is open.
pub struct Prepared {
    plan: Plan,
    temporary: PathBuf,
    out: Out,
}

impl Prepared {
    /// Takes the cut, for which all shards are held. [`Job::finish`] follows, whatever happens.
    pub fn begin(self, engine: &Engine, shards: &mut Shards<'_>) -> Job {
        let Prepared { plan, temporary, out } = self;
        let sink = Sink::new(engine.world.slots.shards());
        let cut = engine.begin_saving(shards, plan.form(), &sink);
        let progress = Progress { sink, ..Progress::default() };
        progress.keys_total.store(cut.keys.iter().map(|(keys, _)| *keys as u64).sum(), Ordering::Relaxed);
        let functions = functions_of(&engine.world);
        let changes = cut.changes;
        Job { plan, temporary, out, cut, functions, progress: Arc::new(progress), changes }
    }
}

impl Job {
    /// Adds names and texts that were found out only after the cut.
    pub fn add_aux(&mut self, aux: impl IntoIterator<Item = (String, String)>) {
        self.plan.aux.extend(aux);
    }

    /// Writes the file. Whatever fails, the one that was there before stays.
    pub fn finish(mut self, engine: &Engine) -> io::Result<()> {
        engine.wake_threads();
        let result = self.write(engine).and_then(|()| {
            fs::rename(&self.temporary, &self.plan.path)?;
            // The new name is on disk only with its folder.
            File::open(folder_of(&self.plan.path))?.sync_all()
        });
        if result.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        result
    }

    fn write(&mut self, engine: &Engine) -> io::Result<()> {
        let functions = std::mem::take(&mut self.functions);
        let head = match self.plan.as_commands {
            true => functions_as_commands(&functions),
            false => head(&self.plan, &self.cut, &functions),
        };
        let (out, sink) = (&mut self.out, &self.progress.sink);
        let result = out.write(&head).and_then(|()| drain(engine, &self.progress, out));
        if result.is_err() {
            sink.cancel();
            engine.wake_threads();
        }
        // The next snapshot may begin when all entries have the same mark again.
        while !engine.is_stopping() && sink.receive(LOOK_EVERY).is_some() {}
        result?;
        if !self.plan.as_commands {
            out.write(&[opcode::END])?;
            let checksum = out.checksum.unwrap_or(0).to_le_bytes();
            out.file.write_all(&checksum)?;
        }
        out.file.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn drain(engine: &Engine, progress: &Progress, out: &mut Out) -> io::Result<()> {
    let sink = &progress.sink;
    let stopped = |why: &str| Err(io::Error::new(io::ErrorKind::Interrupted, why));
    while let Some(chunk) = sink.receive(LOOK_EVERY) {
        if engine.is_stopping() {
            return stopped("the server stops");
        }
        out.write(&chunk)?;
        progress.bytes.store(out.written, Ordering::Relaxed);
        // Also when nothing came: a shard may have waited for another one.
        if !sink.is_full() {
            engine.wake_threads();
        }
        if sink.is_cancelled() {
            break;
        }
    }
    // Also when all shards have come to their end meanwhile, with nothing to send.
    if sink.is_cancelled() {
        return stopped("it was cancelled");
    }
    Ok(())
}

/// The sources of all libraries of functions. They change only while all shards are held, as they are at the cut.
fn functions_of(world: &World) -> Vec<Vec<u8>> {
    let libraries = scripting::of(world).map(|scripting| scripting.libraries());
    libraries.unwrap_or_default().into_iter().map(|library| library.source).collect()
}

fn functions_as_commands(functions: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    functions.iter().for_each(|source| resp::append(&mut bytes, &[b"FUNCTION", b"LOAD", source]));
    bytes
}

fn head(plan: &Plan, cut: &Cut, functions: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::compressing(plan.compress);
    let version = if cut.has_timed { VERSION_REDIS_8 } else { VERSION };
    writer.raw(MAGIC_REDIS);
    writer.raw(format!("{version:04}").as_bytes());
    for (name, text) in &plan.aux {
        writer.byte(opcode::AUX);
        writer.string(name.as_bytes());
        writer.string(text.as_bytes());
    }
    functions.iter().for_each(|source| functions::write(&mut writer, source));
    for (number, (keys, volatile)) in cut.keys.iter().enumerate().filter(|(_, (keys, _))| *keys > 0) {
        writer.byte(opcode::SELECT_DB);
        writer.number(number as u64);
        writer.byte(opcode::RESIZE_DB);
        writer.count(*keys);
        writer.count(*volatile);
    }
    writer.into_bytes()
}
