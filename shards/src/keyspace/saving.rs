//! A shard's part of a snapshot that is being taken, and the way of its bytes to the thread that writes the file.
//!
//! Every shard has a mark, and outside of snapshots every entry in it has the same one: entries get it when they come into a
//! database. A snapshot turns the shard's mark over. Whatever has the old one then existed at the cut and is to be saved;
//! whoever saves an entry gives it the new one. So no list of what was saved is kept, a key that is made after the cut is passed
//! over, and in the end all entries have the same mark again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::db::Db;
use super::Databases;
use crate::entry::policy;
use crate::entry::{Entry, Value};
use crate::journal::resp;
use crate::rdb::dump::dump;
use crate::rdb::format::opcode;
use crate::rdb::{save, type_of, Writer};
use crate::server::lazyfree::Reaper;
use sherd_types::table;

/// Bytes that a shard collects before it hands them over.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes that may wait for the file; when there are more, the walk through the keys stops. Those of changed keys still come.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Slots without keys that one step of the walk passes.
const SLOTS_A_STEP: usize = 512;
/// Buckets between two looks at the clock.
const STEPS: usize = 8;

/// The way from the shards to the thread that writes.
#[derive(Default)]
pub struct Sink {
    queue: Mutex<Queue>,
    filled: Condvar,
    waiting_bytes: AtomicUsize,
    /// Nothing more is wanted: shards go on with their marks only.
    cancelled: AtomicBool,
    pub keys: AtomicU64,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// Shards that have not come to their end.
    open: usize,
}

impl Sink {
    /// A way for so many shards.
    pub fn new(shards: usize) -> Arc<Sink> {
        let queue = Mutex::new(Queue { chunks: VecDeque::new(), open: shards });
        Arc::new(Sink { queue, ..Sink::default() })
    }

    /// Whether so much waits that the shards' walks are to stop.
    pub fn is_full(&self) -> bool {
        self.waiting_bytes.load(Ordering::SeqCst) >= WAITING_BYTES_MAX
    }

