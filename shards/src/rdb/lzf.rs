//! LZF, the compression of strings in dumps: literal runs of up to 32 bytes, and references to what came at most 8 KiB
//! before.
//!
//! `000nnnnn` is followed by n + 1 literals; `lllooooo o` repeats l + 2 bytes from o + 1 bytes back, and where l is 7 a byte
//! that is added to it comes before the second half of o. What another writer chooses to refer to differs; the format is
//! the same.

use super::Corrupt;

const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 264;
/// No compression does better: three bytes stand for [`MATCH_MAX`].
const RATIO_MAX: usize = MATCH_MAX / 3;

/// Places remembered by a hash of three bytes. More of them find more, but cost more to make than short strings save.
const PLACES: usize = 1 << 12;

/// What compresses; kept over several strings.
#[derive(Default)]
pub struct Compressor {
    /// Where three bytes were seen last, plus `base`; smaller values are from earlier strings.
    places: Vec<u32>,
    base: u32,
    next_base: u32,
}

impl Compressor {
    /// Appends the compressed `input` to `output` if that is at least four bytes shorter; else appends nothing.
    pub fn compress(&mut self, input: &[u8], output: &mut Vec<u8>) -> bool {
        if input.len() <= MATCH_MIN + 1 || input.len() > 1 << 30 {
            return false;
        }
        self.begin(input.len());
        let start = output.len();
        let limit = start + input.len() - 4;
        let (mut at, mut literals_from) = (0, 0);
        while at + MATCH_MIN <= input.len() {
            let Some(distance) = self.look_up(input, at) else {
                at += 1;
                continue;
            };
            let length = match_length(input, at, distance);
            put_literals(output, &input[literals_from..at]);
            put_reference(output, distance, length);
            if output.len() > limit {
                break;
            }
            // Only the end is remembered: what follows a repetition often repeats what followed it before, and to remember
            // every place inside would cost more than all the rest.
            at += length;
            for before_end in [2, 1] {
                if at - before_end + MATCH_MIN <= input.len() {
                    self.places[slot(input, at - before_end)] = self.base + (at - before_end) as u32;
                }
            }
            literals_from = at;
        }
        put_literals(output, &input[literals_from.min(input.len())..]);
        let is_shorter = output.len() <= limit;
        if !is_shorter {
            output.truncate(start);
        }
        is_shorter
    }

    /// Makes the places of earlier strings invalid.
    fn begin(&mut self, length: usize) {
        if self.places.is_empty() || self.next_base > u32::MAX / 2 {
            self.places = vec![0; PLACES];
            self.next_base = 1;
        }
        self.base = self.next_base;
        self.next_base += length as u32;
    }

    fn look_up(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let place = &mut self.places[slot(input, at)];
        let before = place.checked_sub(self.base);
        *place = self.base + at as u32;
        let distance = at - before? as usize;
        let is_match = distance <= DISTANCE_MAX && input[at - distance..][..MATCH_MIN] == input[at..][..MATCH_MIN];
        is_match.then_some(distance)
    }
}

fn slot(input: &[u8], at: usize) -> usize {
    let word = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
    (word.wrapping_mul(0x9E37_79B1) >> 20) as usize % PLACES
}

/// How many bytes from `at` on repeat those `distance` before.
fn match_length(input: &[u8], at: usize, distance: usize) -> usize {
    let here = &input[at..input.len().min(at + MATCH_MAX)];
    let before = &input[at - distance..][..here.len()];
    let equal_words = here.chunks_exact(8).zip(before.chunks_exact(8)).take_while(|(a, b)| a == b).count();
    let start = equal_words * 8;
    start + here[start..].iter().zip(&before[start..]).take_while(|(a, b)| a == b).count()
}

fn put_literals(output: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        output.push(run.len() as u8 - 1);
        output.extend_from_slice(run);
    }
}

