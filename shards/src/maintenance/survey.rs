//! The biggest keys, found without a command that looks for them.
//!
//! Once a tick the shard's own thread looks at some keys, for as long as [`SLICE`] lasts, in the order of SCAN; commands
//! pay nothing for it, and a shard of a million keys has been seen through in a minute or so. Two short lists are kept,
//! of the keys that take the most memory and of those with the most elements. A round through all keys replaces what the
//! round before it has found, so a key that has gone or shrunk disappears from the lists by then.

use std::time::{Duration, Instant};

use crate::keyspace::big_keys::Lists;
use crate::keyspace::shard::Shard;
use crate::keyspace::stats::ShardStats;

/// Time that a look may hold the shard, each tick.
const SLICE: Duration = Duration::from_micros(100);
/// Scan steps between two looks at the clock.
const STEPS: usize = 32;
/// Empty slots that are passed over as one step.
const SLOTS_A_STEP: usize = 64;
/// Rest between two rounds: what is big stays so for a while.
const REST: Duration = Duration::from_secs(10);

/// How far the survey of a shard is.
#[derive(Default)]
pub struct Survey {
    db: usize,
    slot: Option<usize>,
    cursor: u64,
    lists: Lists,
    /// Nothing was shown yet: what is found is told at once.
    told: bool,
    resting_until: Option<Instant>,
    done: bool,
}

impl Survey {
    /// Whether there are keys to look at in this tick.
    pub fn is_due(&self, stats: &ShardStats) -> bool {
        // Where threads are modelled nothing may depend on the time.
        !cfg!(loom)
            && !self.done
            && stats.databases.iter().any(|db| db.keys.get() > 0)
            && self.resting_until.is_none_or(|until| Instant::now() >= until)
    }

    /// A new tick begins.
    pub fn tick_over(&mut self) {
        self.done = false;
    }

    /// Looks at keys for one slice.
    pub fn slice(&mut self, shard: &Shard) {
        let begun = Instant::now();
        self.done = true;
        self.resting_until = None;
        while begun.elapsed() < SLICE {
            if (0..STEPS).any(|_| self.step(shard)) {
                self.resting_until = Some(begun + REST);
                *shard.stats.findings.lists() = std::mem::take(&mut self.lists);
                self.told = true;
                return;
            }
        }
        if !self.told {
            *shard.stats.findings.lists() = self.lists.clone();
        }
    }

    /// One step; true at the end of a round.
    fn step(&mut self, shard: &Shard) -> bool {
        if self.db >= shard.dbs_touched() {
            (self.db, self.slot, self.cursor) = (0, None, 0);
            return true;
        }
        let Some(db) = shard.db(self.db as u16) else {
            self.next_db();
            return false;
        };
        let slots = db.slots();
        let mut slot = self.slot.unwrap_or(slots.start);
        let passed = (slot..slots.end).take(SLOTS_A_STEP).take_while(|&slot| db.table(slot as u16).is_empty()).count();
        if passed > 0 {
            slot += passed;
            self.cursor = 0;
        } else if slot < slots.end {
            let (lists, number) = (&mut self.lists, self.db as u16);
            self.cursor = db.scan_slot(slot, self.cursor, |entry| lists.offer(number, entry));
            slot += usize::from(self.cursor == 0);
        }
        if slot >= slots.end {
            self.next_db();
        } else {
            self.slot = Some(slot);
        }
        false
    }

    fn next_db(&mut self) {
        self.db += 1;
        (self.slot, self.cursor) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use crate::keyspace::big_keys::KEYS_MAX;
    use crate::testing::Tester;

    #[test]
    fn the_biggest_keys_of_all_databases_are_found() {
        for shards in [1, 4] {
            let mut t = Tester::new(shards);
            for number in 0..2000 {
                t.run(&format!("SET small:{number} v"));
            }
            t.run(&format!("SET big {}", "x".repeat(100_000)));
            t.db = 3;
            let members: Vec<String> = (0..500).map(|number| number.to_string()).collect();
            t.run(&format!("SADD many {}", members.join(" ")));
            let found = t.big_keys();
            let biggest = found.iter().max_by_key(|big| big.bytes).expect("keys are found");
            assert_eq!((biggest.key.as_slice(), biggest.db, biggest.value_type), (b"big".as_slice(), 0, "string"));
            let longest = found.iter().max_by_key(|big| big.elements).expect("keys are found");
            assert_eq!((longest.key.as_slice(), longest.db, longest.elements), (b"many".as_slice(), 3, 500));
            assert!(found.len() <= shards * 2 * KEYS_MAX);
            t.db = 0;
            t.run("DEL big");
            assert!(t.big_keys().iter().all(|big| big.key != b"big"), "a round forgets what has gone");
        }
    }
}
