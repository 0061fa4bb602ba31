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

/// Something that clients can cause as often as they like: a few a second are told one by one, the others as a number.
#[derive(Default, Debug)]
pub struct Occasional {
    second: i64,
    told: u32,
    untold: u64,
}

/// How many are told in one second.
const TOLD_A_SECOND: u32 = 10;

impl Occasional {
    /// Takes one; if it is to be told, how many were not since the last one that was.
    pub fn note(&mut self, now_ms: i64) -> Option<u64> {
        let second = now_ms / 1000;
        if second != self.second {
            (self.second, self.told) = (second, 0);
        }
        if self.told == TOLD_A_SECOND {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Records that may wait; the oldest give way, and how many did is told.
const RECORDS_MAX: usize = 4096;

/// Records that wait to be written.
pub struct Log {
    /// With the number of those that were lost.
    records: Mutex<(VecDeque<Record>, u64)>,
    /// Wakes the control plane; rung with the first record after it took all.
    bell: Box<dyn Fn() + Send + Sync>,
}

impl Log {
    /// An empty log.
    pub fn new(bell: Box<dyn Fn() + Send + Sync>) -> Log {
        Log { records: Mutex::default(), bell }
    }

    /// Adds a record.
    pub fn add(&self, level: Level, event: &str, fields: Vec<(&'static str, String)>) {
        let record = Record {
            level,
            unix_time_ms: sherd_metrics::clock::unix_milliseconds(),
            // Only Python's threads have no name here.
            thread: std::thread::current().name().unwrap_or("python").to_owned(),
            event: event.to_owned(),
            fields,
        };
        let mut log = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = log.0.is_empty();
        if log.0.len() >= RECORDS_MAX {
            log.0.pop_front();
            log.1 += 1;
        }
        log.0.push_back(record);
        drop(log);
        if is_first {
            (self.bell)();
        }
    }

    /// Takes up to `limit` records; the first tells how many were lost, if any were.
    pub fn drain(&self, limit: usize) -> Vec<Record> {
        let mut log = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let count = log.0.len().min(limit);
        let mut records: Vec<Record> = log.0.drain(..count).collect();
        let lost = std::mem::take(&mut log.1);
        if lost > 0 {
            records.insert(
                0,
                Record {
                    level: Level::Warning,
                    unix_time_ms: sherd_metrics::clock::unix_milliseconds(),
                    thread: "python".to_owned(),
                    event: "log records were lost".to_owned(),
                    fields: vec![("count", lost.to_string())],
                },
            );
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_only_so_many_are_told_in_a_second_and_the_rest_as_a_number() {
        let mut flood = Occasional::default();
        let told = (0..1000).filter(|number| flood.note(5000 + number / 10) == Some(0)).count();
        assert_eq!(told, TOLD_A_SECOND as usize);
        assert_eq!(flood.note(6000), Some(1000 - u64::from(TOLD_A_SECOND)));
        assert_eq!(flood.note(6001), Some(0));
    }
}
