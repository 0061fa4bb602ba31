//! How many registers have each value: all that an estimate needs to know of them.
//!
//! Adding to a place in memory for each register waits for the addition before, as most registers have one of a few
//! values. Instead all registers are compared with eight values at a time, until every register has been found.

use super::{Registers, REGISTERS};

/// Registers by their values.
pub(super) type Histogram = [u32; 64];

/// The histogram of registers, none of which is above 63.
pub(super) fn of(registers: &Registers) -> Histogram {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions that the function is compiled for.
        return unsafe { of_avx2(registers) };
    }
    of_each(registers)
}

/// Looks at one register after the other. Neighbours are often equal, so each of four has its own places to add to.
fn of_each(registers: &Registers) -> Histogram {
    let mut parts = [[0u32; 64]; 4];
    for four in registers.chunks_exact(4) {
        for (part, register) in parts.iter_mut().zip(four) {
            part[usize::from(register & 63)] += 1;
        }
    }
    std::array::from_fn(|value| parts.iter().map(|part| part[value]).sum())
}

/// # Safety
///
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[allow(unused_unsafe)] // most of these instructions are safe here since Rust 1.87
unsafe fn of_avx2(registers: &Registers) -> Histogram {
    use std::arch::x86_64::*;
    /// Values that are counted in one pass: their counters and a vector of registers fit the processor's registers.
    const TOGETHER: usize = 8;
    /// Vectors until the counters, a byte for each lane, are added up: below 256.
    const BLOCK: usize = 128;
    const _: () = assert!(REGISTERS % (BLOCK * 32) == 0);
    let mut histogram = [0; 64];
    let mut left = REGISTERS as u32;
    for (pass, values) in histogram.chunks_exact_mut(TOGETHER).enumerate() {
        for block in registers.chunks_exact(BLOCK * 32) {
            // SAFETY: the function is compiled for these instructions; loads and stores are within their slices and unaligned.
            unsafe {
                let mut counters = [_mm256_setzero_si256(); TOGETHER];
                for vector in block.chunks_exact(32) {
                    let vector = _mm256_loadu_si256(vector.as_ptr().cast());
                    for (number, counter) in counters.iter_mut().enumerate() {
                        let value = _mm256_set1_epi8((pass * TOGETHER + number) as i8);
                        // Equal lanes are -1.
                        *counter = _mm256_sub_epi8(*counter, _mm256_cmpeq_epi8(vector, value));
                    }
                }
                for (value, counter) in values.iter_mut().zip(counters) {
                    let mut sums = [0u64; 4];
                    let sum = _mm256_sad_epu8(counter, _mm256_setzero_si256());
                    _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum);
                    *value += sums.iter().sum::<u64>() as u32;
                }
            }
        }
        left -= values.iter().sum::<u32>();
        if left == 0 {
            break;
        }
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_counting_finds_every_register() {
        let mut random = crate::random::Random::fixed(5);
        for values in [1, 2, 8, 9, 20, 64] {
            let registers: Registers = std::array::from_fn(|_| random.below(values) as u8);
            let histogram = of(&registers);
            assert_eq!(histogram, of_each(&registers));
            assert_eq!(histogram.iter().sum::<u32>() as usize, REGISTERS);
        }
        assert_eq!(of(&[63; REGISTERS])[63] as usize, REGISTERS);
    }
}
