//! The commands of an append-only file, executed by several threads where nobody can tell.
//!
//! One thread finds the commands and hands those that one shard executes to the thread that builds in it; a shard's commands stay
//! in order. Nobody sees the data before all are loaded, so the order between shards is nobody's business, and of a transaction
//! that has its EXEC each command goes its own way. Everything else waits: what is executed in several shards, scripts, what is
//! the control plane's, what is broken, and the end. Then all that was handed over is executed first, and [`Replay`] goes on one by
//! one; it alone knows faults, so there is one way to tell them.
//!
//! To wait for threads again and again costs more than they save, so after such a command a thousand others have to come
//! before any is handed over.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::append_replay::{answer_of, call_of, find, way_of, Replay, Way};
use super::append_report::Loaded;
use super::append_scan::{Found, Scan};
use super::builders::{self, Builders};
use super::report::Progress;
use crate::command::registry::Command;
use crate::executor::batch::Cmd;
use crate::executor::engine::Engine;
use crate::executor::execute;
use crate::executor::prefetch::Ahead;
use crate::handler::access::Shards;
use crate::server::world::World;

/// Commands that are handed over at a time.
const COMMANDS_A_BATCH: usize = 256;
/// Commands in a row for one shard each before they are handed over.
const CALM_MIN: usize = 1024;
/// Smaller files are loaded by one thread: starting others would take longer.
const PARALLEL_BYTES_MIN: usize = 16 << 10;

/// Executes the commands of a file from where it is valid up to, in shards that nobody holds.
pub fn load_commands(engine: &Engine, bytes: &[u8], progress: &Progress, loaded: &mut Loaded) {
    let begin = loaded.valid_bytes as usize;
    let mut replay = Replay::new(bytes, begin);
    if bytes.len() - begin < PARALLEL_BYTES_MIN || !builders::are_worth_it() {
        while one_by_one(engine, progress, &mut replay, loaded) {}
        return;
    }
    let execution = Execution { engine, progress, errors: Mutex::default() };
    builders::run(
        engine.world.slots.shards(),
        |shard, batch| execution.run(shard, &batch),
        |builders| {
            let mut is_calm = true;
            let mut goes_on = true;
            while goes_on && !progress.is_broken_off(engine.is_stopping()) {
                if is_calm {
                    hand_over(&execution, builders, &mut replay, loaded);
                    builders.drain();
                    execution.tell(loaded);
                    replay.calm = 0;
                    loaded.valid_bytes = replay.scan.offset() as u64;
                }
                goes_on = one_by_one(engine, progress, &mut replay, loaded);
                is_calm = replay.calm >= CALM_MIN && !replay.is_in_transaction();
            }
        },
    );
}

/// Executes some commands in this thread; false when there is no more to come.
fn one_by_one(engine: &Engine, progress: &Progress, replay: &mut Replay<'_>, loaded: &mut Loaded) -> bool {
    if progress.is_broken_off(engine.is_stopping()) {
        return false;
    }
    let goes_on = engine.with_shards(engine.all_shards(), |mut shards| replay.some(&mut shards, &engine.world, loaded));
    progress.bytes.store(loaded.valid_bytes, Ordering::Relaxed);
    progress.keys.store(loaded.keys + loaded.commands, Ordering::Relaxed);
    goes_on
}

/// Hands over what can be, and leaves the walk where something begins that cannot.
fn hand_over<'a>(
    execution: &Execution<'_>,
    builders: &Builders<Batch<'a>>,
    replay: &mut Replay<'a>,
    loaded: &mut Loaded,
) {
    let shards = execution.engine.world.slots.shards();
    let mut cut = Cut {
        scan: replay.scan.clone(),
        world: &execution.engine.world,
        db: replay.db,
        commands: loaded.commands,
        last: None,
        transaction: None,
        ready: (0..shards).map(|_| Batch::default()).collect(),
        touched: 0,
    };
    let mut goes_on = true;
    while goes_on && cut.step() {
        let shard = cut.touched;
        if cut.ready[shard].commands.len() >= COMMANDS_A_BATCH {
            goes_on = builders.send(shard, std::mem::take(&mut cut.ready[shard]))
                && !execution.progress.is_broken_off(execution.engine.is_stopping());
        }
    }
    let (offset, db, commands) = cut.place();
    for (shard, batch) in cut.ready.into_iter().enumerate() {
        builders.send(shard, batch);
    }
    replay.scan.go_back(offset);
    (replay.db, loaded.commands) = (db, commands);
}

/// Commands for one shard.
#[derive(Default)]
struct Batch<'a> {
    /// In place of where a reply ends, where in the file the command begins.
    commands: Vec<Cmd>,
    args: Vec<&'a [u8]>,
    /// Bytes of the file.
    bytes: u64,
}

impl<'a> Batch<'a> {
    fn push(&mut self, command: Cmd, args: &[&'a [u8]]) {
        self.args.extend_from_slice(args);
        self.commands.push(Cmd { args_end: self.args.len() as u32, ..command });
    }
}

/// A transaction whose EXEC has not come.
struct Transaction<'a> {
    /// The place where it begins.
    place: (usize, u16, u64),
    commands: Vec<(usize, Cmd, Vec<&'a [u8]>)>,
}

/// A walk that collects commands for each shard.
struct Cut<'a, 'w> {
    scan: Scan<'a>,
    world: &'w World,
    db: u16,
    /// Commands so far.
    commands: u64,
    /// The last command, which nearly always is the next one as well, and its name.
    last: Option<(&'a [u8], &'static Command)>,
    transaction: Option<Transaction<'a>>,
    ready: Vec<Batch<'a>>,
    /// The shard that the last command was for.
    touched: usize,
}

impl<'a> Cut<'a, '_> {
    /// Where to go on: offset, database and number of commands. No part of a transaction is behind it.
    fn place(&self) -> (usize, u16, u64) {
        match &self.transaction {
            Some(transaction) => transaction.place,
            None => (self.scan.offset(), self.db, self.commands),
        }
    }

