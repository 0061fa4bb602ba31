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
    for (four, group) in registers.chunks_exact_mut(4).zip(packed.chunks_exact(3)) {
        let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
        for (place, register) in four.iter_mut().enumerate() {
            *register = (*register).max((bits >> (place * 6)) as u8 & 63);
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
