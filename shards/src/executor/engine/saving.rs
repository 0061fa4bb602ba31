//! Snapshots as the engine sees them: the cut over all shards, and when their threads go on with it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

use super::{Engine, ShardCell};
use crate::entry::policy;
use crate::handler::access::Shards;
use crate::keyspace::db::Db;
use crate::keyspace::saving::{Cut, Form, Manner, Sink};

/// Where the bytes of the snapshot go that is being taken.
#[derive(Default)]
pub(super) struct Saves(RwLock<Option<Arc<Sink>>>);

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
        cell.stats.saving.load(Ordering::SeqCst) && {
            let sink = self.saves.0.read().unwrap_or_else(PoisonError::into_inner);
            sink.as_ref().is_some_and(|sink| !sink.stops(index))
        }
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
