//! Hooks: what extensions want to be told of keyspace events.
//!
//! Events come from whichever thread lets go of a shard; those that a hook waits for are put into the extensions' queue, up to
//! a bound: a hook that is slower than its events loses the newest ones, which are counted and logged.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sherd_shards::glob;
use sherd_shards::keyspace::events::{class, Event};

use crate::observe::log::{Level, Log, Occasional};

use super::work::{Task, Work, WorkQueue};

/// Events that may wait for hooks.
const WAITING_EVENTS_MAX: usize = 16_384;

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// As the extension's threads know it.
    pub id: u64,
    /// The event's name.
    pub event: String,
    /// Which keys, as a glob pattern.
    pub pattern: Vec<u8>,
}

impl Hook {
    /// The classes of events to be raised for it.
    fn classes(&self) -> u32 {
        class::classes_of(&self.event)
    }

    fn wants(&self, event: &Event) -> bool {
        event.message.is_none() && self.event == event.name && glob::matches(&self.pattern, &event.key)
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Hooks {
    hooks: RwLock<Arc<[Hook]>>,
    waiting: AtomicUsize,
    lost: AtomicU64,
    occasional: Mutex<Occasional>,
}

impl Hooks {
    /// Has these hooks from now on, and no others. Returns the classes of events that they wait for.
    pub fn set(&self, hooks: Vec<Hook>) -> u32 {
        let classes = hooks.iter().fold(0, |classes, hook| classes | hook.classes());
        *self.hooks.write().unwrap_or_else(PoisonError::into_inner) = hooks.into();
        classes
    }

    /// Puts those of the events into the queue that hooks wait for.
    pub fn note(&self, events: &[Event], work: &WorkQueue, log: &Log, now_ms: i64) {
        let hooks = Arc::clone(&self.hooks.read().unwrap_or_else(PoisonError::into_inner));
        for event in events {
            for hook in hooks.iter().filter(|hook| hook.wants(event)) {
                if self.waiting.fetch_add(1, Relaxed) >= WAITING_EVENTS_MAX {
                    self.waiting.fetch_sub(1, Relaxed);
                    self.lose(hook, log, now_ms);
                    continue;
                }
                work.push(Work::Task(Box::new(Task { id: hook.id, event: Some(event.clone()) })));
            }
        }
    }

    #[cold]
    fn lose(&self, hook: &Hook, log: &Log, now_ms: i64) {
        let lost = self.lost.fetch_add(1, Relaxed) + 1;
        let mut occasional = self.occasional.lock().unwrap_or_else(PoisonError::into_inner);
        if occasional.note(now_ms).is_some() {
            let fields = vec![("event", hook.event.clone()), ("lost", lost.to_string())];
            log.add(Level::Warning, "a hook is slower than its events, some are lost", fields);
        }
    }

    /// An event was taken out of the queue.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// Events that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str, key: &[u8]) -> Event {
        Event { db: 0, class: class::EXPIRED, name, key: key.to_vec(), elements: Vec::new(), message: None, number: 0 }
    }

    fn hook(id: u64, event: &str, pattern: &str) -> Hook {
        Hook { id, event: event.to_owned(), pattern: pattern.as_bytes().to_vec() }
    }

    #[test]
    fn an_event_goes_to_every_hook_that_waits_for_it_and_to_no_other() {
        let (hooks, work, log) = (Hooks::default(), WorkQueue::default(), Log::new(Box::new(|| ())));
        let classes =
            hooks.set(vec![hook(1, "expired", "session:*"), hook(2, "expired", "*"), hook(3, "evicted", "*")]);
        assert_eq!(classes, class::EXPIRED | class::EVICTED);
        hooks.note(&[event("expired", b"session:1"), event("expired", b"other"), event("del", b"k")], &work, &log, 0);
        let ids: Vec<(u64, Vec<u8>)> = work
            .drain()
            .into_iter()
            .map(|work| match work {
                Work::Task(task) => (task.id, task.event.expect("a hook has an event").key),
                _ => unreachable!("hooks are tasks"),
            })
            .collect();
        let expected = [(1, b"session:1".to_vec()), (2, b"session:1".to_vec()), (2, b"other".to_vec())];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_hook_that_is_too_slow_loses_the_newest_events_and_the_log_says_so() {
        let (hooks, work, log) = (Hooks::default(), WorkQueue::default(), Log::new(Box::new(|| ())));
        hooks.set(vec![hook(1, "expired", "*")]);
        for _ in 0..WAITING_EVENTS_MAX + 3 {
            hooks.note(&[event("expired", b"k")], &work, &log, 0);
        }
        assert_eq!((work.drain().len(), hooks.lost()), (WAITING_EVENTS_MAX, 3));
        assert_eq!(log.drain(10).len(), 3);
        (0..WAITING_EVENTS_MAX).for_each(|_| hooks.taken());
        hooks.note(&[event("expired", b"k")], &work, &log, 0);
        assert_eq!(work.drain().len(), 1);
    }
}
