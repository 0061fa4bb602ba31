//! The biggest keys of a shard: those that take the most memory, and those with the most elements. Found by
//! [`crate::maintenance::survey`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::entry::{Entry, Value};
use sherd_types::table;

/// Keys in each of the lists of a shard.
pub const KEYS_MAX: usize = 32;
/// Elements by whose size a collection's memory is estimated.
const SAMPLES: usize = 5;
/// Longer keys are left out of the lists.
const KEY_BYTES_MAX: usize = 1024;

/// A key of the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigKey {
    pub key: Vec<u8>,
    pub db: u16,
    pub value_type: &'static str,
    /// As MEMORY USAGE would say.
    pub bytes: usize,
    /// Of a collection; bytes of a string count as none.
    pub elements: usize,
}

/// The lists of one shard, for other threads to read.
#[derive(Default, Debug)]
pub struct Findings(Mutex<Lists>);

#[derive(Clone, Default, Debug)]
pub(crate) struct Lists {
    by_bytes: Vec<BigKey>,
    by_elements: Vec<BigKey>,
}

impl Findings {
    /// The lists themselves.
    pub(crate) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of both lists, each once.
    pub fn all(&self) -> Vec<BigKey> {
        let lists = self.lists().clone();
        let is_new = |big: &BigKey| !lists.by_bytes.iter().any(|other| other.key == big.key && other.db == big.db);
        let more: Vec<BigKey> = lists.by_elements.iter().filter(|big| is_new(big)).cloned().collect();
        lists.by_bytes.into_iter().chain(more).collect()
    }
}

impl Lists {
    /// Takes a key in if it is among the biggest so far.
    pub(crate) fn offer(&mut self, db: u16, entry: &Entry) {
        let key = table::Entry::key(entry);
        if key.len() > KEY_BYTES_MAX {
            return;
        }
        let bytes = entry.memory_bytes(SAMPLES);
        let elements = match entry.value() {
            Value::Object(object) => object.element_count(),
            Value::Text(_) => 0,
        };
        let is_big = |list: &[BigKey], size: usize, of: fn(&BigKey) -> usize| {
            size > 0 && (list.len() < KEYS_MAX || list.last().is_some_and(|least| size > of(least)))
        };
        for (list, size, of) in [
            (&mut self.by_bytes, bytes, (|big| big.bytes) as fn(&BigKey) -> usize),
            (&mut self.by_elements, elements, |big| big.elements),
        ] {
            // SCAN's order shows a key twice where the table shrinks.
            if !is_big(list, size, of) || list.iter().any(|big| big.key == key && big.db == db) {
                continue;
            }
            let place = list.partition_point(|big| of(big) >= size);
            let value_type = entry.value_type().name();
            list.insert(place, BigKey { key: key.to_vec(), db, value_type, bytes, elements });
            list.truncate(KEYS_MAX);
        }
    }
}
