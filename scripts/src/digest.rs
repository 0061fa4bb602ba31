//! Digests as texts.

/// A digest as text.
pub fn hexadecimal(digest: [u8; 20]) -> [u8; 40] {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    let mut text = [0; 40];
    for (place, byte) in text.chunks_exact_mut(2).zip(digest) {
        place.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}
