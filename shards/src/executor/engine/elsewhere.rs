//! The way from a shard that needs memory to those that have something to evict; see [`crate::maintenance::evict`].

use super::{while_others_are_held, Engine, Slice};
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
        let letters = self.let_go(cell, shard, start);
        while_others_are_held(|| self.after(cell, Vec::new(), letters));
        true
    }
}
