//! What `math.random` draws from: the 48-bit generator of POSIX' `lrand48`, as in Redis, so that a script draws the same
//! numbers for a seed on every machine. A runtime's generator goes on from script to script.

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// The biggest number that is drawn.
const LARGEST: i32 = i32::MAX;

/// The generator's state.
#[derive(Clone, Copy)]
pub struct Random(u64);

impl Default for Random {
    /// As it begins in a new runtime, and in Redis.
    fn default() -> Random {
        Random(0x1234_ABCD_330E)
    }
}

impl Random {
    /// Seeded with the lower 32 bits of a number.
    pub fn seeded(seed: i32) -> Random {
        Random(u64::from(seed as u32) << 16 | 0x330E)
    }

    fn draw(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        (self.0 >> 17) as i32
    }

    /// A number from 0 on, below 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from(self.draw() % LARGEST) / f64::from(LARGEST)
    }
}
