//! Loading one file of an append-only directory: a snapshot at its beginning, if it has one, and its commands.
//!
//! The commands are executed as they were recorded, all shards held for some of them at a time. Nothing expires meanwhile: what
//! has an end in the past may be told to live on by a command that follows. A transaction is executed when its EXEC is
//! there, so none is executed by half.

use std::sync::atomic::Ordering;

use super::append_scan::{Break, Found, Scan};
use super::loader::{self, Fault, Progress, Report};
use crate::command::origin::Origin;
use crate::command::registry::{self, Command, Route};
use crate::command::spec::{flag, Plane};
use crate::executor::engine::Engine;
use crate::executor::execute::{self, Call};
use crate::handler::access::Shards;
use crate::handler::context::Client;
use crate::protocol::reply::Protocol;
use crate::rdb::format::{MAGIC_REDIS, MAGIC_VALKEY};
use crate::rdb::Limits;
use crate::server::settings::Settings;
use crate::server::world::World;
use sherd_types::table;

/// Commands that are executed while the shards are held.
const COMMANDS_A_SLICE: usize = 512;
/// Commands for the control plane that one file may have.
const OTHERS_MAX: usize = 100_000;
/// Before any time: nothing has expired then.
const BEFORE_EVERYTHING: i64 = 0;

/// A command of the control plane, to be executed by it.
pub struct Other {
    pub db: u16,
    pub args: Vec<Vec<u8>>,
}

/// What a file had.
#[derive(Default)]
pub struct Loaded {
    pub commands: u64,
    /// Keys of the snapshot that it begins with.
    pub keys: u64,
    /// Sources of libraries of functions in that.
    pub functions: Vec<Vec<u8>>,
    /// What the control plane is to execute, in order.
    pub others: Vec<Other>,
    /// Up to here everything is whole.
    pub valid_bytes: u64,
    /// Commands that were answered with an error, and the first such answer.
    pub failed: u64,
    pub first_error: Option<String>,
    /// Why the rest was not loaded.
    pub fault: Option<Fault>,
    /// It is only cut off.
    pub is_truncated: bool,
    pub size: u64,
    /// It begins with a snapshot.
    pub has_snapshot: bool,
    /// Where it is later than was asked for, by its marks of the time.
    pub late_offset: Option<u64>,
}

/// Whether a file begins with a snapshot.
pub fn has_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC_REDIS) || bytes.starts_with(MAGIC_VALKEY)
}

/// Loads a file; what is before a fault is loaded.
pub fn load(engine: &Engine, bytes: &[u8], progress: &Progress) -> Loaded {
    let mut loaded = Loaded::begin(bytes);
    progress.bytes.store(0, Ordering::Relaxed);
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
    if loaded.has_snapshot {
        match loader::load_base(engine, bytes, progress) {
            Ok(report) => loaded.take_snapshot(report),
            Err(fault) => {
                loaded.fail_in_snapshot(fault);
                return loaded;
            }
        }
    }
    let mut replay = Replay::new(bytes, loaded.valid_bytes as usize);
    let mut goes_on = true;
    while goes_on && !engine.is_stopping() && !progress.is_unwanted.load(Ordering::Relaxed) {
        goes_on =
            engine.with_shards(engine.all_shards(), |mut shards| replay.some(&mut shards, &engine.world, &mut loaded));
        progress.bytes.store(loaded.valid_bytes, Ordering::Relaxed);
        progress.keys.store(loaded.keys + loaded.commands, Ordering::Relaxed);
    }
    loaded
}

/// The same into shards that are held already.
pub fn load_held(shards: &mut Shards<'_>, world: &World, bytes: &[u8]) -> Loaded {
    let mut loaded = Loaded::begin(bytes);
    if loaded.has_snapshot {
        match loader::load_base_held(shards, world, bytes) {
            Ok(report) => loaded.take_snapshot(report),
            Err(fault) => {
                loaded.fail_in_snapshot(fault);
                return loaded;
            }
        }
    }
    let mut replay = Replay::new(bytes, loaded.valid_bytes as usize);
    while replay.some(shards, world, &mut loaded) {}
    loaded
}

