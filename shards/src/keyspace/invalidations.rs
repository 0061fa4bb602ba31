//! What clients with caches are to be told, on its way from a shard; see [`crate::keyspace::tracking`].

use std::cell::Cell;

use sherd_metrics::memory;

/// Invalidations that wait in one shard, at most: what a slice changes beyond that is told as a change of everything.
pub const PENDING_MAX: usize = 1 << 16;

/// What clients with caches are to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// A key.
    Key {
        key: Box<[u8]>,
        /// Who has read it.
        readers: Vec<u64>,
        /// It has changed, which those are told too who go by prefix. If not, it was only forgotten.
        has_changed: bool,
        /// Who has changed it and does not want to hear of that; 0 is nobody.
        by: u64,
    },
    /// All keys may be other ones.
    Everything,
}

/// The command that has changed a key: the client, which has read it and wants to hear of that behind the reply, and the place of
/// the command in its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause {
    pub client: u64,
    pub shard: usize,
    pub at: usize,
}

/// Something to tell, with its place among what the same thread has to tell of other shards.
#[derive(Debug)]
pub struct Invalidation {
    pub told: Told,
    pub number: u64,
    /// One of the readers has changed the key itself.
    pub cause: Option<Cause>,
}

impl Invalidation {
    /// Whether it is about all keys.
    pub fn is_everything(&self) -> bool {
        self.told == Told::Everything
    }
}

thread_local! {
    /// Invalidations of this thread.
    static RAISED: Cell<u64> = const { Cell::new(0) };
}

/// Invalidations that wait for the baton to be let go.
#[derive(Default, Debug)]
pub struct Invalidations {
    pending: Vec<Invalidation>,
    /// What tracking has allocated and freed, which is no part of the data.
    bytes: i64,
}

impl Invalidations {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes them all.
    pub fn take(&mut self) -> Vec<Invalidation> {
        std::mem::take(&mut self.pending)
    }

    /// What tracking has allocated since the last call, with the baton held: it is not the shard's.
    #[inline]
    pub fn take_bytes(&mut self) -> i64 {
        std::mem::take(&mut self.bytes)
    }

    /// Whether everything was told of last.
    pub(super) fn ends_with_everything(&self) -> bool {
        self.pending.last().is_some_and(Invalidation::is_everything)
    }

    /// Adds one.
    pub(super) fn add(&mut self, told: impl FnOnce() -> Told) {
        self.add_caused(None, told);
    }

    /// Adds one that has a cause among its readers.
    pub(super) fn add_caused(&mut self, cause: Option<Cause>, told: impl FnOnce() -> Told) {
        let is_full = self.pending.len() >= PENDING_MAX;
        if is_full && self.ends_with_everything() {
            return;
        }
        let before = memory::data_bytes();
        let number = RAISED.get();
        RAISED.set(number + 1);
        let told = if is_full { Told::Everything } else { told() };
        self.pending.push(Invalidation { told, number, cause });
        self.bytes += memory::data_bytes() - before;
    }

    /// Does something whose allocations are no part of the data.
    pub(super) fn uncounted<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = memory::data_bytes();
        let result = work();
        self.bytes += memory::data_bytes() - before;
        result
    }
}
