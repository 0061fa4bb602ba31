//! Writing a snapshot: the cut, the bytes of all shards, and what comes before and behind them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::destination::Destination;
use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::handler::scripting;
use crate::journal::resp;
use crate::keyspace::saving::{Cut, Form, Sink};
use crate::rdb::format::{opcode, MAGIC_REDIS, MAGIC_VALKEY, VERSION, VERSION_REDIS_8, VERSION_VALKEY_9};
use crate::rdb::{crc64, functions, Dialect, Writer};
use crate::server::world::World;

/// How long the thread waits for bytes, or for room for them, before it looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a snapshot has: replicas may want only a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub data: bool,
    pub functions: bool,
}

impl Contents {
    pub const ALL: Contents = Contents { data: true, functions: true };
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    pub contents: Contents,
    pub compress: bool,
    pub dialect: Dialect,
    /// Whether it ends with a checksum; a zero stands for none.
    pub checksum: bool,
    /// Names and texts that stand at its beginning.
    pub aux: Vec<(String, String)>,
    /// As the commands that make the data, which no snapshot is: the base of an append-only file.
    pub as_commands: bool,
}

impl Plan {
    fn form(&self) -> Form {
        Form { compress: self.compress, dialect: self.dialect, as_commands: self.as_commands }
    }
}

/// What a snapshot in the making tells of itself.
#[derive(Default)]
pub struct Progress {
    pub keys_total: AtomicU64,
    pub bytes: AtomicU64,
    pub sink: Arc<Sink>,
}

/// A destination of which every byte that was written counts for the checksum.
struct Out {
    destination: Box<dyn Destination>,
    checksum: Option<u64>,
    written: u64,
}

impl Out {
    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, &bytes);
        }
        self.written += bytes.len() as u64;
        self.destination.write(bytes)
    }
}

/// A snapshot that is to be taken.
pub struct Prepared {
    plan: Plan,
    out: Out,
}

impl Prepared {
    pub fn new(plan: Plan, destination: Box<dyn Destination>) -> Prepared {
        let checksum = plan.checksum.then_some(0);
        Prepared { plan, out: Out { destination, checksum, written: 0 } }
    }

    /// Adds a name and a text that are known only at the cut.
    pub fn add_aux(&mut self, name: &str, text: String) {
        self.plan.aux.push((name.to_owned(), text));
    }

    /// Takes the cut, for which all shards are held. [`Job::finish`] follows, whatever happens.
    pub fn begin(self, engine: &Engine, shards: &mut Shards<'_>) -> Job {
        let Prepared { plan, out } = self;
        let (sink, cut) = if plan.contents.data {
            let sink = Sink::new(engine.world.slots.shards());
            let cut = engine.begin_saving(shards, plan.form(), &sink);
            (sink, cut)
        } else {
            // No shard sends anything, and none is asked.
            (Sink::new(0), Cut::default())
        };
        let progress = Progress { sink, ..Progress::default() };
        progress.keys_total.store(cut.keys.iter().map(|(keys, _)| *keys as u64).sum(), Ordering::Relaxed);
        let functions = if plan.contents.functions { functions_of(&engine.world) } else { Vec::new() };
        let changes = cut.changes;
        Job { plan, out, cut, functions, progress: Arc::new(progress), changes }
    }
}

/// A snapshot that is being taken.
pub struct Job {
    plan: Plan,
    out: Out,
    /// What the head of the file tells of the cut.
    cut: Cut,
    functions: Vec<Vec<u8>>,
    pub progress: Arc<Progress>,
    /// Changes since the last save at the cut: those that are saved if it succeeds.
    pub changes: u64,
}

impl Job {
    /// Adds names and texts that were found out only after the cut.
    pub fn add_aux(&mut self, aux: impl IntoIterator<Item = (String, String)>) {
        self.plan.aux.extend(aux);
    }

    /// Writes it, which takes the calling thread until the destination has everything.
    pub fn finish(mut self, engine: &Engine) -> io::Result<()> {
        engine.wake_threads();
        let functions = std::mem::take(&mut self.functions);
        let head = match self.plan.as_commands {
            true => functions_as_commands(&functions),
            false => head(&self.plan, &self.cut, &functions),
        };
        let (out, sink) = (&mut self.out, &self.progress.sink);
        let result = out.write(head).and_then(|()| drain(engine, &self.progress, out));
        if result.is_err() {
            sink.cancel();
            engine.wake_threads();
        }
        // The next snapshot may begin when all entries have the same mark again.
        while !engine.is_stopping() && sink.receive(LOOK_EVERY).is_some() {}
        result?;
        if !self.plan.as_commands {
            out.write(vec![opcode::END])?;
            let checksum = out.checksum.unwrap_or(0).to_le_bytes();
            out.write(checksum.to_vec())?;
            self.progress.bytes.store(out.written, Ordering::Relaxed);
        }
        out.destination.complete()
    }
}

fn drain(engine: &Engine, progress: &Progress, out: &mut Out) -> io::Result<()> {
    let sink = &progress.sink;
    while let Some(chunk) = sink.receive(LOOK_EVERY) {
        check(engine, sink)?;
        // Also when nothing came: those who were to have it may have gone.
        let mut has_room = out.destination.await_room(Duration::ZERO)?;
        while !has_room && !chunk.is_empty() {
            has_room = out.destination.await_room(LOOK_EVERY)?;
            check(engine, sink)?;
        }
        if !chunk.is_empty() {
            out.write(chunk)?;
            progress.bytes.store(out.written, Ordering::Relaxed);
        }
        // Also when nothing came: a shard may have waited for another one.
        if !sink.is_full() {
            engine.wake_threads();
        }
    }
    // All shards may have come to their end meanwhile, with nothing to send.
    if sink.is_cancelled() {
        return Err(stopped("it was cancelled"));
    }
    Ok(())
}

/// An error if nobody wants the rest.
fn check(engine: &Engine, sink: &Sink) -> io::Result<()> {
    if engine.is_stopping() {
        return Err(stopped("the server stops"));
    }
    if sink.is_cancelled() {
        return Err(stopped("it was cancelled"));
    }
    Ok(())
}

fn stopped(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, why)
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
    let mut writer = Writer::compressing(plan.compress, plan.dialect);
    let header = match (cut.has_timed, plan.dialect) {
        (false, _) => format!("{MAGIC_REDIS}{VERSION:04}"),
        (true, Dialect::Redis) => format!("{MAGIC_REDIS}{VERSION_REDIS_8:04}"),
        (true, Dialect::Valkey) => format!("{MAGIC_VALKEY}{VERSION_VALKEY_9:03}"),
    };
    writer.raw(header.as_bytes());
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
