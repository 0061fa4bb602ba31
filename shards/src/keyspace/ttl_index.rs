//! When hashes and sets of a shard have fields or members to expire: a queue of announcements, earliest first.
//!
//! A key announces itself when its elements are due earlier than it has said before ([`sherd_types::hash::Fields::announce`]); what it said before
//! is void then and passed over when its time comes, so nothing is ever searched for in the queue. The keys are copied:
//! an announcement outlives its key, whose removal then costs nothing here. So that void announcements of a far future do not
//! pile up, the queue is rewritten, a few announcements with each new one, when most of it must be void.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::db::{Db, Key};
use super::Databases;
use crate::entry::object::ObjectRef;
use crate::entry::Entry;
use crate::slot::SlotMap;

/// A queue is rewritten when it is longer than twice what stands, and this.
const VOID_MIN: usize = 1024;
/// Announcements rewritten with each new one: enough to end long before the queue has doubled again.
const REWRITTEN_EACH: usize = 4;

/// That a key has elements which expire at a time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    due_ms: u64,
    pub db: u16,
    pub key: Box<[u8]>,
}

impl Announcement {
    /// Of a key in a database.
    pub fn new(due_ms: u64, db: u16, key: &[u8]) -> Announcement {
        Announcement { due_ms, db, key: key.into() }
    }

    /// Whether it is what its key has said last.
    pub fn stands(&self, databases: &Databases, map: &SlotMap) -> bool {
        let key = Key::new(&self.key, map);
        let object = databases.get(self.db).and_then(|database| database.find(&key)).and_then(Entry::object);
        object.and_then(ObjectRef::timed).is_some_and(|fields| fields.is_announced(self.due_ms))
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct TtlIndex {
    queue: Queue,
    /// What is to be rewritten yet, or left out.
    old: Queue,
    /// The length of the queue from which on it is counted whether a rewrite is due.
    count_from: usize,
}

type Queue = BinaryHeap<Reverse<Announcement>>;

impl TtlIndex {
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

    /// Takes the next announcement whose time has come, which may be void.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Announcement> {
        let queue = [&mut self.queue, &mut self.old].into_iter().find(|queue| {
            let first = queue.peek();
            first.is_some_and(|Reverse(first)| first.due_ms <= now_ms)
        });
        queue?.pop().map(|Reverse(first)| first)
    }

    /// Enters an announcement, and goes on with a rewrite that is due.
    pub fn enter(&mut self, databases: &Databases, map: &SlotMap, announcement: Announcement) {
        self.queue.push(Reverse(announcement));
        for _ in 0..REWRITTEN_EACH {
            let Some(Reverse(one)) = self.old.pop() else { break };
            let is_double = self.old.peek().is_some_and(|Reverse(next)| *next == one);
            if !is_double && one.stands(databases, map) {
                self.queue.push(Reverse(one));
            }
        }
        let length = self.queue.len();
        if self.old.is_empty() && length >= self.count_from {
            let standing: usize =
                (0..databases.touched()).filter_map(|db| databases.get(db as u16)).map(Db::timed_len).sum();
            self.count_from = 2 * standing + VOID_MIN;
            if length > self.count_from {
                self.old = std::mem::take(&mut self.queue);
            }
        }
    }
}
