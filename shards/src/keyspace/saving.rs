//! A shard's part of a snapshot that is being taken.
//!
//! Every shard has a mark, and outside of snapshots every entry in it has the same one: entries get it when they come into a
//! database. A snapshot turns the shard's mark over. Whatever has the old one then existed at the cut and is to be saved;
//! whoever saves an entry gives it the new one. So no list of what was saved is kept, a key that is made after the cut is passed
//! over, and in the end all entries have the same mark again.
//!
//! A collection of many elements is saved in slices ([`big`]), so that neither the walk nor a command that changes it serialises
//! more than a bounded part of it. When the walk comes to it, or something is about to change it or to take it away, its head is
//! written, with the number of its elements, and it gets the new mark; from then on the walk goes through its elements, and the
//! collection itself sees to it that what changes is written first ([`sherd_types::walk`]). What holds:
//!
//! - every element that was there at the cut is written exactly once, as it was then, and nothing else;
//! - the bytes of one entry are contiguous in the file ([`sink`]);
//! - an entry whose elements are not all written is listed here, by the key under which it is now; where it left the keyspace it
//!   is kept until they are;
//! - a command serialises the elements that it changes itself, and entries of fewer than [`BIG_ELEMENTS`] elements.
//!
//! Lists and streams are walked in their order, lists element by element, streams block by block and then group by group. Saved
//! as a whole, as strings are: collections in a packed form.
//!
//! # Layout
//! - [`sink`]: the way of the bytes to the thread that writes the file
//! - [`big`]: what is written of a big entry; [`due`]: what is still to come of it; [`commands`],
//!   [`stream_commands`]: the same as commands
//! - [`door`]: what a shard does with all this

mod big;
mod commands;
mod door;
mod due;
pub mod sink;
mod stream_commands;
#[cfg(test)]
pub mod work;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::db::{Db, Key};
use super::Databases;
use crate::entry::object::ObjectRef;
use crate::entry::policy;
use crate::entry::{Entry, Value};
use crate::journal::resp;
use crate::rdb::dump::dump_in;
use crate::rdb::format::opcode;
use crate::rdb::{save, type_of, Dialect, Writer};
use crate::server::lazyfree::Reaper;
use crate::slot::SlotMap;
use big::BigEntry;
use sherd_types::table;
use sherd_types::walk::Walkable;

pub use sink::Sink;

/// Bytes that a shard collects before it hands them over.
const CHUNK_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };
/// From so many elements on a collection is saved in slices: fewer take less than a tenth of a millisecond.
const BIG_ELEMENTS: usize = if cfg!(test) { 12 } else { 512 };
/// Slots without keys that one step of the walk passes.
const SLOTS_A_STEP: usize = 512;
/// Buckets between two looks at the clock.
const STEPS: usize = 8;

/// The state at the cut, as far as the head of the file tells of it.
#[derive(Default)]
pub struct Cut {
    /// Keys and keys with an expiry, by database.
    pub keys: Vec<(usize, usize)>,
    /// Some hash or set has elements that expire.
    pub has_timed: bool,
    pub changes: u64,
}

/// Where a database of the cut is now.
enum Place {
    /// It had no keys, or all of them are saved.
    Done,
    /// Under this number.
    Now(u16),
    /// It was emptied since: its keys are kept until they are saved.
    Flushed(Box<Db>),
}

/// Where an entry is now that is being saved in slices.
enum Whereabouts {
    /// Under this key; if that has another entry now, whoever moved it has entered its new place as well.
    Key(u16, Box<[u8]>),
    /// Out of the keyspace.
    Out(Entry),
}

/// What a step of the walk has come to.
enum Step {
    More,
    /// It can go on only when the file, or another shard, has got on.
    Waits,
    Over,
}

/// In which form entries are written.
#[derive(Clone, Copy)]
pub struct Form {
    pub compress: bool,
    pub dialect: Dialect,
    /// As commands.
    pub as_commands: bool,
}

/// How entries are written.
#[derive(Clone, Copy)]
pub struct Manner {
    pub form: Form,
    pub policy: i64,
    /// The access clock at the cut.
    pub clock: u32,
    /// See the setting of that name.
    pub key_delay: i64,
}

/// A shard's part of a snapshot.
pub struct Saving {
    /// The mark of what is saved, or came after the cut.
    mark: bool,
    manner: Manner,
    writer: Writer,
    /// The database that the bytes in `writer` speak of last.
    selected: Option<u16>,
    /// By their numbers at the cut.
    places: Vec<Place>,
    /// Entries that are being saved in slices, the one that is sent in pieces first.
    big: VecDeque<Whereabouts>,
    /// Entries that are kept no longer, to be freed.
    finished: Vec<Entry>,
    /// Bytes that commands have allocated for big entries.
    bytes: i64,
    /// The shard's index.
    shard: usize,
    /// Where the walk is: database, slot (`None` at its beginning), cursor.
    at: (usize, Option<usize>, u64),
    sink: Arc<Sink>,
    keys: u64,
    /// Keys saved since the walk was delayed for some.
    undelayed: u32,
}

