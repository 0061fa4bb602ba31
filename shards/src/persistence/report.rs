//! What is told of a file that is read: how far it was, what was in it, and what is wrong with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: u64,
    /// The key that was being read.
    pub key: Option<Vec<u8>>,
    pub what: String,
}

/// What a file told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub version: u16,
    pub is_valkey: bool,
    pub aux: Vec<(String, String)>,
    /// Sources of libraries of functions.
    pub functions: Vec<Vec<u8>>,
    pub keys: u64,
    /// Keys with an expiry.
    pub volatile: u64,
    /// Keys that had expired, which were not loaded.
    pub expired: u64,
    /// Keys with nothing in them, which were not loaded either.
    pub empty: u64,
    /// The checksum is there and right; a file may have been written without one.
    pub has_checksum: bool,
    pub databases: usize,
    /// Where it ends: what follows is no part of the snapshot.
    pub end: u64,
}

impl Report {
    /// Keys that there are when it is loaded.
    pub fn loaded_keys(&self) -> u64 {
        self.keys - self.expired - self.empty
    }
}

/// How far a file was read, for those who watch.
#[derive(Default)]
pub struct Progress {
    pub bytes: AtomicU64,
    pub total: AtomicU64,
    pub keys: AtomicU64,
    /// Memory that the data took where the snapshot was taken, as far as it says so.
    pub used_memory: AtomicU64,
    /// Whoever wanted the file does so no longer.
    pub is_unwanted: AtomicBool,
}

impl Progress {
    /// Whether nobody waits for the rest: the server stops, or whoever wanted the file does so no longer.
    pub fn is_broken_off(&self, is_stopping: bool) -> bool {
        is_stopping || self.is_unwanted.load(Ordering::Relaxed)
    }
}
