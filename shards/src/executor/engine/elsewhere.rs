//! The way from a shard that needs memory to those that have something to evict; see [`crate::maintenance::evict`].

use super::{Engine, Serve, Slice, Wake};
use crate::keyspace::shard::{Others, Shard};

impl Others for Engine {
    /// The baton is only tried, for the caller holds others. What is to be done in the shard beside the work is left to its own
    /// thread.
    fn try_in_shard(&self, index: usize, work: &mut dyn FnMut(&mut Shard)) -> bool {
        let cell = &self.cells[index];
        if !cell.baton.try_acquire() {
            return false;
        }
        let start = Slice::begin();
        // SAFETY: this thread holds the baton until `let_go`.
        let shard = unsafe { &mut *cell.shard.get() };
        shard.look_at_clock();
        work(shard);
        let mut letters = self.let_go(cell, shard, start);
        // The consumer waits for no shard, so others may be held.
        self.news.tell(&mut letters);
        for wake in letters.wakes {
            match wake {
                Wake::Run(waiter) => self.leave_errand(index, Box::new(Serve(waiter))),
                wake => (self.wake_client)(wake),
            }
        }
        if !cell.has_nothing_for_holders() {
            self.wake(cell);
        }
        true
    }
}
