//! Registers of 6 bits, packed without gaps from the lowest bit of the first byte on: four of them in three bytes.

use super::{Registers, REGISTERS};

/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * 6 / 8;

/// Raises one register; true if it was lower.
pub(super) fn raise(packed: &mut [u8], index: usize, value: u8) -> bool {
    let group = &mut packed[index / 4 * 3..][..3];
    let mut four = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    let shift = index % 4 * 6;
    if (four >> shift & 63) as u8 >= value {
        return false;
    }
    four = four & !(63 << shift) | u32::from(value) << shift;
    group.copy_from_slice(&four.to_le_bytes()[..3]);
    true
}

/// Raises registers to the packed ones.
pub(super) fn raise_all(registers: &mut Registers, packed: &[u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions that the function is compiled for.
        return unsafe { raise_all_avx2(registers, packed) };
    }
    raise_some(registers, packed);
}

/// Raises registers one by one, as many as there are of both.
fn raise_some(registers: &mut [u8], packed: &[u8]) {
    for (four, group) in registers.chunks_exact_mut(4).zip(packed.chunks_exact(3)) {
        let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
        for (place, register) in four.iter_mut().enumerate() {
            *register = (*register).max((bits >> (place * 6)) as u8 & 63);
        }
    }
}

/// The same, 32 registers at a time: in plain Rust this takes ten times as long, as the compiler sees bytes only. Spreading
/// the bits of a word with one instruction (PDEP) takes twice as long, and far longer on AMD before Zen 3, where it is microcode.
///
/// # Safety
///
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[allow(unused_unsafe)] // most of these instructions are safe here since Rust 1.87
unsafe fn raise_all_avx2(registers: &mut Registers, packed: &[u8]) {
    use std::arch::x86_64::*;
    /// Registers that are unpacked together, and the bytes that they are packed in.
    const TOGETHER: usize = 32;
    const PACKED: usize = TOGETHER * 6 / 8;
    /// Where the three bytes of four registers go: each half of a vector takes twelve bytes, which are the first ones of 16
    /// that begin with the group and the last ones of 16 that end with it. -1 is a zero.
    #[rustfmt::skip]
    const SPREAD: [i8; 32] = [
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
        4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1,
    ];
    for (part, group) in registers.chunks_exact_mut(TOGETHER).zip(packed.chunks_exact(PACKED)) {
        // SAFETY: the function is compiled for these instructions; the slices have the 24 and 32 bytes that are read and
        // written, without an alignment.
        unsafe {
            let first = _mm_loadu_si128(group.as_ptr().cast());
            let last = _mm_loadu_si128(group.as_ptr().add(PACKED - 16).cast());
            let spread = _mm256_loadu_si256(SPREAD.as_ptr().cast());
            let fours = _mm256_shuffle_epi8(_mm256_set_m128i(last, first), spread);
            // 24 bits for four registers become twice 12 for two each, then four times 6.
            let upper = _mm256_and_si256(_mm256_slli_epi32::<4>(fours), _mm256_set1_epi32(0x0FFF_0000));
            let twos = _mm256_or_si256(_mm256_and_si256(fours, _mm256_set1_epi32(0x0FFF)), upper);
            let upper = _mm256_and_si256(_mm256_slli_epi16::<2>(twos), _mm256_set1_epi16(0x3F00));
            let values = _mm256_or_si256(_mm256_and_si256(twos, _mm256_set1_epi16(0x3F)), upper);
            let place = part.as_mut_ptr().cast();
            _mm256_storeu_si256(place, _mm256_max_epu8(_mm256_loadu_si256(place), values));
        }
    }
}

/// Packs registers.
pub(super) fn pack(registers: &Registers, packed: &mut [u8]) {
    for (four, group) in registers.chunks_exact(4).zip(packed.chunks_exact_mut(3)) {
        let bits = four.iter().rev().fold(0u32, |bits, &register| bits << 6 | u32::from(register & 63));
        group.copy_from_slice(&bits.to_le_bytes()[..3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_unpacking_gives_what_was_packed() {
        let mut registers: Registers = [0; REGISTERS];
        for (index, register) in registers.iter_mut().enumerate() {
            *register = (index * 7 + index / 64) as u8 & 63;
        }
        let mut packed = vec![0; BYTES];
        pack(&registers, &mut packed);
        for (index, value) in [(0, 5), (1, 63), (17, 0), (REGISTERS - 1, 9)] {
            raise(&mut packed, index, value);
            registers[index] = registers[index].max(value);
        }
        let mut best: Registers = [0; REGISTERS];
        raise_all(&mut best, &packed);
        assert_eq!(best, registers);
        let mut portable: Registers = [20; REGISTERS];
        raise_some(&mut portable, &packed);
        assert!(portable.iter().zip(&registers).all(|(raised, value)| *raised == (*value).max(20)));
    }
}