fn put_reference(output: &mut Vec<u8>, distance: usize, length: usize) {
    let (offset, length) = (distance - 1, length - 2);
    if length < 7 {
        output.push((length << 5 | offset >> 8) as u8);
    } else {
        output.extend_from_slice(&[(7 << 5 | offset >> 8) as u8, (length - 7) as u8]);
    }
    output.push(offset as u8);
}

/// The `length` bytes that `input` was made of.
pub fn decompress(input: &[u8], length: usize) -> Result<Vec<u8>, Corrupt> {
    if length > input.len().saturating_mul(RATIO_MAX) {
        return Err(Corrupt);
    }
    let mut output = vec![0; length];
    let (mut at, mut filled) = (0, 0);
    let next = |at: &mut usize| {
        let byte = input.get(*at).copied().map(usize::from).ok_or(Corrupt);
        *at += 1;
        byte
    };
    while at < input.len() {
        let control = next(&mut at)?;
        if control < LITERALS_MAX {
            let literals = input.get(at..at + control + 1).ok_or(Corrupt)?;
            output.get_mut(filled..filled + literals.len()).ok_or(Corrupt)?.copy_from_slice(literals);
            at += literals.len();
            filled += literals.len();
        } else {
            let mut count = (control >> 5) + 2;
            if count == 9 {
                count += next(&mut at)?;
            }
            let distance = ((control & 31) << 8 | next(&mut at)?) + 1;
            if distance > filled || count > length - filled {
                return Err(Corrupt);
            }
            repeat(&mut output, filled, distance, count);
            filled += count;
        }
    }
    if filled == length {
        Ok(output)
    } else {
        Err(Corrupt)
    }
}

/// Writes `count` bytes at `to`, the same as those `distance` before; what is written may be among them.
fn repeat(output: &mut [u8], to: usize, distance: usize, count: usize) {
    if distance >= count {
        output.copy_within(to - distance..to - distance + count, to);
        return;
    }
    for at in to..to + count {
        output[at] = output[at - distance];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sherd_types::random::Random;

    #[test]
    fn what_is_compressed_comes_back_and_is_shorter() {
        let mut compressor = Compressor::default();
        let mut random = Random::fixed(3);
        for length in (0..600).chain([5000, 9000, 40_000]) {
            for alphabet in [1, 2, 5, 256] {
                let input: Vec<u8> = (0..length).map(|_| random.below(alphabet) as u8).collect();
                let mut output = b"before".to_vec();
                let shorter = compressor.compress(&input, &mut output);
                assert_eq!(shorter, output.len() > 6);
                if shorter {
                    assert!(output.len() - 6 + 4 <= input.len());
                    assert_eq!(decompress(&output[6..], input.len()), Ok(input));
                }
            }
        }
    }

    #[test]
    fn references_reach_back_over_the_whole_window_and_no_further() {
        let mut compressor = Compressor::default();
        let mut random = Random::fixed(4);
        let mut noise = |length: usize| (0..length).map(|_| random.next() as u8).collect::<Vec<u8>>();
        let phrase = noise(1000);
        for (gap, found) in [(DISTANCE_MAX - 1000, true), (DISTANCE_MAX - 999, false)] {
            let input = [&phrase[..], &noise(gap), &phrase].concat();
            let mut output = Vec::new();
            assert_eq!(compressor.compress(&input, &mut output), found);
            if found {
                assert_eq!(decompress(&output, input.len()), Ok(input));
            }
        }
    }

    #[test]
    fn broken_input_is_refused_before_memory_is_taken_for_it() {
        for (input, length) in [
            (b"\x00".as_slice(), 1),
            (b"\x05abc", 6),
            (b"\x20\x00", 3),
            (b"\x00a\x20", 4),
            (b"\xe0\xff", 264),
            (b"\x00a", 2),
            (b"\x01ab", 1),
            (b"\x00a\xe0\xff\x00", usize::MAX),
        ] {
            assert_eq!(decompress(input, length), Err(Corrupt), "{input:02x?}");
        }
    }
}