impl Saving {
    /// The cut: every entry whose mark is not `mark` is to be saved.
    pub fn begin(databases: &Databases, shard: usize, mark: bool, manner: Manner, sink: Arc<Sink>) -> Saving {
        let place = |number: usize| match databases.get(number as u16) {
            Some(database) if !database.is_empty() => Place::Now(number as u16),
            _ => Place::Done,
        };
        let places = (0..databases.touched()).map(place).collect();
        Saving { places, ..Saving::empty(shard, mark, manner, sink) }
    }

    /// The part of a shard that has nothing to save.
    fn empty(shard: usize, mark: bool, manner: Manner, sink: Arc<Sink>) -> Saving {
        Saving {
            mark,
            manner,
            writer: Writer::compressing(manner.form.compress, manner.form.dialect),
            selected: None,
            places: Vec::new(),
            big: VecDeque::new(),
            finished: Vec::new(),
            bytes: 0,
            shard,
            at: (0, None, 0),
            sink,
            keys: 0,
            undelayed: 0,
        }
    }

    /// The number at the cut of the database that is at `now`.
    fn number_at_cut(&self, now: u16) -> Option<u16> {
        let number = self.places.iter().position(|place| matches!(place, Place::Now(number) if *number == now))?;
        Some(number as u16)
    }

    /// Saves an entry that is about to change or to go, if that was not done yet; a big one begins to be saved.
    fn save_first(&mut self, now: u16, key: &Key<'_>, entry: &mut Entry) {
        if entry.mark() == self.mark {
            return;
        }
        let Some(number) = self.number_at_cut(now) else { return };
        if self.is_big(entry) {
            self.begin_big(number, entry);
            self.big.push_back(Whereabouts::Key(now, key.bytes.into()));
        } else {
            self.save(number, entry);
        }
    }

    /// Whether an entry is to be saved in slices.
    fn is_big(&self, entry: &Entry) -> bool {
        let is_big = |object: ObjectRef<'_>| object.is_walkable_from(BIG_ELEMENTS);
        entry.object().is_some_and(is_big) && !self.sink.is_cancelled()
    }

    fn begin_big(&mut self, number: u16, entry: &mut Entry) {
        entry.set_mark(self.mark);
        self.undelayed += 1;
        if !BigEntry::begin(entry, &self.sink, self.manner, self.shard, number) {
            debug_assert!(false, "what is walkable is walked");
            self.sink.cancel();
        }
        self.keys += 1;
        #[cfg(test)]
        work::count(work::Event::Begun);
    }

    /// An entry that is being saved in slices has come to this shard, or to another place in it.
    fn enter(&mut self, place: Whereabouts, sends_pieces: bool) {
        #[cfg(test)]
        work::count(match &place {
            Whereabouts::Key(..) => work::Event::Moved,
            Whereabouts::Out(_) => work::Event::Out,
        });
        if sends_pieces {
            self.big.push_front(place);
        } else {
            self.big.push_back(place);
        }
    }

    /// Keeps a database that was emptied, if it had keys at the cut, and those that are being saved in slices.
    fn keep(&mut self, now: u16, mut database: Box<Db>, map: &SlotMap) -> Option<Box<Db>> {
        for place in &mut self.big {
            let Whereabouts::Key(number, bytes) = place else { continue };
            let key = Key::new(bytes, map);
            if *number == now && database.find(&key).is_some_and(Entry::is_walked) {
                if let Some(entry) = database.remove(&key) {
                    *place = Whereabouts::Out(entry);
                }
            }
        }
        match self.number_at_cut(now) {
            Some(number) => {
                self.places[usize::from(number)] = Place::Flushed(database);
                None
            }
            None => Some(database),
        }
    }

    /// Two databases change places.
    fn swap(&mut self, a: u16, b: u16) {
        let other = |number: u16| [(a, b), (b, a)].into_iter().find(|pair| pair.0 == number).map(|pair| pair.1);
        for place in &mut self.places {
            if let Place::Now(number) = place {
                *number = other(*number).unwrap_or(*number);
            }
        }
        for place in &mut self.big {
            if let Whereabouts::Key(number, _) = place {
                *number = other(*number).unwrap_or(*number);
            }
        }
    }

