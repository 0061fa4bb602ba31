//! Holding shards: several at once, for whoever waits for them or finds them free.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use sherd_metrics::memory;
use sherd_types::invariant::contain;

use super::{indexes, Engine, Ordering, Slice};
use crate::executor::errand::Errand;
use crate::handler::access::Shards;
use crate::journal;
use crate::keyspace::outbox::Letters;
use crate::keyspace::shard::Shard;

/// Shards that are held. They are let go of when this is dropped, even if what was done with them panicked: a panic is one
/// client's misfortune.
pub struct Hold<E: Deref<Target = Engine>> {
    pub(super) engine: E,
    pub(super) wanted: u64,
    pub(super) start: Slice,
    /// What is allocated meanwhile is counted by thread.
    pub(super) of_this_thread: PhantomData<*const ()>,
}

impl<E: Deref<Target = Engine>> Hold<E> {
    /// The shards.
    pub fn shards(&mut self) -> Shards<'_> {
        let (engine, wanted) = (&*self.engine, self.wanted);
        // SAFETY: this thread holds the batons of exactly these shards, each of which is borrowed once, for as long as
        // `self` is.
        let mut shards = indexes(wanted).map(|index| unsafe { &mut *engine.cells[index].shard.get() });
        if wanted.count_ones() == 1 {
            return Shards::one(engine.world.slots, shards.next().expect("one bit is set"));
        }
        Shards::many(engine.world.slots, shards)
    }

    /// Runs an errand, lets go, and tells whom the errand concerns; what is to be told about waiters is returned.
    #[must_use]
    pub(super) fn run(mut self, mut errand: Box<dyn Errand>) -> Letters {
        let world = Arc::clone(&self.engine.world);
        if contain(|| errand.run(&mut self.shards(), &world)).is_err() {
            self.shards().first().stats.panics.increment();
            errand.panicked();
        }
        let letters = self.release();
        journal::set_last_ticket(letters.ticket);
        errand.end();
        letters
    }

    /// Lets other threads see what has changed so far: how many keys there are, and what they take.
    pub fn publish(&mut self) {
        self.shards().iter_mut().for_each(Shard::publish_changes);
        let allocated = memory::data_bytes() - self.start.bytes;
        self.start.bytes += allocated;
        self.shards().first().stats.memory_bytes.fetch_add(allocated, Ordering::Relaxed);
    }

    /// Does something whose allocations are not the shards'.
    pub fn uncounted<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = memory::data_bytes();
        let result = work();
        self.discount_since(before);
        result
    }

    /// Says that what this thread has allocated since `bytes` (of [`memory::data_bytes`]) is not the shards'.
    pub fn discount_since(&mut self, bytes: i64) {
        self.start.bytes += memory::data_bytes() - bytes;
    }
}

impl<E: Deref<Target = Engine>> Hold<E> {
    /// Lets go of all shards. Everything in them is concluded before the first one is let go, so that nobody sees a part of
    /// what was done; nothing is told to anybody before the last one is.
    fn release(&mut self) -> Letters {
        let (engine, mut start, wanted) = (&*self.engine, self.start, self.wanted);
        self.wanted = 0;
        let mut letters = Letters::default();
        for cell in indexes(wanted).map(|index| &engine.cells[index]) {
            // SAFETY: this thread holds the baton until the loop below.
            let shard = unsafe { &mut *cell.shard.get() };
            letters.append(engine.conclude(cell, shard, start));
            // What was allocated in all of them together is counted to the first.
            start.bytes = memory::data_bytes();
        }
        if let Some(first) = indexes(wanted).next() {
            engine.hand_over(&engine.cells[first], &mut letters);
        }
        engine.news.add(&mut letters);
        indexes(wanted).for_each(|index| engine.release(&engine.cells[index]));
        engine.news.tell(&mut letters);
        indexes(wanted).for_each(|index| engine.after(&engine.cells[index], Vec::new(), Letters::default()));
        letters
    }
}

impl<E: Deref<Target = Engine>> Drop for Hold<E> {
    fn drop(&mut self) {
        // Nothing is held any more if this was an errand's.
        let letters = self.release();
        let ticket = letters.ticket;
        if !letters.is_empty() {
            self.engine.tell(letters);
        }
        journal::set_last_ticket(ticket);
    }
}
