//! What is in a slot, for CLUSTER COUNTKEYSINSLOT and its relatives.

use std::sync::Arc;

use sherd_ioth::shared::Shared;
use sherd_shards::slot::SLOTS;
use sherd_types::table;

use crate::held;

/// How many keys each slot of a range has.
pub fn key_counts(shared: &Arc<Shared>, first: usize, last: usize) -> Vec<usize> {
    let map = shared.engine.world.slots;
    let count = |slot: usize| {
        held::with_shards(shared, 1 << map.shard_of(slot as u16), |mut shards| {
            shards.of_slot(slot as u16).db(0).map_or(0, |db| db.table(slot as u16).len())
        })
    };
    (first..=last.min(SLOTS - 1)).map(count).collect()
}

/// Some keys of a slot.
pub fn keys(shared: &Arc<Shared>, slot: u16, count: usize) -> Vec<Vec<u8>> {
    let shard = shared.engine.world.slots.shard_of(slot);
    held::with_shards(shared, 1 << shard, |mut shards| {
        let entries = shards.of_slot(slot).db(0).map(|db| db.table(slot).iter().take(count));
        entries.into_iter().flatten().map(|entry| table::Entry::key(entry).to_vec()).collect()
    })
}
