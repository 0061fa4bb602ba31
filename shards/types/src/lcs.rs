//! The longest common subsequence of two byte strings, by the textbook table of all pairs of prefixes.
//!
//! Of the table's cells only the last two rows are kept as numbers: the way back needs no more than one bit of each,
//! whether the cell above is larger than the one to the left. Hirschberg's method would do without these as well, but where
//! several subsequences are equally long it finds another one, and clients compare results with those of Redis.

use std::ops::RangeInclusive;

/// A part of both strings that is equal.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    pub first: RangeInclusive<usize>,
    pub second: RangeInclusive<usize>,
}

impl Match {
    /// Bytes in each of the two parts.
    pub fn len(&self) -> usize {
        self.first.end() - self.first.start() + 1
    }

    /// A match has at least one byte.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Bytes of the whole table as Redis keeps it, with four to a cell, or `None` where no such table could exist: the bound on
/// the work that both accept.
pub fn table_bytes(first: &[u8], second: &[u8]) -> Option<usize> {
    let cells = first.len().checked_add(1)?.checked_mul(second.len().checked_add(1)?)?;
    cells.checked_mul(size_of::<u32>())
}

/// One row of the table from the row above it. Both have a cell more than `second` has bytes.
fn fill_row(byte: u8, second: &[u8], above: &[u32], row: &mut [u32]) {
    let mut left = 0;
    row[0] = 0;
    for (index, &other) in second.iter().enumerate() {
        left = if byte == other { above[index] + 1 } else { left.max(above[index + 1]) };
        row[index + 1] = left;
    }
}

/// The length of the longest common subsequence.
pub fn length(first: &[u8], second: &[u8]) -> usize {
    let (long, short) = if first.len() < second.len() { (second, first) } else { (first, second) };
    let mut above = vec![0; short.len() + 1];
    let mut row = above.clone();
    for &byte in long {
        fill_row(byte, short, &above, &mut row);
        std::mem::swap(&mut above, &mut row);
    }
    above[short.len()] as usize
}

/// Cells whose bits are in one word.
const WORD: usize = u64::BITS as usize;

/// The same as [`fill_row`], with a bit for every cell: whether the cell above is larger than the one to the left.
fn fill_marked_row(byte: u8, second: &[u8], above: &[u32], row: &mut [u32], marks: &mut [u64]) {
    let mut left = 0;
    let cells = second.chunks(WORD).zip(above.windows(WORD + 1).step_by(WORD)).zip(row[1..].chunks_mut(WORD));
    for (mark, ((block, above), row)) in marks.iter_mut().zip(cells) {
        *mark = 0;
        for (place, &other) in block.iter().enumerate() {
            let up = above[place + 1];
            *mark |= u64::from(up > left) << place;
            left = if byte == other { above[place] + 1 } else { left.max(up) };
            row[place] = left;
        }
    }
}

/// The longest common subsequence as its matches, last ones first.
pub fn matches(first: &[u8], second: &[u8]) -> Vec<Match> {
    let words = second.len().div_ceil(WORD);
    // Rows are filled up to whole words, so that each block of a row has a full window of the row above.
    let mut above = vec![0; words * WORD + 1];
    let mut row = above.clone();
    let mut marks = vec![0u64; first.len() * words];
    for (&byte, marks) in first.iter().zip(marks.chunks_mut(words.max(1))) {
        fill_marked_row(byte, second, &above, &mut row, marks);
        std::mem::swap(&mut above, &mut row);
    }
    let up_is_larger = |i: usize, j: usize| marks[(i - 1) * words + (j - 1) / WORD] >> ((j - 1) % WORD) & 1 == 1;
    let mut found = Vec::new();
    let (mut i, mut j) = (first.len(), second.len());
    while i > 0 && j > 0 {
        if first[i - 1] == second[j - 1] {
            let (last_i, last_j) = (i - 1, j - 1);
            while i > 0 && j > 0 && first[i - 1] == second[j - 1] {
                (i, j) = (i - 1, j - 1);
            }
            found.push(Match { first: i..=last_i, second: j..=last_j });
        } else if up_is_larger(i, j) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matches_are_those_of_redis_documentation() {
        let found = matches(b"ohmytext", b"mynewtext");
        assert_eq!(
            found,
            [Match { first: 4..=7, second: 5..=8 }, Match { first: 2..=3, second: 0..=1 }],
            "from the end to the beginning"
        );
        assert_eq!(length(b"ohmytext", b"mynewtext"), 6);
    }

    #[test]
    fn the_length_is_that_of_all_matches_whichever_string_is_longer() {
        let mut random = crate::random::Random::fixed(7);
        for _ in 0..200 {
            let mut text = |most: usize| -> Vec<u8> {
                let length = random.below(most);
                (0..length).map(|_| b'a' + random.below(3) as u8).collect()
            };
            let (a, b) = (text(200), text(150));
            let total: usize = matches(&a, &b).iter().map(Match::len).sum();
            assert_eq!((length(&a, &b), length(&b, &a)), (total, total));
        }
    }

    #[test]
    fn an_empty_string_has_nothing_in_common() {
        assert_eq!(matches(b"", b"abc"), []);
        assert_eq!(length(b"abc", b""), 0);
    }

    #[test]
    fn the_table_has_a_cell_for_every_pair_of_prefixes() {
        assert_eq!(table_bytes(b"ab", b"abc"), Some(3 * 4 * 4));
    }
}
