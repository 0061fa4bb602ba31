//! When hashes and sets of a shard have fields or members to expire: a queue of announcements, earliest first.
//!
//! A key announces itself when its elements are due earlier than it has said before ([`sherd_types::hash::Fields::announce`]); what it said before
//! is void then and passed over when its time comes, so nothing is ever searched for in the queue. The keys are copied:
//! an announcement outlives its key, whose removal then costs nothing here. So that void announcements of a far future do not
//! pile up, the queue is rewritten, a few announcements with each new one, when most of it must be void.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::entry::object::ObjectRef;
use crate::entry::Entry;
use crate::keyspace::db::Db;
use crate::server::shard::Shard;

/// Time that one slice may hold the shard.
const SLICE: Duration = Duration::from_micros(300);
/// Buckets of a hash or set between two looks at the clock.
const STEP: usize = 128;
/// Announcements looked at in one slice.
const KEYS_A_SLICE: usize = 256;

/// A queue is rewritten when it is longer than twice what stands, and this.
const VOID_MIN: usize = 1024;
/// Announcements rewritten with each new one: enough to end long before the queue has doubled again.
const REWRITTEN_EACH: usize = 4;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Announcement {
    due_ms: u64,
    db: u16,
    key: Box<[u8]>,
}

/// See the file's head.
#[derive(Default)]
pub struct FieldCalendar {
    queue: Queue,
    /// What is to be rewritten yet, or left out.
    old: Queue,
    /// The length of the queue from which on it is counted whether a rewrite is due.
    count_from: usize,
}

type Queue = BinaryHeap<Reverse<Announcement>>;

impl FieldCalendar {
    /// Announcements, those that are void included.
    pub fn len(&self) -> usize {
        self.queue.len() + self.old.len()
    }

    /// Whether nothing is announced.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The earliest time announced.
    pub fn next_due_ms(&self) -> Option<u64> {
        let firsts = [self.queue.peek(), self.old.peek()];
        firsts.into_iter().flatten().map(|Reverse(first)| first.due_ms).min()
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u16, b: u16) {
        for queue in [&mut self.queue, &mut self.old] {
            let all = std::mem::take(queue).into_iter().map(|Reverse(mut one)| {
                one.db = match one.db {
                    db if db == a => b,
                    db if db == b => a,
                    db => db,
                };
                Reverse(one)
            });
            *queue = all.collect();
        }
    }

    fn pop_due(&mut self, now_ms: u64) -> Option<Announcement> {
        let queue = [&mut self.queue, &mut self.old].into_iter().find(|queue| {
            let first = queue.peek();
            first.is_some_and(|Reverse(first)| first.due_ms <= now_ms)
        });
        queue?.pop().map(|Reverse(first)| first)
    }
}

/// Enters that a key has elements that expire at `due_ms`, and goes on with a rewrite that is due.
pub(crate) fn enter(shard: &mut Shard, due_ms: u64, db: u16, key: &[u8]) {
    shard.calendar.queue.push(Reverse(Announcement { due_ms, db, key: key.into() }));
    for _ in 0..REWRITTEN_EACH {
        let Some(Reverse(one)) = shard.calendar.old.pop() else { break };
        let is_double = shard.calendar.old.peek().is_some_and(|Reverse(next)| *next == one);
        if !is_double && stands(shard, &one) {
            shard.calendar.queue.push(Reverse(one));
        }
    }
    let length = shard.calendar.queue.len();
    if shard.calendar.old.is_empty() && length >= shard.calendar.count_from {
        let standing: usize = (0..shard.dbs_touched()).filter_map(|db| shard.db(db as u16)).map(Db::timed_len).sum();
        shard.calendar.count_from = 2 * standing + VOID_MIN;
        if length > shard.calendar.count_from {
            shard.calendar.old = std::mem::take(&mut shard.calendar.queue);
        }
    }
}

/// Whether an announcement is what its key has said last.
fn stands(shard: &Shard, announcement: &Announcement) -> bool {
    let key = shard.key_of(&announcement.key);
    let object = shard.db(announcement.db).and_then(|database| database.find(&key)).and_then(Entry::object);
    object.and_then(ObjectRef::timed).is_some_and(|fields| fields.is_announced(announcement.due_ms))
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
    let Announcement { db, key, .. } = announcement;
    let key = shard.key_of(key);
    let found = shard.db(*db).and_then(|database| database.find(&key));
    if found.is_none_or(|entry| entry.is_expired(now_ms as i64)) || !stands(shard, announcement) {
        return;
    }
    let stays = shard.expire_elements(*db, &key, |fields, gone| {
        let mut complete = false;
        while !complete && begun.elapsed() < SLICE {
            complete = fields.sweep_expired(STEP, now_ms, &mut *gone);
        }
    });
    if !stays {
        return;
    }
    if let Some(next_ms) = shard.next_announcement(*db, &key, true) {
        enter(shard, next_ms, *db, key.bytes);
    }
}
