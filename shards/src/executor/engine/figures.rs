//! What an engine tells of its shards: counters, big keys, what keys cost.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use sherd_metrics::CommandCells;

use super::{Engine, HandOff, ShardCell};
use crate::keyspace::big_keys::BigKey;
use crate::keyspace::heat::Costs;
use crate::keyspace::stats::ShardStats;

impl Engine {
    /// Batches waiting for a shard.
    pub fn queue_len(&self, shard: usize) -> usize {
        self.cells[shard].ring.len()
    }

    /// The shards that somebody executes in at this moment.
    pub fn busy_shards(&self) -> Vec<usize> {
        (0..self.cells.len()).filter(|&index| self.cells[index].baton.is_held()).collect()
    }

    /// A shard's counters.
    pub fn stats(&self, shard: usize) -> (&ShardStats, &CommandCells, &HandOff) {
        let cell = &self.cells[shard];
        (&cell.stats, &cell.cells, &cell.hand_off)
    }

    /// The biggest keys of all shards with the numbers of their shards.
    pub fn big_keys(&self) -> Vec<(usize, BigKey)> {
        let of_shard = |(index, cell): (usize, &ShardCell)| {
            cell.stats.findings.all().into_iter().map(move |big| (index, big)).collect::<Vec<_>>()
        };
        self.cells.iter().enumerate().flat_map(of_shard).collect()
    }

    /// Begins to count what keys cost: one command in `sample`, of these slots or, if there are none, of all.
    pub fn start_heat(&self, sample: u32, slots: &[u16]) {
        self.cells.iter().for_each(|cell| cell.stats.heat.start(sample, slots));
        self.world.settings.track_heat(true);
    }

    /// Forgets what keys have cost.
    pub fn reset_heat(&self) {
        self.world.settings.track_heat(false);
        self.cells.iter().for_each(|cell| cell.stats.heat.reset());
    }

    /// What keys have cost in all shards together.
    pub fn heat(&self) -> Costs {
        let mut sum = Costs::default();
        self.cells.iter().for_each(|cell| cell.stats.heat.add_to(&mut sum));
        sum
    }

    /// Commands and transactions so far that needed more than one shard.
    pub fn cross_shard_count(&self) -> u64 {
        self.cross_shard.load(Ordering::Relaxed)
    }

    /// The counters of commands that run over several shards, or none: those of the first shard they hold.
    pub fn cells_of(&self, shard: usize) -> (&Arc<CommandCells>, &Arc<ShardStats>) {
        (&self.cells[shard].cells, &self.cells[shard].stats)
    }
}
