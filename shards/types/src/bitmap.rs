//! Strings as rows of bits: counting, searching and combining them at the speed of memory.
//!
//! Bit 0 is the highest bit of the first byte. The loops are plain folds over chunks of fixed size, which the compiler
//! turns into vector instructions; only counting asks what the processor has beyond the baseline.

mod count;

use std::ops::Range;

pub use count::count;

/// The bytes that a range of bits touches, with the first and the last byte apart, as masks of their bits in the range.
struct Cut {
    bytes: Range<usize>,
    first_mask: u8,
    last_mask: u8,
}

fn cut(bits: &Range<u64>) -> Cut {
    let last = bits.end - 1;
    Cut {
        bytes: (bits.start / 8) as usize..(last / 8) as usize + 1,
        first_mask: 0xFF >> (bits.start % 8),
        last_mask: 0xFF << (7 - last % 8),
    }
}

/// The number of bits that are set in a range of bits, which lies within the bytes.
pub fn count_range(bytes: &[u8], bits: Range<u64>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let cut = cut(&bits);
    let bytes = &bytes[cut.bytes];
    let outside_first = bytes[0] & !cut.first_mask;
    let outside_last = bytes[bytes.len() - 1] & !cut.last_mask;
    count(bytes) - u64::from(outside_first.count_ones()) - u64::from(outside_last.count_ones())
}

/// The place of the first bit that is set (or not set) in a range of bits, which lies within the bytes.
pub fn first(bytes: &[u8], bits: Range<u64>, set: bool) -> Option<u64> {
    if bits.is_empty() {
        return None;
    }
    let cut = cut(&bits);
    let flip = if set { 0 } else { 0xFF };
    let (begin, end) = (cut.bytes.start, cut.bytes.end);
    let within = |place: usize| {
        let mut byte = bytes[place] ^ flip;
        if place == begin {
            byte &= cut.first_mask;
        }
        if place == end - 1 {
            byte &= cut.last_mask;
        }
        byte
    };
    let hit = |place: usize| {
        let byte = within(place);
        (byte != 0).then(|| place as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if let Some(found) = hit(begin) {
        return Some(found);
    }
    let mut place = begin + 1;
    let chunks = bytes.get(place..end - 1).unwrap_or_default().chunks_exact(64);
    let skipped = chunks.take_while(|chunk| chunk.iter().fold(0, |any, byte| any | (byte ^ flip)) == 0).count();
    place += skipped * 64;
    (place..end).find_map(hit)
}

/// How BITOP combines its sources, of which the first one is X.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// X without what is in the others.
    Diff,
    /// What is in the others without X.
    Diff1,
    /// What is in X and in one of the others at least.
    AndOr,
    /// What is in exactly one of them.
    One,
}

/// A block of the result and of one scratch row: both and one of a source stay in the first-level cache.
const BLOCK: usize = 8192;

/// Combines the sources to a string as long as the longest of them; shorter ones count as filled up with zeros. The
/// result is written to `buffer`, whatever is in it, if that has the room.
pub fn combine(operation: Operation, sources: &[&[u8]], buffer: Vec<u8>) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = buffer;
    if result.capacity() < length {
        result = vec![0; length];
    } else {
        result.resize(length, 0);
    }
    let mut scratch = [0u8; BLOCK];
    for (number, block) in result.chunks_mut(BLOCK).enumerate() {
        let (begin, size) = (number * BLOCK, block.len());
        let part = |source: &'_ [u8]| -> Range<usize> { begin.min(source.len())..(begin + size).min(source.len()) };
        let scratch = &mut scratch[..size];
        let x = &sources[0][part(sources[0])];
        let others = sources[1..].iter().map(|source| &source[part(source)]);
        combine_block(operation, block, scratch, x, others);
    }
    result
}

/// The same for a block of the result, as much of the first source and of the others, and a scratch row as long as the block.
fn combine_block<'a>(
    operation: Operation,
    block: &mut [u8],
    scratch: &mut [u8],
    x: &[u8],
    others: impl Iterator<Item = &'a [u8]>,
) {
    match operation {
        Operation::And => {
            load(block, x);
            for other in others {
                apply(block, other, |a, b| a & b);
                block[other.len()..].fill(0);
            }
        }
        Operation::Or => {
            load(block, x);
            others.for_each(|other| apply(block, other, |a, b| a | b));
        }
        Operation::Xor => {
            load(block, x);
            others.for_each(|other| apply(block, other, |a, b| a ^ b));
        }
        Operation::Not => {
            load(block, x);
            block.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            block.fill(0);
            others.for_each(|other| apply(block, other, |a, b| a | b));
            load(scratch, x);
            match operation {
                Operation::Diff => apply(block, scratch, |others, x| x & !others),
                Operation::Diff1 => apply(block, scratch, |others, x| others & !x),
                _ => apply(block, scratch, |others, x| others & x),
            }
        }
        Operation::One => {
            load(block, x);
            scratch.fill(0);
            for other in others {
                // The scratch row has what was in two of them or more.
                for ((once, more), &byte) in block.iter_mut().zip(scratch.iter_mut()).zip(other) {
                    *more |= *once & byte;
                    *once |= byte;
                }
            }
            apply(block, scratch, |once, more| once & !more);
        }
    }
}

fn load(block: &mut [u8], source: &[u8]) {
    let (head, tail) = block.split_at_mut(source.len());
    head.copy_from_slice(source);
    tail.fill(0);
}

#[inline(always)]
fn apply(block: &mut [u8], source: &[u8], operation: impl Fn(u8, u8) -> u8) {
    for (byte, &other) in block.iter_mut().zip(source) {
        *byte = operation(*byte, other);
    }
}

#[cfg(test)]
#[path = "tests/bitmap.rs"]
mod tests;
