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
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
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

/// The same, 32 registers at a time: in plain Rust this takes ten times as long, as the compiler sees bytes only.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
#[allow(unused_unsafe)] // these instructions are safe here since Rust 1.87
fn raise_all_avx2(registers: &mut Registers, packed: &[u8]) {
    use std::arch::x86_64::{_mm256_loadu_si256, _mm256_max_epu8, _mm256_set_epi64x, _mm256_storeu_si256, _pdep_u64};
    /// Registers that are unpacked together, and the bytes that they are packed in.
    const TOGETHER: usize = 32;
    const PACKED: usize = TOGETHER * 6 / 8;
    let mut at = 0;
    // A load takes eight bytes, of which six are used: the last registers are left to the simple way.
    while at + TOGETHER < REGISTERS {
        let group = &packed[at * 6 / 8..][..PACKED + 2];
        let eight = |from: usize| {
            let bytes: [u8; 8] = group[from..from + 8].try_into().expect("eight bytes");
            // SAFETY: the function is compiled for the instruction.
            unsafe { _pdep_u64(u64::from_le_bytes(bytes), 0x3F3F_3F3F_3F3F_3F3F) as i64 }
        };
        let values = [eight(0), eight(6), eight(12), eight(18)];
        let part = &mut registers[at..at + TOGETHER];
        // SAFETY: the slice has the 32 bytes that are read and written; no alignment is asked for.
        unsafe {
            let place = part.as_mut_ptr().cast();
            let values = _mm256_set_epi64x(values[3], values[2], values[1], values[0]);
            _mm256_storeu_si256(place, _mm256_max_epu8(_mm256_loadu_si256(place), values));
        }
        at += TOGETHER;
    }
    raise_some(&mut registers[at..], &packed[at * 6 / 8..]);
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
