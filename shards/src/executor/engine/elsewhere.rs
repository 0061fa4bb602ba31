//! The way from a shard that needs memory to those that have something to evict; see [`crate::maintenance::evict`].

use std::panic::resume_unwind;

use sherd_types::invariant::contain;

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
        // One client's misfortune: who waits for this shard has nothing to do with it.
        let done = contain(|| work(shard));
        let letters = self.let_go(cell, shard, start);
        while_others_are_held(|| self.after(cell, Vec::new(), letters));
        match done {
            Ok(()) => true,
            Err(panic) => resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Settings;
    use crate::server::world::World;
    use crate::slot::SlotMap;

    #[test]
    fn a_shard_in_which_something_panics_for_another_one_is_let_go_of() {
        let commands = crate::families::install(std::iter::empty()).commands().len();
        let world = World::new(SlotMap::new(2, false), Settings::default()).expect("a thread");
        let engine = Engine::new(world, commands, Box::new(|_| {}), Box::new(|_| {}));
        let panics =
            || engine.with_shards(1, |mut shards| shards.first().try_in_shard(1, &mut |_| panic!("on purpose")));
        assert!(contain(panics).is_err());
        assert!(Engine::try_hold(&*engine, engine.all_shards()).is_ok());
    }
}