/// Looks through a file without loading it, and for where its marks of the time are later than `later_than`.
pub fn check(bytes: &[u8], later_than: Option<i64>, progress: &Progress) -> Loaded {
    let mut loaded = Loaded::begin(bytes);
    if loaded.has_snapshot {
        let limits = Limits::from_settings(&Settings::default());
        match loader::check(bytes, limits, BEFORE_EVERYTHING, progress) {
            (report, None) => loaded.take_snapshot(report),
            (_, Some(fault)) => {
                loaded.fail_in_snapshot(fault);
                return loaded;
            }
        }
    }
    let mut scan = Scan::new(bytes, loaded.valid_bytes as usize);
    let mut transaction = None;
    loop {
        let begin = scan.offset();
        let result = match scan.step() {
            Ok(Found::Command) => {
                loaded.commands += 1;
                follow_transaction(&mut transaction, begin, scan.parts[0])
            }
            Ok(Found::Time(seconds)) => {
                if later_than.is_some_and(|than| seconds > than) && loaded.late_offset.is_none() {
                    loaded.late_offset = Some(transaction.unwrap_or(begin) as u64);
                }
                Ok(())
            }
            Ok(Found::Remark) => Ok(()),
            Ok(Found::End) if transaction.is_some() => Err(Break::Truncated),
            Ok(Found::End) => return loaded,
            Err(why) => Err(why),
        };
        if let Err(why) = result {
            loaded.fail(begin, why, transaction.is_some());
            return loaded;
        }
        if transaction.is_none() {
            loaded.valid_bytes = scan.offset() as u64;
        }
    }
}

/// Where the transaction begins that a command is in, if it is in one.
fn follow_transaction(transaction: &mut Option<usize>, begin: usize, name: &[u8]) -> Result<(), Break> {
    if name.eq_ignore_ascii_case(b"MULTI") && transaction.replace(begin).is_some() {
        return Err(Break::Corrupt("a transaction begins within another one".to_owned()));
    }
    if name.eq_ignore_ascii_case(b"EXEC") && transaction.take().is_none() {
        return Err(Break::Corrupt("EXEC comes without MULTI".to_owned()));
    }
    Ok(())
}

impl Loaded {
    fn begin(bytes: &[u8]) -> Loaded {
        Loaded { size: bytes.len() as u64, has_snapshot: has_snapshot(bytes), ..Loaded::default() }
    }

    fn take_snapshot(&mut self, report: Report) {
        (self.keys, self.functions, self.valid_bytes) = (report.keys, report.functions, report.end);
    }

    fn fail_in_snapshot(&mut self, fault: Fault) {
        self.is_truncated = fault.offset >= self.size;
        self.fault = Some(fault);
    }

    fn fail(&mut self, at: usize, why: Break, in_transaction: bool) {
        self.is_truncated = why == Break::Truncated;
        let of_transaction = if in_transaction { " of a transaction" } else { "" };
        let what = match why {
            Break::Truncated => format!("the file ends in the middle of a command{of_transaction}"),
            Break::Corrupt(what) => what,
        };
        self.fault = Some(Fault { offset: at as u64, key: None, what });
    }
}

/// A file whose commands are being executed.
pub struct Replay<'a> {
    scan: Scan<'a>,
    db: u16,
    /// The commands of a transaction whose EXEC has not come, and where it began.
    queued: Option<(usize, Vec<Vec<&'a [u8]>>)>,
    out: Vec<u8>,
}

