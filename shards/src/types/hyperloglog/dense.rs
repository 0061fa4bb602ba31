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

/// Registers that are unpacked together, and the bytes that they are packed in.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: usize = TOGETHER * 6 / 8;

/// Raises registers to the packed ones.
pub(super) fn raise_all(registers: &mut Registers, packed: &[u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has the instructions that the function is compiled for.
        return unsafe { raise_all_avx2(registers, packed) };
    }
    raise_all_with(registers, packed, spread);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2")]
fn raise_all_avx2(registers: &mut Registers, packed: &[u8]) {
    raise_all_with(registers, packed, |word| std::arch::x86_64::_pdep_u64(word, 0x3F3F_3F3F_3F3F_3F3F));
}

#[inline(always)]
fn raise_all_with(registers: &mut Registers, packed: &[u8], spread: impl Fn(u64) -> u64) {
    for (part, group) in registers.chunks_exact_mut(TOGETHER).zip(packed.chunks_exact(TOGETHER_BYTES)) {
        let mut unpacked = [0; TOGETHER];
        for (eight, six) in unpacked.chunks_exact_mut(8).zip(group.chunks_exact(6)) {
            let word = u64::from_le_bytes([six[0], six[1], six[2], six[3], six[4], six[5], 0, 0]);
            eight.copy_from_slice(&spread(word).to_le_bytes());
        }
        for (register, value) in part.iter_mut().zip(unpacked) {
            *register = (*register).max(value);
        }
    }
}

/// Eight values of 6 bits, each in a byte of its own: halves are moved apart, then quarters, then eighths.
fn spread(word: u64) -> u64 {
    let halves = word & 0xFF_FFFF | (word & 0xFFFF_FF00_0000) << 8;
    let quarters = halves & 0x0FFF_0000_0FFF | (halves & 0x00FF_F000_00FF_F000) << 4;
    quarters & 0x003F_003F_003F_003F | (quarters & 0x0FC0_0FC0_0FC0_0FC0) << 2
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
        raise_all_with(&mut portable, &packed, spread);
        assert!(portable.iter().zip(&registers).all(|(raised, value)| *raised == (*value).max(20)));
    }
}
