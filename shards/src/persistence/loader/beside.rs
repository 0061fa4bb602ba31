//! Loading beside the data that there are, which are exchanged for the new ones in one instant (`repl-diskless-load swapdb`).
//!
//! The new data are put into shards of their own, which nobody else knows; no baton is held meanwhile. Whatever goes wrong, the old
//! data stay. Both are in memory until the exchange is over.

use std::sync::atomic::Ordering;

use sherd_metrics::memory;

use super::{Fault, Loading, Progress, Report};
use crate::executor::engine::Engine;
use crate::handler::access::Shards;
use crate::keyspace::shard::Shard;

/// Exchanges all data for a file's, with what has expired, as a primary's replica does. On a fault nothing has changed.
pub fn exchange_for(engine: &Engine, bytes: &[u8], progress: &Progress) -> Result<Report, Fault> {
    progress.total.store(bytes.len() as u64, Ordering::Relaxed);
    progress.bytes.store(0, Ordering::Relaxed);
    let (world, all) = (&engine.world, engine.all_shards());
    let mut loading = Loading::begin(world, bytes)?;
    loading.0.now_ms = 0;
    let before = memory::data_bytes();
    let mut beside: Vec<Shard> =
        engine.with_shards(all, |mut shards| shards.iter_mut().map(|shard| shard.beside()).collect());
    loop {
        if progress.is_broken_off(engine.is_stopping()) {
            return Err(loading.0.fault("loading was broken off"));
        }
        if loading.some(&mut Shards::many(world.slots, beside.iter_mut()))? {
            break;
        }
        progress.bytes.store(loading.0.offset() as u64, Ordering::Relaxed);
        progress.keys.store(loading.0.report.keys, Ordering::Relaxed);
        progress.used_memory.store(loading.used_memory(), Ordering::Relaxed);
    }
    let taken = memory::data_bytes() - before;
    loading.load_functions(world)?;
    exchange(engine, &mut beside, taken);
    Ok(loading.0.report)
}

fn exchange(engine: &Engine, beside: &mut [Shard], taken: i64) {
    // Keys are spread by their hashes, so each shard has about as much as any other.
    let bytes = taken / beside.len() as i64;
    let old = loop {
        let exchanged = engine.with_shards(engine.all_shards(), |mut shards| {
            let marks: Vec<bool> = shards.iter_mut().map(|shard| shard.mark()).collect();
            if marks.iter().zip(beside.iter()).any(|(mark, beside)| *mark != beside.mark()) {
                return Err(marks);
            }
            let pairs = shards.iter_mut().zip(beside.iter_mut());
            Ok(pairs.flat_map(|(shard, beside)| shard.adopt(beside, bytes)).collect::<Vec<_>>())
        });
        match exchanged {
            Ok(old) => break old,
            // All entries are looked at, so no shard is held. Another snapshot has no time to begin again and again.
            Err(marks) => beside.iter_mut().zip(marks).for_each(|(beside, mark)| beside.turn_mark(mark)),
        }
    };
    if engine.world.settings.replica_lazy_flush.on() {
        let old = old.into_iter().filter(|database| !database.is_empty());
        old.for_each(|database| engine.world.reaper.free_whole(Box::new(database), None));
    }
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