impl<'a> Replay<'a> {
    /// From an offset on.
    pub fn new(bytes: &'a [u8], at: usize) -> Replay<'a> {
        Replay { scan: Scan::new(bytes, at), db: 0, queued: None, out: Vec::new() }
    }

    /// Executes some commands in shards that are held; false when there is no more to come.
    pub fn some(&mut self, shards: &mut Shards<'_>, world: &World, loaded: &mut Loaded) -> bool {
        for _ in 0..COMMANDS_A_SLICE {
            let begin = self.scan.offset();
            let result = match self.scan.step() {
                Ok(Found::Command) => self.command(begin, shards, world, loaded),
                Ok(Found::Time(_) | Found::Remark) => Ok(true),
                Ok(Found::End) if self.queued.is_some() => Err(Break::Truncated),
                Ok(Found::End) => Ok(false),
                Err(why) => Err(why),
            };
            match result {
                Ok(goes_on) => {
                    if self.queued.is_none() {
                        loaded.valid_bytes = self.scan.offset() as u64;
                    }
                    if !goes_on {
                        return false;
                    }
                }
                Err(why) => {
                    loaded.fail(begin, why, self.queued.is_some());
                    return false;
                }
            }
        }
        true
    }

    /// Executes the command that was found, or queues it.
    fn command(
        &mut self,
        begin: usize,
        shards: &mut Shards<'_>,
        world: &World,
        loaded: &mut Loaded,
    ) -> Result<bool, Break> {
        let parts = std::mem::take(&mut self.scan.parts);
        let name = parts[0];
        if name.eq_ignore_ascii_case(b"MULTI") {
            if self.queued.is_some() {
                return Err(Break::Corrupt("a transaction begins within another one".to_owned()));
            }
            self.queued = Some((begin, Vec::new()));
        } else if name.eq_ignore_ascii_case(b"EXEC") {
            let (_, queued) =
                self.queued.take().ok_or_else(|| Break::Corrupt("EXEC comes without MULTI".to_owned()))?;
            for parts in &queued {
                self.execute(parts, shards, world, loaded)?;
            }
        } else if let Some((_, queued)) = &mut self.queued {
            queued.push(parts);
            return Ok(true);
        } else {
            self.execute(&parts, shards, world, loaded)?;
        }
        // Its room is used again.
        self.scan.parts = parts;
        Ok(true)
    }

    /// Whether a command is executed in shards; what else it does is done here.
    fn is_for_shards(
        &mut self,
        command: &Command,
        parts: &[&[u8]],
        world: &World,
        loaded: &mut Loaded,
    ) -> Result<bool, Break> {
        match command.spec.plane {
            // What only reads is in no file that a server has written; nor is what only tests or administrators ask for.
            Plane::Data(_) if !command.spec.has(flag::WRITE) && !command.spec.has(flag::MAY_REPLICATE) => {}
            Plane::Data(_) => return Ok(true),
            Plane::Connection(_) if command.spec.name == "select" => {
                let number = parts.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u16>().ok());
                let known = number.filter(|&number| usize::from(number) < world.settings.databases.size());
                self.db = known.ok_or_else(|| Break::Corrupt("a database is selected that there is not".to_owned()))?;
            }
            // Messages and keep-alives have no effect on the data; of extensions' commands that is recorded which they call.
            Plane::Connection(_) | Plane::Extension | Plane::Container => {}
            // Nor has what a replica's file has of its primary's stream besides writes.
            Plane::Control if !command.spec.has(flag::WRITE) => {}
            Plane::Control => {
                if loaded.others.len() >= OTHERS_MAX {
                    return Err(Break::Corrupt("it has too many commands for the control plane".to_owned()));
                }
                let args = parts.iter().map(|part| part.to_vec()).collect();
                loaded.others.push(Other { db: self.db, args });
            }
        }
        Ok(false)
    }

    fn execute(
        &mut self,
        parts: &[&[u8]],
        shards: &mut Shards<'_>,
        world: &World,
        loaded: &mut Loaded,
    ) -> Result<(), Break> {
        let command = find(parts)?;
        loaded.commands += 1;
        if !self.is_for_shards(command, parts, world, loaded)? {
            return Ok(());
        }
        let client = Client {
            db: self.db,
            protocol: Protocol::Resp2,
            no_touch: false,
            tracks: Default::default(),
            record: None,
        };
        let mut call = Call {
            command,
            args: parts,
            first_key: (0, 0),
            client,
            now_ms: world.now_milliseconds(),
            origin: Origin::Replica,
        };
        self.out.clear();
        let failed = if command.route == Route::FirstKey {
            let slot = world.slots.slot(parts[1]);
            call.first_key = (table::hash(parts[1]), slot);
            execute::call(Shards::one(world.slots, shards.of_slot(slot)), world, &call, &mut self.out)
        } else {
            execute::call(shards.reborrow(), world, &call, &mut self.out)
        };
        if failed {
            loaded.failed += 1;
            let answer = String::from_utf8_lossy(&self.out).trim_end().to_owned();
            loaded.first_error.get_or_insert_with(|| format!("{answer} ({})", command.spec.name));
        }
        Ok(())
    }
}

/// The command that parts name.
fn find(parts: &[&[u8]]) -> Result<&'static Command, Break> {
    let table = registry::table();
    let name = || String::from_utf8_lossy(parts[0]).escape_debug().to_string();
    let unknown = || Break::Corrupt(format!("the command '{:.128}' is not known", name()));
    let found = table.find(parts[0]).ok_or_else(unknown)?;
    let command = match parts.get(1) {
        Some(sub) if !found.subcommands.is_empty() => table.find_subcommand(found, sub).unwrap_or(found),
        _ => found,
    };
    if !command.spec.accepts(parts.len()) {
        return Err(Break::Corrupt(format!("the command '{:.128}' has a wrong number of arguments", name())));
    }
    Ok(command)
}
