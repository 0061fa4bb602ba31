//! Keyspace events on their way from shards to their consumer, in the order in which they were raised.
//!
//! Events are put down before the baton is let go, so that they are in the order of the slices, and told when it has been: by
//! whoever has put some down, one thread at a time. Who comes behind another thread waits until that has told all, so that the
//! events of a command have been told before its client is answered.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::Engine;
use crate::keyspace::events::Event;
use crate::keyspace::outbox::Letters;

/// Takes events; waits for nobody who could wait for a shard.
pub type EventConsumer = Box<dyn Fn(Vec<Event>) + Send + Sync>;

/// See the file's head.
#[derive(Default)]
pub struct News {
    consumer: OnceLock<EventConsumer>,
    pending: Mutex<Vec<Event>>,
    telling: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    /// Puts events down, while the batons of the shards that have raised them are held.
    #[inline]
    pub fn add(&self, letters: &mut Letters) {
        if !letters.events.is_empty() {
            self.put_down(letters);
        }
    }

    #[cold]
    fn put_down(&self, letters: &mut Letters) {
        letters.events.sort_by_key(|event| event.number);
        lock(&self.pending).append(&mut letters.events);
        letters.has_news = true;
    }

    /// Tells the consumer, where events were put down.
    #[inline]
    pub fn tell(&self, letters: &mut Letters) {
        if std::mem::take(&mut letters.has_news) {
            self.tell_all();
        }
    }

    #[cold]
    fn tell_all(&self) {
        let _in_order = lock(&self.telling);
        let events = std::mem::take(&mut *lock(&self.pending));
        if let Some(consumer) = self.consumer.get().filter(|_| !events.is_empty()) {
            consumer(events);
        }
    }
}

impl Engine {
    /// Has events delivered from now on; there is one consumer.
    pub fn set_event_consumer(&self, consumer: EventConsumer) {
        if self.news.consumer.set(consumer).is_ok() {
            let all = self.all_shards();
            self.with_shards(all, |mut shards| {
                shards.iter_mut().for_each(|shard| shard.outbox.events.set_consumed(true));
            });
        }
    }
}
