//! Keyspace events and invalidations on their way from shards to their consumer, in the order in which they were raised.
//!
//! They are put down before the baton is let go, so that they are in the order of the slices, and told when it has been: by
//! whoever has put some down, one thread at a time. Who comes behind another thread waits until that has told all, so that what
//! a command has raised has been told before its client is answered; also who has nothing to tell itself, as where a key's readers
//! are just being told by another thread: nobody is answered what somebody has yet to hear of (`shards/tests/loom/news.rs`).

use std::sync::{OnceLock, PoisonError};

#[cfg(loom)]
use loom::sync::{
    atomic::{AtomicUsize, Ordering},
    Mutex, MutexGuard,
};
#[cfg(not(loom))]
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

use super::Engine;
use crate::keyspace::events::Event;
use crate::keyspace::invalidations::Invalidation;
use crate::keyspace::outbox::Letters;

/// What there is to tell.
#[derive(Default)]
pub struct Tidings {
    pub events: Vec<Event>,
    pub invalidations: Vec<Invalidation>,
}

/// Takes what there is to tell; waits for nobody who could wait for a shard.
pub type Consumer = Box<dyn Fn(Tidings) + Send + Sync>;

/// See the [module](self).
#[derive(Default)]
pub struct News {
    consumer: OnceLock<Consumer>,
    pending: Mutex<Tidings>,
    telling: Mutex<()>,
    /// What was put down and is not told yet.
    untold: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    /// Has what is put down told from now on; false if there is a consumer already.
    pub fn set_consumer(&self, consumer: Consumer) -> bool {
        self.consumer.set(consumer).is_ok()
    }

    /// Puts down what there is to tell, while the batons of the shards that have raised it are held.
    #[inline]
    pub fn add(&self, letters: &mut Letters) {
        if !letters.events.is_empty() || !letters.invalidations.is_empty() {
            self.put_down(letters);
        }
    }

    #[cold]
    fn put_down(&self, letters: &mut Letters) {
        letters.events.sort_by_key(|event| event.number);
        letters.invalidations.sort_by_key(|invalidation| invalidation.number);
        // Each shard has said so by itself.
        letters.invalidations.dedup_by(|a, b| a.is_everything() && b.is_everything());
        let mut pending = lock(&self.pending);
        self.untold.fetch_add(letters.events.len() + letters.invalidations.len(), Ordering::Relaxed);
        pending.events.append(&mut letters.events);
        pending.invalidations.append(&mut letters.invalidations);
        drop(pending);
        letters.has_news = true;
    }

    /// Tells the consumer, where anything was put down. What slices before this one have put down is seen: the baton orders them.
    #[inline]
    pub fn tell(&self, letters: &mut Letters) {
        if std::mem::take(&mut letters.has_news) || self.untold.load(Ordering::Acquire) != 0 {
            self.tell_all();
        }
    }

    #[cold]
    fn tell_all(&self) {
        let _in_order = lock(&self.telling);
        let tidings = std::mem::take(&mut *lock(&self.pending));
        let count = tidings.events.len() + tidings.invalidations.len();
        if let Some(consumer) = self.consumer.get().filter(|_| count > 0) {
            consumer(tidings);
        }
        self.untold.fetch_sub(count, Ordering::Release);
    }
}

impl Engine {
    /// Has events and invalidations delivered from now on; there is one consumer.
    pub fn set_consumer(&self, consumer: Consumer) {
        if self.news.set_consumer(consumer) {
            let all = self.all_shards();
            self.with_shards(all, |mut shards| {
                shards.iter_mut().for_each(|shard| shard.outbox.events.set_consumed(true));
            });
        }
    }
}