    fn save(&mut self, number: u16, entry: &Entry) {
        entry.set_mark(self.mark);
        // What has expired and was not removed yet is saved as well: replicas still have it, and are to be told when it goes.
        if self.sink.is_cancelled() {
            return;
        }
        self.undelayed += 1;
        #[cfg(test)]
        let before = self.writer.bytes().len();
        let selects = self.selected != Some(number);
        self.selected = Some(number);
        if self.manner.form.as_commands {
            write_as_commands(&mut self.writer, entry, selects.then_some(number));
        } else {
            if selects {
                self.writer.byte(opcode::SELECT_DB);
                self.writer.number(u64::from(number));
            }
            write_entry(&mut self.writer, entry, &self.manner);
        }
        #[cfg(test)]
        work::add(self.writer.bytes().len() - before);
        self.keys += 1;
        if self.writer.bytes().len() >= CHUNK_BYTES {
            self.hand_over(false);
        }
    }

    /// How long the walk is to wait for what was saved, be it by the walk or before a write: neither waits while the shard is held.
    fn take_delay(&mut self) -> Duration {
        let saved = std::mem::take(&mut self.undelayed);
        if self.sink.is_cancelled() {
            return Duration::ZERO;
        }
        crate::rdb::delay_of(self.manner.key_delay, saved)
    }

    fn hand_over(&mut self, is_last: bool) {
        self.selected = None;
        self.sink.keys.fetch_add(std::mem::take(&mut self.keys), Ordering::Relaxed);
        self.sink.send(self.writer.take(), is_last);
    }

    /// Goes on with the walk until `until`, or until it has to wait; true at its end.
    fn walk(&mut self, databases: &mut Databases, map: &SlotMap, reaper: &Reaper, until: Instant) -> bool {
        let steps = if self.manner.key_delay == 0 { STEPS } else { 1 };
        loop {
            for _ in 0..steps {
                let step = if self.big.is_empty() {
                    self.step(databases, map, reaper)
                } else {
                    self.step_of_big(databases, map, reaper)
                };
                match step {
                    Step::More => {}
                    Step::Waits => return false,
                    Step::Over => {
                        self.hand_over(true);
                        return true;
                    }
                }
            }
            if Instant::now() >= until || self.is_delayed() {
                return false;
            }
        }
    }

    /// Whether the walk is to wait for what was saved last.
    fn is_delayed(&self) -> bool {
        self.manner.key_delay != 0 && self.undelayed > 0 && !self.sink.is_cancelled()
    }

    /// One step of the walk through the elements of big entries.
    fn step_of_big(&mut self, databases: &mut Databases, map: &SlotMap, reaper: &Reaper) -> Step {
        let Some(mut place) = self.big.pop_front() else { return Step::More };
        let step = match walked_at(&mut place, databases, map) {
            // It is elsewhere, or done already.
            None => return Step::More,
            Some(collection) => self.step_in(collection, reaper),
        };
        match (step, place) {
            (Step::Over, Whereabouts::Out(entry)) => self.finished.push(entry),
            (Step::Over, Whereabouts::Key(..)) => {}
            (step, place) => {
                self.big.push_front(place);
                return step;
            }
        }
        Step::More
    }

    /// The same in one of them.
    fn step_in(&mut self, collection: &mut dyn Walkable, reaper: &Reaper) -> Step {
        self.bytes += collection.take_bytes();
        let Some(big) = BigEntry::of(collection) else { return Step::Over };
        if self.sink.is_cancelled() {
            big.abandon();
            if let Some(left) = collection.end_walk() {
                reaper.free_whole(Box::new(left), None);
            }
            return Step::Over;
        }
        if !big.go_on() {
            return Step::Waits;
        }
        if collection.step() {
            return Step::More;
        }
        let (number, rest) = match BigEntry::of(collection) {
            Some(big) => (big.number, big.finish()),
            None => return Step::Over,
        };
        if let Some(spent) = collection.take_spent() {
            reaper.free_whole(Box::new(spent), None);
        }
        collection.end_walk();
        if rest.len() >= CHUNK_BYTES {
            self.sink.send(rest, false);
        } else if !rest.is_empty() {
            self.writer.raw(&rest);
            self.selected = Some(number);
            if self.writer.bytes().len() >= CHUNK_BYTES {
                self.hand_over(false);
            }
        }
        Step::Over
    }

    /// One step of the walk through the keys.
    fn step(&mut self, databases: &mut Databases, map: &SlotMap, reaper: &Reaper) -> Step {
        if self.sink.stops(self.shard) {
            return Step::Waits;
        }
        let (index, slot, cursor) = self.at;
        // Taken out while its keys are visited, which needs the rest of this.
        let Some(mut place) = self.places.get_mut(index).map(|place| std::mem::replace(place, Place::Done)) else {
            return Step::Over;
        };
        let database = match &place {
            Place::Done => None,
            Place::Now(number) => databases.get(*number),
            Place::Flushed(database) => Some(&**database),
        };
        let mut found = Vec::new();
        let next = database.and_then(|database| self.step_through(database, index as u16, slot, cursor, &mut found));
        for key in found {
            self.begin_found(&mut place, index as u16, databases, &Key::new(&key, map));
        }
        match (next, place) {
            (Some((slot, cursor)), place) => {
                self.at = (index, Some(slot), cursor);
                self.places[index] = place;
            }
            (None, Place::Flushed(database)) => {
                if !database.is_empty() {
                    reaper.free_whole(database, None);
                }
                self.at = (index + 1, None, 0);
            }
            (None, _) => self.at = (index + 1, None, 0),
        }
        Step::More
    }

