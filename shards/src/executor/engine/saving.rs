//! Snapshots as the engine sees them: the cut over all shards, and when their threads go on with it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

use super::{Engine, ShardCell};
use crate::entry::policy;
use crate::handler::access::Shards;
use crate::keyspace::db::Db;
use crate::keyspace::saving::{Cut, Form, Manner, Sink};
use crate::keyspace::shard::Shard;

/// Where the bytes of the snapshot go that is being taken.
#[derive(Default)]
pub(super) struct Saves(RwLock<Option<Arc<Sink>>>);

/// How long a snapshot leaves a shard to clients that waited for a slice of it: they execute their commands themselves
/// meanwhile, which is cheaper. Longer than a slice in any case, so that it takes at most half of the shard's time from
/// them; and the longer the more of them have waited, for with many the processors have nothing left that a
/// snapshot could use without taking it from them.
const PAUSE_MIN: Duration = Duration::from_micros(300);
const PAUSE_MAX: Duration = Duration::from_micros(2000);
const PAUSE_A_CLIENT: Duration = Duration::from_micros(50);

/// When a shard's thread goes on with a snapshot.
#[derive(Default)]
pub(super) struct SavePace {
    /// Not before then.
    from: Option<Instant>,
    /// Whether it went on since it paused for clients: whatever they do, it gets to its end.
    went_on: bool,
}

impl SavePace {
    /// How long it still pauses.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let left = self.from?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.from = None;
        }
        self.from.map(|_| left)
    }

    /// Whether it pauses because so many clients have waited meanwhile.
    pub(super) fn pauses_for_clients(&mut self, waited: usize) -> bool {
        // A model that depends on the time cannot be run twice alike.
        let pauses = waited > 0 && std::mem::take(&mut self.went_on) && !cfg!(loom);
        if pauses {
            let many = u32::try_from(waited).unwrap_or(u32::MAX);
            let pause = PAUSE_A_CLIENT.saturating_mul(many).clamp(PAUSE_MIN, PAUSE_MAX);
            self.from = Some(Instant::now() + pause);
        }
        pauses
    }

    /// Goes on for a slice, and pauses for as long as `rdb-key-save-delay` says for what was saved since.
    pub(super) fn slice(&mut self, shard: &mut Shard) {
        let delay = shard.save_slice();
        if !delay.is_zero() {
            self.from = Some(Instant::now() + delay);
        }
        self.went_on = true;
    }
}

impl Engine {
    /// Whether [`Engine::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Wakes the shards' own threads that sleep: there may be something to do.
    pub fn wake_threads(&self) {
        fence(Ordering::SeqCst);
        self.cells.iter().for_each(|cell| self.wake(cell));
    }

    /// Whether a snapshot is being taken that waits for this shard and not for the file.
    pub(super) fn saves(&self, cell: &ShardCell, index: usize) -> bool {
        cell.stats.saving.load(Ordering::SeqCst) && self.of_sink(|sink| !sink.stops(index))
    }

    /// Whether the shard's thread is to go on with it: one that was cancelled does not pause.
    pub(super) fn goes_on_saving(&self, cell: &ShardCell, index: usize, pace: &mut SavePace) -> bool {
        self.saves(cell, index) && (pace.pause().is_none() || self.of_sink(Sink::is_cancelled))
    }

    fn of_sink(&self, is_so: impl FnOnce(&Sink) -> bool) -> bool {
        self.saves.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|sink| is_so(sink))
    }

    /// The cut: what the shards hold at this moment will go to the sink. All of them are held; one snapshot at a time. Call
    /// [`Engine::wake_threads`] when they have been let go.
    pub fn begin_saving(&self, shards: &mut Shards<'_>, form: Form, sink: &Arc<Sink>) -> Cut {
        *self.saves.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(sink));
        let settings = &self.world.settings;
        let policy = settings.maxmemory_policy.get();
        let manner = Manner {
            form,
            policy,
            clock: policy::clock_now(policy, self.world.monotonic_milliseconds()),
            key_delay: settings.rdb_key_save_delay.get(),
        };
        let mut cut = Cut::default();
        for shard in shards.iter_mut() {
            for number in 0..shard.dbs_touched() {
                let (keys, volatile, timed) = shard.db(number as u16).map_or((0, 0, 0), sizes);
                cut.keys.resize(cut.keys.len().max(number + 1), (0, 0));
                cut.keys[number].0 += keys;
                cut.keys[number].1 += volatile;
                cut.has_timed |= timed > 0;
            }
            cut.changes += shard.stats.dirty.get();
            shard.begin_saving(manner, sink);
        }
        cut
    }
}

fn sizes(database: &Db) -> (usize, usize, usize) {
    (database.len(), database.volatile_len(), database.timed_len())
}
