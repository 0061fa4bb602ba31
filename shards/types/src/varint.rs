//! Lengths in as few bytes as they need: seven bits a byte, least significant group first, the top bit says "more
//! follow".
//!
//! Used in the headers of table entries, where most lengths are below 128 and every byte is paid for each element.

/// Bytes that the longest length takes: 32 bits in groups of seven.
pub const BYTES_MAX: usize = 5;

/// How many bytes [`write`] writes for `value`.
#[inline]
pub fn size(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=0xFFF_FFFF => 4,
        _ => BYTES_MAX,
    }
}

/// Writes `value` to the front of `target`; returns how many bytes that took.
///
/// # Panics
/// If `value` does not fit 32 bits; callers bound their arguments far below.
#[inline]
pub fn write(value: usize, target: &mut [u8]) -> usize {
    assert!(u32::try_from(value).is_ok(), "a length is below 4 GiB");
    let mut rest = value;
    let mut at = 0;
    while rest > 0x7F {
        target[at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    target[at] = rest as u8;
    at + 1
}

/// Reads a length that [`write`] wrote to the front of memory at `source`; returns it and how many bytes it takes.
///
/// # Safety
/// `source` points to such a length, complete and initialised.
#[inline]
pub unsafe fn read(source: *const u8) -> (usize, usize) {
    let (mut value, mut at) = (0usize, 0usize);
    loop {
        // SAFETY: a length ends at its first byte below 0x80, and bytes up to that are readable by the caller's
        // promise.
        let byte = unsafe { *source.add(at) };
        value |= usize::from(byte & 0x7F) << (7 * at);
        at += 1;
        if byte & 0x80 == 0 {
            return (value, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_reads_back_in_the_size_that_was_announced() {
        for value in
            (0..22).flat_map(|bit| [(1 << bit) - 1, 1 << bit]).chain([0xFFF_FFFF, 0x1000_0000, u32::MAX as usize])
        {
            let mut buffer = [0xFF; BYTES_MAX];
            let written = write(value, &mut buffer);
            assert_eq!(written, size(value), "{value}");
            // SAFETY: `buffer` starts with the length just written.
            assert_eq!(unsafe { read(buffer.as_ptr()) }, (value, written), "{value}");
        }
    }
}
