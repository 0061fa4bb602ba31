//! Asking memory for what the next commands of a batch will read.
//!
//! A command waits up to three times for memory that no cache has: for the bucket of its key, for the key's entry, and, if
//! that is a large collection, for the bucket and the entry of an element in it. The last two are asked for only while
//! command after command goes to the same key: its entry is in the cache then, so a look at it costs little. Looking up
//! other keys ahead of time would cost their commands more than it saves most of them.
//!
//! Where clients track what they read, a key that changes is looked up a second time, among those that were read.

use crate::declaration::spec::flag;
use crate::entry::Entry;
use crate::executor::batch::Cmd;
use crate::keyspace::db::Key;
use crate::keyspace::shard::Shard;
use sherd_types::table::{self, Prefetch, Table};

/// So many commands ahead of the one that is executed, the bucket of a command's key is asked for, and then its entry: as
/// far as it takes to cover memory latency, and near enough for the lines to stay in the first-level cache.
const BUCKETS_AHEAD: usize = 16;
const ENTRIES_AHEAD: usize = 8;
/// The same for an element's bucket and entry, at least: elements are seen to so many commands at a time, for it takes a look-up of
/// the collection.
const ELEMENT_BUCKETS_AHEAD: usize = 8;
const ELEMENTS_AHEAD: usize = 4;
const ELEMENTS_TOGETHER: usize = ELEMENT_BUCKETS_AHEAD - ELEMENTS_AHEAD;
/// Commands that follow one for which there was nothing to ask for; with the next one there may be.
const RETRY_AFTER: usize = 16;
/// Tables of fewer keys or elements stay in the second-level cache, which is near enough.
const ELEMENTS_MIN: usize = 4096;
const KEYS_MIN: usize = 4096;

/// What was computed for commands that are still to come.
#[derive(Default)]
pub struct Ahead {
    /// Hashes of the elements whose buckets were asked for last, those of commands that stand together; 0 if it was not.
    elements: [u64; ELEMENTS_TOGETHER],
    /// No elements are asked for before the command with this number.
    elements_from: usize,
    /// Whether there are keys that tracking clients have read.
    has_read_keys: bool,
    /// Whether keys are asked for: there are so many that caches cannot be expected to have them.
    asks_for_keys: bool,
}

impl Ahead {
    /// Asks for what the first commands of a batch need; for the others that is done on the way.
    pub fn begin(shard: &Shard, commands: &[Cmd]) -> Ahead {
        // Other databases are seldom used in the same batch.
        let asks_for_keys =
            commands.len() > 1 && shard.db(commands[0].db).is_some_and(|database| database.len() >= KEYS_MIN);
        if asks_for_keys {
            prefetch_all(shard, commands, BUCKETS_AHEAD, Table::prefetch_bucket);
            prefetch_all(shard, commands, ENTRIES_AHEAD, Table::prefetch_entry);
        }
        Ahead { has_read_keys: shard.read_keys_ahead().is_some(), asks_for_keys, ..Ahead::default() }
    }

    /// Asks for what commands behind the one at `next` need, which is about to be executed.
    // Always: it is called in one place only, for every command, and was called all the same.
    #[inline(always)]
    pub fn prefetch(&mut self, shard: &Shard, commands: &[Cmd], args: &[&[u8]], next: usize) {
        if self.asks_for_keys {
            prefetch_keys(shard, commands, next);
        }
        if next % ELEMENTS_TOGETHER == 0 && commands[next].command.spec.element != 0 && next >= self.elements_from {
            self.prefetch_elements(shard, commands, args, next);
        }
        if self.has_read_keys && commands[next].command.spec.has(flag::WRITE) {
            prefetch_read_keys(shard, commands, next);
        }
    }

    /// Asks for the entries of the elements whose buckets were asked for by the last call, and for the buckets of those that follow.
    #[inline(never)]
    fn prefetch_elements(&mut self, shard: &Shard, commands: &[Cmd], args: &[&[u8]], next: usize) {
        let known = std::mem::take(&mut self.elements);
        let current = &commands[next];
        let is_of_same_key =
            |at: usize| commands.get(at).is_some_and(|ahead| ahead.hash == current.hash && ahead.db == current.db);
        let table =
            if is_of_same_key(next + ELEMENTS_AHEAD) { element_table(shard, commands, next, args) } else { None };
        let Some(table) = table else {
            self.elements_from = next + RETRY_AFTER;
            return;
        };
        for hash in known.into_iter().filter(|&hash| hash != 0) {
            table.prefetch_entry(hash);
        }
        let far = next + ELEMENT_BUCKETS_AHEAD;
        for (kept, at) in self.elements.iter_mut().zip(far..).filter(|(_, at)| is_of_same_key(*at)) {
            if let Some(element) = element(commands, at, args) {
                *kept = table::hash(element);
                table.prefetch_bucket(*kept);
            }
        }
    }
}

