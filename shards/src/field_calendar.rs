//! When hashes and sets of a shard have fields or members to expire: a queue of announcements, earliest first.
//!
//! A key announces itself when its elements are due earlier than it has said before ([`crate::types::hash::Fields::announce`]); what it said before
//! is void then and passed over when its time comes, so nothing is ever searched for in the queue. The keys are copied:
//! an announcement outlives its key, whose removal then costs nothing here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::db::Key;
use crate::notify::class;
use crate::object::Type;
use crate::shard::Shard;
use crate::table;

/// Time that one slice may hold the shard.
const SLICE: Duration = Duration::from_micros(300);
/// Buckets of a hash or set between two looks at the clock.
const STEP: usize = 128;
/// Announcements looked at in one slice.
const KEYS_A_SLICE: usize = 256;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Announcement {
    due_ms: u64,
    db: u16,
    key: Box<[u8]>,
}

/// See the file's head.
#[derive(Default)]
pub struct FieldCalendar {
    queue: BinaryHeap<Reverse<Announcement>>,
}

impl FieldCalendar {
    /// Enters that a key has elements that expire at `due_ms`.
    pub fn announce(&mut self, due_ms: u64, db: u16, key: &[u8]) {
        self.queue.push(Reverse(Announcement { due_ms, db, key: key.into() }));
    }

    /// The earliest time announced.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(first)| first.due_ms)
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u16, b: u16) {
        let all = std::mem::take(&mut self.queue).into_iter().map(|Reverse(mut one)| {
            one.db = match one.db {
                db if db == a => b,
                db if db == b => a,
                db => db,
            };
            Reverse(one)
        });
        self.queue = all.collect();
    }

    fn pop_due(&mut self, now_ms: u64) -> Option<Announcement> {
        self.queue.peek().filter(|Reverse(first)| first.due_ms <= now_ms)?;
        self.queue.pop().map(|Reverse(first)| first)
    }
}

/// Enters a key into the calendar, if it has fields or members that expire earlier than it has said.
pub fn announce(shard: &mut Shard, db: u16, key: &Key<'_>) {
    if let Some(due_ms) = shard.db_mut(db).and_then(|database| database.announce(key, false)) {
        shard.calendar.announce(due_ms, db, key.bytes);
        shard.publish_calendar();
    }
}

/// Removes fields and members that have expired, for one slice of time.
pub fn slice(shard: &mut Shard) {
    let begun = Instant::now();
    let now_ms = shard.world.now_milliseconds() as u64;
    for _ in 0..KEYS_A_SLICE {
        let Some(announcement) = shard.calendar.pop_due(now_ms) else { break };
        visit(shard, &announcement, now_ms, begun);
        if begun.elapsed() >= SLICE {
            break;
        }
    }
    shard.publish_calendar();
}

fn visit(shard: &mut Shard, announcement: &Announcement, now_ms: u64, begun: Instant) {
    let Announcement { due_ms, db, key } = announcement;
    let key = Key { bytes: key, hash: table::hash(key), slot: shard.world.slots.slot(key) };
    let Some(entry) = shard.dbs_get(*db, &key).filter(|entry| !entry.is_expired(now_ms as i64)) else { return };
    let kind = entry.value_type();
    let Some(object) = entry.object_mut() else { return };
    let Some(fields) = object.timed_mut().filter(|fields| fields.is_announced(*due_ms)) else { return };
    let mut removed = 0;
    let mut complete = false;
    while !complete && begun.elapsed() < SLICE {
        complete = fields.sweep_expired(STEP, now_ms, |_| removed += 1);
    }
    let emptied = fields.is_empty();
    if removed > 0 {
        elements_expired(shard, *db, &key, kind, removed);
    }
    if emptied {
        remove_emptied(shard, *db, &key);
    } else if let Some(next_ms) = shard.db_mut(*db).and_then(|database| database.announce(&key, true)) {
        shard.calendar.announce(next_ms, *db, key.bytes);
    }
}

/// What follows the expiry of fields or members of a key.
pub fn elements_expired(shard: &mut Shard, db: u16, key: &Key<'_>, kind: Type, count: usize) {
    if !shard.watches.is_empty() {
        shard.watches.touch(db, key.bytes);
    }
    let (counter, event_class, event) = match kind {
        Type::Set => (&shard.stats.expired_members, class::SET, "sexpired"),
        _ => (&shard.stats.expired_fields, class::HASH, "hexpired"),
    };
    counter.add(count as u64);
    let wanted = shard.world.settings.notify_keyspace_events.get() as u32;
    if wanted & event_class != 0 {
        shard.events.push(db, event, key.bytes);
    }
}

/// Removes a key whose last field or member has expired.
pub fn remove_emptied(shard: &mut Shard, db: u16, key: &Key<'_>) {
    if let Some(entry) = shard.db_mut(db).and_then(|database| database.remove(key)) {
        shard.free(entry);
        let wanted = shard.world.settings.notify_keyspace_events.get() as u32;
        if wanted & class::GENERIC != 0 {
            shard.events.push(db, "del", key.bytes);
        }
    }
}
