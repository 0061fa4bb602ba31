//! Loading one file of an append-only directory: a snapshot at its beginning, if it has one, and its commands.
//!
//! The commands are executed as they were recorded ([`super::append_replay`]), those of different shards side by side where
//! that cannot be told ([`super::append_cut`]). Nothing expires meanwhile: what has an end in the past may be told to live on by
//! a command that follows. A transaction is executed when its EXEC is there, so none is executed by half.

use std::sync::atomic::Ordering;

use super::append_cut;
use super::append_replay::Replay;
pub use super::append_report::{has_snapshot, Loaded};
use super::append_scan::{Break, Found, Scan};
use super::loader::{self, Progress};
use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::rdb::Limits;
use crate::server::settings::Settings;
use crate::server::world::World;

/// Before any time: nothing has expired then.
const BEFORE_EVERYTHING: i64 = 0;
/// Commands after which who only looks through a file tells how far it is.
const TOLD_COMMANDS: u64 = 1024;

/// Loads a file; what is before a fault is loaded.
pub fn load(engine: &Engine, bytes: &[u8], progress: &Progress) -> Loaded {
    let mut loaded = Loaded::begin(bytes);
    progress.bytes.store(0, Ordering::Relaxed);
    progress.keys.store(0, Ordering::Relaxed);
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
    append_cut::load_commands(engine, bytes, progress, &mut loaded);
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
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
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
        if loaded.commands % TOLD_COMMANDS == 0 {
            progress.bytes.store(scan.offset() as u64, Ordering::Relaxed);
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