    /// Saves what is next in a database, and finds big entries; where to go on, slot and cursor, `None` at the end.
    fn step_through(
        &mut self,
        database: &Db,
        number: u16,
        slot: Option<usize>,
        cursor: u64,
        found: &mut Vec<Box<[u8]>>,
    ) -> Option<(usize, u64)> {
        let slots = database.slots();
        let mut slot = slot.unwrap_or(slots.start);
        let empty = (slot..slots.end).take(SLOTS_A_STEP);
        let passed = empty.take_while(|&slot| database.table(slot as u16).is_empty()).count();
        if passed > 0 {
            slot += passed;
            return (slot < slots.end).then_some((slot, 0));
        }
        let mark = self.mark;
        let next = database.scan_slot(slot, cursor, |entry| {
            if entry.mark() == mark {
                return;
            }
            if self.is_big(entry) {
                found.push(table::Entry::key(entry).into());
            } else {
                self.save(number, entry);
            }
        });
        slot += usize::from(next == 0);
        (slot < slots.end).then_some((slot, next))
    }

    /// Begins to save a big entry that the walk has found; one that nobody can reach any more is taken out.
    fn begin_found(&mut self, place: &mut Place, number: u16, databases: &mut Databases, key: &Key<'_>) {
        match place {
            Place::Done => {}
            Place::Now(now) => {
                let slot = databases.get_mut(*now).and_then(|database| database.find_slot(key));
                if let Some(entry) = slot.map(table::Slot::into_mut) {
                    self.begin_big(number, entry);
                    self.big.push_back(Whereabouts::Key(*now, key.bytes.into()));
                }
            }
            Place::Flushed(database) => {
                if let Some(mut entry) = database.remove(key) {
                    self.begin_big(number, &mut entry);
                    self.big.push_back(Whereabouts::Out(entry));
                }
            }
        }
    }
}

/// The collection at a place, if it is being walked.
fn walked_at<'a>(
    place: &'a mut Whereabouts,
    databases: &'a mut Databases,
    map: &SlotMap,
) -> Option<&'a mut dyn Walkable> {
    let entry = match place {
        Whereabouts::Out(entry) => entry,
        Whereabouts::Key(number, key) => {
            databases.get_mut(*number)?.find_slot(&Key::new(key, map)).map(table::Slot::into_mut)?
        }
    };
    if !entry.is_walked() {
        return None;
    }
    entry.object_mut()?.walkable()
}

/// Writes the commands that make a key: SET for a string, RESTORE for everything else, which keeps it as it is.
fn write_as_commands(writer: &mut Writer, entry: &Entry, select: Option<u16>) {
    let mut bytes = Vec::new();
    if let Some(number) = select {
        resp::append_select(&mut bytes, number);
    }
    let key = table::Entry::key(entry);
    let at = entry.expiry().unwrap_or(0).to_string();
    match entry.value() {
        Value::Text(text) => text.with(|text| match entry.expiry() {
            Some(_) => resp::append(&mut bytes, &[b"SET", key, text, b"PXAT", at.as_bytes()]),
            None => resp::append(&mut bytes, &[b"SET", key, text]),
        }),
        value => {
            resp::append(&mut bytes, &[b"RESTORE", key, at.as_bytes(), &dump_in(&value, writer.dialect()), b"ABSTTL"])
        }
    }
    writer.raw(&bytes);
}

/// Writes a key with its expiry, how much it is used, and its value.
fn write_entry(writer: &mut Writer, entry: &Entry, manner: &Manner) {
    write_head(writer, entry, manner, type_of(&entry.value(), writer.dialect()));
    save(writer, &entry.value());
}

/// Writes what comes before a value.
fn write_head(writer: &mut Writer, entry: &Entry, manner: &Manner, kind: u8) {
    if let Some(at_ms) = entry.expiry() {
        writer.byte(opcode::EXPIRES_MS);
        writer.milliseconds(at_ms);
    }
    match manner.policy {
        policy if policy::is_lfu(policy) => {
            writer.byte(opcode::FREQUENCY);
            writer.byte(entry.clock() as u8);
        }
        policy if policy::is_lru(policy) => {
            writer.byte(opcode::IDLE);
            writer.number(u64::from(policy::idle_seconds(entry.clock(), manner.clock)));
        }
        _ => {}
    }
    writer.byte(kind);
    writer.string(table::Entry::key(entry));
}
