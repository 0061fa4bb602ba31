//! ACL LOG: what was denied of late, the same thing once with the number of times.
//!
//! Whoever is refused all the time must not push out of it what happened once: what is like one of the newest entries is
//! counted there.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sherd_shards::rights::Denied;

/// What was not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Auth,
    Command,
    Key,
    Channel,
    Database,
    /// A client's certificate names no user that is on.
    Certificate,
}

impl Reason {
    /// All of them, by their numbers.
    pub const ALL: [Reason; 6] =
        [Reason::Auth, Reason::Command, Reason::Key, Reason::Channel, Reason::Database, Reason::Certificate];

    /// As the log names it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Auth => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Database => "database",
            Reason::Certificate => "tls-cert",
        }
    }
}

impl From<Denied> for Reason {
    fn from(denied: Denied) -> Reason {
        match denied {
            Denied::Database(_) => Reason::Database,
            Denied::Command => Reason::Command,
            Denied::Key(_) => Reason::Key,
            Denied::Channel(_) => Reason::Channel,
        }
    }
}

/// In what something was not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    TopLevel,
    Multi,
    Script,
}

impl Setting {
    /// As the log names it.
    pub fn name(self) -> &'static str {
        match self {
            Setting::TopLevel => "toplevel",
            Setting::Multi => "multi",
            Setting::Script => "lua",
        }
    }
}

/// What was denied, and to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub reason: Reason,
    pub setting: Setting,
    /// The command, key, channel or database; of a failed login, the command that asked for it.
    pub object: Vec<u8>,
    pub username: Vec<u8>,
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub count: u64,
    pub event: Event,
    /// The client, as CLIENT LIST describes it; the last one.
    pub client: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// How far apart two events may be that are counted together.
const TOGETHER_MS_MAX: i64 = 60_000;
/// Newest entries among which one that is alike is looked for.
const LOOKED_AT: usize = 10;
/// Bytes that are kept of an object or a name: a key may have half a gigabyte.
const TEXT_BYTES_MAX: usize = 1 << 10;

#[derive(Default)]
struct Entries {
    next_id: u64,
    /// The newest first.
    list: VecDeque<Entry>,
}

/// See the [module](self).
#[derive(Default)]
pub struct AccessLog(Mutex<Entries>);

impl AccessLog {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event to a log that may have so many entries.
    pub fn add(&self, mut event: Event, client: String, now_ms: i64, length_max: usize) {
        event.object.truncate(TEXT_BYTES_MAX);
        event.username.truncate(TEXT_BYTES_MAX);
        let mut entries = self.lock();
        let alike = |entry: &Entry| entry.event == event && (now_ms - entry.updated_ms).abs() <= TOGETHER_MS_MAX;
        let known = entries.list.iter().take(LOOKED_AT).position(alike);
        if let Some(mut entry) = known.and_then(|at| entries.list.remove(at)) {
            entry.count += 1;
            (entry.client, entry.updated_ms) = (client, now_ms);
            entries.list.push_front(entry);
        } else {
            let id = entries.next_id;
            entries.next_id += 1;
            entries.list.push_front(Entry { id, count: 1, event, client, created_ms: now_ms, updated_ms: now_ms });
        }
        entries.list.truncate(length_max);
    }

    /// The newest entries.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.lock().list.iter().take(count).cloned().collect()
    }

    /// ACL LOG RESET.
    pub fn clear(&self) {
        self.lock().list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(object: &str) -> Event {
        let (object, username) = (object.as_bytes().to_vec(), b"anna".to_vec());
        Event { reason: Reason::Key, setting: Setting::TopLevel, object, username }
    }

    fn shown(log: &AccessLog) -> Vec<(u64, u64, String)> {
        let text = |entry: &Entry| String::from_utf8_lossy(&entry.event.object).into_owned();
        log.newest(100).iter().map(|entry| (entry.id, entry.count, text(entry))).collect()
    }

    #[test]
    fn the_same_event_is_counted_and_comes_to_the_front_unless_it_was_long_ago() {
        let log = AccessLog::default();
        for (object, now_ms) in [("a", 0), ("b", 10), ("a", 20), ("a", 60_000), ("a", 130_001)] {
            log.add(event(object), String::new(), now_ms, 128);
        }
        assert_eq!(shown(&log), [(2, 1, "a".to_owned()), (0, 3, "a".to_owned()), (1, 1, "b".to_owned())]);
        assert_eq!(log.newest(1)[0].created_ms, 130_001);
        log.clear();
        assert!(log.newest(1).is_empty());
    }

    #[test]
    fn the_log_has_a_length_and_texts_do() {
        let log = AccessLog::default();
        (0..20).for_each(|number| log.add(event(&number.to_string()), String::new(), 0, 3));
        assert_eq!(shown(&log).iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [19, 18, 17]);
        log.add(event(&"x".repeat(1 << 20)), String::new(), 0, 3);
        assert_eq!(log.newest(1)[0].event.object.len(), TEXT_BYTES_MAX);
        log.add(event("y"), String::new(), 0, 0);
        assert!(log.newest(1).is_empty());
    }
}