/// Asks for the bucket and for the entry of keys of commands behind the one at `next`.
// Always: it is called in one place only, for every command.
#[inline(always)]
fn prefetch_keys(shard: &Shard, commands: &[Cmd], next: usize) {
    // Where a command has no key it costs a look at another bucket.
    if let Some(far) = commands.get(next + BUCKETS_AHEAD) {
        let near = &commands[next + ENTRIES_AHEAD];
        if let Some(database) = shard.db(near.db) {
            let table = database.table(near.slot);
            // Nearly always of the same table.
            if (far.db, far.slot) == (near.db, near.slot) {
                table.prefetch_both(near.hash, far.hash);
            } else {
                table.prefetch_entry(near.hash);
                prefetch_bucket(shard, far);
            }
        }
    } else if let Some(near) = commands.get(next + ENTRIES_AHEAD) {
        prefetch_entry(shard, near);
    }
}

/// What looking for a key among those that were read will need, where commands follow that change keys as the one at `next` does;
/// keys are the same ones in all databases there.
#[inline(never)]
fn prefetch_read_keys(shard: &Shard, commands: &[Cmd], next: usize) {
    let Some(table) = shard.read_keys_ahead() else { return };
    if let Some(near) = commands.get(next + ENTRIES_AHEAD).filter(|near| near.hash != 0) {
        table.prefetch_entry(near.hash);
    }
    if let Some(far) = commands.get(next + BUCKETS_AHEAD).filter(|far| far.hash != 0) {
        table.prefetch_bucket(far.hash);
    }
}

/// An argument of the command at a place in its batch.
#[inline]
fn argument<'a>(commands: &[Cmd], at: usize, args: &[&'a [u8]], number: usize) -> Option<&'a [u8]> {
    let begin = at.checked_sub(1).map_or(0, |before| commands[before].args_end as usize);
    args.get(begin..commands[at].args_end as usize)?.get(number).copied()
}

/// The element that a command names.
#[inline]
fn element<'a>(commands: &[Cmd], at: usize, args: &[&'a [u8]]) -> Option<&'a [u8]> {
    let number = usize::from(commands[at].command.spec.element);
    if number == 0 {
        return None;
    }
    argument(commands, at, args, number)
}

/// The table of the collection at a command's first key, if it is a large one.
#[inline]
fn element_table<'a>(shard: &'a Shard, commands: &[Cmd], at: usize, args: &[&[u8]]) -> Option<&'a dyn Prefetch> {
    let command = &commands[at];
    let bytes = argument(commands, at, args, 1)?;
    let key = Key { bytes, hash: command.hash, slot: command.slot };
    let entry: &Entry = shard.db(command.db)?.find(&key)?;
    entry.object()?.element_table().filter(|table| table.entries() >= ELEMENTS_MIN)
}

/// One of two stages for up to so many commands. Those that follow each other have their keys in one table, nearly always, which is
/// looked for once.
#[inline]
fn prefetch_all(shard: &Shard, commands: &[Cmd], limit: usize, ask: impl Fn(&Table<Entry>, u64)) {
    let first = &commands[..commands.len().min(limit)];
    for alike in first.chunk_by(|one, next| (one.db, one.slot) == (next.db, next.slot)) {
        let Some(database) = shard.db(alike[0].db) else { continue };
        let table = database.table(alike[0].slot);
        alike.iter().filter(|command| command.hash != 0).for_each(|command| ask(table, command.hash));
    }
}

/// The first of two stages: the bucket of the first key.
#[inline]
fn prefetch_bucket(shard: &Shard, command: &Cmd) {
    if command.hash != 0 {
        if let Some(db) = shard.db(command.db) {
            db.table(command.slot).prefetch_bucket(command.hash);
        }
    }
}

/// The second stage: its entry, which is known when the bucket has arrived.
#[inline]
fn prefetch_entry(shard: &Shard, command: &Cmd) {
    if command.hash != 0 {
        if let Some(db) = shard.db(command.db) {
            db.table(command.slot).prefetch_entry(command.hash);
        }
    }
}

#[cfg(test)]
#[path = "prefetch_tests.rs"]
mod tests;
