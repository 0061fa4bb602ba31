//! Log records of the data plane, drained in batches by the control plane, which writes them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How important a record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Debug = 0,
    Verbose = 1,
    Notice = 2,
    Warning = 3,
    Critical = 4,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    pub level: Level,
    pub unix_time_ms: i64,
    pub thread: String,
    pub event: String,
    pub fields: Vec<(&'static str, String)>,
}

/// Records that may wait; the oldest give way, and how many did is told.
const RECORDS_MAX: usize = 4096;

/// See the file's head.
#[derive(Default)]
pub struct Log(Mutex<(VecDeque<Record>, u64)>);

impl Log {
    /// Adds a record.
    pub fn add(&self, level: Level, event: &str, fields: Vec<(&'static str, String)>) {
        let record = Record {
            level,
            unix_time_ms: sherd_metrics::clock::unix_milliseconds(),
            thread: std::thread::current().name().unwrap_or("").to_owned(),
            event: event.to_owned(),
            fields,
        };
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.0.len() >= RECORDS_MAX {
            log.0.pop_front();
            log.1 += 1;
        }
        log.0.push_back(record);
    }

    /// Takes up to `limit` records; the first tells how many were lost, if any were.
    pub fn drain(&self, limit: usize) -> Vec<Record> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = log.0.len().min(limit);
        let mut records: Vec<Record> = log.0.drain(..count).collect();
        let lost = std::mem::take(&mut log.1);
        if lost > 0 {
            records.insert(
                0,
                Record {
                    level: Level::Warning,
                    unix_time_ms: sherd_metrics::clock::unix_milliseconds(),
                    thread: String::new(),
                    event: "log records were lost".to_owned(),
                    fields: vec![("count", lost.to_string())],
                },
            );
        }
        records
    }
}
