//! Waiting for the end of what is being executed, for whoever has restrained those that execute.

use std::thread;
use std::time::{Duration, Instant};

use super::Engine;

/// How often it is looked whether a shard is free.
const STEP: Duration = Duration::from_micros(50);

impl Engine {
    /// Waits, at most so long, until nothing is executed any more that has begun before, in one shard after the other. Whatever
    /// begins later has taken a baton that was free here, and so sees all that this thread has done before it called this.
    pub fn await_begun(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        (0..self.world.slots.shards()).all(|index| {
            let is_free = || Engine::try_hold(self, 1 << index).is_ok();
            while !is_free() {
                if Instant::now() >= until {
                    return false;
                }
                thread::sleep(STEP);
            }
            true
        })
    }
}
