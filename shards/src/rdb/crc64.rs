//! The checksum of dumps and RDB files: CRC-64 with the polynomial of Jones, reflected, without inversion.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of `bytes` behind what gave `crc`; begins with 0.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    // Multiplies 16 bytes or more at a time without carries, where the processor can: tables take six times as long.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::crc64;

    /// As it is defined, bit by bit.
    fn slow(crc: u64, bytes: &[u8]) -> u64 {
        // 0xad93d23594c935a9 with its bits reversed.
        const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;
        let bit = |crc: u64, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        bytes.iter().fold(crc, |crc, byte| (0..8).fold(crc ^ u64::from(*byte), bit))
    }

    #[test]
    fn the_check_value_is_that_of_redis() {
        assert_eq!(crc64(0, b"123456789"), 0xE9C6_D914_C4B8_D9CA);
    }

    #[test]
    fn a_checksum_in_parts_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..700u32).map(|at| (at * 37) as u8).collect();
        for split in 0..bytes.len() {
            let (front, back) = bytes.split_at(split);
            assert_eq!(crc64(0, front), slow(0, front));
            assert_eq!(crc64(crc64(0, front), back), slow(0, &bytes));
        }
    }
}
