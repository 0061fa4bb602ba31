//! Commands on their way to shards: the batches that are being filled, and how many are out.

use sherd_shards::executor::batch::Batch;

/// Batches that may be out at one shard; with more work than that the connections wait.
const IN_FLIGHT_MAX: usize = 4;
/// A batch of so many commands is not made larger: it holds its shard for a few hundred microseconds, and its replies are
/// sent while they are in the cache.
const COMMANDS_MAX: usize = 1024;
/// Nor is one made larger that will have so many bytes of replies, as far as the one before tells: what does not fit in the
/// cache is written to memory and read from there.
const REPLY_BYTES_MAX: usize = 512 * 1024;
/// Empty batches that are kept.
const SPARE_MAX: usize = 64;

/// The batches of one thread.
pub struct Batches {
    io_thread: usize,
    /// The batch that is being filled for each shard.
    pub building: Vec<Box<Batch>>,
    /// The same for commands that usually take long: the shards' own threads execute them.
    pub heavy: Vec<Box<Batch>>,
    in_flight: Vec<usize>,
    /// Commands that make a batch large enough.
    commands_max: usize,
    // Batches move by their boxes.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Batch>>,
}

impl Batches {
    /// Empty batches for so many shards.
    pub fn new(io_thread: usize, shards: usize) -> Batches {
        let empty = || (0..shards).map(|shard| Box::new(Batch::new(io_thread, shard))).collect();
        Batches {
            io_thread,
            building: empty(),
            heavy: empty(),
            in_flight: vec![0; shards],
            commands_max: COMMANDS_MAX,
            spare: Vec::new(),
        }
    }

    /// Shards that there are batches for.
    #[inline]
    pub fn shards(&self) -> usize {
        self.building.len()
    }

    /// Whether the batch for a shard is to be submitted before more is put into it.
    #[inline]
    pub fn is_large(&self, shard: usize) -> bool {
        self.building[shard].commands.len() >= self.commands_max
    }

    /// Takes what was gathered for a shard, unless there is nothing or too much is out there already. It is out from now on.
    pub fn take(&mut self, shard: usize) -> Option<Box<Batch>> {
        if self.building[shard].commands.is_empty() || self.in_flight[shard] >= IN_FLIGHT_MAX {
            return None;
        }
        self.in_flight[shard] += 1;
        let next = self.empty(shard);
        Some(std::mem::replace(&mut self.building[shard], next))
    }

    /// The same for what will take long.
    pub fn take_heavy(&mut self, shard: usize) -> Option<Box<Batch>> {
        if self.heavy[shard].commands.is_empty() || self.in_flight[shard] >= IN_FLIGHT_MAX {
            return None;
        }
        self.in_flight[shard] += 1;
        let next = self.empty(shard);
        Some(std::mem::replace(&mut self.heavy[shard], next))
    }

    fn empty(&mut self, shard: usize) -> Box<Batch> {
        let mut batch = self.spare.pop().unwrap_or_else(|| Box::new(Batch::new(self.io_thread, shard)));
        batch.shard = shard;
        batch
    }

    /// Notes that a batch has come back from its shard.
    pub fn note_return(&mut self, shard: usize) {
        self.in_flight[shard] -= 1;
    }

    /// Batches that are out at all shards together.
    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().sum()
    }

    /// Takes a batch back for use, when its replies have been delivered.
    pub fn recycle(&mut self, mut batch: Box<Batch>) {
        let reply_bytes = (batch.out.len() / batch.executed.max(1)).max(1);
        self.commands_max = (REPLY_BYTES_MAX / reply_bytes).clamp(1, COMMANDS_MAX);
        batch.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch);
        }
    }

    /// Frees the memory of all batches that are empty.
    pub fn release_unused(&mut self) {
        self.spare = Vec::new();
        for batch in self.building.iter_mut().chain(&mut self.heavy).filter(|batch| batch.commands.is_empty()) {
            batch.commands = Vec::new();
            batch.segments = Vec::new();
            batch.args = Vec::new();
            batch.out = Vec::new();
        }
    }
}
