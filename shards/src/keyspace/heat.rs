//! What keys cost while an operator looks (HOTKEYS): execution time and bytes on the network.
//!
//! Nothing is counted before HOTKEYS START; until then a command pays for one comparison. While tracking is on, every
//! command adds to its shard's sums, and one in `sample` is divided among its keys. The keys with the largest sums are
//! found by space-saving: a key that is new takes the place of the least one and its sum, so no key that costs more than
//! its share of a table of [`KEYS_MAX`] is missed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::slot::{slot_of, SLOTS};

/// Keys that are counted a shard and metric: several times as many as HOTKEYS GET shows.
pub const KEYS_MAX: usize = 256;
/// Longer keys are not counted.
const KEY_BYTES_MAX: usize = 1024;

/// The costs of one shard since tracking began. The lock is free but for the moment in which somebody reads.
#[derive(Default, Debug)]
pub struct Heat(Mutex<Costs>);

/// See the [module](self).
#[derive(Clone, Default, Debug)]
pub struct Costs {
    sample: u32,
    /// The slots to look at as bits; empty means all.
    slots: Vec<u64>,
    commands: u64,
    /// Of all commands in the selected slots.
    pub nanoseconds: u64,
    pub net_bytes: u64,
    /// Of the sampled commands in the selected slots.
    pub sampled_nanoseconds: u64,
    pub sampled_net_bytes: u64,
    pub by_nanoseconds: HashMap<Box<[u8]>, u64>,
    pub by_net_bytes: HashMap<Box<[u8]>, u64>,
}

impl Heat {
    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything and begins with one command in `sample`, of these slots or, if there are none, of all.
    pub fn start(&self, sample: u32, slots: &[u16]) {
        let mut bits = if slots.is_empty() { Vec::new() } else { vec![0u64; SLOTS / 64] };
        for slot in slots {
            bits[usize::from(*slot) / 64] |= 1 << (slot % 64);
        }
        *self.costs() = Costs { sample: sample.max(1), slots: bits, ..Costs::default() };
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.costs() = Costs::default();
    }

    /// Adds up what was counted here.
    pub fn add_to(&self, sum: &mut Costs) {
        let costs = self.costs();
        sum.nanoseconds += costs.nanoseconds;
        sum.net_bytes += costs.net_bytes;
        sum.sampled_nanoseconds += costs.sampled_nanoseconds;
        sum.sampled_net_bytes += costs.sampled_net_bytes;
        for (from, to) in
            [(&costs.by_nanoseconds, &mut sum.by_nanoseconds), (&costs.by_net_bytes, &mut sum.by_net_bytes)]
        {
            from.iter().for_each(|(key, weight)| *to.entry(key.clone()).or_default() += weight);
        }
    }

    /// Counts a command with keys at these arguments.
    #[cold]
    pub fn note(&self, keys: &[usize], args: &[&[u8]], nanoseconds: u64, reply_bytes: usize) {
        if keys.is_empty() {
            return;
        }
        let mut costs = self.costs();
        if !costs.slots.is_empty() {
            let slot = usize::from(slot_of(args[keys[0]]));
            if costs.slots[slot / 64] >> (slot % 64) & 1 == 0 {
                return;
            }
        }
        let net_bytes = (args.iter().map(|arg| arg.len()).sum::<usize>() + reply_bytes) as u64;
        costs.commands += 1;
        costs.nanoseconds += nanoseconds;
        costs.net_bytes += net_bytes;
        // Mixed, so that a client whose commands come in a fixed turn is not always met at the same one.
        let drawn = costs.commands.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        if drawn % u64::from(costs.sample.max(1)) != 0 {
            return;
        }
        costs.sampled_nanoseconds += nanoseconds;
        costs.sampled_net_bytes += net_bytes;
        let count = keys.len() as u64;
        for key in keys.iter().map(|&at| args[at]).filter(|key| key.len() <= KEY_BYTES_MAX) {
            add(&mut costs.by_nanoseconds, key, nanoseconds / count);
            add(&mut costs.by_net_bytes, key, net_bytes / count);
        }
    }
}

fn add(sums: &mut HashMap<Box<[u8]>, u64>, key: &[u8], weight: u64) {
    if let Some(sum) = sums.get_mut(key) {
        *sum += weight;
        return;
    }
    let mut start = 0;
    if sums.len() >= KEYS_MAX {
        let least = sums.iter().min_by_key(|(_, sum)| **sum).map(|(key, sum)| (key.clone(), *sum));
        if let Some((least, sum)) = least {
            sums.remove(&least);
            start = sum;
        }
    }
    sums.insert(key.into(), start + weight);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(heat: &Heat, line: &str, nanoseconds: u64) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let table = crate::families::install(std::iter::empty());
        let command = table.find(args[0]).expect("the command is known");
        heat.note(&command.spec.key_positions(&args).unwrap_or_default(), &args, nanoseconds, 5);
    }

    fn sum(heat: &Heat) -> Costs {
        let mut sum = Costs::default();
        heat.add_to(&mut sum);
        sum
    }

    #[test]
    fn a_command_is_divided_among_its_keys() {
        let heat = Heat::default();
        heat.start(1, &[]);
        note(&heat, "MSET a 1 b 2", 1000);
        note(&heat, "GET a", 100);
        note(&heat, "DBSIZE", 100);
        let sum = sum(&heat);
        assert_eq!((sum.nanoseconds, sum.net_bytes, sum.sampled_nanoseconds), (1100, 13 + 9, 1100));
        assert_eq!(sum.by_nanoseconds[b"a".as_slice()], 600);
        assert_eq!(sum.by_nanoseconds[b"b".as_slice()], 500);
    }

    #[test]
    fn only_selected_slots_are_counted() {
        let heat = Heat::default();
        heat.start(1, &[slot_of(b"a")]);
        note(&heat, "GET a", 100);
        note(&heat, "GET b", 100);
        assert_eq!(sum(&heat).by_nanoseconds.keys().map(|key| &key[..]).collect::<Vec<_>>(), [b"a"]);
    }

    #[test]
    fn a_costly_key_is_found_among_many_and_samples_are_a_share() {
        let heat = Heat::default();
        heat.start(4, &[]);
        for number in 0..20_000 {
            note(&heat, &format!("GET cold:{number}"), 100);
            note(&heat, "GET hot", if number % 10 == 0 { 300 } else { 100 });
        }
        let sum = sum(&heat);
        assert_eq!(sum.by_nanoseconds.len(), KEYS_MAX);
        let hottest = sum.by_nanoseconds.iter().max_by_key(|(_, weight)| **weight).expect("there are keys");
        assert_eq!(&**hottest.0, b"hot");
        assert!((0.2..0.3).contains(&(sum.sampled_nanoseconds as f64 / sum.nanoseconds as f64)));
    }
}
