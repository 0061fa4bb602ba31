//! Random numbers for choices that no one must be able to predict usefully, but that need not be secret: sampling,
//! SPOP, list levels. A xoshiro-like generator of one multiplication a number (wyrand).

use std::hash::{BuildHasher, Hasher};

/// A small fast generator, seeded from the process's own hash seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with a seed that differs every time.
    pub fn seeded() -> Random {
        Random(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }

    /// A generator that always returns the same numbers, for tests.
    pub fn fixed(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    // The name is the usual one of a generator, which is no iterator: it never ends.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xA076_1D64_78BD_642F);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xE703_7ED1_A0B4_28DB);
        (product >> 64) as u64 ^ product as u64
    }

    /// A number below `bound` (which is not 0).
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_are_spread_evenly() {
        let mut random = Random::fixed(1);
        let mut counts = [0; 10];
        for _ in 0..100_000 {
            counts[random.below(10)] += 1;
        }
        assert!(counts.iter().all(|&n| (9_400..10_600).contains(&n)), "{counts:?}");
    }
}
