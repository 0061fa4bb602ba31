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
/// Bytes of an event and of each of its fields that are kept: a script may log half a gigabyte as often as it likes. Backtraces
/// have room.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// A text that clients may have a say in, as far as it is kept.
fn kept(text: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&text[..text.len().min(TEXT_BYTES_MAX)]);
    match text.len().saturating_sub(TEXT_BYTES_MAX) {
        0 => shown.into_owned(),
        more => format!("{shown}... ({more} more bytes)"),
    }
}

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
        self.add_bytes(level, event.as_bytes(), fields);
    }

    /// Adds a record whose event need not be text.
    pub fn add_bytes(&self, level: Level, event: &[u8], mut fields: Vec<(&'static str, String)>) {
        for (_, field) in fields.iter_mut().filter(|(_, field)| field.len() > TEXT_BYTES_MAX) {
            *field = kept(field.as_bytes());
        }
        let record = Record {
            level,
            unix_time_ms: sherd_metrics::clock::unix_milliseconds(),
            // Only Python's threads have no name here.
            thread: std::thread::current().name().unwrap_or("python").to_owned(),
            event: kept(event),
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
    fn of_long_texts_the_beginning_is_kept_and_how_much_follows() {
        let log = Log::new(Box::new(|| ()));
        let long = "\u{fc}".repeat(TEXT_BYTES_MAX);
        log.add(Level::Notice, &long, vec![("short", "text".to_owned()), ("long", long.clone())]);
        let record = log.drain(1).remove(0);
        let fields = record.fields;
        for text in [&record.event, &fields[1].1] {
            assert!(text.len() < TEXT_BYTES_MAX + 30 && text.starts_with("\u{fc}\u{fc}"));
            assert!(text.ends_with(&format!("... ({TEXT_BYTES_MAX} more bytes)")));
        }
        assert_eq!(fields[0].1, "text");
    }

    #[test]
    fn of_a_flood_only_so_many_are_told_in_a_second_and_the_rest_as_a_number() {
        let mut flood = Occasional::default();
        let told = (0..1000).filter(|number| flood.note(5000 + number / 10) == Some(0)).count();
        assert_eq!(told, TOLD_A_SECOND as usize);
        assert_eq!(flood.note(6000), Some(1000 - u64::from(TOLD_A_SECOND)));
        assert_eq!(flood.note(6001), Some(0));
    }
}
