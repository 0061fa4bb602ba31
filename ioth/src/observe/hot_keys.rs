//! The most frequent keys, from a sample of the commands.
//!
//! One command in [`SAMPLE`] is looked at by its IO thread and counted in a small table of its own (space-saving: a key
//! that is new takes the place of the rarest one and its count), so a key with more than a hundredth of the traffic is
//! always found. The lock is taken once a sample and is free but for a moment while somebody reads.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One command in this many is sampled.
pub const SAMPLE: u32 = 512;
/// Keys that are counted.
const KEYS_MAX: usize = 128;
/// Longer keys are not sampled: they would cost more than they tell.
const KEY_BYTES_MAX: usize = 512;
/// When this many samples were counted all counts are halved, so that what was hot long ago gives way.
const HALVE_AT: u64 = 1 << 20;

/// The keys of a sample of one thread's commands, counted.
#[derive(Default, Debug)]
pub struct HotKeys(Mutex<Counts>);

#[derive(Default, Debug)]
struct Counts {
    keys: HashMap<Box<[u8]>, u64>,
    total: u64,
}

impl HotKeys {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a sampled key.
    #[cold]
    pub fn note(&self, key: &[u8]) {
        if key.len() > KEY_BYTES_MAX {
            return;
        }
        let mut counts = self.counts();
        counts.total += 1;
        if counts.total >= HALVE_AT {
            counts.total /= 2;
            counts.keys.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
        if let Some(count) = counts.keys.get_mut(key) {
            *count += 1;
            return;
        }
        let mut start = 0;
        if counts.keys.len() >= KEYS_MAX {
            let rarest = counts.keys.iter().min_by_key(|(_, count)| **count).map(|(key, count)| (key.clone(), *count));
            if let Some((rarest, count)) = rarest {
                counts.keys.remove(&rarest);
                start = count;
            }
        }
        counts.keys.insert(key.into(), start + 1);
    }

    /// The counted keys with their estimated numbers of commands.
    pub fn all(&self) -> Vec<(Vec<u8>, u64)> {
        self.counts().keys.iter().map(|(key, count)| (key.to_vec(), count * u64::from(SAMPLE))).collect()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.counts() = Counts::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_key_is_found_among_many_rare_ones() {
        let hot = HotKeys::default();
        for i in 0..20_000u32 {
            hot.note(&i.to_le_bytes());
            if i % 20 == 0 {
                hot.note(b"hot");
            }
        }
        let mut keys = hot.all();
        keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        assert_eq!(keys[0].0, b"hot");
        assert!(keys.len() <= KEYS_MAX);
    }
}