    /// Collects what comes next; false if it cannot be handed over, and then it stays.
    fn step(&mut self) -> bool {
        let begin = self.scan.offset();
        let is_collected = match self.scan.step() {
            Ok(Found::Command) => {
                let parts = std::mem::take(&mut self.scan.parts);
                let is_collected = self.command(begin, &parts);
                self.scan.parts = parts;
                is_collected
            }
            Ok(Found::Time(_) | Found::Remark) => true,
            Ok(Found::End) | Err(_) => false,
        };
        if !is_collected {
            self.scan.go_back(begin);
        }
        is_collected
    }

    fn command(&mut self, begin: usize, parts: &[&'a [u8]]) -> bool {
        let name = parts[0];
        if name.len() == 5 && name.eq_ignore_ascii_case(b"MULTI") {
            let place = (begin, self.db, self.commands);
            // One within another is a fault.
            let is_first = self.transaction.is_none();
            self.transaction.get_or_insert(Transaction { place, commands: Vec::new() });
            return is_first;
        }
        if name.len() == 4 && name.eq_ignore_ascii_case(b"EXEC") {
            let Some(transaction) = self.transaction.take() else { return false };
            for (shard, command, args) in transaction.commands {
                self.ready[shard].push(command, &args);
                self.touched = shard;
            }
            self.ready[self.touched].bytes += (self.scan.offset() - transaction.place.0) as u64;
            return true;
        }
        let Some(command) = self.find(parts) else { return false };
        match way_of(command, parts, self.world) {
            Ok(Way::Nothing) => {}
            Ok(Way::Select(db)) => self.db = db,
            Ok(Way::OneShard(shard, (hash, slot))) => {
                let command = Cmd { command, hash, end: begin, args_end: 0, slot, db: self.db };
                match &mut self.transaction {
                    Some(transaction) => transaction.commands.push((shard, command, parts.to_vec())),
                    None => {
                        self.touched = shard;
                        let batch = &mut self.ready[shard];
                        batch.push(command, parts);
                        batch.bytes += (self.scan.offset() - begin) as u64;
                    }
                }
            }
            Ok(Way::Other | Way::Shards) | Err(_) => return false,
        }
        self.commands += 1;
        true
    }

    fn find(&mut self, parts: &[&'a [u8]]) -> Option<&'static Command> {
        match self.last {
            Some((name, command)) if name == parts[0] && command.spec.accepts(parts.len()) => Some(command),
            _ => {
                let command = find(parts).ok()?;
                // A container's next subcommand may be another one.
                let is_by_name = command.parent.is_none() && command.subcommands.is_empty();
                self.last = is_by_name.then_some((parts[0], command));
                Some(command)
            }
        }
    }
}

/// What those who execute share.
struct Execution<'e> {
    engine: &'e Engine,
    progress: &'e Progress,
    /// How many commands were answered with an error; where the first of them is, and the answer.
    errors: Mutex<(u64, Option<(usize, String)>)>,
}

impl Execution<'_> {
    /// Executes a batch in its shard; false if the rest need not be.
    fn run(&self, shard: usize, batch: &Batch<'_>) -> bool {
        if self.progress.is_broken_off(self.engine.is_stopping()) {
            return false;
        }
        self.engine.with_shards(1 << shard, |mut shards| self.execute(&mut shards, batch));
        self.progress.bytes.fetch_add(batch.bytes, Ordering::Relaxed);
        self.progress.keys.fetch_add(batch.commands.len() as u64, Ordering::Relaxed);
        true
    }

    fn execute(&self, shards: &mut Shards<'_>, batch: &Batch<'_>) {
        let world = &self.engine.world;
        let now_ms = world.now_milliseconds();
        let mut ahead = Ahead::begin(shards.first(), &batch.commands);
        let (mut args_begin, mut out) = (0, Vec::new());
        for (at, command) in batch.commands.iter().enumerate() {
            ahead.prefetch(shards.first(), &batch.commands, &batch.args, at);
            let args = &batch.args[args_begin..command.args_end as usize];
            args_begin = command.args_end as usize;
            let call = call_of(command.command, args, (command.hash, command.slot), command.db, now_ms);
            out.clear();
            if execute::call(shards.reborrow(), world, &call, &mut out) {
                self.note_error(command.end, || answer_of(command.command, &out));
            }
        }
    }

    fn note_error(&self, offset: usize, answer: impl FnOnce() -> String) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.0 += 1;
        if errors.1.as_ref().is_none_or(|(first, _)| offset < *first) {
            errors.1 = Some((offset, answer()));
        }
    }

    /// Tells of the errors so far; all of it is further to the front than what was not handed over.
    fn tell(&self, loaded: &mut Loaded) {
        let (failed, first) = std::mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner));
        loaded.failed += failed;
        if let (None, Some((_, answer))) = (&loaded.first_error, first) {
            loaded.first_error = Some(answer);
        }
    }
}

#[cfg(test)]
#[path = "append_cut_tests.rs"]
mod tests;