    /// Makes the rest of the snapshot go nowhere.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.lock().chunks.clear();
        self.waiting_bytes.store(0, Ordering::SeqCst);
    }

    /// Whether [`Sink::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The next bytes, `None` when every shard has come to its end. An empty chunk says that nothing has come for a while.
    pub fn receive(&self, at_most: Duration) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        if queue.chunks.is_empty() && queue.open > 0 {
            let waited = self.filled.wait_timeout(queue, at_most);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match queue.chunks.pop_front() {
            Some(chunk) => {
                self.waiting_bytes.fetch_sub(chunk.len(), Ordering::SeqCst);
                Some(chunk)
            }
            None if queue.open == 0 => None,
            None => Some(Vec::new()),
        }
    }

    fn send(&self, chunk: Vec<u8>, is_last: bool) {
        let mut queue = self.lock();
        queue.open -= usize::from(is_last);
        if !chunk.is_empty() && !self.is_cancelled() {
            self.waiting_bytes.fetch_add(chunk.len(), Ordering::SeqCst);
            queue.chunks.push_back(chunk);
        }
        drop(queue);
        self.filled.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

/// In which form entries are written.
#[derive(Clone, Copy)]
pub struct Form {
    pub compress: bool,
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
    /// Where the walk is: database, slot (`None` at its beginning), cursor.
    at: (usize, Option<usize>, u64),
    sink: Arc<Sink>,
    keys: u64,
}

impl Saving {
    /// The cut: every entry whose mark is not `mark` is to be saved.
    pub fn begin(databases: &Databases, mark: bool, manner: Manner, sink: Arc<Sink>) -> Saving {
        let place = |number: usize| match databases.get(number as u16) {
            Some(database) if !database.is_empty() => Place::Now(number as u16),
            _ => Place::Done,
        };
        let places = (0..databases.touched()).map(place).collect();
        let writer = Writer::compressing(manner.form.compress);
        Saving { mark, manner, writer, selected: None, places, at: (0, None, 0), sink, keys: 0 }
    }

    /// The number at the cut of the database that is at `now`.
    fn number_at_cut(&self, now: u16) -> Option<u16> {
        let number = self.places.iter().position(|place| matches!(place, Place::Now(number) if *number == now))?;
        Some(number as u16)
    }

    /// Saves an entry that is about to change or to go, if that was not done yet.
    pub fn save_first(&mut self, now: u16, entry: &Entry) {
        if entry.mark() == self.mark {
            return;
        }
        if let Some(number) = self.number_at_cut(now) {
            self.save(number, entry);
        }
    }

    /// Keeps a database that was emptied.
    pub fn keep(&mut self, now: u16, database: Box<Db>) -> Option<Box<Db>> {
        match self.number_at_cut(now) {
            Some(number) => {
                self.places[usize::from(number)] = Place::Flushed(database);
                None
            }
            None => Some(database),
        }
    }

    /// Two databases change places.
    pub fn swap(&mut self, a: u16, b: u16) {
        for place in &mut self.places {
            match place {
                Place::Now(number) if *number == a => *number = b,
                Place::Now(number) if *number == b => *number = a,
                _ => {}
            }
        }
    }

    fn save(&mut self, number: u16, entry: &Entry) {
        entry.set_mark(self.mark);
        // What has expired and was not removed yet is saved as well: replicas still have it, and are to be told when it goes.
        if self.sink.is_cancelled() {
            return;
        }
        crate::rdb::delay(self.manner.key_delay);
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
        self.keys += 1;
        if self.writer.bytes().len() >= CHUNK_BYTES {
            self.hand_over(false);
        }
    }

    fn hand_over(&mut self, is_last: bool) {
        self.selected = None;
        self.sink.keys.fetch_add(std::mem::take(&mut self.keys), Ordering::Relaxed);
        self.sink.send(self.writer.take(), is_last);
    }

    /// Goes on with the walk until `until`, or until so much waits for the file that it has to stop; true at its end.
    pub fn walk(&mut self, databases: &Databases, reaper: &Reaper, until: Instant) -> bool {
        while !self.sink.is_full() {
            for _ in 0..STEPS {
                if !self.step(databases, reaper) {
                    self.hand_over(true);
                    return true;
                }
            }
            if Instant::now() >= until {
                break;
            }
        }
        false
    }

    /// One step of the walk; false at its end.
    fn step(&mut self, databases: &Databases, reaper: &Reaper) -> bool {
        let (index, slot, cursor) = self.at;
        // Taken out while its keys are visited, which needs the rest of this.
        let Some(place) = self.places.get_mut(index).map(|place| std::mem::replace(place, Place::Done)) else {
            return false;
        };
        let database = match &place {
            Place::Done => None,
            Place::Now(number) => databases.get(*number),
            Place::Flushed(database) => Some(&**database),
        };
        let next = database.and_then(|database| {
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
                if entry.mark() != mark {
                    self.save(index as u16, entry);
                }
            });
            slot += usize::from(next == 0);
            (slot < slots.end).then_some((slot, next))
        });
        match (next, place) {
            (Some((slot, cursor)), place) => {
                self.at = (index, Some(slot), cursor);
                self.places[index] = place;
            }
            (None, Place::Flushed(database)) => {
                if !database.is_empty() {
                    reaper.free_whole(database);
                }
                self.at = (index + 1, None, 0);
            }
            (None, _) => self.at = (index + 1, None, 0),
        }
        true
    }
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
        value => resp::append(&mut bytes, &[b"RESTORE", key, at.as_bytes(), &dump(&value), b"ABSTTL"]),
    }
    writer.raw(&bytes);
}

/// Writes a key with its expiry, how much it is used, and its value.
pub fn write_entry(writer: &mut Writer, entry: &Entry, manner: &Manner) {
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
    let value = entry.value();
    writer.byte(type_of(&value));
    writer.string(table::Entry::key(entry));
    save(writer, &value);
}
